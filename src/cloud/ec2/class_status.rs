//! The status of an EC2NodeClass: what its selectors have found, and whether nodes can be launched with it.
//!
//! Source: karpenter-provider-aws `pkg/controllers/nodeclass` (karpenter-aws 1.3); its conditions, reasons and order of lists.

mod conditions;
mod found;
mod validation;

pub use found::{FoundReservation, FoundSubnet};
pub use validation::{DryRun, Validation, ValidationFailure, check_spec};

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::ec2_node_class::{AMI, EC2NodeClass, EC2NodeClassStatus, SecurityGroup};
use crate::catalog::node_class::PlacementGroupFacts;

/// What was found for a class: each part as the last call that was answered has it, or why the call failed.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Those of the selector terms.
    pub subnets: Part<Vec<FoundSubnet>>,
    /// Those of the selector terms.
    pub security_groups: Part<Vec<SecurityGroup>>,
    /// [`super::images::ImageQueries::choose`].
    pub images: Part<Vec<AMI>>,
    /// Those of the selector terms; [`Part::Unknown`] where the gate ReservedCapacity is off.
    pub reservations: Part<Vec<FoundReservation>>,
    /// The name of the profile, which is there.
    pub instance_profile: Part<String>,
    /// The placement group, if it is there; not looked at where the class names none.
    pub placement_group: Part<Option<PlacementGroupFacts>>,
    /// Whether launches are allowed.
    pub validation: Validation,
    /// Whether the Service CIDR is known, which AL2023 needs.
    pub has_service_cidr: bool,
    /// The gate ReservedCapacity.
    pub reserved_capacity: bool,
}

/// One part of what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Part<T> {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// As it is.
    Found(T),
    /// It could not be looked up: what was known stays.
    Failed(String),
    /// It cannot be, whoever looks: with the reason of the condition and a message.
    Refused(&'static str, String),
}

impl<T> Part<T> {
    /// What was found.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(found) => Some(found),
            _ => None,
        }
    }
}

/// The status that a class is to have. Lists of parts that could not be looked up stay as they are.
#[must_use]
pub fn status(class: &EC2NodeClass, observed: &Observed, now: Timestamp) -> EC2NodeClassStatus {
    let mut status = class.status.clone().unwrap_or_default();
    if let Some(subnets) = observed.subnets.found() {
        status.subnets = found::subnets(subnets);
    }
    if let Some(groups) = observed.security_groups.found() {
        let by_id: BTreeMap<&str, &SecurityGroup> = groups.iter().map(|group| (group.id.as_str(), group)).collect();
        status.security_groups = by_id.into_values().cloned().collect();
    }
    match &observed.images {
        Part::Found(images) => status.amis.clone_from(images),
        Part::Refused(..) => status.amis.clear(),
        Part::Unknown | Part::Failed(_) => {}
    }
    match &observed.reservations {
        Part::Found(reservations) => status.capacity_reservations = found::reservations(reservations, now),
        _ if !observed.reserved_capacity => status.capacity_reservations.clear(),
        _ => {}
    }
    if let Some(profile) = observed.instance_profile.found() {
        status.instance_profile = Some(profile.clone());
    }
    status.conditions = conditions::conditions(class, observed, &status, now);
    status
}

#[cfg(test)]
mod tests;
