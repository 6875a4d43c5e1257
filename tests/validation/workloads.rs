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
        name("StatefulSet", json!("web.shop"), true),
        name("Deployment", json!("web.shop"), false),
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
    cases.extend(of_images());
    cases.extend(of_restarts());
    cases.extend(of_labels());
    cases
}

/// Where the pod spec of a kind is, as a pointer and as a path.
const SPECS: [(&str, &str, &str); 8] = [
    ("Pod", "/spec", "spec"),
    ("PodTemplate", "/template/spec", "template.spec"),
    ("ReplicationController", "/spec/template/spec", "spec.template.spec"),
    ("Deployment", "/spec/template/spec", "spec.template.spec"),
    ("ReplicaSet", "/spec/template/spec", "spec.template.spec"),
    ("DaemonSet", "/spec/template/spec", "spec.template.spec"),
    ("Job", "/spec/template/spec", "spec.template.spec"),
    ("CronJob", "/spec/jobTemplate/spec/template/spec", "spec.jobTemplate.spec.template.spec"),
];

/// Cases live as long as the tests.
fn text(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn of_images() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, pointer, path) in SPECS {
        let image = |list: &str, value: Value, is_wrong: bool| {
            let field = is_wrong.then(|| text(format!("{path}.{list}[0].image")));
            case(kind, text(format!("{pointer}/{list}")), json!([{"name": "d", "image": value}]), field)
        };
        cases.extend([
            image("containers", json!(""), true),
            image("containers", Value::Null, true),
            image("containers", json!("shop/web:1.2@sha256:0"), false),
            image("initContainers", json!(""), true),
            // templates may be filled in later
            image("containers", json!(" web"), kind == "Pod"),
            image("initContainers", json!("web\n"), kind == "Pod"),
        ]);
    }
    cases
}

fn of_restarts() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, pointer, path) in SPECS {
        let taken: &[Value] = match kind {
            "Pod" | "PodTemplate" => &[json!("Always"), json!("OnFailure"), json!("Never"), Value::Null],
            "Job" | "CronJob" => &[json!("OnFailure"), json!("Never")],
            _ => &[json!("Always"), Value::Null],
        };
        for value in [json!("Always"), json!("OnFailure"), json!("Never"), Value::Null, json!("Sometimes")] {
            let field = (!taken.contains(&value)).then(|| text(format!("{path}.restartPolicy")));
            cases.push(case(kind, text(format!("{pointer}/restartPolicy")), value, field));
        }
    }
    cases
}

fn of_labels() -> Vec<Case> {
    let mut cases = Vec::new();
    let long = |length: usize| "x".repeat(length);
    let wrong = [(json!({"a": "b c"}), "a"), (json!({"a": "-b"}), "a"), (json!({"a": long(64)}), "a")];
    let wrong_keys =
        [json!({"": "b"}), json!({"a b": "c"}), json!({"A.b/": "c"}), json!({"B/a": "c"}), json!({long(64): "c"})];
    let right = json!({"a": "", "B_c.d": "E-f.9", "shop.example.com/tier": long(63)});
    for (kind, pointer, path) in [
        ("Pod", "/metadata/labels", "metadata.labels"),
        ("Namespace", "/metadata/labels", "metadata.labels"),
        ("Pod", "/spec/nodeSelector", "spec.nodeSelector"),
        ("PodTemplate", "/template/metadata/labels", "template.metadata.labels"),
        ("Job", "/spec/template/metadata/labels", "spec.template.metadata.labels"),
    ] {
        cases.push(case(kind, pointer, right.clone(), None));
        for (value, key) in wrong.clone() {
            cases.push(case(kind, pointer, value, Some(text(format!("{path}.{key}")))));
        }
        for value in wrong_keys.clone() {
            cases.push(case(kind, pointer, value, Some(path)));
        }
    }
    let expressions = |key: &str, value: &str| json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]});
    for kind in ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"] {
        let selector = |value: Value, field| case(kind, "/spec/selector", value, field);
        cases.extend([
            selector(expressions("tier", "a.b"), None),
            selector(expressions("tier", "a b"), Some("spec.selector.matchExpressions[0].values[0]")),
            selector(expressions("a b", "c"), Some("spec.selector.matchExpressions[0].key")),
        ]);
    }
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
