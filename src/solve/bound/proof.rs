//! The bound in integers: any values of pods give one, good values give a good one.
//!
//! Let a pod of group i be worth v_i, and a unit of a pool's limit l. A shape holds pods worth at most V, and costs its
//! price and what it uses of limits. If V <= cost x theta for every shape, then every plan costs at least (value of the pods
//! that it places - what free nodes and reservations hold) / theta - what all that limits leave is worth. A node that is there for a
//! price takes off what it holds beyond that. All pods that a
//! plan may leave are counted at their largest values. Units: values in nano-dollars, rounded against us.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::classes::Classes;
use super::holding::{Holding, Limits};
use super::lp::Prices;
use crate::model::{Amounts, Problem};
use crate::units::MicroUsd;

/// What a pod of a group is worth, nano-dollars an hour.
#[derive(Debug, Clone)]
pub enum Worth {
    Anywhere(i64),
    /// By zone; nowhere else can it be.
    ByZone(Vec<i64>),
}

impl Worth {
    pub fn at(&self, zone: Option<usize>) -> i64 {
        match self {
            Self::Anywhere(value) => *value,
            Self::ByZone(values) => zone.map_or(0, |zone| values[zone]),
        }
    }

    pub fn most(&self) -> i64 {
        match self {
            Self::Anywhere(value) => *value,
            Self::ByZone(values) => values.iter().copied().max().unwrap_or(0),
        }
    }

    pub fn least(&self) -> i64 {
        match self {
            Self::Anywhere(value) => *value,
            Self::ByZone(values) => values.iter().copied().min().unwrap_or(0),
        }
    }
}

/// What a pod is worth, and every other pod of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodWorth {
    /// The first of its group, an index into `Snapshot::pods`.
    pub pod: usize,
    /// In this zone; `None`: wherever it is.
    pub zone: Option<Arc<str>>,
    /// Nano-dollars an hour.
    pub value: i64,
}

/// What a unit of a limit is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitPrice {
    /// Index into `Snapshot::node_pools`.
    pub pool: usize,
    /// As `spec.limits` writes it.
    pub limit: Arc<str>,
    /// 10^-18 dollars an hour.
    pub price: i128,
}

/// What must be placed.
pub struct Demand {
    /// Groups that can be placed at all: class, requests, number of pods, priority.
    pub groups: Vec<GroupDemand>,
    /// How many pods of each priority a plan may leave.
    pub left: BTreeMap<i32, usize>,
}

pub struct GroupDemand {
    /// Index into `Problem::groups`.
    pub group: usize,
    pub class: usize,
    pub amounts: Amounts,
    pub pods: usize,
    /// Pods that the plan at hand places: what the LP prices.
    pub placed: usize,
    pub priority: i32,
    /// How many pods a node may hold by rules of their own.
    pub most: u32,
}

/// What pods are worth, and the bound that this proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Of every group that can be placed; of one that is spread over zones, by zone.
    pub values: Vec<PodWorth>,
    /// Micro-dollars an hour, rounded down; at least zero.
    pub bound: MicroUsd,
    /// By how much the values overcharge a shape at most, as a fraction.
    pub theta: (i128, i128),
    /// The resources that prices are of, in their order.
    pub resources: Vec<Arc<str>>,
    /// Prices of room at which shapes hold so little, by dimension of the Problem, 10^-18 dollars a unit.
    pub prices: Vec<Vec<i128>>,
    /// The same for existing nodes, by index into `Snapshot::nodes`; empty where one price for all nodes shows as much.
    pub node_prices: Vec<(usize, Vec<i128>)>,
    /// What limits of pools are worth; those that are not named, nothing.
    pub limit_prices: Vec<LimitPrice>,
    /// How far tables and searches went.
    pub limits: Limits,
    /// The values alone prove less: with them, every packing that could cost less than the bound was tried.
    pub is_exhaustive: bool,
}

/// At least so many pods of a priority are left by every plan that leaves at most as many of the higher ones as one plan does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftProof {
    pub priority: i32,
    /// With those that no node of any kind can hold.
    pub at_least: usize,
    /// That what costs nothing but a dollar an hour for every pod left of the priority costs so much.
    pub proof: Proof,
}

impl Demand {
    /// What counts where as few pods as can be of a priority are to be left: those of lower ones are not there, and its own are
    /// charged for.
    pub fn at_stake(mut self, priority: i32) -> Self {
        self.groups.retain(|group| group.priority >= priority);
        self.left.retain(|of, _| *of > priority);
        self
    }

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
            let (amounts, most) = (model.amounts.clone(), classes.most_on_a_node[group]);
            groups.push(GroupDemand { group, class, amounts, pods, placed, priority, most });
        }
        Self { groups, left }
    }
}

impl Default for Proof {
    /// Of nothing: it bounds every plan by zero.
    fn default() -> Self {
        Self {
            values: Vec::new(),
            bound: MicroUsd::ZERO,
            theta: (1, 1),
            resources: Vec::new(),
            prices: Vec::new(),
            node_prices: Vec::new(),
            limit_prices: Vec::new(),
            limits: Limits { searched: 0, cells: [1, 1], steps: 0 },
            is_exhaustive: false,
        }
    }
}

/// The bound that these values prove (of pods by group of the demand; of limits in 10^-18 dollars, by limit
/// of the classes); `prices` of resources help to see that shapes hold no more than they cost. The values are for the caller
/// to fill in.
pub fn prove(
    classes: &Classes,
    demand: &Demand,
    values: &[Worth],
    of_limits: &[i128],
    prices: &Prices,
    limits: Limits,
) -> Proof {
    let mut holding = Holding::new(classes, demand, values, prices);
    let worth = |(group, worth): (&GroupDemand, &Worth)| match (worth, &classes.spreads[group.group]) {
        (Worth::ByZone(values), Some(spread)) => spread.least_worth(values, group.pods),
        (worth, _) => i128::from(worth.least()) * count(group.pods),
    };
    let mut total: i128 = demand.groups.iter().zip(values).map(worth).sum();
    total -= left_at_most(demand, values);
    total -= classes.nodes.iter().map(|supply| i128::from(holding.of_supply(supply))).sum::<i128>();
    for kept in &classes.kept {
        // it holds no more than it is worth, or is not kept
        total -= (i128::from(holding.of_kept(kept)) - i128::from(kept.price.0.max(0)) * 1_000).max(0);
    }
    for shape in &classes.shapes {
        if let Some(times) = shape.most {
            total -= i128::from(holding.of_shape(shape)) * i128::from(times);
        }
    }
    // theta = max(1, V / price) as a fraction, over the shapes that can be bought without end
    let theta = holding.overcharge(of_limits, limits);
    let (most, price) = theta;
    let left: i128 = classes.limits.iter().zip(of_limits).map(|(limit, price)| i128::from(limit.left) * price).sum();
    let micro = if total <= 0 || price == 0 {
        0
    } else {
        total * price / most / 1_000 - (left + 999_999_999_999) / 1_000_000_000_000
    };
    let bound = MicroUsd(i64::try_from(micro.max(0)).unwrap_or(i64::MAX));
    let (prices, node_prices) = holding.into_prices();
    Proof { bound, theta, prices, node_prices, limits, ..Proof::default() }
}

/// The value of the dearest pods that a plan may leave.
fn left_at_most(demand: &Demand, values: &[Worth]) -> i128 {
    let mut total = 0;
    for (&priority, &left) in &demand.left {
        let mut of_priority: Vec<(Reverse<i64>, usize)> = demand
            .groups
            .iter()
            .zip(values)
            .filter(|(group, _)| group.priority == priority)
            .map(|(group, worth)| (Reverse(worth.most()), group.pods))
            .collect();
        of_priority.sort_unstable();
        let mut left = left;
        for (Reverse(value), pods) in of_priority {
            let taken = pods.min(left);
            total += i128::from(value) * count(taken);
            left -= taken;
        }
    }
    total
}

fn count(pods: usize) -> i128 {
    i128::try_from(pods).expect("a number of pods fits")
}
