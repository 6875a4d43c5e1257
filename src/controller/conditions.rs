//! Status conditions, and the one that sums them up.
//!
//! Source: the reference's status conditions (karpenter-core 1.1, 1.2).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub(super) const READY: &str = "Ready";
pub(super) const LAUNCHED: &str = "Launched";
pub(super) const REGISTERED: &str = "Registered";
pub(super) const INITIALIZED: &str = "Initialized";
pub(super) const DRAINED: &str = "Drained";
pub(super) const VOLUMES_DETACHED: &str = "VolumesDetached";
pub(super) const INSTANCE_TERMINATING: &str = "InstanceTerminating";
pub(super) const VALIDATION_SUCCEEDED: &str = "ValidationSucceeded";

/// Those that a NodeClaim's `Ready` stands for.
pub(super) const OF_CLAIM: [&str; 3] = [LAUNCHED, REGISTERED, INITIALIZED];

/// Whether a condition is true.
pub(super) fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Since when a condition has the status that it has.
pub(super) fn since(conditions: &[Condition], kind: &str) -> Option<Timestamp> {
    conditions.iter().find(|condition| condition.type_ == kind).map(|condition| condition.last_transition_time.0)
}

/// Conditions of an object in the making.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    now: Timestamp,
    generation: Option<i64>,
    list: Vec<Condition>,
}

impl Conditions {
    /// Those that an object has.
    pub fn of(list: &[Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { now, generation, list: list.to_vec() }
    }

    /// The time of the transition is kept where the status stays.
    pub fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) -> &mut Self {
        let known = self.list.iter().position(|condition| condition.type_ == kind);
        let since = known.map(|index| &self.list[index]).filter(|known| known.status == status);
        let condition = Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: self.generation,
            last_transition_time: since.map_or(Time(self.now), |known| known.last_transition_time.clone()),
        };
        match known {
            Some(index) => self.list[index] = condition,
            None => self.list.push(condition),
        }
        self
    }

    pub fn set_true(&mut self, kind: &str) -> &mut Self {
        self.set(kind, "True", kind, "")
    }

    pub fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition.type_ != kind);
    }

    /// Sets `Ready`: true where all parts are, false where one is, else unknown.
    pub fn sum_up(&mut self, parts: &[&str]) -> &mut Self {
        let status = |kind: &str| {
            let found = self.list.iter().find(|condition| condition.type_ == kind);
            found.map_or("Unknown", |condition| condition.status.as_str())
        };
        let named = |wanted: &str| {
            let names: Vec<&str> = parts.iter().copied().filter(|part| status(part) == wanted).collect();
            names.iter().map(|name| format!("{name}={wanted}")).collect::<Vec<_>>().join(", ")
        };
        let (broken, open) = (named("False"), named("Unknown"));
        match (broken.is_empty(), open.is_empty()) {
            (true, true) => self.set_true(READY),
            (false, _) => self.set(READY, "False", "UnhealthyDependents", &broken),
            (true, false) => self.set(READY, "Unknown", "ReconcilingDependents", &open),
        }
    }

    /// All of them, by type.
    pub fn into_list(mut self) -> Vec<Condition> {
        self.list.sort_by(|a, b| a.type_.cmp(&b.type_));
        self.list
    }
}
