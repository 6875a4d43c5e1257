//! A controller in a process of its own.

use std::fs::File;
use std::process::{Child, Stdio};

use crate::cli::packwright;
use crate::cluster::Cluster;

/// It ends with this value.
pub struct Process(Child);

impl Process {
    pub fn start(cluster: &Cluster, args: &[&str]) -> Self {
        let log = File::options().create(true).append(true).open(cluster.folder.join("logs/controller.log")).unwrap();
        let kubeconfig = cluster.folder.join("kubeconfig");
        let child = packwright(&["controller", "--kubeconfig", kubeconfig.to_str().unwrap()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Without a word.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}
