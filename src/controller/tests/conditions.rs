//! What objects say of themselves that nothing else depends on.

use serde_json::{Value, json};

use super::rig::{Rig, SMALL, class, pod, pool};
use crate::api::labels;
use crate::controller::Said;

fn overlay(name: &str, weight: i32, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "karpenter.sh/v1alpha1", "kind": "NodeOverlay", "metadata": {"name": name},
        "spec": {"weight": weight, "requirements": [
            {"key": labels::INSTANCE_TYPE, "operator": "In", "values": [SMALL]},
        ]},
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    object
}

#[test]
fn overlays_say_whether_they_are_applied() {
    let mut rig = Rig::of(vec![
        class(&json!({})),
        pool("default", json!({})),
        overlay("heavy", 20, &json!({"price": "0.5"})),
        overlay("a", 10, &json!({"price": "0.4"})),
        overlay("b", 10, &json!({"price": "0.3"})),
        overlay("broken", 5, &json!({"price": "cheap"})),
    ]);
    rig.settle();
    let said = |rig: &Rig, name: &str| {
        let of = |condition| rig.condition("NodeOverlay", name, condition).unwrap_or_default();
        [of("ValidationSucceeded"), of("Ready")]
    };
    assert_eq!(said(&rig, "heavy"), ["True/ValidationSucceeded", "True/Ready"]);
    assert_eq!(said(&rig, "b"), ["True/ValidationSucceeded", "True/Ready"]);
    assert_eq!(said(&rig, "a"), ["False/Conflict", "False/UnhealthyDependents"], "the later one by name");
    assert_eq!(said(&rig, "broken"), ["False/RuntimeValidation", "False/UnhealthyDependents"]);
    rig.delete("NodeOverlay", "b");
    rig.settle();
    assert_eq!(said(&rig, "a"), ["True/ValidationSucceeded", "True/Ready"]);
}

#[test]
fn a_node_with_less_than_was_bought_is_told_within_ten_minutes() {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({})), pod("web", "1")]);
    rig.pass(3);
    let claim = rig.names("NodeClaim").remove(0);
    let state = |rig: &Rig| rig.condition("NodeClaim", &claim, "ConsistentStateFound");
    assert_eq!(state(&rig).as_deref(), Some("True/ConsistentStateFound"));
    for (cpu, expected) in [("1800m", "True/ConsistentStateFound"), ("1799m", "False/ConsistencyCheckFailed")] {
        rig.change("Node", &claim, |node| node["status"]["capacity"]["cpu"] = json!(cpu));
        rig.pass(601);
        assert_eq!(state(&rig).as_deref(), Some(expected), "{cpu} of 2");
    }
    let told = |said: &&Said| matches!(said, Said::Inconsistent { reason, .. } if reason.contains("expected 2 of cpu, but found 1799m"));
    assert_eq!(rig.said.iter().filter(told).count(), 1, "{:?}", rig.said.last());
    rig.change("Node", &claim, |node| node["status"]["capacity"]["cpu"] = json!("2"));
    rig.pass(601);
    assert_eq!(state(&rig).as_deref(), Some("True/ConsistentStateFound"));
}

#[test]
fn pods_that_are_protected_for_a_while_are_told_once_and_when_it_is_over() {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({})), pod("web", "1")]);
    rig.pass(3);
    let told = |rig: &mut Rig, value: &str, seconds| {
        rig.change("Pod", "web", |pod| {
            pod["metadata"]["annotations"] = json!({ labels::DO_NOT_DISRUPT: value });
            pod["status"]["startTime"] = json!("2026-01-01T00:00:00Z");
        });
        rig.said.clear();
        rig.pass(seconds);
        let texts: Vec<String> =
            rig.said.iter().filter(|said| matches!(said, Said::Protected { .. })).map(ToString::to_string).collect();
        texts
    };
    assert_eq!(told(&mut rig, "true", 5), Vec::<String>::new());
    assert_eq!(told(&mut rig, "60s", 10), ["Pod default/web is not disrupted until 2026-01-01T00:01:00Z"]);
    assert_eq!(told(&mut rig, "60s", 60), ["Pod default/web may be disrupted since 2026-01-01T00:01:00Z"]);
    let [invalid] = &told(&mut rig, "yes", 60)[..] else { panic!("told once") };
    assert!(invalid.ends_with("expected true or a duration, found 'yes'"), "{invalid}");
}

#[test]
fn a_pool_without_instance_types_is_told() {
    let none = json!({"template": {"spec": {"requirements": [
        {"key": labels::INSTANCE_TYPE, "operator": "In", "values": ["no-such-type"]},
    ]}}});
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", none), pod("web", "1")]);
    rig.pass(3);
    let told = |said: &&Said| matches!(said, Said::NoCompatibleTypes { pool } if &**pool == "default");
    assert_eq!(rig.said.iter().filter(told).count(), 1);
}
