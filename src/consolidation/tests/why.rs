//! Why a node is still there.

use super::*;
use crate::consolidation::why::{Alone, Why, why};
use crate::observe::snapshot::DoNotDisrupt;

fn asked(snapshot: &Snapshot, node: usize) -> Why {
    let limits = Limits::of_work(Work::OF_A_TRIAL, Search::Integer);
    why(snapshot, node, &Policy::default(), limits, &|| Duration::MAX)
}

fn halves() -> Snapshot {
    let nodes: [Filled; 2] = [("a", FOUR, "on-demand", &[500]), ("b", FOUR, "on-demand", &[500])];
    cluster(&unlimited(), &only(&[FOUR]), &nodes)
}

#[test]
fn what_holds_a_node_is_named_with_what_it_costs() {
    let mut snapshot = halves();
    snapshot.pods[0].disruption.do_not_disrupt = Some(DoNotDisrupt::Open);
    let a = asked(&snapshot, 0);
    assert_eq!(a.holds.len(), 1);
    assert!(a.holds[0].why.contains("karpenter.sh/do-not-disrupt"), "{}", a.holds[0].why);
    assert!(a.goes.is_none());
    let Alone::Worth { command, saved_usd_month } = &a.alone else { panic!("{:?}", a.alone) };
    assert_eq!((command.launches.len(), command.moves.len()), (0, 1));
    let month = a.price_usd_hour.unwrap() * 730.0;
    assert!((saved_usd_month - month).abs() < 1e-3, "{saved_usd_month} of {month}");
    let b = asked(&snapshot, 1);
    assert!(b.holds.is_empty());
    assert_eq!(b.goes.map(|command| command.removed.len()), Some(1));
}

#[test]
fn a_node_that_nothing_keeps_may_be_worth_nothing_less() {
    let mut snapshot = halves();
    for pod in &mut snapshot.pods {
        pod.disruption.eviction_price = Some(MicroUsd(1_000_000_000));
    }
    let a = asked(&snapshot, 0);
    assert!(a.holds.is_empty() && a.goes.is_none());
    let Alone::NotWorth { why, .. } = &a.alone else { panic!("{:?}", a.alone) };
    assert!(why.contains("not paid back"), "{why}");
}

#[test]
fn pods_without_another_place_are_named() {
    let mut snapshot = halves();
    snapshot.nodes.truncate(1);
    snapshot.pods.truncate(1);
    snapshot.node_pools[0].limits.nodes = Some(1);
    let Alone::NoPlace { pods } = asked(&snapshot, 0).alone else { panic!("there is room for one node") };
    assert_eq!(pods, ["default/a-0"]);
}
