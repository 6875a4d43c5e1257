//! Nodes that are used go where their pods fit elsewhere, or for less.

use serde_json::{Value, json};

use super::rig::{Rig, SMALL, class, pod, pool};
use crate::api::labels;
use crate::consolidation::Policy;
use crate::controller::{ControllerSettings, Said};
use crate::placement::ClaimPlan;

const LARGE: &str = "c-8x-amd64-linux";

/// A pool of nodes of two and eight cores.
fn both(disruption: &Value) -> Value {
    let types = json!([
        {"key": labels::INSTANCE_TYPE, "operator": "In", "values": [SMALL, LARGE]},
        {"key": labels::CAPACITY_TYPE, "operator": "In", "values": ["on-demand"]},
    ]);
    pool("default", json!({"template": {"spec": {"requirements": types}}, "disruption": disruption}))
}

fn owned(name: &str, cpu: &str) -> Value {
    let mut pod = pod(name, cpu);
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true}]);
    pod
}

/// Two nodes of two cores, each with a pod of 0.6 cores that fits on the other one.
fn halves(disruption: &Value) -> Rig {
    halves_by(ControllerSettings::default(), disruption)
}

fn halves_by(settings: ControllerSettings, disruption: &Value) -> Rig {
    let small = pool("default", json!({"disruption": disruption}));
    let pods = [owned("a", "600m"), owned("full", "1300m"), owned("b", "600m")];
    let mut rig = Rig::new(settings, [vec![class(&json!({})), small], pods.to_vec()].concat());
    rig.pass(120);
    assert_eq!(rig.names("Node").len(), 2);
    rig.delete("Pod", "full");
    rig
}

/// One node of eight cores with one pod that needs two.
fn oversized() -> Rig {
    let mut rig = Rig::of(vec![class(&json!({})), both(&json!({})), owned("web", "1"), owned("other", "6")]);
    rig.pass(120);
    assert_eq!(types(&rig), [LARGE]);
    rig
}

/// The pod that needs most of it is gone.
fn shrink(rig: &mut Rig) {
    rig.delete("Pod", "other");
}

fn types(rig: &Rig) -> Vec<String> {
    let of =
        |node: String| rig.get("Node", &node)["metadata"]["labels"][labels::INSTANCE_TYPE].as_str().unwrap().to_owned();
    rig.names("Node").into_iter().map(of).collect()
}

fn is_closed(rig: &Rig, node: &str) -> bool {
    let taints = rig.get("Node", node)["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.iter().any(|taint| taint["key"] == labels::TAINT_DISRUPTED)
}

fn begun(rig: &Rig) -> usize {
    rig.said.iter().filter(|said| matches!(said, Said::Consolidating(_))).count()
}

/// From now on nodes do not become ready.
fn never_ready(rig: &mut Rig) {
    rig.change("NodePool", "default", |pool| {
        pool["metadata"]["generation"] = json!(2);
        pool["spec"]["template"]["spec"]["startupTaints"] = json!([{"key": "never", "effect": "NoSchedule"}]);
    });
}

/// Lets time pass until a claim replaces others; its name.
fn until_replaced(rig: &mut Rig) -> String {
    for _ in 0..10_000 {
        let of = |name: &String| rig.annotation("NodeClaim", name, labels::REPLACES).is_some();
        if let Some(name) = rig.names("NodeClaim").into_iter().find(of) {
            return name;
        }
        if rig.step().is_empty() {
            rig.now += std::time::Duration::from_millis(100);
        }
    }
    panic!("nothing is replaced: {:?}", rig.said);
}

#[test]
fn a_node_whose_pods_fit_elsewhere_goes() {
    let mut rig = halves(&json!({}));
    rig.pass(180);
    assert_eq!((rig.names("Node").len(), begun(&rig)), (1, 1), "{:?}", rig.said);
}

#[test]
fn several_nodes_go_at_once() {
    let small = pool("default", json!({"disruption": {"budgets": [{"nodes": "100%"}]}}));
    let names = ["a", "b", "c", "d"];
    let full = names.map(|name| owned(&format!("{name}-full"), "1300m"));
    let pods = [names.map(|name| owned(name, "600m")).to_vec(), full.to_vec()].concat();
    let mut rig = Rig::of([vec![class(&json!({})), small], pods].concat());
    rig.pass(120);
    assert_eq!(rig.names("Node").len(), 4);
    for name in names {
        rig.delete("Pod", &format!("{name}-full"));
    }
    for _ in 0..10_000 {
        if begun(&rig) > 0 {
            break;
        }
        if rig.step().is_empty() {
            rig.now += std::time::Duration::from_millis(100);
        }
    }
    assert_eq!(begun(&rig), 2, "in one step: {:?}", rig.said);
    rig.pass(20);
    assert_eq!((rig.names("Node").len(), begun(&rig)), (2, 2), "{:?}", rig.said);
}

#[test]
fn it_stays_where_that_is_turned_off_and_a_shadow_only_says_it() {
    let mut settings = ControllerSettings { consolidation: Policy::off(), ..ControllerSettings::default() };
    let mut rig = halves_by(settings.clone(), &json!({}));
    rig.pass(600);
    assert_eq!(begun(&rig), 0);
    (settings.consolidation, settings.shadow) = (Policy::default(), true);
    rig.restart_by(settings);
    rig.pass(600);
    let would = rig.said.iter().filter(|said| matches!(said, Said::WouldConsolidate(_))).count();
    assert_eq!((rig.names("Node").len(), begun(&rig)), (2, 0));
    assert!((1..=3).contains(&would), "once in five minutes: {would}");
}

#[test]
fn it_goes_neither_beyond_a_budget_nor_before_its_time() {
    let mut rig = halves(&json!({"budgets": [{"nodes": "0", "reasons": ["Underutilized"]}]}));
    rig.pass(600);
    assert_eq!((rig.names("Node").len(), begun(&rig)), (2, 0));
    let mut rig = halves(&json!({"consolidateAfter": "5m"}));
    rig.pass(240);
    assert_eq!(begun(&rig), 0);
    // one that is planned in vain is not waited for for ever
    rig.put(owned("huge", "900"));
    rig.pass(240);
    assert_eq!(begun(&rig), 1);
}

#[test]
fn while_a_pod_waits_for_its_node_others_may_go() {
    let mut rig = halves(&json!({}));
    rig.put(owned("late", "1800m"));
    rig.pass(240);
    assert_eq!((rig.names("Node").len(), begun(&rig)), (2, 1), "{:?}", rig.said);
}

#[test]
fn a_cheaper_node_comes_before_the_dearer_one_goes() {
    let mut rig = oversized();
    let old = rig.names("Node").remove(0);
    shrink(&mut rig);
    let new = until_replaced(&mut rig);
    assert!(is_closed(&rig, &old));
    assert_eq!(rig.condition("NodeClaim", &old, "DisruptionReason").as_deref(), Some("True/Underutilized"));
    assert!(rig.get("NodeClaim", &old)["metadata"]["deletionTimestamp"].is_null(), "the other one is not ready");
    rig.pass(60);
    assert_eq!((rig.names("NodeClaim"), types(&rig)), (vec![new.clone()], vec![SMALL.to_owned()]), "{:?}", rig.said);
    let order: Vec<&Said> = rig
        .said
        .iter()
        .filter(|said| {
            matches!(said, Said::Initialized { claim, .. } if **claim == *new)
                || matches!(said, Said::Disrupting { .. })
        })
        .collect();
    assert!(matches!(order[..], [Said::Initialized { .. }, Said::Disrupting { .. }]), "{order:?}");
}

#[test]
fn where_the_new_node_fails_the_old_one_stays() {
    let mut rig = oversized();
    let old = rig.names("Node").remove(0);
    shrink(&mut rig);
    let new = until_replaced(&mut rig);
    rig.step();
    rig.change("NodeClaim", &new, |claim| claim["metadata"]["finalizers"] = json!([]));
    rig.delete("NodeClaim", &new);
    rig.settle();
    assert!(rig.try_get("NodeClaim", &new).is_none());
    assert!(!is_closed(&rig, &old), "{:?}", rig.said);
    assert_eq!(rig.condition("NodeClaim", &old, "DisruptionReason"), None);
    assert!(rig.get("NodeClaim", &old)["metadata"]["deletionTimestamp"].is_null());
}

#[test]
fn what_takes_too_long_is_given_up_and_its_node_is_kept_for_nobody() {
    let mut rig = oversized();
    let old = rig.names("Node").remove(0);
    never_ready(&mut rig);
    shrink(&mut rig);
    let new = until_replaced(&mut rig);
    assert!(!rig.get("NodeClaim", &new)["spec"]["startupTaints"].is_null());
    rig.pass(590);
    assert_eq!(rig.names("Node").len(), 2, "{:?}", rig.said);
    assert!(is_closed(&rig, &old), "{:?}", rig.said);
    rig.pass(12);
    assert!(!is_closed(&rig, &old), "{:?}", rig.said);
    assert_eq!(rig.annotation("NodeClaim", &new, labels::REPLACES), None);
    assert_eq!(rig.annotation("NodeClaim", &new, labels::PLANNED_PODS), Some("{}"));
    assert!(rig.said.iter().any(|said| matches!(said, Said::NotReplaced { .. })));
    rig.pass(3_600);
    assert_eq!(rig.names("Node").len(), 2, "another one would not be initialized either");
}

#[test]
fn another_process_goes_on_with_what_stands_in_the_cluster() {
    let mut rig = oversized();
    shrink(&mut rig);
    let new = until_replaced(&mut rig);
    rig.restart();
    rig.pass(60);
    assert_eq!(rig.names("NodeClaim"), [new], "{:?}", rig.said);
    // after every single step
    for steps in 1..=10 {
        let mut rig = oversized();
        shrink(&mut rig);
        until_marked(&mut rig);
        (0..steps).for_each(|_| drop(rig.step()));
        rig.restart();
        rig.pass(600);
        let nodes = rig.names("Node");
        assert_eq!((nodes.len(), types(&rig)), (1, vec![SMALL.to_owned()]), "after {steps}: {:?}", rig.said);
        assert!(!is_closed(&rig, &nodes[0]), "after {steps}");
    }
}

/// Lets time pass until a command begins.
fn until_marked(rig: &mut Rig) {
    for _ in 0..10_000 {
        if begun(rig) > 0 {
            return;
        }
        if rig.step().is_empty() {
            rig.now += std::time::Duration::from_millis(100);
        }
    }
    panic!("nothing begins: {:?}", rig.said);
}

#[test]
fn what_a_process_that_died_has_closed_is_open_again() {
    let mut rig = halves(&json!({"budgets": [{"nodes": "0", "reasons": ["Underutilized"]}]}));
    rig.pass(60);
    let old = rig.names("Node").remove(0);
    rig.change("Node", &old, |node| {
        node["spec"]["taints"] = json!([{"key": labels::TAINT_DISRUPTED, "effect": "NoSchedule"}]);
    });
    rig.change("NodeClaim", &old, |claim| {
        let reason = json!({
            "type": "DisruptionReason", "status": "True", "reason": "Underutilized", "message": "",
            "lastTransitionTime": "2026-01-01T00:01:00Z",
        });
        claim["status"]["conditions"].as_array_mut().unwrap().push(reason);
    });
    rig.restart();
    rig.settle();
    assert!(!is_closed(&rig, &old));
    assert_eq!(rig.condition("NodeClaim", &old, "DisruptionReason"), None);
}

fn plans(rig: &Rig) -> Vec<(String, ClaimPlan)> {
    let of = |name: String| {
        let plan = rig.annotation("NodeClaim", &name, labels::PLANNED_PODS)?;
        let plan = ClaimPlan::from_annotation(plan).unwrap();
        Some((name, plan))
    };
    rig.names("NodeClaim").into_iter().filter_map(of).collect()
}

#[test]
fn the_room_of_what_comes_for_others_is_given_to_nobody_else_and_their_pods_are_not_planned_twice() {
    let mut rig = oversized();
    let old = rig.names("Node").remove(0);
    never_ready(&mut rig);
    shrink(&mut rig);
    let new = until_replaced(&mut rig);
    // larger than what moves, so that it would be planned first
    rig.put(owned("late", "1500m"));
    rig.pass(10);
    let others = plans(&rig).into_iter().filter(|(name, _)| *name != new && *name != old);
    let pods: Vec<_> = others.map(|(_, plan)| (plan.pods.len(), plan.expected.len())).collect();
    assert_eq!(pods, [(1, 0)], "the node of `late`: {:?}", rig.said);
}

#[test]
fn the_room_is_kept_also_in_the_moment_when_one_pod_is_gone_and_the_next_is_not_there() {
    let mut rig = oversized();
    let old = rig.names("Node").remove(0);
    never_ready(&mut rig);
    shrink(&mut rig);
    let new = until_replaced(&mut rig);
    rig.pass(10);
    rig.change("Node", &old, |node| node["spec"]["unschedulable"] = json!(true));
    rig.delete("Pod", "web");
    rig.put(owned("late", "1500m"));
    rig.pass(10);
    rig.put(owned("successor", "1"));
    rig.pass(10);
    let planned = |pod: &str| {
        let mut plans = plans(&rig).into_iter();
        plans.find_map(|(name, plan)| plan.pods.iter().any(|planned| *planned.name == *pod).then_some(name))
    };
    assert!(planned("late").is_some_and(|name| name != new && name != old), "{:?}", rig.said);
    assert_eq!(planned("successor"), None, "its place is kept: {:?}", rig.said);
}

#[test]
fn a_node_that_is_kept_for_others_lets_in_whom_a_decision_sends_there_also_once_it_is_initialized() {
    let mut rig = oversized();
    shrink(&mut rig);
    let new = until_replaced(&mut rig);
    while !rig.said.iter().any(|said| matches!(said, Said::Disrupting { .. })) {
        if rig.step().is_empty() {
            rig.now += std::time::Duration::from_millis(100);
        }
    }
    // so that the old one waits for it
    rig.change("Pod", "web", |pod| pod["metadata"]["annotations"] = json!({labels::DO_NOT_DISRUPT: "true"}));
    rig.pass(60);
    let is_kept = |rig: &Rig| {
        let taints = rig.get("Node", &new)["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().any(|taint| taint["key"] == labels::PLANNED)
    };
    assert_eq!(rig.names("Node").len(), 2, "{:?}", rig.said);
    assert_eq!(rig.condition("NodeClaim", &new, "Initialized").as_deref(), Some("True/Initialized"));
    assert!(is_kept(&rig), "{:?}", rig.said);
    rig.put(owned("late", "500m"));
    rig.pass(5);
    assert_eq!(rig.get("Pod", "late")["spec"]["nodeName"], *new, "{:?}", rig.said);
    assert!(is_kept(&rig), "{:?}", rig.said);
    assert_eq!(rig.names("NodeClaim").len(), 2, "nothing is bought for it");
}

#[test]
fn the_room_that_pods_move_to_is_given_to_nobody_else() {
    let mut rig = halves(&json!({}));
    until_marked(&mut rig);
    rig.put(owned("late", "1"));
    rig.pass(5);
    let pods =
        plans(&rig).into_iter().map(|(_, plan)| (plan.pods.into_iter().map(|pod| pod.name), plan.expected.len()));
    let late: Vec<usize> =
        pods.filter_map(|(mut pods, expected)| pods.any(|name| *name == *"late").then_some(expected)).collect();
    assert_eq!(late, [0], "a node of its own: {:?}", rig.said);
    assert!(plans(&rig).iter().all(|(_, plan)| plan.expected.is_empty()), "{:?}", plans(&rig));
    rig.pass(60);
    assert_eq!((rig.names("Node").len(), begun(&rig)), (2, 1), "{:?}", rig.said);
}

#[test]
fn a_command_ends_where_a_valve_does_not_let_its_nodes_come() {
    let mut settings = ControllerSettings::default();
    settings.valves.launches_per_minute = Some(1);
    let mut rig = Rig::new(settings, vec![class(&json!({})), both(&json!({})), owned("web", "1"), owned("other", "6")]);
    rig.pass(120);
    let old = rig.names("Node").remove(0);
    shrink(&mut rig);
    until_marked(&mut rig);
    // what it had room for when it began is taken by another one
    rig.put(owned("late", "1500m"));
    rig.pass(5);
    let replaces = |name: &String| rig.annotation("NodeClaim", name, labels::REPLACES).is_some();
    let claims = rig.names("NodeClaim");
    assert!(claims.len() == 2 && !claims.iter().any(replaces), "{claims:?} {:?}", rig.said);
    assert!(rig.said.iter().any(|said| matches!(said, Said::HeldBack { .. })), "{:?}", rig.said);
    assert!(!is_closed(&rig, &old), "{:?}", rig.said);
}

#[test]
fn a_node_that_has_just_drifted_is_replaced_soon_however_long_nothing_was_found() {
    let mut rig = Rig::of(vec![class(&json!({})), both(&json!({})), owned("web", "1")]);
    // pauses between questions are minutes by now
    rig.pass(900);
    assert_eq!((types(&rig), begun(&rig)), (vec![SMALL.to_owned()], 0));
    rig.change("NodePool", "default", |pool| {
        pool["spec"]["template"]["metadata"] = json!({"labels": {"team": "a"}});
        pool["metadata"]["generation"] = json!(2);
    });
    rig.pass(15);
    assert_eq!(begun(&rig), 1, "{:?}", rig.said.last());
}

#[test]
fn within_an_hour_no_more_pods_are_evicted_than_may_be() {
    let mut settings = ControllerSettings::default();
    settings.valves.evictions_per_hour = Some(1);
    let small = pool("default", json!({"disruption": {"budgets": [{"nodes": "100%"}]}}));
    let names = ["a", "b", "c", "d"];
    let full = names.map(|name| owned(&format!("{name}-full"), "1300m"));
    let pods = [names.map(|name| owned(name, "600m")).to_vec(), full.to_vec()].concat();
    let mut rig = Rig::new(settings, [vec![class(&json!({})), small], pods].concat());
    rig.pass(120);
    assert_eq!(rig.names("Node").len(), 4);
    for name in &names {
        rig.delete("Pod", &format!("{name}-full"));
    }
    let is_told = |rig: &Rig| rig.said.iter().filter(|said| said.to_string().contains("evicted by choice")).count();
    rig.pass(50 * 60);
    assert_eq!((rig.names("Node").len(), is_told(&rig)), (3, 1), "{:?}", rig.said);
    rig.pass(20 * 60);
    assert_eq!((rig.names("Node").len(), is_told(&rig)), (2, 2), "{:?}", rig.said);
}
