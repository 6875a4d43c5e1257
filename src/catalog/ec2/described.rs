//! Types as `DescribeInstanceTypes` describes them, made into the same table that the bundled facts are.
//!
//! Source: karpenter-provider-aws `pkg/providers/instancetype`, which computes labels and capacity from these fields.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::{COLUMNS, read};
use super::{Ec2Facts, Ec2Type, labels};

/// What EC2 says of one type. Texts are as EC2 writes them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescribedType {
    pub name: String,
    /// `x86_64` or `arm64`, the first that it supports.
    pub architecture: String,
    pub vcpus: i64,
    pub memory_mib: i64,
    pub cpu_manufacturer: String,
    pub clock_ghz: Option<f64>,
    /// Of types that are EBS-optimized by default.
    pub ebs_mbps: Option<i64>,
    /// The baseline of its network cards, for types that the bundled table has none of.
    pub network_mbps: Option<i64>,
    pub encryption_in_transit: bool,
    /// Empty for bare metal.
    pub hypervisor: String,
    pub local_nvme_gb: Option<i64>,
    /// Where all of its GPUs are of one kind.
    pub gpu: Option<DescribedDevice>,
    /// Of Neuron, or of Inferentia where EC2 calls it an inference accelerator.
    pub accelerator: Option<DescribedDevice>,
    /// Of all Neuron devices.
    pub neuron_cores: Option<i64>,
    pub efa_interfaces: Option<i64>,
    pub network_cards: i64,
    /// Of the default network card.
    pub interfaces: i64,
    pub ipv4_per_interface: i64,
    /// Of placement groups in which it can be: `cluster`, `partition`, `spread`. Empty where EC2 does not say.
    pub placement_strategies: Vec<String>,
    /// How it is sold: `on-demand`, `spot`, `capacity-block`. Empty where EC2 does not say.
    pub usage_classes: Vec<String>,
}

/// GPUs or accelerators of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DescribedDevice {
    pub name: String,
    pub manufacturer: String,
    pub count: i64,
    /// Of each.
    pub memory_mib: Option<i64>,
}

impl Ec2Facts {
    /// What an account says of its types. Network bandwidth and branch interfaces, which EC2 does not describe in full, are those of the
    /// bundled table. Types that cannot be read are left out; the second part names them, and says why.
    #[must_use]
    pub fn of_described(described: &[DescribedType]) -> (Self, Vec<String>) {
        let mut interner = labels::Interner::default();
        let mut unread = Vec::new();
        let mut types: Vec<_> = described
            .iter()
            .filter_map(|of| {
                let row = row(of);
                let cells = row.each_ref().map(String::as_str);
                let read = read(&cells, &mut interner).map_err(|reason| unread.push(format!("{}: {reason}", of.name)));
                Some(Ec2Type {
                    placement_strategies: words(&of.placement_strategies),
                    usage_classes: words(&of.usage_classes),
                    ..read.ok()?
                })
            })
            .collect();
        types.sort_by(|a, b| a.name.cmp(&b.name));
        types.dedup_by(|a, b| a.name == b.name);
        (Self::of(types), unread)
    }
}

/// As the bundled table writes it, without prices.
fn row(of: &DescribedType) -> [String; COLUMNS] {
    let bundled = Ec2Facts::bundled().get(&of.name);
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let device = |device: &Option<DescribedDevice>| {
        let of = |text: &dyn Fn(&DescribedDevice) -> String| device.as_ref().map(text).unwrap_or_default();
        [
            of(&|device| kebab(&device.name)),
            of(&|device| kebab(&device.manufacturer)),
            of(&|device| device.count.to_string()),
            of(&|device| number(device.memory_mib)),
        ]
    };
    let [gpu_name, gpu_manufacturer, gpu_count, gpu_mib] = device(&of.gpu);
    let [name, manufacturer, count, _] = device(&of.accelerator);
    let network = bundled.and_then(|known| known.labels.network_mbps()).map(str::to_owned);
    [
        of.name.clone(),
        if of.architecture == "x86_64" { "amd64".to_owned() } else { of.architecture.clone() },
        of.vcpus.to_string(),
        of.memory_mib.to_string(),
        kebab(&of.cpu_manufacturer),
        of.clock_ghz.map(|ghz| format!("{:.0}", ghz * 1_000.0)).unwrap_or_default(),
        number(of.ebs_mbps),
        network.unwrap_or_else(|| number(of.network_mbps)),
        of.encryption_in_transit.to_string(),
        of.hypervisor.clone(),
        number(of.local_nvme_gb),
        gpu_name,
        gpu_manufacturer,
        gpu_count,
        gpu_mib,
        name,
        manufacturer,
        count,
        number(of.neuron_cores),
        number(of.efa_interfaces),
        format!("{}x{}", of.network_cards, of.interfaces),
        of.ipv4_per_interface.to_string(),
        bundled.map_or(0, |known| known.branch_interfaces).to_string(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    ]
}

fn words(of: &[String]) -> BTreeSet<Arc<str>> {
    of.iter().map(|word| Arc::from(word.as_str())).collect()
}

/// `Radeon Pro V520` becomes `radeon-pro-v520`.
fn kebab(text: &str) -> String {
    text.to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::labels as keys;
    use crate::catalog::ec2::instance_types;
    use crate::catalog::node_class::PlacementGroupFacts;
    use crate::catalog::{CapacityType, Market, NodeClassFacts};
    use crate::settings::Settings;

    fn p3() -> DescribedType {
        DescribedType {
            name: "g4dn.8xlarge".to_owned(),
            architecture: "x86_64".to_owned(),
            vcpus: 32,
            memory_mib: 131_072,
            cpu_manufacturer: "Intel".to_owned(),
            clock_ghz: Some(2.5),
            ebs_mbps: Some(9_500),
            encryption_in_transit: true,
            hypervisor: "nitro".to_owned(),
            local_nvme_gb: Some(900),
            gpu: Some(DescribedDevice {
                name: "T4".to_owned(),
                manufacturer: "NVIDIA".to_owned(),
                count: 1,
                memory_mib: Some(16_384),
            }),
            efa_interfaces: Some(1),
            network_cards: 1,
            interfaces: 4,
            ipv4_per_interface: 15,
            ..DescribedType::default()
        }
    }

    #[test]
    fn a_described_type_is_what_the_bundled_table_says_of_it() {
        let (facts, unread) = Ec2Facts::of_described(&[p3()]);
        assert!(unread.is_empty(), "{unread:?}");
        let (market, _) = Market::offline("us-east-1").unwrap();
        let (class, settings) = (NodeClassFacts::default(), Settings::default());
        let described = instance_types(&facts, &class, &market, &settings).remove(0);
        let bundled = instance_types(Ec2Facts::bundled(), &class, &market, &settings);
        let bundled = bundled.iter().find(|kind| *kind.name == *"g4dn.8xlarge").unwrap();
        assert_eq!(described.requirements, bundled.requirements);
        assert_eq!(described.allocatable, bundled.allocatable);
        assert_eq!(described.capacity, bundled.capacity);
    }

    #[test]
    fn a_type_is_in_placement_groups_and_is_sold_as_ec2_says() {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
        let spread = DescribedType {
            placement_strategies: words(&["partition", "spread"]),
            usage_classes: words(&["on-demand"]),
            ..p3()
        };
        let (market, _) = Market::offline("us-east-1").unwrap();
        let offered = |described: &DescribedType, strategy: &str| {
            let group = PlacementGroupFacts { id: "pg-1".into(), strategy: strategy.into(), partitions: 0 };
            let class = NodeClassFacts { placement_group: Some(group), ..NodeClassFacts::default() };
            let (facts, _) = Ec2Facts::of_described(std::slice::from_ref(described));
            let types = instance_types(&facts, &class, &market, &Settings::default());
            let offerings = types.into_iter().flat_map(|kind| kind.offerings);
            offerings.map(|of| of.capacity_type).collect::<BTreeSet<CapacityType>>()
        };
        assert!(offered(&spread, "cluster").is_empty());
        assert_eq!(offered(&spread, "spread"), BTreeSet::from([CapacityType::OnDemand]));
        let both = BTreeSet::from([CapacityType::OnDemand, CapacityType::Spot]);
        assert_eq!(offered(&p3(), "cluster"), both, "EC2 has said nothing");
    }

    #[test]
    fn types_that_the_table_does_not_have_are_read_and_sorted() {
        let new = DescribedType { name: "z99.large".to_owned(), network_mbps: Some(750), ..p3() };
        let (facts, _) = Ec2Facts::of_described(&[new, p3()]);
        let names: Vec<&str> = facts.types().iter().map(|kind| &*kind.name).collect();
        assert_eq!(names, ["g4dn.8xlarge", "z99.large"]);
        let (market, _) = Market::offline("us-east-1").unwrap();
        let types = instance_types(&facts, &NodeClassFacts::default(), &market, &Settings::default());
        let bandwidth = types[1].requirements.get(keys::INSTANCE_NETWORK_BANDWIDTH).unwrap();
        assert!(bandwidth.allows("750"));
        assert!(types[1].offerings.iter().all(|offering| !offering.available), "nobody knows its price");
    }
}
