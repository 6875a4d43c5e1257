//! The cluster without some nodes: where their pods go (karpenter-core 4.6).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::replacement::replacement;
use super::{Command, Found, Kind};
use crate::disruption::Candidate;
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::observe::snapshot::{NodeStage, PodKey};
use crate::solve::{Place, greedy};
use crate::units::MicroUsd;

/// The Snapshot without these nodes: what belongs to them goes with them, and the other pods wait.
struct Without {
    snapshot: Snapshot,
    /// The pods that wait because of it, by index.
    moving: BTreeSet<usize>,
}

impl Without {
    fn of(snapshot: &Snapshot, removed: &[Candidate]) -> Self {
        let names: BTreeSet<&str> = removed.iter().map(|of| &*snapshot.nodes[of.node].name).collect();
        let is_removed = |node: &Option<Arc<str>>| node.as_deref().is_some_and(|node| names.contains(node));
        let mut without = snapshot.clone();
        without.nodes.retain(|node| !names.contains(&*node.name));
        without.pods.retain(|pod| !is_removed(&pod.node) || pod.is_reschedulable());
        let mut moving = BTreeSet::new();
        for (index, pod) in without.pods.iter_mut().enumerate().filter(|(_, pod)| is_removed(&pod.node)) {
            (pod.node, pod.terminating, pod.displaced) = (None, false, false);
            moving.insert(index);
        }
        Self { snapshot: without, moving }
    }
}

fn names(snapshot: &Snapshot, removed: &[Candidate]) -> Vec<Arc<str>> {
    removed.iter().map(|of| snapshot.nodes[of.node].name.clone()).collect()
}

fn price(removed: &[Candidate]) -> MicroUsd {
    removed.iter().map(|of| of.price.unwrap_or_default()).sum()
}

/// Empty nodes go without a look at where pods fit.
pub(super) fn emptied(snapshot: &Snapshot, removed: &[Candidate]) -> Found {
    let (kind, removed_names, saved) = (Kind::Emptiness, names(snapshot, removed), price(removed));
    let command = Command { kind, removed: removed_names, replacement: None, moved: Vec::new(), saved };
    Found { command, after: Without::of(snapshot, removed).snapshot }
}

/// The command that removes these nodes; `None` where some of their pods find no place on nodes that are initialized and at most one
/// new node, or that one costs too much.
pub(super) fn simulate(snapshot: &Snapshot, removed: &[Candidate], kind: Kind, number: usize) -> Option<Found> {
    let Without { snapshot: without, moving } = Without::of(snapshot, removed);
    let problem = Problem::new(&without);
    let solution = greedy::solve(&problem, &|| false);
    // also where it is for pods that waited before
    if solution.new_nodes.len() > 1 || solution.unplaced.iter().any(|pod| moving.contains(pod)) {
        return None;
    }
    let moves = solution.placements.iter().filter(|(pod, _)| moving.contains(pod));
    let is_open = |place: &Place| match place {
        Place::Existing(node) => problem.nodes[*node].node.stage == NodeStage::Initialized,
        Place::New(_) => true,
    };
    if !moves.clone().all(|(_, place)| is_open(place)) {
        return None;
    }
    let replacement = match solution.new_nodes.first() {
        Some(new) => Some(replacement(&problem, new, (snapshot, removed), number)?),
        None => None,
    };
    let mut moved: Vec<(usize, Arc<str>)> = Vec::new();
    for (pod, place) in moves {
        let node = match (place, &replacement) {
            (Place::Existing(node), _) => problem.nodes[*node].node.name.clone(),
            (Place::New(_), Some((replacement, _))) => replacement.name.clone(),
            (Place::New(_), None) => return None,
        };
        moved.push((*pod, node));
    }
    let keys: Vec<(PodKey, Arc<str>)> =
        moved.iter().map(|(pod, node)| (without.pods[*pod].key.clone(), node.clone())).collect();
    let mut after = without.clone();
    for (pod, node) in moved {
        after.pods[pod].node = Some(node);
    }
    let mut saved = price(removed);
    let replacement = replacement.map(|(replacement, node)| {
        saved = saved - replacement.price;
        after.nodes.push(node);
        after.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        replacement
    });
    let command = Command { kind, removed: names(snapshot, removed), replacement, moved: keys, saved };
    Some(Found { command, after })
}
