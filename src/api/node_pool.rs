//! NodePool (`karpenter.sh/v1`): what nodes may look like, how many there may be, and when they may be disrupted.
//!
//! Source: karpenter `pkg/apis/v1/nodepool.go`. Absent fields have the CRD's defaults, so that a manifest read offline
//! means the same as one that went through the API server.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::duration::{Duration, NillableDuration};
use super::labels;
use super::node_class_reference::NodeClassReference;
use super::requirement::{NodeSelectorRequirementWithMinValues, requirement_rules};
use super::schema::{self, rule};

/// A pool of nodes that are launched for pods that cannot be scheduled. One pool may hold many kinds of nodes: each
/// node's shape follows from the pool's requirements and from those of its pods.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "karpenter.sh",
    version = "v1",
    kind = "NodePool",
    plural = "nodepools",
    status = "NodePoolStatus",
    derive = "PartialEq",
    category = "karpenter",
    doc = "A pool of nodes that are launched for pods that cannot be scheduled.",
    scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.nodes"),
    printcolumn(name = "NodeClass", type_ = "string", json_path = ".spec.template.spec.nodeClassRef.name"),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.resources.nodes"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".spec.weight", priority = 1),
    printcolumn(name = "CPU", type_ = "string", json_path = ".status.resources.cpu", priority = 1),
    printcolumn(name = "Memory", type_ = "string", json_path = ".status.resources.memory", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = [
    rule(
        "has(self.replicas) == has(oldSelf.replicas)",
        "a NodePool cannot change between static (with replicas) and dynamic (without)"
    ),
    rule(
        "!has(self.replicas) || !has(self.limits) || size(self.limits) == 0 \
         || (size(self.limits) == 1 && 'nodes' in self.limits)",
        "a static NodePool supports no other limit than nodes"
    ),
    rule("!has(self.replicas) || !has(self.weight)", "a static NodePool supports no weight"),
]))]
pub struct NodePoolSpec {
    /// What the pool's NodeClaims are made from.
    pub template: NodeClaimTemplate,
    /// When the pool's nodes may be removed or replaced.
    #[serde(default)]
    #[schemars(extend("default" = json!({"consolidateAfter": "0s"})))]
    pub disruption: Disruption,
    /// The most that the pool's nodes may sum up to, by resource; the key nodes limits their number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::resource_list")]
    pub limits: BTreeMap<String, Quantity>,
    /// Pools with a higher weight are preferred; no weight counts as 0. Not for static pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<i32>,
    /// Makes the pool static: it keeps this many nodes whatever the pods need (alpha). Consolidation settings are
    /// ignored, and no limit but nodes is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i64>,
}

/// The metadata and spec that the pool's NodeClaims start from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct NodeClaimTemplate {
    /// Labels and annotations of the NodeClaims and their nodes.
    #[serde(default, skip_serializing_if = "NodeClaimTemplateMetadata::is_empty")]
    pub metadata: NodeClaimTemplateMetadata,
    /// The spec that the NodeClaims start from.
    pub spec: NodeClaimTemplateSpec,
}

/// Labels and annotations of the pool's NodeClaims and their nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct NodeClaimTemplateMetadata {
    /// Labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::template_labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl NodeClaimTemplateMetadata {
    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// A NodeClaim's spec without resource requests, which follow from the pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct NodeClaimTemplateSpec {
    /// Taints of the nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::taints")]
    pub taints: Vec<Taint>,
    /// Taints that a node starts with and that something else, typically a DaemonSet, removes soon. Pods need not
    /// tolerate them for a node to be launched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::taints")]
    pub startup_taints: Vec<Taint>,
    /// What the nodes' labels must satisfy, together with what the pods ask for.
    #[schemars(
        length(max = 100),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = pool_requirement_rules())
    )]
    pub requirements: Vec<NodeSelectorRequirementWithMinValues>,
    /// The node class of the nodes; its group and kind cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = [
        rule("self.group == oldSelf.group", "nodeClassRef.group is immutable"),
        rule("self.kind == oldSelf.kind", "nodeClassRef.kind is immutable"),
    ]))]
    pub node_class_ref: NodeClassReference,
    /// How long a node may take to drain before its pods are deleted regardless of budgets and do-not-disrupt; without
    /// it a node drains for as long as its pods take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub termination_grace_period: Option<Duration>,
    /// The age at which a node is replaced, or Never.
    #[serde(default = "default_expire_after")]
    #[schemars(regex(pattern = NILLABLE_DURATION))]
    pub expire_after: NillableDuration,
}

/// Durations of NodePools and NodeClaims: hours, minutes and seconds.
pub const DURATION: &str = r"^([0-9]+(s|m|h))+$";
pub const NILLABLE_DURATION: &str = r"^(([0-9]+(s|m|h))+|Never)$";
/// How long a budget stays active: hours and minutes.
pub const BUDGET_DURATION: &str = r"^((([0-9]+(h|m))|([0-9]+h[0-9]+m))(0s)?)$";
pub const BUDGET_NODES: &str = r"^((100|[0-9]{1,2})%|[0-9]+)$";
pub const BUDGET_SCHEDULE: &str =
    r"^(@(annually|yearly|monthly|weekly|daily|midnight|hourly)|(\S+\s+\S+\s+\S+\s+\S+\s+\S+))$";

pub(super) fn default_expire_after() -> NillableDuration {
    "720h".into()
}

fn pool_requirement_rules() -> Vec<serde_json::Value> {
    let mut rules = requirement_rules();
    rules.push(rule(
        &format!("self.all(x, x.key != '{}')", labels::NODEPOOL),
        "the label karpenter.sh/nodepool is set by the controller",
    ));
    rules
}

/// When nodes may be removed or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Disruption {
    /// How long a node must have been without pod changes before it may be consolidated; Never switches consolidation
    /// off.
    #[schemars(regex(pattern = NILLABLE_DURATION))]
    pub consolidate_after: NillableDuration,
    /// Which nodes may be consolidated.
    pub consolidation_policy: ConsolidationPolicy,
    /// How many nodes may be disrupted at once; the strictest active budget holds.
    #[schemars(length(max = 50), extend("x-kubernetes-validations" = [
        rule("self.all(x, has(x.schedule) == has(x.duration))", "schedule and duration must be set together"),
    ]))]
    pub budgets: Vec<Budget>,
}

impl Default for Disruption {
    fn default() -> Self {
        Self {
            consolidate_after: "0s".into(),
            consolidation_policy: ConsolidationPolicy::default(),
            budgets: vec![Budget::default()],
        }
    }
}

/// Which nodes may be consolidated: empty ones, also those whose pods fit elsewhere or on a cheaper node, or only where
/// the saving outweighs the disruption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ConsolidationPolicy {
    WhenEmpty,
    #[default]
    WhenEmptyOrUnderutilized,
    Balanced,
}

impl ConsolidationPolicy {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WhenEmpty => "WhenEmpty",
            Self::WhenEmptyOrUnderutilized => "WhenEmptyOrUnderutilized",
            Self::Balanced => "Balanced",
        }
    }
}

/// How many of a pool's nodes may be disrupted at once, for some or all reasons, always or on a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Budget {
    /// The reasons for which the budget holds; all of them if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "set"))]
    pub reasons: Vec<DisruptionReason>,
    /// A number of nodes, or a percentage of the pool's nodes.
    #[serde(default = "default_budget_nodes")]
    #[schemars(regex(pattern = BUDGET_NODES))]
    pub nodes: String,
    /// When the budget becomes active: five cron fields or a macro such as @daily, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BUDGET_SCHEDULE))]
    pub schedule: Option<String>,
    /// How long the budget stays active after each hit of the schedule, in hours and minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BUDGET_DURATION))]
    pub duration: Option<Duration>,
}

fn default_budget_nodes() -> String {
    "10%".to_owned()
}

impl Default for Budget {
    fn default() -> Self {
        Self { reasons: vec![], nodes: default_budget_nodes(), schedule: None, duration: None }
    }
}

/// Why a node is disrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum DisruptionReason {
    Underutilized,
    Empty,
    Drifted,
    Unhealthy,
}

/// What the controller has seen of a NodePool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct NodePoolStatus {
    /// What the pool's nodes sum up to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::resource_list")]
    pub resources: BTreeMap<String, Quantity>,
    /// The number of the pool's nodes.
    pub nodes: i64,
    /// The generation of the node class that the conditions describe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_class_observed_generation: Option<i64>,
    /// Ready and its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
