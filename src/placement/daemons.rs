//! Which daemon pods a node still waits for.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;

use crate::api::labels;
use crate::model::rules;
use crate::observe::snapshot::{PodSpec, Taint};
use crate::observe::{daemon_rules, node_taints};
use crate::requirements::{Requirements, Undefined};

/// A daemonset, by where its pods run.
pub(super) struct Daemons {
    pub uid: String,
    pub name: String,
    spec: PodSpec,
}

/// Those that can be read: one that cannot is not waited for.
pub(super) fn daemons<'a>(sets: impl IntoIterator<Item = &'a DaemonSet>) -> Vec<Daemons> {
    let read = |set: &DaemonSet| {
        let meta = &set.metadata;
        let name = format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref()?);
        let uid = meta.uid.clone()?;
        let is_wanted = meta.deletion_timestamp.is_none();
        is_wanted.then(|| Some(Daemons { uid, name, spec: daemon_rules(set)? })).flatten()
    };
    sets.into_iter().filter_map(read).collect()
}

/// The daemonsets that run on a node and whose uids are not among those of the pods that are bound there. What is on a
/// node for a while only does not count: the cordon, our taint, what it starts with.
pub(super) fn lacking(node: &Node, daemons: &[Daemons], bound: &BTreeSet<&str>, passing: &[&str]) -> Vec<String> {
    let Some(mut taints) = node_taints(node) else { return Vec::new() };
    taints.retain(|taint: &Taint| !passing.contains(&&*taint.key) && &*taint.key != labels::TAINT_UNSCHEDULABLE);
    let empty = std::collections::BTreeMap::new();
    let node_labels = Requirements::from_labels(node.metadata.labels.as_ref().unwrap_or(&empty));
    let runs = |daemon: &&Daemons| rules::must_run(&daemon.spec, &taints, &node_labels, Undefined::Refuse);
    let missing = daemons.iter().filter(|daemon| !bound.contains(daemon.uid.as_str())).filter(runs);
    missing.map(|daemon| daemon.name.clone()).collect()
}
