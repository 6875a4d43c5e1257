//! A cluster, a class that is ready, and types of the bundled catalogue, for tests.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{ClusterFacts, KubernetesVersion, NodeTemplate};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::node_claim::NodeClaim;
use crate::catalog::node_class::PlacementGroupFacts;
use crate::catalog::node_class::reservations::Reservations;
use crate::catalog::{Catalog, InstanceType, Market, NodeClassFacts};
use crate::settings::Settings;

pub fn cluster() -> ClusterFacts {
    ClusterFacts {
        name: "prod".into(),
        endpoint: "https://api.example.com".into(),
        ca_bundle: Some("Y2E=".into()),
        service_cidr: Some("10.100.0.0/16".into()),
        dns: Some("10.100.0.10".into()),
        version: KubernetesVersion { major: 1, minor: 32 },
        region: "us-east-1".into(),
        reserved_capacity: true,
    }
}

/// A class with more in its spec and status, which is ready.
pub fn class(spec: &Value, status: &Value) -> Arc<EC2NodeClass> {
    let mut class = json!({
        "metadata": {"name": "default", "uid": "class-uid", "generation": 1},
        "spec": {
            "role": "node", "amiFamily": "AL2023",
            "subnetSelectorTerms": [{"id": "subnet-1"}], "securityGroupSelectorTerms": [{"id": "sg-1"}],
        },
        "status": {
            "subnets": [
                {"id": "subnet-1", "zone": "us-east-1a", "zoneID": "use1-az1"},
                {"id": "subnet-2", "zone": "us-east-1a", "zoneID": "use1-az1"},
                {"id": "subnet-3", "zone": "us-east-1b", "zoneID": "use1-az2"},
            ],
            "securityGroups": [{"id": "sg-1"}, {"id": "sg-2"}],
            "amis": [
                {"id": "ami-amd", "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                    {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "DoesNotExist"}]},
                {"id": "ami-arm", "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}]},
                {"id": "ami-gpu", "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                    {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "Exists"}]},
            ],
            "instanceProfile": "prod_profile",
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "",
                "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    });
    for (part, more) in [("spec", spec), ("status", status)] {
        class[part].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    Arc::new(serde_json::from_value(class).unwrap())
}

/// A claim with more in its spec.
pub fn claim(more: &Value) -> NodeClaim {
    let mut claim = json!({
        "metadata": {"name": "general-x", "uid": "uid-1", "labels": {
            "karpenter.sh/nodepool": "general", "karpenter.k8s.aws/ec2nodeclass": "default", "team": "a",
            "node.kubernetes.io/instance-type": "m5.large", "example.k8s.io/b": "c"}},
        "spec": {
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
            "requirements": [], "taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}],
            "startupTaints": [{"key": "cni", "effect": "NoExecute"}],
        },
    });
    claim["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(claim).unwrap()
}

pub fn template(class: &Arc<EC2NodeClass>, more: &Value) -> NodeTemplate {
    NodeTemplate::of(&claim(more), class).unwrap()
}

/// All types that a class can have, with a capacity reservation for two m5.large in us-east-1a, and a capacity block.
pub fn types(class: &EC2NodeClass) -> Arc<Vec<InstanceType>> {
    types_in(class, None)
}

/// As [`types`], where its placement group is known.
pub fn types_in(class: &EC2NodeClass, group: Option<PlacementGroupFacts>) -> Arc<Vec<InstanceType>> {
    let reservation = |id: &str, kind: &str, zone: &str| {
        json!({"CapacityReservationId": id, "InstanceType": "m5.large", "State": "active", "AvailabilityZone": zone,
            "AvailableInstanceCount": 2, "ReservationType": kind})
    };
    let all = json!([
        reservation("cr-1", "default", "us-east-1a"),
        reservation("cr-2", "capacity-block", "us-east-1a"),
        reservation("cr-3", "default", "us-east-1b"),
        reservation("cr-4", "default", "us-east-1a"),
    ]);
    let reservations = Reservations::parse(&all.to_string()).unwrap();
    let mut facts = NodeClassFacts::from_ec2(class).unwrap();
    facts.reservations = reservations.facts();
    facts.placement_group = group;
    let (market, _) = Market::offline("us-east-1").unwrap();
    Arc::new(Catalog::Ec2(Box::new(market)).instance_types(&facts, &Settings::default()))
}

/// The place of an offering, written as `type/zone/capacity type` or `type/zone/reservation`.
pub fn option(types: &[InstanceType], text: &str) -> (usize, usize) {
    let [name, zone, how] = text.split('/').collect::<Vec<_>>().try_into().unwrap();
    let kind = types.iter().position(|kind| &*kind.name == name).unwrap();
    let is_it = |offering: &crate::catalog::Offering| {
        let bought = offering.reservation.as_ref().map_or(offering.capacity_type.label(), |of| &of.id);
        &*offering.zone == zone && bought == how
    };
    (kind, types[kind].offerings.iter().position(is_it).unwrap())
}
