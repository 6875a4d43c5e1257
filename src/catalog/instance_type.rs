//! What one instance type offers, as a NodePool sees it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::labels;
use crate::requirements::{Requirement, Requirements};
use crate::resources::Resources;
use crate::units::MicroUsd;

/// How capacity is bought. The order is the order of preference at launch (karpenter-aws 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityType {
    Reserved,
    Spot,
    OnDemand,
}

impl CapacityType {
    /// The value of the label `karpenter.sh/capacity-type`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Reserved => labels::CAPACITY_RESERVED,
            Self::Spot => labels::CAPACITY_SPOT,
            Self::OnDemand => labels::CAPACITY_ON_DEMAND,
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reserved, Self::Spot, Self::OnDemand].into_iter().find(|c| c.label() == text)
    }
}

impl fmt::Display for CapacityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// One instance type of a NodePool: capacity and overhead follow the pool's node class, prices its NodeOverlays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceType {
    pub name: Arc<str>,
    /// Labels that every node of this type carries, and those it may carry with one of several values (tenancy).
    /// Zone and capacity type are not here: they belong to the offerings. `node.kubernetes.io/instance-type` is.
    pub requirements: Requirements,
    pub capacity: Resources,
    pub overhead: Overhead,
    /// Sorted by (zone, capacity type, reservation id).
    pub offerings: Vec<Offering>,
    /// `capacity - overhead`, floored at zero, hugepages taken from memory, less the estimate margin of the settings.
    /// What pods and daemon pods share.
    pub allocatable: Resources,
    /// A NodeOverlay changed the capacity.
    pub capacity_overlay_applied: bool,
}

/// What a node keeps back from pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overhead {
    pub kube_reserved: Resources,
    pub system_reserved: Resources,
    pub eviction_threshold: Resources,
}

/// A zone and capacity type in which a type can be bought, and for how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offering {
    pub zone: Arc<str>,
    pub capacity_type: CapacityType,
    /// Micro-dollars an hour.
    pub price: MicroUsd,
    /// The same as a time-weighted mean over the last 24 hours; `None` where only the price of now is known, or it does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_price: Option<MicroUsd>,
    pub available: bool,
    /// Labels beyond zone and capacity type that come with the offering: zone id, reservation id and type, placement
    /// group partition.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    pub reservation: Option<Reservation>,
    /// A NodeOverlay changed the price.
    pub price_overlay_applied: bool,
}

/// The capacity reservation behind a reserved offering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub id: Arc<str>,
    /// Instances that can still be launched into it.
    pub free: u32,
}

impl Overhead {
    #[must_use]
    pub fn total(&self) -> Resources {
        let mut total = self.kube_reserved.clone();
        total.add(&self.system_reserved);
        total.add(&self.eviction_threshold);
        total
    }
}

/// What requirements ask of offerings, looked up once for many of them.
#[derive(Debug, Clone, Copy)]
pub struct OfferingFilter<'r> {
    requirements: &'r Requirements,
    zone: Option<&'r Requirement>,
    capacity_type: Option<&'r Requirement>,
}

impl<'r> OfferingFilter<'r> {
    #[must_use]
    pub fn of(requirements: &'r Requirements) -> Self {
        let (zone, capacity_type) = (requirements.get(labels::ZONE), requirements.get(labels::CAPACITY_TYPE));
        Self { requirements, zone, capacity_type }
    }

    /// Whether the requirements allow every label that comes with the offering.
    #[must_use]
    pub fn takes(&self, offering: &Offering) -> bool {
        let Self { requirements, zone, capacity_type } = self;
        zone.is_none_or(|zone| zone.allows(&offering.zone))
            && capacity_type.is_none_or(|of| of.allows(offering.capacity_type.label()))
            && offering.labels.iter().all(|(key, value)| requirements.get(key).is_none_or(|of| of.allows(value)))
    }
}

impl Offering {
    /// The mean of the last 24 hours, or the price of now where there is no history.
    #[must_use]
    pub fn mean(&self) -> MicroUsd {
        self.mean_price.unwrap_or(self.price)
    }

    /// What it costs now; `None` where nobody knows: it is there, and cannot be bought.
    #[must_use]
    pub fn known_price(&self) -> Option<MicroUsd> {
        (self.available || self.price > MicroUsd::ZERO || self.reservation.is_some()).then_some(self.price)
    }

    /// Whether its price changes from hour to hour and it is not known what it was.
    #[must_use]
    pub fn lacks_history(&self) -> bool {
        self.capacity_type == CapacityType::Spot && self.mean_price.is_none()
    }

    /// The value of a label that a node gets from this offering.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        match key {
            labels::ZONE => Some(&self.zone),
            labels::CAPACITY_TYPE => Some(self.capacity_type.label()),
            _ => self.labels.iter().find(|(known, _)| known.as_ref() == key).map(|(_, value)| value.as_ref()),
        }
    }

    /// Whether it has the zone, capacity type and other labels that the requirements ask for.
    #[must_use]
    pub fn satisfies(&self, requirements: &Requirements) -> bool {
        OfferingFilter::of(requirements).takes(self)
    }

    /// The labels that a node bought through this offering carries because of it.
    #[must_use]
    pub fn requirements(&self) -> Requirements {
        let mut requirements: Requirements = [
            (labels::ZONE, Requirement::one_of([self.zone.clone()])),
            (labels::CAPACITY_TYPE, Requirement::one_of([self.capacity_type.label()])),
        ]
        .into_iter()
        .collect();
        for (key, value) in &self.labels {
            requirements.replace(key, Requirement::one_of([value.clone()]));
        }
        requirements
    }
}
