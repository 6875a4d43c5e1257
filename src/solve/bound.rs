//! A lower bound on cost, proven in integers.
//!
//! What pods are worth comes from the resource LP (`models/resource-lp.md`) or from the integer program; either is only a
//! proposal: [`proof`] recomputes the bound over all shapes, in integers.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // floats propose

mod classes;
mod exhaustive;
mod holding;
pub(super) mod lp;
mod proof;
pub(super) mod spread;

use classes::{Classes, Limit, Shape};
pub use holding::Limits;
use lp::{Prices, ResourceLp};
use proof::{Demand, GroupDemand, Worth};
pub use proof::{LeftProof, LimitPrice, PodWorth, Proof};

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::{Problem, fits};
use crate::units::MicroUsd;

/// Bounds of one Problem.
pub struct Bounds<'p, 's> {
    problem: &'p Problem<'s>,
    pub(super) classes: Classes,
    /// Where nodes cost nothing.
    free: OnceCell<Classes>,
}

/// What leaving a pod costs where nodes cost nothing.
const NANO_A_POD: i64 = 1_000_000_000;

impl<'p, 's> Bounds<'p, 's> {
    #[must_use]
    pub fn new(problem: &'p Problem<'s>) -> Self {
        Self { problem, classes: Classes::of(problem), free: OnceCell::new() }
    }

    /// Where nodes that are there (by index into `Problem::nodes`) cost something, and may go: what no choice of those that stay and of what
    /// is bought can cost less than. What is bought costs its price and `boot`, a part of it, besides.
    #[must_use]
    pub fn with_prices_of_nodes(
        problem: &'p Problem<'s>,
        prices: &BTreeMap<usize, MicroUsd>,
        boot: (u64, u64),
    ) -> Self {
        Self { problem, classes: Classes::of(problem).with_prices(prices, boot), free: OnceCell::new() }
    }

    /// Whether a node that is there (by index into `Problem::nodes`) may hold so many pods of these groups at once, by what bounds know of
    /// nodes.
    #[must_use]
    pub fn may_hold(&self, node: usize, pods: &BTreeMap<usize, usize>) -> bool {
        let Some(supply) = self.classes.nodes.iter().find(|supply| supply.nodes.contains(&node)) else { return false };
        let mut used = vec![0_i64; self.classes.dims];
        let is_held = |(&group, &count): (&usize, &usize)| {
            let amounts = &self.problem.groups[group].amounts;
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            used.iter_mut().zip(amounts).for_each(|(used, of)| *used = used.saturating_add(of.saturating_mul(count)));
            let class = self.classes.of_group[group];
            class.is_some_and(|class| supply.holds.contains(class))
                && count <= i64::from(self.classes.most_on_a_node[group])
        };
        pods.iter().all(is_held) && fits(&used, &self.problem.nodes[node].room)
    }

    /// Whether no shape and no node can hold a pod of the group, whatever the plan.
    #[must_use]
    pub fn is_hopeless(&self, group: usize) -> bool {
        self.classes.of_group[group].is_none()
    }

    /// The resource LP of plans that leave certain pods.
    pub(super) fn resource_lp(&self, unplaced: &[usize]) -> ResourceLp<'_> {
        ResourceLp::of(&self.classes, &Demand::of(self.problem, &self.classes, unplaced))
    }

    /// How many pods of a priority no shape and no node can hold, whatever the plan.
    fn hopeless(&self, priority: i32) -> usize {
        let refused = self.problem.snapshot.pending().filter(|(_, pod)| pod.refused.is_some());
        let refused = refused.filter(|(_, pod)| pod.template.spec.priority == priority).count();
        let groups = self.problem.groups.iter().enumerate().filter(|(group, _)| self.is_hopeless(*group));
        let groups = groups.filter(|(_, group)| group.spec().priority == priority);
        refused + groups.map(|(_, group)| group.pods.len()).sum::<usize>()
    }

    /// How many pods of a priority every plan leaves that leaves at most those of higher ones that are in `unplaced`; as these
    /// values (in dollars, a pod left of the priority being one) prove it.
    #[must_use]
    pub fn least_left(&self, unplaced: &[usize], priority: i32, values: Option<&Values>, limits: Limits) -> LeftProof {
        let proof = values.map(|values| {
            let classes = self.free.get_or_init(|| self.classes.without_prices());
            let demand = Demand::of(self.problem, classes, unplaced).at_stake(priority);
            let prices = Prices::none(classes);
            Bound { problem: self.problem, classes, demand, prices }.of_left(priority, values, limits)
        });
        let proof = proof.unwrap_or_default();
        let pods = usize::try_from((proof.bound.0 + 999_999) / 1_000_000).unwrap_or(0);
        LeftProof { priority, at_least: self.hopeless(priority) + pods, proof }
    }

    /// What no plan that leaves certain pods can cost less than.
    #[must_use]
    pub fn where_unplaced(&self, unplaced: &[usize]) -> Bound<'_, 's> {
        let demand = Demand::of(self.problem, &self.classes, unplaced);
        let prices = lp::resource_prices(&self.classes, &demand);
        Bound { problem: self.problem, classes: &self.classes, demand, prices }
    }
}

/// What things are worth, as somebody proposes it.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Dollars an hour for a pod, by group of the Problem: in a zone, or wherever it is. Of several the least counts; a
    /// group without any is worth what it requests.
    pub pods: Vec<Vec<(Option<usize>, f64)>>,
    /// Limits by pool of the Problem and position in its limits: dollars an hour for a unit. Others are worth nothing.
    pub limits: Vec<((usize, usize), f64)>,
}

/// A bound on the cost of every plan that the checker accepts and that leaves at most as many pods of each priority
/// unplaced as one plan does.
///
/// The set over which it holds is wider than what the checker accepts (`models/bound.md`, last paragraph): minValues, pool
/// weight and most rules over several nodes are ignored, and how whole pods fill a node is known up to a grid.
pub struct Bound<'b, 's> {
    problem: &'b Problem<'s>,
    classes: &'b Classes,
    demand: Demand,
    prices: Prices,
}

impl Bound<'_, '_> {
    /// As the resource LP has it: pods are worth what they request.
    #[must_use]
    pub fn of_resources(&self) -> Proof {
        let values = self.demand.groups.iter().map(|group| Worth::Anywhere(self.resource_value(group)));
        let limits = Limits { searched: 0, cells: [1, 1], steps: 0 };
        self.prove(values.collect(), self.prices.of_limits.clone(), limits)
    }

    /// Pods and limits are worth what somebody says.
    #[must_use]
    pub fn of_values(&self, values: &Values, limits: Limits) -> Proof {
        let of_group = |group: &GroupDemand| {
            let said = &values.pods[group.group];
            let least = said.iter().map(|(_, usd)| nano(*usd)).min().unwrap_or_else(|| self.resource_value(group));
            if self.classes.spreads[group.group].is_none() {
                return Worth::Anywhere(least);
            }
            let in_zone = |zone| said.iter().filter(move |(of, _)| *of == Some(zone)).map(|(_, usd)| nano(*usd)).min();
            Worth::ByZone((0..self.classes.zone_names.len()).map(|zone| in_zone(zone).unwrap_or(least)).collect())
        };
        self.prove(self.demand.groups.iter().map(of_group).collect(), self.limit_prices(values), limits)
    }

    /// Nodes cost nothing, and a pod left of the priority a dollar an hour.
    fn of_left(&self, priority: i32, values: &Values, limits: Limits) -> Proof {
        let of_limits = self.limit_prices(values);
        // what can be had for nothing holds only pods that are worth nothing
        let is_free = |shape: &Shape| shape.most.is_none() && shape.cost(&of_limits) == 0;
        let of_group = |group: &GroupDemand| {
            let holds = |shape: &Shape| shape.holds.contains(group.class) && fits(&group.amounts, &shape.room);
            if self.classes.shapes.iter().any(|shape| is_free(shape) && holds(shape)) {
                return Worth::Anywhere(0);
            }
            let least = values.pods[group.group].iter().map(|(_, usd)| nano(*usd)).min().unwrap_or(0);
            let most = if group.priority == priority { NANO_A_POD } else { i64::MAX };
            Worth::Anywhere(least.min(most))
        };
        let of_demand = self.demand.groups.iter().map(of_group).collect();
        self.prove(of_demand, of_limits, limits)
    }

    fn limit_prices(&self, values: &Values) -> Vec<i128> {
        let price = |limit: &Limit| {
            let of = values.limits.iter().find(|((pool, index), _)| (limit.pool, limit.index) == (*pool, *index));
            of.map_or(0, |(_, usd)| lp::to_atto(*usd))
        };
        self.classes.limits.iter().map(price).collect()
    }

    /// A better proof than the one given, by trying everything that could cost less than `known`; where that takes no more
    /// than so many steps.
    #[must_use]
    pub fn of_everything(
        &self,
        proof: &Proof,
        known: MicroUsd,
        steps: usize,
        stop: &dyn Fn() -> bool,
    ) -> Option<Proof> {
        let mut least: HashMap<usize, i64> = HashMap::new();
        for PodWorth { pod, value, .. } in &proof.values {
            least.entry(*pod).and_modify(|least| *least = (*least).min(*value)).or_insert(*value);
        }
        let of_group = |group: &GroupDemand| least.get(&self.first_pod(group)).copied().unwrap_or(0);
        let values: Vec<i64> = self.demand.groups.iter().map(of_group).collect();
        let bound = exhaustive::least_cost(self.classes, &self.demand, &values, known, steps, stop)?;
        (bound > proof.bound).then(|| Proof { bound, is_exhaustive: true, ..proof.clone() })
    }

    /// Nano-dollars, rounded down.
    fn resource_value(&self, group: &GroupDemand) -> i64 {
        let prices = &self.prices.of_classes[self.classes.merged[group.class]];
        let atto: i128 = group.amounts.iter().zip(prices).map(|(s, p)| i128::from((*s).max(0)) * p).sum();
        i64::try_from(atto / 1_000_000_000).unwrap_or(0)
    }

    fn first_pod(&self, group: &GroupDemand) -> usize {
        self.problem.groups[group.group].pods[0]
    }

    fn prove(&self, of_demand: Vec<Worth>, of_limits: Vec<i128>, limits: Limits) -> Proof {
        let proof = proof::prove(self.classes, &self.demand, &of_demand, &of_limits, &self.prices, limits);
        let mut values = Vec::with_capacity(of_demand.len());
        for (group, worth) in self.demand.groups.iter().zip(of_demand) {
            let pod = self.first_pod(group);
            match worth {
                Worth::Anywhere(value) => values.push(PodWorth { pod, zone: None, value }),
                Worth::ByZone(by_zone) => {
                    let of_zone = |(zone, value): (&Arc<str>, i64)| PodWorth { pod, zone: Some(zone.clone()), value };
                    values.extend(self.classes.zone_names.iter().zip(by_zone).map(of_zone));
                }
            }
        }
        let nodes = proof.node_prices.into_iter().map(|(node, prices)| (self.problem.nodes[node].index, prices));
        let limit_price = |(limit, price): (&Limit, i128)| LimitPrice {
            pool: self.problem.pools[limit.pool].index,
            limit: limit.name.clone(),
            price,
        };
        let limit_prices = self.classes.limits.iter().zip(of_limits).filter(|(_, price)| *price > 0);
        Proof {
            limit_prices: limit_prices.map(limit_price).collect(),
            values,
            resources: self.problem.dims.names().to_vec(),
            node_prices: nodes.collect(),
            ..proof
        }
    }
}

fn nano(usd: f64) -> i64 {
    if usd.is_finite() && usd > 0.0 { (usd * 1e9) as i64 } else { 0 }
}

#[cfg(test)]
mod tests;
