//! The labels of an EC2 type: those that follow from the type alone, and those that the node class and region add.

use std::collections::HashSet;
use std::sync::Arc;

use super::Ec2Type;
use crate::api::labels;
use crate::catalog::{Market, NodeClassFacts, Offering};
use crate::requirements::{Requirement, Requirements};

/// Labels that follow from the type alone, in the order of [`TypeLabels`]; of the first eight an empty text is a value, of
/// the others, which are columns of the table, it means that the type does not have the label.
const TYPE_KEYS: [&str; 23] = [
    labels::INSTANCE_TYPE,
    labels::ARCH,
    labels::INSTANCE_HYPERVISOR,
    labels::INSTANCE_FAMILY,
    labels::INSTANCE_SIZE,
    labels::INSTANCE_CATEGORY,
    labels::INSTANCE_GENERATION,
    labels::INSTANCE_CAPABILITY_FLEX,
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
const ALWAYS: usize = 8;

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
pub(super) struct Interner(HashSet<Arc<str>>);

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

/// The values of [`TYPE_KEYS`] for one type. They become requirements only for a node class: to make a set of
/// requirements takes longer than to read the whole line, and to copy one as long as to make it.
#[derive(Debug, Clone)]
pub(super) struct TypeLabels([Arc<str>; TYPE_KEYS.len()]);

impl TypeLabels {
    /// From name, architecture and hypervisor, and the columns that are labels.
    pub(super) fn read(name: &str, arch: &str, hypervisor: &str, columns: [&str; 15], interner: &mut Interner) -> Self {
        let (family, size) = name.split_once('.').unwrap_or((name, ""));
        let (category, generation) = category_and_generation(family);
        let flex = if family.contains("-flex") { "true" } else { "false" };
        let always: [&str; ALWAYS] = [name, arch, hypervisor, family, size, category, generation, flex];
        Self(std::array::from_fn(|i| interner.value(if i < ALWAYS { always[i] } else { columns[i - ALWAYS] })))
    }

    /// The baseline bandwidth of the network, if it is known.
    pub(super) fn network_mbps(&self) -> Option<&str> {
        let place = TYPE_KEYS.iter().position(|key| *key == labels::INSTANCE_NETWORK_BANDWIDTH)?;
        Some(&*self.0[place]).filter(|text| !text.is_empty())
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

/// The labels of the types of one node class, by key.
pub(super) struct NodeClassLabels(Vec<(Arc<str>, Source)>);

/// Where the requirement under a key comes from.
enum Source {
    /// The value with this number among those of the type.
    Type(usize),
    /// The same for every type.
    Class(Requirement),
    /// The offerings bring it, and it does not exist where none of them does.
    Offerings,
}

impl NodeClassLabels {
    pub(super) fn new(class: &NodeClassFacts, market: &Market) -> Self {
        let os = if class.ami_family.is_windows() { "windows" } else { "linux" };
        let build = class.ami_family.windows_build();
        let of_class = [
            (labels::OS, Requirement::one_of([os])),
            (labels::REGION, Requirement::one_of([market.region.clone()])),
            (labels::WINDOWS_BUILD, build.map_or_else(Requirement::does_not_exist, |b| Requirement::one_of([b]))),
            (labels::NITRO_SANDBOX, Requirement::does_not_exist()),
            (labels::INSTANCE_TENANCY, Requirement::one_of(["default", "dedicated"])),
        ];
        let group = class.placement_group.as_ref();
        let of_group = group.into_iter().flat_map(|group| {
            let partitions = (1..=group.partitions).map(|number| number.to_string());
            let partitions = (group.partitions > 0).then(|| Requirement::one_of(partitions));
            let id = Requirement::only(group.id.clone());
            let partitions = partitions.unwrap_or_else(Requirement::does_not_exist);
            [(labels::PLACEMENT_GROUP_ID, id), (labels::PLACEMENT_GROUP_PARTITION, partitions)]
        });
        let of_class = of_class.into_iter().chain(of_group);
        let of_type = TYPE_KEYS.into_iter().zip(0..).map(|(key, i)| (key, Source::Type(i)));
        let of_class = of_class.map(|(key, requirement)| (key, Source::Class(requirement)));
        let of_offerings =
            OFFERING_KEYS.into_iter().filter(|key| group.is_none() || *key != labels::PLACEMENT_GROUP_PARTITION);
        let of_offerings = of_offerings.map(|key| (key, Source::Offerings));
        let all = of_type.chain(of_class).chain(of_offerings);
        let mut sources: Vec<(Arc<str>, Source)> = all.map(|(key, source)| (Arc::from(key), source)).collect();
        sources.sort_by(|a, b| a.0.cmp(&b.0));
        Self(sources)
    }

    pub(super) fn requirements(&self, ec2_type: &Ec2Type, offerings: &[Offering]) -> Requirements {
        let brought =
            |key: &str| offerings.iter().any(|offering| offering.labels.iter().any(|(label, _)| &**label == key));
        let of_key = |(key, source): &(Arc<str>, Source)| {
            let requirement = match source {
                Source::Type(i) => match &ec2_type.labels.0[*i] {
                    absent if absent.is_empty() && *i >= ALWAYS => Requirement::does_not_exist(),
                    value => Requirement::only(value.clone()),
                },
                Source::Class(requirement) => requirement.clone(),
                Source::Offerings if brought(key) => return None,
                Source::Offerings => Requirement::does_not_exist(),
            };
            Some((key.clone(), requirement))
        };
        Requirements::from_distinct(self.0.iter().filter_map(of_key))
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
