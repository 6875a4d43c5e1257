//! NodeOverlay (`karpenter.sh/v1alpha1`): other prices and extra capacity for instance types.
//!
//! Source: karpenter `pkg/apis/v1alpha1/nodeoverlay.go`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::labels;
use super::requirement::{NodeSelectorRequirement, overlay_requirement_rules};
use super::schema::{self, rule};

/// Changes the price or adds extended resources to the instance types that satisfy its requirements.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "karpenter.sh",
    version = "v1alpha1",
    kind = "NodeOverlay",
    plural = "nodeoverlays",
    status = "NodeOverlayStatus",
    derive = "PartialEq",
    category = "karpenter",
    shortname = "overlays",
    doc = "Changes the price or adds extended resources to the instance types that satisfy its requirements.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".spec.weight", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = [
    rule("!has(self.price) || !has(self.priceAdjustment)", "price and priceAdjustment cannot both be set"),
]))]
pub struct NodeOverlaySpec {
    /// Which instance types, zones, capacity types, pools and template labels the overlay is for.
    #[schemars(
        length(max = 100),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = overlay_requirement_rules())
    )]
    pub requirements: Vec<NodeSelectorRequirement>,
    /// The price in dollars an hour, instead of the cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = PRICE))]
    pub price: Option<String>,
    /// A change of the cloud's price: dollars an hour such as +0.5 or -0.5, or a percentage such as +10% or -15%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = PRICE_ADJUSTMENT))]
    pub price_adjustment: Option<String>,
    /// Extended resources that the nodes have in addition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        schema_with = "schema::resource_list",
        extend("x-kubernetes-validations" = [rule(
            "self.all(x, !(x in ['cpu', 'memory', 'ephemeral-storage', 'pods']))",
            "capacity adds extended resources only: cpu, memory, ephemeral-storage and pods cannot be changed"
        )])
    )]
    pub capacity: BTreeMap<String, Quantity>,
    /// Overlays with a higher weight win; no weight counts as 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub weight: Option<i32>,
}

pub const PRICE: &str = r"^\d+(\.\d+)?$";
pub const PRICE_ADJUSTMENT: &str = r"^([+-](\d*\.?\d+)|\+\d*\.?\d+%|-\d{1,2}(\.\d+)?%|-100%)$";
/// Resources that an overlay cannot change.
pub const RESTRICTED_CAPACITY: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pods"];

/// Labels of karpenter.k8s.aws that an overlay may name: they hold for an instance type, not for one launch.
pub fn overlay_labels() -> impl Iterator<Item = &'static str> {
    const OF_A_LAUNCH: [&str; 6] = [
        labels::INSTANCE_TENANCY,
        labels::CAPACITY_RESERVATION_ID,
        labels::CAPACITY_RESERVATION_TYPE,
        labels::CAPACITY_RESERVATION_INTERRUPTIBLE,
        labels::PLACEMENT_GROUP_ID,
        labels::PLACEMENT_GROUP_PARTITION,
    ];
    labels::provider_labels().filter(|key| !OF_A_LAUNCH.contains(key))
}

/// Whether the overlay is applied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
pub struct NodeOverlayStatus {
    /// Ready and ValidationSucceeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
