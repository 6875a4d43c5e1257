//! What came of a simulation.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::invariants::Broken;
use crate::controller::Said;
use crate::units::MicroUsd;

/// What came of a simulation. As JSON, money is in dollars, as everywhere.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where chance began.
    pub seed: u64,
    /// When it began and ended, in simulated time.
    pub start: Timestamp,
    /// Its end, without the time to settle.
    pub end: Timestamp,
    /// What instances cost until the end.
    #[serde(rename = "cost_usd", serialize_with = "as_usd")]
    pub cost: MicroUsd,
    /// Instances that were launched.
    pub launches: u64,
    /// Instances whose end the controller asked for.
    pub ends: u64,
    /// Pods of Jobs that came, how many seconds they run in all, and how many were done: the first two are the same whatever the
    /// controller does.
    pub arrivals: u64,
    pub arrived_seconds: u64,
    pub jobs_done: u64,
    /// How often something went wrong at its time, whatever the controller does.
    pub faults: u64,
    /// Decisions that were made.
    pub decisions: u64,
    /// Commands that take nodes away because their pods fit elsewhere, or for less.
    pub consolidations: u64,
    /// Nodes that were taken away although neither a person, the cloud nor their age had asked for it: their claims were deleted, and
    /// not only closed for a while. And pods that were evicted from them, the last one at this time.
    pub taken_away: u64,
    pub evicted: u64,
    pub last_evicted: Option<Timestamp>,
    /// Of the state machine.
    pub steps: u64,
    /// That reached the API server.
    pub writes: u64,
    /// Lives of the controller that ended by chance.
    pub restarts: u64,
    /// Times that the process which acted stood still.
    pub pauses: u64,
    /// Launches and writes that failed.
    pub failures: u64,
    /// Nodes that there were at most at once.
    pub most_nodes: usize,
    /// Pods that waited for a node, at most at once and times the seconds for which they did.
    pub most_pending: usize,
    pub pending_pod_seconds: u64,
    /// An invariant that does not hold, if one does not.
    pub broken: Option<Broken>,
    /// What everything would cost at least at some moments.
    pub bounds: Vec<BoundAt>,
    /// Minute by minute, until the end.
    pub samples: Vec<Sample>,
    /// Real time, of which so much was spent deciding and stepping.
    #[serde(skip)]
    pub wall: Duration,
    #[serde(skip)]
    pub(super) deciding: Duration,
    #[serde(skip)]
    pub(super) stepping: Duration,
    #[serde(skip)]
    pub(super) observing: Duration,
    /// Waiting pods times nanoseconds.
    #[serde(skip)]
    pub(super) pending: u128,
    /// Pods that waited at most at once since the last sample.
    #[serde(skip)]
    waited: usize,
}

/// The state of things at a time.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Nodes that there are.
    pub nodes: usize,
    /// Pods without a node, the most at once since the sample before: most wait for less than a minute.
    pub pending: usize,
    /// What runs.
    #[serde(serialize_with = "as_usd")]
    pub usd_hour: MicroUsd,
}

/// What everything that is there at a time would cost at least.
#[derive(Debug, Clone, Serialize)]
pub struct BoundAt {
    /// When.
    pub at: Timestamp,
    /// An hour.
    #[serde(serialize_with = "as_usd")]
    pub usd_hour: MicroUsd,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over references
pub(super) fn as_usd<S: Serializer>(amount: &MicroUsd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(amount.as_usd())
}

impl Report {
    pub(super) fn new(seed: u64, start: Timestamp) -> Self {
        Self {
            seed,
            start,
            end: start,
            cost: MicroUsd::ZERO,
            launches: 0,
            ends: 0,
            arrivals: 0,
            arrived_seconds: 0,
            jobs_done: 0,
            faults: 0,
            decisions: 0,
            consolidations: 0,
            taken_away: 0,
            evicted: 0,
            last_evicted: None,
            steps: 0,
            writes: 0,
            restarts: 0,
            pauses: 0,
            failures: 0,
            most_nodes: 0,
            most_pending: 0,
            pending_pod_seconds: 0,
            broken: None,
            bounds: Vec::new(),
            samples: Vec::new(),
            wall: Duration::ZERO,
            deciding: Duration::ZERO,
            stepping: Duration::ZERO,
            observing: Duration::ZERO,
            pending: 0,
            waited: 0,
        }
    }

    /// After each thing that happens, until the end.
    pub(super) fn see(&mut self, nodes: usize, waiting: usize) {
        self.most_nodes = self.most_nodes.max(nodes);
        self.most_pending = self.most_pending.max(waiting);
        self.waited = self.waited.max(waiting);
    }

    /// The state of things at a time.
    pub(super) fn sample(&mut self, at: Timestamp, nodes: usize, waiting: usize, usd_hour: MicroUsd) {
        let pending = std::mem::replace(&mut self.waited, waiting).max(waiting);
        self.samples.push(Sample { at, nodes, pending, usd_hour });
    }

    pub(super) fn note(&mut self, said: &Said) {
        self.consolidations += u64::from(matches!(said, Said::Consolidating(_)));
        self.failures += u64::from(matches!(said, Said::LaunchFailed { .. } | Said::WriteFailed { .. }));
    }

    pub(super) fn end(&mut self, end: Timestamp, cost: MicroUsd) {
        self.end = end;
        self.cost = cost;
        self.pending_pod_seconds = u64::try_from(self.pending / 1_000_000_000).unwrap_or(u64::MAX);
    }

    /// What the pods of these hours would cost at least, from the mean of the moments that were asked.
    #[must_use]
    pub fn bound(&self) -> Option<MicroUsd> {
        let moments = i64::try_from(self.bounds.len()).ok().filter(|moments| *moments > 0)?;
        let mean = self.bounds.iter().map(|bound| bound.usd_hour.0).sum::<i64>() / moments;
        Some(MicroUsd(mean.saturating_mul(self.end.duration_since(self.start).as_secs()) / 3_600))
    }

    /// Real time that decisions took, and the state machine: its steps, and taking in what it sees.
    #[must_use]
    pub fn shares(&self) -> [Duration; 3] {
        [self.deciding, self.stepping, self.observing]
    }
}
