//! What the controller has found for an EC2NodeClass.

use k8s_openapi::api::core::v1::NodeSelectorRequirement;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selectors::InstanceMatchCriteria;
use crate::api::schema;

/// What the selectors have found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct EC2NodeClassStatus {
    /// The subnets, those with the most free addresses first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<Subnet>,
    /// The security groups, by ID.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<SecurityGroup>,
    /// The capacity reservations, by ID.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capacity_reservations: Vec<CapacityReservation>,
    /// The machine images, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amis: Vec<AMI>,
    /// The instance profile in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<String>,
    /// Ready and its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A subnet that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Subnet {
    /// The subnet's ID.
    pub id: String,
    /// Its zone's name.
    pub zone: String,
    /// Its zone's ID, the same in every account.
    #[serde(rename = "zoneID", default, skip_serializing_if = "Option::is_none")]
    pub zone_id: Option<String>,
}

/// A security group that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct SecurityGroup {
    /// The security group's ID.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A machine image that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct AMI {
    /// The image's ID.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether AWS has deprecated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<bool>,
    /// The nodes that it is for.
    #[schemars(schema_with = "image_requirements")]
    pub requirements: Vec<NodeSelectorRequirement>,
}

fn image_requirements(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["key", "operator"],
            "properties": {
                "key": {"description": "The label's key.", "type": "string"},
                "operator": {"description": "How the label's value relates to values.", "type": "string"},
                "values": {
                    "description": "The operator's values.",
                    "type": "array",
                    "items": {"type": "string"},
                    "x-kubernetes-list-type": "atomic",
                },
            },
        },
    })
}

/// A capacity reservation that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct CapacityReservation {
    /// The capacity reservation's ID.
    #[schemars(regex(pattern = r"^cr-[0-9a-z]+$"))]
    pub id: String,
    /// Its zone.
    pub availability_zone: String,
    /// Its instance type.
    pub instance_type: String,
    /// Which instances it takes.
    pub instance_match_criteria: InstanceMatchCriteria,
    /// The account that owns it.
    #[serde(rename = "ownerID")]
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub owner_id: String,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub end_time: Option<Time>,
    /// Whether it is an ordinary reservation or a capacity block.
    #[serde(default)]
    pub reservation_type: ReservationType,
    /// Whether EC2 may take its instances back.
    #[serde(default)]
    pub interruptible: bool,
    /// Whether it is about to end.
    #[serde(default)]
    pub state: ReservationState,
}

/// The kinds of capacity reservations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ReservationType {
    #[default]
    Default,
    CapacityBlock,
}

/// Whether a capacity reservation is about to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ReservationState {
    #[default]
    Active,
    Expiring,
}
