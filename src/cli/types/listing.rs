//! One line of the listing: what a type offers, and its cheapest prices.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};

use super::Sort;
use crate::api::labels;
use crate::api::requirement::NodeSelectorRequirementWithMinValues;
use crate::catalog::{CapacityType, InstanceType, Offering, Overhead};
use crate::cli::table::align;
use crate::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Resources, display_amount};
use crate::units::MicroUsd;

const GPUS: [&str; 4] = ["nvidia.com/gpu", "amd.com/gpu", "habana.ai/gaudi", "aws.amazon.com/neuron"];

/// A type with the cheapest available offering of each capacity type.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) instance_type: InstanceType,
    on_demand: Option<MicroUsd>,
    spot: Option<MicroUsd>,
    spot_zone: Option<String>,
}

impl Listed {
    pub(super) fn new(instance_type: InstanceType) -> Self {
        let cheapest = |capacity_type| {
            let offers = instance_type.offerings.iter().filter(|o| o.available && o.capacity_type == capacity_type);
            offers.min_by_key(|o| (o.price, o.zone.clone()))
        };
        let spot = cheapest(CapacityType::Spot);
        Self {
            on_demand: cheapest(CapacityType::OnDemand).map(|o| o.price),
            spot: spot.map(|o| o.price),
            spot_zone: spot.map(|o| o.zone.to_string()),
            instance_type,
        }
    }

    /// The smaller of the two prices; types without a price come last.
    fn price(&self) -> MicroUsd {
        self.on_demand.into_iter().chain(self.spot).min().unwrap_or(MicroUsd(i64::MAX))
    }

    pub(super) fn order(&self, other: &Self, by: Sort) -> Ordering {
        let amount = |listed: &Self, resource| listed.instance_type.capacity.get(resource);
        let first = match by {
            Sort::Name => Ordering::Equal,
            Sort::Price => self.price().cmp(&other.price()),
            Sort::Cpu => amount(self, CPU).cmp(&amount(other, CPU)),
            Sort::Memory => amount(self, MEMORY).cmp(&amount(other, MEMORY)),
        };
        first.then_with(|| self.instance_type.name.cmp(&other.instance_type.name))
    }
}

/// The requirements as people write them; a Snapshot holds them as sets.
impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            name: &'a str,
            requirements: Vec<NodeSelectorRequirementWithMinValues>,
            capacity: &'a Resources,
            overhead: &'a Overhead,
            allocatable: &'a Resources,
            offerings: &'a [Offering],
            on_demand: Option<MicroUsd>,
            spot: Option<MicroUsd>,
            spot_zone: Option<&'a str>,
        }
        let t = &self.instance_type;
        let shown = Shown {
            name: &t.name,
            requirements: t.requirements.to_entries(),
            capacity: &t.capacity,
            overhead: &t.overhead,
            allocatable: &t.allocatable,
            offerings: &t.offerings,
            on_demand: self.on_demand,
            spot: self.spot,
            spot_zone: self.spot_zone.as_deref(),
        };
        shown.serialize(serializer)
    }
}

/// A table without borders, as kubectl prints; `wide` adds capacity and the zone of the cheapest spot offer.
pub(super) fn table(listed: &[Listed], wide: bool) -> String {
    let mut header =
        vec!["NAME", "ARCH", "VCPU", "MEMORY", "PODS", "GPU", "CPU FREE", "MEMORY FREE", "ON-DEMAND/H", "SPOT/H"];
    if wide {
        header.extend(["SPOT ZONE", "MEMORY CAPACITY", "STORAGE", "STORAGE FREE", "OFFERINGS", "OTHER RESOURCES"]);
    }
    let mut table = crate::cli::table::table(&header);
    for item in listed {
        table.add_row(row(item, wide));
    }
    align(table, &[2, 3, 4, 6, 7, 8, 9])
}

fn row(listed: &Listed, wide: bool) -> Vec<String> {
    let t = &listed.instance_type;
    let dollars = |price: Option<MicroUsd>| price.map_or_else(|| "-".to_owned(), |price| price.to_string());
    let label = |key| t.requirements.get(key).and_then(|r| r.single_value()).map_or("-", |value| value);
    let mut cells = vec![
        t.name.to_string(),
        label(labels::ARCH).to_owned(),
        display_amount(CPU, t.capacity.get(CPU)),
        nominal_memory(t),
        t.capacity.get(PODS).to_string(),
        gpus(t),
        display_amount(CPU, t.allocatable.get(CPU)),
        gib(t.allocatable.get(MEMORY)),
        dollars(listed.on_demand),
        dollars(listed.spot),
    ];
    if wide {
        cells.extend([
            listed.spot_zone.clone().unwrap_or_else(|| "-".to_owned()),
            gib(t.capacity.get(MEMORY)),
            gib(t.capacity.get(EPHEMERAL_STORAGE)),
            gib(t.allocatable.get(EPHEMERAL_STORAGE)),
            t.offerings.iter().filter(|o| o.available).count().to_string(),
            others(&t.capacity),
        ]);
    }
    cells
}

/// The memory that the type is sold with, where a label says it; what is left of it under the hypervisor is the capacity.
fn nominal_memory(t: &InstanceType) -> String {
    let label = t.requirements.get(labels::INSTANCE_MEMORY).and_then(|r| r.single_value());
    let mib: Option<i64> = label.and_then(|value| value.parse().ok());
    gib(mib.map_or_else(|| t.capacity.get(MEMORY), |mib| mib << 20))
}

fn gpus(t: &InstanceType) -> String {
    let Some((resource, count)) = GPUS.iter().map(|r| (*r, t.capacity.get(r))).find(|(_, count)| *count > 0) else {
        return "-".to_owned();
    };
    let name = |key| t.requirements.get(key).and_then(|r| r.single_value()).map(ToString::to_string);
    let name = name(labels::INSTANCE_GPU_NAME).or_else(|| name(labels::INSTANCE_ACCELERATOR_NAME));
    format!("{count} {}", name.unwrap_or_else(|| resource.to_owned()))
}

fn others(capacity: &Resources) -> String {
    const SHOWN: [&str; 4] = [CPU, MEMORY, PODS, EPHEMERAL_STORAGE];
    let others: Resources =
        capacity.iter().filter(|(name, _)| !SHOWN.contains(&&***name)).map(|(n, a)| (n.clone(), a)).collect();
    if others.is_empty() { "-".to_owned() } else { others.to_string() }
}

/// GiB with two decimals at most, rounded down.
fn gib(bytes: i64) -> String {
    let hundredths = (i128::from(bytes) * 100) >> 30;
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{}Gi", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::gib;

    #[test]
    fn memory_is_shown_in_gib_rounded_down() {
        assert_eq!([gib(8 << 30), gib(1_400 << 20), gib(10 << 20), gib(0)], ["8Gi", "1.36Gi", "0Gi", "0Gi"]);
    }
}
