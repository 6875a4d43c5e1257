//! The image, assembled without a container engine: it is unpacked and run, pushed and pulled, and it says what it is made of.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn ran(command: &mut Command) -> String {
    let output = command.current_dir(root()).stdin(Stdio::null()).output().unwrap();
    said(&output, &format!("{command:?}"))
}

fn said(output: &Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A registry on loopback. It ends with this value.
pub struct Registry {
    process: Child,
    pub address: String,
    /// What it says, which it must be able to.
    _said: Lines<BufReader<ChildStderr>>,
}

impl Registry {
    pub fn start(crane: &Path) -> Self {
        let mut process = Command::new(crane)
            .args(["registry", "serve", "--address", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = |line: String| line.rsplit_once("serving on port ").map(|(_, port)| port.trim().to_owned());
        let port = said.by_ref().map_while(Result::ok).find_map(port).expect("it says on which port it serves");
        Self { process, address: format!("127.0.0.1:{port}"), _said: said }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, compiled once from its Go module.
pub fn crane() -> PathBuf {
    let tools = ran(Command::new("tests/cluster/build.sh").arg("crane"));
    Path::new(tools.trim()).join("crane")
}

/// The one blob that a descriptor names.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
}

/// Assembles the image under a umask; its digest.
fn assembled(umask: &str, layout: &Path) -> String {
    let script = format!("umask {umask} && exec scripts/image.sh \"$@\"");
    let program = env!("CARGO_BIN_EXE_packwright");
    ran(Command::new("bash").args(["-c", &script, "image", program]).arg(layout)).trim().to_owned()
}

/// The program of the image as the user that it names, with nothing of this machine but its kernel. Who is not root here has no
/// other user to be: it is root of a namespace then, and what others may not read is not seen.
fn inside(unpacked: &Path, args: &[&str]) -> Output {
    let is_root = ran(Command::new("id").arg("-u")).trim() == "0";
    let mut command = if is_root { Command::new("chroot") } else { Command::new("unshare") };
    command.args(if is_root { &["--userspec=65532:65532"][..] } else { &["--user", "--map-root-user", "chroot"] });
    command
        .arg(unpacked)
        .arg("/usr/local/bin/packwright")
        .args(args)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap()
}

#[test]
fn the_image_runs_by_itself_and_can_be_pushed() {
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let layout = folder.0.join("layout");
    let digest = assembled("077", &layout);
    assert_eq!(assembled("022", &folder.0.join("again")), digest, "equal files give an equal digest");

    let index = json(&layout.join("index.json"));
    let manifest = &index["manifests"][0];
    assert_eq!(manifest["digest"], digest);
    let manifest = json(&blob(&layout, manifest));
    let config = json(&blob(&layout, &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/usr/local/bin/packwright"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["os"], "linux");

    let unpacked = folder.0.join("unpacked");
    fs::create_dir_all(&unpacked).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        ran(Command::new("tar")
            .args(["--extract", "--same-permissions"])
            .arg("--file")
            .arg(blob(&layout, layer))
            .arg("--directory")
            .arg(&unpacked));
    }
    let version = said(&inside(&unpacked, &["--version"]), "--version");
    assert_eq!(version.trim(), format!("packwright {}", env!("CARGO_PKG_VERSION")));
    ran(Command::new("cp").args(["-r", "examples/getting-started"]).arg(unpacked.join("tmp/question")));
    let plan = inside(&unpacked, &["plan", "-f", "/tmp/question", "--work-limits", "usual", "-o", "json"]);
    let plan: Value = serde_json::from_str(&said(&plan, "plan")).unwrap();
    assert_eq!(plan["summary"]["pods_placed"], 5);
    let certificates = fs::read_to_string(unpacked.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(certificates.contains("BEGIN CERTIFICATE"), "AWS would be trusted by nobody");

    let documents = unpacked.join("usr/share/doc/packwright");
    let bill = json(&documents.join("sbom.cdx.json"));
    let name = |of: &Value| format!("{} v{}", of["name"].as_str().unwrap(), of["version"].as_str().unwrap());
    let listed: BTreeSet<String> = bill["components"].as_array().unwrap().iter().map(name).collect();
    let tree = ran(Command::new(env!("CARGO")).args([
        "tree",
        "--locked",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]));
    let is_own = |line: &str| line.starts_with("packwright ");
    let words = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let linked: BTreeSet<String> = tree.lines().filter(|line| !line.is_empty() && !is_own(line)).map(words).collect();
    assert!(linked.len() > 100);
    assert_eq!(listed, linked);
    let solver = bill["components"].as_array().unwrap().iter().find(|of| of["name"] == "highs-sys").unwrap();
    assert_eq!(solver["components"][0]["name"], "HiGHS");
    let urls = bill["components"].as_array().unwrap().iter().map(|of| of["purl"].as_str().unwrap());
    assert!(urls.clone().any(|url| url.contains("%2B")) && !urls.clone().any(|url| url.contains('+')));
    let licences = fs::read_to_string(documents.join("licences.txt")).unwrap();
    let (_, texts) = licences.split_once("Published without a text of their licence: ").unwrap();
    let (without, texts) = texts.split_once('\n').unwrap();
    let names: BTreeSet<&str> = without.split(", ").filter_map(|of| of.split(' ').next()).collect();
    assert_eq!(names, BTreeSet::from(["base64-simd", "vsimd"]), "who ships no text");
    let rule = "-".repeat(80);
    let headings: BTreeSet<String> =
        texts.split(&format!("\n{rule}\n")).flat_map(|of| of.split(", ")).map(|of| of.replacen(' ', " v", 1)).collect();
    for package in linked.iter().filter(|of| !without.contains(&of.replacen(" v", " ", 1))) {
        assert!(headings.contains(package), "no text of the licence of {package}");
    }
    assert!(texts.contains(" HiGHS\n\nPermission is hereby granted"), "that of the solver is in a folder of its crate");

    let crane = crane();
    let registry = Registry::start(&crane);
    let pushed = format!("{}/packwright:test", registry.address);
    ran(Command::new(&crane).arg("push").arg(&layout).arg(&pushed));
    assert_eq!(ran(Command::new(&crane).args(["digest", &pushed])).trim(), digest);
}

#[test]
fn it_is_a_plugin_of_kubectl() {
    let kubernetes = ran(&mut Command::new("tests/cluster/build.sh"));
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plugin-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_packwright"), folder.0.join("kubectl-packwright")).unwrap();
    let path = format!("{}:{}:{}", folder.0.display(), kubernetes.trim(), std::env::var("PATH").unwrap());
    let plan =
        ran(Command::new("kubectl").args(["packwright", "plan", "-f", "examples/getting-started"]).env("PATH", path));
    assert!(plan.contains("for 5 pods, 0 not placed"), "{plan}");
}

#[test]
fn what_is_packaged_can_be_built() {
    let listed = ran(Command::new(env!("CARGO")).args(["package", "--list", "--allow-dirty", "--offline"]));
    let files: BTreeSet<&str> = listed.lines().collect();
    for file in [
        "Cargo.lock",
        "LICENSE",
        "NOTICE",
        "README.md",
        "src/main.rs",
        "src/page/plan.html",
        "src/catalog/data/ec2_types.tsv",
    ] {
        assert!(files.contains(file), "{file} is not packaged");
    }
}
