//! Static pools.

use serde_json::{Value, json};

use super::rig::{Rig, class, pod, pool};
use crate::api::labels;
use crate::controller::{ControllerSettings, Said};
use crate::placement::ClaimPlan;

fn fixed(replicas: i64, limits: &Value) -> Value {
    pool("fixed", json!({"replicas": replicas, "limits": limits, "disruption": {"consolidateAfter": "0s"}}))
}

fn set(rig: &mut Rig, replicas: i64) {
    rig.change("NodePool", "fixed", |pool| {
        pool["spec"]["replicas"] = json!(replicas);
        let generation = pool["metadata"]["generation"].as_i64().unwrap();
        pool["metadata"]["generation"] = json!(generation + 1);
    });
}

#[test]
fn a_static_pool_has_its_replicas_within_its_limit() {
    let mut rig = Rig::of(vec![class(&json!({})), fixed(2, &json!({"nodes": "3"}))]);
    rig.pass(3_600);
    assert_eq!((rig.names("NodeClaim").len(), rig.names("Node").len()), (2, 2), "empty ones stay");
    set(&mut rig, 5);
    rig.pass(5);
    assert_eq!(rig.names("Node").len(), 3, "the limit");
    let lost = rig.names("NodeClaim").remove(0);
    rig.delete("NodeClaim", &lost);
    rig.pass(40);
    assert_eq!(rig.names("Node").len(), 3);
    assert!(!rig.names("Node").contains(&lost), "a name is used once");
    let claim = rig.get("NodeClaim", &rig.names("NodeClaim")[0]);
    let annotations = &claim["metadata"]["annotations"];
    assert_eq!(annotations[labels::PLANNED_PODS], "{}");
    assert!(annotations[labels::NODEPOOL_HASH].is_string(), "{annotations}");
    assert_eq!(claim["metadata"]["labels"][labels::NODEPOOL], "fixed");
}

#[test]
fn safety_valves_hold_it_back_and_say_so() {
    let mut settings = ControllerSettings::default();
    settings.decision.feature_gates.static_capacity = true;
    settings.valves.nodes = Some(2);
    let mut rig = Rig::new(settings.clone(), vec![class(&json!({})), fixed(5, &json!({}))]);
    rig.pass(60);
    assert_eq!(rig.names("Node").len(), 2);
    let held: Vec<String> = rig.said.iter().map(ToString::to_string).filter(|said| said.contains("most")).collect();
    assert!((1..=8).contains(&held.len()), "said every ten seconds at most: {held:?}");
    (settings.valves.nodes, settings.valves.launches_per_minute) = (None, Some(1));
    rig.restart_by(settings);
    rig.pass(50);
    assert_eq!(rig.names("Node").len(), 3, "one in a minute: {:?}", rig.said);
    rig.pass(130);
    assert_eq!(rig.names("Node").len(), 5);
}

#[test]
fn it_takes_pods_but_nothing_is_launched_in_it_for_them() {
    let mut rig = Rig::of(vec![class(&json!({})), fixed(1, &json!({}))]);
    rig.pass(3);
    rig.put(pod("fits", "500m"));
    rig.put(pod("too-large", "3"));
    rig.pass(15);
    assert_eq!(rig.names("Node").len(), 1);
    let nominated: Vec<String> =
        rig.said.iter().map(ToString::to_string).filter(|said| said.contains("fits")).collect();
    assert!(nominated.iter().any(|said| said.contains("should schedule on fixed-")), "{nominated:?}");
}

#[test]
fn it_gets_its_nodes_once_its_node_class_is_ready() {
    let mut unready = class(&json!({}));
    unready["status"]["conditions"][0]["status"] = json!("False");
    let mut rig = Rig::of(vec![unready, fixed(1, &json!({}))]);
    rig.pass(5);
    assert!(rig.condition("NodePool", "fixed", "Ready").is_some_and(|ready| ready.starts_with("False")));
    assert_eq!(rig.names("NodeClaim").len(), 0);
    rig.change("KWOKNodeClass", "default", |class| class["status"]["conditions"][0]["status"] = json!("True"));
    rig.pass(5);
    assert_eq!(rig.names("Node").len(), 1);
}

#[test]
fn it_is_ignored_where_its_gate_is_off() {
    let mut rig = Rig::new(ControllerSettings::default(), vec![class(&json!({})), fixed(2, &json!({}))]);
    rig.pass(60);
    assert_eq!(rig.names("NodeClaim").len(), 0);
}

#[test]
fn a_pool_that_gets_nothing_does_not_ask_all_the_time() {
    let annotations = json!({ labels::KWOK_UNAVAILABLE: "*/*/*" });
    let mut rig = Rig::of(vec![class(&annotations), fixed(1, &json!({}))]);
    rig.pass(170);
    let created = rig.said.iter().filter(|said| said.to_string().starts_with("created nodeclaim")).count();
    assert!((3..=7).contains(&created), "every 30 s: {created}");
}

#[test]
fn the_nodes_go_first_that_cost_least_and_protected_ones_last() {
    let mut rig = Rig::of(vec![class(&json!({})), fixed(4, &json!({}))]);
    rig.pass(3);
    let nodes = rig.names("Node");
    let bound = |name: &str, node: &str, annotations: Value| {
        let mut pod = pod(name, "100m");
        pod["spec"]["nodeName"] = json!(node);
        pod["metadata"]["annotations"] = annotations;
        pod["status"] = json!({"phase": "Running"});
        pod
    };
    rig.put(bound("protected", &nodes[0], json!({labels::DO_NOT_DISRUPT: "true"})));
    rig.put(bound("one", &nodes[1], json!({})));
    rig.put(bound("two", &nodes[3], json!({})));
    rig.put(bound("three", &nodes[3], json!({})));
    for (replicas, gone) in [(3, &nodes[2]), (2, &nodes[1]), (1, &nodes[3])] {
        set(&mut rig, replicas);
        rig.settle();
        let going = rig
            .names("NodeClaim")
            .into_iter()
            .filter(|name| !rig.get("NodeClaim", name)["metadata"]["deletionTimestamp"].is_null());
        assert!(going.collect::<Vec<_>>().contains(gone), "{replicas}");
        rig.pass(20);
        assert!(!rig.names("NodeClaim").contains(gone), "{replicas}");
    }
    assert_eq!(rig.names("Node"), [nodes[0].clone()]);
}

/// Lets time pass; the fewest initialized nodes that take pods, and the most nodes at once.
fn watch(rig: &mut Rig, seconds: u64) -> (usize, usize) {
    let (mut fewest, mut most) = (usize::MAX, 0);
    let end = rig.now + std::time::Duration::from_secs(seconds);
    while rig.now < end {
        if rig.step().is_empty() {
            rig.now += std::time::Duration::from_millis(500);
        }
        let nodes = rig.names("Node");
        let is_there = |node: &&String| rig.get("Node", node)["metadata"]["labels"][labels::INITIALIZED] == "true";
        fewest = fewest.min(nodes.iter().filter(is_there).count());
        most = most.max(nodes.len());
    }
    (fewest, most)
}

#[test]
fn a_drifted_node_goes_once_another_one_has_come_for_it() {
    let one_by_one = json!({"disruption": {"budgets": [{"nodes": "1"}]}});
    let drift = |limits: &Value| {
        let mut of = fixed(2, limits);
        of["spec"]["disruption"] = one_by_one["disruption"].clone();
        let mut rig = Rig::of(vec![class(&json!({})), of]);
        rig.pass(30);
        let before = rig.names("NodeClaim");
        rig.change("NodePool", "fixed", |pool| {
            pool["spec"]["template"]["metadata"] = json!({"labels": {"team": "new"}});
            let generation = pool["metadata"]["generation"].as_i64().unwrap();
            pool["metadata"]["generation"] = json!(generation + 1);
        });
        let seen = watch(&mut rig, 300);
        let after = rig.names("NodeClaim");
        let new = after.iter().filter(|name| !before.contains(name)).count();
        let labelled = after.iter().filter(|name| rig.get("NodeClaim", name)["metadata"]["labels"]["team"] == "new");
        assert_eq!((after.len(), labelled.count()), (2, new), "{:?}", rig.said);
        (new, seen)
    };
    assert_eq!(drift(&json!({})), (2, (2, 3)), "both, one after the other, and never fewer than two");
    assert_eq!(drift(&json!({"nodes": "2"})), (0, (2, 2)), "no room for another one");
}

/// The template of the pool becomes another one, of which no node becomes ready.
fn drift_to_what_is_never_ready(rig: &mut Rig) {
    rig.change("NodePool", "fixed", |pool| {
        pool["spec"]["template"]["spec"]["startupTaints"] = json!([{"key": "never", "effect": "NoSchedule"}]);
        let generation = pool["metadata"]["generation"].as_i64().unwrap();
        pool["metadata"]["generation"] = json!(generation + 1);
    });
}

#[test]
fn nothing_is_planned_for_the_pods_of_a_static_node_that_waits_for_another_one() {
    let mut rig = Rig::of(vec![class(&json!({})), fixed(1, &json!({})), pool("default", json!({}))]);
    rig.pass(30);
    let old = rig.names("Node").remove(0);
    let mut web = pod("web", "1");
    web["spec"]["nodeName"] = json!(old);
    web["status"] = json!({"phase": "Running"});
    web["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true}]);
    rig.put(web);
    // where it would not be let in, so that whoever planned for it would buy another node
    rig.change("NodePool", "fixed", |pool| {
        pool["spec"]["template"]["spec"]["taints"] = json!([{"key": "dedicated", "effect": "NoSchedule"}]);
    });
    drift_to_what_is_never_ready(&mut rig);
    rig.pass(20);
    assert_eq!(rig.names("NodeClaim").len(), 2, "one comes for it: {:?}", rig.said);
    rig.put(pod("other", "1500m"));
    rig.pass(20);
    let dynamic = rig
        .names("NodeClaim")
        .into_iter()
        .filter(|name| rig.get("NodeClaim", name)["metadata"]["labels"][labels::NODEPOOL] == "default");
    let plans: Vec<ClaimPlan> = dynamic
        .map(|name| {
            ClaimPlan::from_annotation(rig.annotation("NodeClaim", &name, labels::PLANNED_PODS).unwrap()).unwrap()
        })
        .collect();
    let [plan] = &plans[..] else { panic!("{plans:?}") };
    assert_eq!((plan.pods.len(), plan.expected.len()), (1, 0), "{plan:?}");
}

#[test]
fn where_nothing_can_be_bought_a_drifted_node_is_not_closed_and_opened_all_the_time() {
    let mut rig = Rig::of(vec![class(&json!({})), fixed(1, &json!({}))]);
    rig.pass(30);
    rig.put(class(&json!({labels::KWOK_UNAVAILABLE: "*/*/*"})));
    drift_to_what_is_never_ready(&mut rig);
    rig.pass(120);
    let begun = rig.said.iter().filter(|said| matches!(said, Said::Consolidating(_))).count();
    assert!((1..=5).contains(&begun), "twice a minute at most: {begun}");
}
