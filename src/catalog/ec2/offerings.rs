//! Where a type can be bought, and for how much.

use std::sync::Arc;

use super::Ec2Type;
use crate::api::labels;
use crate::catalog::market::{SpotPrice, SpotQuote};
use crate::catalog::node_class::{ReservationFacts, Zone};
use crate::catalog::{CapacityType, Market, NodeClassFacts, Offering, Reservation};
use crate::units::MicroUsd;

/// A reserved instance is paid for already: the reference prices it at a ten-millionth of on-demand, so that it wins and
/// dearer reservations still sort last.
const RESERVED_DISCOUNT: i64 = 10_000_000;

/// Sorted by (zone, capacity type, reservation id). Offerings without a price, or in a zone that ARC has
/// shifted away from, are there but not available.
pub(super) fn of(ec2_type: &Ec2Type, class: &NodeClassFacts, zones: &[Zone], market: &Market) -> Vec<Offering> {
    let on_demand = market.on_demand(ec2_type);
    let mut offerings = Vec::with_capacity(zones.len() * 2);
    for zone in zones.iter().filter(|zone| market.is_offered(&ec2_type.name, &zone.name)) {
        let is_open = market.shifted(zone).is_none();
        let labels: Vec<_> = zone.id.iter().map(|id| (Arc::from(labels::ZONE_ID), id.clone())).collect();
        let offering = |capacity_type, price: Option<MicroUsd>| Offering {
            zone: zone.name.clone(),
            capacity_type,
            price: price.unwrap_or(MicroUsd::ZERO),
            mean_price: None,
            available: price.is_some() && is_open,
            labels: labels.clone(),
            reservation: None,
            price_overlay_applied: false,
        };
        match market.spot(ec2_type, &zone.name) {
            _ if !ec2_type.is_sold_as(CapacityType::Spot) => {}
            SpotQuote::Price(SpotPrice { price, mean }) => {
                offerings.push(Offering { mean_price: mean, ..offering(CapacityType::Spot, Some(price)) });
            }
            SpotQuote::Unpriced => offerings.push(offering(CapacityType::Spot, None)),
            SpotQuote::NotOffered => {}
        }
        if ec2_type.is_sold_as(CapacityType::OnDemand) {
            offerings.push(offering(CapacityType::OnDemand, on_demand));
        }
        let here = |r: &&ReservationFacts| r.zone == zone.name && r.instance_type == ec2_type.name;
        for reservation in class.reservations.iter().filter(here) {
            // types that are sold in capacity blocks alone have no on-demand price
            let price = on_demand.map_or(MicroUsd::ZERO, |price| MicroUsd(price.0 / RESERVED_DISCOUNT));
            offerings.push(reserved(offering(CapacityType::Reserved, Some(price)), reservation));
        }
    }
    offerings.sort_by(|a, b| order(a).cmp(&order(b)));
    offerings
}

fn reserved(mut offering: Offering, reservation: &ReservationFacts) -> Offering {
    let interruptible = if reservation.interruptible { "true" } else { "false" };
    offering.labels.extend([
        (Arc::from(labels::CAPACITY_RESERVATION_ID), reservation.id.clone()),
        (Arc::from(labels::CAPACITY_RESERVATION_TYPE), reservation.kind.clone()),
        (Arc::from(labels::CAPACITY_RESERVATION_INTERRUPTIBLE), Arc::from(interruptible)),
    ]);
    offering.available &= reservation.free > 0;
    offering.reservation = Some(Reservation { id: reservation.id.clone(), free: reservation.free });
    offering
}

fn order(offering: &Offering) -> (&Arc<str>, CapacityType, Option<&Arc<str>>) {
    (&offering.zone, offering.capacity_type, offering.reservation.as_ref().map(|r| &r.id))
}
