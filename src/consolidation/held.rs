//! What keeps the nodes that stay, by kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::policies::Policies;
use super::{Command, Policy};
use crate::disruption::{Hold, Method, candidates};
use crate::observe::Snapshot;

/// Nodes that something of one kind keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    pub why: &'static str,
    /// How many; one that several things keep counts with each.
    pub nodes: usize,
    /// One of them.
    pub example: Arc<str>,
}

/// What keeps the nodes that no command takes away, what keeps most of them first.
#[must_use]
pub fn held(snapshot: &Snapshot, policy: &Policy, commands: &[Command]) -> Vec<Held> {
    let now = snapshot.taken_at;
    let gone: BTreeSet<&Arc<str>> = commands.iter().flat_map(|of| &of.removed).map(|of| &of.node).collect();
    let mut kinds: BTreeMap<&'static str, (usize, &Arc<str>)> = BTreeMap::new();
    let mut add = |kind, node| kinds.entry(kind).or_insert((0, node)).0 += 1;
    let stay = |index: usize| Some(&snapshot.nodes[index]).filter(|node| !gone.contains(&node.name));
    for node in (0..snapshot.nodes.len()).filter_map(stay).filter(|node| node.claim.is_none()) {
        add("no NodeClaim: nothing here takes it away", &node.name);
    }
    let policies = Policies::of(snapshot, policy);
    let empty = candidates(snapshot, Method::Empty, now);
    for (of, if_empty) in candidates(snapshot, Method::Underutilized, now).into_iter().zip(empty) {
        let Some(node) = stay(of.node) else { continue };
        let holds = of.verdict.err().unwrap_or_default();
        let is_empty = holds.contains(&Hold::Empty);
        let holds = if is_empty { if_empty.verdict.err().unwrap_or_default() } else { holds };
        let of_node: BTreeSet<&'static str> = holds.iter().map(Hold::kind).collect();
        for kind in of_node {
            add(kind, &node.name);
        }
        if let Some(left) = policies.leave_alone(node, now).filter(|_| !is_empty) {
            add(left.kind(), &node.name);
        }
    }
    let held = |(why, (nodes, example)): (_, (_, &Arc<str>))| Held { why, nodes, example: example.clone() };
    let mut found: Vec<Held> = kinds.into_iter().map(held).collect();
    found.sort_by_key(|of| std::cmp::Reverse(of.nodes)); // stable
    found
}
