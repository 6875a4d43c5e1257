//! Requirements on node labels, as NodePools and NodeClaims write them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema::{self, rule};

/// The operators of NodePools, node affinity and NodeOverlays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
    Gte,
    Lte,
}

impl Operator {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "In" => Self::In,
            "NotIn" => Self::NotIn,
            "Exists" => Self::Exists,
            "DoesNotExist" => Self::DoesNotExist,
            "Gt" => Self::Gt,
            "Lt" => Self::Lt,
            "Gte" => Self::Gte,
            "Lte" => Self::Lte,
            _ => return None,
        })
    }
}

/// A requirement on a node label: its key, an operator, the operator's values, and how many distinct values a launch
/// must keep open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct NodeSelectorRequirementWithMinValues {
    /// The label that must satisfy the requirement.
    #[schemars(schema_with = "schema::label_key")]
    pub key: String,
    /// How the label's value relates to `values`.
    pub operator: Operator,
    /// One or more values for In, one non-negative integer for Gt, Lt, Gte and Lte, any number for NotIn, none for
    /// Exists and DoesNotExist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_values")]
    pub values: Vec<String>,
    /// The least number of distinct values that the instance types of a launch must keep open (alpha).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub min_values: Option<i64>,
}

/// The rules over a list of requirements.
pub(super) fn requirement_rules() -> Vec<Value> {
    const INTEGER: &str = "x.operator in ['Gt', 'Lt', 'Gte', 'Lte']";
    vec![
        rule(
            "self.all(x, x.operator != 'In' || (has(x.values) && x.values.size() > 0))",
            "operator In needs at least one value",
        ),
        rule(
            &format!(
                "self.all(x, !({INTEGER}) || (has(x.values) && x.values.size() == 1 \
                 && x.values[0].matches('^[0-9]{{1,18}}$')))"
            ),
            "operators Gt, Lt, Gte and Lte need exactly one value, a non-negative integer of at most 18 digits",
        ),
        rule(
            "self.all(x, x.operator != 'In' || !has(x.minValues) || (has(x.values) && x.values.size() >= x.minValues))",
            "operator In with minValues needs at least that many values",
        ),
    ]
}

/// A requirement on a label of instance types, as NodeOverlays write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct NodeSelectorRequirement {
    /// The label that must satisfy the requirement.
    #[schemars(schema_with = "schema::overlay_label_key")]
    pub key: String,
    /// How the label's value relates to `values`.
    pub operator: Operator,
    /// One or more values for In and NotIn, one non-negative integer for Gt, Lt, Gte and Lte, none for Exists and
    /// DoesNotExist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_values")]
    pub values: Vec<String>,
}

/// The rules over a NodeOverlay's list of requirements.
pub(super) fn overlay_requirement_rules() -> Vec<Value> {
    let mut rules = requirement_rules();
    rules.pop(); // an overlay has no minValues
    rules.push(rule(
        "self.all(x, x.operator != 'NotIn' || (has(x.values) && x.values.size() > 0))",
        "operator NotIn needs at least one value",
    ));
    rules
}
