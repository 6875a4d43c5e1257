//! kube-scheduler as far as it decides where a pod goes: the filters and scores of its default profile, for concrete pods and
//! nodes, kept up to date pod by pod.
//!
//! | file | what |
//! |---|---|
//! | `node` | what a node is, and what is on it |
//! | `filter` | the rules of a pod and a node: taints, selection, resources, host ports, reach of volumes |
//! | `topology` | the rules that look at other pods: topology spread, affinity, anti-affinity |
//!
//! Not modelled: preemption, attach limits of volumes, images, and the scores of preferences.

mod filter;
mod node;
mod topology;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use filter::selects;
pub use node::{Node, Occupant};

use crate::observe::snapshot::{Labels, PodTemplate, Toleration};
use node::Group;
use topology::Topology;

/// A pod that looks for a node.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'p> {
    /// Its namespace.
    pub namespace: &'p Arc<str>,
    /// What it is made of.
    pub template: &'p Arc<PodTemplate>,
    /// Its tolerations as they are now: plans may have added some to the template's.
    pub tolerations: &'p [Toleration],
    /// The node that somebody nominated for it: it is tried first.
    pub nominated: Option<&'p str>,
}

/// The nodes with the pods on them.
#[derive(Debug, Default)]
pub struct Cluster {
    nodes: BTreeMap<Arc<str>, Node>,
    /// Pods of equal namespace and template.
    groups: Vec<Group>,
    by_template: HashMap<(Arc<str>, Arc<PodTemplate>), usize>,
    /// Where each pod is, by uid.
    bound: HashMap<Arc<str>, Bound>,
    namespaces: BTreeMap<Arc<str>, Labels>,
}

#[derive(Debug, Clone)]
struct Bound {
    group: usize,
    node: Arc<str>,
    is_ending: bool,
}

impl Cluster {
    /// Notes what a node is now.
    pub fn put_node(&mut self, name: Arc<str>, node: Node) {
        let known = self.nodes.entry(name).or_default();
        *known = Node { used: std::mem::take(&mut known.used), pods: std::mem::take(&mut known.pods), ..node };
    }

    /// A node is gone; pods that say that they are on it stay known.
    pub fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// The labels of a namespace, its name among them.
    pub fn put_namespace(&mut self, name: Arc<str>, labels: Labels) {
        self.namespaces.insert(name, labels);
    }

    /// The nodes, by name.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<Arc<str>, Node> {
        &self.nodes
    }

    /// Notes that a pod is on a node, and whether it is about to leave.
    pub fn put_pod(&mut self, uid: &Arc<str>, occupant: &Occupant) {
        if self.bound.get(uid).is_some_and(|known| known.node == occupant.node && known.is_ending == occupant.is_ending)
        {
            return;
        }
        self.remove_pod(uid);
        let next = self.groups.len();
        let key = (occupant.namespace.clone(), occupant.template.clone());
        let group = *self.by_template.entry(key).or_insert(next);
        if group == next {
            self.groups.push(Group::new(occupant.namespace.clone(), occupant.template.clone()));
        }
        let bound = Bound { group, node: occupant.node.clone(), is_ending: occupant.is_ending };
        self.groups[group].add(&bound.node, bound.is_ending, 1);
        let node = self.nodes.entry(bound.node.clone()).or_default();
        node.used.add(&occupant.template.spec.requests);
        *node.pods.entry(group).or_default() += 1;
        self.bound.insert(uid.clone(), bound);
    }

    /// A pod is gone, or uses nothing any more.
    pub fn remove_pod(&mut self, uid: &str) {
        let Some(bound) = self.bound.remove(uid) else { return };
        let group = &mut self.groups[bound.group];
        group.add(&bound.node, bound.is_ending, -1);
        if let Some(node) = self.nodes.get_mut(&bound.node) {
            node.used.subtract(&group.template.spec.requests);
            if let Some(count) = node.pods.get_mut(&bound.group) {
                *count -= 1;
                if *count == 0 {
                    node.pods.remove(&bound.group);
                }
            }
        }
    }

    /// The node that a pod goes to: the nominated one if it fits, else the one that is used least; equal ones in the order that
    /// `tie` gives them.
    pub fn place(&self, pod: &Candidate<'_>, tie: &mut impl FnMut() -> u64) -> Option<Arc<str>> {
        let topology = Topology::of(self, pod);
        let fits = |node: &Node| node.exists && filter::fits(self, pod, node) && topology.allows(node);
        if let Some((name, node)) = pod.nominated.and_then(|name| self.nodes.get_key_value(name))
            && fits(node)
        {
            return Some(name.clone());
        }
        let fitting = self.nodes.iter().filter(|(_, node)| fits(node));
        let scored = fitting.map(|(name, node)| (node.score(&pod.template.spec.requests), tie(), name));
        scored.max_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, _, name)| name.clone())
    }

    /// Whether a pod may go to a node.
    #[must_use]
    pub fn allows(&self, pod: &Candidate<'_>, name: &str) -> bool {
        let node = self.nodes.get(name).filter(|node| node.exists);
        node.is_some_and(|node| filter::fits(self, pod, node) && Topology::of(self, pod).allows(node))
    }
}
