//! What goes wrong in a scenario.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::spans::optional_span;

/// What goes wrong: how often on average, or with what chance. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Faults {
    /// Watches lag behind by up to this.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub watch_lag: Option<Duration>,
    /// A watch is dropped so often; what happens until it lists again is not seen as it happens.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub dropped_watches: Option<Duration>,
    /// Of writes: somebody else changes the object just before.
    pub conflicts: f64,
    /// Of writes: they are not carried out.
    pub failed_writes: f64,
    /// Of writes: they are carried out, and the answer is lost.
    pub lost_answers: f64,
    /// The process is killed so often, and another one starts.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub restarts: Option<Duration>,
    /// Another process acts so often; what the one before has sent may still arrive.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub leader_changes: Option<Duration>,
    /// Of launches: the cloud fails.
    pub failed_launches: f64,
    /// Of launches: the instance runs, and the answer is lost.
    pub lost_launches: f64,
    /// Of launches: the answer takes up to two minutes.
    pub slow_launches: f64,
    /// The process that acts stands still so often, for up to two minutes; another one takes the Lease after 15 seconds.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub paused_leaders: Option<Duration>,
    /// Of writes: the API server does not take them.
    pub refused_writes: f64,
    /// Some offerings cannot be had for a while so often.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub insufficient_capacity: Option<Duration>,
    /// Of instances: the kubelet never registers.
    pub never_registers: f64,
    /// An instance is gone so often, without a word.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub vanishing: Option<Duration>,
    /// A spot instance is interrupted so often: it ends two minutes after the word.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub spot_interruptions: Option<Duration>,
    /// A person deletes a node so often.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub deleted_nodes: Option<Duration>,
    /// A kubelet cannot be reached so often, for up to four minutes.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<Duration>,
    /// A disruption budget lets no pod go so often, for up to an hour.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub blocked_budgets: Option<Duration>,
    /// Of pods that are to end: they take all the time that they are given.
    pub slow_stops: f64,
    /// Of instances: less memory is allocatable than was predicted, by up to two percent.
    pub less_allocatable: f64,
}

impl Faults {
    pub(super) fn chances(&self) -> [(&'static str, f64); 10] {
        [
            ("conflicts", self.conflicts),
            ("failedWrites", self.failed_writes),
            ("lostAnswers", self.lost_answers),
            ("refusedWrites", self.refused_writes),
            ("failedLaunches", self.failed_launches),
            ("lostLaunches", self.lost_launches),
            ("slowLaunches", self.slow_launches),
            ("neverRegisters", self.never_registers),
            ("slowStops", self.slow_stops),
            ("lessAllocatable", self.less_allocatable),
        ]
    }

    /// Those that come again and again.
    pub(super) fn periods(&self) -> [(&'static str, Option<Duration>); 10] {
        [
            ("droppedWatches", self.dropped_watches),
            ("restarts", self.restarts),
            ("leaderChanges", self.leader_changes),
            ("pausedLeaders", self.paused_leaders),
            ("insufficientCapacity", self.insufficient_capacity),
            ("vanishing", self.vanishing),
            ("spotInterruptions", self.spot_interruptions),
            ("deletedNodes", self.deleted_nodes),
            ("notReady", self.not_ready),
            ("blockedBudgets", self.blocked_budgets),
        ]
    }
}
