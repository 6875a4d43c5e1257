//! What a node is, and what is on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::observe::snapshot::{Labels, PodTemplate, Taint};
use crate::resources::{CPU, MEMORY, Resources};

/// A node as kube-scheduler sees it.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Whether there is such a node; pods may be on one that is not there any more.
    pub exists: bool,
    /// `kubernetes.io/hostname` among them.
    pub labels: Labels,
    /// That of `spec.unschedulable` among them.
    pub taints: Vec<Taint>,
    /// What pods may request.
    pub allocatable: Resources,
    pub(super) used: Resources,
    /// How many pods of each group.
    pub(super) pods: BTreeMap<usize, u32>,
}

/// A pod that is on a node.
#[derive(Debug, Clone)]
pub struct Occupant {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// What it is made of.
    pub template: Arc<PodTemplate>,
    /// Where it is.
    pub node: Arc<str>,
    /// Whether it has a deletion timestamp.
    pub is_ending: bool,
}

impl Node {
    /// A node that is there, with nothing on it.
    #[must_use]
    pub fn new(labels: Labels, taints: Vec<Taint>, allocatable: Resources) -> Self {
        Self { exists: true, labels, taints, allocatable, ..Self::default() }
    }

    /// What the pods on it request.
    #[must_use]
    pub fn used(&self) -> &Resources {
        &self.used
    }

    /// `LeastAllocated` of CPU and memory, of 100 each: how much is free once a pod is there.
    pub(super) fn score(&self, requests: &Resources) -> i64 {
        let free = |name: &str| {
            let all = self.allocatable.get(name);
            if all <= 0 { 0 } else { (all - self.used.get(name) - requests.get(name)).max(0) * 100 / all }
        };
        free(CPU) + free(MEMORY)
    }
}

/// Pods of equal namespace and template, and where they are.
#[derive(Debug)]
pub(super) struct Group {
    pub namespace: Arc<str>,
    pub template: Arc<PodTemplate>,
    /// By node: those that stay, and those that are about to leave.
    pub on: BTreeMap<Arc<str>, (i64, i64)>,
}

impl Group {
    pub fn new(namespace: Arc<str>, template: Arc<PodTemplate>) -> Self {
        Self { namespace, template, on: BTreeMap::new() }
    }

    pub fn add(&mut self, node: &Arc<str>, is_ending: bool, by: i64) {
        let (staying, ending) = self.on.entry(node.clone()).or_default();
        *(if is_ending { ending } else { staying }) += by;
        if self.on[node] == (0, 0) {
            self.on.remove(node);
        }
    }
}
