//! What each NodePool asks of a saving.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Policy;
use crate::api::node_pool::ConsolidationPolicy;
use crate::disruption::Candidate;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Node, NodePool};

/// By NodePool. Its annotation comes before its `consolidationPolicy: Balanced`, and that before what holds for all others.
#[derive(Debug, Clone)]
pub(super) struct Policies {
    others: Policy,
    own: BTreeMap<Arc<str>, Policy>,
}

impl Policies {
    pub fn of(snapshot: &Snapshot, others: &Policy) -> Self {
        let own = snapshot.node_pools.iter().filter_map(|pool| Some((pool.name.clone(), own(pool, others)?)));
        Self { others: *others, own: own.collect() }
    }

    pub fn of_node(&self, node: &Node) -> Policy {
        node.pool.as_ref().and_then(|pool| self.own.get(pool)).copied().unwrap_or(self.others)
    }

    /// Of a command for these: it satisfies those of all their pools.
    pub fn of_all<'c>(&self, snapshot: &Snapshot, nodes: impl IntoIterator<Item = &'c Candidate>) -> Policy {
        let each = nodes.into_iter().map(|of| self.of_node(&snapshot.nodes[of.node]));
        each.reduce(Policy::and).unwrap_or(self.others)
    }

    /// Whether no node goes because something else is cheaper.
    pub fn are_off(&self) -> bool {
        self.others.is_off() && self.own.values().all(Policy::is_off)
    }
}

/// The field of the reference chooses a score, and is no leave to act where that is turned off.
fn own(pool: &NodePool, others: &Policy) -> Option<Policy> {
    let is_balanced = *pool.disruption.consolidation_policy == *ConsolidationPolicy::Balanced.as_str();
    pool.disruption.consolidation.map(Policy::of).or_else(|| (is_balanced && !others.is_off()).then(Policy::balanced))
}
