use std::sync::Arc;

use super::*;
use crate::api::labels;
use crate::catalog::market::SpotPrices;
use crate::catalog::node_class::images::ImageFacts;
use crate::catalog::node_class::{AmiFamily, BlockDevice, NetworkInterface, ReservationFacts, Threshold, Zone};
use crate::catalog::{CapacityType, Catalog, Learned};
use crate::requirements::Requirement;
use crate::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Resources};

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

fn market() -> Market {
    Market::offline("us-east-1").unwrap().0
}

fn no_margin() -> Settings {
    Settings { estimate_margin_permille: 0, ..Settings::default() }
}

fn types_of(class: &NodeClassFacts) -> Vec<InstanceType> {
    instance_types(Ec2Facts::bundled(), class, &market(), &no_margin())
}

fn one(class: &NodeClassFacts, name: &str) -> InstanceType {
    types_of(class).into_iter().find(|t| &*t.name == name).expect("a type of the table")
}

fn class(family: AmiFamily) -> NodeClassFacts {
    NodeClassFacts { ami_family: family, ..NodeClassFacts::default() }
}

#[test]
fn the_bundled_table_is_well_formed() {
    let facts = Ec2Facts::bundled();
    assert_eq!(facts.types().len(), 1_363);
    assert_eq!(facts.get("m5.large").unwrap().vcpus, 2);
    assert!(facts.get("m5.tiny").is_none());
    assert_eq!(Ec2Facts::parse("header\nm5.large\tamd64").unwrap_err().line, 2);
}

#[test]
fn every_well_known_label_is_there_or_required_not_to_exist() {
    let given_later =
        [labels::NODEPOOL, labels::ZONE, labels::CAPACITY_TYPE, labels::PLACEMENT_GROUP_ID, labels::EC2_NODE_CLASS];
    let m5 = one(&NodeClassFacts::default(), "m5.large");
    for key in labels::WELL_KNOWN {
        let expected = !given_later.contains(&key) && !key.starts_with("karpenter.kwok.sh/");
        assert_eq!(m5.requirements.contains_key(key), expected, "{key}");
    }
    for key in ABSENT_LABELS {
        assert_eq!(m5.requirements.get(key), Some(&Requirement::does_not_exist()), "{key}");
    }
    let gpu_pool = Requirement::bounded(Some(1), None);
    let fits = |name| {
        one(&NodeClassFacts::default(), name)
            .requirements
            .get(labels::INSTANCE_GPU_COUNT)
            .unwrap()
            .intersects(&gpu_pool)
    };
    assert!(fits("g4dn.xlarge") && !fits("m5.large") && !fits("g6f.large"));
}

#[test]
fn pods_follow_the_eni_limit_and_the_node_class() {
    let facts = NodeClassFacts::default();
    let pods = |class: &NodeClassFacts| one(class, "m5.large").capacity.get(PODS);
    assert_eq!(pods(&facts), 29);
    assert_eq!(pods(&NodeClassFacts { max_pods: Some(110), ..facts.clone() }), 110);
    assert_eq!(pods(&NodeClassFacts { pods_per_core: Some(5), ..facts.clone() }), 10);
    assert_eq!(pods(&NodeClassFacts { pods_per_core: Some(5), ..class(AmiFamily::Bottlerocket) }), 29);
    assert_eq!(pods(&class(AmiFamily::Windows2022)), 110);
    let settings = Settings { reserved_enis: 1, ..no_margin() };
    let reserved = instance_types(Ec2Facts::bundled(), &facts, &market(), &settings);
    let m5 = reserved.iter().find(|t| &*t.name == "m5.large").unwrap();
    assert_eq!(m5.capacity.get(PODS), 20);
    assert_eq!(m5.overhead.kube_reserved.get(MEMORY), (255 + 11 * 29) * MIB, "the reserve ignores reserved ENIs");
    assert!(reserved.iter().all(|t| t.capacity.get(PODS) >= 0));
}

#[test]
fn memory_reserve_follows_the_family() {
    let reserve = |class: &NodeClassFacts| one(class, "m5.large").overhead.kube_reserved.get(MEMORY) / MIB;
    let max = |family| NodeClassFacts { max_pods: Some(100), ..class(family) };
    assert_eq!(reserve(&max(AmiFamily::Al2023)), 255 + 11 * 29);
    assert_eq!(reserve(&max(AmiFamily::Bottlerocket)), 255 + 11 * 100);
    assert_eq!(reserve(&class(AmiFamily::Windows2022)), 255 + 11 * 110);
}

#[test]
fn kubelet_settings_override_the_defaults() {
    let class = NodeClassFacts {
        kube_reserved: Resources::new().with(CPU, 500),
        system_reserved: Resources::new().with(MEMORY, GIB).with("pid", 1_000),
        eviction_memory: Some(Threshold::MicroPercent(5_000_000)),
        eviction_nodefs: Some(Threshold::Amount(GIB)),
        ..NodeClassFacts::default()
    };
    let m5 = one(&class, "m5.large");
    let memory = 8_192 * MIB - 615 * MIB; // 7.5 % is 614.4 MiB, rounded up
    assert_eq!(m5.capacity.get(MEMORY), memory);
    assert_eq!(m5.allocatable.get(CPU), 1_500);
    let evicted = (memory * 5 + 99) / 100;
    assert_eq!(m5.allocatable.get(MEMORY), memory - (255 + 11 * 29) * MIB - GIB - evicted);
    assert_eq!(m5.allocatable.get(EPHEMERAL_STORAGE), 18 * GIB);
    assert!(!m5.allocatable.contains("pid"));
}

#[test]
fn ephemeral_storage_follows_devices_and_instance_store() {
    use AmiFamily::{Al2023, Bottlerocket, Custom, Windows2022};
    let device = |name: &str, root, gib: i64| BlockDevice {
        device_name: name.to_owned(),
        root,
        size_bytes: (gib > 0).then_some(gib * GIB),
    };
    let storage = |family, devices: &[BlockDevice], raid0| {
        let class = NodeClassFacts { block_devices: devices.to_vec(), instance_store_raid0: raid0, ..class(family) };
        one(&class, "m5d.large").capacity.get(EPHEMERAL_STORAGE)
    };
    assert_eq!(storage(Al2023, &[], false), 20 * GIB);
    assert_eq!(storage(Windows2022, &[], false), 50 * GIB);
    assert_eq!(storage(Al2023, &[device("/dev/xvda", false, 100)], false), 100 * GIB);
    assert_eq!(storage(Al2023, &[device("/dev/xvda", false, 0)], false), 20 * GIB);
    assert_eq!(
        storage(Bottlerocket, &[device("/dev/xvda", false, 4), device("/dev/xvdb", false, 80)], false),
        80 * GIB
    );
    assert_eq!(storage(Al2023, &[device("/dev/xvda", false, 100), device("/dev/xvdc", true, 30)], false), 30 * GIB);
    assert_eq!(storage(Custom, &[device("/dev/xvda", false, 9), device("/dev/xvdc", false, 7)], false), 7 * GIB);
    assert_eq!(storage(Custom, &[], false), 20 * GIB);
    assert_eq!(storage(Al2023, &[device("/dev/xvda", false, 100)], true), 75_000_000_000);
}

#[test]
fn node_classes_rule_types_out() {
    let has = |class: &NodeClassFacts, name: &str| types_of(class).iter().any(|t| &*t.name == name);
    let facts = NodeClassFacts::default();
    assert!(!has(&facts, "a1.large") && has(&class(AmiFamily::Al2), "a1.large"));
    assert!(!has(&class(AmiFamily::Windows2022), "m6g.large") && has(&class(AmiFamily::Windows2022), "m5.large"));
    let tracking = NodeClassFacts { connection_tracking: true, ..facts.clone() };
    assert!(has(&tracking, "m5.large") && !has(&tracking, "m4.large") && !has(&tracking, "m5.metal"));
    assert!(types_of(&NodeClassFacts { nested_virtualization: true, ..facts.clone() }).is_empty());
    let nic = |card, device, efa_only| NetworkInterface { card, device, efa_only };
    let efa = NodeClassFacts { network_interfaces: vec![nic(0, 0, false), nic(0, 1, true)], ..facts.clone() };
    assert!(has(&efa, "p5.48xlarge") && !has(&efa, "m5.large"));
    let p5 = one(&efa, "p5.48xlarge");
    assert_eq!((p5.capacity.get("vpc.amazonaws.com/efa"), p5.capacity.get(PODS)), (1, 51));
    let cards = NodeClassFacts { network_interfaces: vec![nic(0, 0, false), nic(1, 0, false)], ..facts };
    assert!(has(&cards, "p5.48xlarge") && !has(&cards, "c5.18xlarge"));
}

#[test]
fn windows_nodes_say_so() {
    let m5 = one(&class(AmiFamily::Windows2022), "m5.large");
    assert_eq!(m5.requirements.get(labels::OS), Some(&Requirement::one_of(["windows"])));
    assert_eq!(m5.requirements.get(labels::WINDOWS_BUILD), Some(&Requirement::one_of(["10.0.20348"])));
    assert_eq!(m5.capacity.get("vpc.amazonaws.com/PrivateIPv4Address"), 9);
}

#[test]
fn offerings_cover_zones_and_capacity_types_in_order() {
    let m5 = one(&NodeClassFacts::default(), "m5.large");
    assert_eq!(m5.offerings.len(), 12);
    let key = |o: &crate::catalog::Offering| (o.zone.clone(), o.capacity_type);
    assert!(m5.offerings.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
    let on_demand = m5.offerings.iter().find(|o| o.capacity_type == CapacityType::OnDemand).unwrap();
    assert_eq!(on_demand.price.0, 96_000);
    for spot in m5.offerings.iter().filter(|o| o.capacity_type == CapacityType::Spot) {
        assert!((28_800..72_000).contains(&spot.price.0), "{spot:?}");
    }
    let unpriced =
        types_of(&NodeClassFacts::default()).iter().filter(|t| t.offerings.iter().all(|o| !o.available)).count();
    assert_eq!(unpriced, 18);
}

#[test]
fn recorded_spot_prices_replace_the_estimates() {
    let history = r#"[{"AvailabilityZone": "us-east-1b", "InstanceType": "m5.large", "ProductDescription": "Linux/UNIX",
        "SpotPrice": "0.05", "Timestamp": "2026-01-02T00:00:00Z"}]"#;
    let market = market().with_spot_prices(SpotPrices::parse(history).unwrap());
    let types = instance_types(Ec2Facts::bundled(), &NodeClassFacts::default(), &market, &no_margin());
    let spot: Vec<_> = types
        .iter()
        .flat_map(|t| t.offerings.iter().map(move |o| (&*t.name, o)))
        .filter(|(_, o)| o.capacity_type == CapacityType::Spot)
        .map(|(name, o)| (name, &*o.zone, o.price.0))
        .collect();
    assert_eq!(spot, [("m5.large", "us-east-1b", 50_000)]);
}

#[test]
fn subnets_and_reservations_of_the_status_become_offerings() {
    use CapacityType::{OnDemand, Reserved, Spot};
    let zone = |name: &str, id: &str| Zone { name: name.into(), id: Some(id.into()) };
    let reservation = |id: &str, free| ReservationFacts {
        id: id.into(),
        zone: "us-east-1a".into(),
        instance_type: "m5.large".into(),
        kind: "default".into(),
        interruptible: false,
        free,
    };
    let class = NodeClassFacts {
        zones: Some(vec![zone("us-east-1a", "use1-az6"), zone("us-east-1c", "use1-az2")]),
        reservations: vec![reservation("cr-2", 0), reservation("cr-1", 3)],
        ..NodeClassFacts::default()
    };
    let m5 = one(&class, "m5.large");
    let shown: Vec<_> = m5.offerings.iter().map(|o| (&*o.zone, o.capacity_type, o.available)).collect();
    assert_eq!(
        shown,
        [
            ("us-east-1a", Reserved, true),
            ("us-east-1a", Reserved, false),
            ("us-east-1a", Spot, true),
            ("us-east-1a", OnDemand, true),
            ("us-east-1c", Spot, true),
            ("us-east-1c", OnDemand, true),
        ]
    );
    assert_eq!(&*m5.offerings[0].reservation.as_ref().unwrap().id, "cr-1");
    assert_eq!(m5.offerings[4].requirements().get(labels::ZONE_ID), Some(&Requirement::one_of(["use1-az2"])));
    assert!(
        !m5.requirements.contains_key(labels::ZONE_ID)
            && !m5.requirements.contains_key(labels::CAPACITY_RESERVATION_ID)
    );
}

#[test]
fn a_capacity_block_of_a_type_that_is_sold_in_blocks_alone_is_used() {
    let block = ReservationFacts {
        id: "cr-1".into(),
        zone: "us-east-1a".into(),
        instance_type: "p5e.48xlarge".into(),
        kind: "capacity-block".into(),
        interruptible: false,
        free: 3,
    };
    let class = NodeClassFacts {
        zones: Some(vec![Zone { name: "us-east-1a".into(), id: None }]),
        reservations: vec![block],
        ..NodeClassFacts::default()
    };
    let kind = one(&class, "p5e.48xlarge");
    let sold = |of: CapacityType| kind.offerings.iter().any(|o| o.capacity_type == of && o.available);
    assert!(sold(CapacityType::Reserved) && !sold(CapacityType::OnDemand), "{:?}", kind.offerings);
}

#[test]
fn the_estimate_margin_lowers_allocatable_memory_only() {
    let class = NodeClassFacts::default();
    let with = instance_types(Ec2Facts::bundled(), &class, &market(), &Settings::default());
    for (margin, exact) in with.iter().zip(types_of(&class)) {
        let kept = exact.allocatable.get(MEMORY) - margin.allocatable.get(MEMORY);
        let expected = (exact.allocatable.get(MEMORY) * 5 / 1_000).max(64 * MIB).min(exact.allocatable.get(MEMORY));
        assert_eq!(kept, expected, "{}", exact.name);
        assert_eq!(margin.allocatable.get(CPU), exact.allocatable.get(CPU));
        assert_eq!(margin.capacity, exact.capacity);
    }
}

#[test]
fn a_type_of_which_a_node_was_seen_is_what_that_node_is_and_has_no_margin() {
    let image = |id: &str, arch: &str| ImageFacts {
        id: id.into(),
        requirements: [(labels::ARCH, Requirement::one_of([arch]))].into_iter().collect(),
    };
    let class = NodeClassFacts {
        images: vec![image("ami-arm", "arm64"), image("ami-amd", "amd64")],
        hash: "h".into(),
        ..NodeClassFacts::default()
    };
    let settings = Settings::default();
    let mut catalog = Catalog::Ec2(Box::new(market()));
    let memory = |catalog: &Catalog, class: &NodeClassFacts, name: &str| {
        let types = catalog.instance_types(class, &settings);
        let kind = types.iter().find(|kind| &*kind.name == name).unwrap();
        (kind.capacity.get(MEMORY), kind.allocatable.get(MEMORY))
    };
    let (predicted, packed) = memory(&catalog, &class, "m5.large");
    let real = Resources::new().with(CPU, 2_000).with(MEMORY, predicted - 30 * MIB);
    let left = Resources::new().with(CPU, 1_930).with(MEMORY, packed + 34 * MIB);
    let kind =
        |image: &str| NodeKind { instance_type: "m5.large".into(), image_id: image.into(), class_hash: "h".into() };
    let mut learned = Learned::default();
    learned.note(kind("ami-amd"), &real, &left);
    assert!(catalog.learn(&Arc::new(learned.clone())));
    assert!(!catalog.learn(&Arc::new(learned)), "it is known");
    assert_eq!(memory(&catalog, &class, "m5.large"), (predicted - 30 * MIB, packed + 34 * MIB));
    assert_eq!(memory(&catalog, &class, "m5.xlarge"), memory(&Catalog::Ec2(Box::new(market())), &class, "m5.xlarge"));
    let changed = NodeClassFacts { hash: "other".into(), ..class.clone() };
    assert_eq!(memory(&catalog, &changed, "m5.large"), (predicted, packed), "the kubelet may keep back more");
    let newer = NodeClassFacts { images: vec![image("ami-new", "amd64")], ..class };
    assert_eq!(memory(&catalog, &newer, "m5.large"), (predicted, packed));
}
