use serde_json::{Value, json};

use super::*;
use crate::observe::input::Origin;
use crate::observe::read::RawObject;

fn expand(manifests: &[Value]) -> Vec<String> {
    let raw = manifests.iter().map(|value| RawObject { origin: Origin::default(), value: value.clone() });
    let objects = Objects::collect(raw);
    assert_eq!(objects.errors, []);
    let (mut errors, mut notes) = (Vec::new(), Vec::new());
    let settings = crate::settings::Settings::default();
    let mut cluster = Cluster::read(&objects, &settings, &mut errors);
    let (pods, _) = expand_owners(&objects, &mut cluster, &mut errors, &mut notes);
    assert_eq!(errors, []);
    pods.iter().map(|pod| pod.key.name.to_string()).chain(notes).collect()
}

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

fn deployment(replicas: i32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "uid": "d"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template()}})
}

fn replica_set(name: &str, replicas: i32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": name, "uid": name, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true}]},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template()}})
}

fn pod(name: &str, kind: &str, owner: &str, phase: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase},
        "metadata": {"name": name, "labels": {"pod-template-hash": "5d9"}, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": owner, "controller": true}]},
        "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

#[test]
fn a_deployment_alone_gives_all_its_pods() {
    assert_eq!(expand(&[deployment(2)]), ["web-1", "web-2"]);
    assert_eq!(expand(&[deployment(10)])[0], "web-01");
    assert_eq!(expand(&[deployment(0)]), Vec::<String>::new());
}

#[test]
fn nothing_is_counted_twice() {
    let mut all = vec![deployment(3), replica_set("web-5d9", 3)];
    all.extend(["a", "b", "c"].map(|suffix| pod(&format!("web-5d9-{suffix}"), "ReplicaSet", "web-5d9", "Running")));
    assert_eq!(expand(&all), Vec::<String>::new());
    // one pod is gone: its ReplicaSet will replace it, the Deployment will not
    all.pop();
    assert_eq!(expand(&all), ["web-5d9-1"]);
    // an old revision without replicas adds none
    all.push(replica_set("web-old", 0));
    assert_eq!(expand(&all), ["web-5d9-1"]);
    // pods whose ReplicaSet is not in the input still count for the Deployment
    all.remove(1);
    assert_eq!(expand(&all), ["web-1"]);
}

#[test]
fn ended_pods_are_replaced() {
    let pods = [replica_set("web-5d9", 1), pod("web-5d9-a", "ReplicaSet", "web-5d9", "Failed")];
    assert_eq!(expand(&pods), ["web-5d9-1"]);
}

#[test]
fn a_stateful_set_fills_the_gaps_in_its_ordinals() {
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"replicas": 3, "ordinals": {"start": 5}, "serviceName": "db", "selector": {"matchLabels": {"app": "web"}}, "template": template()}});
    assert_eq!(expand(&[set, pod("db-6", "StatefulSet", "db", "Running")]), ["db-5", "db-7"]);
}

#[test]
fn a_job_starts_what_its_completions_leave() {
    let job = |spec: Value, status: Value| {
        let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
            "spec": {"template": template()}, "status": status});
        job["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
        job["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        job
    };
    let count = |job| expand(&[job, pod("job-x", "Job", "job", "Running")]).len() + 1;
    assert_eq!(count(job(json!({"parallelism": 3, "completions": 9}), json!({"succeeded": 7}))), 2);
    assert_eq!(count(job(json!({"parallelism": 3, "completions": 9}), json!({}))), 3);
    assert_eq!(count(job(json!({"parallelism": 3}), json!({"succeeded": 1}))), 1);
    assert_eq!(count(job(json!({}), json!({}))), 1);
    assert_eq!(count(job(json!({"parallelism": 3, "suspend": true}), json!({}))), 1);
}

#[test]
fn gated_replicas_are_left_out_with_a_note() {
    let mut gated = deployment(2);
    gated["spec"]["template"]["spec"]["schedulingGates"] = json!([{"name": "quota"}]);
    assert_eq!(expand(&[gated]), ["Deployment default/web: 2 pods wait behind scheduling gates and are left out"]);
}

#[test]
fn pods_of_a_stateful_set_carry_their_ordinal() {
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "web"}}, "template": template()}});
    let objects = Objects::collect([RawObject { origin: Origin::default(), value: set }]);
    let settings = crate::settings::Settings::default();
    let mut cluster = Cluster::read(&objects, &settings, &mut Vec::new());
    let (pods, _) = expand_owners(&objects, &mut cluster, &mut Vec::new(), &mut Vec::new());
    let label = |pod: &Pod, key: &str| pod.template.labels.get(key).map(ToString::to_string);
    let names: Vec<_> = pods.iter().filter_map(|pod| label(pod, "statefulset.kubernetes.io/pod-name")).collect();
    let indices: Vec<_> = pods.iter().filter_map(|pod| label(pod, "apps.kubernetes.io/pod-index")).collect();
    assert_eq!((names, indices), (vec!["db-0".into(), "db-1".into()], vec!["0".into(), "1".into()]));
}
