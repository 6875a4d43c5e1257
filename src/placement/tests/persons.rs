//! What people do to nodes comes before what is planned.

use serde_json::json;

use super::super::Mode;
use super::super::release;
use super::sim::Sim;
use crate::api::labels;

#[test]
fn a_node_that_a_person_cordoned_before_it_was_registered_stays_cordoned() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    sim.node("n", "c");
    sim.change_node("n", |node| node["spec"]["unschedulable"] = json!(true));
    assert_eq!(sim.losses(), ["the pods of claim c may bind elsewhere: a person cordoned the node"]);
    assert_eq!(sim.step(), ["register node n"]);
    sim.ready("n");
    sim.pass(10_000);
    assert_eq!((sim.step(), sim.is_cordoned("n"), sim.annotations("n")), (vec![], true, vec![]));
}

#[test]
fn a_reserved_node_that_a_person_cordons_stays_cordoned() {
    let mut sim = Sim::reserved(&[]);
    sim.change_node("n", |node| node["spec"]["unschedulable"] = json!(true));
    sim.pass(60);
    assert_eq!(sim.step(), ["free node n: the time is over"]);
    assert_eq!((sim.taints("n"), sim.is_cordoned("n")), (vec![], true));
    assert_eq!(sim.step(), [""; 0]);
}

#[test]
fn a_cordon_of_ours_without_our_mark_is_a_persons() {
    let mut sim = Sim::reserved(&["d"]);
    assert!(sim.is_cordoned("n"));
    sim.change_node("n", |node| {
        drop(node["metadata"]["annotations"].as_object_mut().unwrap().remove(labels::CORDONED_AT));
    });
    sim.daemon_pod("d", "n");
    sim.pass(10_000);
    let cordon = "node.kubernetes.io/unschedulable=:NoSchedule".to_owned();
    assert_eq!((sim.step(), sim.is_cordoned("n"), sim.taints("n")), (vec![], true, vec![cordon]));
}

#[test]
fn a_person_who_uncordons_a_node_of_ours_opens_it_for_good() {
    let mut sim = Sim::reserved(&["d"]);
    sim.change_node("n", |node| node["spec"]["unschedulable"] = json!(false));
    assert_eq!(sim.step(), ["free node n: cordon or taint are gone"]);
    assert_eq!((sim.step(), sim.annotations("n")), (vec![], vec![]));
}

#[test]
fn a_person_who_takes_our_taint_away_opens_the_node_for_good() {
    let mut sim = Sim::reserved(&[]);
    sim.change_node("n", |node| node["spec"]["taints"] = json!([{"key": "mine", "effect": "NoSchedule"}]));
    assert_eq!(sim.step(), ["free node n: cordon or taint are gone"]);
    assert_eq!((sim.step(), sim.taints("n")), (vec![], vec!["mine=:NoSchedule".to_owned()]));
}

#[test]
fn release_frees_what_is_ours_and_nothing_else() {
    for daemons in [&["d"][..], &[]] {
        let mut sim = Sim::reserved(daemons);
        sim.change_node("n", |node| {
            let more = json!({"key": "mine", "effect": "NoSchedule"});
            node["spec"]["taints"].as_array_mut().unwrap().push(more);
        });
        let node = serde_json::from_value(sim.nodes["n"].clone()).unwrap();
        let action = release(&node).unwrap();
        assert_eq!(action.what.to_string(), "free node n: a person asked for it");
        sim.apply(&super::super::Step { actions: vec![action], ..Default::default() });
        assert_eq!((sim.is_held("n"), sim.is_cordoned("n")), (false, false));
        assert_eq!((sim.taints("n"), sim.annotations("n")), (vec!["mine=:NoSchedule".to_owned()], vec![]));
        assert_eq!(release(&serde_json::from_value(sim.nodes["n"].clone()).unwrap()), None);
    }
    let cordoned = json!({"metadata": {"name": "n"}, "spec": {"unschedulable": true}});
    assert_eq!(release(&serde_json::from_value(cordoned).unwrap()), None);
    let tainted = json!({"metadata": {"name": "n"}, "spec": {"unschedulable": true, "taints": [
        {"key": labels::PLANNED, "value": "c", "effect": "NoSchedule"}]}});
    let action = release(&serde_json::from_value(tainted).unwrap()).unwrap();
    assert_eq!(action.patch.body["spec"], json!({"taints": []}), "the cordon is a person's");
}
