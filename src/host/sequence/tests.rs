use serde_json::{Value, json};

use super::*;
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::disruption::tests::world::{load, merged, node, now, pod, pool};

/// Nodes of a pool: name, type, capacity type, and how many pods of 100 millicores each has.
fn cluster(disruption: &Value, requirements: &Value, nodes: &[(&str, &str, &str, usize)]) -> Snapshot {
    let template = json!({"spec": {"template": {"spec": {"requirements": requirements}}}});
    let mut objects = vec![merged(pool(disruption), &template)];
    for &(name, kind, capacity_type, pods) in nodes {
        let [claim, of_node] = node(name);
        let bought =
            json!({"metadata": {"labels": {labels::INSTANCE_TYPE: kind, labels::CAPACITY_TYPE: capacity_type}}});
        objects.extend([claim, merged(of_node, &bought)]);
        objects.extend((0..pods).map(|index| pod(&format!("{name}-{index}"), name)));
    }
    let (snapshot, errors) = load(&objects);
    assert_eq!(errors, Vec::<String>::new());
    Snapshot::clone(&snapshot)
}

const SMALL: &str = "c-2x-amd64-linux";
const LARGE: &str = "c-8x-amd64-linux";

fn all(snapshot: &Snapshot) -> Vec<Command> {
    let sequence = sequence(snapshot, now(), &|| false);
    assert!(!sequence.stopped);
    let cost = |of: &Snapshot| of.nodes.iter().filter_map(|node| node.price).sum::<MicroUsd>();
    let saved: MicroUsd = sequence.commands.iter().map(|command| command.saved).sum();
    assert_eq!(cost(snapshot) - saved, cost(&sequence.after), "what is saved is what is not paid any more");
    assert!(sequence.after.pods.iter().all(|pod| pod.node.is_some()), "every pod has a node");
    sequence.commands
}

fn kinds(commands: &[Command]) -> Vec<(Kind, Vec<&str>)> {
    commands.iter().map(|command| (command.kind, command.removed.iter().map(|name| &**name).collect())).collect()
}

fn unlimited() -> Value {
    json!({"budgets": [{"nodes": "100%"}]})
}

fn requires(key: &str, values: &[&str]) -> Value {
    json!({"key": key, "operator": "In", "values": values})
}

#[test]
fn empty_nodes_go_first_as_many_as_budgets_allow_at_a_time() {
    let nodes = [("a", SMALL, "on-demand", 0), ("b", SMALL, "on-demand", 0), ("c", SMALL, "on-demand", 0)];
    let two = cluster(&json!({"budgets": [{"nodes": "2"}]}), &json!([]), &nodes);
    assert_eq!(kinds(&all(&two)), [(Kind::Emptiness, vec!["a", "b"]), (Kind::Emptiness, vec!["c"])]);
    let none = cluster(&json!({"budgets": [{"nodes": "0"}]}), &json!([]), &nodes);
    assert_eq!(all(&none), []);
}

#[test]
fn the_longest_prefix_goes_for_one_cheaper_node() {
    let nodes = [("a", SMALL, "on-demand", 1), ("b", SMALL, "on-demand", 1), ("c", SMALL, "on-demand", 1)];
    let commands = all(&cluster(&unlimited(), &json!([]), &nodes));
    assert_eq!(kinds(&commands), [(Kind::MultiNode, vec!["a", "b", "c"])]);
    let replacement = commands[0].replacement.as_ref().unwrap();
    assert!(replacement.instance_type.starts_with("c-1x-"), "{replacement:?}");
    assert_eq!(replacement.capacity_type, CapacityType::Spot, "where both may be bought spot is");
    assert_eq!(commands[0].moved.len(), 3);
    assert!(commands[0].moved.iter().all(|(_, node)| *node == replacement.name));
    // by the budget two: their pods fit on the third
    let commands = all(&cluster(&json!({"budgets": [{"nodes": "2"}]}), &json!([]), &nodes));
    assert_eq!(kinds(&commands)[0], (Kind::MultiNode, vec!["a", "b"]));
    assert_eq!(commands[0].replacement, None);
}

#[test]
fn a_type_that_goes_comes_again_only_for_less_than_one_of_its_nodes() {
    let only = json!([requires(labels::INSTANCE_TYPE, &[SMALL]), requires(labels::CAPACITY_TYPE, &["on-demand"])]);
    let nodes = [("a", SMALL, "on-demand", 9), ("b", SMALL, "on-demand", 8)];
    let commands = all(&cluster(&unlimited(), &only, &nodes));
    // both for a new one is refused, one on the other is not
    assert_eq!(kinds(&commands), [(Kind::SingleNode, vec!["b"])]);
    assert_eq!(commands[0].replacement, None);
}

#[test]
fn a_replacement_is_cheaper_at_its_worst_or_nothing_happens() {
    let on_demand = requires(labels::CAPACITY_TYPE, &["on-demand"]);
    let of = |types: &[&str]| json!([on_demand, requires(labels::INSTANCE_TYPE, types)]);
    let nodes = [("a", LARGE, "on-demand", 1)];
    assert_eq!(all(&cluster(&unlimited(), &of(&[LARGE]), &nodes)), []);
    let commands = all(&cluster(&unlimited(), &of(&[LARGE, SMALL, "c-4x-amd64-linux"]), &nodes));
    assert_eq!(kinds(&commands), [(Kind::SingleNode, vec!["a"])]);
    let replacement = commands[0].replacement.as_ref().unwrap();
    let names: Vec<&str> = replacement.instance_types.iter().map(|name| &**name).collect();
    assert_eq!((names, &*replacement.instance_type), (vec![SMALL, "c-4x-amd64-linux"], SMALL));
}

#[test]
fn spot_for_spot_has_a_gate_and_needs_fifteen_cheaper_types() {
    let nodes = [("a", LARGE, "spot", 1)];
    let mut snapshot = cluster(&unlimited(), &json!([]), &nodes);
    assert_eq!(all(&snapshot), []);
    snapshot.settings.feature_gates.spot_to_spot_consolidation = true;
    let commands = all(&snapshot);
    assert_eq!(kinds(&commands)[0], (Kind::SingleNode, vec!["a"]));
    let replacement = commands[0].replacement.as_ref().unwrap();
    assert_eq!((replacement.instance_types.len(), replacement.capacity_type), (15, CapacityType::Spot));
    let few = json!([requires(labels::INSTANCE_TYPE, &[LARGE, SMALL, "c-4x-amd64-linux"])]);
    let mut snapshot = cluster(&unlimited(), &few, &nodes);
    snapshot.settings.feature_gates.spot_to_spot_consolidation = true;
    assert_eq!(all(&snapshot), [], "two are cheaper");
}

#[test]
fn no_pod_goes_to_a_node_that_is_not_initialized() {
    let only = json!([requires(labels::INSTANCE_TYPE, &[SMALL]), requires(labels::CAPACITY_TYPE, &["on-demand"])]);
    let nodes = [("a", SMALL, "on-demand", 1), ("b", SMALL, "on-demand", 1)];
    let mut snapshot = cluster(&unlimited(), &only, &nodes);
    snapshot.nodes[1].stage = crate::observe::snapshot::NodeStage::Registered;
    assert_eq!(all(&snapshot), []);
}

#[test]
fn pools_take_turns() {
    let nodes = [("a", LARGE, "on-demand", 9), ("b", LARGE, "on-demand", 9), ("c", SMALL, "on-demand", 1)];
    let mut snapshot = cluster(&unlimited(), &json!([requires(labels::CAPACITY_TYPE, &["on-demand"])]), &nodes);
    let mut other = snapshot.node_pools[0].clone();
    other.name = "other".into();
    snapshot.node_pools.push(other);
    for (node, pool) in [(0, "default"), (1, "default"), (2, "other")] {
        snapshot.nodes[node].pool = Some(pool.into());
    }
    let (at, never) = (now(), || false);
    let pass = Pass { current: &snapshot, now: at, number: 0, stop: &never };
    let order: Vec<&str> = pass.in_turns().iter().map(|of| &*snapshot.nodes[of.node].name).collect();
    assert_eq!(order, ["a", "c", "b"], "the largest saving of each pool, then the next of each");
}

#[test]
fn a_search_that_is_stopped_says_so() {
    let nodes = [("a", SMALL, "on-demand", 1), ("b", SMALL, "on-demand", 1)];
    let sequence = sequence(&cluster(&unlimited(), &json!([]), &nodes), now(), &|| true);
    assert!(sequence.stopped);
    assert_eq!(sequence.commands, []);
}
