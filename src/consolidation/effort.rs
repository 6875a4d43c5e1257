//! How much may still be done: by time, or by trials where every machine is to find the same.

use std::cell::Cell;
use std::time::Duration;

use crate::host::Limits;
use crate::solve::Pace;

/// How much time is left.
pub(super) type TimeLeft<'t> = &'t dyn Fn() -> Duration;

/// What is left of a search, or of a part of it.
pub(super) struct Effort<'t> {
    time: TimeLeft<'t>,
    /// Of the time so much is for others.
    kept: Duration,
    /// Sets of nodes that may still be tried.
    trials: Cell<usize>,
    tried: Cell<usize>,
    counted: Cell<usize>,
}

/// To count what a set costs at least so often takes about as long as to try one.
const COUNTED: usize = 50;

impl<'t> Effort<'t> {
    pub fn new(time: TimeLeft<'t>, kept: Duration, trials: usize) -> Self {
        Self { time, kept, trials: Cell::new(trials), tried: Cell::new(0), counted: Cell::new(0) }
    }

    pub fn time(&self) -> Duration {
        (self.time)().saturating_sub(self.kept)
    }

    /// Where there are few candidates a trial has its share of what is left of the time: once round them all takes half of it at most.
    pub fn of_trial(&self, limits: Limits, candidates: usize) -> Limits {
        match limits.work.pace {
            Pace::Time => {
                Limits { time: self.time() / u32::try_from(2 * candidates.max(1)).unwrap_or(u32::MAX), ..limits }
            }
            Pace::Work => limits,
        }
    }

    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        self.time().is_zero()
    }

    pub fn is_over(&self) -> bool {
        self.trials.get() == 0 || self.is_late()
    }

    /// A set of nodes is tried, or a program over the cluster solved.
    pub fn spend(&self) {
        self.trials.set(self.trials.get().saturating_sub(1));
        self.tried.set(self.tried.get() + 1);
    }

    /// What a set costs at least is counted.
    pub fn count(&self) {
        self.counted.set(self.counted.get() + 1);
        if self.counted.get().is_multiple_of(COUNTED) {
            self.trials.set(self.trials.get().saturating_sub(1));
        }
    }

    /// Sets of nodes that may still be tried.
    pub fn left(&self) -> usize {
        self.trials.get()
    }

    pub fn tried(&self) -> usize {
        self.tried.get()
    }
}
