mod floor;
mod least;
mod means;
mod policies;
mod reference;
mod rules;
mod why;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::disruption::tests::world::{load, merged, node, now, pod, pool};
use crate::host::{Limits, Search};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::random::SplitMix64;
use crate::requirements::Requirement;
use crate::solve::Work;

/// A node: name, type, capacity type, and the millicores of each of its pods.
type Filled<'f> = (&'f str, &'f str, &'f str, &'f [u32]);

fn cluster(disruption: &Value, requirements: &Value, nodes: &[Filled]) -> Snapshot {
    let template = json!({"spec": {"template": {"spec": {"requirements": requirements}}}});
    let mut objects = vec![merged(pool(disruption), &template)];
    for &(name, kind, capacity_type, pods) in nodes {
        let [claim, of_node] = node(name);
        let cpus: u32 = kind.split(['-', 'x']).nth(1).unwrap().parse().unwrap();
        let room = json!({"cpu": format!("{}m", cpus * 1_000 - 100), "memory": format!("{}Mi", cpus * 2_048 - 10), "pods": "100"});
        let bought = json!({
            "metadata": {"labels": {labels::INSTANCE_TYPE: kind, labels::CAPACITY_TYPE: capacity_type}},
            "status": {"capacity": room, "allocatable": room},
        });
        objects.extend([merged(claim, &json!({"spec": {"expireAfter": "Never"}})), merged(of_node, &bought)]);
        objects.extend(pods.iter().enumerate().map(|(index, millis)| {
            let mut pod = pod(&format!("{name}-{index}"), name);
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!(format!("{millis}m"));
            pod
        }));
    }
    let (snapshot, errors) = load(&objects);
    assert_eq!(errors, Vec::<String>::new());
    Snapshot::clone(&snapshot)
}

fn unlimited() -> Value {
    json!({"budgets": [{"nodes": "100%"}]})
}

fn requires(key: &str, values: &[&str]) -> Value {
    json!({"key": key, "operator": "In", "values": values})
}

/// On-demand nodes of these types.
fn only(types: &[&str]) -> Value {
    json!([requires(labels::INSTANCE_TYPE, types), requires(labels::CAPACITY_TYPE, &["on-demand"])])
}

fn found(snapshot: &Snapshot, policy: &Policy, budgets: Budgets) -> Consolidation {
    let limits = Limits::of_work(Work::OF_A_TRIAL, Search::Integer);
    let found = consolidate(snapshot, Manner::all(policy, budgets, limits), now(), &|| Duration::MAX);
    let cost = |of: &Snapshot| of.nodes.iter().filter_map(|node| node.price).sum::<MicroUsd>();
    let saved: MicroUsd = found.commands.iter().map(|command| command.saved).sum();
    assert!(cost(snapshot) - cost(&found.after) >= saved, "what is promised is saved at least");
    assert!(found.after.pods.iter().all(|pod| pod.node.is_some()), "every pod has a node");
    found
}

fn all(snapshot: &Snapshot) -> Vec<Command> {
    found(snapshot, &Policy::default(), Budgets::Together).commands
}

fn removed(commands: &[Command]) -> Vec<Vec<&str>> {
    commands.iter().map(|command| command.removed.iter().map(|of| &*of.node).collect()).collect()
}

const ONE: &str = "c-1x-amd64-linux";
const TWO: &str = "c-2x-amd64-linux";
const FOUR: &str = "c-4x-amd64-linux";
const EIGHT: &str = "c-8x-amd64-linux";

#[test]
fn the_fewest_pods_move_where_it_costs_the_same_in_the_end() {
    let nodes: [Filled; 3] =
        [("a", FOUR, "on-demand", &[3_000]), ("b", FOUR, "on-demand", &[1_000]), ("c", FOUR, "on-demand", &[1_000])];
    let snapshot = cluster(&unlimited(), &only(&[FOUR, EIGHT]), &nodes);
    let commands = all(&snapshot);
    assert_eq!(commands.len(), 1);
    assert_eq!((commands[0].removed.len(), commands[0].launches.len(), commands[0].moves.len()), (1, 0, 1));
    let before: i64 = snapshot.nodes.iter().filter_map(|node| node.price).map(|price| price.0).sum();
    assert_eq!(commands[0].saved.0 * 3, before, "a third of all three");
}

#[test]
fn one_node_becomes_two_smaller_ones() {
    // 5.9 cores in one node of 8: 4 and 2 are enough
    let nodes: [Filled; 1] = [("a", EIGHT, "on-demand", &[1_900, 1_900, 1_800])];
    let commands = all(&cluster(&unlimited(), &only(&[TWO, FOUR, EIGHT]), &nodes));
    assert_eq!(removed(&commands), [["a"]]);
    let mut types: Vec<&str> = commands[0].launches.iter().map(|launch| &*launch.offers[0].instance_type).collect();
    types.sort_unstable();
    assert_eq!(types, [TWO, FOUR]);
    assert_eq!(commands[0].moves.len(), 3);
    assert!(commands[0].moves.iter().all(|of| commands[0].launches.iter().any(|launch| launch.name == of.to)));
}

#[test]
fn several_nodes_become_several_others() {
    // what fits nowhere else and on no single node
    let three: &[u32] = &[1_900, 1_900];
    let nodes: [Filled; 3] =
        [("a", EIGHT, "on-demand", three), ("b", EIGHT, "on-demand", three), ("c", EIGHT, "on-demand", three)];
    let snapshot = cluster(&unlimited(), &only(&[FOUR, EIGHT]), &nodes);
    let consolidation = found(&snapshot, &Policy::anything(), Budgets::Each);
    let cost: i64 = consolidation.after.nodes.iter().filter_map(|node| node.price).map(|price| price.0).sum();
    let one = snapshot.nodes[0].price.unwrap().0;
    assert_eq!(cost, 3 * one / 2, "three of four cores instead of three of eight");
}

#[test]
fn budgets_hold_for_all_commands_of_a_plan_together() {
    let nodes: [Filled; 4] = [
        ("a", FOUR, "on-demand", &[500]),
        ("b", FOUR, "on-demand", &[500]),
        ("c", FOUR, "on-demand", &[500]),
        ("d", FOUR, "on-demand", &[500]),
    ];
    let two = cluster(&json!({"budgets": [{"nodes": "2"}]}), &only(&[FOUR]), &nodes);
    let consolidation = found(&two, &Policy::default(), Budgets::Together);
    assert_eq!(consolidation.commands.iter().map(|command| command.removed.len()).sum::<usize>(), 2);
    assert_eq!(consolidation.held_back, [("default".into(), Method::Underutilized, 2)]);
    let none = cluster(&json!({"budgets": [{"nodes": "0"}]}), &only(&[FOUR]), &nodes);
    assert_eq!(all(&none), []);
    let each = found(&two, &Policy::default(), Budgets::Each);
    assert_eq!(each.after.nodes.len(), 1, "one after another they may all go but one");
}

#[test]
fn empty_nodes_go_together() {
    let nodes: [Filled; 3] =
        [("a", FOUR, "on-demand", &[]), ("b", FOUR, "on-demand", &[3_000]), ("c", FOUR, "spot", &[])];
    let commands = all(&cluster(&unlimited(), &only(&[FOUR]), &nodes));
    assert_eq!(removed(&commands), [["a", "c"]]);
    assert_eq!((commands[0].method, commands[0].moves.len()), (Method::Empty, 0));
}

#[test]
fn pods_that_cost_nothing_to_evict_keep_nothing_from_being_found() {
    let nodes: [Filled; 3] =
        [("a", FOUR, "on-demand", &[500]), ("b", FOUR, "on-demand", &[500]), ("c", FOUR, "on-demand", &[500])];
    let mut snapshot = cluster(&unlimited(), &only(&[FOUR]), &nodes);
    snapshot.pods[0].disruption.deletion_cost = i32::MIN;
    let limits = Limits::of_work(Work::OF_A_TRIAL, Search::Integer);
    let policy = Policy::default();
    let manner = Manner::all(&policy, Budgets::Together, limits);
    let commands = consolidate(&snapshot, manner, now(), &|| Duration::MAX).commands;
    assert_eq!(commands[0].method, Method::Empty);
    assert_eq!(removed(&commands)[0], ["a"]);
    assert_eq!(commands[1].method, Method::Underutilized, "the others are looked at all the same");
}

#[test]
fn drifted_nodes_are_replaced_one_by_one_whatever_it_costs() {
    // as full as a node can be, and nothing is cheaper
    let nodes: [Filled; 2] = [("a", FOUR, "on-demand", &[3_900]), ("b", FOUR, "on-demand", &[3_900])];
    let mut snapshot = cluster(&unlimited(), &only(&[FOUR, EIGHT]), &nodes);
    assert_eq!(all(&snapshot), []);
    for (node, minutes) in snapshot.nodes.iter_mut().zip([1, 2]) {
        let since = now() - Duration::from_secs(60 * minutes);
        node.disruption.drifted = Some(crate::observe::snapshot::Drifted { reason: "NodePoolDrifted".into(), since });
    }
    let commands = all(&snapshot);
    assert_eq!(removed(&commands), [["b"], ["a"]], "the oldest drift first");
    assert!(commands.iter().all(|command| command.method == Method::Drifted && command.launches.len() == 1));
    snapshot.node_pools[0].disruption.budgets = serde_json::from_value(json!([{"nodes": "1"}])).unwrap();
    assert_eq!(removed(&all(&snapshot)), [["b"]], "as the budget allows");
}

#[test]
fn what_saves_too_little_or_is_paid_back_too_late_stays() {
    let nodes: [Filled; 2] = [("a", FOUR, "on-demand", &[500]), ("b", FOUR, "on-demand", &[500])];
    let snapshot = cluster(&unlimited(), &only(&[FOUR]), &nodes);
    assert_eq!(all(&snapshot).len(), 1);
    let mut dear = snapshot.clone();
    for pod in &mut dear.pods {
        // a day of the node costs less
        pod.disruption.eviction_price = Some(MicroUsd(dear.nodes[0].price.unwrap().0 * 25));
    }
    assert_eq!(all(&dear), []);
    assert_eq!(found(&dear, &Policy::anything(), Budgets::Together).commands.len(), 1, "where moving pods is free");
    let mut short = snapshot.clone();
    for node in &mut short.nodes {
        node.disruption.expires_at = Some(now() + Duration::from_secs(60));
    }
    short.pods.iter_mut().for_each(|pod| pod.disruption.eviction_price = Some(MicroUsd(10_000)));
    assert_eq!(all(&short), [], "they go by themselves before that");
    let all_of_it = Policy { least_permille: 1_001, ..Policy::default() };
    assert_eq!(found(&snapshot, &all_of_it, Budgets::Together).commands, []);
}

#[test]
fn the_cloud_may_choose_nothing_that_eats_the_saving() {
    let nodes: [Filled; 1] = [("a", EIGHT, "on-demand", &[500])];
    let snapshot = cluster(&unlimited(), &only(&[ONE, TWO, FOUR, EIGHT]), &nodes);
    let half = Policy { least_permille: 500, ..Policy::default() };
    let commands = found(&snapshot, &half, Budgets::Together).commands;
    let offers: Vec<&str> = commands[0].launches[0].offers.iter().map(|offer| &*offer.instance_type).collect();
    assert!(!offers.is_empty() && !offers.contains(&EIGHT) && !offers.contains(&FOUR), "{offers:?}");
    assert!(commands[0].saved >= MicroUsd(commands[0].price().0 / 2));
}

#[test]
fn spot_comes_for_spot_only_where_the_gate_is_open() {
    let nodes: [Filled; 1] = [("a", EIGHT, "spot", &[500])];
    let spot = json!([requires(labels::CAPACITY_TYPE, &["spot"])]);
    let mut snapshot = cluster(&unlimited(), &spot, &nodes);
    assert_eq!(all(&snapshot), []);
    snapshot.settings.feature_gates.spot_to_spot_consolidation = true;
    let commands = all(&snapshot);
    assert_eq!(removed(&commands), [["a"]]);
    assert_eq!(commands[0].launches[0].capacity_type, CapacityType::Spot);
    let few = json!([requires(labels::CAPACITY_TYPE, &["spot"]), requires(labels::INSTANCE_TYPE, &[ONE, TWO, EIGHT])]);
    let mut snapshot = cluster(&unlimited(), &few, &nodes);
    snapshot.settings.feature_gates.spot_to_spot_consolidation = true;
    assert_eq!(all(&snapshot), [], "it may become two types");
}

#[test]
fn calm_leaves_young_nodes_alone_and_replaces_one_by_one() {
    let nodes: [Filled; 1] = [("a", EIGHT, "on-demand", &[1_900, 1_900, 1_800])];
    let mut snapshot = cluster(&unlimited(), &only(&[TWO, FOUR, EIGHT]), &nodes);
    assert_eq!(found(&snapshot, &Policy::calm(), Budgets::Together).commands, [], "it would become two");
    snapshot.pods.truncate(1);
    assert_eq!(found(&snapshot, &Policy::calm(), Budgets::Together).commands.len(), 1);
    snapshot.nodes[0].created_at = Some(now() - Duration::from_secs(3_599));
    assert_eq!(found(&snapshot, &Policy::calm(), Budgets::Together).commands, []);
}

#[test]
fn protected_pods_stay_and_what_is_found_is_never_dearer() {
    let mut dice = SplitMix64(7);
    for round in 0..20 {
        let types = [ONE, TWO, FOUR, EIGHT];
        let count = dice.between(1, 9);
        let names: Vec<String> = (0..count).map(|index| format!("n{index}")).collect();
        let mut pods: Vec<(usize, Vec<u32>)> = Vec::new();
        for _ in 0..count {
            let kind = usize::try_from(dice.between(0, 3)).unwrap();
            let mut left = (1_000_u64 << kind) - 100;
            let mut own = Vec::new();
            while dice.between(0, 3) > 0 && left >= 100 {
                let size = dice.between(1, left / 100) * 100;
                left -= size;
                own.push(u32::try_from(size).unwrap());
            }
            pods.push((kind, own));
        }
        let nodes: Vec<Filled> = names
            .iter()
            .zip(&pods)
            .map(|(name, (kind, own))| (name.as_str(), types[*kind], "on-demand", own.as_slice()))
            .collect();
        let mut snapshot = cluster(&unlimited(), &only(&types), &nodes);
        for pod in &mut snapshot.pods {
            if dice.between(0, 9) == 0 {
                pod.disruption.do_not_disrupt = Some(crate::observe::snapshot::DoNotDisrupt::Open);
            }
        }
        let consolidation = found(&snapshot, &Policy::anything(), Budgets::Each);
        let place =
            |of: &Snapshot, key: &PodKey| of.pods.iter().find(|pod| pod.key == *key).and_then(|pod| pod.node.clone());
        for pod in &snapshot.pods {
            let after = place(&consolidation.after, &pod.key);
            assert!(after.is_some(), "{round}: {} is lost", pod.key);
            if pod.disruption.do_not_disrupt.is_some() {
                assert_eq!(after, pod.node, "{round}: {} is protected", pod.key);
            }
        }
        for node in &consolidation.after.nodes {
            let used: i64 = consolidation
                .after
                .pods
                .iter()
                .filter(|pod| pod.node.as_ref() == Some(&node.name))
                .map(|pod| pod.template.spec.requests.get("cpu"))
                .sum();
            assert!(used <= node.allocatable.get("cpu"), "{round}: {} is too full", node.name);
        }
    }
}

#[test]
fn what_is_on_sale_is_looked_for_again_where_a_copy_of_a_pool_is_another_one() {
    let snapshot = cluster(&unlimited(), &only(&[FOUR, EIGHT]), &[("a", FOUR, "on-demand", &[3_000])]);
    let types = |of: &Snapshot| Problem::new(of).pools.first().map_or(0, |pool| pool.types.len());
    assert_eq!([types(&snapshot), types(&snapshot.clone())], [2, 2]);
    let mut narrow = snapshot.clone();
    narrow.node_pools[0].requirements.add(labels::INSTANCE_TYPE, Requirement::one_of([FOUR]));
    assert_eq!(types(&narrow), 1, "other requirements");
    let mut sold_out = snapshot.clone();
    for kind in Arc::make_mut(&mut sold_out.node_pools[0].instance_types) {
        kind.offerings.iter_mut().for_each(|offering| offering.available = false);
    }
    assert_eq!([types(&sold_out), types(&snapshot)], [0, 2], "other types");
}
