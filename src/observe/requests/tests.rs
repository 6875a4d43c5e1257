use serde_json::{Value, json};

use super::*;

fn requests(spec: Value, status: Value) -> Result<String, FieldError> {
    let spec: PodSpec = serde_json::from_value(spec).expect("a pod spec");
    let status: PodStatus = serde_json::from_value(status).expect("a pod status");
    effective_requests(&spec, Some(&status), None).map(|requests| requests.to_string())
}

#[track_caller]
fn check(spec: Value, expected: &str) {
    assert_eq!(requests(spec, json!({})).unwrap(), format!("{expected}, pods 1"));
}

fn container(cpu: &str) -> Value {
    json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
}

fn sidecar(cpu: &str) -> Value {
    json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
}

#[test]
fn containers_add_up() {
    check(json!({"containers": [container("100m"), container("1")]}), "cpu 1100m");
    check(json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": 0.5}}}]}), "cpu 500m");
}

#[test]
fn the_largest_init_container_counts_once() {
    let spec = json!({"containers": [container("1")], "initContainers": [container("3"), container("2")]});
    check(spec, "cpu 3");
    let spec = json!({"containers": [container("1"), container("3")], "initContainers": [container("3")]});
    check(spec, "cpu 4");
}

#[test]
fn sidecars_run_beside_what_follows_them() {
    // running: 1 + 0.5; starting: the plain init container beside the sidecar before it
    let spec = json!({"containers": [container("1")], "initContainers": [sidecar("500m"), container("3")]});
    check(spec, "cpu 3500m");
    // the sidecar after the plain one is not up yet
    let spec = json!({"containers": [container("1")], "initContainers": [container("3"), sidecar("500m")]});
    check(spec, "cpu 3");
    let spec = json!({"containers": [container("1")], "initContainers": [sidecar("500m"), sidecar("2")]});
    check(spec, "cpu 3500m");
}

#[test]
fn extended_resources_are_whole() {
    let of = |amount: &str| {
        let limits = json!({"nvidia.com/gpu": amount});
        requests(json!({"containers": [{"name": "c", "image": "i", "resources": {"limits": limits}}]}), json!({}))
    };
    assert_eq!(of("2"), Ok("nvidia.com/gpu 2, pods 1".to_owned()));
    let refused = of("1.5").unwrap_err();
    let expected = ("containers[0].resources.limits.nvidia.com/gpu", "expected a whole number, found 1.5");
    assert_eq!((refused.path.as_str(), refused.message.as_str()), expected);
}

#[test]
fn overhead_comes_on_top() {
    let spec = json!({"containers": [container("1")], "overhead": {"cpu": "250m", "memory": "64Mi"}});
    check(spec, "cpu 1250m, memory 64Mi");
}

#[test]
fn pod_level_requests_replace_the_sum() {
    let spec = json!({
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "1"}}}],
        "resources": {"requests": {"cpu": "2", "memory": "1Gi"}},
        "overhead": {"cpu": "100m"},
    });
    check(spec, "cpu 2100m, memory 1Gi, nvidia.com/gpu 1");
    // a limit alone: the containers' sum where they have one, else the limit
    let spec = json!({"containers": [container("1")], "resources": {"limits": {"cpu": "4", "memory": "2Gi"}}});
    check(spec, "cpu 1, memory 2Gi");
}

#[test]
fn limits_stand_in_for_requests() {
    let resources = json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}});
    check(json!({"containers": [{"name": "c", "image": "i", "resources": resources}]}), "cpu 1, memory 1Gi");
}

#[test]
fn a_resize_counts_with_the_larger_amount() {
    let status = |condition: Value| {
        json!({
            "conditions": [condition],
            "containerStatuses": [{
                "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "1500m"},
            }],
        })
    };
    let spec = |cpu| json!({"containers": [container(cpu)]});
    let deferred = || json!({"type": "PodResizePending", "status": "True", "reason": "Deferred"});
    let infeasible = || json!({"type": "PodResizePending", "status": "True", "reason": "Infeasible"});
    assert_eq!(requests(spec("1"), status(deferred())).unwrap(), "cpu 2, pods 1");
    assert_eq!(requests(spec("4"), status(deferred())).unwrap(), "cpu 4, pods 1");
    assert_eq!(requests(spec("4"), status(infeasible())).unwrap(), "cpu 2, pods 1");
}

#[test]
fn a_bad_quantity_names_its_field() {
    let error = requests(json!({"containers": [container("1"), container("1 GB")]}), json!({})).unwrap_err();
    assert_eq!(error.path, "containers[1].resources.requests.cpu");
    assert!(error.message.starts_with("'1 GB' is not a quantity"), "{}", error.message);
    let error = requests(json!({"containers": [container("-1")]}), json!({})).unwrap_err();
    assert_eq!(error.message, "expected no negative amount, found -1");
}
