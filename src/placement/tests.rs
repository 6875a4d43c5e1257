//! The protocol, step by step, on objects as Kubernetes has them and with time that the tests pass.

mod limits;
mod new_pods;
mod persons;
mod property;
mod refusals;
mod sim;

use serde_json::json;

use super::{Landed, Mode, landed};
use crate::api::labels;
use sim::Sim;

#[test]
fn reserve_cordons_then_taints_and_uncordons_then_frees() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.daemon_set("d");
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    assert_eq!(sim.step(), [""; 0], "nothing to bind to: kube-scheduler would try in vain");
    sim.node("n", "c");
    assert_eq!(sim.step(), ["register and cordon node n"]);
    let cordon = "node.kubernetes.io/unschedulable=:NoSchedule".to_owned();
    assert_eq!((sim.taints("n"), sim.is_cordoned("n")), (vec![cordon], true), "never without any taint");
    assert_eq!(sim.step(), [""; 0], "the node is not ready");
    sim.ready("n");
    assert_eq!(sim.step(), [""; 0], "the daemon pod is not there");
    sim.daemon_pod("d", "n");
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
    assert_eq!(
        (sim.taints("n"), sim.is_cordoned("n")),
        (vec!["packwright.dev/planned=c:NoSchedule".to_owned()], false)
    );
    assert_eq!(sim.step(), ["let pod shop/p on the node of c"]);
    assert_eq!(sim.step(), [""; 0]);
    sim.bind("p", "n");
    assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"]);
    assert_eq!((sim.taints("n"), sim.annotations("n")), (vec![], vec![]));
    assert_eq!(sim.step(), [""; 0], "it is over");
}

#[test]
fn pods_are_let_in_by_their_turns_whatever_their_names_and_nodes() {
    let mut sim = Sim::new(Mode::Reserve);
    for (claim, pods) in [("c", ["p1", "p4"]), ("d", ["p2", "p3"])] {
        for pod in pods {
            sim.pod(pod, Some("web"));
            sim.pods.get_mut(pod).unwrap()["spec"]["topologySpreadConstraints"] =
                json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]);
        }
        sim.claim(claim, &pods);
        sim.node(&format!("n-{claim}"), claim);
        sim.ready(&format!("n-{claim}"));
    }
    for (claim, turns) in [("c", [2, 1]), ("d", [0, 3])] {
        sim.plan(claim, |plan| {
            for (pod, turn) in plan["pods"].as_array_mut().unwrap().iter_mut().zip(turns) {
                pod["turn"] = json!(turn);
            }
        });
    }
    sim.step();
    sim.step();
    let let_in = |pod: &str, claim: &str| format!("let pod shop/{pod} on the node of {claim}");
    assert_eq!(sim.step(), [let_in("p2", "d"), let_in("p4", "c"), let_in("p1", "c"), let_in("p3", "d")]);
}

#[test]
fn pods_that_mind_nobody_are_let_in_by_their_turns_whatever_they_are_called() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.pod("batch", None);
    sim.pod("payments", None);
    sim.claim("c", &["batch", "payments"]);
    sim.plan("c", |plan| (plan["pods"][0]["turn"], plan["pods"][1]["turn"]) = (json!(1), json!(0)));
    sim.node("n", "c");
    sim.ready("n");
    sim.step();
    sim.step();
    assert_eq!(sim.step(), ["let pod shop/payments on the node of c", "let pod shop/batch on the node of c"]);
}

#[test]
fn a_pod_whose_spread_counts_on_an_earlier_one_waits_for_its_node_for_some_seconds() {
    let mut sim = Sim::new(Mode::Reserve);
    for (turn, (pod, claim)) in [("p1", "c"), ("p2", "d"), ("alone", "d")].into_iter().enumerate() {
        sim.pod(pod, Some(if pod == "alone" { "other" } else { "web" }));
        sim.pods.get_mut(pod).unwrap()["spec"]["topologySpreadConstraints"] =
            json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]);
        if !sim.claims.contains_key(claim) {
            sim.claim(claim, &[]);
            sim.node(&format!("n-{claim}"), claim);
        }
        let planned = json!({"namespace": "shop", "name": pod, "uid": format!("uid-{pod}"), "turn": turn});
        sim.plan(claim, |plan| plan["pods"].as_array_mut().unwrap().push(planned));
    }
    sim.step();
    sim.ready("n-d");
    assert_eq!(sim.step(), ["reserve node n-d for the pods of d"]);
    assert_eq!(sim.step(), ["let pod shop/alone on the node of d"]);
    assert_eq!(sim.step(), [""; 0], "p2 can bind only once p1 has");
    let mut late = sim.clone();
    late.pass(3);
    assert_eq!(late.step(), ["let pod shop/p2 on the node of d"], "or the node of c does not come");
    sim.ready("n-c");
    assert_eq!(sim.step(), ["reserve node n-c for the pods of c"]);
    assert_eq!(sim.step(), ["let pod shop/p1 on the node of c", "let pod shop/p2 on the node of d"]);
}

#[test]
fn nominate_nominates_before_the_node_opens_and_reserves_nothing() {
    let mut sim = Sim::new(Mode::Nominate);
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    assert_eq!(sim.step(), [""; 0], "kube-scheduler knows no such node yet");
    sim.node("n", "c");
    assert_eq!(sim.step(), ["nominate node n for pod shop/p", "register node n"]);
    assert_eq!(sim.pods["p"]["status"]["nominatedNodeName"], "n");
    assert_eq!((sim.step(), sim.is_cordoned("n")), (vec![], false));
}

#[test]
fn observe_only_registers() {
    let mut sim = Sim::new(Mode::Observe);
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    sim.node("n", "c");
    assert_eq!(sim.step(), ["register node n"]);
    assert_eq!((sim.step(), sim.is_cordoned("n")), (vec![], false));
}

#[test]
fn a_change_of_mode_frees_what_is_reserved() {
    for daemons in [&["d"][..], &[]] {
        let mut sim = Sim::reserved(daemons);
        sim.mode = Mode::Observe;
        assert_eq!(sim.step(), ["free node n: the mode reserves no nodes"]);
        assert!(!sim.is_held("n"));
    }
}

#[test]
fn a_node_without_a_plan_is_not_kept_from_anybody() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.claim("c", &[]);
    sim.node("n", "c");
    assert_eq!(sim.step(), ["register node n"]);
    assert_eq!(sim.step(), [""; 0]);
}

#[test]
fn nodes_that_nobody_claims_are_left_alone() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.node("n", "no-such-claim");
    assert_eq!(sim.step(), [""; 0]);
}

#[test]
fn nodes_and_claims_of_other_provisioners_are_left_alone() {
    for mode in [Mode::Reserve, Mode::Nominate, Mode::Observe] {
        let mut sim = Sim::new(mode);
        sim.pod("p", None);
        sim.claim("theirs", &["p"]);
        sim.claims.get_mut("theirs").unwrap()["metadata"]["annotations"] = json!({"karpenter.sh/nodepool-hash": "1"});
        sim.node("n", "theirs");
        assert_eq!(sim.step(), [""; 0], "{mode:?}: who made the claim registers the node");
        sim.ready("n");
        sim.pass(10_000);
        assert_eq!((sim.step(), sim.taints("n")), (vec![], vec!["karpenter.sh/unregistered=:NoExecute".to_owned()]));
        assert_eq!(landed(&sim.observed()), []);
        // one whose plan cannot be read is ours
        sim.claims.get_mut("theirs").unwrap()["metadata"]["annotations"] = json!({labels::PLANNED_PODS: "?"});
        assert_eq!(sim.step(), ["register node n"]);
    }
}

#[test]
fn a_node_of_a_claim_without_plan_is_freed_before_anything_else() {
    let mut sim = Sim::reserved(&[]);
    sim.claims.clear();
    sim.pod("q", None);
    sim.claim("other", &["q"]);
    sim.node("m", "other");
    assert_eq!(sim.step(), ["free node n: its claim has no plan", "register and cordon node m"]);
}

#[test]
fn a_planned_extended_resource_is_waited_for() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    sim.plan("c", |plan| plan["extended"] = json!({"example.com/dongle": 2}));
    sim.node("n", "c");
    sim.step();
    sim.ready("n");
    assert_eq!(sim.step(), [""; 0]);
    sim.pass(300);
    assert_eq!(sim.step(), [""; 0], "longer than daemon pods are waited for");
    sim.change_node("n", |node| node["status"]["allocatable"]["example.com/dongle"] = json!("1"));
    assert_eq!(sim.step(), [""; 0], "one of two");
    sim.change_node("n", |node| node["status"]["allocatable"]["example.com/dongle"] = json!("2"));
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
}

#[test]
fn a_node_that_starts_up_is_waited_for() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    sim.claims.get_mut("c").unwrap()["spec"]["startupTaints"] = json!([{"key": "cni", "effect": "NoExecute"}]);
    sim.node("n", "c");
    sim.change_node("n", |node| {
        node["spec"]["taints"].as_array_mut().unwrap().push(json!({"key": "cni", "effect": "NoExecute"}));
    });
    sim.step();
    sim.ready("n");
    assert_eq!(sim.step(), [""; 0]);
    sim.change_node("n", |node| node["spec"]["taints"] = json!([]));
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
}

#[test]
fn daemon_pods_that_do_not_run_on_the_node_are_not_waited_for() {
    let mut sim = Sim::new(Mode::Reserve);
    for (name, spec) in [
        ("elsewhere", json!({"nodeSelector": {"zone": "b"}})),
        ("kept-out", json!({})),
        ("leaving", json!({"tolerations": [{"operator": "Exists"}]})),
    ] {
        sim.daemon_set(name);
        sim.change_daemon_set(name, spec);
    }
    sim.daemon_sets.get_mut("leaving").unwrap()["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    sim.node("n", "c");
    sim.change_node("n", |node| {
        node["spec"]["taints"].as_array_mut().unwrap().push(json!({"key": "dedicated", "effect": "NoSchedule"}));
    });
    sim.step();
    sim.ready("n");
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
    assert_eq!(sim.taints("n").len(), 2, "the taint of the pool stays");
}

#[test]
fn patches_name_the_version_that_was_read() {
    let mut sim = Sim::reserved(&[]);
    sim.bind("p", "n");
    let step = sim.decide();
    let version = sim.nodes["n"]["metadata"]["resourceVersion"].clone();
    assert_eq!(step.actions[0].patch.body["metadata"]["resourceVersion"], version);
    sim.change_node("n", |node| node["metadata"]["labels"]["by"] = json!("somebody else"));
    assert_eq!(sim.apply(&step), [""; 0], "the API server refuses what is outdated");
    assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"]);
}

#[test]
fn the_time_of_the_next_step_is_the_next_limit() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.daemon_set("d");
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    sim.node("n", "c");
    assert_eq!(sim.decide().next, None);
    sim.step();
    sim.ready("n");
    assert_eq!(sim.decide().next, Some(sim.now + sim.limits.daemons));
    sim.daemon_pod("d", "n");
    sim.step();
    assert_eq!(sim.decide().next, Some(sim.now + sim.limits.reserved));
}

#[test]
fn a_taint_of_ours_is_known_by_its_claim() {
    let mut sim = Sim::reserved(&[]);
    sim.change_node("n", |node| node["spec"]["taints"][0]["value"] = json!("another"));
    assert_eq!(sim.step(), ["free node n: its claim has no plan"]);
    assert_eq!(labels::PLANNED, "packwright.dev/planned", "it is in the policy of the chart too");
}

#[test]
fn what_became_of_planned_pods_is_counted_in_every_mode() {
    let mut sim = Sim::new(Mode::Observe);
    for pod in ["here", "there", "nowhere", "gone"] {
        sim.pod(pod, None);
    }
    sim.claim("c", &["here", "there", "nowhere", "gone"]);
    sim.node("n", "c");
    sim.bind("here", "n");
    sim.bind("there", "m");
    sim.pods.remove("gone");
    let counted = Landed { claim: "c".into(), as_planned: 1, elsewhere: 1, unbound: 1, gone: 1 };
    assert_eq!(landed(&sim.observed()), [counted]);
}
