//! Pods that do not exist when their node is planned: they come when others are evicted.

use serde_json::json;

use super::super::Mode;
use super::super::signature::signature;
use super::sim::Sim;

/// Node `n` of claim `c` is reserved for two pods of owner `o`, which come from node `old`.
fn replacement() -> Sim {
    let mut sim = Sim::new(Mode::Reserve);
    sim.pod("model", Some("o"));
    let like = signature(&serde_json::from_value(sim.pods.remove("model").unwrap()).unwrap());
    sim.node("old", "none");
    sim.change_node("old", |node| node["spec"]["taints"] = json!([]));
    sim.claim("c", &[]);
    sim.plan("c", |plan| {
        plan["expected"] = json!([{"namespace": "shop", "owner": "o", "signature": like, "count": 2}]);
        plan["replaces"] = json!(["old"]);
    });
    sim.node("n", "c");
    sim.step();
    sim.ready("n");
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
    sim
}

#[test]
fn the_first_pods_that_match_take_the_places() {
    let mut sim = replacement();
    sim.pod("b", Some("o"));
    sim.pass(1);
    sim.pod("a", Some("o"));
    sim.pod("z", Some("o"));
    sim.pod("stranger", Some("another"));
    sim.pod("other", Some("o"));
    sim.pods.get_mut("other").unwrap()["spec"]["nodeSelector"] = json!({"zone": "a"});
    assert_eq!(sim.step(), ["let pod shop/a on the node of c", "let pod shop/b on the node of c"]);
    assert_eq!(sim.step(), [""; 0], "there are two places");
    sim.bind("a", "n");
    assert_eq!(sim.step(), [""; 0]);
    sim.bind("b", "n");
    assert_eq!(sim.step(), ["free node n: every planned pod is bound or gone"], "before the drain ends");
}

#[test]
fn the_place_of_a_pod_that_goes_is_taken_by_the_next() {
    let mut sim = replacement();
    sim.pod("a", Some("o"));
    sim.pod("b", Some("o"));
    sim.step();
    sim.pods.remove("a");
    sim.pod("d", Some("o"));
    assert_eq!(sim.step(), ["let pod shop/d on the node of c"]);
}

#[test]
fn a_pod_takes_a_place_of_one_claim_only() {
    let mut sim = replacement();
    let claim = sim.claims["c"].clone();
    sim.claim("d", &[]);
    sim.claims.get_mut("d").unwrap()["metadata"]["annotations"] = claim["metadata"]["annotations"].clone();
    for name in ["a", "b", "e"] {
        sim.pod(name, Some("o"));
    }
    sim.node("m", "d");
    assert_eq!(
        sim.step(),
        ["register and cordon node m", "let pod shop/a on the node of c", "let pod shop/b on the node of c"]
    );
    sim.ready("m");
    assert_eq!(sim.step(), ["reserve node m for the pods of d"]);
    assert_eq!(sim.step(), ["let pod shop/e on the node of d"]);
    assert_eq!(sim.step(), [""; 0]);
}

#[test]
fn pods_go_where_they_are_let_in_before_where_they_would_have_to_wait() {
    let mut sim = replacement();
    let claim = sim.claims["c"].clone();
    // its name comes first, and its node later
    sim.claim("b", &[]);
    sim.claims.get_mut("b").unwrap()["metadata"]["annotations"] = claim["metadata"]["annotations"].clone();
    sim.pod("a", Some("o"));
    assert_eq!(sim.step(), ["let pod shop/a on the node of c"], "it has none yet");
    sim.node("m", "b");
    sim.pod("d", Some("o"));
    assert_eq!(sim.step(), ["register and cordon node m", "let pod shop/d on the node of c"]);
    sim.pod("e", Some("o"));
    assert_eq!(sim.step(), [""; 0], "{:?}", sim.tolerations("e"));
    sim.pass(1);
    sim.ready("m");
    assert_eq!(sim.step(), ["reserve node m for the pods of b"]);
    assert_eq!(sim.step(), ["let pod shop/e on the node of b"]);
}

#[test]
fn a_pod_that_one_claim_plans_takes_no_place_of_another() {
    let mut sim = replacement();
    sim.pod("a", Some("o"));
    sim.claim("d", &["a"]);
    assert_eq!(sim.step(), [""; 0]);
    sim.node("m", "d");
    sim.step();
    sim.ready("m");
    sim.step();
    assert_eq!(sim.step(), ["let pod shop/a on the node of d"]);
}

#[test]
fn the_limit_counts_from_the_end_of_the_drain() {
    let mut sim = replacement();
    sim.pass(1000);
    assert_eq!(sim.step(), [""; 0], "longer than a taint stays otherwise");
    sim.nodes.remove("old");
    assert_eq!(sim.step(), ["node n: what it replaces is gone"]);
    sim.pass(59);
    assert_eq!(sim.step(), [""; 0]);
    sim.pass(1);
    assert_eq!(sim.losses(), ["the pods of claim c may bind elsewhere: it was not bound in time"]);
    assert_eq!(sim.step(), ["free node n: the time is over"]);
}

#[test]
fn a_drain_that_does_not_end_is_waited_for_an_hour() {
    let mut sim = replacement();
    sim.pass(3599);
    assert_eq!(sim.step(), [""; 0]);
    sim.pass(1);
    assert_eq!(sim.step(), ["free node n: the time is over"]);
}

#[test]
fn a_replacement_that_is_called_off_keeps_no_node() {
    let mut sim = replacement();
    sim.plan("c", |plan| *plan = json!({}));
    assert_eq!(sim.step(), ["free node n: its claim has no plan"]);
}
