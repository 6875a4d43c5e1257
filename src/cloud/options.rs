//! What may be bought for a NodeClaim, and what its node is labelled with then.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::catalog::{InstanceType, Offering};
use crate::observe::snapshot::Labels;
use crate::observe::{amounts, requirements_of};
use crate::requirements::Requirements;

/// Types and offerings, as indices, in order of preference, all of one capacity type. Of a planned claim those that its annotation
/// [`labels::OFFERS`] names: the plan was checked with them. Of other claims those that its requirements allow and that hold
/// its requests: reserved before spot before on-demand capacity, as the reference does, then the cheapest first.
#[must_use]
pub fn options(types: &[InstanceType], claim: &NodeClaim) -> Vec<(usize, usize)> {
    let Ok(requirements) = requirements_of(&claim.spec.requirements) else { return Vec::new() };
    let requests = amounts(&claim.spec.resources.requests);
    let fits = |kind: &InstanceType| requests.fits(&kind.allocatable);
    // planned claims name their types: that rules most of them out at once
    let named = requirements.get(labels::INSTANCE_TYPE);
    let is_named = |kind: &InstanceType| named.is_none_or(|named| named.allows(&kind.name));
    let mut found = Vec::new();
    for (index, kind) in types.iter().enumerate().filter(|(_, kind)| is_named(kind)) {
        if kind.requirements.intersects(&requirements).is_err() || !fits(kind) {
            continue;
        }
        let offered = kind.offerings.iter().enumerate();
        let usable = offered.filter(|(_, offering)| offering.available && offering.satisfies(&requirements));
        found.extend(usable.map(|(offering, _)| (index, offering)));
    }
    let offering = |&(kind, offering): &(usize, usize)| &types[kind].offerings[offering];
    if let Some(named) = claim.metadata.annotations.as_ref().and_then(|annotations| annotations.get(labels::OFFERS)) {
        let place: BTreeMap<&str, usize> = named.split(',').enumerate().map(|(place, name)| (name, place)).collect();
        let name = |option: &(usize, usize)| name(&types[option.0], offering(option));
        found.retain(|option| place.contains_key(&*name(option)));
        found.sort_by_key(|option| place[&*name(option)]);
    } else {
        found.sort_by_key(|option| (offering(option).capacity_type, offering(option).price, *option));
    }
    let first = found.first().map(|option| offering(option).capacity_type);
    found.retain(|option| Some(offering(option).capacity_type) == first);
    found
}

/// As the annotation writes it.
fn name(kind: &InstanceType, offering: &Offering) -> String {
    match &offering.reservation {
        Some(reservation) => format!("{}/{}/{}", kind.name, offering.zone, reservation.id),
        None => format!("{}/{}", kind.name, offering.zone),
    }
}

/// The labels of a node: offering before type before what is written down already, as the plan's checker takes them.
/// `requirements`: which of the values that a type may have is meant.
#[must_use]
pub fn node_labels(
    written: &Labels,
    requirements: &Requirements,
    kind: &InstanceType,
    offering: &Offering,
) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut found = written.clone();
    // which partition it is EC2 chooses at the launch, where nobody asks for one
    let is_open = |key: &str| key == labels::PLACEMENT_GROUP_PARTITION && !requirements.contains_key(key);
    for (key, offered) in kind.requirements.iter().filter(|(key, _)| !is_open(key)) {
        let written = found.get(key).filter(|value| offered.allows(value)).cloned();
        let claimed = |value: &&Arc<str>| requirements.get(key).is_none_or(|claim| claim.allows(value));
        let first = offered.finite_values().and_then(|values| values.iter().find(claimed));
        match offered.single_value().cloned().or(written).or_else(|| first.cloned()) {
            Some(value) => drop(found.insert(key.clone(), value)),
            None => drop(found.remove(key)),
        }
    }
    found.extend(offering.labels.iter().cloned());
    found.insert(labels::ZONE.into(), offering.zone.clone());
    found.insert(labels::CAPACITY_TYPE.into(), offering.capacity_type.label().into());
    found
}
