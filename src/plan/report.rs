//! A decision as people and programs read it: names instead of indices, dollars instead of micro-dollars.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::failure::Failure;
use super::preferences;
use super::types::{Certificate, Launch, Outcome, Plan, Stage, Stop, Target};
use crate::catalog::CapacityType;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Taint};
use crate::plan::LeftBound;
use crate::resources::Resources;
use crate::units::money::HOURS_PER_MONTH;

/// The JSON of `packwright plan`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Report {
    pub summary: Summary,
    pub launches: Vec<LaunchReport>,
    /// Existing nodes that take pods.
    pub existing_nodes: Vec<NodeReport>,
    pub unplaced: Vec<UnplacedReport>,
    pub region: Arc<str>,
    pub assumptions: Vec<String>,
    pub notes: Vec<String>,
    /// Objects of the input that could not be used.
    pub errors: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Summary {
    /// Price of the launches at their chosen offers, dollars an hour.
    pub cost_usd_hour: f64,
    /// The same at the dearest offer that the cloud may choose.
    pub worst_usd_hour: f64,
    pub cost_usd_month: f64,
    /// No plan that leaves at most as many pods of each priority costs less.
    pub bound_usd_hour: f64,
    /// What karpenter's own packing costs; null where there was no time to finish it.
    pub greedy_usd_hour: Option<f64>,
    /// How many pods karpenter's own packing leaves.
    pub greedy_pods_unplaced: Option<usize>,
    /// Weight of the preferences that it gives up.
    pub greedy_preferences_violated: Option<i64>,
    /// (cost - bound) / cost, 0 where the cost is 0; null where pods are left and none is placed, and where no bound is
    /// known.
    pub gap: Option<f64>,
    pub stage: Stage,
    pub stop: Stop,
    /// What broke down, where `stop` is `failed`; null elsewhere.
    pub failure: Option<FailureReport>,
    /// Nodes to launch.
    pub nodes: usize,
    pub pods_placed: usize,
    pub pods_unplaced: usize,
    /// Of those by priority, highest first: how many every plan leaves that leaves at most as many of higher priorities.
    pub left: Vec<LeftBound>,
    /// Of the placed: pods that were packed after the integer program, under rules that it does not hold.
    pub pods_packed_after: usize,
    /// Weight of the preferences that the placed pods do not get.
    pub preferences_violated: i64,
    /// Planning, without reading the input.
    pub elapsed_ms: f64,
}

#[derive(Debug, Serialize)]
pub struct FailureReport {
    #[serde(flatten)]
    pub failure: Failure,
    /// The same in one sentence.
    pub sentence: String,
}

#[derive(Debug, Serialize)]
pub struct LaunchReport {
    pub name: Arc<str>,
    pub nodepool: Arc<str>,
    pub instance_type: Arc<str>,
    pub capacity_type: CapacityType,
    /// Every instance type that the cloud may choose, the chosen one first.
    pub instance_types: Vec<Arc<str>>,
    /// The zones in which the node may come to be; more than one: the zone is open.
    pub zones: Vec<Arc<str>>,
    pub price_usd_hour: f64,
    pub worst_usd_hour: f64,
    pub offers: Vec<OfferReport>,
    pub labels: Labels,
    pub taints: Vec<Taint>,
    pub requests: Resources,
    /// What the chosen type leaves for pods and daemon pods.
    pub allocatable: Resources,
    pub pods: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct OfferReport {
    pub instance_type: Arc<str>,
    pub zone: Arc<str>,
    pub price_usd_hour: f64,
}

#[derive(Debug, Serialize)]
pub struct NodeReport {
    pub name: Arc<str>,
    pub pods: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct UnplacedReport {
    pub pod: String,
    pub reason: Arc<str>,
}

impl Report {
    /// Puts a plan into words; `errors` and further `notes` of the input, and the time, are filled in by the caller.
    #[must_use]
    pub fn of<State>(
        snapshot: &Snapshot,
        plan: &Plan<State>,
        certificate: &Certificate,
        greedy: Option<&Outcome>,
    ) -> Self {
        let mut on_launch: Vec<Vec<String>> = vec![Vec::new(); plan.launches.len()];
        let mut on_node: Vec<Vec<String>> = vec![Vec::new(); snapshot.nodes.len()];
        for assignment in &plan.assignments {
            let name = snapshot.pods[assignment.pod].key.to_string();
            match assignment.target {
                Target::Launch(launch) => on_launch[launch].push(name),
                Target::Existing(node) => on_node[node].push(name),
            }
        }
        let launches = plan.launches.iter().zip(on_launch).map(|(launch, pods)| launch_report(snapshot, launch, pods));
        let nodes = snapshot.nodes.iter().zip(on_node).filter(|(_, pods)| !pods.is_empty());
        let unplaced = plan.unplaced.iter().map(|unplaced| UnplacedReport {
            pod: snapshot.pods[unplaced.pod].key.to_string(),
            reason: unplaced.reason.clone(),
        });
        Self {
            summary: Summary::of(snapshot, plan, certificate, greedy),
            launches: launches.collect(),
            existing_nodes: nodes.map(|(node, pods)| NodeReport { name: node.name.clone(), pods }).collect(),
            unplaced: unplaced.collect(),
            region: snapshot.region.clone(),
            assumptions: snapshot.assumptions.clone(),
            notes: relaxed_min_values(snapshot, plan),
            errors: Vec::new(),
        }
    }
}

impl FailureReport {
    fn of(failure: Failure) -> Self {
        Self { sentence: format!("{failure}; the best answer that was checked before stands"), failure }
    }
}

impl Summary {
    fn of<State>(snapshot: &Snapshot, plan: &Plan<State>, certificate: &Certificate, greedy: Option<&Outcome>) -> Self {
        let cost = certificate.objective;
        let says_nothing = plan.assignments.is_empty() && !plan.unplaced.is_empty();
        let is_unknown = cost.0 > 0 && certificate.bound.0 <= 0;
        let ratio = if cost.0 > 0 { (cost - certificate.bound).as_usd() / cost.as_usd() } else { 0.0 };
        let gap = (!says_nothing && !is_unknown).then_some((ratio * 1e6).round() / 1e6);
        Self {
            cost_usd_hour: cost.as_usd(),
            worst_usd_hour: plan.worst_cost().as_usd(),
            cost_usd_month: cost.saturating_mul(HOURS_PER_MONTH).as_usd(),
            bound_usd_hour: certificate.bound.as_usd(),
            greedy_usd_hour: greedy.map(|greedy| greedy.cost.as_usd()),
            greedy_pods_unplaced: greedy.map(|greedy| greedy.unplaced),
            greedy_preferences_violated: greedy.map(|greedy| greedy.violated),
            gap,
            stage: certificate.stage,
            stop: certificate.stop,
            failure: certificate.failure.clone().map(FailureReport::of),
            nodes: plan.launches.len(),
            pods_placed: plan.assignments.len(),
            pods_unplaced: plan.unplaced.len(),
            left: certificate.left.clone(),
            pods_packed_after: certificate.packed_after,
            preferences_violated: preferences::violated(snapshot, plan),
            elapsed_ms: 0.0,
        }
    }
}

impl Summary {
    /// Sentences beside the figures: how many pods every plan leaves, and what the bound and the integer program do not hold.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for &LeftBound { priority, pods, at_least } in self.left.iter().filter(|left| left.at_least > 0) {
            let (of, than) = match self.left.len() {
                1 => (String::new(), ""),
                _ => (format!(" of priority {priority}"), " that leaves no more of higher priorities"),
            };
            let least = if pods == at_least { "as many".to_owned() } else { format!("at least {at_least}") };
            remarks.push(format!("{}{of} left: proven, every plan{than} leaves {least}", counted(pods, "pod")));
        }
        let of_greedy = self.greedy_preferences_violated.filter(|of| *of != self.preferences_violated);
        if self.preferences_violated > 0 || of_greedy.is_some() {
            remarks.push(format!(
                "preferences given up: weight {}{}; the bound is of plans that may give up more",
                self.preferences_violated,
                of_greedy.map_or_else(String::new, |of| format!(" (by karpenter's packing {of})")),
            ));
        }
        if self.pods_packed_after > 0 {
            let pods = counted(self.pods_packed_after, "pod");
            remarks.push(format!("{pods} packed after the integer program, under rules that it does not hold"));
        }
        remarks
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// One sentence for each minimum of a pool that launches did not keep.
fn relaxed_min_values<State>(snapshot: &Snapshot, plan: &Plan<State>) -> Vec<String> {
    let mut counts: BTreeMap<(&str, &str, u32, u32), usize> = BTreeMap::new();
    for launch in &plan.launches {
        let pool = &snapshot.node_pools[launch.pool];
        for (key, wanted, found) in launch.relaxed_min_values(pool) {
            *counts.entry((&pool.name, key, wanted, found)).or_default() += 1;
        }
    }
    let sentence = |((pool, key, wanted, found), count)| {
        let launches = if count == 1 { "1 launch".to_owned() } else { format!("{count} launches") };
        format!("NodePool {pool}: minValues of {key} is lowered from {wanted} to {found} in {launches}")
    };
    counts.into_iter().map(sentence).collect()
}

fn launch_report(snapshot: &Snapshot, launch: &Launch, pods: Vec<String>) -> LaunchReport {
    let pool = &snapshot.node_pools[launch.pool];
    let chosen: Arc<str> = launch.offers.first().map_or_else(|| Arc::from(""), |offer| offer.instance_type.clone());
    let of_type = pool.instance_types.iter().find(|kind| kind.name == chosen);
    let zones: BTreeSet<Arc<str>> = launch.offers.iter().map(|offer| offer.zone.clone()).collect();
    // the offers of a type stand together
    let mut instance_types: Vec<Arc<str>> = launch.offers.iter().map(|offer| offer.instance_type.clone()).collect();
    instance_types.dedup();
    let offers = launch.offers.iter().map(|offer| OfferReport {
        instance_type: offer.instance_type.clone(),
        zone: offer.zone.clone(),
        price_usd_hour: offer.price.as_usd(),
    });
    LaunchReport {
        name: launch.name.clone(),
        nodepool: pool.name.clone(),
        instance_type: chosen,
        capacity_type: launch.capacity_type,
        instance_types,
        zones: zones.into_iter().collect(),
        price_usd_hour: launch.price().as_usd(),
        worst_usd_hour: launch.worst_price().as_usd(),
        offers: offers.collect(),
        labels: Labels::clone(&launch.labels),
        taints: launch.taints.clone(),
        requests: launch.requests.clone(),
        allocatable: of_type.map(|kind| kind.allocatable.clone()).unwrap_or_default(),
        pods,
    }
}
