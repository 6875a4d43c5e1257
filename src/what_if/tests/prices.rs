//! What constraints cost.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::host::Search;
use crate::solve::Work;

const TWO: &str = "c-2x-amd64-linux";

fn pricing(policy: &Policy) -> Pricing<'_> {
    let limits = Limits::of_work(Work::OF_A_TRIAL, Search::Integer);
    Pricing { policy, limits, within: Duration::MAX }
}

fn owned(pod: Value, owner: &str) -> Value {
    let of = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true}]);
    merged(pod, &json!({"metadata": {"ownerReferences": of}}))
}

/// Nodes `m` and `n` of one type, on each a pod of `web` that would fit the other: one of them is too many. With changes: of which kind
/// of object, and how; of the pool's `disruption` without a kind.
fn cluster(changes: &[(&str, Value)]) -> Arc<Snapshot> {
    let requires = |key: &str, value: &str| json!({"key": key, "operator": "In", "values": [value]});
    let only = json!([requires(labels::INSTANCE_TYPE, TWO), requires(labels::CAPACITY_TYPE, "on-demand")]);
    let template = json!({"spec": {"template": {"spec": {"requirements": only}}}});
    let never = json!({"spec": {"expireAfter": "Never"}});
    let mut objects = vec![merged(pool(&json!({"budgets": [{"nodes": "100%"}]})), &template)];
    for name in ["m", "n"] {
        let [claim, of_node] = node(name);
        objects.extend([merged(claim, &never), of_node, owned(pod(&format!("web-{name}"), name), "web")]);
    }
    for (kind, change) in changes {
        if *kind == "PodDisruptionBudget" {
            objects.push(change.clone());
        }
        for object in objects.iter_mut().filter(|object| object["kind"] == *kind && *kind != "PodDisruptionBudget") {
            *object = merged(object.clone(), change);
        }
    }
    let (snapshot, errors) = load(&objects);
    assert_eq!(errors, Vec::<String>::new());
    snapshot
}

fn price(snapshot: &Snapshot) -> f64 {
    snapshot.nodes[0].price.unwrap().as_usd()
}

/// Kind, object and what consolidation saves more without it, in prices of one node.
fn tags(snapshot: &Arc<Snapshot>) -> Vec<(&'static str, String, f64)> {
    let list = price_list(snapshot, pricing(&Policy::default()), &|_| {});
    assert!(list.not_reached.is_empty() && list.launches_usd_hour.is_none());
    let nodes = |usd: f64| (usd / price(snapshot) * 1e3).round() / 1e3;
    list.tags
        .iter()
        .map(|tag| (tag.kind, tag.change.object.clone(), nodes(tag.consolidation_usd_hour.unwrap())))
        .collect()
}

fn annotated() -> Value {
    json!({"metadata": {"annotations": {labels::DO_NOT_DISRUPT: "true"}}})
}

#[test]
fn what_keeps_both_nodes_costs_one_of_them() {
    let disruption = |field: &str, value: Value| json!({"spec": {"disruption": {field: value}}});
    let (budgets, pool) = ("disruption-budget", "NodePool default");
    let mut cases = vec![
        (("Pod", annotated()), "do-not-disrupt", "ReplicaSet default/web"),
        (("NodePool", disruption("budgets", json!([{"nodes": "0"}]))), budgets, pool),
        (("NodePool", disruption("consolidateAfter", json!("Never"))), "consolidate-after", pool),
        (("NodePool", disruption("consolidationPolicy", json!("WhenEmpty"))), "consolidation-policy", pool),
    ];
    let none = budget("web", &json!({"maxUnavailable": 0}), Some(0));
    cases.push((("PodDisruptionBudget", none), "pod-disruption-budget", "PodDisruptionBudget default/web"));
    for (change, kind, object) in cases {
        let snapshot = cluster(std::slice::from_ref(&change));
        let all = tags(&snapshot);
        assert_eq!(all[0], (kind, object.to_owned(), 1.0), "{all:?}");
        assert!(all[1..].iter().all(|(.., found)| *found == 0.0), "nothing else keeps them: {all:?}");
        let list = price_list(&snapshot, pricing(&Policy::default()), &|_| {});
        assert_eq!(list.saved_usd_hour, Some(0.0));
        let of_node = prices_of_holds(&snapshot, 0, pricing(&Policy::default()));
        let is_one = |usd: f64| (usd / price(&snapshot) - 1.0).abs() < 1e-6;
        let is_hold = kind != "disruption-budget";
        assert_eq!(of_node.len(), usize::from(is_hold), "a budget of the pool holds no node of its own");
        assert!(of_node.iter().all(|tag| tag.kind == kind && is_one(tag.consolidation_usd_hour.unwrap())));
    }
}

#[test]
fn each_of_two_nodes_that_people_keep_has_a_price() {
    let all = tags(&cluster(&[("Node", annotated())]));
    let of_nodes: Vec<_> = all.iter().filter(|(kind, ..)| *kind == "do-not-disrupt").collect();
    assert_eq!(of_nodes.len(), 2);
    assert!(of_nodes.iter().all(|(_, object, found)| object.starts_with("Node ") && *found == 1.0), "{all:?}");
}

#[test]
fn what_does_not_bind_costs_nothing() {
    let limits = json!({"spec": {"limits": {"nodes": "9", "cpu": "100"}}});
    let loose = budget("web", &json!({"maxUnavailable": 1}), Some(1));
    let snapshot = cluster(&[("NodePool", limits), ("PodDisruptionBudget", loose)]);
    let all = tags(&snapshot);
    let kinds: BTreeSet<&str> = all.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, BTreeSet::from(["disruption-budget", "limit", "pod-disruption-budget"]));
    assert!(all.iter().all(|(.., found)| *found == 0.0), "{all:?}");
    let saved = price_list(&snapshot, pricing(&Policy::default()), &|_| {}).saved_usd_hour;
    assert_eq!(saved, Some(price(&snapshot)), "one goes with all of them");
}

#[test]
fn two_holds_that_hold_alike_cost_nothing_each() {
    let none = budget("web", &json!({"maxUnavailable": 0}), Some(0));
    let snapshot = cluster(&[("Pod", annotated()), ("PodDisruptionBudget", none)]);
    let of_node = prices_of_holds(&snapshot, 0, pricing(&Policy::default()));
    let kinds: Vec<&str> = of_node.iter().map(|tag| tag.kind).collect();
    assert_eq!(kinds, ["do-not-disrupt"], "of one pod the first hold is told");
    assert_eq!(of_node[0].consolidation_usd_hour, Some(0.0), "the budget still keeps it");
}

#[test]
fn what_there_is_no_time_for_is_said() {
    let limits = Limits::of_time(Duration::from_secs(1), Search::Integer);
    let policy = Policy::default();
    let none = Pricing { policy: &policy, limits, within: Duration::ZERO };
    let list = price_list(&cluster(&[("Pod", annotated())]), none, &|_| {});
    assert!(list.tags.is_empty());
    let objects: Vec<&str> = list.not_reached.iter().map(|of| of.object.as_str()).collect();
    assert_eq!(objects, ["NodePool default", "ReplicaSet default/web"]);
}

#[test]
fn anti_affinity_and_spread_of_pods_that_wait_are_intervals() {
    let snapshot = cluster(&[]);
    let own = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": labels::HOSTNAME});
    let rules = json!({"spec": {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [own]}},
        "topologySpreadConstraints": [{
            "maxSkew": 5, "topologyKey": labels::ZONE, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }],
    }});
    let waiting = |name: &str| {
        let mut pod = merged(owned(pod(name, ""), "web"), &rules);
        pod["spec"].as_object_mut().unwrap().remove("nodeName");
        pod["status"] = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "", "lastTransitionTime": null},
        ]});
        pod
    };
    let requires = |key: &str, value: &str| json!({"key": key, "operator": "In", "values": [value]});
    let only = json!([requires(labels::INSTANCE_TYPE, TWO), requires(labels::CAPACITY_TYPE, "on-demand")]);
    let template = json!({"spec": {"template": {"spec": {"requirements": only}}}});
    let mut objects = vec![merged(pool(&json!({})), &template)];
    objects.extend(["a", "b", "c"].map(waiting));
    let (pending, errors) = load(&objects);
    assert_eq!(errors, Vec::<String>::new());
    let list = price_list(&pending, pricing(&Policy::default()), &|_| {});
    let of = |kind: &str| list.tags.iter().find(|tag| tag.kind == kind).unwrap().launches_usd_hour.as_ref().unwrap();
    let near = |a: f64, nodes: f64| (a - nodes * price(&snapshot)).abs() < 1e-6;
    let apart = of("pod-anti-affinity");
    assert!(near(apart.at_least, 2.0) && near(apart.at_most, 2.0), "three nodes instead of one: {apart:?}");
    let spread = of("topology-spread");
    assert!(near(spread.at_least, 0.0) && near(spread.at_most, 0.0), "{spread:?}");
    assert_eq!(list.tags[0].kind, "pod-anti-affinity", "the dearest first");
    assert!(list.tags.iter().all(|tag| tag.consolidation_usd_hour.is_none()));
    assert_eq!(list.saved_usd_hour, None);
}

#[test]
fn commands_found_without_a_rule_count_as_far_as_they_are_allowed_with_it() {
    use crate::consolidation::{after_allowed, consolidate_now};
    let free = cluster(&[]);
    let policy = Policy::default();
    let commands = consolidate_now(&free, &policy, pricing(&policy).limits, 0).commands;
    assert_eq!(commands.len(), 1);
    let nodes =
        |snapshot: &Snapshot| after_allowed(snapshot, &commands, snapshot.taken_at, &|| Duration::MAX).nodes.len();
    assert_eq!(nodes(&free), 1);
    let none = budget("web", &json!({"maxUnavailable": 0}), Some(0));
    let no_budget = json!({"spec": {"disruption": {"budgets": [{"nodes": "0"}]}}});
    // it would have to be launched
    let full = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m"}}}]}});
    for change in [("Pod", annotated()), ("PodDisruptionBudget", none), ("NodePool", no_budget), ("Pod", full)] {
        assert_eq!(nodes(&cluster(std::slice::from_ref(&change))), 2, "{change:?}");
    }
    let late = after_allowed(&free, &commands, free.taken_at, &|| Duration::ZERO);
    assert_eq!(late.nodes.len(), 2);
}
