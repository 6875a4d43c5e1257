//! NodePool limits: resources, number of nodes, dollars an hour.
//!
//! Every node of the pool counts, in-flight and deleting ones too; a launch counts with the largest of its alternatives
//! for each resource and with the dearest, because the cloud chooses among them.

use std::sync::Arc;

use super::cluster::{Cluster, Slot};
use super::shape::OfferShape;
use super::violation::{Report, Rule, Violation};
use crate::catalog::{CapacityType, Offering};
use crate::observe::snapshot::{NodePool, Snapshot};
use crate::resources::{Resources, display_amount};
use crate::units::MicroUsd;

/// What a pool uses; prices in micro-dollars an hour.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    pub capacity: Resources,
    pub nodes: i64,
    pub price: MicroUsd,
}

pub(super) fn check(cluster: &Cluster<'_>, usage: &[Usage], report: &mut Report) {
    for (i, (pool, used)) in cluster.snapshot.node_pools.iter().zip(usage).enumerate() {
        if !cluster.plan.launches.iter().any(|launch| launch.pool == i) {
            continue;
        }
        for (name, limit) in pool.limits.resources.iter() {
            let amount = used.capacity.get(name);
            if amount > limit {
                let (amount, limit) = (display_amount(name, amount), display_amount(name, limit));
                let text = format!("{amount} of {name} with this plan, the limit is {limit}");
                report.push(Violation::new(Rule::Limits, text).pool(&pool.name));
            }
        }
        if let Some(limit) = pool.limits.nodes.filter(|limit| used.nodes > *limit) {
            let text = format!("{} nodes with this plan, the limit is {limit}", used.nodes);
            report.push(Violation::new(Rule::NodeLimit, text).pool(&pool.name));
        }
        if let Some(cap) = pool.limits.usd_per_hour.filter(|cap| used.price > *cap) {
            let text = format!("up to {} an hour with this plan, the cap is {cap}", used.price);
            report.push(Violation::new(Rule::SpendCap, text).pool(&pool.name));
        }
    }
}

/// What each pool uses once the plan is applied, at worst. A node of unknown price costs nothing.
pub(super) fn after(cluster: &Cluster<'_>) -> Vec<Usage> {
    let mut usage = today(cluster.snapshot);
    let mut by_kind: Vec<Option<(Resources, MicroUsd)>> = vec![None; cluster.kinds];
    for (slot, launch, _) in cluster.launches() {
        let (largest, dearest) = by_kind[slot.kind].get_or_insert_with(|| at_worst(cluster, slot));
        let used = &mut usage[launch.pool];
        used.capacity.add(largest);
        used.nodes = used.nodes.saturating_add(1);
        used.price += *dearest;
    }
    usage
}

/// The largest capacity of each resource and the dearest price that a launch may come to.
fn at_worst(cluster: &Cluster<'_>, slot: &Slot<'_>) -> (Resources, MicroUsd) {
    let mut largest = Resources::new();
    let mut dearest = MicroUsd::ZERO;
    let mut types: Vec<&Arc<str>> = Vec::new();
    for offer in slot.shapes.iter().filter_map(|&shape| cluster.offer_shape(shape)) {
        if types.last() != Some(&&offer.instance_type.name) {
            largest.raise_to(&offer.instance_type.capacity);
            types.push(&offer.instance_type.name);
        }
        dearest = dearest.max(counted_price(offer.instance_type.offerings.as_slice(), offer.offering));
    }
    (largest, dearest)
}

fn today(snapshot: &Snapshot) -> Vec<Usage> {
    let mut usage = vec![Usage::default(); snapshot.node_pools.len()];
    for node in &snapshot.nodes {
        let of_node = |pool: &NodePool| Some(&pool.name) == node.pool.as_ref();
        if let Some(pool) = snapshot.node_pools.iter().position(of_node) {
            usage[pool].capacity.add(&node.capacity);
            usage[pool].nodes += 1;
            usage[pool].price += node.price.unwrap_or(MicroUsd::ZERO);
        }
    }
    usage
}

/// What an offering counts towards a spend cap: its price; reserved capacity at the on-demand price of its zone.
pub(super) fn counted_price(offerings: &[Offering], offering: &Offering) -> MicroUsd {
    let on_demand = offerings
        .iter()
        .filter(|o| offering.capacity_type == CapacityType::Reserved && o.capacity_type == CapacityType::OnDemand)
        .filter(|o| o.zone == offering.zone)
        .map(|o| o.price);
    on_demand.fold(offering.price, MicroUsd::max)
}

/// Whether the pool may have one more node of this shape beside what it uses.
pub(super) fn has_room(pool: &NodePool, used: &Usage, offer: &OfferShape<'_>) -> bool {
    let price = used.price + counted_price(&offer.instance_type.offerings, offer.offering);
    let within = |(name, limit): (&Arc<str>, i64)| {
        used.capacity.get(name).saturating_add(offer.instance_type.capacity.get(name)) <= limit
    };
    pool.limits.resources.iter().all(within)
        && pool.limits.nodes.is_none_or(|limit| used.nodes < limit)
        && pool.limits.usd_per_hour.is_none_or(|cap| price <= cap)
}
