//! What no choice of nodes can come to less than: a bound of what consolidation reaches, however many commands and hours it takes.
//!
//! ```text
//! least  sum_j f_j k_j + sum_j (e_j / H) (1 - k_j) + sum_s (1 + boot / H) c_s y_s
//! ```
//! over the nodes `j` that may go, kept or not, and what is bought: prices of an hour, with evictions and boots spread over the horizon.
//! The pods of all of them need a place on what is kept, what is bought, or what is free elsewhere; what bounds of launches leave out is
//! left out here too ([`Bounds`]), and so are budgets, limits of pools, spreads and the least that a command has to save. What commands
//! may be carried out is a part of that, so nothing they come to is less.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::policies::Policies;
use super::without::takes_moved;
use super::{Command, Policy};
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::disruption::{Candidate, Method, candidates};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::observe::snapshot::Limits;
use crate::solve::bound::Bounds;
use crate::units::MicroUsd;

/// What a cluster costs of an hour after commands, and what it costs at least whatever is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Nodes of known price after the commands, with the evictions and boots of these spread over the horizon.
    pub cost: MicroUsd,
    /// Of those of any commands.
    pub least: MicroUsd,
}

impl Outlook {
    /// `before`, `after`: the cluster before and after these commands.
    #[must_use]
    pub fn of((before, after): (&Snapshot, &Snapshot), commands: &[Command], policy: &Policy, now: Timestamp) -> Self {
        Self { cost: cost(after, commands, policy), least: least(before, policy, now) }
    }

    /// What is left to save at most, as a part of what it costs.
    #[must_use]
    pub fn gap(&self) -> f64 {
        if self.cost.0 > 0 { (self.cost - self.least).as_usd() / self.cost.as_usd() } else { 0.0 }
    }
}

/// Of the cluster after these commands.
pub(super) fn cost(after: &Snapshot, commands: &[Command], policy: &Policy) -> MicroUsd {
    let once = commands.iter().map(|command| command.once.0).sum::<i64>();
    MicroUsd(price(after).0.saturating_add(spread(MicroUsd(once), policy).0))
}

fn price(snapshot: &Snapshot) -> MicroUsd {
    snapshot.nodes.iter().filter_map(|node| node.price).sum()
}

/// What is paid once, of an hour of the horizon, rounded down.
fn spread(once: MicroUsd, policy: &Policy) -> MicroUsd {
    let hourly = i128::from(once.0) * 3_600 / i128::from(policy.horizon.as_secs().max(1));
    MicroUsd(i64::try_from(hourly).unwrap_or(i64::MAX))
}

/// A node that may go.
struct Going {
    pods: Vec<usize>,
    /// What keeping it costs more than moving its pods, of an hour; may be negative.
    more: MicroUsd,
}

/// Pods that wait are not counted.
pub(super) fn least(snapshot: &Snapshot, policy: &Policy, now: Timestamp) -> MicroUsd {
    let mut snapshot = snapshot.clone();
    snapshot.pods.retain(|pod| !pod.is_pending());
    let snapshot = &snapshot;
    let mut going = going(snapshot, policy, now);
    let mut left = free_market(snapshot, &going);
    take_pods(&mut left, going.values());
    let problem = Problem::new(&left);
    // what holds its own pods by no rule that is known here is taken to be there for nothing, and to keep them
    let strange = strange(&problem, &going);
    if strange.is_empty() {
        return of_problem(&problem, snapshot, &going, policy);
    }
    going.retain(|node, _| !strange.contains(node));
    let mut left = free_market(snapshot, &going);
    take_pods(&mut left, going.values());
    let least = of_problem(&Problem::new(&left), snapshot, &going, policy);
    let free = strange.iter().filter_map(|node| snapshot.nodes[*node].price).sum::<MicroUsd>();
    MicroUsd((least - free).0.max(0))
}

/// By index into `Snapshot::nodes`. Where the pods of an empty node go nobody asks, so it counts for nothing.
fn going(snapshot: &Snapshot, policy: &Policy, now: Timestamp) -> BTreeMap<usize, Going> {
    let policies = Policies::of(snapshot, policy);
    let all = |method| candidates(snapshot, method, now).into_iter().filter_map(|standing| standing.verdict.ok());
    let is_left = |of: &Candidate| policies.leave_alone(&snapshot.nodes[of.node], now).is_some();
    let mut going = BTreeMap::new();
    for of in all(Method::Underutilized).filter(|of| !is_left(of)) {
        let evictions = policies.of_node(&snapshot.nodes[of.node]).evictions(of.eviction_price);
        let more = of.price.unwrap_or_default() - spread(evictions, policy);
        going.insert(of.node, Going { pods: of.pods, more });
    }
    for of in all(Method::Drifted) {
        going.insert(of.node, Going { pods: of.pods, more: of.price.unwrap_or_default() });
    }
    for of in all(Method::Empty) {
        going.insert(of.node, Going { pods: Vec::new(), more: of.price.unwrap_or_default() });
    }
    going
}

/// Without limits, and with all reservations as free as they are once the nodes are gone. Pods move to nothing that is not ready; spot
/// nodes come for nothing but on-demand ones where the gate is closed.
fn free_market(snapshot: &Snapshot, going: &BTreeMap<usize, Going>) -> Snapshot {
    let mut left = snapshot.clone();
    left.nodes.iter_mut().for_each(|node| node.deleting |= !takes_moved(node));
    let label = |node: &usize, key| snapshot.nodes[*node].label(key);
    let is_spot = |node: &usize| label(node, labels::CAPACITY_TYPE) == Some(labels::CAPACITY_SPOT);
    let no_spot = !snapshot.settings.feature_gates.spot_to_spot_consolidation && going.keys().all(is_spot);
    let reserved = |id: &str| going.keys().filter(|of| label(of, labels::CAPACITY_RESERVATION_ID) == Some(id)).count();
    for pool in &mut left.node_pools {
        pool.limits = Limits::default();
        for kind in Arc::make_mut(&mut pool.instance_types) {
            for offering in &mut kind.offerings {
                offering.available &= !(no_spot && offering.capacity_type == CapacityType::Spot);
                if let Some(reservation) = &mut offering.reservation {
                    let more = u32::try_from(reserved(&reservation.id)).unwrap_or(u32::MAX);
                    reservation.free = reservation.free.saturating_add(more);
                }
            }
        }
    }
    left
}

fn take_pods<'g>(snapshot: &mut Snapshot, going: impl Iterator<Item = &'g Going>) {
    for pod in going.flat_map(|of| &of.pods) {
        let pod = &mut snapshot.pods[*pod];
        pod.node = None;
        (pod.terminating, pod.displaced) = (false, false);
    }
}

/// Nodes, by index into `Snapshot::nodes`, that may not hold their own pods as far as bounds know.
fn strange(problem: &Problem, going: &BTreeMap<usize, Going>) -> BTreeSet<usize> {
    let mut group_of = BTreeMap::new();
    for (group, of) in problem.groups.iter().enumerate() {
        group_of.extend(of.pods.iter().map(|pod| (*pod, group)));
    }
    let known: BTreeMap<usize, usize> = problem.nodes.iter().enumerate().map(|(of, node)| (node.index, of)).collect();
    let bounds = Bounds::new(problem);
    let is_at_home = |(node, of): &(&usize, &Going)| {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        let groups: Option<Vec<usize>> = of.pods.iter().map(|pod| group_of.get(pod).copied()).collect();
        let Some(groups) = groups else { return false };
        for group in groups {
            *counts.entry(group).or_default() += 1;
        }
        known.get(node).is_some_and(|node| bounds.may_hold(*node, &counts))
    };
    going.iter().filter(|of| !is_at_home(of)).map(|(node, _)| *node).collect()
}

fn of_problem(problem: &Problem, snapshot: &Snapshot, going: &BTreeMap<usize, Going>, policy: &Policy) -> MicroUsd {
    let kept = problem.nodes.iter().enumerate().filter_map(|(index, node)| Some((index, going.get(&node.index)?)));
    let prices = kept.map(|(index, of)| (index, of.more.max(MicroUsd::ZERO))).collect();
    let bounds = Bounds::with_prices_of_nodes(problem, &prices, (policy.boot.as_secs(), policy.horizon.as_secs()));
    let bound = bounds.where_unplaced(&[]).of_resources().bound;
    // moving the pods of all nodes that may go, what keeping nodes costs less than that, and those that stay anyway
    let moved = going.iter().map(|(node, of)| snapshot.nodes[*node].price.unwrap_or_default() - of.more);
    let less = going.values().map(|of| of.more.min(MicroUsd::ZERO));
    let others = snapshot.nodes.iter().enumerate().filter(|(index, _)| !going.contains_key(index));
    let others = others.filter_map(|(_, node)| node.price);
    bound + moved.chain(less).chain(others).sum::<MicroUsd>()
}
