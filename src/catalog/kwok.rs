//! Karpenter's kwok instance types: generic sizes for tests, benchmarks and clusters without a cloud.
//!
//! Source: kubernetes-sigs/karpenter `kwok/` (its generator and `cloudprovider/helpers.go`).

use std::sync::Arc;

use super::allocatable::allocatable;
use super::{CapacityType, InstanceType, Offering, Overhead};
use crate::api::labels;
use crate::requirements::{Requirement, Requirements};
use crate::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Resources};
use crate::units::MicroUsd;
use crate::units::quantity::{display_bytes, display_milli};

const VCPUS: [i64; 12] = [1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256];
/// Family and GiB of memory for each vCPU.
const FAMILIES: [(&str, i64); 3] = [("c", 2), ("s", 4), ("m", 8)];
const ZONES: [&str; 4] = ["test-zone-a", "test-zone-b", "test-zone-c", "test-zone-d"];

/// All 144 types, sorted by name.
#[must_use]
pub fn instance_types() -> Vec<InstanceType> {
    let zones = ZONES.map(Arc::<str>::from);
    let mut types = Vec::with_capacity(144);
    for vcpus in VCPUS {
        for (family, gib_per_vcpu) in FAMILIES {
            for os in ["linux", "windows"] {
                for arch in ["amd64", "arm64"] {
                    let name = format!("{family}-{vcpus}x-{arch}-{os}");
                    let memory = (vcpus * gib_per_vcpu) << 30;
                    let capacity = Resources::new()
                        .with(CPU, vcpus * 1_000)
                        .with(MEMORY, memory)
                        .with(PODS, (16 * vcpus).min(1_024))
                        .with(EPHEMERAL_STORAGE, 20 << 30);
                    types.push(generic_type(&name, arch, &[os], capacity, offerings(&zones, vcpus, memory)));
                }
            }
        }
    }
    types.sort_by(|a, b| a.name.cmp(&b.name));
    types
}

/// 0.025 $/h a vCPU and 0.001 $/h for 10^9 bytes; spot at 70 %.
fn offerings(zones: &[Arc<str>], vcpus: i64, memory_bytes: i64) -> Vec<Offering> {
    let on_demand = MicroUsd(25_000 * vcpus + (memory_bytes + 500_000) / 1_000_000);
    let prices = [(CapacityType::Spot, on_demand.permille(700)), (CapacityType::OnDemand, on_demand)];
    let in_zone = |zone: &Arc<str>| {
        let zone = zone.clone();
        prices.map(|(capacity_type, price)| Offering {
            zone: zone.clone(),
            capacity_type,
            price,
            available: true,
            labels: Vec::new(),
            reservation: None,
            mean_price: None,
            price_overlay_applied: false,
        })
    };
    zones.iter().flat_map(in_zone).collect()
}

/// A type with the labels and the overhead that the kwok provider gives to every type, its own or from a file.
pub(super) fn generic_type(
    name: &str,
    arch: &str,
    operating_systems: &[&str],
    capacity: Resources,
    offerings: Vec<Offering>,
) -> InstanceType {
    let cpu = display_milli(capacity.get(CPU));
    let mut requirements: Requirements = [
        (labels::INSTANCE_TYPE, Requirement::one_of([name])),
        (labels::ARCH, Requirement::one_of([arch])),
        (labels::OS, Requirement::one_of(operating_systems.iter().copied())),
        (labels::KWOK_INSTANCE_SIZE, Requirement::one_of([size(name, &cpu)])),
        (labels::KWOK_INSTANCE_FAMILY, Requirement::one_of([family(name)])),
        (labels::KWOK_INSTANCE_MEMORY, Requirement::one_of([display_bytes(capacity.get(MEMORY))])),
        (labels::KWOK_INSTANCE_CPU, Requirement::one_of([cpu.as_str()])),
    ]
    .into_iter()
    .collect();
    require_absent_labels(&mut requirements, &offerings);
    let kube_reserved = Resources::new().with(CPU, 100).with(MEMORY, 10 << 20);
    let overhead = Overhead { kube_reserved, ..Overhead::default() };
    InstanceType {
        name: Arc::from(name),
        requirements,
        allocatable: allocatable(&capacity, &overhead.total()),
        capacity,
        overhead,
        offerings,
        capacity_overlay_applied: false,
    }
}

/// `large` of `m5.large`; of any other name the number of vCPUs.
fn size<'a>(name: &'a str, cpu: &'a str) -> &'a str {
    const WORDS: [&str; 7] = ["nano", "micro", "small", "medium", "large", "metal", "xlarge"];
    let is_size = |size: &str| {
        let multiple = size.strip_suffix("xlarge").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        multiple || WORDS.contains(&size)
    };
    match name.split_once('.') {
        Some((_, size)) if is_size(size) => size,
        _ => cpu,
    }
}

/// What stands before the first `.` or `-`; of a name without either its first letter.
fn family(name: &str) -> &str {
    match name.split_once(['.', '-']) {
        Some((family, _)) => family,
        None => name.char_indices().nth(1).map_or(name, |(second, _)| &name[..second]),
    }
}

/// Well-known labels that describe a type and that neither it nor an offering has do not exist on its nodes. Without this
/// a requirement on such a label would be taken as one that the launch still decides.
pub(super) fn require_absent_labels(requirements: &mut Requirements, offerings: &[Offering]) {
    const NOT_OF_THE_TYPE: [&str; 7] = [
        labels::NODEPOOL,
        labels::ZONE,
        labels::REGION,
        labels::CAPACITY_TYPE,
        labels::EC2_NODE_CLASS,
        labels::KWOK_NODE_CLASS,
        labels::PLACEMENT_GROUP_ID,
    ];
    for key in labels::WELL_KNOWN {
        let offered = offerings.iter().any(|offering| offering.labels.iter().any(|(label, _)| &**label == key));
        if !NOT_OF_THE_TYPE.contains(&key) && !offered && !requirements.contains_key(key) {
            requirements.replace(key, Requirement::does_not_exist());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_144_types_with_eight_offerings() {
        let types = instance_types();
        assert_eq!(types.len(), 144);
        assert!(types.iter().all(|t| t.offerings.len() == 8 && t.offerings.iter().all(|o| o.available)));
        assert!(types.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn capacity_price_and_labels_follow_the_generator() {
        let types = instance_types();
        let m = types.iter().find(|t| &*t.name == "m-128x-arm64-linux").unwrap();
        assert_eq!((m.capacity.get(CPU), m.capacity.get(MEMORY), m.capacity.get(PODS)), (128_000, 1 << 40, 1_024));
        assert_eq!((m.allocatable.get(CPU), m.allocatable.get(MEMORY)), (127_900, (1 << 40) - (10 << 20)));
        assert_eq!(m.offerings[1].capacity_type, CapacityType::OnDemand);
        assert_eq!(m.offerings[1].price, MicroUsd(3_200_000 + 1_099_512)); // 128 x 0.025 + 1099.511627776 x 0.001
        assert_eq!(m.offerings[0].price, MicroUsd(3_009_658)); // 70 %, rounded down
        let label = |key| m.requirements.get(key).and_then(Requirement::single_value).map(ToString::to_string);
        assert_eq!(label(labels::KWOK_INSTANCE_SIZE).as_deref(), Some("128"));
        assert_eq!(label(labels::KWOK_INSTANCE_FAMILY).as_deref(), Some("m"));
        assert_eq!(label(labels::KWOK_INSTANCE_MEMORY).as_deref(), Some("1Ti"));
    }

    #[test]
    fn sizes_and_families_are_read_from_names() {
        assert_eq!(size("m5.2xlarge", "8"), "2xlarge");
        assert_eq!(size("m5.metal-24xl", "96"), "96");
        assert_eq!(size("n2-standard-4", "4"), "4");
        assert_eq!((family("n2-standard-4"), family("m5.large"), family("Standard_D2")), ("n2", "m5", "S"));
    }
}
