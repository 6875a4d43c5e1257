//! What a node is known to be before it exists: its labels by name, one shape for each offer of a launch.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::labels;
use crate::catalog::{InstanceType, Offering};
use crate::observe::snapshot::{Labels, Node, NodeStage};
use crate::requirements::{Requirement, Requirements};

/// What is known of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a> {
    Absent,
    Value(&'a str),
    /// One of several, decided by the cloud.
    OneOf(&'a BTreeSet<Arc<str>>),
    /// A value that nothing else has: the hostname of a node to be. No selector can name it.
    Fresh,
    /// Anything at all.
    Unknown,
}

impl Known<'_> {
    /// Whether the requirement holds whatever the label turns out to be.
    pub(super) fn meets(self, requirement: &Requirement) -> bool {
        match self {
            Self::Absent => requirement.allows_absence(),
            Self::Value(value) => requirement.allows(value),
            Self::OneOf(values) => values.iter().all(|value| requirement.allows(value)),
            // not a valid label value, so that only complements without bounds allow it
            Self::Fresh => requirement.allows("\u{0}"),
            Self::Unknown => false,
        }
    }
}

/// One concrete node: an existing one, or what a launch becomes through one of its offers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    Node(&'a Node),
    Offer(OfferShape<'a>),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OfferShape<'a> {
    pub instance_type: &'a InstanceType,
    pub offering: &'a Offering,
    /// `Launch::labels`.
    pub labels: &'a Labels,
    /// `Launch::requirements`: decides between the values that a type leaves open.
    pub claim: &'a Requirements,
}

impl<'a> Shape<'a> {
    pub(super) fn label(&self, key: &str) -> Known<'a> {
        match self {
            Self::Node(node) => {
                let value = node.labels.get(key).or_else(|| node.labels.get(labels::normalize(key)));
                match value {
                    Some(value) => Known::Value(value),
                    // a claim without node does not know its hostname yet
                    None if key == labels::HOSTNAME && node.stage == NodeStage::InFlight => Known::Fresh,
                    None => Known::Absent,
                }
            }
            Self::Offer(offer) => offer.label(key),
        }
    }

    /// As a daemon pod sees the node: registered and initialized by the time that it runs.
    pub(super) fn label_for_daemons(&self, key: &str) -> Known<'a> {
        match (self.label(key), key) {
            (Known::Absent, labels::REGISTERED | labels::INITIALIZED) if self.is_to_come() => Known::Value("true"),
            (known, _) => known,
        }
    }
}

impl Shape<'_> {
    fn is_to_come(&self) -> bool {
        match self {
            Self::Node(node) => node.stage != NodeStage::Initialized,
            Self::Offer(_) => true,
        }
    }
}

impl<'a> OfferShape<'a> {
    /// Offering before type before launch: what the cloud decides cannot be written over by a label.
    pub(super) fn label(&self, key: &str) -> Known<'a> {
        let key = labels::normalize(key);
        let written = self.labels.get(key);
        match self.of_offering(key) {
            Some(known) => known,
            None => match self.instance_type.requirements.get(key) {
                Some(requirement) => self.resolve(key, requirement, written),
                None => written.map_or(Known::Absent, |value| Known::Value(value)),
            },
        }
    }

    /// What the cloud alone gives, whatever the launch writes.
    pub(super) fn without_written(&self, key: &str) -> Known<'a> {
        let key = labels::normalize(key);
        match self.of_offering(key) {
            Some(known) => known,
            None => self.instance_type.requirements.get(key).map_or(Known::Absent, |r| self.resolve(key, r, None)),
        }
    }

    fn of_offering(&self, key: &str) -> Option<Known<'a>> {
        match key {
            labels::HOSTNAME => Some(Known::Fresh),
            labels::ZONE => Some(Known::Value(&self.offering.zone)),
            labels::CAPACITY_TYPE => Some(Known::Value(self.offering.capacity_type.label())),
            _ => {
                let label = self.offering.labels.iter().find(|(name, _)| name.as_ref() == key);
                label.map(|(_, value)| Known::Value(value))
            }
        }
    }

    fn resolve(&self, key: &str, offered: &'a Requirement, written: Option<&'a Arc<str>>) -> Known<'a> {
        if let Some(value) = offered.single_value() {
            return Known::Value(value);
        }
        if let Some(value) = written.filter(|value| offered.allows(value)) {
            return Known::Value(value);
        }
        let Some(values) = offered.finite_values() else { return Known::Unknown };
        let claimed = |value: &&Arc<str>| self.claim.get(key).is_none_or(|r| r.allows(value));
        let mut left = values.iter().filter(claimed);
        match (left.next(), left.next()) {
            (Some(value), None) => Known::Value(value),
            _ if values.is_empty() => Known::Absent,
            _ => Known::OneOf(values),
        }
    }
}
