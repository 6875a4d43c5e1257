//! Our own format of a `--catalog` file.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{DEFAULT_PODS, amounts, price, typed};
use crate::api::labels;
use crate::catalog::allocatable::allocatable;
use crate::catalog::kwok::require_absent_labels;
use crate::catalog::{CapacityType, InstanceType, Offering, Overhead, Reservation};
use crate::requirements::{Requirement, Requirements};
use crate::resources::PODS;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TypeEntry {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, Option<LabelValues>>,
    capacity: BTreeMap<String, Value>,
    #[serde(default)]
    overhead: OverheadEntry,
    offerings: Vec<OfferingEntry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LabelValues {
    One(String),
    Any(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OverheadEntry {
    kube_reserved: BTreeMap<String, Value>,
    system_reserved: BTreeMap<String, Value>,
    eviction_threshold: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfferingEntry {
    zone: String,
    capacity_type: CapacityType,
    price_usd_hour: Value,
    mean_price_usd_hour: Option<Value>,
    #[serde(default = "available")]
    available: bool,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    reservation: Option<ReservationEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReservationEntry {
    id: String,
    free: u32,
}

fn available() -> bool {
    true
}

pub(super) fn read(entry: &Value) -> Result<InstanceType, String> {
    let entry: TypeEntry = typed(entry)?;
    let mut capacity = amounts("capacity", &entry.capacity)?;
    if !capacity.contains(PODS) {
        capacity.set(PODS, DEFAULT_PODS);
    }
    let overhead = Overhead {
        kube_reserved: amounts("overhead.kubeReserved", &entry.overhead.kube_reserved)?,
        system_reserved: amounts("overhead.systemReserved", &entry.overhead.system_reserved)?,
        eviction_threshold: amounts("overhead.evictionThreshold", &entry.overhead.eviction_threshold)?,
    };
    let mut offerings: Vec<Offering> =
        entry.offerings.into_iter().enumerate().map(|(i, offer)| offering(i, offer)).collect::<Result<_, _>>()?;
    let id = |o: &Offering| o.reservation.as_ref().map(|r| r.id.clone());
    offerings.sort_by_key(|o| (o.zone.clone(), o.capacity_type, id(o)));
    Ok(InstanceType {
        requirements: requirements(&entry.name, &entry.labels, &offerings)?,
        name: Arc::from(entry.name),
        allocatable: allocatable(&capacity, &overhead.total()),
        capacity,
        overhead,
        offerings,
        capacity_overlay_applied: false,
    })
}

fn requirements(
    name: &str,
    label_values: &BTreeMap<String, Option<LabelValues>>,
    offerings: &[Offering],
) -> Result<Requirements, String> {
    let mut requirements: Requirements =
        [(labels::ARCH, Requirement::one_of(["amd64"])), (labels::OS, Requirement::one_of(["linux"]))]
            .into_iter()
            .collect();
    for (key, values) in label_values {
        let requirement = match values {
            None => Requirement::does_not_exist(),
            Some(LabelValues::One(value)) => Requirement::one_of([value.as_str()]),
            Some(LabelValues::Any(values)) if values.is_empty() => {
                return Err(format!("labels.{key}: an empty list; null says that the label does not exist"));
            }
            Some(LabelValues::Any(values)) => Requirement::one_of(values.iter().map(String::as_str)),
        };
        requirements.replace(key, requirement);
    }
    requirements.replace(labels::INSTANCE_TYPE, Requirement::one_of([name]));
    require_absent_labels(&mut requirements, offerings);
    Ok(requirements)
}

fn offering(i: usize, entry: OfferingEntry) -> Result<Offering, String> {
    if entry.capacity_type == CapacityType::Reserved && entry.reservation.is_none() {
        return Err(format!("offerings[{i}]: a reserved offering needs its reservation"));
    }
    let mean = entry.mean_price_usd_hour.as_ref();
    Ok(Offering {
        zone: Arc::from(entry.zone),
        capacity_type: entry.capacity_type,
        price: price(&format!("offerings[{i}].priceUsdHour"), &entry.price_usd_hour)?,
        mean_price: mean.map(|mean| price(&format!("offerings[{i}].meanPriceUsdHour"), mean)).transpose()?,
        available: entry.available,
        labels: entry.labels.into_iter().map(|(key, value)| (Arc::from(key), Arc::from(value))).collect(),
        reservation: entry.reservation.map(|r| Reservation { id: Arc::from(r.id), free: r.free }),
        price_overlay_applied: false,
    })
}
