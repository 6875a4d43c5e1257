//! Pieces of OpenAPI schema that several kinds share, and CEL rules as the schema carries them.
//!
//! Source: Karpenter's CRDs; the patterns are those of the Kubernetes API (qualified names, label values, quantities).

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::labels;
use super::node_overlay::overlay_labels;

/// A label key or taint key: an optional DNS subdomain and a name.
pub const QUALIFIED_NAME: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(\/))?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$";
pub const LABEL_VALUE: &str = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
pub const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// One entry of `x-kubernetes-validations`.
pub fn rule(expression: &str, message: &str) -> Value {
    json!({"rule": expression, "message": message})
}

/// CEL for "the domain of this label key ends with `domain`", which is how the reference restricts domains.
fn in_domain(key: &str, domain: &str) -> String {
    format!("{key}.find('^([^/]+)').endsWith('{domain}')")
}

/// A label key that users may constrain.
pub fn label_key(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 316,
        "pattern": QUALIFIED_NAME,
        "x-kubernetes-validations": label_key_rules("self", labels::provider_labels()),
    })
}

/// A label key that NodeOverlays may name.
pub fn overlay_label_key(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 316,
        "pattern": QUALIFIED_NAME,
        "x-kubernetes-validations": label_key_rules("self", overlay_labels()),
    })
}

pub fn label_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
        "x-kubernetes-list-type": "atomic",
    })
}

/// The restricted label domains as CEL over the key named `key`; `provider` lists the keys of karpenter.k8s.aws that
/// may be used.
pub fn label_key_rules<'a>(key: &str, provider: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    let provider: Vec<String> = provider.into_iter().map(|l| format!("'{l}'")).collect();
    vec![
        rule(
            &format!(
                "{key} in ['{}', '{}'] || !{}",
                labels::CAPACITY_TYPE,
                labels::NODEPOOL,
                in_domain(key, "karpenter.sh")
            ),
            "labels of the domain karpenter.sh cannot be set, except karpenter.sh/capacity-type",
        ),
        rule(&format!("{key} != '{}'", labels::HOSTNAME), "the label kubernetes.io/hostname cannot be constrained"),
        rule(
            &format!("{key} in [{}] || !{}", provider.join(", "), in_domain(key, "karpenter.k8s.aws")),
            "this label of the domain karpenter.k8s.aws is not known",
        ),
    ]
}

/// Labels of a NodePool's template.
pub fn template_labels(_: &mut SchemaGenerator) -> Schema {
    let mut rules: Vec<Value> = label_key_rules("x", labels::provider_labels());
    rules.push(rule(
        &format!("x != '{}'", labels::NODEPOOL),
        "the label karpenter.sh/nodepool is set by the controller",
    ));
    for entry in &mut rules {
        let expression = format!("self.all(x, {})", entry["rule"].as_str().unwrap_or_default());
        entry["rule"] = expression.into();
    }
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
        "maxProperties": 100,
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-validations": rules,
    })
}

/// An integer or a string such as `100m` or `2Gi`.
fn quantity() -> Schema {
    json_schema!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": QUANTITY,
        "x-kubernetes-int-or-string": true,
    })
}

/// Quantities by resource name.
pub fn resource_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": quantity()})
}

pub fn taints(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "required": ["effect", "key"],
            "properties": {
                "effect": {
                    "description": "What happens to pods that do not tolerate the taint.",
                    "type": "string",
                    "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
                },
                "key": {"description": "The taint's key.", "type": "string", "minLength": 1, "pattern": QUALIFIED_NAME},
                "timeAdded": {
                    "description": "When the taint was added; written only for NoExecute.",
                    "type": "string",
                    "format": "date-time",
                },
                "value": {"description": "The taint's value.", "type": "string", "pattern": QUALIFIED_NAME},
            },
        },
    })
}

/// Conditions by type. The reason may be empty and the message absent, as in objects written by older controllers.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string",
                    "format": "date-time",
                },
                "message": {"description": "What happened, for people.", "type": "string", "maxLength": 32768},
                "observedGeneration": {
                    "description": "The metadata.generation that the condition describes.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "reason": {
                    "description": "Why the status last changed, in one CamelCase word.",
                    "type": "string",
                    "maxLength": 1024,
                    "pattern": "^([A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?)?$",
                },
                "status": {
                    "description": "Whether the condition holds.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "type": {
                    "description": "The condition's name.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": QUALIFIED_NAME,
                },
            },
        },
    })
}
