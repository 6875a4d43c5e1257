//! A real control plane for the tests: the processes of `tests/cluster/run.sh`, on loopback and in a folder of their own.

mod lifecycle;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use packwright::catalog::Catalog;
use packwright::observe::{GatesByInput, LoadOptions, RawObject, Snapshot, of_read};
use packwright::settings::Settings;

/// How much of each log is shown when a test fails.
const LOG_LINES: usize = 20;

/// A running control plane. It ends with this value, and with this process however that ends.
pub struct Cluster {
    pub folder: PathBuf,
    /// It ends the cluster when its standard input, which this holds, is closed.
    script: Child,
}

impl Cluster {
    /// A cluster that is ready; the first one of a machine builds its programs, which takes minutes.
    pub fn start() -> Self {
        Self::start_by(Stdio::piped())
    }

    /// A cluster that ends when this input does.
    fn start_by(stdin: Stdio) -> Self {
        let mut script = Command::new(root().join("tests/cluster/run.sh"))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a script of the project can be run");
        let mut folder = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        assert!(!folder.is_empty(), "the cluster did not start; the script says why on the error output");
        Self { folder: folder.trim_end().into(), script }
    }

    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).unwrap()
    }

    /// A client with the rights of somebody else.
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        let mut config = self.config().await;
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        Client::try_from(config).unwrap()
    }

    async fn config(&self) -> Config {
        let kubeconfig = Kubeconfig::read_from(self.folder.join("kubeconfig")).unwrap();
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
    }

    /// Runs kubectl or helm as a person would, in the root of the project.
    pub fn run(&self, program: &str, args: &[&str]) -> Output {
        Command::new(self.folder.join("bin").join(program))
            .args(args)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .current_dir(root())
            .output()
            .unwrap()
    }

    /// What kubectl prints of a command that succeeds.
    pub fn kubectl(&self, args: &[&str]) -> String {
        stdout_of("kubectl", args, &self.run("kubectl", args))
    }

    /// Karpenter's kinds, as the chart has them.
    pub fn install_kinds(&self) {
        let args = ["install", "packwright-crd", "charts/packwright-crd"];
        stdout_of("helm", &args, &self.run("helm", &args));
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    }

    fn show_ends_of_logs(&self) {
        for log in fs::read_dir(self.folder.join("logs")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("---- {}", log.file_name().display());
            eprintln!("{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait(); // its own affair: it has nothing to report
    }
}

/// Runs a test against the cluster that the tests share, on which our kinds are installed. Objects that are not in a
/// namespace need names of their own.
pub fn on_shared_cluster(test: impl AsyncFnOnce(&Cluster, Client)) {
    static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
        let cluster = Cluster::start();
        cluster.install_kinds();
        cluster
    });
    let cluster = &*SHARED;
    let _logs = ShownOnPanic(cluster);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(cluster, cluster.client().await).await });
}

/// Shows the ends of the logs where a test fails.
pub struct ShownOnPanic<'a>(pub &'a Cluster);

impl Drop for ShownOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.show_ends_of_logs();
        }
    }
}

fn stdout_of(program: &str, args: &[&str], output: &Output) -> String {
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What these objects are to the program, with the types and prices of the scenarios.
pub fn observed(objects: Vec<RawObject>) -> Arc<Snapshot> {
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/shared/catalog.json");
    let options = LoadOptions {
        settings: Settings::default(),
        region: Arc::from("us-east-1"),
        taken_at: Timestamp::now(),
        catalog: Catalog::from_option(catalog).unwrap(),
        assumptions: Vec::new(),
        gates: GatesByInput::AsConfigured,
    };
    let loaded = of_read(objects, Vec::new(), options);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    loaded.snapshot
}
