//! A reference to a node class.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::rule;

/// Names the node class that holds the cloud's side of a node's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct NodeClassReference {
    /// The API group, without a version.
    #[schemars(
        regex(pattern = r"^[^/]*$"),
        extend("x-kubernetes-validations" = [rule("self != ''", "group may not be empty")])
    )]
    pub group: String,
    /// The kind, such as EC2NodeClass.
    #[schemars(extend("x-kubernetes-validations" = [rule("self != ''", "kind may not be empty")]))]
    pub kind: String,
    /// The object's name.
    #[schemars(extend("x-kubernetes-validations" = [rule("self != ''", "name may not be empty")]))]
    pub name: String,
}
