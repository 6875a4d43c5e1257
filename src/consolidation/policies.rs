//! What each NodePool asks of a saving.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

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

    /// Why a node that is not empty is left alone, whatever that would save.
    pub fn leave_alone(&self, node: &Node, now: Timestamp) -> Option<LeftAlone> {
        let policy = self.of_node(node);
        if policy.is_off() {
            return Some(LeftAlone::Off);
        }
        if policy.least_age.is_zero() {
            return None;
        }
        let Some(created) = node.created_at else { return Some(LeftAlone::AgeUnknown) };
        let until = created.checked_add(policy.least_age).unwrap_or(Timestamp::MAX);
        (now < until).then_some(LeftAlone::Young { until })
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

/// What a policy asks of a node before it looks at its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftAlone {
    Off,
    Young {
        until: Timestamp,
    },
    /// It may be too young.
    AgeUnknown,
}

impl LeftAlone {
    /// In a few words, whatever node it keeps.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Off => "consolidation that is off",
            Self::Young { .. } => "a policy that leaves young nodes alone",
            Self::AgeUnknown => "a policy that leaves young nodes alone, as no creationTimestamp says how old it is",
        }
    }

    pub fn until(self) -> Option<Timestamp> {
        if let Self::Young { until } = self { Some(until) } else { None }
    }
}

impl fmt::Display for LeftAlone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("consolidation is off for it"),
            Self::Young { until } => write!(f, "the policy leaves young nodes alone, this one until {until}"),
            Self::AgeUnknown => f.write_str(
                "the policy leaves young nodes alone, and how old this one is nobody knows: metadata.creationTimestamp is missing",
            ),
        }
    }
}
