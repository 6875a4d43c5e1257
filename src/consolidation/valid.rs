//! Whether a command may be carried out: the checker says it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Command;
use crate::observe::Snapshot;
use crate::observe::snapshot::PodKey;
use crate::plan::check::check;
use crate::plan::{Assignment, Plan, Target};

/// Whether a command may be carried out in the cluster as it is: its pods are those of the nodes that go, there is room for them
/// on nodes that are there or in what it launches, and that is within the limits of its pools beside the nodes that go.
#[must_use]
pub fn is_valid(snapshot: &Snapshot, command: &Command) -> bool {
    let removed: BTreeSet<&Arc<str>> = command.removed.iter().map(|of| &of.node).collect();
    let mut closed = snapshot.clone();
    closed.pods.retain(|pod| !pod.is_pending());
    for node in &mut closed.nodes {
        node.deleting |= removed.contains(&node.name);
    }
    let mut moving = Vec::new();
    for (index, pod) in closed.pods.iter_mut().enumerate() {
        if pod.is_reschedulable() && pod.node.as_ref().is_some_and(|node| removed.contains(node)) {
            (pod.terminating, pod.displaced) = (false, true);
            moving.push(index);
        }
    }
    let is_there = removed.iter().all(|name| closed.nodes.iter().any(|node| node.name == **name));
    is_there && holds(&closed, command, moving)
}

/// Whether the moves of a command are those of these pods, by index, which wait, and no rule is broken with them.
fn holds(snapshot: &Snapshot, command: &Command, moving: impl IntoIterator<Item = usize>) -> bool {
    let pods: BTreeMap<&PodKey, usize> = moving.into_iter().map(|pod| (&snapshot.pods[pod].key, pod)).collect();
    let target = |name: &Arc<str>| {
        let launch = command.launches.iter().position(|launch| launch.name == *name).map(Target::Launch);
        launch.or_else(|| snapshot.nodes.iter().position(|node| node.name == *name).map(Target::Existing))
    };
    let places = command.moves.iter().map(|of| {
        let (pod, target) = (*pods.get(&of.pod)?, target(&of.to)?);
        Some(Assignment { pod, target })
    });
    let Some(assignments) = places.collect::<Option<Vec<_>>>() else { return false };
    assignments.len() == pods.len()
        && check(snapshot, Plan::draft(command.launches.clone(), assignments, Vec::new())).is_ok()
}
