//! Whether commands may be carried out: the checker says it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Command;
use super::without::Without;
use crate::observe::Snapshot;
use crate::observe::snapshot::PodKey;
use crate::plan::check::check;
use crate::plan::{Assignment, Launch, Plan, Target};

/// Whether these commands may be carried out together in a cluster in which no pod waits: their pods are those of the nodes that
/// go, there is room for them on nodes that are ready or in what they launch, and that is within the limits of its pools beside
/// the nodes that go.
#[must_use]
pub fn are_valid(snapshot: &Snapshot, commands: &[&Command]) -> bool {
    let removed: BTreeSet<Arc<str>> =
        commands.iter().flat_map(|command| &command.removed).map(|of| of.node.clone()).collect();
    let Without { snapshot: without, moving } = Without::of(snapshot.clone(), &removed);
    let mut targets: HashMap<&str, Target> = HashMap::new(); // looked up only
    for (index, node) in without.nodes.iter().enumerate() {
        targets.insert(&node.name, Target::Existing(index));
    }
    if !removed.iter().all(|name| targets.contains_key(&**name)) {
        return false;
    }
    let launches: Vec<Launch> = commands.iter().flat_map(|command| command.launches.iter().cloned()).collect();
    for (index, launch) in launches.iter().enumerate() {
        targets.insert(&launch.name, Target::Launch(index));
    }
    let pods: BTreeMap<&PodKey, usize> = moving.keys().map(|&pod| (&without.pods[pod].key, pod)).collect();
    let places = commands.iter().flat_map(|command| &command.moves).map(|of| {
        let (pod, target) = (*pods.get(&of.pod)?, *targets.get(&*of.to)?);
        Some(Assignment { pod, target })
    });
    let Some(assignments) = places.collect::<Option<Vec<_>>>() else { return false };
    assignments.len() == pods.len() && check(&without, Plan::draft(launches, assignments, Vec::new())).is_ok()
}
