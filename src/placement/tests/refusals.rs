//! Pods that are not changed: the guarantee is lost and said, and nobody waits for it.

use serde_json::json;

use super::super::Mode;
use super::sim::Sim;
use crate::api::labels;

fn two_pods() -> Sim {
    let mut sim = Sim::new(Mode::Reserve);
    sim.pod("p", None);
    sim.pod("q", None);
    sim.claim("c", &["p", "q"]);
    sim
}

#[test]
fn a_node_whose_pods_cannot_be_changed_is_opened_at_once() {
    let mut sim = two_pods();
    sim.refuses_pods = true;
    sim.node("n", "c");
    assert_eq!(sim.step(), ["register and cordon node n"], "nobody knows yet");
    sim.ready("n");
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
    assert_eq!(sim.step(), [""; 0], "they are refused");
    assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"]);
    assert_eq!((sim.step(), sim.is_held("n"), sim.annotations("n")), (vec![], false, vec![]));
}

#[test]
fn a_refusal_is_said() {
    let mut sim = two_pods();
    sim.refuses_pods = true;
    sim.node("n", "c");
    sim.step();
    sim.ready("n");
    sim.step();
    sim.step();
    let of = |pod: &str| {
        format!("pod shop/{pod} may bind elsewhere than on claim c: the API server refused to change it: no")
    };
    assert_eq!(sim.losses(), [of("p"), of("q")]);
}

#[test]
fn pods_and_namespaces_opt_out() {
    let mut sim = two_pods();
    sim.pods.get_mut("p").unwrap()["metadata"]["annotations"] = json!({labels::DO_NOT_RESERVE: "true"});
    assert_eq!(sim.losses(), ["pod shop/p may bind elsewhere than on claim c: it opted out of being changed"]);
    sim.node("n", "c");
    sim.step();
    sim.ready("n");
    sim.step();
    assert_eq!(sim.step(), ["let pod shop/q on the node of c"]);
    let mut sim = two_pods();
    sim.namespace["metadata"]["annotations"] = json!({labels::DO_NOT_RESERVE: "true"});
    sim.node("n", "c");
    assert_eq!(sim.step(), ["register node n"]);
    assert_eq!(sim.losses(), [""; 0], "the node is open, and nothing is promised any more");
}

#[test]
fn the_taint_goes_when_the_pods_that_could_use_it_are_bound() {
    let mut sim = two_pods();
    sim.pods.get_mut("p").unwrap()["metadata"]["annotations"] = json!({labels::DO_NOT_RESERVE: "true"});
    sim.node("n", "c");
    sim.step();
    sim.ready("n");
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
    sim.bind("q", "n");
    assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"]);
}

#[test]
fn a_pod_gets_five_tolerations_at_most() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.pod("p", None);
    for index in 0..6 {
        sim.claims.clear();
        let (claim, node) = (format!("c{index}"), format!("n{index}"));
        sim.claim(&claim, &["p"]);
        sim.node(&node, &claim);
        sim.step();
        sim.ready(&node);
        sim.step();
        sim.step();
        assert_eq!(sim.tolerations("p"), (index + 1).min(5));
    }
    sim.claim("c6", &["p"]);
    assert_eq!(sim.losses(), ["pod shop/p may bind elsewhere than on claim c6: it has 5 of our tolerations already"]);
}

#[test]
fn pods_that_are_gone_are_not_waited_for() {
    for gone in
        [json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), json!({"status": {"phase": "Failed"}})]
    {
        let mut sim = Sim::reserved(&[]);
        let pod = sim.pods.get_mut("p").unwrap();
        pod["metadata"]["deletionTimestamp"] = gone["metadata"]["deletionTimestamp"].clone();
        pod["status"] = json!({"phase": gone["status"]["phase"]});
        assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"]);
    }
    let mut sim = Sim::reserved(&[]);
    sim.pods.get_mut("p").unwrap()["metadata"]["uid"] = json!("a later one of the name");
    assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"]);
}

#[test]
fn room_draws_no_planned_pod_from_another_node() {
    let mut sim = Sim::reserved(&[]);
    sim.pod("q", None);
    sim.claim("later", &["q"]);
    sim.pods.remove("p");
    assert_eq!(sim.step(), [""; 0]);
    assert_eq!(sim.decide().next, Some(sim.now + sim.limits.reserved));
    sim.bind("q", "elsewhere");
    assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"]);
    let mut sim = Sim::reserved(&[]);
    sim.pod("q", None);
    sim.claim("later", &["q"]);
    sim.pods.remove("p");
    sim.step();
    sim.pass(60);
    assert_eq!(sim.step(), ["free node n: the time is over"], "no longer than any other node");
}

#[test]
fn a_node_without_room_is_not_kept_for_others() {
    let mut sim = Sim::reserved(&[]);
    sim.pod("q", None);
    sim.pods.get_mut("q").unwrap()["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "2500m"}});
    sim.claim("later", &["q"]);
    sim.pods.get_mut("p").unwrap()["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "2"}});
    sim.bind("p", "n");
    assert_eq!(sim.step(), [""; 0], "a taint that goes wakes every pod that waits");
    assert_eq!(sim.decide().next, Some(sim.now + sim.limits.settled));
    sim.pass(15);
    assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"]);
}

#[test]
fn a_node_whose_own_pods_cannot_be_changed_is_not_kept_for_others() {
    let mut sim = two_pods();
    sim.refusals.extend([("uid-p".into(), "no".to_owned()), ("uid-q".into(), "no".to_owned())]);
    sim.pod("r", None);
    sim.claim("later", &["r"]);
    sim.node("n", "c");
    assert_eq!(sim.step(), ["register node n"]);
}

#[test]
fn a_plan_that_cannot_be_read_keeps_no_node_and_is_said() {
    let mut sim = two_pods();
    sim.claims.get_mut("c").unwrap()["metadata"]["annotations"] = json!({labels::PLANNED_PODS: "pods"});
    let losses = sim.losses();
    assert!(
        losses[0].starts_with("the pods of claim c may bind elsewhere: the annotation packwright.dev/planned-pods: "),
        "{losses:?}"
    );
    sim.node("n", "c");
    assert_eq!(sim.step(), ["register node n"]);
}
