//! The instance type file of Karpenter's kwok provider.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{DEFAULT_PODS, amounts, price, typed};
use crate::api::labels;
use crate::catalog::kwok::generic_type;
use crate::catalog::{CapacityType, InstanceType, Offering, Reservation};
use crate::resources::PODS;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypeEntry {
    name: String,
    architecture: String,
    operating_systems: Vec<String>,
    resources: BTreeMap<String, Value>,
    offerings: Vec<OfferingEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfferingEntry {
    price: Value,
    #[serde(default)]
    reservation_capacity: u32,
    requirements: Vec<RequirementEntry>,
}

#[derive(Deserialize)]
struct RequirementEntry {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

pub(super) fn read(entry: &Value) -> Result<InstanceType, String> {
    let entry: TypeEntry = typed(entry)?;
    let mut capacity = amounts("resources", &entry.resources)?;
    if !capacity.contains(PODS) {
        capacity.set(PODS, DEFAULT_PODS);
    }
    let mut offerings: Vec<Offering> =
        entry.offerings.iter().enumerate().map(|(i, offer)| offering(i, offer)).collect::<Result<_, _>>()?;
    let id = |o: &Offering| o.reservation.as_ref().map(|r| r.id.clone());
    offerings.sort_by_key(|o| (o.zone.clone(), o.capacity_type, id(o)));
    let systems: Vec<&str> = entry.operating_systems.iter().map(String::as_str).collect();
    Ok(generic_type(&entry.name, &entry.architecture, &systems, capacity, offerings))
}

fn offering(i: usize, entry: &OfferingEntry) -> Result<Offering, String> {
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for requirement in &entry.requirements {
        match (requirement.operator.as_str(), requirement.values.as_slice()) {
            ("In", [value]) => values.insert(labels::normalize(&requirement.key), value),
            _ => return Err(format!("offerings[{i}].Requirements: {} must be In with one value", requirement.key)),
        };
    }
    let mut take = |key: &str| values.remove(key).ok_or_else(|| format!("offerings[{i}].Requirements: no {key}"));
    let zone: Arc<str> = Arc::from(take(labels::ZONE)?);
    let capacity_type = take(labels::CAPACITY_TYPE)?;
    let capacity_type = CapacityType::parse(capacity_type)
        .ok_or_else(|| format!("offerings[{i}].Requirements: '{capacity_type}' is not a capacity type"))?;
    let reservation = (capacity_type == CapacityType::Reserved).then(|| Reservation {
        // the file need not name the reservation; there is one for each offering
        id: Arc::from(
            values.get(labels::CAPACITY_RESERVATION_ID).map_or_else(|| format!("{zone}-{i}"), ToString::to_string),
        ),
        free: entry.reservation_capacity,
    });
    Ok(Offering {
        zone,
        capacity_type,
        price: price(&format!("offerings[{i}].Price"), &entry.price)?,
        available: true,
        labels: values.into_iter().map(|(key, value)| (Arc::from(key), Arc::from(value))).collect(),
        reservation,
        mean_price: None,
        price_overlay_applied: false,
    })
}
