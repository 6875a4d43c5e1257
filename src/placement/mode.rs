//! How far Packwright goes so that pods bind where they are planned, and for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What may be done for the plan; each guarantees more than the one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Mode {
    /// A new node is reserved for its planned pods: cordoned until its daemon pods are there, then tainted so that only
    /// pods with a toleration for the claim bind. Adds tolerations to pods.
    #[default]
    Reserve,
    /// Planned pods are nominated for their node just before it opens; kube-scheduler forgets a nomination whenever it
    /// looks at the pod and cannot bind it. Writes the status of pods.
    Nominate,
    /// Nothing is done but to open the node: kube-scheduler's choice is only observed.
    Observe,
}

/// How long a node may be kept from other pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A ready node stays cordoned at most this long for daemon pods that do not come.
    pub daemons: Duration,
    /// A node stays cordoned at most this long in all, as while an extended resource of its pods is missing or while it
    /// does not become ready.
    pub cordon: Duration,
    /// The taint stays at most this long after the uncordon, or after the nodes are gone whose pods it waits for.
    pub reserved: Duration,
    /// So long after the uncordon at most a node that needs its taint no more keeps it while planned pods wait elsewhere: whenever a
    /// taint goes, kube-scheduler tries all of them there.
    pub settled: Duration,
    /// So long after the uncordon at most pods that spread or keep together wait for those of lower turns, whose nodes are still to
    /// open.
    pub turns: Duration,
    /// Nodes that are being replaced are waited for at most this long.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            daemons: Duration::from_secs(30),
            cordon: Duration::from_secs(10 * 60),
            reserved: Duration::from_secs(60),
            settled: Duration::from_secs(15), // kube-scheduler binds a thousand pods in that time
            turns: Duration::from_secs(3),    // what kube-scheduler tries in vain waits for 1 s, 2 s, 4 s
            drain: Duration::from_secs(60 * 60),
        }
    }
}
