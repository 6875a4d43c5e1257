//! How an EC2NodeClass selects subnets, security groups, capacity reservations and machine images.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::schema::rule;

/// Image families and their names in an alias.
pub const ALIAS_FAMILIES: [(&str, &str); 6] = [
    ("AL2", "al2"),
    ("AL2023", "al2023"),
    ("Bottlerocket", "bottlerocket"),
    ("Windows2019", "windows2019"),
    ("Windows2022", "windows2022"),
    ("Windows2025", "windows2025"),
];

/// Selects subnets; all fields that are set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
pub struct SubnetSelectorTerm {
    /// Tags that the subnet must have; the value * matches any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 20, "x-kubernetes-validations" = selector_tag_rules()))]
    pub tags: BTreeMap<String, String>,
    /// The subnet's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"subnet-[0-9a-z]+"))]
    pub id: Option<String>,
}

/// Selects security groups; all fields that are set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
pub struct SecurityGroupSelectorTerm {
    /// Tags that the security group must have; the value * matches any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 20, "x-kubernetes-validations" = selector_tag_rules()))]
    pub tags: BTreeMap<String, String>,
    /// The security group's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"sg-[0-9a-z]+"))]
    pub id: Option<String>,
    /// The security group's name, which is not its tag Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Selects capacity reservations; all fields that are set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct CapacityReservationSelectorTerm {
    /// Tags that the capacity reservation must have; the value * matches any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 20, "x-kubernetes-validations" = selector_tag_rules()))]
    pub tags: BTreeMap<String, String>,
    /// The capacity reservation's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^cr-[0-9a-z]+$"))]
    pub id: Option<String>,
    /// The account that owns the capacity reservation.
    #[serde(rename = "ownerID", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub owner_id: Option<String>,
    /// Which instances the capacity reservation takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_match_criteria: Option<InstanceMatchCriteria>,
}

/// Whether a capacity reservation takes every matching instance or only those launched into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum InstanceMatchCriteria {
    Open,
    Targeted,
}

/// Selects machine images; all fields that are set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct AMISelectorTerm {
    /// A family of EKS images and a version, such as al2023@v20240807 or al2023@latest; Windows has only latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 30), extend("x-kubernetes-validations" = alias_rules()))]
    pub alias: Option<String>,
    /// Tags that the image must have; the value * matches any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 20, "x-kubernetes-validations" = selector_tag_rules()))]
    pub tags: BTreeMap<String, String>,
    /// The image's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"ami-[0-9a-z]+"))]
    pub id: Option<String>,
    /// The image's name, which is not its tag Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The image's owner: an account, self, amazon or aws-marketplace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The SSM parameter that holds the image's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssm_parameter: Option<String>,
}

fn selector_tag_rules() -> Vec<Value> {
    vec![rule("self.all(k, k != '' && self[k] != '')", "tag keys and values cannot be empty")]
}

/// The reference refuses an ID next to other fields only if every term has both.
pub(super) fn subnet_rules() -> Vec<Value> {
    vec![
        rule("self.size() != 0", "subnetSelectorTerms cannot be empty"),
        rule("self.all(x, has(x.tags) || has(x.id))", "each term needs tags or id"),
        rule("self.size() == 0 || !self.all(x, has(x.id) && has(x.tags))", "id cannot be combined with tags in a term"),
    ]
}

pub(super) fn security_group_rules() -> Vec<Value> {
    vec![
        rule("self.size() != 0", "securityGroupSelectorTerms cannot be empty"),
        rule("self.all(x, has(x.tags) || has(x.id) || has(x.name))", "each term needs tags, id or name"),
        rule(
            "self.size() == 0 || !self.all(x, has(x.id) && (has(x.tags) || has(x.name)))",
            "id cannot be combined with other fields in a term",
        ),
        rule(
            "self.size() == 0 || !self.all(x, has(x.name) && (has(x.tags) || has(x.id)))",
            "name cannot be combined with other fields in a term",
        ),
    ]
}

pub(super) fn capacity_reservation_rules() -> Vec<Value> {
    vec![
        rule(
            "self.all(x, has(x.tags) || has(x.id) || has(x.instanceMatchCriteria))",
            "each term needs tags, id or instanceMatchCriteria",
        ),
        rule(
            "self.size() == 0 \
             || !self.all(x, has(x.id) && (has(x.tags) || has(x.ownerID) || has(x.instanceMatchCriteria)))",
            "id cannot be combined with other fields in a term",
        ),
    ]
}

pub(super) fn ami_rules() -> Vec<Value> {
    vec![
        rule(
            "self.all(x, has(x.tags) || has(x.id) || has(x.name) || has(x.alias) || has(x.ssmParameter))",
            "each term needs tags, id, name, alias or ssmParameter",
        ),
        rule(
            "!self.exists(x, has(x.id) \
             && (has(x.alias) || has(x.tags) || has(x.name) || has(x.owner) || has(x.ssmParameter)))",
            "id cannot be combined with other fields in a term",
        ),
        rule(
            "!self.exists(x, has(x.alias) \
             && (has(x.id) || has(x.tags) || has(x.name) || has(x.owner) || has(x.ssmParameter)))",
            "alias cannot be combined with other fields in a term",
        ),
        rule("!(self.exists(x, has(x.alias)) && self.size() != 1)", "alias cannot be combined with other terms"),
    ]
}

fn alias_rules() -> Vec<Value> {
    vec![
        rule("self.matches('^[a-zA-Z0-9]+@.+$')", "an alias has the form family@version"),
        rule(
            "self.split('@')[0] in ['al2', 'al2023', 'bottlerocket', 'windows2019', 'windows2022', 'windows2025']",
            "the alias's family must be al2, al2023, bottlerocket, windows2019, windows2022 or windows2025",
        ),
        rule(
            "!self.startsWith('windows') || self.endsWith('@latest')",
            "Windows images have no other version than latest",
        ),
    ]
}
