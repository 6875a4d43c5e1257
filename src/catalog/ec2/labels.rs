//! The labels of an EC2 type: those that follow from the type alone, and those that the node class and region add.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Ec2Type;
use crate::api::labels;
use crate::catalog::{Market, NodeClassFacts, Offering};
use crate::requirements::{Requirement, Requirements};

/// Label keys of the table's columns, in the order of [`TypeLabels::cell_labels`]; an empty cell is an absent label.
const CELL_KEYS: [&str; 15] = [
    labels::INSTANCE_CPU,
    labels::INSTANCE_MEMORY,
    labels::INSTANCE_CPU_MANUFACTURER,
    labels::INSTANCE_CPU_CLOCK_MHZ,
    labels::INSTANCE_EBS_BANDWIDTH,
    labels::INSTANCE_NETWORK_BANDWIDTH,
    labels::INSTANCE_ENCRYPTION_IN_TRANSIT,
    labels::INSTANCE_LOCAL_NVME,
    labels::INSTANCE_GPU_NAME,
    labels::INSTANCE_GPU_MANUFACTURER,
    labels::INSTANCE_GPU_COUNT,
    labels::INSTANCE_GPU_MEMORY,
    labels::INSTANCE_ACCELERATOR_NAME,
    labels::INSTANCE_ACCELERATOR_MANUFACTURER,
    labels::INSTANCE_ACCELERATOR_COUNT,
];

/// Labels that an offering may bring; a type none of whose offerings does requires them not to exist.
const OFFERING_KEYS: [&str; 5] = [
    labels::ZONE_ID,
    labels::CAPACITY_RESERVATION_ID,
    labels::CAPACITY_RESERVATION_TYPE,
    labels::CAPACITY_RESERVATION_INTERRUPTIBLE,
    labels::PLACEMENT_GROUP_PARTITION,
];

/// One allocation for each distinct text of the table.
#[derive(Default)]
pub(super) struct Interner(BTreeSet<Arc<str>>);

impl Interner {
    pub(super) fn value(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<str> = Arc::from(text);
        self.0.insert(new.clone());
        new
    }
}

/// The label values of one line of the table.
pub(super) struct TypeLabels<'a> {
    pub(super) name: &'a str,
    pub(super) arch: &'a str,
    pub(super) cell_labels: [&'a str; 15],
    pub(super) hypervisor: &'a str,
}

impl TypeLabels<'_> {
    pub(super) fn requirements(&self, interner: &mut Interner) -> Requirements {
        let mut one_of = |value: &str| Requirement::one_of([interner.value(value)]);
        let (family, size) = self.name.split_once('.').unwrap_or((self.name, ""));
        let (category, generation) = category_and_generation(family);
        let flex = if family.contains("-flex") { "true" } else { "false" };
        let always = [
            (labels::INSTANCE_TYPE, self.name),
            (labels::ARCH, self.arch),
            (labels::INSTANCE_HYPERVISOR, self.hypervisor),
            (labels::INSTANCE_FAMILY, family),
            (labels::INSTANCE_SIZE, size),
            (labels::INSTANCE_CATEGORY, category),
            (labels::INSTANCE_GENERATION, generation),
            (labels::INSTANCE_CAPABILITY_FLEX, flex),
        ];
        let mut requirements: Requirements = always.into_iter().map(|(key, value)| (key, one_of(value))).collect();
        for (key, value) in CELL_KEYS.into_iter().zip(self.cell_labels) {
            let requirement = if value.is_empty() { Requirement::does_not_exist() } else { one_of(value) };
            requirements.replace(key, requirement);
        }
        requirements.replace(labels::NITRO_SANDBOX, Requirement::does_not_exist());
        requirements.replace(labels::INSTANCE_TENANCY, Requirement::one_of(["default", "dedicated"]));
        requirements
    }
}

/// `c` and `7` of `c7g`; the size in `u-6tb1` is neither: its category is `u`, its generation `1`.
fn category_and_generation(family: &str) -> (&str, &str) {
    let letters = family.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(family.len());
    let (category, rest) = family.split_at(letters);
    let rest = match rest.strip_prefix('-').and_then(|size| size.split_once("tb")) {
        Some((_, after)) => after,
        None => rest,
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    (category, &rest[..digits])
}

/// The labels that the node class and the region give to every type.
pub(super) struct NodeClassLabels {
    shared: Requirements,
}

impl NodeClassLabels {
    pub(super) fn new(class: &NodeClassFacts, market: &Market) -> Self {
        let os = if class.ami_family.is_windows() { "windows" } else { "linux" };
        let build = class.ami_family.windows_build();
        let shared = [
            (labels::OS, Requirement::one_of([os])),
            (labels::REGION, Requirement::one_of([market.region.clone()])),
            (labels::WINDOWS_BUILD, build.map_or_else(Requirement::does_not_exist, |b| Requirement::one_of([b]))),
        ];
        Self { shared: shared.into_iter().collect() }
    }

    pub(super) fn requirements(&self, ec2_type: &Ec2Type, offerings: &[Offering]) -> Requirements {
        let mut requirements = ec2_type.labels.clone();
        requirements.add_all(&self.shared);
        for key in OFFERING_KEYS {
            if !offerings.iter().any(|offering| offering.labels.iter().any(|(label, _)| &**label == key)) {
                requirements.replace(key, Requirement::does_not_exist());
            }
        }
        requirements
    }
}

#[cfg(test)]
mod tests {
    use super::category_and_generation;

    #[test]
    fn families_split_as_documented() {
        for (family, expected) in [
            ("c7g", ("c", "7")),
            ("hpc6id", ("hpc", "6")),
            ("u-6tb1", ("u", "1")),
            ("u7i-12tb", ("u", "7")),
            ("m7i-flex", ("m", "7")),
            ("x2gd", ("x", "2")),
            ("mac", ("mac", "")),
        ] {
            assert_eq!(category_and_generation(family), expected, "{family}");
        }
    }
}
