//! A controller in a process of its own: ours, or Karpenter's.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::free_port;
use crate::cli::packwright;
use crate::cluster::Cluster;

/// It ends with this value.
pub struct Process(Child, Whose);

#[derive(PartialEq)]
enum Whose {
    Ours,
    Karpenters,
}

/// Other tests serve beside it, and nobody waits for a lease of one that was killed.
pub const ALONE: [&str; 5] = ["--disable-leader-election", "--metrics-port", "0", "--health-probe-port", "0"];

impl Process {
    pub fn alone(cluster: &Cluster) -> Self {
        Self::start(cluster, &ALONE)
    }

    /// As [`Process::alone`], with these feature gates.
    pub fn with_gates(cluster: &Cluster, gates: &str) -> Self {
        Self::start(cluster, &[&ALONE[..], &["--feature-gates", gates]].concat())
    }

    pub fn start(cluster: &Cluster, args: &[&str]) -> Self {
        Self::as_user(cluster, &cluster.folder.join("kubeconfig"), &BTreeMap::new(), args)
    }

    /// With a kubeconfig and variables of its own.
    pub fn as_user(
        cluster: &Cluster,
        kubeconfig: &Path,
        environment: &BTreeMap<String, String>,
        args: &[&str],
    ) -> Self {
        let mut command = packwright(&["controller", "--kubeconfig", kubeconfig.to_str().unwrap()]);
        command.args(args).envs(environment);
        Self(spawn(cluster, command, "controller.log"), Whose::Ours)
    }

    /// Karpenter's own program, with the provider that makes nodes for kwok, and more variables.
    pub fn karpenter(cluster: &Cluster, environment: &[(&str, &str)]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/build.sh");
        let built = Command::new(script).arg("karpenter").output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let folder = PathBuf::from(String::from_utf8(built.stdout).unwrap().trim());
        let mut command = Command::new(folder.join("karpenter"));
        command
            .env("KUBECONFIG", cluster.folder.join("kubeconfig"))
            .env("SYSTEM_NAMESPACE", "kube-system")
            .env("LEADER_ELECTION_NAMESPACE", "kube-system")
            .env("KARPENTER_SERVICE", "karpenter")
            .env("METRICS_PORT", free_port().to_string())
            .env("HEALTH_PROBE_PORT", free_port().to_string())
            .envs(environment.iter().copied());
        Self(spawn(cluster, command, "karpenter.log"), Whose::Karpenters)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Without a word.
    pub fn kill(self) {
        drop(self);
    }

    /// As Kubernetes does it; it ends by itself.
    pub fn stop(mut self) {
        let id = i32::try_from(self.0.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), rustix::process::Signal::TERM)
            .unwrap();
        let status = self.0.wait().unwrap();
        assert!(self.1 == Whose::Karpenters || status.code() == Some(0), "{status}");
    }
}

fn spawn(cluster: &Cluster, mut command: Command, log: &str) -> Child {
    let log = File::options().create(true).append(true).open(cluster.folder.join("logs").join(log)).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}
