//! What is counted is never more than what a packing costs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::consolidation::effort::Effort;
use crate::consolidation::floor::MayBuy;
use crate::consolidation::near::Surroundings;
use crate::consolidation::trial::{Trial, Wanted};

/// Nodes of up to eight cores, with pods of a few sizes.
fn world(dice: &mut SplitMix64) -> Snapshot {
    let types = [ONE, TWO, FOUR, EIGHT];
    let mut nodes: Vec<(String, usize, Vec<u32>)> = Vec::new();
    for index in 0..dice.between(2, 9) {
        let kind = usize::try_from(dice.between(0, 3)).unwrap();
        let mut left = (1_000_u32 << kind) - 100;
        let mut own = Vec::new();
        while dice.between(0, 5) > 0 {
            let size = [200, 300, 500, 900, 1_700][usize::try_from(dice.between(0, 4)).unwrap()];
            if size <= left {
                left -= size;
                own.push(size);
            }
        }
        nodes.push((format!("n{index}"), kind, own));
    }
    let nodes: Vec<Filled> =
        nodes.iter().map(|(name, kind, own)| (name.as_str(), types[*kind], "on-demand", own.as_slice())).collect();
    cluster(&unlimited(), &only(&types), &nodes)
}

#[test]
fn nothing_costs_less_than_what_is_counted() {
    let mut dice = SplitMix64(11);
    let mut bought = 0;
    for round in 0..150 {
        let snapshot = world(&mut dice);
        let surroundings = Surroundings::of(&snapshot);
        let names = snapshot.nodes.iter().map(|node| node.name.clone());
        let removed: BTreeSet<Arc<str>> = names.filter(|_| dice.between(0, 2) == 0).collect();
        let worth = MicroUsd(i64::MAX / 4);
        let floor = surroundings.floor(&snapshot, &removed, (worth, MayBuy::Anything));
        let time = || Duration::from_secs(60);
        let effort = Effort::new(&time, Duration::ZERO, usize::MAX);
        let limits = Limits::of_work(Work::OF_A_TRIAL, Search::Integer);
        let wanted = Wanted { price: MicroUsd::ZERO, worth: None, may_buy: true };
        let trial = Trial::of((&snapshot, &surroundings), &removed, &wanted, (limits, &effort));
        let cost = trial.unwrap_or_else(|why| panic!("{round}: {why:?}")).plan.cost();
        assert!(floor <= cost, "{round}: {removed:?} costs {cost}, and {floor} was counted");
        if floor > MicroUsd::ZERO {
            bought += 1;
            assert_eq!(surroundings.floor(&snapshot, &removed, (MicroUsd(1), MayBuy::Nothing)), MicroUsd(1), "{round}");
        }
        // as far as it matters
        assert!(surroundings.floor(&snapshot, &removed, (cost + MicroUsd(1), MayBuy::Anything)) <= cost, "{round}");
    }
    assert!(bought > 30, "{bought} need new nodes, as is known without a packing");
}
