//! The computed catalogue against the reference's own table.

use std::collections::BTreeMap;

use packwright::catalog::node_class::AmiFamily;
use packwright::catalog::{Ec2Facts, InstanceType, Market, NodeClassFacts, ec2};
use packwright::resources::{PODS, Resources};
use packwright::settings::Settings;

/// Allocatable resources of each type as karpenter-provider-aws documents them; nothing but this test reads them.
const DOCUMENTED: &str = include_str!("data/ec2_allocatable.tsv");
const POD_ENI: &str = "vpc.amazonaws.com/pod-eni";
/// Types whose network interfaces the table of VPC limits lacks: ours come from another source, so that comparing their
/// number of pods with the documented one still means something, and branch interfaces are unknown.
const WITHOUT_LIMITS: [&str; 8] = [
    "hpc6a.48xlarge",
    "hpc6id.32xlarge",
    "hpc7a.12xlarge",
    "hpc7a.24xlarge",
    "hpc7a.48xlarge",
    "hpc7a.96xlarge",
    "hpc8a.96xlarge",
    "trn2.48xlarge",
];

fn computed(ami_family: AmiFamily) -> BTreeMap<String, InstanceType> {
    let (market, _) = Market::offline("us-east-1").unwrap();
    let class = NodeClassFacts { ami_family, ..NodeClassFacts::default() };
    let settings = Settings { estimate_margin_permille: 0, ..Settings::default() };
    let types = ec2::instance_types(Ec2Facts::bundled(), &class, &market, &settings);
    types.into_iter().map(|t| (t.name.to_string(), t)).collect()
}

fn documented() -> BTreeMap<&'static str, Resources> {
    let mut lines = DOCUMENTED.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let amounts = |cells: &[&str]| {
        let given = header.iter().zip(cells).skip(1).filter(|(_, cell)| !cell.is_empty());
        given.map(|(name, cell)| (*name, Resources::parse_amount(name, cell).unwrap())).collect()
    };
    lines.map(|cells| (cells[0], amounts(&cells))).collect()
}

#[test]
fn allocatable_equals_the_documented_column() {
    // AL2 computes the same as AL2023 and also takes a1, which the document lists
    let computed = computed(AmiFamily::Al2);
    let mut checked = 0;
    let mut pod_eni_older = 0;
    let mut pods_from_limits = 0;
    for (name, expected) in documented() {
        let allocatable = &computed[name].allocatable;
        for (resource, amount) in allocatable.iter().filter(|(resource, _)| &***resource != POD_ENI) {
            assert_eq!(amount, expected.get(resource), "{name} {resource}");
        }
        for (resource, amount) in expected.iter().filter(|(resource, _)| &***resource != POD_ENI) {
            assert_eq!(allocatable.get(resource), amount, "{name} {resource}");
        }
        checked += 1;
        pods_from_limits += usize::from(!WITHOUT_LIMITS.contains(&name) && allocatable.get(PODS) == expected.get(PODS));
        // the document is older than the limits that the reference computes from: it lacks some types, and differs in none
        if expected.contains(POD_ENI) {
            assert_eq!(allocatable.get(POD_ENI), expected.get(POD_ENI), "{name}");
        } else {
            pod_eni_older += usize::from(allocatable.contains(POD_ENI));
        }
    }
    assert_eq!((checked, pods_from_limits, pod_eni_older), (1_363, 1_355, 56));
    assert_eq!(computed.len(), 1_363);
}

#[test]
fn al2023_differs_from_al2_only_in_leaving_out_a1() {
    let al2 = computed(AmiFamily::Al2);
    let al2023 = computed(AmiFamily::Al2023);
    assert_eq!(al2.keys().filter(|name| !al2023.contains_key(*name)).count(), 6);
    assert!(al2023.iter().all(|(name, t)| *t == al2[name]));
}
