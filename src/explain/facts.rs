//! An explanation as data: the JSON of `packwright explain`. Amounts are in millicores, bytes and counts, money in dollars.

use std::sync::Arc;

use serde::Serialize;

use crate::catalog::CapacityType;
use crate::plan::Stop;

/// What is asked about, and exactly one of `placed`, `claim`, `unplaced` and `bound_to`.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// `pod` or `claim`.
    pub kind: &'static str,
    /// `namespace/name` of the pod that is explained, or the name of the claim.
    pub name: String,
    /// The object whose manifest decides about the pod: `Deployment default/web`.
    pub owner: Option<String>,
    /// Pending pods of that owner, the pod itself counted.
    pub alike: usize,
    /// How many of them the plan leaves.
    pub alike_unplaced: usize,
    pub placed: Option<PlacedPod>,
    pub claim: Option<Claim>,
    pub unplaced: Option<UnplacedPod>,
    /// The node on which the pod runs: a plan does not move it.
    pub bound_to: Option<Arc<str>>,
    /// The input does not have that node.
    pub is_node_unknown: bool,
    /// Limits and rules that touch it, each planned again without.
    pub what_if: Vec<WhatIf>,
    pub plan: PlanFacts,
    /// What the plan assumes.
    pub assumptions: Vec<String>,
    /// What was left out or decided while reading, and what the plan's own check found.
    pub notes: Vec<String>,
    /// What is wrong with the input.
    pub errors: Vec<String>,
}

/// The plan that is explained.
#[derive(Debug, Serialize)]
pub struct PlanFacts {
    pub cost_usd_hour: f64,
    pub bound_usd_hour: f64,
    pub stop: Stop,
    pub pods_unplaced: usize,
}

#[derive(Debug, Serialize)]
pub struct NodeFacts {
    /// Of the claim, or of the node that exists.
    pub name: Arc<str>,
    pub is_new: bool,
    pub nodepool: Option<Arc<str>>,
    pub instance_type: Option<Arc<str>>,
    pub capacity_type: Option<CapacityType>,
    /// Of a claim: those in which the chosen type may be bought.
    pub zones: Vec<Arc<str>>,
    pub price_usd_hour: Option<f64>,
}

/// One resource of a node.
#[derive(Debug, Serialize)]
pub struct Room {
    pub resource: Arc<str>,
    /// By the pod that is explained; null for a claim.
    pub requests: Option<i64>,
    pub allocatable: i64,
    /// Taken by daemon pods, and by pods that run there already.
    pub taken_before: i64,
    /// Taken by the pods that the plan puts there.
    pub planned: i64,
    pub left: i64,
}

#[derive(Debug, Serialize)]
pub struct PlacedPod {
    pub node: NodeFacts,
    pub room: Vec<Room>,
    pub decided_by: Vec<Rule>,
    pub preferences_given_up: Vec<GivenUp>,
    /// Other pods that the plan puts on the node.
    pub shares_with: Vec<String>,
    /// What the proven bound counts for one such pod; null where it says nothing of it.
    pub worth_usd_hour: Option<f64>,
    /// The node's price, shared out by what its pods are worth.
    pub share_usd_hour: Option<f64>,
}

/// A rule of the pod that bears on where it can go.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// `node-selector`, `node-affinity`, `toleration`, `spread`, `pod-affinity`, `pod-anti-affinity`, `host-port` or `volume`.
    pub rule: &'static str,
    /// As the manifest has it.
    pub states: String,
    /// What it came to.
    pub outcome: String,
    /// How many of the offerings that the pools sell it leaves, by itself; null where it is not one of nodes.
    pub offerings_left: Option<usize>,
    pub offerings: usize,
}

#[derive(Debug, Serialize)]
pub struct GivenUp {
    pub weight: i64,
    pub preference: String,
}

#[derive(Debug, Serialize)]
pub struct Claim {
    pub node: NodeFacts,
    pub pods: Vec<String>,
    pub room: Vec<Room>,
    /// What the proven bound counts for its pods together.
    pub pods_worth_usd_hour: Option<f64>,
    /// The cheapest other launches for the same pods that the checker accepts, cheapest first, at most five.
    pub alternatives: Vec<Alternative>,
    /// Offerings of all NodePools that cost less than this one.
    pub cheaper_offerings: usize,
    /// What rules the cheaper ones out, most frequent first.
    pub ruled_out: Vec<RuledOut>,
    /// Some offerings were not tried: so many others were.
    pub is_incomplete: bool,
}

#[derive(Debug, Serialize)]
pub struct Alternative {
    pub nodepool: Arc<str>,
    pub instance_type: Arc<str>,
    pub capacity_type: CapacityType,
    pub zone: Arc<str>,
    pub price_usd_hour: f64,
    /// Beyond what the claim costs; negative where it costs less.
    pub extra_usd_hour: f64,
    /// The claim names it, so that the cloud may take it.
    pub is_offer: bool,
    /// Why it was not taken although it costs no more.
    pub note: Option<String>,
}

/// Cheaper offerings with the same first thing against them.
#[derive(Debug, Serialize)]
pub struct RuledOut {
    /// `unavailable`, `nodepool`, `taint`, `pod-rule`, `too-small`, `host-port`, `limit`, `checker` or `not-tried`.
    pub cause: &'static str,
    pub what: String,
    pub offerings: usize,
    /// The dearest of them; of those that are too small the one that lacks least.
    pub closest: Closest,
}

#[derive(Debug, Clone, Serialize)]
pub struct Closest {
    pub nodepool: Arc<str>,
    pub instance_type: Arc<str>,
    pub capacity_type: CapacityType,
    pub zone: Arc<str>,
    pub price_usd_hour: f64,
    /// `memory short by 2Gi`.
    pub lacks: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct UnplacedPod {
    /// As the plan says it.
    pub reason: Arc<str>,
    /// Changes after which planning again places the pod and loses no other; the smallest sets that were found.
    pub remedies: Vec<Remedy>,
    /// How many sets of changes were planned.
    pub tried: usize,
    /// Others were not tried, or their plans were cut short: by the time, or because there are too many pairs.
    pub is_incomplete: bool,
    /// They were planned by the search; otherwise by karpenter's packing.
    pub by_search: bool,
}

#[derive(Debug, Serialize)]
pub struct Remedy {
    /// All of them are needed.
    pub changes: Vec<Change>,
    /// How many of the pods alike it places that were left, and of how many.
    pub places: usize,
    pub of: usize,
    /// What the plan costs more, karpenter's packing before and after.
    pub extra_usd_hour: f64,
}

/// A change of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `NodePool general`, `Deployment default/web`.
    pub object: String,
    pub field: String,
    /// null: there was nothing.
    pub from: Option<String>,
    /// null: it is removed.
    pub to: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct WhatIf {
    /// `limit` or `rule`.
    pub kind: &'static str,
    pub change: Change,
    /// What the bound's prices give for the first unit of the limit, at most.
    pub dual: Option<Dual>,
    /// What the change saves of what the plan costs: between the two, proven by the bounds of both plans.
    pub saving_usd_hour: Option<Interval>,
    /// Why there is no saving to state.
    pub note: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Dual {
    pub at_most_usd_hour: f64,
    /// `1 cpu`, `1Gi memory`, `1 nodes`.
    pub unit: String,
    /// The same in the base unit of the limit.
    pub amount: i64,
}

#[derive(Debug, Serialize)]
pub struct Interval {
    /// Of a saving, 0: below what can be proven.
    pub at_least: f64,
    pub at_most: f64,
}
