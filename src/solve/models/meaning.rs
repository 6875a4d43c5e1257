//! `models.json`: what the rows and columns of the models are in the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Model;
use crate::catalog::CapacityType;
use crate::model::{Group, OfferingIndex, Problem};
use crate::units::MicroUsd;

/// The version of the format.
pub const FORMAT: u32 = 1;

/// `models.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    pub format: u32,
    pub models: Vec<Stored>,
}

/// A model that was written to files, and what HiGHS found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Of its files, without the ending.
    pub name: String,
    /// The least that was found, in the unit of the model.
    pub objective: f64,
    /// Nothing less is possible; equal to the objective where there was time to prove it.
    pub bound: f64,
    #[serde(flatten)]
    pub meaning: Meaning,
}

/// What a model is in the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meaning {
    pub unit: Unit,
    /// Of the resource LP: pods by where they may run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
    /// In the order of the program.
    pub columns: Vec<ModelColumn>,
    /// In the order of the program.
    pub rows: Vec<ModelRow>,
}

/// What one of the objective is, an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Dollars, of which at most the sixth decimal is not zero in any price; the least is the negative of a cost.
    MinusUsd,
    MicroUsd,
}

/// Pods by where they may run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// The `k` of names.
    pub class: usize,
    pub groups: Vec<GroupOf>,
}

/// Some pods of a group of identical ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupOf {
    /// One pod of the group, `namespace/name`.
    pub example: String,
    /// `Kind/name` of what made that pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub pods: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelColumn {
    pub name: String,
    #[serde(flatten)]
    pub meaning: ColumnMeaning,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum ColumnMeaning {
    /// `p_k_r`: what `per` of a resource is worth for a class.
    ResourcePrice { class: usize, resource: Arc<str>, per: i64 },
    /// `m_n_r`: the highest of these prices over some classes, that nodes may all hold.
    DearestPrice { classes: Vec<usize>, resource: Arc<str>, per: i64 },
    /// `q_l`: what all is worth that a limit leaves.
    LimitPrice { node_pool: Arc<str>, limit: Arc<str>, left: i64 },
    /// `y_p`: how many such nodes to launch.
    NewNode {
        offering: OfferingOf,
        price_micro_usd: i64,
        /// Topology domains that the pods are fixed to, by key.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        domains: BTreeMap<Arc<str>, Arc<str>>,
        pods: Vec<PodsOf>,
        /// How many the packing has that the plan came from.
        planned: u32,
    },
    /// `y_p`: how many of these nodes get such pods.
    ExistingNode { nodes: Vec<Arc<str>>, pods: Vec<PodsOf>, planned: u32 },
    /// `u_i`: how many pods of a row to leave out.
    LeftOut { pods: PodsOf, price_micro_usd: i64, planned: u32 },
}

/// What can be bought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferingOf {
    pub node_pool: Arc<str>,
    pub instance_type: Arc<str>,
    pub capacity_type: CapacityType,
    pub zone: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<Arc<str>>,
}

/// So many pods of an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodsOf {
    /// The item's row, which says more.
    pub row: String,
    /// One pod of it, `namespace/name`.
    pub example: String,
    pub pods: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRow {
    pub name: String,
    #[serde(flatten)]
    pub meaning: RowMeaning,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum RowMeaning {
    /// `order_n_k_r`: the price for one class is at most the dearest over several.
    Order { class: usize, classes: Vec<usize>, resource: Arc<str> },
    /// `shape_o`: what this holds is worth no more than it costs.
    Shape { offering: OfferingOf, price_micro_usd: i64 },
    /// `cover_i`: pods that are equal in size, in where they may go and in how many a node may hold.
    Cover {
        groups: Vec<GroupOf>,
        /// Of each pod: millicores, bytes and counts.
        requests: BTreeMap<Arc<str>, i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most_on_a_node: Option<u32>,
        /// Topology domains that were chosen for them, by key.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        domains: BTreeMap<Arc<str>, Arc<str>>,
    },
    /// `limit_r`: what the nodes that exist leave of a limit; the row counts parts of it.
    Limit { node_pool: Arc<str>, limit: Arc<str>, left: i64 },
    /// `reservation_r`: instances that are left; the row counts parts of them.
    Reservation { id: Arc<str>, free: i64 },
    /// `nodes_r`: nodes that exist, with equal room; the row counts parts of them.
    ExistingNodes { nodes: Vec<Arc<str>> },
}

impl Stored {
    /// `objective` and `bound`: what HiGHS found in the file.
    #[must_use]
    pub fn of(model: &Model, objective: f64, bound: f64) -> Self {
        let unit = model.meaning.unit;
        let [objective, bound] = [objective, bound].map(|amount| unit.rounded(amount));
        Self { name: model.name.to_owned(), objective, bound, meaning: model.meaning.clone() }
    }
}

impl Unit {
    /// To what is sure of an amount: floats end somewhere.
    #[must_use]
    pub fn rounded(self, amount: f64) -> f64 {
        match self {
            Self::MinusUsd => (amount * 1e9).round() / 1e9,
            Self::MicroUsd => amount.round(),
        }
    }

    /// By how much an objective of this size may differ and still be the same: HiGHS ends within 10^-7, relatively.
    #[must_use]
    pub fn tolerance(self, objective: f64) -> f64 {
        match self {
            Self::MinusUsd => 1e-6 * objective.abs().max(1.0),
            Self::MicroUsd => 0.5,
        }
    }

    /// An amount as dollars.
    #[must_use]
    pub fn usd(self, amount: f64) -> f64 {
        match self {
            Self::MinusUsd => -amount,
            Self::MicroUsd => amount / 1e6,
        }
    }
}

impl ColumnMeaning {
    /// How many the packing has that the plan came from.
    #[must_use]
    pub fn planned(&self) -> u32 {
        match self {
            Self::NewNode { planned, .. } | Self::ExistingNode { planned, .. } | Self::LeftOut { planned, .. } => {
                *planned
            }
            Self::ResourcePrice { .. } | Self::DearestPrice { .. } | Self::LimitPrice { .. } => 0,
        }
    }
}

/// So many pods of a group.
pub(super) fn group_of(problem: &Problem, group: &Group, pods: u32) -> GroupOf {
    let first = &problem.snapshot.pods[group.pods[0]];
    let owner = first.owner.as_ref().map(|owner| format!("{}/{}", owner.kind, owner.name));
    GroupOf { example: first.key.to_string(), owner, pods }
}

/// An offering, and its price in micro-dollars an hour.
pub(super) fn offering_of(problem: &Problem, index: OfferingIndex) -> (OfferingOf, MicroUsd) {
    let pool = &problem.pools[index.pool];
    let kind = &pool.types[index.kind];
    let offering = kind.offerings[index.offering];
    let of = OfferingOf {
        node_pool: pool.pool.name.clone(),
        instance_type: kind.instance_type.name.clone(),
        capacity_type: offering.capacity_type,
        zone: offering.zone.clone(),
        reservation: offering.reservation.as_ref().map(|reservation| reservation.id.clone()),
    };
    (of, offering.price)
}
