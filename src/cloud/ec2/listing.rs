//! Instances as DescribeInstances shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::tags::{self, Tags};
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::cloud::{Listed, Machine};

/// How an instance is called by its node: `aws:///us-east-1a/i-0123456789abcdef0`.
#[must_use]
pub fn provider_id(zone: &str, instance_id: &str) -> Arc<str> {
    format!("aws:///{zone}/{instance_id}").into()
}

/// Zone and id of an instance of EC2; `None` for others.
#[must_use]
pub fn parse_provider_id(provider_id: &str) -> Option<(&str, &str)> {
    let (zone, id) = provider_id.strip_prefix("aws:///")?.split_once('/')?;
    (!zone.is_empty() && id.starts_with("i-")).then_some((zone, id))
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundInstance {
    /// `i-...`.
    pub id: String,
    /// `Placement.AvailabilityZone`.
    pub zone: String,
    /// `State.Name`.
    pub state: InstanceState,
    /// `LaunchTime`.
    pub launched_at: Timestamp,
    /// `InstanceType`.
    pub instance_type: String,
    /// `ImageId`.
    pub image_id: String,
    /// `SubnetId`.
    pub subnet_id: Option<String>,
    /// Ids of the security groups of the primary network interface.
    pub security_groups: BTreeSet<String>,
    /// `SpotInstanceRequestId` is there.
    pub is_spot: bool,
    /// `CapacityReservationId`, where the preference is `capacity-reservations-only`.
    pub reservation: Option<String>,
    /// `Placement.GroupId`.
    pub placement_group: Option<String>,
    /// `Placement.PartitionNumber`; EC2 has no partition 0.
    pub partition: Option<i32>,
    /// Its tags.
    pub tags: Tags,
}

/// The states of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl InstanceState {
    /// Reads `State.Name`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "shutting-down" => Self::ShuttingDown,
            "terminated" => Self::Terminated,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            _ => return None,
        })
    }

    /// Whether it still costs, or may come back.
    #[must_use]
    pub fn is_there(self) -> bool {
        !matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

impl FoundInstance {
    /// How it was bought.
    #[must_use]
    pub fn capacity_type(&self) -> CapacityType {
        match (self.is_spot, &self.reservation) {
            (true, _) => CapacityType::Spot,
            (false, Some(_)) => CapacityType::Reserved,
            (false, None) => CapacityType::OnDemand,
        }
    }

    /// The token of the launch that it is of.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.tags.get(labels::LAUNCH).map(String::as_str)
    }

    /// As the controller takes it.
    #[must_use]
    pub fn listed(&self) -> Listed {
        let tag = |key: &str| self.tags.get(key).map(|value| Arc::from(value.as_str()));
        Listed {
            provider_id: provider_id(&self.zone, &self.id),
            claim: None,
            launch: tag(labels::LAUNCH),
            claim_name: tag(tags::NODE_CLAIM),
            launched_at: self.launched_at,
            pool: tag(labels::NODEPOOL),
            machine: Some(Machine {
                instance_type: self.instance_type.as_str().into(),
                zone: self.zone.as_str().into(),
                capacity_type: self.capacity_type(),
                image_id: self.image_id.as_str().into(),
                subnet_id: self.subnet_id.as_deref().map(Into::into),
                security_groups: self.security_groups.iter().map(|id| id.as_str().into()).collect(),
                reservation: self.reservation.as_deref().map(Into::into),
                placement_group: self.placement_group.as_deref().map(Into::into),
                partition: self.partition.filter(|number| *number > 0),
            }),
        }
    }
}

/// Those that are there, by how they are called.
#[must_use]
pub fn listed(found: &[FoundInstance]) -> Vec<Listed> {
    let there: BTreeMap<&str, &FoundInstance> = found
        .iter()
        .filter(|instance| instance.state.is_there())
        .map(|instance| (instance.id.as_str(), instance))
        .collect();
    let mut listed: Vec<Listed> = there.into_values().map(FoundInstance::listed).collect();
    listed.sort_by(|a, b| a.provider_id.cmp(&b.provider_id));
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_ids_are_read_as_written() {
        let id = provider_id("us-east-1a", "i-1");
        assert_eq!(&*id, "aws:///us-east-1a/i-1");
        assert_eq!(parse_provider_id(&id), Some(("us-east-1a", "i-1")));
        for other in ["kwok://x", "aws:///i-1", "aws:///us-east-1a/x", "aws:////i-1"] {
            assert_eq!(parse_provider_id(other), None, "{other}");
        }
    }

    #[test]
    fn what_ends_is_not_listed_and_what_is_bought_is_told() {
        let instance = |id: &str, state, is_spot, reservation: Option<&str>| FoundInstance {
            id: id.to_owned(),
            zone: "a".to_owned(),
            state,
            launched_at: Timestamp::UNIX_EPOCH,
            instance_type: "m5.large".to_owned(),
            image_id: "ami-1".to_owned(),
            subnet_id: None,
            security_groups: BTreeSet::new(),
            is_spot,
            reservation: reservation.map(str::to_owned),
            placement_group: None,
            partition: None,
            tags: Tags::new(),
        };
        let all = [
            instance("i-2", InstanceState::Running, true, None),
            instance("i-1", InstanceState::Pending, false, Some("cr-1")),
            instance("i-3", InstanceState::ShuttingDown, false, None),
            instance("i-4", InstanceState::Stopped, false, None),
        ];
        let listed = listed(&all);
        let bought: Vec<_> = listed.iter().map(|of| of.machine.as_ref().unwrap().capacity_type).collect();
        assert_eq!(bought, [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand]);
        assert_eq!(&*listed[0].provider_id, "aws:///a/i-1");
    }
}
