use super::*;
use crate::catalog::kwok;
use crate::requirements::Requirement;

fn pool(name: &str) -> PoolTypes {
    let types = kwok::instance_types().into_iter().filter(|t| t.name.ends_with("-amd64-linux")).collect();
    PoolTypes { pool: name.into(), template_labels: vec![("team".into(), "a".into())], types }
}

fn overlay(name: &str, weight: i32, requirements: &[(&str, &str)]) -> Overlay {
    let requirements = requirements.iter().map(|(key, value)| (*key, Requirement::one_of([*value]))).collect();
    Overlay { name: name.to_owned(), weight, requirements, price: None, capacity: Resources::new() }
}

fn priced(name: &str, weight: i32, requirements: &[(&str, &str)], adjustment: &str) -> Overlay {
    let price = Some(PriceChange::parse_adjustment(adjustment).unwrap());
    Overlay { price, ..overlay(name, weight, requirements) }
}

fn with_capacity(name: &str, weight: i32, resource: &str, amount: i64) -> Overlay {
    let capacity = Resources::new().with(resource, amount);
    Overlay { capacity, ..overlay(name, weight, &[(labels::INSTANCE_TYPE, "c-1x-amd64-linux")]) }
}

fn find<'a>(pools: &'a [PoolTypes], name: &str) -> &'a InstanceType {
    pools[0].types.iter().find(|t| &*t.name == name).unwrap()
}

#[test]
fn changes_are_exact_and_floor_at_zero() {
    for (text, before, after) in [
        ("+0.5", 1_000_000, 1_500_000),
        ("-0.5", 1_000_000, 500_000),
        ("-2", 1_000_000, 0),
        ("10%", 1_000_000, 1_100_000),
        ("-12.5%", 1_000_000, 875_000),
        ("-100%", 1_000_000, 0),
        ("-33%", 100, 67),
    ] {
        assert_eq!(PriceChange::parse_adjustment(text).unwrap().apply(MicroUsd(before)), MicroUsd(after), "{text}");
    }
    assert_eq!(PriceChange::parse_price("0.25").unwrap().apply(MicroUsd(7)), MicroUsd(250_000));
    assert!(PriceChange::parse_adjustment("cheap").is_err());
}

#[test]
fn the_heaviest_price_wins_and_only_matching_offerings_change() {
    let mut pools = [pool("general")];
    let before = find(&pools, "c-1x-amd64-linux").clone();
    let overlays = [
        priced("light", 1, &[(labels::KWOK_INSTANCE_FAMILY, "c")], "+1"),
        priced("heavy", 9, &[(labels::CAPACITY_TYPE, "spot"), ("team", "a"), (labels::NODEPOOL, "general")], "-50%"),
        priced("elsewhere", 5, &[(labels::NODEPOOL, "other")], "+100"),
    ];
    assert!(apply_overlays(&overlays, &mut pools).is_empty());
    let after = find(&pools, "c-1x-amd64-linux");
    for (old, new) in before.offerings.iter().zip(&after.offerings) {
        let expected = match old.capacity_type {
            CapacityType::Spot => old.price.0 - old.price.0 / 2,
            _ => old.price.0 + 1_000_000,
        };
        assert_eq!((new.price.0, new.price_overlay_applied), (expected, true), "{old:?}");
    }
    let m = find(&pools, "m-1x-amd64-linux");
    assert!(m.offerings.iter().all(|o| o.price_overlay_applied == (o.capacity_type == CapacityType::Spot)));
    assert!(!m.capacity_overlay_applied);
}

#[test]
fn equal_weights_on_one_offering_conflict_and_the_later_does_nothing() {
    let mut pools = [pool("general")];
    let before = find(&pools, "s-2x-amd64-linux").clone();
    let overlays = [
        // by name in descending order: b comes first
        priced("b", 3, &[(labels::KWOK_INSTANCE_FAMILY, "c")], "+1"),
        priced("a", 3, &[(labels::KWOK_INSTANCE_SIZE, "2")], "+2"),
    ];
    let conflicts = apply_overlays(&overlays, &mut pools);
    assert_eq!(conflicts.keys().collect::<Vec<_>>(), ["a"]);
    assert!(conflicts["a"].contains("overlay b"), "{conflicts:?}");
    assert_eq!(find(&pools, "s-2x-amd64-linux"), &before, "not even where it meets nobody");
}

#[test]
fn capacity_merges_by_resource_and_the_heavier_wins() {
    let mut pools = [pool("general")];
    let memory = find(&pools, "c-1x-amd64-linux").allocatable.get(MEMORY);
    let overlays = [
        with_capacity("fpga", 5, "example.com/fpga", 2),
        with_capacity("fpga-low", 1, "example.com/fpga", 7),
        with_capacity("pages", 5, "hugepages-2Mi", 512 << 20),
        with_capacity("again", 5, "example.com/fpga", 9),
    ];
    let conflicts = apply_overlays(&overlays, &mut pools);
    assert_eq!(conflicts.len(), 1, "{conflicts:?}"); // 'fpga' comes before 'again' of the same weight
    assert!(conflicts.contains_key("again"));
    let t = find(&pools, "c-1x-amd64-linux");
    assert!(t.capacity_overlay_applied);
    assert_eq!((t.capacity.get("example.com/fpga"), t.allocatable.get("example.com/fpga")), (2, 2));
    assert_eq!(t.allocatable.get(MEMORY), memory - (512 << 20));
}

#[test]
fn a_type_without_a_price_needs_an_absolute_one_for_itself() {
    let unpriced = || {
        let mut pools = [pool("general")];
        for t in &mut pools[0].types {
            t.offerings.iter_mut().for_each(|o| (o.price, o.available) = (MicroUsd::ZERO, false));
        }
        pools
    };
    let absolute = |requirements: &[(&str, &str)]| Overlay {
        price: Some(PriceChange::Absolute(MicroUsd(5))),
        ..overlay("absolute", 1, requirements)
    };
    let name = [(labels::INSTANCE_TYPE, "c-1x-amd64-linux")];
    for (overlay, available) in [
        (absolute(&name), true),
        (absolute(&[(labels::KWOK_INSTANCE_FAMILY, "c")]), false),
        (priced("adjusted", 1, &name, "+1"), false),
    ] {
        let mut pools = unpriced();
        apply_overlays(&[overlay], &mut pools);
        assert!(find(&pools, "c-1x-amd64-linux").offerings.iter().all(|o| o.available == available));
    }
}
