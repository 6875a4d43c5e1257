use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use schemars::JsonSchema;
use serde_json::json;

use super::*;
use crate::api::capacity_buffer::CapacityBuffer;
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::node_pool::NodePool;

fn message<T: DeserializeOwned + std::fmt::Debug>(value: &Value) -> String {
    read::<T>(value).unwrap_err().to_string()
}

/// Path and suggestion of each unknown field.
fn unknown<T: DeserializeOwned + JsonSchema>(value: &Value) -> Vec<(String, Option<String>)> {
    let read = read::<T>(value).map_err(|error| error.to_string()).unwrap();
    read.unknown.iter().map(|path| (path.to_string(), nearest_field::<T>(path))).collect()
}

#[test]
fn errors_are_in_plain_words() {
    let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    for (value, expected) in [
        (pod(json!({"containers": "c"})), "spec.containers: expected a list, found 'c'"),
        (pod(json!(["c"])), "spec: expected an object, found a list"),
        (pod(json!({"priority": "9"})), "spec.priority: expected a whole number, found '9'"),
        (pod(json!({"priority": 1.5})), "spec.priority: expected a whole number, found 1.5"),
        (
            pod(json!({"priority": 9_999_999_999_i64})),
            "spec.priority: expected a whole number of at most 2147483647, found 9999999999",
        ),
        (pod(json!({"hostNetwork": "yes"})), "spec.hostNetwork: expected true or false, found 'yes'"),
        (pod(json!({"nodeSelector": {"a": 5}})), "spec.nodeSelector.a: expected a string in quotes, found 5"),
        (pod(json!({"nodeSelector": {"a": true}})), "spec.nodeSelector.a: expected a string in quotes, found true"),
        (pod(json!({"nodeSelector": {"a": {}}})), "spec.nodeSelector.a: expected a string, found an object"),
        (
            pod(json!({"nodeSelector": "x".repeat(70)})),
            &format!("spec.nodeSelector: expected an object, found '{}...'", "x".repeat(60)),
        ),
    ] {
        assert_eq!(message::<Pod>(&value), expected, "{value}");
    }
    let pool = |template: Value| json!({"metadata": {"name": "p"}, "spec": {"template": template}});
    assert_eq!(message::<NodePool>(&pool(json!({}))), "spec.template.spec: expected a value, found nothing");
    let operator = json!({"spec": {"requirements": [{"key": "a", "operator": "Inn"}]}});
    assert_eq!(
        message::<NodePool>(&pool(operator)),
        "spec.template.spec.requirements[0].operator: expected one of In, NotIn, Exists, DoesNotExist, Gt, Lt, Gte, Lte, \
         found 'Inn'"
    );
}

#[test]
fn no_message_is_in_the_words_of_the_deserializer() {
    let jargon = ["invalid type", "invalid value", "sequence", "unit", "i32", "u32", "struct", "variant", "line"];
    let wrong = [json!(null), json!(true), json!(-1), json!(1.5), json!("x"), json!([]), json!([1]), json!({"a": 1})];
    for field in ["replicas", "selector", "template", "strategy", "paused", "minReadySeconds"] {
        for value in &wrong {
            let object = json!({"metadata": {"name": "d"}, "spec": {field: value}});
            if let Err(error) = read::<Deployment>(&object) {
                let message = error.to_string();
                assert!(!jargon.iter().any(|word| message.contains(word)), "{message}");
                assert!(message.starts_with("spec.") && message.contains("found"), "{message}");
            }
        }
    }
}

#[test]
fn unknown_fields_are_found_with_the_name_that_was_meant() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "label": {}}, "spec": {
        "nodeSelectr": {}, "Tolerations": [], "whatever": 1,
        "containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i", "resources": {"request": {"cpu": 1}}}]}});
    let said = |path: &str, near: Option<&str>| (path.to_owned(), near.map(str::to_owned));
    let mut found = unknown::<Pod>(&pod);
    found.sort();
    assert_eq!(
        found,
        [
            said("metadata.label", Some("labels")),
            said("spec.Tolerations", Some("tolerations")),
            said("spec.containers[1].resources.request", Some("requests")),
            said("spec.nodeSelectr", Some("nodeSelector")),
            said("spec.whatever", None),
        ]
    );
    let pool = json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "p"}, "spec": {"wieght": 1, "template": {"spec": {
        "requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}, "taint": []}}}});
    assert_eq!(
        unknown::<NodePool>(&pool),
        [said("spec.template.spec.taint", Some("taints")), said("spec.wieght", Some("weight"))]
    );
    let class = json!({"metadata": {"name": "c"}, "spec": {"subnetSelectorTerms": [{"tag": {}}],
        "securityGroupSelectorTerms": [], "blockDeviceMappings": [{"ebs": {"volumeSizes": "1Gi"}}],
        "kubelet": {"anything": 1}}});
    assert_eq!(
        unknown::<EC2NodeClass>(&class),
        [
            said("spec.blockDeviceMappings[0].ebs.volumeSizes", Some("volumeSize")),
            said("spec.subnetSelectorTerms[0].tag", Some("tags")),
        ]
    );
    let buffer = json!({"metadata": {"name": "b"}, "spec": {"replica": 1}});
    assert_eq!(unknown::<CapacityBuffer>(&buffer), [said("spec.replica", Some("replicas"))]);
}

#[test]
fn the_path_of_any_item_has_no_numbers() {
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", "port": 1}]}});
    assert_eq!(read::<Pod>(&pod).unwrap().unknown[0].of_any_item(), "spec.containers[].port");
}
