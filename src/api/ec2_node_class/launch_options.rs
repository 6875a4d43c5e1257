//! Placement group, network interfaces, metadata service, connection tracking and processor options.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::schema::rule;

/// Selects a placement group by name or by ID.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, extend("x-kubernetes-validations" = [
    rule("has(self.name) != has(self.id)", "exactly one of name and id must be set"),
]))]
pub struct PlacementGroupSelector {
    /// The placement group's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    /// The placement group's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^pg-[0-9a-z]+$"))]
    pub id: Option<String>,
}

/// A network interface of the instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct NetworkInterface {
    /// The network card.
    #[schemars(range(min = 0))]
    pub network_card_index: i32,
    /// The interface's place on its network card.
    #[schemars(range(min = 0))]
    pub device_index: i32,
    /// An ordinary interface, or one for EFA traffic alone.
    pub interface_type: InterfaceType,
}

/// The kinds of network interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum InterfaceType {
    Interface,
    EfaOnly,
}

pub(super) fn network_interface_rules() -> Vec<Value> {
    vec![
        rule(
            "self.size() == 0 \
             || self.exists(x, x.networkCardIndex == 0 && x.deviceIndex == 0 && x.interfaceType == 'interface')",
            "the first interface of the first network card must be an ordinary one",
        ),
        rule(
            "self.all(x, self.filter(y, \
             y.networkCardIndex == x.networkCardIndex && y.deviceIndex == x.deviceIndex).size() == 1)",
            "each pair of networkCardIndex and deviceIndex can be used once",
        ),
        rule(
            "self.all(x, x.interfaceType != 'efa-only' || self.filter(y, \
             y.interfaceType == 'efa-only' && y.networkCardIndex == x.networkCardIndex).size() == 1)",
            "a network card can have one efa-only interface",
        ),
    ]
}

/// How the instance metadata service answers. Pods cannot reach it by default: it takes tokens only, over one hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline, extend("default" = json!(MetadataOptions::default())))]
pub struct MetadataOptions {
    /// Whether the service answers at all.
    pub http_endpoint: Switch,
    /// Whether it answers over IPv6.
    #[serde(rename = "httpProtocolIPv6")]
    pub http_protocol_ipv6: Switch,
    /// How many network hops its answers may take.
    #[schemars(range(min = 1, max = 64))]
    pub http_put_response_hop_limit: i64,
    /// Whether requests must carry a token (IMDSv2).
    pub http_tokens: TokenPolicy,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            http_endpoint: Switch::Enabled,
            http_protocol_ipv6: Switch::Disabled,
            http_put_response_hop_limit: 1,
            http_tokens: TokenPolicy::Required,
        }
    }
}

/// On or off, as EC2 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Switch {
    Enabled,
    Disabled,
}

/// Whether requests to the metadata service must carry a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum TokenPolicy {
    Required,
    Optional,
}

/// Idle timeouts of tracked connections, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline, extend("x-kubernetes-validations" = [rule(
    "has(self.tcpEstablishedTimeout) || has(self.udpStreamTimeout) || has(self.udpTimeout)",
    "at least one timeout must be set"
)]))]
pub struct ConnectionTracking {
    /// For established TCP connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 432_000))]
    pub tcp_established_timeout: Option<i32>,
    /// For UDP flows with more than one request and answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 180))]
    pub udp_stream_timeout: Option<i32>,
    /// For UDP flows in one direction or with one request and answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 30, max = 60))]
    pub udp_timeout: Option<i32>,
}

/// Options of the processor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct CpuOptions {
    /// Whether instances may run virtual machines; enabled restricts the pool to types that support it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested_virtualization: Option<Switch>,
}
