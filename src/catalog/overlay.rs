//! NodeOverlays: users' corrections of prices and capacity.
//!
//! Follows karpenter's `pkg/controllers/nodeoverlay`: overlays are taken by weight, the heaviest first, then by name in
//! descending order. The first price of an offering wins, and the first amount of a resource. An overlay that meets an
//! equal weight on the same offering's price or the same resource is in conflict and is not applied at all, to no pool.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::allocatable::is_hugepages;
use super::{CapacityType, InstanceType, Offering};
use crate::api::labels;
use crate::requirements::{Requirement, Requirements, Undefined};
use crate::resources::{MEMORY, Resources};
use crate::units::MicroUsd;
use crate::units::quantity::{Quantity, QuantityError};

/// A checked NodeOverlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    pub name: String,
    /// 0 where the overlay gives none.
    pub weight: i32,
    pub requirements: Requirements,
    pub price: Option<PriceChange>,
    /// Extended resources only, in the units of [`Resources`].
    pub capacity: Resources,
}

/// `spec.price` or `spec.priceAdjustment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceChange {
    Absolute(MicroUsd),
    Add(MicroUsd),
    /// In millionths of a percent, so that `-12.5%` is exact.
    AddMicroPercent(i64),
}

/// The instance types of a NodePool, and the labels of its template.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolTypes {
    pub pool: Arc<str>,
    pub template_labels: Vec<(Arc<str>, Arc<str>)>,
    pub types: Vec<InstanceType>,
}

/// Overlays that were not applied, by name, with the reason.
pub type OverlayConflicts = BTreeMap<String, String>;

impl PriceChange {
    /// Reads `spec.priceAdjustment`: `+0.5`, `-0.5`, `10%` or `-10%`.
    ///
    /// # Errors
    /// The text is not a number.
    pub fn parse_adjustment(text: &str) -> Result<Self, QuantityError> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(|q: Quantity| Self::AddMicroPercent(q.micro_value())),
            None => text.parse().map(|q: Quantity| Self::Add(MicroUsd(q.micro_value()))),
        }
    }

    /// Reads `spec.price`.
    ///
    /// # Errors
    /// The text is not a number.
    pub fn parse_price(text: &str) -> Result<Self, QuantityError> {
        text.parse().map(|q: Quantity| Self::Absolute(MicroUsd(q.micro_value())))
    }

    /// The price after the change, to the nearest micro-dollar, from zero to [`MicroUsd::MOST_AN_HOUR`].
    #[must_use]
    pub fn apply(self, price: MicroUsd) -> MicroUsd {
        const WHOLE: i128 = 100_000_000;
        let changed = match self {
            Self::Absolute(absolute) => absolute,
            Self::Add(amount) => price + amount,
            Self::AddMicroPercent(share) => {
                let scaled = i128::from(price.0) * (WHOLE + i128::from(share));
                MicroUsd(i64::try_from((scaled + WHOLE / 2).div_euclid(WHOLE)).unwrap_or(i64::MAX))
            }
        };
        changed.clamp(MicroUsd::ZERO, MicroUsd::MOST_AN_HOUR)
    }
}

/// What overlays decided so far: by (pool, type), then by offering or resource.
#[derive(Default)]
struct Decisions {
    prices: BTreeMap<(usize, usize), BTreeMap<usize, PriceDecision>>,
    capacity: BTreeMap<(usize, usize), BTreeMap<Arc<str>, CapacityDecision>>,
}

struct PriceDecision {
    change: PriceChange,
    makes_available: bool,
    /// Of the last overlay that named the offering, whether or not its price counts.
    lowest_weight: i32,
    by: String,
}

struct CapacityDecision {
    amount: i64,
    lowest_weight: i32,
    by: String,
}

/// An offering or resource that an overlay selects.
struct Selected {
    pool: usize,
    instance_type: usize,
    offerings: Vec<usize>,
}

/// Changes prices and capacity of every pool's types in place.
pub fn apply_overlays(overlays: &[Overlay], pools: &mut [PoolTypes]) -> OverlayConflicts {
    let mut ordered: Vec<&Overlay> = overlays.iter().collect();
    ordered.sort_by_key(|overlay| (Reverse(overlay.weight), Reverse(&overlay.name)));
    let mut decisions = Decisions::default();
    let mut conflicts = OverlayConflicts::new();
    for overlay in ordered {
        let selected = select(overlay, pools);
        match decisions.conflict(overlay, &selected, pools) {
            Some(reason) => {
                conflicts.insert(overlay.name.clone(), reason);
            }
            None => decisions.record(overlay, &selected),
        }
    }
    decisions.apply(pools);
    conflicts
}

fn select(overlay: &Overlay, pools: &[PoolTypes]) -> Vec<Selected> {
    let mut selected = Vec::new();
    for (pool, of_pool) in pools.iter().enumerate() {
        for (instance_type, candidate) in of_pool.types.iter().enumerate() {
            let offerings = selected_offerings(overlay, of_pool, candidate);
            if !offerings.is_empty() {
                selected.push(Selected { pool, instance_type, offerings });
            }
        }
    }
    selected
}

/// The offerings that a node of this pool and type, with every label it would carry, has in common with the overlay.
fn selected_offerings(overlay: &Overlay, pool: &PoolTypes, instance_type: &InstanceType) -> Vec<usize> {
    // most overlays name a type or family: refuse the rest before any set is built
    if instance_type.requirements.intersects(&overlay.requirements).is_err() {
        return Vec::new();
    }
    let mut node = Requirements::from_labels(pool.template_labels.iter().map(|(key, value)| (&**key, &**value)));
    node.replace(labels::NODEPOOL, Requirement::one_of([pool.pool.clone()]));
    node.add_all(&instance_type.requirements);
    let matches = |offering: &Offering| {
        let mut node = node.clone();
        for (key, requirement) in &offering.requirements() {
            node.replace(key, requirement.clone());
        }
        node.compatible(&overlay.requirements, Undefined::Refuse).is_ok()
    };
    let offerings = instance_type.offerings.iter().enumerate();
    offerings.filter(|(_, offering)| matches(offering)).map(|(i, _)| i).collect()
}

impl Decisions {
    fn conflict(&self, overlay: &Overlay, selected: &[Selected], pools: &[PoolTypes]) -> Option<String> {
        for Selected { pool, instance_type, offerings } in selected {
            let at = (*pool, *instance_type);
            let name = &pools[*pool].types[*instance_type].name;
            if overlay.price.is_some()
                && let Some(decided) = self.prices.get(&at)
                && let Some(other) =
                    offerings.iter().filter_map(|i| decided.get(i)).find(|d| d.lowest_weight == overlay.weight)
            {
                return Some(format!("overlay {} of the same weight also sets the price of {name}", other.by));
            }
            if let Some(decided) = self.capacity.get(&at)
                && let Some((resource, other)) =
                    decided.iter().find(|(r, d)| overlay.capacity.contains(r) && d.lowest_weight == overlay.weight)
            {
                return Some(format!("overlay {} of the same weight also sets {resource} of {name}", other.by));
            }
        }
        None
    }

    fn record(&mut self, overlay: &Overlay, selected: &[Selected]) {
        for Selected { pool, instance_type, offerings } in selected {
            let at = (*pool, *instance_type);
            if let Some(change) = overlay.price {
                let makes_available = prices_the_unpriced(overlay, change);
                let decided = self.prices.entry(at).or_default();
                for offering in offerings {
                    let decision = PriceDecision {
                        change,
                        makes_available,
                        lowest_weight: overlay.weight,
                        by: overlay.name.clone(),
                    };
                    decided.entry(*offering).and_modify(|d| d.lowest_weight = overlay.weight).or_insert(decision);
                }
            }
            for (resource, amount) in overlay.capacity.iter() {
                let decision = CapacityDecision { amount, lowest_weight: overlay.weight, by: overlay.name.clone() };
                let decided = self.capacity.entry(at).or_default();
                decided.entry(resource.clone()).and_modify(|d| d.lowest_weight = overlay.weight).or_insert(decision);
            }
        }
    }

    fn apply(&self, pools: &mut [PoolTypes]) {
        for ((pool, instance_type), decided) in &self.prices {
            let offerings = &mut pools[*pool].types[*instance_type].offerings;
            for (i, decision) in decided {
                change_price(&mut offerings[*i], decision);
            }
        }
        for ((pool, instance_type), decided) in &self.capacity {
            let instance_type = &mut pools[*pool].types[*instance_type];
            for (resource, decision) in decided {
                change_capacity(instance_type, resource, decision.amount);
            }
        }
    }
}

/// A type that has no price can be bought only where an overlay names exactly that type and an absolute price
/// (karpenter-provider-aws, pricing).
fn prices_the_unpriced(overlay: &Overlay, change: PriceChange) -> bool {
    let names_one_type = overlay.requirements.get(labels::INSTANCE_TYPE).is_some_and(|r| r.single_value().is_some());
    names_one_type && matches!(change, PriceChange::Absolute(_))
}

fn change_price(offering: &mut Offering, decision: &PriceDecision) {
    let unpriced = offering.price == MicroUsd::ZERO && offering.capacity_type != CapacityType::Reserved;
    if unpriced && !offering.available && !decision.makes_available {
        return;
    }
    offering.available |= unpriced && decision.makes_available;
    offering.price = decision.change.apply(offering.price);
    offering.mean_price = offering.mean_price.map(|mean| decision.change.apply(mean));
    offering.price_overlay_applied = true;
}

fn change_capacity(instance_type: &mut InstanceType, resource: &Arc<str>, amount: i64) {
    let before = instance_type.capacity.get(resource);
    instance_type.capacity.set(resource.clone(), amount);
    // overhead and margin concern cpu, memory and storage, which no overlay may set; hugepages are taken from memory
    instance_type.allocatable.set(resource.clone(), amount);
    if is_hugepages(resource) {
        let memory = instance_type.allocatable.get(MEMORY);
        instance_type.allocatable.set(MEMORY, memory.saturating_add(before).saturating_sub(amount).max(0));
    }
    instance_type.capacity_overlay_applied = true;
}

#[cfg(test)]
mod tests;
