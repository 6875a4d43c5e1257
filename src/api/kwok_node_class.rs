//! KWOKNodeClass (`karpenter.kwok.sh/v1alpha1`): the node class of the simulated cloud.
//!
//! Source: karpenter `kwok/apis/v1alpha1`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::duration::Duration;
use super::schema;

/// The top level of a KWOKNodeClass besides its status. Unlike in other kinds the spec may be absent, so it cannot be
/// what the derive calls the spec.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "karpenter.kwok.sh",
    version = "v1alpha1",
    kind = "KWOKNodeClass",
    plural = "kwoknodeclasses",
    no_spec,
    status = "KWOKNodeClassStatus",
    derive = "PartialEq",
    category = "karpenter",
    shortname = "kwoknc",
    shortname = "kwokncs",
    doc = "The node class of nodes that exist only as Kubernetes objects."
)]
#[schemars(inline)]
pub struct KWOKNodeClassFields {
    /// How the nodes behave.
    #[serde(default)]
    pub spec: KWOKNodeClassSpec,
}

/// How nodes that exist only as Kubernetes objects behave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct KWOKNodeClassSpec {
    /// How long after its launch a node registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_registration_delay: Option<Duration>,
}

/// A KWOKNodeClass is ready from the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, extend("default" = json!({"conditions": [{
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "",
    "lastTransitionTime": "2024-01-01T01:01:01Z",
}]})))]
pub struct KWOKNodeClassStatus {
    /// Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
