//! A controller in a process of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::cli::packwright;
use crate::cluster::Cluster;

/// It ends with this value.
pub struct Process(Child);

/// Other tests serve beside it, and nobody waits for a lease of one that was killed.
const ALONE: [&str; 5] = ["--disable-leader-election", "--metrics-port", "0", "--health-probe-port", "0"];

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
        let log = File::options().create(true).append(true).open(cluster.folder.join("logs/controller.log")).unwrap();
        let child = packwright(&["controller", "--kubeconfig", kubeconfig.to_str().unwrap()])
            .args(args)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
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
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}
