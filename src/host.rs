//! The clock around the pure stages: solves under a deadline, checks every answer, keeps the best.

mod repair;

use std::time::{Duration, Instant};

use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::check::{Violation, check};
use crate::plan::{self, Certificate, Checked, Plan, Stage, Stop};
use crate::solve::{bound, greedy};
use crate::units::MicroUsd;

/// How long a decision may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Counted from the moment at which the Problem is built.
    pub time: Duration,
}

/// A checked plan with what is known about it.
#[derive(Debug)]
pub struct Decision {
    pub plan: Plan<Checked>,
    pub certificate: Certificate,
    /// What karpenter's own packing costs on the same Snapshot, micro-dollars an hour.
    pub greedy: MicroUsd,
    /// Rules that the checker found broken in a draft; the pods concerned were taken out of it. A bug of ours, shown.
    pub refused: Vec<Violation>,
}

/// Decides what to launch for the pending pods of a Snapshot.
#[must_use]
pub fn decide(snapshot: &Snapshot, limits: Limits) -> Decision {
    let started = Instant::now();
    let stop = || started.elapsed() >= limits.time;
    let problem = Problem::new(snapshot);
    let solution = greedy::solve(&problem, &stop);
    let stopped = stop();
    let draft = plan::build(&problem, &solution);
    let mut refused = Vec::new();
    let plan = repair::checked(snapshot, draft, &mut refused);
    let objective = plan.cost();
    let bound = if stopped {
        MicroUsd::ZERO
    } else {
        let unplaced: Vec<usize> = plan.unplaced.iter().map(|unplaced| unplaced.pod).collect();
        bound::lower_bound(&problem, &unplaced)
    };
    let stop = if stopped {
        Stop::Deadline
    } else if objective == bound && plan.unplaced.is_empty() {
        Stop::Optimal
    } else {
        Stop::Complete
    };
    let certificate = Certificate { objective, bound, stage: Stage::Greedy, stop };
    Decision { plan, certificate, greedy: objective, refused }
}

/// Whether a Snapshot and a plan agree: what the tests of other modules ask.
///
/// # Errors
/// As [`check`].
pub fn accepts(snapshot: &Snapshot, plan: &Plan<Checked>) -> Result<(), Vec<Violation>> {
    check(snapshot, plan.to_draft()).map(|_| ())
}

#[cfg(test)]
mod tests;
