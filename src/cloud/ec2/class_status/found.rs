//! Subnets and capacity reservations as the status lists them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::ec2_node_class::{
    CapacityReservation, InstanceMatchCriteria, ReservationState, ReservationType, Subnet,
};

/// EC2 takes the instances of a capacity block from 30 minutes before its end; nodes leave ten minutes before that.
const BLOCK_EXPIRES_BEFORE: Duration = Duration::from_secs(40 * 60);

/// A subnet as DescribeSubnets shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSubnet {
    /// `subnet-...`.
    pub id: String,
    /// `AvailabilityZone`.
    pub zone: String,
    /// `AvailabilityZoneId`.
    pub zone_id: Option<String>,
    /// `AvailableIpAddressCount`.
    pub free_addresses: i64,
}

/// A capacity reservation as DescribeCapacityReservations shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundReservation {
    /// `cr-...`.
    pub id: String,
    /// `AvailabilityZone`.
    pub zone: String,
    /// `InstanceType`.
    pub instance_type: String,
    /// `InstanceMatchCriteria`.
    pub criteria: InstanceMatchCriteria,
    /// `OwnerId`.
    pub owner_id: String,
    /// `EndDate`.
    pub ends: Option<Timestamp>,
    /// `ReservationType`.
    pub kind: ReservationType,
    /// `Interruptible`.
    pub is_interruptible: bool,
    /// `State` is `active`.
    pub is_active: bool,
    /// `AvailableInstanceCount`.
    pub free: u32,
}

/// Those with the most free addresses first, then by id.
pub(super) fn subnets(found: &[FoundSubnet]) -> Vec<Subnet> {
    let by_id: BTreeMap<&str, &FoundSubnet> = found.iter().map(|subnet| (subnet.id.as_str(), subnet)).collect();
    let mut subnets: Vec<&FoundSubnet> = by_id.into_values().collect();
    subnets.sort_by(|a, b| (b.free_addresses, &a.id).cmp(&(a.free_addresses, &b.id)));
    let subnet = |of: &FoundSubnet| Subnet { id: of.id.clone(), zone: of.zone.clone(), zone_id: of.zone_id.clone() };
    subnets.into_iter().map(subnet).collect()
}

/// Active ones by id.
pub(super) fn reservations(found: &[FoundReservation], now: Timestamp) -> Vec<CapacityReservation> {
    let active = found.iter().filter(|of| of.is_active && of.ends.is_none_or(|ends| ends > now));
    let by_id: BTreeMap<&str, &FoundReservation> = active.map(|of| (of.id.as_str(), of)).collect();
    let reservation = |of: &FoundReservation| CapacityReservation {
        id: of.id.clone(),
        availability_zone: of.zone.clone(),
        instance_type: of.instance_type.clone(),
        instance_match_criteria: of.criteria,
        owner_id: of.owner_id.clone(),
        end_time: of.ends.map(Time),
        reservation_type: of.kind,
        interruptible: of.is_interruptible,
        state: state(of, now),
    };
    by_id.into_values().map(reservation).collect()
}

fn state(of: &FoundReservation, now: Timestamp) -> ReservationState {
    let is_late = of.ends.is_some_and(|ends| now.checked_add(BLOCK_EXPIRES_BEFORE).is_ok_and(|later| later >= ends));
    match of.kind {
        ReservationType::CapacityBlock if is_late => ReservationState::Expiring,
        _ => ReservationState::Active,
    }
}
