//! What happens when time passes and nothing else does.

use serde_json::json;

use super::super::Mode;
use super::sim::Sim;
use crate::api::labels;

#[test]
fn daemon_pods_are_waited_for_half_a_minute_once_the_node_is_ready() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.daemon_set("d");
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    sim.node("n", "c");
    sim.step();
    sim.pass(100);
    sim.ready("n");
    sim.pass(29);
    assert_eq!(sim.step(), [""; 0]);
    sim.pass(1);
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
}

#[test]
fn a_node_that_never_gets_ready_is_cordoned_for_ten_minutes() {
    let mut sim = Sim::new(Mode::Reserve);
    sim.pod("p", None);
    sim.claim("c", &["p"]);
    sim.node("n", "c");
    sim.step();
    sim.pass(599);
    assert_eq!(sim.step(), [""; 0]);
    sim.pass(1);
    assert_eq!(sim.step(), ["reserve node n for the pods of c"]);
    sim.pass(60);
    assert_eq!(sim.step(), ["free node n: the time is over"]);
}

#[test]
fn a_taint_stays_a_minute_at_most_and_what_it_failed_is_said() {
    let mut sim = Sim::reserved(&[]);
    sim.pass(59);
    assert_eq!(sim.step(), [""; 0]);
    sim.pass(1);
    assert_eq!(sim.losses(), ["pod shop/p may bind elsewhere than on claim c: it was not bound in time"]);
    assert_eq!(sim.step(), ["free node n: the time is over"]);
    assert_eq!(sim.step(), [""; 0]);
}

#[test]
fn times_that_nobody_can_read_are_over() {
    for (key, daemons) in [(labels::RESERVED_AT, &[][..]), (labels::CORDONED_AT, &["d"])] {
        for time in ["soon", "2036-01-01T00:00:00Z"] {
            let mut sim = Sim::reserved(daemons);
            sim.change_node("n", |node| node["metadata"]["annotations"][key] = json!(time));
            sim.step();
            if key == labels::CORDONED_AT {
                assert!(!sim.is_cordoned("n"), "{time}");
            } else {
                assert!(!sim.is_held("n"), "{time}");
            }
        }
    }
}

#[test]
fn pods_that_arrive_late_extend_nothing() {
    let mut sim = Sim::reserved(&[]);
    sim.pass(50);
    sim.pod("late", None);
    sim.plan("c", |plan| {
        plan["pods"].as_array_mut().unwrap().push(json!({"namespace": "shop", "name": "late", "uid": "uid-late"}));
    });
    assert_eq!(sim.step(), ["let pod shop/late on the node of c"]);
    sim.pass(10);
    assert_eq!(sim.step(), ["free node n: the time is over"]);
}
