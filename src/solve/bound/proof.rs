//! The bound in integers: any prices give one, good prices give a good one.
//!
//! With prices p(k, r) of resource r for class k, a pod of class k is worth v = sum of p(k, r) x request. A shape holds at
//! most V = sum over r of room x max of p(k, r) over the classes that it holds. If V <= price x theta for every shape,
//! then every plan costs at least (value of the pods that it places - what free nodes and reservations hold) / theta.
//! All pods that a plan may leave are counted at their largest values. Units: prices in 10^-18 dollars a unit of the
//! resource, values in nano-dollars, rounded against us.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::classes::{Classes, Shape};
use crate::model::{Amounts, Problem};
use crate::units::MicroUsd;

/// 10^-18 dollars, the unit of prices, in a nano-dollar.
const ATTO_PER_NANO: i128 = 1_000_000_000;

/// What must be placed.
pub struct Demand {
    /// Groups that can be placed at all: class, requests, number of pods, priority.
    pub groups: Vec<GroupDemand>,
    /// How many pods of each priority a plan may leave.
    pub left: BTreeMap<i32, usize>,
}

pub struct GroupDemand {
    pub class: usize,
    pub amounts: Amounts,
    pub pods: usize,
    /// Pods that the plan at hand places: what the LP prices.
    pub placed: usize,
    pub priority: i32,
}

/// Prices of resources in 10^-18 dollars an hour and unit: by class, then by dimension.
pub struct Prices(pub Vec<Vec<i128>>);

impl Demand {
    pub fn of(problem: &Problem, classes: &Classes, unplaced: &[usize]) -> Self {
        let mut groups = Vec::new();
        let mut left: BTreeMap<i32, usize> = BTreeMap::new();
        for (group, model) in problem.groups.iter().enumerate() {
            let Some(class) = classes.of_group[group] else { continue };
            let missing = model.pods.iter().filter(|pod| unplaced.binary_search(pod).is_ok()).count();
            let priority = model.spec().priority;
            if missing > 0 {
                *left.entry(priority).or_default() += missing;
            }
            let (pods, placed) = (model.pods.len(), model.pods.len() - missing);
            groups.push(GroupDemand { class, amounts: model.amounts.clone(), pods, placed, priority });
        }
        Self { groups, left }
    }
}

/// The bound that these prices prove, rounded down to micro-dollars an hour; at least zero.
pub fn prove(classes: &Classes, demand: &Demand, prices: &Prices) -> MicroUsd {
    let values: Vec<i128> = demand.groups.iter().map(|group| value(group, prices)).collect();
    let mut total: i128 = demand.groups.iter().zip(&values).map(|(group, value)| value * count(group.pods)).sum();
    total -= left_at_most(demand, &values);
    for node in &classes.nodes {
        total -= capacity_value(&node.room, &node.holds.ones().collect::<Vec<_>>(), prices);
    }
    // theta = max(1, V / price) as a fraction, over the shapes that can be bought without end
    let (mut most, mut price) = (1_i128, 1_i128);
    for shape in &classes.shapes {
        let holds = shape_value(shape, prices);
        if let Some(limit) = shape.most {
            total -= holds * i128::from(limit);
            continue;
        }
        let cost = i128::from(shape.price.0.max(0)) * 1_000;
        if holds * price > most * cost {
            (most, price) = (holds, cost);
        }
    }
    if total <= 0 || price == 0 {
        return MicroUsd::ZERO;
    }
    let micro = total * price / most / 1_000;
    MicroUsd(i64::try_from(micro).unwrap_or(i64::MAX))
}

/// What a pod of the group is worth, nano-dollars, rounded down.
fn value(group: &GroupDemand, prices: &Prices) -> i128 {
    let atto: i128 = group.amounts.iter().zip(&prices.0[group.class]).map(|(s, p)| i128::from((*s).max(0)) * p).sum();
    atto / ATTO_PER_NANO
}

/// The value of the dearest pods that a plan may leave.
fn left_at_most(demand: &Demand, values: &[i128]) -> i128 {
    let mut total = 0;
    for (&priority, &left) in &demand.left {
        let mut of_priority: Vec<(Reverse<i128>, usize)> = demand
            .groups
            .iter()
            .zip(values)
            .filter(|(group, _)| group.priority == priority)
            .map(|(group, value)| (Reverse(*value), group.pods))
            .collect();
        of_priority.sort_unstable();
        let mut left = left;
        for (Reverse(value), pods) in of_priority {
            let taken = pods.min(left);
            total += value * count(taken);
            left -= taken;
        }
    }
    total
}

fn shape_value(shape: &Shape, prices: &Prices) -> i128 {
    capacity_value(&shape.room, &shape.holds.ones().collect::<Vec<_>>(), prices)
}

/// The most that pods of these classes in this room can be worth, nano-dollars, rounded up.
fn capacity_value(room: &Amounts, holds: &[usize], prices: &Prices) -> i128 {
    let dearest = |dim: usize| holds.iter().map(|&class| prices.0[class][dim]).max().unwrap_or(0);
    let atto: i128 = room.iter().enumerate().map(|(dim, room)| i128::from((*room).max(0)) * dearest(dim)).sum();
    (atto + ATTO_PER_NANO - 1) / ATTO_PER_NANO
}

fn count(pods: usize) -> i128 {
    i128::try_from(pods).expect("a number of pods fits")
}
