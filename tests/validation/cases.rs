//! A valid object of each kind, valid changes of it, and at least one change for every rule that must be refused.

mod ec2_node_class;

use serde_json::{Map, Value, json};

pub const KINDS: [&str; 6] =
    ["NodePool", "NodeClaim", "EC2NodeClass", "KWOKNodeClass", "NodeOverlay", "CapacityBuffer"];

/// Who refuses a case besides offline commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    ByApiServer,
    /// The reference's controller, after the API server has taken the object.
    ByController,
}

/// The base object with `value` at `pointer` must be refused with an error in `field`.
pub struct Case {
    pub pointer: &'static str,
    pub value: Value,
    pub field: &'static str,
    pub seen: Seen,
}

fn api(pointer: &'static str, value: Value, field: &'static str) -> Case {
    Case { pointer, value, field, seen: Seen::ByApiServer }
}

fn controller(pointer: &'static str, value: Value, field: &'static str) -> Case {
    Case { pointer, value, field, seen: Seen::ByController }
}

/// Sets the value at a JSON pointer, making the objects on the way; null removes it.
pub fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parents, last) = pointer.rsplit_once('/').unwrap();
    let mut parent = object;
    for name in parents.split('/').skip(1) {
        parent = match parent {
            Value::Array(items) => &mut items[name.parse::<usize>().unwrap()],
            Value::Object(fields) => fields.entry(name).or_insert_with(|| Value::Object(Map::new())),
            other => panic!("{pointer} leads through {other}"),
        };
    }
    let fields = parent.as_object_mut().unwrap();
    let last = last.replace("~1", "/");
    if value.is_null() {
        fields.remove(&last).unwrap();
    } else {
        fields.insert(last, value);
    }
}

pub fn object(kind: &str, spec: &Value) -> Value {
    let group_version = match kind {
        "NodePool" | "NodeClaim" => "karpenter.sh/v1",
        "NodeOverlay" => "karpenter.sh/v1alpha1",
        "EC2NodeClass" => "karpenter.k8s.aws/v1",
        "KWOKNodeClass" => "karpenter.kwok.sh/v1alpha1",
        _ => "autoscaling.x-k8s.io/v1beta1",
    };
    json!({"apiVersion": group_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec})
}

pub fn base(kind: &str) -> Value {
    let class = json!({"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"});
    let requirements = json!([{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]);
    let spec = match kind {
        "NodePool" => json!({"template": {"spec": {"requirements": requirements, "nodeClassRef": class}}}),
        "NodeClaim" => json!({"requirements": requirements, "nodeClassRef": class}),
        "EC2NodeClass" => json!({
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "role": "nodes",
            "subnetSelectorTerms": [{"tags": {"discovery": "*"}}],
            "securityGroupSelectorTerms": [{"tags": {"discovery": "*"}}],
        }),
        "KWOKNodeClass" => json!({"nodeRegistrationDelay": "1.5s"}),
        "NodeOverlay" => json!({"requirements": requirements, "price": "0.25"}),
        _ => json!({"podTemplateRef": {"name": "chunk"}, "replicas": 2}),
    };
    object(kind, &spec)
}

/// A change of the base object that the API server refuses, or takes.
pub struct Change {
    pub kind: &'static str,
    pub pointer: &'static str,
    pub value: Value,
    pub refused: bool,
}

pub fn changes() -> Vec<Change> {
    let change = |kind, pointer, value, refused| Change { kind, pointer, value, refused };
    vec![
        change("NodePool", "/spec/template/spec/nodeClassRef/group", json!("karpenter.kwok.sh"), true),
        change("NodePool", "/spec/template/spec/nodeClassRef/kind", json!("KWOKNodeClass"), true),
        change("NodePool", "/spec/template/spec/nodeClassRef/name", json!("other"), false),
        change("NodePool", "/spec/replicas", json!(3), true),
        change("NodeClaim", "/spec/expireAfter", json!("1h"), true),
        change("NodeClaim", "/metadata/labels", json!({"team": "a"}), false),
    ]
}

/// Objects that leave to defaults what they can.
pub fn minimal() -> Vec<Value> {
    let class = json!({"group": "g", "kind": "k", "name": "n"});
    let template = json!({"spec": {"requirements": [], "nodeClassRef": class}});
    let node_class = json!({
        "amiSelectorTerms": [{"alias": "al2023@latest"}],
        "role": "nodes",
        "subnetSelectorTerms": [{"id": "subnet-1"}],
        "securityGroupSelectorTerms": [{"id": "sg-1"}],
    });
    vec![
        object("NodePool", &json!({"template": template})),
        object("NodeClaim", &template["spec"]),
        object("EC2NodeClass", &node_class),
        object("CapacityBuffer", &json!({})),
        object("NodeOverlay", &json!({"requirements": []})),
    ]
}

type Changes = fn() -> Vec<(&'static str, Value)>;
type Cases = fn() -> Vec<Case>;

pub const VALID: [(&str, Changes); 6] = [
    ("NodePool", valid_pools),
    ("NodeClaim", || {
        vec![
            ("/spec/requirements", json!([{"key": "karpenter.sh/nodepool", "operator": "In", "values": ["a"]}])),
            ("/spec/resources", json!({"requests": {"cpu": 1, "memory": "1.5Gi"}})),
        ]
    }),
    ("EC2NodeClass", ec2_node_class::valid),
    ("KWOKNodeClass", || vec![("/spec/nodeRegistrationDelay", json!("1m30s"))]),
    ("NodeOverlay", || {
        let mut changes = vec![
            ("/spec/capacity", json!({"smarter-devices/fuse": 5})),
            ("/spec/requirements", json!([{"key": "karpenter.sh/nodepool", "operator": "In", "values": ["a"]}])),
            ("/spec/weight", json!(10_000)),
        ];
        for adjustment in ["+0.5", "-.5", "+10%", "+250%", "-15%", "-99.5%", "-100%"] {
            changes.push(("/spec", json!({"requirements": [], "priceAdjustment": adjustment})));
        }
        changes
    }),
    ("CapacityBuffer", || {
        vec![
            ("/spec", json!({"podTemplateRef": {"name": "chunk"}, "limits": {"cpu": 10}})),
            (
                "/spec",
                json!({"scalableRef": {"apiGroup": "apps", "kind": "Deployment", "name": "a"}, "percentage": 20}),
            ),
        ]
    }),
];

fn valid_pools() -> Vec<(&'static str, Value)> {
    let requirements = "/spec/template/spec/requirements";
    vec![
        ("/spec/limits", json!({"cpu": 1000, "memory": "2000Gi", "nodes": 5, "packwright.dev/usd-per-hour": "12.5"})),
        ("/spec/disruption", json!({"consolidateAfter": "Never", "consolidationPolicy": "Balanced"})),
        (
            "/spec/disruption",
            json!({"budgets": [
                {"nodes": "0", "schedule": "0 9 * * 1-5", "duration": "8h", "reasons": ["Unhealthy", "Drifted"]},
                {"nodes": "100%", "schedule": "@daily", "duration": "1h30m0s"},
                {"nodes": "1", "schedule": "99 9 * * *", "duration": "1h"}, // taken; it allows nothing
            ]}),
        ),
        (
            "/spec",
            json!({"replicas": 3, "limits": {"nodes": 5}, "template": {"spec": {
            "requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}}}}),
        ),
        ("/spec/template/metadata", json!({"labels": {"team": "", "karpenter.sh/capacity-type": "spot"}})),
        (
            "/spec/template/spec/taints",
            json!([{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoSchedule"}]),
        ),
        (requirements, json!([])),
        (requirements, json!([{"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "Gt", "values": ["0"]}])),
        (requirements, json!([{"key": "nvidia.com/gpu", "operator": "Exists"}, {"key": "a", "operator": "NotIn"}])),
        (requirements, json!([{"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "other"]}])),
        (requirements, json!([{"key": "a", "operator": "Exists", "minValues": 50}])),
    ]
}

pub const INVALID: [(&str, Cases); 6] = [
    ("NodePool", invalid_pools),
    ("NodeClaim", invalid_claims),
    ("EC2NodeClass", ec2_node_class::invalid),
    ("KWOKNodeClass", || vec![controller("/spec/nodeRegistrationDelay", json!("soon"), "spec.nodeRegistrationDelay")]),
    ("NodeOverlay", invalid_overlays),
    ("CapacityBuffer", || {
        vec![
            api("/spec/podTemplateRef/name", json!(""), "spec.podTemplateRef.name"),
            api("/spec", json!({"podTemplateRef": {"name": "a"}}), "spec.podTemplateRef"),
            api("/spec/scalableRef", json!({"kind": "Deployment", "name": "a"}), "spec.scalableRef"),
            api("/spec", json!({"scalableRef": {"kind": "", "name": "a"}}), "spec.scalableRef.kind"),
            api("/spec", json!({"scalableRef": {"kind": "a", "name": ""}}), "spec.scalableRef.name"),
            api("/spec/replicas", json!(-1), "spec.replicas"),
            api("/spec/percentage", json!(-1), "spec.percentage"),
            api("/spec/limits", json!({"cpu": "many"}), "spec.limits.cpu"),
        ]
    }),
];

/// Cases of one requirement in a list at `pointer`, whose field path is `$path`.
macro_rules! requirement_cases {
    ($pointer:literal, $path:literal) => {{
        let one = |key: &str, operator: &str, values: Value| {
            json!([{"key": key, "operator": operator, "values": values}])
        };
        let long = "x".repeat(64);
        let many: Vec<Value> = (0..101).map(|i| json!({"key": format!("a{i}"), "operator": "Exists"})).collect();
        vec![
            api($pointer, json!(many), $path),
            api($pointer, one("a b", "Exists", json!([])), concat!($path, "[0].key")),
            api($pointer, one(&"a".repeat(317), "Exists", json!([])), concat!($path, "[0].key")),
            api($pointer, one("karpenter.sh/custom", "Exists", json!([])), concat!($path, "[0].key")),
            api($pointer, one("sub.karpenter.sh/custom", "Exists", json!([])), concat!($path, "[0].key")),
            api($pointer, one("kubernetes.io/hostname", "Exists", json!([])), concat!($path, "[0].key")),
            api($pointer, one("karpenter.k8s.aws/unknown", "Exists", json!([])), concat!($path, "[0].key")),
            controller($pointer, one(&"a".repeat(64), "Exists", json!([])), concat!($path, "[0].key")),
            api($pointer, one("a", "In", json!([])), concat!($path, "[0].values")),
            api($pointer, one("a", "Is", json!(["b"])), "type"),
            api($pointer, one("a", "In", json!([long])), concat!($path, "[0].values[0]")),
            api($pointer, one("a", "In", json!(["-b"])), concat!($path, "[0].values[0]")),
            api($pointer, one("a", "Gt", json!(["1", "2"])), concat!($path, "[0].values")),
            api($pointer, one("a", "Lt", json!([])), concat!($path, "[0].values")),
            api($pointer, one("a", "Gte", json!(["1.5"])), concat!($path, "[0].values")),
            api($pointer, one("a", "Lte", json!(["-1"])), concat!($path, "[0].values")),
            api($pointer, one("a", "Gt", json!(["1234567890123456789"])), concat!($path, "[0].values")),
            controller($pointer, one("karpenter.sh/capacity-type", "In", json!(["cheap"])), concat!($path, "[0].values")),
        ]
    }};
}

/// Cases of requirements with minValues, taints, node class reference and durations below `$pointer`.
macro_rules! template_cases {
    ($pointer:literal, $path:literal) => {{
        let min_values = |key: &str, values: &[&str], least: i64| {
            json!([{"key": key, "operator": "In", "values": values, "minValues": least}])
        };
        let taint = |key: &str, value: &str, effect: &str| json!([{"key": key, "value": value, "effect": effect}]);
        let class = |group: &str, kind: &str, name: &str| json!({"group": group, "kind": kind, "name": name});
        vec![
            api(concat!($pointer, "/requirements"), min_values("a", &["b"], 2), concat!($path, ".requirements[0].values")),
            api(concat!($pointer, "/requirements"), min_values("a", &["b"], 0), concat!($path, ".requirements[0].minValues")),
            api(concat!($pointer, "/requirements"), min_values("a", &["b"], 51), concat!($path, ".requirements[0].minValues")),
            controller(
                concat!($pointer, "/requirements"),
                min_values("karpenter.sh/capacity-type", &["spot", "cheap"], 2),
                concat!($path, ".requirements[0].values"),
            ),
            api(concat!($pointer, "/requirements"), Value::Null, "type"),
            api(concat!($pointer, "/taints"), taint("", "v", "NoSchedule"), concat!($path, ".taints[0].key")),
            api(concat!($pointer, "/taints"), taint("a b", "v", "NoSchedule"), concat!($path, ".taints[0].key")),
            api(concat!($pointer, "/taints"), taint("a", "b c", "NoSchedule"), concat!($path, ".taints[0].value")),
            api(concat!($pointer, "/taints"), taint("a", "b", "Never"), concat!($path, ".taints[0].effect")),
            controller(
                concat!($pointer, "/startupTaints"),
                json!([{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule", "value": "b"}]),
                concat!($path, ".startupTaints[1]"),
            ),
            api(concat!($pointer, "/nodeClassRef"), Value::Null, "type"),
            api(concat!($pointer, "/nodeClassRef"), class("", "k", "n"), concat!($path, ".nodeClassRef.group")),
            api(concat!($pointer, "/nodeClassRef"), class("g/v1", "k", "n"), concat!($path, ".nodeClassRef.group")),
            api(concat!($pointer, "/nodeClassRef"), class("g", "", "n"), concat!($path, ".nodeClassRef.kind")),
            api(concat!($pointer, "/nodeClassRef"), class("g", "k", ""), concat!($path, ".nodeClassRef.name")),
            api(concat!($pointer, "/expireAfter"), json!("30d"), concat!($path, ".expireAfter")),
            api(concat!($pointer, "/expireAfter"), json!("10hNever"), concat!($path, ".expireAfter")),
            api(concat!($pointer, "/terminationGracePeriod"), json!("Never"), concat!($path, ".terminationGracePeriod")),
        ]
    }};
}

fn invalid_claims() -> Vec<Case> {
    let mut cases = requirement_cases!("/spec/requirements", "spec.requirements");
    cases.extend(template_cases!("/spec", "spec"));
    cases.push(api("/spec/resources", json!({"requests": {"cpu": "1 core"}}), "spec.resources.requests.cpu"));
    cases
}

fn invalid_pools() -> Vec<Case> {
    let mut cases = requirement_cases!("/spec/template/spec/requirements", "spec.template.spec.requirements");
    cases.extend(template_cases!("/spec/template/spec", "spec.template.spec"));
    let pool_key = json!([{"key": "karpenter.sh/nodepool", "operator": "Exists"}]);
    let many_labels: Map<String, Value> = (0..101).map(|i| (format!("l{i}"), json!("v"))).collect();
    let many_budgets = vec![json!({"nodes": "1"}); 51];
    cases.extend([
        api("/spec/template/spec/requirements", pool_key, "spec.template.spec.requirements[0].key"),
        api("/spec/template/metadata/labels", json!(many_labels), "spec.template.metadata.labels"),
        api("/spec/template/metadata/labels/a", json!("b c"), "spec.template.metadata.labels.a"),
        api("/spec/template/metadata/labels/a", json!("b".repeat(64)), "spec.template.metadata.labels.a"),
        api(
            "/spec/template/metadata/labels/karpenter.sh~1x",
            json!("v"),
            "spec.template.metadata.labels.karpenter.sh/x",
        ),
        api(
            "/spec/template/metadata/labels/karpenter.sh~1nodepool",
            json!("v"),
            "spec.template.metadata.labels.karpenter.sh/nodepool",
        ),
        api(
            "/spec/template/metadata/labels/kubernetes.io~1hostname",
            json!("v"),
            "spec.template.metadata.labels.kubernetes.io/hostname",
        ),
        api(
            "/spec/template/metadata/labels/karpenter.k8s.aws~1x",
            json!("v"),
            "spec.template.metadata.labels.karpenter.k8s.aws/x",
        ),
        controller("/spec/template/metadata/labels/a b", json!("v"), "spec.template.metadata.labels.a b"),
        api("/spec/disruption/consolidateAfter", json!("1d"), "spec.disruption.consolidateAfter"),
        api("/spec/disruption/consolidationPolicy", json!("WhenIdle"), "type"),
        api("/spec/disruption/budgets", json!(many_budgets), "spec.disruption.budgets"),
        api("/spec/disruption/budgets", json!([{"nodes": "101%"}]), "spec.disruption.budgets[0].nodes"),
        api("/spec/disruption/budgets", json!([{"nodes": "-1"}]), "spec.disruption.budgets[0].nodes"),
        api("/spec/disruption/budgets", json!([{"reasons": ["Bored"]}]), "type"),
        api(
            "/spec/disruption/budgets",
            json!([{"reasons": ["Empty", "Empty"]}]),
            "spec.disruption.budgets[0].reasons[1]",
        ),
        api("/spec/disruption/budgets", json!([{"schedule": "@daily"}]), "spec.disruption.budgets[0].duration"),
        api("/spec/disruption/budgets", json!([{"duration": "1h"}]), "spec.disruption.budgets[0].schedule"),
        api(
            "/spec/disruption/budgets",
            json!([{"schedule": "0 9 * *", "duration": "1h"}]),
            "spec.disruption.budgets[0].schedule",
        ),
        api(
            "/spec/disruption/budgets",
            json!([{"schedule": "@daily", "duration": "30s"}]),
            "spec.disruption.budgets[0].duration",
        ),
        api("/spec/limits", json!({"cpu": "1000 cores"}), "spec.limits.cpu"),
        api("/spec/weight", json!(0), "spec.weight"),
        api("/spec/weight", json!(101), "spec.weight"),
        api("/spec/replicas", json!(-1), "spec.replicas"),
        api("/spec", static_pool(json!({"weight": 1})), "spec.weight"),
        api("/spec", static_pool(json!({"limits": {"cpu": 1, "nodes": 2}})), "spec.limits.cpu"),
    ]);
    cases
}

fn static_pool(mut spec: Value) -> Value {
    spec["replicas"] = json!(1);
    spec["template"] = base("NodePool")["spec"]["template"].clone();
    spec
}

fn invalid_overlays() -> Vec<Case> {
    let mut cases = requirement_cases!("/spec/requirements", "spec.requirements");
    let tenancy = json!([{"key": "karpenter.k8s.aws/instance-tenancy", "operator": "Exists"}]);
    cases.extend([
        api("/spec/requirements", json!([{"key": "a", "operator": "NotIn"}]), "spec.requirements[0].values"),
        api("/spec/requirements", tenancy, "spec.requirements[0].key"),
        api("/spec/price", json!("-1"), "spec.price"),
        api("/spec/priceAdjustment", json!("+1"), "spec.priceAdjustment"),
        api("/spec", json!({"requirements": [], "priceAdjustment": "0.5"}), "spec.priceAdjustment"),
        api("/spec", json!({"requirements": [], "priceAdjustment": "-101%"}), "spec.priceAdjustment"),
        api("/spec/weight", json!(0), "spec.weight"),
        api("/spec/weight", json!(10_001), "spec.weight"),
    ]);
    for (name, field) in [
        ("cpu", "spec.capacity.cpu"),
        ("memory", "spec.capacity.memory"),
        ("ephemeral-storage", "spec.capacity.ephemeral-storage"),
        ("pods", "spec.capacity.pods"),
    ] {
        cases.push(api("/spec/capacity", json!({name: 1}), field));
    }
    cases
}
