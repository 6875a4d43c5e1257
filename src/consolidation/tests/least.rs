//! What no commands can come to less than.

use super::*;
use crate::consolidation::least::Outlook;

fn outlook(snapshot: &Snapshot, policy: &Policy) -> (Outlook, Consolidation) {
    let found = found(snapshot, policy, Budgets::Each);
    (Outlook::of((snapshot, &found.after), &found.commands, policy, now()), found)
}

#[test]
fn where_nodes_are_kept_or_go_as_well_as_can_be_nothing_is_left() {
    // one node of three is enough, and each is as good as the others
    let nodes: [Filled; 3] =
        [("a", FOUR, "on-demand", &[1_300]), ("b", FOUR, "on-demand", &[1_300]), ("c", FOUR, "on-demand", &[1_300])];
    let snapshot = cluster(&unlimited(), &only(&[FOUR]), &nodes);
    let (free, found) = outlook(&snapshot, &Policy::anything());
    assert_eq!(found.after.nodes.len(), 1);
    assert!((free.cost - free.least).0 <= 1, "3.9 cores of 3.9: {free:?}");
    // evictions at their price: two of three pods are moved
    let (priced, _) = outlook(&snapshot, &Policy::default());
    assert!(priced.least > free.least && priced.least <= priced.cost, "{priced:?}");
    assert!(priced.gap() < 1e-4, "{priced:?}");
}

#[test]
fn nodes_that_may_not_go_cost_what_they_cost() {
    let nodes: [Filled; 2] = [("a", FOUR, "on-demand", &[500]), ("b", FOUR, "on-demand", &[500])];
    let mut snapshot = cluster(&unlimited(), &only(&[FOUR]), &nodes);
    snapshot.node_pools[0].disruption.consolidation_policy = "WhenEmpty".into();
    let (outlook, _) = outlook(&snapshot, &Policy::default());
    assert_eq!((outlook.cost, outlook.gap()), (outlook.least, 0.0), "{outlook:?}");
}

#[test]
fn where_evictions_are_dearer_than_nodes_all_stay() {
    let nodes: [Filled; 2] = [("a", FOUR, "on-demand", &[500]), ("b", FOUR, "on-demand", &[500])];
    let mut snapshot = cluster(&unlimited(), &only(&[FOUR]), &nodes);
    for pod in &mut snapshot.pods {
        pod.disruption.eviction_price = Some(MicroUsd::from_usd(1e4));
    }
    let (outlook, found) = outlook(&snapshot, &Policy::default());
    assert_eq!((found.commands.len(), outlook.cost), (0, outlook.least), "{outlook:?}");
}

#[test]
fn a_node_that_is_fuller_than_it_may_be_makes_no_bound_too_high() {
    // d has more on it than it has room for; whatever happens to it, the others may go
    let nodes: [Filled; 3] =
        [("a", FOUR, "on-demand", &[500]), ("b", FOUR, "on-demand", &[500]), ("d", FOUR, "on-demand", &[3_800])];
    let mut snapshot = cluster(&unlimited(), &only(&[FOUR]), &nodes);
    let full = snapshot.nodes.iter_mut().find(|node| &*node.name == "d").unwrap();
    full.allocatable.set("cpu", 1_000);
    let (outlook, _) = outlook(&snapshot, &Policy::default());
    assert!(outlook.least < outlook.cost, "{outlook:?}");
}

/// Random clusters: what was found comes to no less than the least, whatever the policy.
#[test]
fn nothing_that_is_found_comes_to_less() {
    let mut dice = SplitMix64(11);
    let mut draw = |most: u64| usize::try_from(dice.next() % most).unwrap();
    let types = [TWO, FOUR, EIGHT];
    let (mut cost, mut least) = (0.0, 0.0);
    for _ in 0..40 {
        let names: Vec<String> = (0..2 + draw(6)).map(|index| format!("n{index}")).collect();
        let nodes: Vec<(String, &str, &str, Vec<u32>)> = names
            .into_iter()
            .map(|name| {
                let kind = types[draw(3)];
                let most = if kind == TWO { 2 } else { 4 };
                let capacity = if draw(3) == 0 { "spot" } else { "on-demand" };
                let pods = (0..draw(most + 1)).map(|_| 100 + 100 * u32::try_from(draw(8)).unwrap()).collect();
                (name, kind, capacity, pods)
            })
            .collect();
        let filled: Vec<Filled> = nodes.iter().map(|(name, kind, of, pods)| (&**name, *kind, *of, &**pods)).collect();
        let snapshot = cluster(&unlimited(), &json!([requires(labels::INSTANCE_TYPE, &types)]), &filled);
        for policy in [Policy::default(), Policy::anything(), Policy::calm()] {
            let (outlook, found) = outlook(&snapshot, &policy);
            assert!(outlook.least <= outlook.cost, "{outlook:?} {policy:?} {nodes:?} {:?}", found.commands);
            (cost, least) = (cost + outlook.cost.as_usd(), least + outlook.least.as_usd());
        }
    }
    // of a few nodes many are larger than a part of one would be
    assert!(least > 0.7 * cost, "the bound says something: {least} of {cost}");
}
