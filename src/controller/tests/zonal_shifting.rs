//! Zones that ARC has shifted away from.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rig::{Rig, pool};
use crate::api::labels;
use crate::catalog::{Catalog, Market};
use crate::cloud::Provider;
use crate::controller::{ControllerSettings, Event, Said};

pub const ZONES: [(&str, &str); 2] = [("us-east-1a", "use1-az6"), ("us-east-1b", "use1-az1")];

pub fn class() -> Value {
    let subnets: Vec<Value> = ZONES
        .iter()
        .map(|(zone, id)| json!({"id": format!("subnet-{}", &zone[9..]), "zone": zone, "zoneID": id}))
        .collect();
    let amis = json!([{"id": "ami-1", "requirements": [{"key": labels::ARCH, "operator": "In", "values": ["amd64"]}]}]);
    let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default"},
        "spec": {"amiFamily": "AL2023", "role": "r", "subnetSelectorTerms": [{"id": "subnet-a"}, {"id": "subnet-b"}],
            "securityGroupSelectorTerms": [{"id": "sg-1"}], "amiSelectorTerms": [{"id": "ami-1"}]},
        "status": {"subnets": subnets, "amis": amis, "securityGroups": [{"id": "sg-1"}], "conditions": [ready]},
    })
}

/// A pool of it that may be in these zones.
pub fn in_zones(name: &str, zones: &[&str]) -> Value {
    let class = json!({"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"});
    let zones = json!([{"key": labels::ZONE, "operator": "In", "values": zones}]);
    pool(name, json!({"template": {"spec": {"nodeClassRef": class, "requirements": zones}}}))
}

/// A node of the pool `everywhere` in the first zone, without pods, that has been as ready for long; nobody lists its instance.
fn node(ready: &str) -> [Value; 2] {
    let old = "2025-12-31T00:00:00Z";
    let labels = json!({
        labels::NODEPOOL: "everywhere", labels::REGISTERED: "true", labels::INITIALIZED: "true", labels::ZONE: ZONES[0].0,
        labels::INSTANCE_TYPE: "m5.large", labels::CAPACITY_TYPE: "on-demand", labels::ARCH: "amd64",
    });
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": old});
    let conditions = ["Launched", "Registered", "Initialized"].map(condition);
    let id = format!("aws:///{}/i-1", ZONES[0].0);
    let claim = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {"name": "lost", "creationTimestamp": old, "labels": labels, "annotations": {labels::PLANNED_PODS: "{}"},
            "finalizers": [labels::FINALIZER_TERMINATION]},
        "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}},
        "status": {"providerID": id, "nodeName": "lost",
            "conditions": conditions},
    });
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "lost", "creationTimestamp": old, "labels": labels, "finalizers": [labels::FINALIZER_TERMINATION]},
        "spec": {"providerID": id},
        "status": {"capacity": {"cpu": "2", "memory": "8Gi", "pods": "29"}, "conditions": [
            {"type": "Ready", "status": ready, "lastTransitionTime": old}]},
    });
    [claim, node]
}

fn rig(objects: Vec<Value>) -> Rig {
    let mut settings = ControllerSettings { provider: Provider::Ec2, ..ControllerSettings::default() };
    settings.decision.feature_gates.node_repair = true;
    Rig::new(settings, objects)
}

/// ARC has shifted away from these zones, and from no others.
fn shift(rig: &mut Rig, ids: &[&str]) {
    let (market, _) = Market::offline("us-east-1").unwrap();
    let ids: BTreeSet<_> = ids.iter().map(|id| (*id).into()).collect();
    rig.observe(Event::Catalog(Box::new(Catalog::Ec2(Box::new(market.with_shifted_zones(ids))))));
    rig.settle();
}

fn told(rig: &mut Rig) -> Vec<String> {
    let said = std::mem::take(&mut rig.said);
    said.iter().filter(|said| matches!(said, Said::ZonalShift { .. })).map(ToString::to_string).collect()
}

#[test]
fn pools_that_nodes_would_come_from_there_are_told_once() {
    let [a, b] = ZONES.map(|(zone, _)| zone);
    let mut rig = rig(vec![class(), in_zones("everywhere", &[a, b]), in_zones("elsewhere", &[b])]);
    shift(&mut rig, &[]);
    assert_eq!(told(&mut rig), [""; 0]);
    shift(&mut rig, &[ZONES[0].1]);
    let begun =
        "nodepool everywhere: a zonal shift away from us-east-1a (use1-az6) is active, nothing is launched there";
    assert_eq!(told(&mut rig), [begun]);
    shift(&mut rig, &[ZONES[0].1, "use1-az3"]);
    assert_eq!(told(&mut rig), [""; 0], "the class has no subnet in the other one");
    shift(&mut rig, &[]);
    assert_eq!(told(&mut rig), ["nodepool everywhere: the zonal shift away from us-east-1a (use1-az6) is over"]);
}

/// A rig with such a node, an hour after a shift away from its zone has begun.
fn shifted(ready: &str) -> Rig {
    let mut objects = vec![class(), in_zones("everywhere", &ZONES.map(|(zone, _)| zone))];
    objects.extend(node(ready));
    let mut rig = rig(Vec::new());
    shift(&mut rig, &[ZONES[0].1]);
    for object in objects {
        rig.put(object);
    }
    rig.pass(3_600);
    assert_eq!(rig.names("NodeClaim"), ["lost"], "{:?}", rig.said);
    let why = "a zonal shift away from its zone is active";
    let is_told = rig.said.iter().any(|said| matches!(said, Said::Kept { why: told, .. } if told == why));
    assert!(is_told, "{:?}", rig.said);
    rig.said.clear();
    rig
}

#[test]
fn nodes_there_are_neither_repaired_nor_given_up_until_it_is_over() {
    let mut rig = shifted("Unknown");
    shift(&mut rig, &[]);
    rig.pass(300);
    let is_given_up = |said: &Said| matches!(said, Said::InstanceGone { .. } | Said::Unhealthy { .. });
    assert!(rig.said.iter().any(is_given_up), "{:?}", rig.said);
}

#[test]
fn empty_nodes_there_stay_until_it_is_over() {
    let mut rig = shifted("True");
    assert!(rig.get("Node", "lost")["spec"]["taints"].is_null(), "it is not even closed");
    shift(&mut rig, &[]);
    rig.pass(300);
    let goes = |said: &Said| matches!(said, Said::Disrupting { reason: "Empty", .. });
    assert!(rig.said.iter().any(goes), "{:?}", rig.said);
}
