//! EC2NodeClass (`karpenter.k8s.aws/v1`): how instances are launched and set up on AWS.
//!
//! Source: karpenter-provider-aws `pkg/apis/v1/ec2nodeclass.go`. One deliberate difference: `amiSelectorTerms` may be
//! absent, which means `<amiFamily>@latest`.

mod block_device;
mod hash;
mod launch_options;
mod selectors;
mod status;

pub use block_device::{BlockDevice, BlockDeviceMapping, VOLUME_SIZE, VolumeType};
pub use hash::HASH_VERSION;
pub use launch_options::{
    ConnectionTracking, CpuOptions, InterfaceType, MetadataOptions, NetworkInterface, PlacementGroupSelector, Switch,
    TokenPolicy,
};
pub use selectors::{
    ALIAS_FAMILIES, AMISelectorTerm, CapacityReservationSelectorTerm, InstanceMatchCriteria, SecurityGroupSelectorTerm,
    SubnetSelectorTerm,
};
pub use status::{
    AMI, CapacityReservation, EC2NodeClassStatus, ReservationState, ReservationType, SecurityGroup, Subnet,
};

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::schema::rule;

/// The kubelet's configuration: any field of `KubeletConfiguration`, checked by the controller and not by the API.
pub type KubeletConfiguration = Map<String, Value>;

/// How instances are launched and set up on AWS.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "karpenter.k8s.aws",
    version = "v1",
    kind = "EC2NodeClass",
    plural = "ec2nodeclasses",
    status = "EC2NodeClassStatus",
    derive = "PartialEq",
    category = "karpenter",
    shortname = "ec2nc",
    shortname = "ec2ncs",
    doc = "How instances are launched and set up on AWS.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role", priority = 1)
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline, extend("required" = ["subnetSelectorTerms", "securityGroupSelectorTerms"]))]
#[schemars(extend("x-kubernetes-validations" = spec_rules()))]
pub struct EC2NodeClassSpec {
    /// The subnets that instances are launched into: those that match any of the terms.
    #[schemars(length(max = 30), extend("x-kubernetes-validations" = selectors::subnet_rules()))]
    pub subnet_selector_terms: Vec<SubnetSelectorTerm>,
    /// The security groups of the instances: those that match any of the terms.
    #[schemars(length(max = 30), extend("x-kubernetes-validations" = selectors::security_group_rules()))]
    pub security_group_selector_terms: Vec<SecurityGroupSelectorTerm>,
    /// The capacity reservations that may be used: those that match any of the terms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30), extend("x-kubernetes-validations" = selectors::capacity_reservation_rules()))]
    pub capacity_reservation_selector_terms: Vec<CapacityReservationSelectorTerm>,
    /// The placement group that instances are launched into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_group_selector: Option<PlacementGroupSelector>,
    /// Whether instances get a public IP address; without it the subnet decides.
    #[serde(rename = "associatePublicIPAddress", skip_serializing_if = "Option::is_none")]
    pub associate_public_ip_address: Option<bool>,
    /// The number of IP prefixes assigned to the primary network interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ip_prefix_count: Option<i32>,
    /// The machine images: those that match any of the terms. Without terms, the latest image of amiFamily.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30), extend("x-kubernetes-validations" = selectors::ami_rules()))]
    pub ami_selector_terms: Vec<AMISelectorTerm>,
    /// Gives the format of the user data and the default block devices. With an alias it may only be the alias's family
    /// or Custom; without an alias it is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ami_family: Option<AMIFamily>,
    /// User data, merged with what the family needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// The IAM role of the instances; the controller makes its instance profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [rule("self != ''", "role cannot be empty")]))]
    pub role: Option<String>,
    /// The instance profile of the instances, made by the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [rule("self != ''", "instanceProfile cannot be empty")]))]
    pub instance_profile: Option<String>,
    /// Tags of the instances, volumes, network interfaces and launch templates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = tag_rules()))]
    pub tags: BTreeMap<String, String>,
    /// The kubelet's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "open_object")]
    pub kubelet: Option<KubeletConfiguration>,
    /// The volumes of the instances; without them the family's default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-validations" = [rule(
        "self.filter(x, has(x.rootVolume) && x.rootVolume).size() <= 1",
        "at most one block device may be the root volume"
    )]))]
    pub block_device_mappings: Vec<BlockDeviceMapping>,
    /// What becomes of the instance-store disks; RAID0 makes one volume of them for pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_store_policy: Option<InstanceStorePolicy>,
    /// The network interfaces of the instances; without them one for each network card that EFA needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 150), extend("x-kubernetes-validations" = launch_options::network_interface_rules()))]
    pub network_interfaces: Vec<NetworkInterface>,
    /// Whether detailed monitoring is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detailed_monitoring: Option<bool>,
    /// How the instance metadata service answers.
    pub metadata_options: MetadataOptions,
    /// Idle timeouts of tracked connections; needs Nitro instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_tracking: Option<ConnectionTracking>,
    /// Passed to CreateFleet; reserved by EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Options of the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_options: Option<CpuOptions>,
}

/// The families of machine images, which set the format of the user data and the default block devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum AMIFamily {
    AL2,
    AL2023,
    Bottlerocket,
    Custom,
    Windows2019,
    Windows2022,
    Windows2025,
}

impl AMIFamily {
    /// The family that an alias names; `None` if there is no such family.
    #[must_use]
    pub fn from_alias(alias: &str) -> Option<Self> {
        Some(match alias.split('@').next()? {
            "al2" => Self::AL2,
            "al2023" => Self::AL2023,
            "bottlerocket" => Self::Bottlerocket,
            "windows2019" => Self::Windows2019,
            "windows2022" => Self::Windows2022,
            "windows2025" => Self::Windows2025,
            _ => return None,
        })
    }

    /// The family's name in an alias; Custom has none.
    #[must_use]
    pub fn alias_name(self) -> Option<&'static str> {
        Some(match self {
            Self::AL2 => "al2",
            Self::AL2023 => "al2023",
            Self::Bottlerocket => "bottlerocket",
            Self::Windows2019 => "windows2019",
            Self::Windows2022 => "windows2022",
            Self::Windows2025 => "windows2025",
            Self::Custom => return None,
        })
    }
}

/// What becomes of instance-store disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum InstanceStorePolicy {
    RAID0,
}

impl EC2NodeClassSpec {
    /// The alias term, or `<amiFamily>@latest` where there are no terms.
    #[must_use]
    pub fn ami_alias(&self) -> Option<String> {
        match self.ami_selector_terms.as_slice() {
            [] => self.ami_family?.alias_name().map(|family| format!("{family}@latest")),
            terms => terms.iter().find_map(|term| term.alias.clone()),
        }
    }

    /// The family whose user data and block devices are used: `amiFamily`, else the alias's; Custom where neither says.
    #[must_use]
    pub fn resolved_ami_family(&self) -> AMIFamily {
        self.ami_family.or_else(|| AMIFamily::from_alias(&self.ami_alias()?)).unwrap_or(AMIFamily::Custom)
    }
}

fn open_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn spec_rules() -> Vec<Value> {
    let mut rules = vec![
        rule("has(self.role) != has(self.instanceProfile)", "exactly one of role and instanceProfile must be set"),
        rule(
            "has(self.amiFamily) || (has(self.amiSelectorTerms) && self.amiSelectorTerms.exists(x, has(x.alias)))",
            "amiFamily is required without an alias in amiSelectorTerms",
        ),
        rule(
            "!has(self.amiFamily) || self.amiFamily != 'Custom' \
             || (has(self.amiSelectorTerms) && self.amiSelectorTerms.size() > 0)",
            "amiFamily Custom needs amiSelectorTerms",
        ),
    ];
    for (family, alias) in ALIAS_FAMILIES {
        rules.push(rule(
            &format!(
                "!has(self.amiFamily) || self.amiFamily in ['{family}', 'Custom'] || !has(self.amiSelectorTerms) \
                 || !self.amiSelectorTerms.exists(x, has(x.alias) && x.alias.startsWith('{alias}@'))"
            ),
            &format!("with an alias of {alias}, amiFamily can only be {family} or Custom"),
        ));
    }
    rules
}

/// Tags that the controller sets itself, and a prefix that other controllers read.
pub const RESTRICTED_TAGS: [&str; 4] =
    ["eks:eks-cluster-name", super::labels::NODEPOOL, "karpenter.sh/nodeclaim", super::labels::EC2_NODE_CLASS];
pub const RESTRICTED_TAG_PREFIX: &str = "kubernetes.io/cluster";

fn tag_rules() -> Vec<Value> {
    let mut rules = vec![
        rule("self.all(k, k != '')", "tag keys cannot be empty"),
        rule(
            &format!("self.all(k, !k.startsWith('{RESTRICTED_TAG_PREFIX}'))"),
            &format!("tags that start with {RESTRICTED_TAG_PREFIX} are reserved"),
        ),
    ];
    for tag in RESTRICTED_TAGS {
        rules.push(rule(&format!("self.all(k, k != '{tag}')"), &format!("the tag {tag} is set by the controller")));
    }
    rules
}
