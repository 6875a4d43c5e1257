//! What a launch template says: the fields of CreateLaunchTemplate that are set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::groups::{Group, Reserved};
use super::interfaces::{Interface, interfaces};
use crate::api::ec2_node_class::{BlockDeviceMapping, MetadataOptions, Switch, TokenPolicy, VolumeType};
use crate::catalog::CapacityType;
use crate::cloud::ec2::node_template::Tenancy;
use crate::cloud::ec2::tags::{self, Tags};
use crate::cloud::ec2::user_data::{self, UserDataError, user_data};
use crate::cloud::ec2::{ClusterFacts, NodeTemplate, families};
use crate::units::quantity::Quantity;

const GIB: i64 = 1 << 30;

/// The content. What is `None` is not sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Content {
    /// `ImageId`.
    pub image_id: String,
    /// `IamInstanceProfile.Name`.
    pub instance_profile: String,
    /// `UserData`, in base64.
    pub user_data: Option<String>,
    /// `BlockDeviceMappings`; empty: those of the image.
    pub block_devices: Vec<VolumeMapping>,
    /// `MetadataOptions`.
    pub metadata: ImdsOptions,
    /// `NetworkInterfaces`, at least one; the security groups are in them.
    pub interfaces: Vec<Interface>,
    /// `Monitoring.Enabled`.
    pub detailed_monitoring: bool,
    /// `Placement`.
    pub placement: Placement,
    /// `EnclaveOptions.Enabled`, where it is wanted.
    pub enclaves: bool,
    /// `CpuOptions.NestedVirtualization`.
    pub nested_virtualization: Option<Switchable>,
    /// `CapacityReservationSpecification`.
    pub capacity_reservation: CapacityReservation,
    /// `InstanceMarketOptions.MarketType`.
    pub market: Option<Market>,
    /// `TagSpecifications` of what instances come with.
    pub tags: Vec<TagSpecification>,
    /// The tags of the launch template itself.
    pub own_tags: Tags,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Switchable {
    Enabled,
    Disabled,
}

impl From<Switch> for Switchable {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::Enabled => Self::Enabled,
            Switch::Disabled => Self::Disabled,
        }
    }
}

impl Switchable {
    /// As EC2 writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

/// How the metadata service answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImdsOptions {
    /// `HttpEndpoint`.
    pub endpoint: Switchable,
    /// `HttpProtocolIpv6`; `None` where a region has no such option.
    pub ipv6: Option<Switchable>,
    /// `HttpPutResponseHopLimit`.
    pub hops: i32,
    /// `HttpTokens` is `required`: IMDSv2 only.
    pub tokens_required: bool,
    /// `InstanceMetadataTags`: always off, as keys with a slash cannot be shown there and an account's default may ask for it.
    pub tags: Switchable,
}

/// Where instances are put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// `default` or `dedicated`.
    pub tenancy: Tenancy,
    /// `GroupId`.
    pub group_id: Option<String>,
    /// `GroupName`, where the class names it so.
    pub group_name: Option<String>,
    /// `PartitionNumber`, where pods ask for one.
    pub partition: Option<i32>,
}

impl Serialize for Tenancy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Which capacity reservations instances may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum CapacityReservation {
    /// Nothing is sent, so that instances use open reservations that match: as long as the gate ReservedCapacity is off.
    Open,
    /// `CapacityReservationPreference: none`: what was planned and priced otherwise uses none by chance.
    None,
    /// `capacity-reservations-only`, with this one as target.
    Only(String),
}

/// Markets besides on-demand; that of spot is said by the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Market {
    /// `capacity-block`.
    CapacityBlock,
    /// `interruptible-capacity-reservation`.
    InterruptibleCapacityReservation,
}

impl Market {
    /// As EC2 writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CapacityBlock => "capacity-block",
            Self::InterruptibleCapacityReservation => "interruptible-capacity-reservation",
        }
    }
}

/// Tags of one kind of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagSpecification {
    /// `network-interface` or `spot-instances-request`.
    pub resource_type: &'static str,
    /// The tags.
    pub tags: Tags,
}

/// A device and its volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeMapping {
    /// `DeviceName`.
    pub device: Option<String>,
    /// `Ebs`.
    pub ebs: Option<Volume>,
}

/// An EBS volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// `DeleteOnTermination`.
    pub delete_on_termination: Option<bool>,
    /// `Encrypted`.
    pub encrypted: Option<bool>,
    /// `Iops`.
    pub iops: Option<i32>,
    /// `KmsKeyId`.
    pub kms_key_id: Option<String>,
    /// `SnapshotId`.
    pub snapshot_id: Option<String>,
    /// `Throughput`, MiB a second.
    pub throughput: Option<i32>,
    /// `VolumeInitializationRate`, MiB a second.
    pub initialization_rate: Option<i32>,
    /// `VolumeSize`, GiB, rounded up.
    pub size_gib: Option<i32>,
    /// `VolumeType`.
    pub kind: Option<VolumeType>,
}

impl Content {
    pub(super) fn of(cluster: &ClusterFacts, template: &NodeTemplate, group: &Group) -> Result<Self, UserDataError> {
        let spec = &template.class.spec;
        let nodes = user_data::Group { capacity_type: group.capacity_type, max_pods: group.max_pods };
        let own_tags = tags::of_launch(cluster, &template.class, &template.pool);
        let of = |resource_type| TagSpecification { resource_type, tags: own_tags.clone() };
        let mut tags = vec![of("network-interface")];
        if group.capacity_type == CapacityType::Spot {
            tags.push(of("spot-instances-request"));
        }
        let devices = match spec.block_device_mappings.as_slice() {
            [] => families::default_block_devices(spec.resolved_ami_family()),
            devices => devices.to_vec(),
        };
        let placement = spec.placement_group_selector.as_ref();
        Ok(Self {
            image_id: group.image_id.clone(),
            instance_profile: template.status().instance_profile.clone().unwrap_or_default(),
            user_data: user_data(cluster, template, &nodes)?.map(|text| STANDARD.encode(text)),
            block_devices: devices.iter().map(volume_mapping).collect(),
            metadata: metadata(&spec.metadata_options, cluster),
            interfaces: interfaces(cluster, template, group),
            detailed_monitoring: spec.detailed_monitoring == Some(true),
            placement: Placement {
                tenancy: template.tenancy,
                group_id: placement.and_then(|group| group.id.clone()),
                group_name: placement.and_then(|group| group.name.clone()),
                partition: template.partition.filter(|_| placement.is_some()),
            },
            enclaves: template.wants_enclaves,
            nested_virtualization: spec.cpu_options.as_ref().and_then(|of| of.nested_virtualization).map(Into::into),
            capacity_reservation: match &group.reserved {
                Some(reserved) => CapacityReservation::Only(reserved.id.clone()),
                None if cluster.reserved_capacity => CapacityReservation::None,
                None => CapacityReservation::Open,
            },
            market: group.reserved.as_ref().and_then(Reserved::market),
            tags,
            own_tags,
        })
    }
}

fn metadata(options: &MetadataOptions, cluster: &ClusterFacts) -> ImdsOptions {
    ImdsOptions {
        endpoint: options.http_endpoint.into(),
        ipv6: (!cluster.is_isolated_region()).then(|| options.http_protocol_ipv6.into()),
        hops: i32::try_from(options.http_put_response_hop_limit).unwrap_or(1),
        tokens_required: options.http_tokens == TokenPolicy::Required,
        tags: Switchable::Disabled,
    }
}

fn volume_mapping(mapping: &BlockDeviceMapping) -> VolumeMapping {
    let narrow = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    let ebs = mapping.ebs.as_ref().map(|ebs| Volume {
        delete_on_termination: ebs.delete_on_termination,
        encrypted: ebs.encrypted,
        iops: ebs.iops.map(narrow),
        kms_key_id: ebs.kms_key_id.clone(),
        snapshot_id: ebs.snapshot_id.clone(),
        throughput: ebs.throughput.map(narrow),
        initialization_rate: ebs.volume_initialization_rate,
        size_gib: ebs.volume_size.as_ref().and_then(|size| size.parse::<Quantity>().ok()).map(gib),
        kind: ebs.volume_type,
    });
    VolumeMapping { device: mapping.device_name.clone(), ebs }
}

/// EBS volumes come in whole GiB.
fn gib(size: Quantity) -> i32 {
    let bytes = size.value();
    i32::try_from(bytes / GIB + i64::from(bytes % GIB > 0)).unwrap_or(i32::MAX)
}
