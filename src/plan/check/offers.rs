//! What a launch may buy: each offer is in the catalogue, available, priced right, allowed by pool and claim; together
//! they respect `max_instance_types`, the price window and `minValues`; reservations are not overcommitted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cluster::{Cluster, Slot};
use super::launch::label_of_offer;
use super::shape::{Known, OfferShape};
use super::violation::{Report, Rule, Violation};
use crate::observe::snapshot::NodePool;
use crate::plan::Launch;
use crate::requirements::Requirement;
use crate::settings::{MinValuesPolicy, Settings};

pub(super) fn check(cluster: &Cluster<'_>, report: &mut Report) {
    let mut shape_faults: BTreeMap<usize, Option<(Rule, String)>> = BTreeMap::new();
    let mut by_kind: Vec<Option<Vec<(Rule, String)>>> = vec![None; cluster.kinds];
    for (slot, launch, pool) in cluster.launches() {
        let found = by_kind[slot.kind].get_or_insert_with(|| faults(cluster, slot, launch, pool, &mut shape_faults));
        for (rule, text) in found {
            report.push(Violation::new(*rule, text.clone()).node(&launch.name).pool(&pool.name));
        }
    }
    check_reservations(cluster, report);
}

/// What is wrong with the offers of every launch of this kind.
fn faults(
    cluster: &Cluster<'_>,
    slot: &Slot<'_>,
    launch: &Launch,
    pool: &NodePool,
    shape_faults: &mut BTreeMap<usize, Option<(Rule, String)>>,
) -> Vec<(Rule, String)> {
    let settings = &cluster.snapshot.settings;
    let offers: Vec<&OfferShape<'_>> = slot.shapes.iter().filter_map(|&s| cluster.offer_shape(s)).collect();
    let mut found: Vec<(Rule, String)> = Vec::new();
    if launch.offers.is_empty() {
        found.push((Rule::UnknownOffer, "a launch needs at least one offer".to_owned()));
    }
    for (&shape, offer) in slot.shapes.iter().zip(&offers) {
        let fault = shape_faults.entry(shape).or_insert_with(|| shape_fault(launch, pool, offer));
        found.extend(fault.clone());
    }
    found.extend(claim_excludes(launch, pool, &offers).map(|text| (Rule::LaunchRequirements, text)));
    found.extend(wrong_price(cluster, slot, launch).map(|text| (Rule::Price, text)));
    let types: BTreeSet<&Arc<str>> = launch.offers.iter().map(|offer| &offer.instance_type).collect();
    if types.len() > settings.max_instance_types {
        let text = format!("{} instance types, at most {} may be named", types.len(), settings.max_instance_types);
        found.push((Rule::TooManyTypes, text));
    }
    if settings.min_values_policy == MinValuesPolicy::Strict {
        found.extend(unmet_min_values(pool, &offers).map(|text| (Rule::MinValues, text)));
    }
    found.extend(too_dear(settings, launch, pool, &offers).map(|text| (Rule::PriceFlexibility, text)));
    found
}

/// What is wrong with a type and offering whoever launches it.
fn shape_fault(launch: &Launch, pool: &NodePool, offer: &OfferShape<'_>) -> Option<(Rule, String)> {
    let place =
        || format!("{} in {} ({})", offer.instance_type.name, offer.offering.zone, offer.offering.capacity_type);
    if !offer.offering.available {
        return Some((Rule::UnavailableOffer, format!("{} is not available", place())));
    }
    if let Some((key, wanted)) = unmet_pool_requirement(pool, offer) {
        return Some((Rule::PoolRequirements, format!("{} does not satisfy the pool's {key} {wanted}", place())));
    }
    label_of_offer(launch, pool, offer).map(|text| (Rule::LaunchLabels, text))
}

/// The first requirement of the pool that the node would not satisfy. A label that type, offering and launch lack is
/// matched by `NotIn` and `DoesNotExist` alone.
pub(super) fn unmet_pool_requirement<'a>(
    pool: &'a NodePool,
    offer: &OfferShape<'_>,
) -> Option<(&'a Arc<str>, &'a Requirement)> {
    pool.requirements.iter().find(|(key, requirement)| !offer.label(key).meets(requirement))
}

/// Whether the claim's own requirements exclude an offer that the launch names. Those equal to the pool's are asked with
/// the pool's.
fn claim_excludes(launch: &Launch, pool: &NodePool, offers: &[&OfferShape<'_>]) -> Option<String> {
    let narrowed = launch.requirements.iter().filter(|(key, r)| pool.requirements.get(key) != Some(r));
    narrowed.into_iter().find_map(|(key, requirement)| {
        let offer = offers.iter().find(|offer| !offer.label(key).meets(requirement))?;
        let (name, zone) = (&offer.instance_type.name, &offer.offering.zone);
        Some(format!("the claim's {key} excludes its own offer {name} in {zone}"))
    })
}

fn wrong_price(cluster: &Cluster<'_>, slot: &Slot<'_>, launch: &Launch) -> Option<String> {
    let prices: BTreeMap<(&str, &str, Option<&str>), _> = slot
        .shapes
        .iter()
        .filter_map(|&shape| cluster.offer_shape(shape))
        .map(|o| {
            let reservation = o.offering.reservation.as_ref().map(|r| r.id.as_ref());
            ((o.instance_type.name.as_ref(), o.offering.zone.as_ref(), reservation), o.offering.price)
        })
        .collect();
    launch.offers.iter().find_map(|offer| {
        let key = (offer.instance_type.as_ref(), offer.zone.as_ref(), offer.reservation.as_deref());
        let price = prices.get(&key).filter(|price| **price != offer.price)?;
        let (name, zone, said) = (&offer.instance_type, &offer.zone, offer.price);
        Some(format!("{name} in {zone} costs {price} an hour, the plan says {said}"))
    })
}

/// Distinct values of a label over the offers. Zone, capacity type and the like come with the offering; of a label that
/// the type leaves open every value counts.
fn distinct_values<'a>(key: &str, offers: &[&OfferShape<'a>]) -> BTreeSet<&'a str> {
    let mut values = BTreeSet::new();
    for offer in offers {
        match offer.label(key) {
            Known::Value(value) => {
                values.insert(value);
            }
            Known::OneOf(open) => values.extend(open.iter().map(AsRef::as_ref)),
            Known::Absent | Known::Fresh | Known::Unknown => {}
        }
    }
    values
}

pub(super) fn unmet_min_values(pool: &NodePool, offers: &[&OfferShape<'_>]) -> Option<String> {
    pool.requirements.iter().find_map(|(key, requirement)| {
        let wanted = usize::try_from(requirement.min_values?).unwrap_or(usize::MAX);
        let found = distinct_values(key, offers).len();
        (found < wanted).then(|| format!("{found} values of {key} among the offers, the pool wants at least {wanted}"))
    })
}

/// Alternatives above the price window of the chosen offer stand only where `minValues` needs them, each by itself: without it
/// a key has too few values, and fewer than with it (`BestEffort` may not reach the minimum). The dearest one that is not needed
/// is named.
fn too_dear(settings: &Settings, launch: &Launch, pool: &NodePool, offers: &[&OfferShape<'_>]) -> Option<String> {
    let chosen = launch.offers.first()?;
    let window = i128::from(chosen.price.0) * (1_000 + i128::from(settings.price_flexibility_permille));
    let dear = |offer: &OfferShape<'_>| i128::from(offer.offering.price.0) * 1_000 > window;
    let mut dearest: Vec<&OfferShape<'_>> = offers.iter().filter(|offer| dear(offer)).copied().collect();
    dearest.sort_by_key(|o| std::cmp::Reverse((o.offering.price, &o.instance_type.name)));
    let needed = |of: &OfferShape<'_>| {
        let others = |offer: &&&OfferShape<'_>| !std::ptr::eq(**offer, of);
        let without: Vec<&OfferShape<'_>> = offers.iter().filter(others).copied().collect();
        pool.requirements.iter().any(|(key, requirement)| {
            let wanted = requirement.min_values.map_or(0, |wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
            let left = distinct_values(key, &without).len();
            left < wanted && left < distinct_values(key, offers).len()
        })
    };
    let unneeded = dearest.into_iter().find(|offer| !needed(offer))?;
    let (name, zone, price) = (&unneeded.instance_type.name, &unneeded.offering.zone, unneeded.offering.price);
    let permille = settings.price_flexibility_permille;
    Some(format!("{name} in {zone} at {price} is more than {permille} permille dearer than {}", chosen.price))
}

/// Each launch that names a reservation may take one instance of it.
fn check_reservations(cluster: &Cluster<'_>, report: &mut Report) {
    let mut claims = reserved(cluster);
    if claims.is_empty() {
        return;
    }
    for (slot, launch, _) in cluster.launches() {
        for offer in slot.shapes.iter().filter_map(|&shape| cluster.offer_shape(shape)) {
            if let Some(reservation) = &offer.offering.reservation
                && let Some(count) = claims.get(&reservation.id).copied()
                && count > reservation.free
            {
                claims.remove(&reservation.id);
                let (id, free) = (&reservation.id, reservation.free);
                let text = format!("{count} launches name the reservation {id}, which has {free} left");
                report.push(Violation::new(Rule::Reservation, text).node(&launch.name));
            }
        }
    }
}

/// How many launches name each reservation.
pub(super) fn reserved<'a>(cluster: &Cluster<'a>) -> BTreeMap<&'a Arc<str>, u32> {
    let mut claims: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
    for (_, launch, _) in cluster.launches() {
        let ids: BTreeSet<&Arc<str>> = launch.offers.iter().filter_map(|offer| offer.reservation.as_ref()).collect();
        for id in ids {
            *claims.entry(id).or_default() += 1;
        }
    }
    claims
}
