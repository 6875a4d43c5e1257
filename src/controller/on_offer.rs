//! What can be bought now, and for how much, for metrics.
//!
//! Source: the metrics `karpenter_cloudprovider_instance_type_*` of the reference (karpenter-aws 9).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::CapacityType;
use crate::observe::snapshot::NodePool;
use crate::resources::{CPU, MEMORY};
use crate::units::MicroUsd;

/// The instance types of all pools, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnOffer(pub BTreeMap<Arc<str>, Type>);

/// An instance type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Type {
    /// Of the machine, millicores.
    pub cpu: i64,
    /// As predicted, bytes.
    pub memory: i64,
    /// By zone and how it is bought.
    pub offerings: BTreeMap<(Arc<str>, CapacityType), Price>,
}

/// What an offering costs an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// The least, where pools or capacity reservations differ.
    pub least: MicroUsd,
    /// Some pool can buy it now.
    pub is_available: bool,
}

impl OnOffer {
    /// `pools`: with what cannot be had now marked.
    #[must_use]
    pub fn of(pools: &[NodePool]) -> Self {
        let mut found = Self::default();
        for kind in pools.iter().flat_map(|pool| pool.instance_types.iter()) {
            let of = found.0.entry(kind.name.clone()).or_default();
            (of.cpu, of.memory) = (kind.capacity.get(CPU), kind.capacity.get(MEMORY));
            for offering in &kind.offerings {
                let price = Price { least: offering.price, is_available: offering.available };
                let known = of.offerings.entry((offering.zone.clone(), offering.capacity_type)).or_insert(price);
                known.least = known.least.min(price.least);
                known.is_available |= price.is_available;
            }
        }
        found
    }
}
