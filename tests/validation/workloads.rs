//! Manifests of Kubernetes' own kinds that an API server takes, and that it refuses; offline commands say the same.

use packwright::observe::{Objects, RawObject};
use serde_json::{Value, json};

use super::cases::set;

/// A change of the valid object of a kind, and the field in which it is wrong, if it is.
pub struct Case {
    pub kind: &'static str,
    pub pointer: &'static str,
    pub value: Value,
    pub field: Option<&'static str>,
}

impl Case {
    pub fn object(&self) -> Value {
        let mut object = base(self.kind);
        set(&mut object, self.pointer, self.value.clone());
        object
    }
}

fn api_version(kind: &str) -> &'static str {
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => "apps/v1",
        "Job" | "CronJob" => "batch/v1",
        "PodDisruptionBudget" => "policy/v1",
        "PriorityClass" => "scheduling.k8s.io/v1",
        _ => "v1",
    }
}

/// An object that every API server takes.
pub fn base(kind: &str) -> Value {
    let containers = |restart: &str| json!({"restartPolicy": restart, "containers": [{"name": "c", "image": "i"}]});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": containers("Always")});
    let selector = json!({"matchLabels": {"app": "web"}});
    let job = json!({"template": {"spec": containers("Never")}});
    let mut object = json!({"apiVersion": api_version(kind), "kind": kind, "metadata": {"name": "x"}});
    let (field, value) = match kind {
        "Pod" => ("spec", containers("Always")),
        "PodTemplate" => ("template", template),
        "ReplicationController" => ("spec", json!({"selector": {"app": "web"}, "template": template})),
        "StatefulSet" => ("spec", json!({"selector": selector, "template": template, "serviceName": "web"})),
        "Job" => ("spec", job),
        "CronJob" => ("spec", json!({"schedule": "@daily", "jobTemplate": {"spec": job}})),
        "Service" => ("spec", json!({"ports": [{"port": 80}]})),
        "PodDisruptionBudget" => ("spec", json!({"maxUnavailable": 1, "selector": selector})),
        "PriorityClass" => ("value", json!(1)),
        "Namespace" => ("spec", json!({})),
        _ => ("spec", json!({"selector": selector, "template": template})),
    };
    object[field] = value;
    object
}

fn case(kind: &'static str, pointer: &'static str, value: Value, field: Option<&'static str>) -> Case {
    Case { kind, pointer, value, field }
}

pub fn cases() -> Vec<Case> {
    let long = |length: usize| json!("x".repeat(length));
    let name =
        |kind, value: Value, is_wrong: bool| case(kind, "/metadata/name", value, is_wrong.then_some("metadata.name"));
    let mut cases = vec![
        name("Pod", json!("web.v1-0"), false),
        name("Pod", json!("Web"), true),
        name("Pod", json!("web_1"), true),
        name("Pod", json!("-web"), true),
        name("Pod", json!("a..b"), true),
        name("Pod", long(253), false),
        name("Pod", long(254), true),
        name("Deployment", json!("web shop"), true),
        name("StatefulSet", json!("Web"), true),
        name("Namespace", json!("team.shop"), true),
        name("Namespace", json!("team-shop"), false),
        name("Service", json!("web.shop"), true),
        name("CronJob", long(52), false),
        name("CronJob", long(53), true),
        name("PriorityClass", json!("High"), true),
        name("PodDisruptionBudget", json!("Web_1"), false),
    ];
    for kind in ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"] {
        let selector = |value, field| case(kind, "/spec/selector", value, field);
        let expression = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]});
        let labels = "spec.template.metadata.labels";
        cases.extend([
            selector(json!({}), Some("spec.selector")),
            selector(json!({"matchLabels": {"app": "db"}}), Some(labels)),
            selector(json!({"matchLabels": {"app": "web", "tier": "a"}}), Some(labels)),
            selector(expression("In", json!(["web", "db"])), None),
            selector(expression("NotIn", json!(["web"])), Some(labels)),
            selector(json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), None),
            case(kind, "/spec/template/metadata", Value::Null, Some(labels)),
            case(kind, "/spec/template/spec/containers", json!([]), Some("spec.template.spec.containers")),
        ]);
    }
    cases.extend([
        case("ReplicationController", "/spec/selector", Value::Null, None),
        case("ReplicationController", "/spec/selector", json!({"app": "db"}), Some("spec.template.metadata.labels")),
        case("Job", "/spec/template/spec/containers", json!([]), Some("spec.template.spec.containers")),
        case(
            "CronJob",
            "/spec/jobTemplate/spec/template/spec/containers",
            json!([]),
            Some("spec.jobTemplate.spec.template.spec.containers"),
        ),
        case("PodTemplate", "/template/spec/containers", json!([]), Some("template.spec.containers")),
    ]);
    cases.extend(of_containers());
    cases
}

fn of_containers() -> Vec<Case> {
    let list = |value: Value, field| case("Pod", "/spec/containers", value, field);
    let named = |name: &str| json!({"name": name, "image": "i"});
    let amounts = |requests: Value, limits: Value| json!([{"name": "c", "image": "i", "resources": {"requests": requests, "limits": limits}}]);
    let of = |resource: &str, amount: &str| json!({resource: amount});
    let wrong = |resource: &str| match resource {
        "cpu" => Some("spec.containers[0].resources.requests.cpu"),
        "gpu" => Some("spec.containers[0].resources.requests.nvidia.com/gpu"),
        _ => Some("spec.containers[0].resources.requests.hugepages-2Mi"),
    };
    let huge = |requests: &str, limits: &str| {
        let of = |pages: &str| json!({"cpu": "1", "hugepages-2Mi": pages});
        amounts(of(requests), of(limits))
    };
    vec![
        list(json!([]), Some("spec.containers")),
        list(json!([named("a"), named("b")]), None),
        list(json!([named("a"), named("a")]), Some("spec.containers[1].name")),
        list(json!([named("a.b")]), Some("spec.containers[0].name")),
        list(json!([named("")]), Some("spec.containers[0].name")),
        list(json!([named(&"a".repeat(64))]), Some("spec.containers[0].name")),
        case("Pod", "/spec/initContainers", json!([named("d")]), None),
        case("Pod", "/spec/initContainers", json!([named("c")]), Some("spec.initContainers[0].name")),
        list(amounts(of("cpu", "100m"), of("cpu", "0.1")), None),
        list(amounts(of("cpu", "200m"), of("cpu", "0.1")), wrong("cpu")),
        list(amounts(of("cpu", "1"), of("memory", "1Gi")), None),
        list(amounts(json!({}), of("nvidia.com/gpu", "1")), None),
        list(amounts(of("nvidia.com/gpu", "1"), of("nvidia.com/gpu", "1")), None),
        list(amounts(of("nvidia.com/gpu", "1"), of("nvidia.com/gpu", "2")), wrong("gpu")),
        list(amounts(of("nvidia.com/gpu", "1"), json!({})), Some("spec.containers[0].resources.limits.nvidia.com/gpu")),
        list(huge("2Mi", "2Mi"), None),
        list(huge("2Mi", "4Mi"), wrong("huge")),
        // more than an int64 holds is taken, and counts as the most
        list(amounts(of("memory", "1e30"), json!({})), None),
    ]
}

/// What offline commands say of it: the fields that are wrong.
fn offline(value: Value) -> Vec<String> {
    let objects = Objects::collect([RawObject { origin: packwright::observe::Origin::default(), value }]);
    objects.errors.into_iter().map(|error| error.field.unwrap_or_default()).collect()
}

#[test]
fn manifests_are_refused_as_by_an_api_server() {
    for case in cases() {
        let found = offline(case.object());
        assert_eq!(found, Vec::from_iter(case.field), "{} {} = {}", case.kind, case.pointer, case.value);
    }
}

#[test]
fn an_object_of_a_cluster_has_been_judged() {
    let mut pod = base("Pod");
    set(&mut pod, "/spec/containers", json!([]));
    assert_eq!(offline(pod.clone()), ["spec.containers"]);
    set(&mut pod, "/metadata/uid", json!("u"));
    assert_eq!(offline(pod), Vec::<String>::new());
}
