//! What is told of nodes that may be disrupted, and of those that may not.

use serde_json::{Value, json};

use super::rig::{Rig, class, pod, pool};
use crate::api::labels;
use crate::controller::disruptable::Disruptable;
use crate::controller::{Kept, Said};

/// What is told within two minutes of a node with a pod, changed like this.
fn told(disruption: &Value, annotations: Value) -> (Vec<(Kept, String)>, Disruptable) {
    let mut web = pod("web", "1");
    web["metadata"]["annotations"] = annotations;
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({"disruption": disruption})), web]);
    rig.pass(30);
    rig.said.clear();
    rig.pass(91);
    let node = rig.names("Node").remove(0);
    let kept = rig.said.iter().filter_map(|said| match said {
        Said::Kept { kind, .. } => Some((*kind, said.to_string().replace(&node, "n"))),
        _ => None,
    });
    let kept = kept.collect();
    let last = rig.said.iter().rev().find_map(|said| match said {
        Said::Disruptable(disruptable) => Some(disruptable.clone()),
        _ => None,
    });
    (kept, last.expect("it was told"))
}

#[test]
fn a_node_that_nothing_keeps_is_eligible_and_nothing_is_told_of_it() {
    let (kept, disruptable) = told(&json!({}), Value::Null);
    assert_eq!(kept, []);
    let eligible: Vec<(&str, usize)> = disruptable.eligible.into_iter().collect();
    assert_eq!(eligible, [("drifted", 0), ("empty", 0), ("underutilized", 1)]);
    let of_pool: Vec<(&str, usize)> = disruptable.eligible_of_pools["default"].clone().into_iter().collect();
    assert_eq!(of_pool, eligible, "the one pool has them all");
    let allowance = disruptable.budgets["default"]["empty"];
    assert_eq!((allowance.most, allowance.nodes, allowance.disrupted), (1, 1, 0));
}

#[test]
fn what_keeps_a_node_is_told_of_its_claim_and_of_the_node() {
    let (kept, disruptable) = told(&json!({}), json!({labels::DO_NOT_DISRUPT: "true"}));
    let why = "pod default/web has the annotation karpenter.sh/do-not-disrupt";
    let of = |kind: &str| (Kept::DisruptionBlocked, format!("cannot disrupt {kind} n: {why}"));
    assert_eq!(kept, [of("NodeClaim"), of("Node")]);
    assert_eq!(disruptable.eligible["underutilized"], 0);
    let (kept, _) = told(&json!({"consolidationPolicy": "WhenEmpty"}), Value::Null);
    let why = "NodePool default consolidates empty nodes only";
    let of = |kind: &str| (Kept::Unconsolidatable, format!("cannot disrupt {kind} n: {why}"));
    assert_eq!(kept, [of("NodeClaim"), of("Node")]);
}

#[test]
fn a_pool_whose_budgets_allow_nothing_is_told_for_each_reason() {
    let (kept, disruptable) = told(&json!({"budgets": [{"nodes": "0", "reasons": ["Drifted", "Empty"]}]}), Value::Null);
    let of = |reason: &str| {
        let why = format!("its budgets allow no disruption for the reason {reason}");
        (Kept::DisruptionBlocked, format!("cannot disrupt NodePool default: {why}"))
    };
    assert_eq!(kept, [of("Empty"), of("Drifted")]);
    assert_eq!(disruptable.eligible["underutilized"], 1, "budgets are no part of it");
    assert!(disruptable.budgets["default"]["underutilized"].left() > 1, "as many as one likes");
}

#[test]
fn a_node_that_pods_were_told_to_bind_to_is_kept_for_a_while() {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({})), pod("web", "1")]);
    rig.pass(118);
    rig.put(pod("late", "500m"));
    rig.said.clear();
    rig.pass(4);
    let kept = |rig: &Rig| rig.said.iter().filter(|said| matches!(said, Said::Kept { .. })).count();
    let why = rig.said.iter().find_map(|said| match said {
        Said::Kept { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert!(why.as_ref().is_some_and(|why| why.starts_with("pods were nominated for it")), "{why:?}");
    rig.delete("Pod", "late");
    rig.said.clear();
    rig.pass(120);
    assert_eq!(kept(&rig), 0);
}
