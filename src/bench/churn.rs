//! Clusters that were filled and then lost pods, and what consolidation makes of them: ours and the reference's own sequence side by
//! side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::consolidation::{Budgets, Manner, Outlook, Policy, consolidate, launched};
use crate::host::sequence::sequence;
use crate::host::{Limits, Search, decide};
use crate::observe::Snapshot;
use crate::observe::snapshot::NodeStage;
use crate::random::SplitMix64;
use crate::solve::{Pace, Work};
use crate::units::MicroUsd;

/// One cluster under one policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub cluster: String,
    /// How many of its pods were deleted, percent.
    pub churn: u32,
    pub nodes: usize,
    pub pods: usize,
    /// Before, dollars an hour.
    pub before: f64,
    /// Whatever commands are carried out, it comes to at least so much: dollars an hour, evictions and boots spread over a day as the policy
    /// counts them.
    pub bound: f64,
    /// Ours comes to so much.
    pub comes_to: f64,
    pub reference: Side,
    pub ours: Side,
}

/// What one of the two made of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Side {
    /// Afterwards, dollars an hour.
    pub after: f64,
    pub evictions: usize,
    pub seconds: f64,
    pub stopped: bool,
    /// After each command: evictions so far, and dollars an hour.
    pub frontier: Vec<(usize, f64)>,
}

/// The pending pods of an instance on the nodes that the reference's packing buys, less `churn` percent of them.
#[must_use]
pub fn cluster(instance: &Arc<Snapshot>, churn: u32, seed: u64) -> Snapshot {
    let limits = Limits::of_time(Duration::from_secs(600), Search::Greedy);
    let mut cluster = launched(instance, &decide(instance, limits).plan);
    for node in &mut cluster.nodes {
        node.stage = NodeStage::Initialized;
        node.created_at = None;
    }
    for pool in &mut cluster.node_pools {
        pool.disruption.consolidate_after_seconds = Some(0);
        pool.disruption.consolidation_policy = "WhenEmptyOrUnderutilized".into();
        pool.disruption.budgets.clear();
    }
    let mut dice = SplitMix64(seed);
    cluster.pods.retain(|pod| pod.node.is_some() && dice.between(0, 99) >= u64::from(churn));
    cluster
}

/// Both on a cluster, each within `time`.
#[must_use]
pub fn measure(name: &str, churn: u32, cluster: &Snapshot, policy: &Policy, time: Duration) -> Row {
    let now = cluster.taken_at;
    let started = Instant::now();
    let theirs = sequence(cluster, now, &|| started.elapsed() >= time);
    let seconds = started.elapsed().as_secs_f64();
    let (mut moved, mut left) = (0, cost(cluster));
    let frontier = theirs.commands.iter().map(|command| {
        moved += command.moved.len();
        left = left - command.saved;
        (moved, left.as_usd())
    });
    let frontier = frontier.collect();
    let evictions = theirs.commands.iter().map(|command| command.moved.len()).sum();
    let after = cost(&theirs.after).as_usd();
    let reference = Side { after, evictions, seconds, stopped: theirs.stopped, frontier };

    let started = Instant::now();
    let limits =
        Limits { time, search: Search::Integer, work: Work { pace: Pace::Time, ..Work::OF_A_TRIAL }, worth: None };
    let manner = Manner::all(policy, Budgets::Each, limits);
    let left = || time.saturating_sub(started.elapsed());
    let found = consolidate(cluster, manner, now, &left);
    let seconds = started.elapsed().as_secs_f64();
    let (mut moved, mut left) = (0, cost(cluster));
    let frontier = found.commands.iter().map(|command| {
        moved += command.moves.len();
        let bought = command.launches.iter().map(crate::plan::Launch::price).sum();
        left = left - (command.price() - bought);
        (moved, left.as_usd())
    });
    let frontier = frontier.collect();
    let evictions = found.commands.iter().map(|command| command.moves.len()).sum();
    let ours = Side { after: cost(&found.after).as_usd(), evictions, seconds, stopped: found.stopped, frontier };
    let outlook = Outlook::of((cluster, &found.after), &found.commands, policy, now);
    Row {
        cluster: name.to_owned(),
        churn,
        nodes: cluster.nodes.len(),
        pods: cluster.pods.len(),
        before: cost(cluster).as_usd(),
        bound: outlook.least.as_usd(),
        comes_to: outlook.cost.as_usd(),
        reference,
        ours,
    }
}

fn cost(cluster: &Snapshot) -> MicroUsd {
    cluster.nodes.iter().filter_map(|node| node.price).sum()
}
