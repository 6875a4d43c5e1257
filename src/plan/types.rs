//! The plan as data.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::catalog::CapacityType;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, NodePool, Pod, Taint};
use crate::requirements::Requirements;
use crate::resources::Resources;
use crate::units::MicroUsd;

/// A plan that nobody has checked.
#[derive(Debug, Clone, Copy)]
pub enum Draft {}

/// A plan that the checker has accepted; only it can be applied. Made by [`crate::plan::check`] alone.
#[derive(Debug, Clone, Copy)]
pub enum Checked {}

/// Every pending pod of the Snapshot is in exactly one of `assignments` and `unplaced`.
///
/// A draft is made with [`Plan::draft`]; a checked plan by the checker alone:
///
/// ```compile_fail,E0451
/// use packwright::plan::{Checked, Plan};
/// let forged: Plan<Checked> =
///     Plan { launches: vec![], assignments: vec![], unplaced: vec![], state: std::marker::PhantomData };
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct Plan<State> {
    pub launches: Vec<Launch>,
    /// Placed pods in an order in which kube-scheduler can bind them one after another, all launched nodes being ready.
    pub assignments: Vec<Assignment>,
    /// In the order of the Snapshot.
    pub unplaced: Vec<Unplaced>,
    #[serde(skip)]
    state: PhantomData<State>,
}

/// One pod and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Index into `Snapshot::pods`.
    pub pod: usize,
    pub target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// Index into `Snapshot::nodes`.
    Existing(usize),
    /// Index into `Plan::launches`.
    Launch(usize),
}

/// A NodeClaim to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Name of the claim, unique within plan and snapshot; also the placeholder of the node's hostname.
    pub name: Arc<str>,
    /// Index into `Snapshot::node_pools`.
    pub pool: usize,
    pub capacity_type: CapacityType,
    /// What may be bought, in order of preference; the first is the one that the solver chose. All have
    /// `capacity_type`; every one holds the launch's pods with its own daemon pods, in its zone. Several zones of one
    /// type stand together: the zone is open. At least one, at most `max_instance_types` distinct types.
    pub offers: Arc<Vec<Offer>>,
    /// Labels beyond those of type and offering that the node will carry: pool, node class, template labels, and
    /// custom labels that the pods fixed. They are equal whichever offer is bought.
    pub labels: Arc<Labels>,
    pub taints: Vec<Taint>,
    pub startup_taints: Vec<Taint>,
    /// What the claim asks of the cloud: pool requirements narrowed by its pods, types and zones.
    pub requirements: Arc<Requirements>,
    /// Requests of the planned pods plus the least daemon overhead over the offers (karpenter-core 3, Finish).
    pub requests: Resources,
}

/// One instance type in one zone at one price.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    pub instance_type: Arc<str>,
    pub zone: Arc<str>,
    /// Set for a reserved offering.
    pub reservation: Option<Arc<str>>,
    /// Micro-dollars an hour, as the Snapshot's offering says.
    pub price: MicroUsd,
}

/// A pod that the plan does not place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unplaced {
    /// Index into `Snapshot::pods`.
    pub pod: usize,
    /// The smallest set of requirements that rules every pool out, or why the pod is refused, in one line.
    pub reason: Arc<str>,
}

impl Launch {
    /// The price that the objective counts, micro-dollars an hour.
    #[must_use]
    pub fn price(&self) -> MicroUsd {
        self.offers.first().map_or(MicroUsd::ZERO, |offer| offer.price)
    }

    /// The keys whose `minValues` could not be kept, with the number that the pool wants and the one that there is.
    pub fn relaxed_min_values<'p>(&self, pool: &'p NodePool) -> impl Iterator<Item = (&'p Arc<str>, u32, u32)> {
        pool.requirements.iter().filter_map(|(key, requirement)| {
            let wanted = requirement.min_values?;
            let found = self.requirements.get(key).and_then(|asked| asked.min_values).unwrap_or(0);
            (found < wanted).then_some((key, wanted, found))
        })
    }

    /// The dearest that the cloud may choose.
    #[must_use]
    pub fn worst_price(&self) -> MicroUsd {
        self.offers.iter().map(|offer| offer.price).max().unwrap_or(MicroUsd::ZERO)
    }
}

impl Plan<Draft> {
    #[must_use]
    pub fn draft(launches: Vec<Launch>, assignments: Vec<Assignment>, unplaced: Vec<Unplaced>) -> Self {
        Self { launches, assignments, unplaced, state: PhantomData }
    }

    /// For the checker alone.
    pub(super) fn into_checked(self) -> Plan<Checked> {
        let Self { launches, assignments, unplaced, .. } = self;
        Plan { launches, assignments, unplaced, state: PhantomData }
    }
}

impl Plan<Checked> {
    /// The plan that places nothing: it breaks no rule. `reason` is that of every pod which is not refused.
    #[must_use]
    pub fn nothing(snapshot: &Snapshot, reason: &str) -> Self {
        let reason: Arc<str> = reason.into();
        let left =
            |(pod, of): (usize, &Pod)| Unplaced { pod, reason: of.refused.clone().unwrap_or_else(|| reason.clone()) };
        Self {
            launches: Vec::new(),
            assignments: Vec::new(),
            unplaced: snapshot.pending().map(left).collect(),
            state: PhantomData,
        }
    }
}

impl<State> Plan<State> {
    /// The same plan, to be checked.
    #[must_use]
    pub fn to_draft(&self) -> Plan<Draft> {
        Plan::draft(self.launches.clone(), self.assignments.clone(), self.unplaced.clone())
    }

    /// Cost of the launches, micro-dollars an hour.
    #[must_use]
    pub fn cost(&self) -> MicroUsd {
        self.launches.iter().map(Launch::price).sum()
    }

    #[must_use]
    pub fn worst_cost(&self) -> MicroUsd {
        self.launches.iter().map(Launch::worst_price).sum()
    }
}

/// What is known of the quality of a plan; prices in micro-dollars an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    pub objective: MicroUsd,
    /// No plan that the checker accepts and that leaves at most as many pods of each priority costs less.
    pub bound: MicroUsd,
    /// Of every priority of which pods are left, highest first.
    pub left: Vec<LeftBound>,
    pub stage: Stage,
    /// Pods that the integer program had put elsewhere, or nowhere: they were packed after it, under rules that it does not hold.
    pub packed_after: usize,
    pub stop: Stop,
    /// What broke down, where `stop` is [`Stop::Failed`].
    pub failure: Option<Failure>,
}

/// Pods of a priority that a plan leaves, and those that every plan leaves that leaves at most as many of higher ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LeftBound {
    pub priority: i32,
    pub pods: usize,
    pub at_least: usize,
}

impl LeftBound {
    /// Of a plan of which nothing is proven; highest priority first.
    #[must_use]
    pub fn of<State>(snapshot: &Snapshot, plan: &Plan<State>) -> Vec<Self> {
        let mut pods: BTreeMap<Reverse<i32>, usize> = BTreeMap::new();
        for unplaced in &plan.unplaced {
            *pods.entry(Reverse(snapshot.pods[unplaced.pod].template.spec.priority)).or_default() += 1;
        }
        pods.into_iter().map(|(Reverse(priority), pods)| Self { priority, pods, at_least: 0 }).collect()
    }
}

/// What a packing comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Micro-dollars an hour.
    pub cost: MicroUsd,
    /// Pods that it leaves.
    pub unplaced: usize,
    /// The same by priority of the pending pods, highest first.
    pub left: Vec<usize>,
    /// Weight of the preferences that the placed pods do not get.
    pub violated: i64,
}

/// The stage that produced the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Karpenter's own order.
    Greedy,
    /// Karpenter's way, the highest priorities first.
    PriorityGreedy,
    /// Patterns from column generation, carried out.
    Columns,
    /// Few pods: ways to deal them over nodes, one after another.
    Assignments,
}

/// Why the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// Nothing is left to try at this stage.
    Complete,
    /// Objective and bound are equal.
    Optimal,
    /// There are few pods, and every way to deal them over nodes was tried: none is better in any level. No proof of it is stored.
    EveryWay,
    Deadline,
    /// It costs no more, for what its pods are worth, than the decision whose columns it started from.
    AsNear,
    /// The search broke down: the answer is what was known before.
    Failed,
    /// The search goes on.
    Unfinished,
}

impl Certificate {
    /// Of a plan that does nothing, before anything is known.
    #[must_use]
    pub fn nothing(snapshot: &Snapshot) -> Self {
        let (objective, bound) = (MicroUsd::ZERO, MicroUsd::ZERO);
        let (stage, stop) = (Stage::Greedy, Stop::Unfinished);
        let left = LeftBound::of(snapshot, &Plan::nothing(snapshot, ""));
        Self { objective, bound, left, stage, packed_after: 0, stop, failure: None }
    }
}
