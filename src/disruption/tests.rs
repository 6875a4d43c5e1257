pub mod world;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::labels;
use crate::observe::Snapshot;
use crate::units::MicroUsd;
use world::{budget, condition, load, merged, node, now, pod, pool};

/// The node `n` with a pod, changed as it is said: of which kind, and how.
fn with(changes: &[(&str, Value)]) -> Vec<Value> {
    let mut objects = vec![pool(&json!({})), pod("web", "n")];
    objects.extend(node("n"));
    for (kind, change) in changes {
        let object = objects.iter_mut().find(|object| object["kind"] == *kind).expect("one of these");
        *object = merged(object.clone(), change);
    }
    objects
}

/// What keeps the only node; nothing where it is a candidate.
fn holds(objects: &[Value], method: Method) -> Vec<String> {
    let (snapshot, errors) = load(objects);
    assert_eq!(errors, Vec::<String>::new());
    let [standing] = &candidates(&snapshot, method, now())[..] else { panic!("one managed node") };
    standing.verdict.as_ref().err().into_iter().flatten().map(ToString::to_string).collect()
}

/// As [`holds`], of `Underutilized` with one change.
fn held(kind: &str, change: Value) -> Vec<String> {
    holds(&with(&[(kind, change)]), Method::Underutilized)
}

fn annotated(key: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {key: value}}})
}

#[test]
fn a_node_with_a_pod_is_underutilized_and_one_without_is_empty() {
    assert_eq!(held("Pod", json!({})), [""; 0]);
    assert_eq!(holds(&with(&[]), Method::Empty), ["it has pods"]);
    assert_eq!(holds(&with(&[]), Method::Drifted), ["it is not drifted"]);
    for gone in [
        json!({"status": {"phase": "Succeeded"}}),
        json!({"metadata": {"deletionTimestamp": "2026-01-05T12:00:00Z"}}),
        json!({"metadata": {"ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true},
        ]}}),
        annotated(labels::MIRROR_POD, "x"),
        annotated(labels::POD_DELETION_COST, "-134217728"),
    ] {
        let objects = with(&[("Pod", gone.clone())]);
        assert_eq!(holds(&objects, Method::Empty), [""; 0], "{gone}");
        assert_eq!(holds(&objects, Method::Underutilized), ["it is empty"], "{gone}");
    }
    let comes_back = json!({"metadata": {"deletionTimestamp": "2026-01-05T12:00:00Z", "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "s", "controller": true},
    ]}});
    assert_eq!(holds(&with(&[("Pod", comes_back)]), Method::Empty), ["it has pods"]);
}

#[test]
fn the_state_of_the_node_may_keep_it() {
    let of_node = |change| held("Node", change);
    assert_eq!(of_node(json!({"metadata": {"labels": {labels::INITIALIZED: "false"}}})), ["it is not initialized"]);
    assert_eq!(
        of_node(json!({"spec": {"taints": [{"key": labels::TAINT_DISRUPTED, "effect": "NoSchedule"}]}})),
        ["it is being deleted"]
    );
    assert_eq!(
        held("NodeClaim", json!({"metadata": {"deletionTimestamp": "2026-01-05T12:00:00Z"}})),
        ["it is being deleted"]
    );
    assert_eq!(
        of_node(annotated(labels::DO_NOT_DISRUPT, "true")),
        ["its annotation karpenter.sh/do-not-disrupt is true"]
    );
    assert_eq!(of_node(annotated(labels::DO_NOT_DISRUPT, "24h")), [""; 0], "a node knows no durations");
    let mut shifted = (*load(&with(&[])).0).clone();
    shifted.nodes[0].disruption.zone_shifted = true;
    for method in [Method::Empty, Method::Underutilized, Method::Drifted] {
        let holds = candidates(&shifted, method, now()).remove(0).verdict.unwrap_err();
        assert!(holds.contains(&Hold::ZoneShifted), "{holds:?}");
    }
    let (snapshot, _) = load(&with(&[]));
    let mut nominated = (*snapshot).clone();
    nominated.nodes[0].disruption.nominated_until = Some("2026-01-05T12:00:20Z".parse().unwrap());
    let standing = |at: &str| candidates(&nominated, Method::Underutilized, at.parse().unwrap()).remove(0).verdict;
    let until: Vec<_> = standing("2026-01-05T12:00:19Z").unwrap_err().iter().map(Hold::until).collect();
    assert_eq!(until, [Some("2026-01-05T12:00:20Z".parse::<Timestamp>().unwrap())]);
    assert!(standing("2026-01-05T12:00:20Z").is_ok());
}

#[test]
fn its_pool_may_keep_it() {
    let of_pool = |change| held("NodePool", change);
    assert_eq!(of_pool(json!({"metadata": {"name": "other"}})), ["NodePool default is not there, or cannot be read"]);
    let mut without_types = Snapshot::clone(&load(&with(&[])).0);
    without_types.node_pools[0].instance_types = Arc::default();
    let verdict = candidates(&without_types, Method::Underutilized, now()).remove(0).verdict;
    assert_eq!(verdict, Err(vec![Hold::NoTypes { pool: "default".into() }]));
    assert_eq!(of_pool(json!({"spec": {"replicas": 1}})), ["NodePool default keeps a number of nodes"]);
    let disruption = |field: &str, value: &str| json!({"spec": {"disruption": {field: value}}});
    assert_eq!(of_pool(disruption("consolidateAfter", "Never")), ["NodePool default has consolidateAfter Never"]);
    assert_eq!(
        of_pool(disruption("consolidationPolicy", "WhenEmpty")),
        ["NodePool default consolidates empty nodes only"]
    );
    let ended = json!({"status": {"phase": "Failed"}});
    let empty = |change| holds(&with(&[("Pod", ended.clone()), ("NodePool", change)]), Method::Empty);
    assert_eq!(empty(disruption("consolidationPolicy", "WhenEmpty")), [""; 0]);
    assert_eq!(empty(disruption("consolidateAfter", "Never")), ["NodePool default has consolidateAfter Never"]);
}

#[test]
fn consolidate_after_counts_from_the_last_change_of_pods_or_from_initialization() {
    let after = |time: &str, changed: Value| {
        let after = json!({"spec": {"disruption": {"consolidateAfter": time}}});
        let claim = json!({"status": {"lastPodEventTime": changed}});
        holds(&with(&[("NodePool", after), ("NodeClaim", claim)]), Method::Underutilized)
    };
    assert_eq!(after("1h", Value::Null), [""; 0]);
    assert_eq!(after("61m", Value::Null), ["consolidateAfter is over at 2026-01-05T12:01:00Z"]);
    assert_eq!(after("30m", json!("2026-01-05T11:45:00Z")), ["consolidateAfter is over at 2026-01-05T12:15:00Z"]);
    assert_eq!(after("1h", json!("2026-01-05T10:00:00Z")), [""; 0], "before it was initialized");
}

#[test]
fn without_type_zone_and_capacity_type_a_node_is_not_consolidated() {
    for (key, value, expected) in [
        (labels::INSTANCE_TYPE, "unknown", "instance type unknown is none of its NodePool's"),
        (labels::ZONE, "", "it has no label topology.kubernetes.io/zone"),
        (labels::CAPACITY_TYPE, "", "it has no label karpenter.sh/capacity-type"),
    ] {
        let mut objects = with(&[("Pod", json!({"status": {"phase": "Failed"}}))]);
        objects.push(pod("other", "n"));
        let of_node = objects.iter_mut().find(|object| object["kind"] == "Node").unwrap();
        of_node["metadata"]["labels"][key] = json!(value);
        if value.is_empty() {
            of_node["metadata"]["labels"].as_object_mut().unwrap().remove(key);
        }
        assert_eq!(holds(&objects, Method::Underutilized), [expected]);
        objects.retain(|object| object["metadata"]["name"] != "other");
        assert_eq!(holds(&objects, Method::Empty), [""; 0], "an empty node goes");
    }
}

#[test]
fn a_protected_pod_keeps_its_node_for_as_long_as_it_is_protected() {
    let protected = |value: &str| held("Pod", annotated(labels::DO_NOT_DISRUPT, value));
    assert_eq!(protected("true"), ["pod default/web has the annotation karpenter.sh/do-not-disrupt"]);
    assert_eq!(
        protected("61m"),
        ["pod default/web has the annotation karpenter.sh/do-not-disrupt, until 2026-01-05T12:01:00Z"]
    );
    assert_eq!(protected("60m"), [""; 0]);
    assert_eq!(protected("yes"), [""; 0], "nobody understands it");
    // pods of DaemonSets count, those on their way out do not
    let daemon = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true}]);
    let mut own = annotated(labels::DO_NOT_DISRUPT, "true");
    own["metadata"]["ownerReferences"] = daemon;
    let objects = with(&[("Pod", own.clone())]);
    assert_eq!(holds(&objects, Method::Empty), ["pod default/web has the annotation karpenter.sh/do-not-disrupt"]);
    own["metadata"]["deletionTimestamp"] = json!("2026-01-05T12:00:00Z");
    assert_eq!(holds(&with(&[("Pod", own)]), Method::Empty), [""; 0]);
}

#[test]
fn a_budget_keeps_pods_that_somebody_would_have_to_evict() {
    let of = |more: &[Value], change: Value| {
        let mut objects = with(&[("Pod", change)]);
        objects.extend_from_slice(more);
        holds(&objects, Method::Underutilized)
    };
    let none = budget("a", &json!({"maxUnavailable": 1}), Some(0));
    let one = budget("b", &json!({"maxUnavailable": 1}), Some(1));
    let prevents = "PodDisruptionBudget default/a prevents the eviction of pod default/web";
    assert_eq!(of(std::slice::from_ref(&none), json!({})), [prevents]);
    assert_eq!(of(std::slice::from_ref(&one), json!({})), [""; 0]);
    let several =
        "pod default/web has several PodDisruptionBudgets, with which it cannot be evicted: default/a, default/b";
    assert_eq!(of(&[none.clone(), one], json!({})), [several]);
    let always = merged(none.clone(), &json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}));
    let unready = json!({"status": {"conditions": [condition("Ready", "False", "ContainersNotReady")]}});
    assert_eq!(of(std::slice::from_ref(&always), json!({})), [prevents], "it is ready");
    assert_eq!(of(std::slice::from_ref(&always), unready.clone()), [""; 0]);
    assert_eq!(of(std::slice::from_ref(&none), unready), [prevents]);
    // what stays on a node that takes no pods is not evicted
    for toleration in [
        json!({"operator": "Exists"}),
        json!({"key": labels::TAINT_DISRUPTED, "operator": "Exists", "effect": "NoSchedule"}),
        json!({"key": labels::TAINT_DISRUPTED}),
    ] {
        let tolerates = json!({"spec": {"tolerations": [toleration]}});
        assert_eq!(of(std::slice::from_ref(&none), tolerates), [""; 0]);
    }
    let other = json!({"spec": {"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}});
    assert_eq!(of(&[none], other), [prevents]);
}

#[test]
fn without_a_status_a_budget_allows_what_its_spec_leaves() {
    let allowed = |spec: Value| {
        let mut objects = with(&[]);
        objects.extend((0..6).map(|i| pod(&format!("more-{i}"), "n")));
        let unready = json!({"status": {"conditions": [condition("Ready", "False", "ContainersNotReady")]}});
        objects.push(merged(pod("unready", "n"), &unready));
        objects.push(budget("b", &spec, None));
        let (snapshot, errors) = load(&objects);
        assert_eq!(errors, Vec::<String>::new());
        snapshot.disruption_budgets[0].disruptions_allowed
    };
    // eight pods, of which seven are ready
    for (spec, expected) in [
        (json!({"maxUnavailable": 3}), 2),
        (json!({"maxUnavailable": "30%"}), 2), // of 2.4, rounded up
        (json!({"maxUnavailable": 1}), 0),
        (json!({"minAvailable": 5}), 2),
        (json!({"minAvailable": "60%"}), 2), // of 4.8, rounded up
        (json!({"minAvailable": "100%"}), 0),
        (json!({}), 0),
    ] {
        assert_eq!(allowed(spec.clone()), expected, "{spec}");
    }
}

#[test]
fn what_drifts_goes_past_its_pods_where_the_time_to_drain_is_limited() {
    let drifted = json!({"status": {"conditions": [
        condition("Initialized", "True", "Initialized"), condition("Drifted", "True", "NodePoolDrifted"),
    ]}});
    let protected = ("Pod", annotated(labels::DO_NOT_DISRUPT, "true"));
    let never = ("NodePool", json!({"spec": {"disruption": {"consolidateAfter": "Never"}}}));
    let free = with(&[("NodeClaim", drifted.clone()), never.clone()]);
    assert_eq!(holds(&free, Method::Drifted), [""; 0], "consolidateAfter is not about it");
    let kept = with(&[("NodeClaim", drifted.clone()), protected.clone()]);
    assert_eq!(holds(&kept, Method::Drifted).len(), 1);
    let limited = merged(drifted, &json!({"spec": {"terminationGracePeriod": "1h"}}));
    let eventual = with(&[("NodeClaim", limited.clone()), protected.clone()]);
    assert_eq!(holds(&eventual, Method::Drifted), [""; 0]);
    assert_eq!(holds(&eventual, Method::Underutilized).len(), 1);
    let person = ("Node", annotated(labels::DO_NOT_DISRUPT, "true"));
    assert_eq!(holds(&with(&[("NodeClaim", limited), protected, person]), Method::Drifted).len(), 1);
}

#[test]
fn an_eviction_is_priced_by_its_cost_or_as_the_pod_says() {
    let price = |change: Value| {
        let (snapshot, errors) = load(&with(&[("Pod", change)]));
        (eviction_price(&snapshot.pods[0]), errors)
    };
    for (priority, deletion_cost, expected) in
        [(0, "0", 2_000), (1 << 25, "0", 4_000), (2_000_000_000, "0", 20_000), (0, "-2147483648", 200)]
    {
        let mut change = annotated(labels::POD_DELETION_COST, deletion_cost);
        change["spec"]["priority"] = json!(priority);
        assert_eq!(price(change), (MicroUsd(expected), vec![]), "{priority} {deletion_cost}");
    }
    assert_eq!(price(annotated(labels::EVICTION_COST_USD, "1.5")), (MicroUsd(1_500_000), vec![]));
    let (default, errors) = price(annotated(labels::EVICTION_COST_USD, "cheap"));
    assert_eq!(default, MicroUsd(2_000));
    assert_eq!(
        errors,
        [
            ": Pod default/web: metadata.annotations.packwright.dev/eviction-cost-usd: expected an amount in dollars such as \
            0.02, found 'cheap'"
        ]
    );
}

#[test]
fn the_dearest_node_for_the_least_disruption_comes_first() {
    let mut objects = vec![pool(&json!({}))];
    for (name, kind, pods) in [("a", "c-2x-amd64-linux", 1), ("b", "c-4x-amd64-linux", 3), ("c", "c-4x-amd64-linux", 1)]
    {
        let [claim, of_node] = node(name);
        let kind = json!({"metadata": {"labels": {labels::INSTANCE_TYPE: kind}}});
        objects.extend([claim, merged(of_node, &kind)]);
        objects.extend((0..pods).map(|pod_index| pod(&format!("{name}-{pod_index}"), name)));
    }
    let (snapshot, _) = load(&objects);
    let standing = candidates(&snapshot, Method::Underutilized, now());
    let mut found: Vec<Candidate> = standing.into_iter().filter_map(|of| of.verdict.ok()).collect();
    found.sort_by(by_savings);
    let names: Vec<&str> = found.iter().map(|of| &*snapshot.nodes[of.node].name).collect();
    assert_eq!(names, ["c", "a", "b"], "twice the price for one pod; a and b are the same for each part of their cost");
    assert_eq!(found[2].pods.len(), 3);
    assert_eq!(found[2].eviction_price, MicroUsd(6_000));
    assert!(found[0].price > found[1].price);
}

#[test]
fn budgets_count_initialized_nodes_and_those_that_go_or_are_not_ready() {
    let ten = json!({"budgets": [{"nodes": "50%"}, {"nodes": "1", "reasons": ["Drifted"]}]});
    let mut objects = vec![pool(&ten)];
    for name in ["a", "b", "c", "d", "e"] {
        objects.extend(node(name));
    }
    let change = |objects: &mut Vec<Value>, kind: &str, name: &str, change: Value| {
        let is_it = |object: &&mut Value| object["kind"] == kind && object["metadata"]["name"] == name;
        let object = objects.iter_mut().find(is_it).unwrap();
        *object = merged(object.clone(), &change);
    };
    let allowed = |objects: &[Value], method: Method| {
        let (snapshot, _) = load(objects);
        allowance(&snapshot, &snapshot.node_pools[0], method.reason(), now())
    };
    assert_eq!(allowed(&objects, Method::Empty), Allowance { most: 3, nodes: 5, disrupted: 0 });
    let unready = json!({"status": {"conditions": [condition("Ready", "False", "KubeletNotReady")]}});
    change(&mut objects, "Node", "a", unready);
    change(&mut objects, "Node", "b", json!({"metadata": {"labels": {labels::INITIALIZED: "false"}}}));
    assert_eq!(allowed(&objects, Method::Empty), Allowance { most: 2, nodes: 4, disrupted: 1 });
    assert_eq!(allowed(&objects, Method::Drifted), Allowance { most: 1, nodes: 4, disrupted: 1 });
    let ending = json!({"status": {"conditions": [condition("InstanceTerminating", "True", "InstanceTerminating")]}});
    change(&mut objects, "NodeClaim", "a", ending);
    assert_eq!(allowed(&objects, Method::Empty), Allowance { most: 2, nodes: 3, disrupted: 0 });
}
