use serde_json::{Value, json};

use super::*;
use crate::catalog::node_class::PlacementGroupFacts;
use crate::cloud::ec2::fixtures::{class, types, types_in};

fn machine() -> Machine {
    Machine {
        zone: "us-east-1a".into(),
        image_id: "ami-amd".into(),
        subnet_id: Some("subnet-1".into()),
        security_groups: vec!["sg-2".into(), "sg-1".into()],
        ..Machine::example("m5.large")
    }
}

fn drift(status: &Value, change: impl FnOnce(&mut Machine)) -> Option<&'static str> {
    let class = class(&json!({}), status);
    let types = types(&class);
    let kind = types.iter().find(|kind| &*kind.name == "m5.large");
    let mut machine = machine();
    change(&mut machine);
    dynamic(&class, kind, None, Some(&machine))
}

#[test]
fn each_part_drifts_for_its_reason_and_the_first_counts() {
    let none = json!({});
    assert_eq!(drift(&none, |_| {}), None);
    assert_eq!(drift(&none, |of| of.image_id = "ami-old".into()), Some(AMI));
    assert_eq!(drift(&none, |of| of.image_id = "ami-arm".into()), Some(AMI), "it is for other types");
    assert_eq!(drift(&none, |of| of.security_groups.truncate(1)), Some(SECURITY_GROUP));
    assert_eq!(drift(&none, |of| of.subnet_id = Some("subnet-9".into())), Some(SUBNET));
    assert_eq!(drift(&none, |of| of.reservation = Some("cr-9".into())), Some(CAPACITY_RESERVATION));
    let all = |of: &mut Machine| {
        of.subnet_id = Some("subnet-9".into());
        of.security_groups.clear();
        of.image_id = "ami-old".into();
    };
    assert_eq!(drift(&none, all), Some(AMI));
}

#[test]
fn what_is_not_known_is_no_drift() {
    let unknown = |of: &mut Machine| {
        of.subnet_id = None;
        of.security_groups.clear();
    };
    assert_eq!(drift(&json!({}), unknown), None);
    assert_eq!(drift(&json!({"subnets": [], "securityGroups": [], "amis": []}), |_| {}), None);
    let unready = json!({"conditions": []});
    assert_eq!(drift(&unready, |of| of.image_id = "ami-old".into()), None, "nobody has looked for this spec");
}

#[test]
fn the_image_of_the_claim_counts_until_the_cloud_has_listed_the_instance() {
    let class = class(&json!({}), &json!({}));
    let types = types(&class);
    let kind = types.iter().find(|kind| &*kind.name == "m5.large");
    assert_eq!(dynamic(&class, kind, Some("ami-old"), None), Some(AMI));
    assert_eq!(dynamic(&class, kind, Some("ami-amd"), None), None);
    assert_eq!(dynamic(&class, None, Some("ami-old"), None), None, "the type is not sold any more");
}

#[test]
fn a_name_that_has_come_to_mean_another_placement_group_is_drift() {
    let class = class(&json!({"placementGroupSelector": {"name": "g"}}), &json!({}));
    let drift = |meant: Option<&str>, own: Option<&str>| {
        let group = meant.map(|id| PlacementGroupFacts { id: id.into(), strategy: "partition".into(), partitions: 0 });
        let types = types_in(&class, group);
        let kind = types.iter().find(|kind| &*kind.name == "m5.large");
        let machine = Machine { placement_group: own.map(Into::into), ..machine() };
        dynamic(&class, kind, None, Some(&machine))
    };
    assert_eq!(drift(Some("pg-1"), Some("pg-1")), None);
    assert_eq!(drift(Some("pg-2"), Some("pg-1")), Some(PLACEMENT_GROUP));
    assert_eq!(drift(None, Some("pg-1")), None, "nobody has looked yet");
    assert_eq!(drift(Some("pg-2"), None), None, "EC2 does not say where it is");
}
