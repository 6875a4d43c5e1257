//! What keeps commands from being found: budgets of pods, limits, reservations, spread, pods that wait.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::api::labels;
use crate::catalog::{CapacityType, Reservation};
use crate::consolidation::without::after;
use crate::observe::snapshot::{
    HostPort, LabelSelector, NodeInclusionPolicy, PodDisruptionBudget, TopologySpreadConstraint, WhenUnsatisfiable,
};
use crate::resources::Resources;

/// Nodes of four cores with a pod of half a core each, any of which has room for all of them.
fn scattered(count: usize) -> Snapshot {
    let names: Vec<String> = (0..count).map(|index| format!("n{index}")).collect();
    let nodes: Vec<Filled> = names.iter().map(|name| (name.as_str(), FOUR, "on-demand", &[500][..])).collect();
    cluster(&unlimited(), &only(&[FOUR]), &nodes)
}

/// All pods are of one budget.
fn budgeted(mut snapshot: Snapshot, disruptions_allowed: u32) -> Snapshot {
    let key = PodKey { namespace: "default".into(), name: "web".into() };
    snapshot.disruption_budgets =
        vec![PodDisruptionBudget { key, disruptions_allowed, always_allows_unhealthy: false }];
    snapshot.pods.iter_mut().for_each(|pod| pod.disruption.budgets = vec![0]);
    snapshot
}

#[test]
fn nodes_that_wait_for_the_same_budget_of_pods_do_not_go_together() {
    let evictions = |snapshot: &Snapshot| all(snapshot).iter().map(|command| command.moves.len()).sum::<usize>();
    assert_eq!(evictions(&scattered(5)), 4);
    assert_eq!(evictions(&budgeted(scattered(5), 3)), 3);
    assert_eq!(evictions(&budgeted(scattered(5), 1)), 1);
    assert_eq!(evictions(&budgeted(scattered(5), 0)), 0);
    let mut unready = budgeted(scattered(5), 1);
    let mut budget = unready.disruption_budgets[0].clone();
    budget.always_allows_unhealthy = true;
    unready.disruption_budgets = vec![budget];
    unready.pods.iter_mut().for_each(|pod| pod.disruption.not_ready = true);
    assert_eq!(evictions(&unready), 4, "they may be evicted at any time");
}

#[test]
fn one_node_is_drained_as_its_budget_of_pods_allows() {
    let nodes: [Filled; 2] = [("a", FOUR, "on-demand", &[500, 500]), ("b", FOUR, "on-demand", &[500, 500])];
    let commands = all(&budgeted(cluster(&unlimited(), &only(&[FOUR]), &nodes), 1));
    assert_eq!(commands.iter().map(|command| command.moves.len()).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_comes_has_to_be_within_the_limits_beside_what_goes() {
    let nodes: [Filled; 1] = [("a", EIGHT, "on-demand", &[500])];
    let limited = |cpu: i64| {
        let mut snapshot = cluster(&unlimited(), &only(&[ONE, TWO, FOUR, EIGHT]), &nodes);
        let mut resources = Resources::new();
        resources.set("cpu", cpu * 1_000);
        snapshot.node_pools[0].limits.resources = resources;
        all(&snapshot)
    };
    assert_eq!(limited(8), []);
    assert_eq!(removed(&limited(9)), [["a"]]);
}

#[test]
fn all_that_comes_has_to_be_within_the_limits_beside_all_that_goes_where_it_goes_together() {
    let nodes: [Filled; 3] =
        [("a", EIGHT, "on-demand", &[1_500]), ("b", EIGHT, "on-demand", &[1_500]), ("c", EIGHT, "on-demand", &[1_500])];
    let mut snapshot = cluster(&unlimited(), &only(&[TWO, EIGHT]), &nodes);
    // each on a node of its own
    for pod in &mut snapshot.pods {
        let port = HostPort { port: 80, protocol: "TCP".into(), ip: "0.0.0.0".into() };
        Arc::make_mut(&mut pod.template).spec.host_ports = vec![port];
    }
    let replaced = |snapshot: &Snapshot, budgets| removed(&found(snapshot, &Policy::default(), budgets).commands).len();
    assert_eq!(replaced(&snapshot, Budgets::Together), 3);
    let mut few = snapshot.clone();
    few.node_pools[0].limits.nodes = Some(5);
    assert_eq!(replaced(&few, Budgets::Together), 2, "three old and two new ones");
    assert_eq!(replaced(&few, Budgets::Each), 3, "the old one is gone before the next new one comes");
    let mut small = snapshot.clone();
    small.node_pools[0].limits.resources.set("cpu", 27_000);
    assert_eq!(replaced(&small, Budgets::Together), 1, "of three times eight cores and two");
    let mut cheap = snapshot.clone();
    let spent: MicroUsd = snapshot.nodes.iter().filter_map(|node| node.price).sum();
    cheap.node_pools[0].limits.usd_per_hour = Some(spent + MicroUsd(spent.0 / 24 * 5));
    assert_eq!(replaced(&cheap, Budgets::Together), 2, "five cores more");
}

#[test]
fn what_is_under_way_counts_as_the_largest_and_dearest_that_it_may_become() {
    let nodes: [Filled; 1] = [("a", EIGHT, "on-demand", &[1_500])];
    let snapshot = cluster(&unlimited(), &only(&[TWO, FOUR, EIGHT]), &nodes);
    let mut commands = all(&snapshot);
    let launch = &mut commands[0].launches[0];
    let price = MicroUsd(launch.price().0 * 2);
    let mut larger = launch.offers[0].clone();
    (larger.instance_type, larger.price) = (FOUR.into(), price);
    launch.offers = Arc::new(vec![launch.offers[0].clone(), larger]);
    let name = launch.name.clone();
    let of = |snapshot: &Snapshot| {
        let nodes = snapshot.nodes.iter().filter(|node| node.pool.is_some());
        nodes.map(|node| (node.name.clone(), node.deleting, node.capacity.get("cpu"))).collect::<Vec<_>>()
    };
    assert_eq!(of(&under_way(&snapshot, &commands)), [("a".into(), true, 7_900), (name.clone(), false, 4_000)]);
    assert_eq!(of(&after(&snapshot, &commands)), [(name, false, 2_000)]);
    let node = under_way(&snapshot, &commands).nodes.pop().unwrap();
    assert_eq!(
        (node.price, node.allocatable.get("cpu") < 2_001),
        (Some(price), true),
        "pods have the room of the first"
    );
}

#[test]
fn a_reservation_is_used_once() {
    let nodes: [Filled; 2] = [("a", EIGHT, "on-demand", &[3_500]), ("b", EIGHT, "on-demand", &[3_500])];
    let bought = |free: u32| {
        let requirements = json!([
            requires(labels::INSTANCE_TYPE, &[FOUR, EIGHT]),
            requires(labels::CAPACITY_TYPE, &["on-demand", "reserved"]),
        ]);
        let mut snapshot = cluster(&unlimited(), &requirements, &nodes);
        for kind in Arc::make_mut(&mut snapshot.node_pools[0].instance_types) {
            let Some(offering) = kind.offerings.iter_mut().find(|_| *kind.name == *FOUR) else { continue };
            (offering.capacity_type, offering.price) = (CapacityType::Reserved, MicroUsd(1));
            offering.reservation = Some(Reservation { id: "cr".into(), free });
        }
        // a full node has no room for the other's pod
        snapshot.pods.iter_mut().for_each(|pod| pod.disruption.eviction_price = Some(MicroUsd::ZERO));
        let commands = all(&snapshot);
        let launches = commands.iter().flat_map(|command| &command.launches);
        launches.filter(|launch| launch.capacity_type == CapacityType::Reserved).count()
    };
    assert_eq!([bought(0), bought(1), bought(2)], [0, 1, 2]);
}

#[test]
fn pods_that_are_spread_stay_apart() {
    let mut snapshot = scattered(2);
    assert_eq!(all(&snapshot).len(), 1);
    let apart = TopologySpreadConstraint {
        topology_key: labels::HOSTNAME.into(),
        max_skew: 1,
        min_domains: Some(2),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: LabelSelector::Matching(Vec::new()),
        node_affinity_policy: NodeInclusionPolicy::Honor,
        node_taints_policy: NodeInclusionPolicy::Ignore,
    };
    for pod in &mut snapshot.pods {
        Arc::make_mut(&mut pod.template).spec.topology_spread = vec![apart.clone()];
    }
    assert_eq!(all(&snapshot), []);
}

#[test]
fn pods_move_to_the_nodes_of_another_pool_and_its_budget_is_its_own() {
    let mut snapshot = scattered(4);
    let mut other = snapshot.node_pools[0].clone();
    other.name = "other".into();
    other.disruption.budgets = serde_json::from_value(json!([{"nodes": "0"}])).unwrap();
    snapshot.node_pools.push(other);
    for node in snapshot.nodes.iter_mut().skip(2) {
        node.pool = Some("other".into());
        Arc::make_mut(&mut node.labels).insert(labels::NODEPOOL.into(), "other".into());
    }
    let consolidation = found(&snapshot, &Policy::default(), Budgets::Together);
    let left: Vec<&str> = consolidation.after.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(left, ["n2", "n3"]);
    assert_eq!(consolidation.held_back, [("other".into(), Method::Underutilized, 2)]);
}

#[test]
fn no_pods_move_into_a_zone_that_is_shifted_away_from() {
    let mut snapshot = scattered(2);
    let command = all(&snapshot).remove(0);
    assert!(are_valid(&snapshot, &[&command]));
    let to = snapshot.nodes.iter().position(|node| node.name == command.moves[0].to).unwrap();
    snapshot.nodes[to].disruption.zone_shifted = true;
    assert!(!are_valid(&snapshot, &[&command]), "the shift has begun since");
    assert_eq!(all(&snapshot), []);
}

#[test]
fn pods_that_wait_get_the_room_that_there_is() {
    let mut snapshot = scattered(2);
    let mut waiting = snapshot.pods[0].clone();
    waiting.key.name = "waiting".into();
    waiting.node = None;
    let mut spec = waiting.template.spec.clone();
    spec.requests.set("cpu", 3_300);
    Arc::make_mut(&mut waiting.template).spec = spec;
    let mut huge = waiting.clone();
    huge.key.name = "huge".into();
    Arc::make_mut(&mut huge.template).spec.requests.set("cpu", 900_000);
    snapshot.pods.extend([waiting, huge]);
    let after = settled(&snapshot, &BTreeSet::new());
    assert_eq!((snapshot.pods.len(), after.pods.len()), (4, 3), "for one of them a node has to come");
    assert!(after.pods.iter().all(|pod| pod.node.is_some()));
    assert_eq!(all(&after), [], "what was free is not any more");
}

#[test]
fn no_more_pods_move_than_may_and_those_do_for_which_most_is_saved() {
    // there is room for all pods on one of the large ones; c has the fewest
    let nodes: [Filled; 4] = [
        ("a", FOUR, "on-demand", &[900, 900]),
        ("b", FOUR, "on-demand", &[1_000, 900]),
        ("c", EIGHT, "on-demand", &[900, 900]),
        ("d", EIGHT, "on-demand", &[500, 500, 500, 400]),
    ];
    let snapshot = cluster(&unlimited(), &only(&[FOUR, EIGHT]), &nodes);
    let moved = |most, evicted| {
        let policy = Policy { evictions_left: Some(EvictionLimit { most, evicted }), ..Policy::default() };
        let found = found(&snapshot, &policy, Budgets::Together);
        let moves: usize = found.commands.iter().map(|command| command.moves.len()).sum();
        (removed(&found.commands).concat().join(" "), moves, found.is_limited)
    };
    assert_eq!(moved(2, 0), ("c".to_owned(), 2, true));
    assert_eq!(moved(3, 1), ("c".to_owned(), 2, true));
    assert_eq!(moved(2, 1), (String::new(), 0, true));
    assert_eq!(moved(1, 0), ("c".to_owned(), 2, true), "one node may have more pods than the limit");
    assert_eq!(moved(6, 0).1, 6);
}

#[test]
fn as_many_nodes_as_can_go_at_once_and_each_pod_moves_once() {
    // c has nowhere to go; what is free on e takes the pods of the others
    let nodes: [Filled; 5] = [
        ("a", FOUR, "on-demand", &[100]),
        ("b", FOUR, "on-demand", &[200]),
        ("c", FOUR, "on-demand", &[3_700]),
        ("d", FOUR, "on-demand", &[300]),
        ("e", FOUR, "on-demand", &[3_000]),
    ];
    let snapshot = cluster(&unlimited(), &only(&[FOUR]), &nodes);
    for budgets in [Budgets::Together, Budgets::Each] {
        let commands = found(&snapshot, &Policy::default(), budgets).commands;
        let mut gone = removed(&commands).concat();
        gone.sort_unstable();
        assert_eq!(gone, ["a", "b", "d"]);
        let moves: Vec<&Move> = commands.iter().flat_map(|command| &command.moves).collect();
        assert_eq!(moves.len(), 3, "{moves:?}");
        assert!(moves.iter().all(|of| !gone.contains(&&*of.to)), "{moves:?}");
    }
}
