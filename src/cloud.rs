//! The cloud seam: what is asked of a cloud, and what it says, as data.

pub mod ec2;
pub mod kwok;
pub mod options;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

pub use options::{node_labels, options};

use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::observe::snapshot::Labels;
use crate::observe::{read_labels, requirements_of};

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provider {
    /// Nodes without machines.
    #[default]
    Kwok,
    /// EC2.
    Ec2,
}

impl Provider {
    /// Whether an instance is one of this cloud.
    #[must_use]
    pub fn has(self, provider_id: &str) -> bool {
        match self {
            Self::Kwok => kwok::is_of_kwok(provider_id),
            Self::Ec2 => provider_id.starts_with("aws://"),
        }
    }
}

/// Something that a cloud is asked. It may be asked again at any time, also by a process that does not know of the first one.
#[derive(Debug, Clone)]
pub enum Request {
    /// One instance for a claim. Where there is one already, it is the answer.
    Launch(Launch),
    /// The instances that run for claims of this cluster.
    List,
    /// The end of an instance, if there still is one.
    Terminate {
        /// For which claim.
        claim: Arc<str>,
        /// The instance.
        provider_id: Arc<str>,
    },
}

/// What may be bought for a claim.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its name.
    pub claim: Arc<str>,
    /// Its uid, by which its instance is found again.
    pub uid: Arc<str>,
    /// Types that the options are of.
    pub types: Arc<Vec<InstanceType>>,
    /// In order of preference, all of one capacity type: indices of a type and of one of its offerings.
    pub options: Vec<(usize, usize)>,
    /// What the cloud is to fail at, if it is one that is played.
    pub faults: kwok::Faults,
    /// What its node is made with, if the cloud is EC2, or why it cannot be made.
    pub node: Option<Result<Arc<ec2::NodeTemplate>, LaunchError>>,
    /// The launch that was asked for before, as the claim says.
    pub earlier: Option<Earlier>,
}

/// A launch that may have been asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The value of [`labels::LAUNCH`].
    pub token: Arc<str>,
    /// All claims with that value, by uid; this one is among them.
    pub holders: Arc<Vec<ec2::fleet::earlier::Holder>>,
}

impl Launch {
    /// The options themselves.
    pub fn offerings(&self) -> impl Iterator<Item = (&InstanceType, &Offering)> {
        self.options.iter().map(|&(kind, offering)| (&self.types[kind], &self.types[kind].offerings[offering]))
    }
}

/// What tells an offering from all others, for every node class or for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferingName {
    /// Of which type.
    pub instance_type: Arc<str>,
    /// Where.
    pub zone: Arc<str>,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// The id of the capacity reservation, where it is reserved.
    pub reservation: Option<Arc<str>>,
    /// The EC2NodeClass that alone is meant: it is its subnets or its placement group that are full, and others may have it.
    pub class: Option<Arc<str>>,
}

impl OfferingName {
    /// That of an offering of a type, whichever the node class.
    #[must_use]
    pub fn of(kind: &InstanceType, offering: &Offering) -> Self {
        Self {
            instance_type: kind.name.clone(),
            zone: offering.zone.clone(),
            capacity_type: offering.capacity_type,
            reservation: offering.reservation.as_ref().map(|reservation| reservation.id.clone()),
            class: None,
        }
    }

    /// Whether it is that of an offering of a type, for whichever node class.
    #[must_use]
    pub fn is_of(&self, kind: &InstanceType, offering: &Offering) -> bool {
        self.instance_type == kind.name
            && self.zone == offering.zone
            && self.capacity_type == offering.capacity_type
            && self.reservation.as_ref() == offering.reservation.as_ref().map(|reservation| &reservation.id)
    }

    /// Whether it concerns a node class, by its name.
    #[must_use]
    pub fn concerns(&self, class: &str) -> bool {
        self.class.as_deref().is_none_or(|only| only == class)
    }
}

impl fmt::Display for OfferingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.instance_type, self.zone, self.capacity_type)?;
        self.reservation.iter().try_for_each(|id| write!(f, "/{id}"))?;
        self.class.iter().try_for_each(|class| write!(f, " with EC2NodeClass {class}"))
    }
}

/// What a cloud says.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To [`Request::Launch`].
    Launched {
        /// The uid of the claim.
        claim: Arc<str>,
        /// What runs, or why nothing does.
        result: Result<Box<Instance>, LaunchError>,
    },
    /// To [`Request::List`]: those that run.
    Listed(Result<Vec<Listed>, String>),
    /// To [`Request::Terminate`].
    Terminated {
        /// The instance.
        provider_id: Arc<str>,
        /// Whether there is no such instance any more; `false`: it is on its way out.
        result: Result<bool, String>,
    },
    /// Beside the answers to launches: offerings that could not be had, though others could.
    Unavailable(Vec<OfferingName>),
}

/// An instance as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// How the cloud calls it.
    pub provider_id: Arc<str>,
    /// The uid of its claim, if the cloud knows it.
    pub claim: Option<Arc<str>>,
    /// The launch that it comes from: the value of [`labels::LAUNCH`] that its claim has, too.
    pub launch: Option<Arc<str>>,
    /// The name of its claim, once it was written there.
    pub claim_name: Option<Arc<str>>,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// The name of its NodePool.
    pub pool: Option<Arc<str>>,
    /// What it is, where the cloud tells.
    pub machine: Option<Machine>,
}

/// What an instance is made with, as the cloud tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The name of its type.
    pub instance_type: Arc<str>,
    /// Where it is.
    pub zone: Arc<str>,
    /// How it was bought.
    pub capacity_type: CapacityType,
    /// The machine image.
    pub image_id: Arc<str>,
    /// The subnet.
    pub subnet_id: Option<Arc<str>>,
    /// The security groups, by id.
    pub security_groups: Vec<Arc<str>>,
    /// The capacity reservation.
    pub reservation: Option<Arc<str>>,
    /// The placement group, by id.
    pub placement_group: Option<Arc<str>>,
    /// Its partition of a placement group that has some.
    pub partition: Option<i32>,
}

#[cfg(test)]
impl Machine {
    /// On demand in zone `a`, and nothing else.
    #[must_use]
    pub fn example(instance_type: &str) -> Self {
        Self {
            instance_type: instance_type.into(),
            zone: "a".into(),
            capacity_type: CapacityType::OnDemand,
            image_id: "ami-1".into(),
            subnet_id: None,
            security_groups: Vec::new(),
            reservation: None,
            placement_group: None,
            partition: None,
        }
    }

    /// As a list shows one of nobody's.
    #[must_use]
    pub fn listed(self, provider_id: &str, launched_at: Timestamp) -> Listed {
        let (provider_id, machine) = (provider_id.into(), Some(self));
        Listed { provider_id, claim: None, launch: None, claim_name: None, launched_at, pool: None, machine }
    }
}

/// What the cloud does to instances, under the reference's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterruptionKind {
    /// Spot capacity is taken back in two minutes.
    SpotInterrupted,
    /// Spot capacity may be taken back soon; nothing is done.
    RebalanceRecommendation,
    /// Maintenance.
    ScheduledChange,
    /// It stops, or has.
    InstanceStopped,
    /// It ends, or has.
    InstanceTerminated,
    /// An interruptible capacity reservation is taken back.
    CapacityReservationInterrupted,
    /// Checks of the instance, or of what it runs on, have failed for a while: nobody is there to drain it.
    InstanceImpaired,
}

impl InterruptionKind {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::SpotInterrupted,
        Self::RebalanceRecommendation,
        Self::ScheduledChange,
        Self::InstanceStopped,
        Self::InstanceTerminated,
        Self::CapacityReservationInterrupted,
        Self::InstanceImpaired,
    ];

    /// The label `message_type` of metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::SpotInterrupted => "spot_interrupted",
            Self::RebalanceRecommendation => "rebalance_recommendation",
            Self::ScheduledChange => "scheduled_change",
            Self::InstanceStopped => "instance_stopped",
            Self::InstanceTerminated => "instance_terminated",
            Self::CapacityReservationInterrupted => "capacity_reservation_interrupted",
            Self::InstanceImpaired => "instance_impaired",
        }
    }

    /// Whether its claim goes.
    #[must_use]
    pub fn ends_claim(self) -> bool {
        self != Self::RebalanceRecommendation
    }

    /// Whether its claim goes without a drain.
    #[must_use]
    pub fn is_forceful(self) -> bool {
        self == Self::InstanceImpaired
    }
}

/// An instance that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// How the cloud calls it; its node says the same.
    pub provider_id: Arc<str>,
    /// The machine image.
    pub image_id: Option<Arc<str>>,
    /// What it is.
    pub kind: InstanceType,
    /// How it was bought.
    pub offering: Offering,
}

impl Instance {
    /// The labels of its node, those that the claim has already included.
    #[must_use]
    pub fn labels_of(&self, claim: &NodeClaim) -> BTreeMap<Arc<str>, Arc<str>> {
        let written: Labels = read_labels(claim.metadata.labels.as_ref());
        let requirements = requirements_of(&claim.spec.requirements).unwrap_or_default();
        let mut found = node_labels(&written, &requirements, &self.kind, &self.offering);
        let class = &claim.spec.node_class_ref;
        found.insert(format!("{}/{}", class.group, class.kind.to_lowercase()).into(), class.name.as_str().into());
        let is_planned = claim.metadata.annotations.as_ref().is_some_and(|of| of.contains_key(labels::OFFERS));
        // a plan has chosen what its pods ask for; of other claims any label that they allow will do
        let own = |key: &str| !labels::is_well_known(key) && !labels::is_restricted(key);
        for (key, requirement) in requirements.iter().filter(|(key, _)| !is_planned && own(key)) {
            if let Some(value) = requirement.any_value().filter(|_| !found.contains_key(key)) {
                found.insert(key.clone(), value);
            }
        }
        found
    }
}

/// Why there is no instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// None of the options can be had now, and these are why: others may be.
    #[error("insufficient capacity: {}", some_of(.0))]
    InsufficientCapacity(Vec<OfferingName>),
    /// The node class cannot be used.
    #[error("the node class is not ready: {0}")]
    NodeClassNotReady(String),
    /// It may go well another time.
    #[error("{0}")]
    Other(String),
}

/// The first few, and how many there are.
fn some_of(offerings: &[OfferingName]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = offerings.iter().take(SHOWN).map(ToString::to_string).collect();
    match offerings.len() {
        0 => "no offering".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}
