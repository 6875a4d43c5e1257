//! Why a node is still there.

use super::*;
use crate::consolidation::held::held;
use crate::consolidation::why::{Alone, PassedOver, Why, why};
use crate::observe::snapshot::{DoNotDisrupt, Pod, PodKey};

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

/// Half a node each: one of the two goes onto the other, which then has no room to go itself.
#[test]
fn a_node_that_could_go_says_what_goes_instead() {
    let mut snapshot = halves();
    // who waits has room on either, and is looked at by neither this nor plan --scope consolidate
    let waiting = Pod {
        node: None,
        key: PodKey { name: "waiting".into(), ..snapshot.pods[0].key.clone() },
        ..snapshot.pods[0].clone()
    };
    snapshot.pods.push(waiting);
    let both = [asked(&snapshot, 0), asked(&snapshot, 1)];
    let (goes, stays): (Vec<&Why>, Vec<&Why>) = both.iter().partition(|why| why.goes.is_some());
    let ([goes], [stays]) = (&goes[..], &stays[..]) else { panic!("{both:?}") };
    assert_eq!(goes.goes.as_ref().unwrap().moves.len(), 1, "{goes:?}");
    assert!(goes.passed_over.is_none());
    assert!(stays.holds.is_empty() && matches!(stays.alone, Alone::Worth { .. }), "{stays:?}");
    let Some(PassedOver { commands: 1, after_them: Some(after), .. }) = &stays.passed_over else { panic!("{stays:?}") };
    assert!(!matches!(after, Alone::Worth { .. }), "{after:?}");
    let moved: Vec<String> = all(&snapshot).iter().flat_map(|of| &of.moves).map(|of| of.pod.to_string()).collect();
    let said: Vec<&String> = goes.goes.iter().flat_map(|of| &of.moves).map(|of| &of.pod).collect();
    assert_eq!(said, moved.iter().collect::<Vec<_>>(), "as plan --scope consolidate says it");
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

#[test]
fn a_policy_that_asks_for_an_age_keeps_a_node_of_unknown_age_and_says_so() {
    let mut snapshot = halves();
    snapshot.nodes[0].created_at = None;
    snapshot.nodes[1].created_at = Some(snapshot.taken_at);
    let limits = Limits::of_work(Work::OF_A_TRIAL, Search::Integer);
    let calm = |node| why(&snapshot, node, &Policy::calm(), limits, &|| Duration::MAX);
    let (unknown, young) = (calm(0), calm(1));
    assert!(unknown.goes.is_none() && unknown.holds[0].why.contains("creationTimestamp is missing"));
    assert_eq!(unknown.holds[0].until, None);
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(young.holds[0].until, Some(snapshot.taken_at + hour));
    assert!(asked(&snapshot, 0).holds.is_empty(), "frugal asks for no age");
}

#[test]
fn what_keeps_the_nodes_that_stay_is_counted_by_kind() {
    let mut snapshot = halves();
    snapshot.pods[0].disruption.do_not_disrupt = Some(DoNotDisrupt::Open);
    let of = |snapshot: &Snapshot, commands: &[Command]| -> Vec<(&str, usize, String)> {
        let held = held(snapshot, &Policy::default(), commands);
        held.into_iter().map(|of| (of.why, of.nodes, of.example.to_string())).collect()
    };
    let pod = "a pod with the annotation karpenter.sh/do-not-disrupt";
    let commands = all(&snapshot);
    assert_eq!(removed(&commands), [["b"]]);
    assert_eq!(of(&snapshot, &commands), [(pod, 1, "a".to_owned())]);
    // an empty node is asked as one: that it is empty does not keep it
    snapshot.pods.remove(1);
    snapshot.nodes[1].claim = None;
    assert_eq!(of(&snapshot, &[])[0].0, pod);
    assert_eq!(of(&snapshot, &[])[1].1, 1);
    assert_eq!(of(&snapshot, &[]).len(), 2);
}
