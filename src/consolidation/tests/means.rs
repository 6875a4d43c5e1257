//! A saving is one at the prices of now and at the means of the last 24 hours.

use std::sync::Arc;

use super::*;
use crate::consolidation::report::Report;
use crate::consolidation::why::{Alone, why};

/// One pod in a spot node of eight cores, for which one of two or four could come, on-demand.
fn oversized() -> Snapshot {
    let nodes: [Filled; 1] = [("a", EIGHT, "spot", &[1_500])];
    cluster(&unlimited(), &only(&[TWO, FOUR, EIGHT]), &nodes)
}

/// Of the offerings of a type, as a multiple of the price of now, permille.
fn set_means(snapshot: &mut Snapshot, kind: &str, permille: i64) {
    for pool in &mut snapshot.node_pools {
        let types = Arc::make_mut(&mut pool.instance_types);
        for offering in types.iter_mut().filter(|of| *of.name == *kind).flat_map(|of| &mut of.offerings) {
            offering.mean_price = Some(MicroUsd(offering.price.0 * permille / 1_000));
        }
    }
}

#[test]
fn what_was_dear_until_now_comes_for_nothing() {
    let mut snapshot = oversized();
    let before = all(&snapshot);
    assert_eq!((before.len(), &*before[0].launches[0].offers[0].instance_type), (1, TWO));
    set_means(&mut snapshot, TWO, 5_000);
    assert_eq!(all(&snapshot), [], "on average it costs more than the node that is there");
    let limits = Limits::of_work(Work::OF_A_TRIAL, Search::Integer);
    let alone = why(&snapshot, 0, &Policy::default(), limits, &|| Duration::MAX).alone;
    let Alone::NotWorth { why, .. } = &alone else { panic!("{alone:?}") };
    assert!(why.starts_with("at the mean prices of the last 24 hours"), "{why}");
}

#[test]
fn the_smaller_saving_of_both_is_what_is_promised() {
    let mut snapshot = oversized();
    let now = all(&snapshot)[0].saved;
    set_means(&mut snapshot, EIGHT, 900);
    let price = snapshot.nodes[0].price.unwrap().0;
    let mean = all(&snapshot)[0].saved;
    assert!(mean < now && mean >= MicroUsd(now.0 - price / 10 - 1), "{mean:?} of {now:?}");
    set_means(&mut snapshot, EIGHT, 1_500);
    assert_eq!(all(&snapshot)[0].saved, now, "that the node was dearer until now is no saving");
}

#[test]
fn alternatives_that_were_dear_until_now_are_left_out() {
    let mut snapshot = oversized();
    let zones = |snapshot: &Snapshot| -> Vec<Arc<str>> {
        all(snapshot)[0].launches[0].offers.iter().map(|offer| offer.zone.clone()).collect()
    };
    let before = zones(&snapshot);
    let (last, others) = before.split_last().unwrap();
    assert!(!others.is_empty(), "the zone is open: {before:?}");
    for kind in Arc::make_mut(&mut snapshot.node_pools[0].instance_types) {
        for offering in kind.offerings.iter_mut().filter(|of| of.zone == *last && *kind.name == *TWO) {
            offering.mean_price = Some(MicroUsd(offering.price.0 * 5));
        }
    }
    assert_eq!(zones(&snapshot), others);
}

#[test]
fn the_report_says_where_there_is_no_history() {
    let mut snapshot = oversized();
    let lacks = |snapshot: &Snapshot| {
        let report = Report::of(snapshot, &Policy::default(), &found(snapshot, &Policy::default(), Budgets::Together));
        report.commands.iter().map(|command| command.lacks_price_history).collect::<Vec<_>>()
    };
    assert_eq!(lacks(&snapshot), [true], "the node is a spot node");
    set_means(&mut snapshot, EIGHT, 1_000);
    assert_eq!(lacks(&snapshot), [false], "what comes for it is on-demand");
}
