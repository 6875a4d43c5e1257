use serde_json::{Value, json};

use super::*;
use crate::observe::cluster::Cluster;
use crate::observe::input::Origin;
use crate::observe::owners::expand_owners;
use crate::observe::read::RawObject;
use crate::settings::{Settings, parse_scheduler_config};

/// The selector of each made-up pod's only constraint; `-` for a pod without.
fn selectors(manifests: &[Value]) -> Vec<String> {
    let config = "{podTopologySpread: {defaultConstraints: [{maxSkew: 3, topologyKey: \
                  failure-domain.beta.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}]}}";
    let settings = Settings { default_topology_spread: parse_scheduler_config(config).unwrap(), ..Settings::default() };
    let raw = manifests.iter().map(|value| RawObject { origin: Origin::default(), value: value.clone() });
    let objects = Objects::collect(raw);
    let (mut errors, mut notes) = (Vec::new(), Vec::new());
    let mut cluster = Cluster::read(&objects, &settings, &mut errors);
    let (pods, _) = expand_owners(&objects, &mut cluster, &mut errors, &mut notes);
    assert_eq!((objects.errors, errors), (vec![], vec![]));
    let shown = pods.iter().map(|pod| match pod.template.spec.topology_spread.as_slice() {
        [] => "-".to_owned(),
        [only] => {
            assert_eq!((&*only.topology_key, only.max_skew), ("topology.kubernetes.io/zone", 3));
            let LabelSelector::Matching(requirements) = &only.selector else { panic!("a nil selector") };
            assert!(only.selector.matches(&pod.template.labels), "{only:?}");
            requirements.iter().map(|r| format!("{} {}", r.key, r.requirement)).collect::<Vec<_>>().join(", ")
        }
        more => panic!("{more:?}"),
    });
    shown.collect()
}

fn owner(kind: &str, spec: &Value) -> Value {
    let mut owner = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "uid": "web"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    owner["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    owner
}

fn service(selector: &Value, namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": namespace},
        "spec": {"selector": selector}})
}

#[test]
fn the_selector_is_that_of_the_owner() {
    assert_eq!(selectors(&[owner("ReplicaSet", &json!({}))]), ["app In [web]"]);
    assert_eq!(selectors(&[owner("StatefulSet", &json!({}))]), ["app In [web]"]);
    let controller = json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "web"}, "spec": {
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    assert_eq!(selectors(&[controller]), ["app In [web]"]);
    let expressions = json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}});
    assert_eq!(selectors(&[owner("ReplicaSet", &expressions)]), ["tier Exists"]);
    // a Deployment's pods are spread revision by revision, as its ReplicaSet selects them
    let of_deployment = selectors(&[owner("Deployment", &json!({}))]);
    assert!(of_deployment[0].starts_with("app In [web], pod-template-hash In ["), "{of_deployment:?}");
}

#[test]
fn services_that_match_are_merged_into_it() {
    let set = owner("ReplicaSet", &json!({}));
    assert_eq!(
        selectors(&[set.clone(), service(&json!({"tier": "front"}), "default")]),
        ["app In [web], tier In [front]"]
    );
    assert_eq!(selectors(&[set.clone(), service(&json!({"tier": "back"}), "default")]), ["app In [web]"]);
    assert_eq!(selectors(&[set.clone(), service(&json!({"tier": "front"}), "elsewhere")]), ["app In [web]"]);
    assert_eq!(selectors(&[set, service(&json!(null), "default")]), ["app In [web]"]);
}

#[test]
fn a_pod_without_selector_or_with_its_own_constraint_is_left_alone() {
    assert_eq!(selectors(&[owner("ReplicaSet", &json!({"selector": {}}))]), ["-"]);
    let mut own = owner("ReplicaSet", &json!({}));
    own["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([{"maxSkew": 3, "topologyKey":
        "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels":
        {"tier": "front"}}}]);
    assert_eq!(selectors(&[own]), ["tier In [front]"]);
}
