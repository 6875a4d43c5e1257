use serde_json::json;

use super::*;
use crate::catalog::node_class::PlacementGroupFacts;
use crate::cloud::ec2::fixtures::{claim, class, option, template, types_in};
use crate::cloud::node_labels;
use crate::observe::{read_labels, requirements_of};

#[test]
fn a_template_has_nothing_of_one_claim_alone() {
    let class = class(&json!({}), &json!({}));
    let one = template(&class, &json!({}));
    let mut other = claim(&json!({}));
    other.metadata.name = Some("general-y".to_owned());
    other.metadata.uid = Some("uid-2".to_owned());
    let labels = other.metadata.labels.as_mut().unwrap();
    labels.insert("node.kubernetes.io/instance-type".to_owned(), "c5.large".to_owned());
    labels.insert("topology.k8s.aws/zone-id".to_owned(), "use1-az1".to_owned());
    assert_eq!(NodeTemplate::of(&other, &class).unwrap(), one, "what a launch brings does not count");
    let keys: Vec<&str> = one.labels.keys().map(String::as_str).collect();
    assert_eq!(keys, ["karpenter.k8s.aws/ec2nodeclass", "karpenter.sh/nodepool", "team"]);
    assert_eq!(one.taints.iter().map(|taint| taint.key.as_str()).collect::<Vec<_>>(), ["dedicated", "cni"]);
}

#[test]
fn what_pods_ask_of_the_machine_is_told() {
    let class = class(&json!({}), &json!({}));
    let requirement = |key: &str, values: &[&str]| json!({"key": key, "operator": "In", "values": values});
    let wanted = template(
        &class,
        &json!({
            "resources": {"requests": {"vpc.amazonaws.com/efa": "1", "eks.amazonaws.com/nitro-sandbox": "1"}},
            "requirements": [
                requirement(labels::INSTANCE_TENANCY, &["dedicated"]),
                requirement(labels::PLACEMENT_GROUP_PARTITION, &["3", "2"]),
            ],
        }),
    );
    assert!(wanted.wants_efa && wanted.wants_enclaves);
    assert_eq!((wanted.tenancy, wanted.partition), (Tenancy::Dedicated, Some(2)));
    let either = json!({"requirements": [requirement(labels::INSTANCE_TENANCY, &["dedicated", "default"])]});
    assert_eq!(template(&class, &either).tenancy, Tenancy::Default);
}

#[test]
fn a_class_that_is_not_ready_for_its_spec_launches_nothing() {
    let refused = |status: &serde_json::Value, generation: i64| {
        let mut class = EC2NodeClass::clone(&class(&json!({}), status));
        class.metadata.generation = Some(generation);
        NodeTemplate::of(&claim(&json!({})), &Arc::new(class)).map(drop).unwrap_err().to_string()
    };
    let ready = json!({});
    assert!(refused(&ready, 2).ends_with("EC2NodeClass default: its status is of an earlier spec"));
    let broken = json!({"conditions": [{"type": "Ready", "status": "False", "reason": "UnhealthyDependents",
        "message": "SubnetsReady=False", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    assert!(refused(&broken, 1).ends_with("EC2NodeClass default: UnhealthyDependents: SubnetsReady=False"));
    assert!(refused(&json!({"conditions": []}), 1).ends_with("it has no status yet"));
}

#[test]
fn a_partition_is_a_label_where_the_claim_asks_for_one_and_else_as_ec2_chooses() {
    let class = class(&json!({"placementGroupSelector": {"name": "g"}}), &json!({}));
    let types =
        types_in(&class, Some(PlacementGroupFacts { id: "pg-1".into(), strategy: "partition".into(), partitions: 7 }));
    let (kind, offering) = option(&types, "m5.large/us-east-1a/on-demand");
    let labels = |requirements: serde_json::Value| {
        let claim = claim(&json!({ "requirements": requirements }));
        let requirements = requirements_of(&claim.spec.requirements).unwrap();
        let found = node_labels(&read_labels(None), &requirements, &types[kind], &types[kind].offerings[offering]);
        let of = |key: &str| found.get(key).map(ToString::to_string);
        (of(labels::PLACEMENT_GROUP_ID), of(labels::PLACEMENT_GROUP_PARTITION))
    };
    let group = Some("pg-1".to_owned());
    assert_eq!(labels(json!([])), (group.clone(), None));
    let third = json!({"key": labels::PLACEMENT_GROUP_PARTITION, "operator": "In", "values": ["3"]});
    assert_eq!(labels(json!([third])), (group, Some("3".to_owned())));
}
