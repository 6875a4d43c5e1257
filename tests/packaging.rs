//! The crate that `cargo package` makes: what a build needs is in it, and crates.io would take it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// What crates.io takes, compressed; here all of it is counted as it is.
const MOST_BYTES: u64 = 10 * 1024 * 1024;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn packed() -> BTreeSet<PathBuf> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).collect()
}

/// Without `..`, which the file system need not know.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn the_crate_is_whole_and_small_enough() {
    let packed = packed();
    for file in ["Cargo.lock", "LICENSE", "NOTICE", "README.md", "src/main.rs", "charts/packwright/Chart.yaml"] {
        assert!(packed.contains(Path::new(file)), "{file} is not in the crate");
    }
    let mut included = 0;
    for source in
        packed.iter().filter(|path| path.extension().is_some_and(|end| end == "rs") && path.starts_with("src"))
    {
        let text = fs::read_to_string(root().join(source)).unwrap();
        for rest in text.split("include_str!(\"").skip(1) {
            let file = plain(&source.parent().unwrap().join(rest.split('"').next().unwrap()));
            assert!(
                packed.contains(&file),
                "{} includes {}, which is not in the crate",
                source.display(),
                file.display()
            );
            included += 1;
        }
    }
    assert!(included > 10, "only {included} files are included by sources");
    // cargo adds two files that are not there
    let bytes: u64 = packed.iter().filter_map(|path| fs::metadata(root().join(path)).ok()).map(|file| file.len()).sum();
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
}
