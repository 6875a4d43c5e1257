//! What came of a simulation.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::invariants::Broken;
use crate::controller::Said;

/// What came of a simulation; money in micro-dollars.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Where chance began.
    pub seed: u64,
    /// When it began and ended, in simulated time.
    pub start: Timestamp,
    /// Its end, without the time to settle.
    pub end: Timestamp,
    /// What instances cost until the end.
    pub cost: i64,
    /// Instances that were launched.
    pub launches: u64,
    /// Decisions that were made.
    pub decisions: u64,
    /// Of the state machine.
    pub steps: u64,
    /// That reached the API server.
    pub writes: u64,
    /// Lives of the controller that ended by chance.
    pub restarts: u64,
    /// Launches and writes that failed.
    pub failures: u64,
    /// Pods that waited longest, in minutes between two samples.
    pub most_pending: usize,
    /// An invariant that does not hold, if one does not.
    pub broken: Option<Broken>,
    /// What everything would cost at least at some moments, in micro-dollars an hour.
    pub bounds: Vec<(Timestamp, i64)>,
    /// Minute by minute.
    pub samples: Vec<Sample>,
    /// Real time, of which so much was spent deciding and stepping.
    #[serde(skip)]
    pub wall: Duration,
    #[serde(skip)]
    pub(super) deciding: Duration,
    #[serde(skip)]
    pub(super) stepping: Duration,
}

/// The state of things at a time.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Nodes that there are.
    pub nodes: usize,
    /// Pods without a node.
    pub pending: usize,
    /// What runs, in micro-dollars an hour.
    pub usd_hour: i64,
}

impl Report {
    pub(super) fn new(seed: u64, start: Timestamp) -> Self {
        Self {
            seed,
            start,
            end: start,
            cost: 0,
            launches: 0,
            decisions: 0,
            steps: 0,
            writes: 0,
            restarts: 0,
            failures: 0,
            most_pending: 0,
            broken: None,
            bounds: Vec::new(),
            samples: Vec::new(),
            wall: Duration::ZERO,
            deciding: Duration::ZERO,
            stepping: Duration::ZERO,
        }
    }

    pub(super) fn note(&mut self, said: &Said) {
        self.failures += u64::from(matches!(said, Said::LaunchFailed { .. } | Said::WriteFailed { .. }));
    }

    pub(super) fn end(&mut self, end: Timestamp, cost: i64) {
        self.end = end;
        self.cost = cost;
        self.most_pending = self.samples.iter().map(|sample| sample.pending).max().unwrap_or(0);
    }

    /// What the pods of these hours would cost at least, from the mean of the moments that were asked.
    #[must_use]
    pub fn bound(&self) -> Option<i64> {
        let moments = i64::try_from(self.bounds.len()).ok().filter(|moments| *moments > 0)?;
        let mean = self.bounds.iter().map(|(_, bound)| bound).sum::<i64>() / moments;
        Some(mean.saturating_mul(self.end.duration_since(self.start).as_secs()) / 3_600)
    }

    /// Real time that decisions took, and steps of the state machine.
    #[must_use]
    pub fn shares(&self) -> (Duration, Duration) {
        (self.deciding, self.stepping)
    }
}
