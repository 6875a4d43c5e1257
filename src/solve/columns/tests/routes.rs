//! Pods routed to kinds of nodes.

use std::cell::RefCell;

use proptest::prelude::*;

use super::super::rate::Rater;
use super::super::route::routed;
use super::super::{Best, News, PRICED_PACKINGS, Task, alone, leaving, priced_packings, resource_values};
use super::*;
use crate::random::SplitMix64;

/// What a way to pack offers at last, and what it says that things are worth.
fn packed(instance: &Instance, way: impl FnOnce(&Task, (&Duals, usize), &mut Best)) -> (Packing, Option<Duals>) {
    let (values, weights) = resource_values(instance);
    let leaving = leaving(&alone(instance), &values);
    let center = Duals { items: values, rows: vec![0.0; instance.rows.len()] };
    let rater = RefCell::new(Rater::new(instance, &weights));
    let (mut last, mut worth) = (Packing::new(), None);
    let mut sink = |news: News| match news {
        News::Packing(packing) => last.clone_from(packing),
        News::Values(duals) => worth = Some(duals.clone()),
        News::Columns(..) => {}
    };
    let mut best = Best { instance, leaving: &leaving, price: f64::INFINITY, packing: Packing::new(), sink: &mut sink };
    let task = Task {
        instance,
        weights: &weights,
        leaving: &leaving,
        rater: &rater,
        work: WORK,
        all_time: None,
        is_part: false,
        stop: &|| false,
    };
    way(&task, (&center, PRICED_PACKINGS), &mut best);
    (last, worth)
}

/// Nothing where no bin becomes full.
fn by_routes(instance: &Instance) -> (Packing, Option<Duals>) {
    packed(instance, |task, _, best| _ = routed(task, &|| 1.0, best))
}

/// Pods of one to six GiB a core; nodes that are there and have room for pods of little memory; new ones of which those with less
/// memory are cheaper and limited.
fn a_cluster() -> Instance {
    let mut random = SplitMix64(1);
    let mut number = |low: u64, high: u64| i64::try_from(random.between(low, high)).expect("small");
    let items = (0..400).map(|_| {
        let cpu = [1, 2, 5, 10, 20][usize::try_from(number(0, 4)).expect("an index")];
        Item { size: vec![cpu * 100, cpu * number(100, 600)], demand: 2, most: u32::MAX }
    });
    let items: Vec<Item> = items.collect();
    let mut rows = vec![Row { capacity: 12, is_supply: false }, Row { capacity: 24, is_supply: false }];
    let new = [(170, 308_000, Some(0)), (360, 346_000, Some(1)), (720, 454_000, None)].map(|(memory, cost, limit)| {
        Bin { room: vec![8_000, memory * 80], cost, uses: limit.into_iter().map(|row| (row, 1)).collect() }
    });
    let there = (0..60).map(|_| {
        let cpu = number(3, 45) * 100;
        rows.push(Row { capacity: 1, is_supply: true });
        Bin { room: vec![cpu, cpu * number(13, 20) / 10], cost: 0, uses: vec![(rows.len() - 1, 1)] }
    });
    let there: Vec<Bin> = there.collect();
    let all: Vec<usize> = (0..items.len()).collect();
    let classes = vec![Class { items: all.clone(), bins: new.to_vec() }, Class { items: all, bins: there }];
    Instance { dims: 2, items, classes, rows }
}

#[test]
fn pods_go_where_their_proportions_fit() {
    let instance = a_cluster();
    let (packing, _) = by_routes(&instance);
    assert_eq!(fault(&instance, &packing), None);
    let (priced, _) = packed(&instance, |task, start, best| {
        priced_packings(task, &instance.demands(), start, best).expect("there is time");
    });
    let (by_routes, by_prices) = (cost(&instance, &packing), cost(&instance, &priced));
    assert!(by_routes < by_prices, "{by_routes} by routes, {by_prices} by prices alone");
}

#[test]
fn values_that_differ_with_proportions_are_worth_more_than_those_of_resources() {
    let instance = a_cluster();
    let (packing, worth) = by_routes(&instance);
    let demands = instance.demands();
    let routed = worth.expect("a program").worth(&demands);
    let (values, _) = resource_values(&instance);
    let known = usd(cost(&instance, &packing));
    assert!(routed <= known, "{routed} of {known}");
    // what nodes that are there can hold is not taken off the latter
    let resources = Duals { items: values, rows: vec![0.0; instance.rows.len()] };
    assert!(routed > 0.9 * known, "{routed} of {known}; of resources {}", resources.worth(&demands));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_pod_is_packed_and_no_row_overdrawn(instance in prop_oneof![instances(40), limited(40)]) {
        let (packing, _) = by_routes(&instance);
        prop_assume!(!packing.is_empty());
        prop_assert_eq!(fault(&instance, &packing), None);
        prop_assert_eq!(packing, by_routes(&instance).0);
    }
}
