//! Instances that the cloud says are about to go, or gone.

use std::sync::Arc;

use serde_json::json;

use super::rig::{Rig, class, pod, pool};
use crate::api::labels;
use crate::cloud::InterruptionKind;
use crate::controller::{Event, Said};

#[test]
fn of_an_instance_that_is_gone_nothing_is_left_to_do_where_no_claim_has_it() {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({})), pod("web", "1")]);
    rig.pass(3);
    let claim = rig.names("NodeClaim").remove(0);
    let own = rig.get("NodeClaim", &claim)["status"]["providerID"].as_str().unwrap().to_owned();
    let interrupt = |rig: &mut Rig, id: &str, kind| {
        rig.controller.observe(Event::Interrupted { provider_id: Arc::from(id), kind }, rig.now);
        assert!(!rig.controller.is_handled(id), "nobody has looked yet");
        rig.step();
        rig.controller.is_handled(id)
    };
    assert!(interrupt(&mut rig, "kwok://gone", InterruptionKind::InstanceTerminated));
    assert!(interrupt(&mut rig, "kwok://stopped", InterruptionKind::InstanceStopped));
    assert!(!interrupt(&mut rig, "kwok://unknown", InterruptionKind::SpotInterrupted), "its claim may say so late");
    rig.settle();
    assert!(rig.get("NodeClaim", &claim)["metadata"]["deletionTimestamp"].is_null());
    interrupt(&mut rig, &own, InterruptionKind::InstanceTerminated);
    rig.settle();
    assert!(rig.controller.is_handled(&own));
    let is_going = rig.try_get("NodeClaim", &claim).is_none_or(|of| !of["metadata"]["deletionTimestamp"].is_null());
    assert!(is_going, "its claim goes");
}

#[test]
fn an_impaired_instance_is_not_drained() {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({})), pod("web", "1")]);
    rig.pass(3);
    let claim = rig.names("NodeClaim").remove(0);
    let own: Arc<str> = rig.get("NodeClaim", &claim)["status"]["providerID"].as_str().unwrap().into();
    let kind = InterruptionKind::InstanceImpaired;
    rig.controller.observe(Event::Interrupted { provider_id: own, kind }, rig.now);
    rig.step();
    let annotations = rig.get("NodeClaim", &claim)["metadata"]["annotations"].clone();
    let deadline: jiff::Timestamp = annotations[labels::TERMINATION_TIMESTAMP].as_str().unwrap().parse().unwrap();
    assert!(deadline <= rig.now, "{deadline}");
    rig.settle();
    let is_going = rig.try_get("NodeClaim", &claim).is_none_or(|of| !of["metadata"]["deletionTimestamp"].is_null());
    assert!(is_going, "its claim goes");
}

#[test]
fn a_recommendation_is_told_and_nothing_is_done() {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({})), pod("web", "1")]);
    rig.pass(3);
    let claim = rig.names("NodeClaim").remove(0);
    let own: Arc<str> = rig.get("NodeClaim", &claim)["status"]["providerID"].as_str().unwrap().into();
    let kind = InterruptionKind::RebalanceRecommendation;
    for provider_id in [own.clone(), Arc::from("kwok://unknown")] {
        rig.controller.observe(Event::Interrupted { provider_id, kind }, rig.now);
    }
    rig.pass(30);
    let name = Arc::from(claim.as_str());
    let told =
        |said: &&Said| **said == Said::RebalanceRecommended { claim: Arc::clone(&name), node: Some(name.clone()) };
    assert_eq!(rig.said.iter().filter(told).count(), 1, "{:?}", rig.said);
    assert!(rig.controller.is_handled(&own) && rig.get("NodeClaim", &claim)["metadata"]["deletionTimestamp"].is_null());
}
