//! What is bought where `minValues` asks for several values, in pools of many types at random prices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::dice::Dice;
use super::properties::NO_HURRY;
use super::worlds::{MIXED, Size, world};
use crate::api::labels;
use crate::catalog::{CapacityType, Offering};
use crate::host::decide;
use crate::model::{PoolModel, Problem, TypeModel};
use crate::observe::Snapshot;
use crate::plan::check::{Rule, check};
use crate::plan::{Launch, Offer};
use crate::requirements::Requirement;
use crate::settings::MinValuesPolicy;
use crate::solve::purchase::{Book, Wish, purchase};

const WORLDS: u64 = 1_600;
const WIDE: Size = Size { types: 12, ..MIXED };

/// A world in which most pools have minimums, and launches can name few types.
fn wide_world(seed: u64) -> Snapshot {
    let mut snapshot = world(seed, WIDE);
    let dice = &mut Dice::new(seed ^ 0x5eed);
    snapshot.settings.max_instance_types = *dice.pick(&[2, 3, 4, 6, 8]);
    snapshot.settings.price_flexibility_permille = *dice.pick(&[0, 50, 100, 400]);
    for pool in &mut snapshot.node_pools {
        for key in [labels::INSTANCE_TYPE, labels::INSTANCE_FAMILY, labels::ZONE, labels::ARCH] {
            if dice.percent(40) {
                let mut many = Requirement::exists();
                many.min_values = Some(u32::try_from(dice.between(2, 4)).unwrap());
                pool.requirements.add(key, many);
            }
        }
    }
    snapshot
}

type Sold<'p> = (&'p TypeModel<'p>, &'p Offering);

/// Whether the offers have enough values for every minimum; counted apart from the code under test.
fn keeps(pool: &PoolModel, offers: &[Sold]) -> bool {
    pool.min_values.iter().all(|(key, wanted)| {
        let mut values: BTreeSet<String> = BTreeSet::new();
        for (kind, offering) in offers {
            let of_type = kind.instance_type.requirements.get(key).and_then(|r| r.finite_values());
            match offering.label(key) {
                Some(value) => values.extend([value.to_owned()]),
                None => values.extend(of_type.into_iter().flatten().map(ToString::to_string)),
            }
        }
        values.len() >= *wanted as usize
    })
}

fn name<'p>((kind, _): &Sold<'p>) -> &'p str {
    &kind.instance_type.name
}

#[test]
fn a_purchase_keeps_the_minimums_with_no_dear_offer_too_many() {
    let (mut bought, mut dear_types, mut tight) = (0, 0, 0);
    for seed in 0..WORLDS {
        let mut snapshot = wide_world(seed);
        snapshot.settings.min_values_policy = MinValuesPolicy::Strict;
        let problem = Problem::new(&snapshot);
        for pool in problem.pools.iter().filter(|pool| !pool.min_values.is_empty()) {
            let mut types = FixedBitSet::with_capacity(pool.types.len());
            types.insert_range(..);
            let must_have = pool.labels_to_be_had(&pool.requirements);
            let sold: Vec<Sold> = pool
                .types
                .iter()
                .flat_map(|kind| kind.offerings.iter().map(move |offering| (kind, *offering)))
                .filter(|(kind, offering)| kind.sells(offering, &pool.requirements, &must_have))
                .collect();
            let reservations = sold.iter().filter_map(|(_, o)| o.reservation.as_ref()).map(|r| r.id.clone()).collect();
            let wish = Wish { types: &types, reservations: &reservations, spend_limit: None };
            let book = Book::of(pool, &pool.requirements);
            let found = purchase(pool, &snapshot.settings, &book, wish, &BTreeMap::new());

            let most = snapshot.settings.max_instance_types;
            let sum: u32 = pool.min_values.iter().map(|(_, wanted)| wanted).sum();
            let all_of = |of: CapacityType| -> Vec<Sold> {
                sold.iter().filter(|(_, offering)| offering.capacity_type == of).copied().collect()
            };
            let can_keep = [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand]
                .into_iter()
                .any(|of| keeps(pool, &all_of(of)));
            if can_keep && sum as usize <= most {
                assert!(found.is_some(), "world {seed}: {} could be bought from", pool.pool.name);
            }
            let Some(found) = found else { continue };
            let named: BTreeSet<&str> = found.offers.iter().map(name).collect();
            assert!(can_keep && keeps(pool, &found.offers) && named.len() <= most, "world {seed}: {named:?}");
            let window = i128::from(found.offers[0].1.price.0)
                * (1_000 + i128::from(snapshot.settings.price_flexibility_permille));
            let dear = |(_, offering): &Sold| i128::from(offering.price.0) * 1_000 > window;
            let of_dear: BTreeSet<&str> = found.offers.iter().filter(|sold| dear(sold)).map(name).collect();
            for (index, sold) in found.offers.iter().enumerate().filter(|(_, sold)| dear(sold)) {
                let mut others = found.offers.clone();
                others.remove(index);
                assert!(!keeps(pool, &others), "world {seed}: {} in {} is not needed", name(sold), sold.1.zone);
            }
            bought += 1;
            dear_types += of_dear.len();
            tight += usize::from(named.len() == most);
        }
    }
    println!("{bought} purchases, {dear_types} dear types, {tight} with as many types as a launch may name");
    assert!(bought > 300 && dear_types > 300 && tight > 100);
}

#[test]
fn what_is_bought_is_accepted_and_one_dear_type_more_is_not() {
    const OF_PURCHASES: [Rule; 3] = [Rule::PriceFlexibility, Rule::MinValues, Rule::TooManyTypes];
    let (mut launches, mut refused) = (0, 0);
    for seed in 0..WORLDS {
        let snapshot = wide_world(seed);
        let decision = decide(&std::sync::Arc::new(snapshot.clone()), NO_HURRY);
        let faults: Vec<_> = decision.refused.iter().filter(|v| OF_PURCHASES.contains(&v.rule)).collect();
        assert!(faults.is_empty(), "world {seed}: {faults:?}");
        launches += decision.plan.launches.len();
        for (index, launch) in decision.plan.launches.iter().enumerate() {
            let pool = &snapshot.node_pools[launch.pool];
            let has_minimums = pool.requirements.iter().any(|(_, r)| r.min_values.is_some());
            if has_minimums && snapshot.settings.min_values_policy == MinValuesPolicy::BestEffort {
                continue; // a type more may be one that a minimum misses
            }
            let Some(dear) = dear_offer(&snapshot, launch) else { continue };
            let mut draft = decision.plan.to_draft();
            Arc::make_mut(&mut draft.launches[index].offers).push(dear);
            let violations = check(&snapshot, draft).expect_err("an offer that is too dear");
            let named = violations.iter().any(|v| v.rule == Rule::PriceFlexibility);
            assert!(named, "world {seed}: {}: {violations:?}", launch.name);
            refused += 1;
        }
    }
    println!("{launches} launches, {refused} refused with one dear type more");
    assert!(launches > 1_000 && refused > 500);
}

/// An offer of a type that the launch does not name, above its price window.
fn dear_offer(snapshot: &Snapshot, launch: &Launch) -> Option<Offer> {
    let flexible = 1_000 + i128::from(snapshot.settings.price_flexibility_permille);
    let window = i128::from(launch.offers[0].price.0) * flexible;
    let named: BTreeSet<&Arc<str>> = launch.offers.iter().map(|offer| &offer.instance_type).collect();
    let kinds = snapshot.node_pools[launch.pool].instance_types.iter().filter(|kind| !named.contains(&kind.name));
    let mut offers = kinds.flat_map(|kind| kind.offerings.iter().map(move |offering| (kind, offering)));
    let (kind, offering) = offers.find(|(_, offering)| {
        offering.capacity_type == launch.capacity_type && i128::from(offering.price.0) * 1_000 > window
    })?;
    Some(Offer {
        instance_type: kind.name.clone(),
        zone: offering.zone.clone(),
        reservation: offering.reservation.as_ref().map(|reservation| reservation.id.clone()),
        price: offering.price,
    })
}
