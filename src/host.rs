//! The clock around the pure stages: solves under a deadline, checks every answer, keeps the best.
//!
//! [`decide`] solves in this process; [`worker::decide_apart`] in one of its own, which may die.

mod clock;
mod incumbent;
mod orders;
pub mod recorded;
mod repair;
mod reserve;
pub mod sequence;
mod stages;
mod standing;
pub mod stored;
pub mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use clock::Readings;

use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::check::{Violation, check};
use crate::plan::failure::{Cause, Failure};
use crate::plan::{Certificate, Checked, NOT_REACHED, Outcome, Plan, Stage, Stop};
use crate::solve::Work;
use crate::solve::bound::{LeftProof, Proof};
use crate::solve::carried::Carried;
use crate::solve::integer::Searched;
use crate::units::MicroUsd;
use clock::Clock;
use reserve::Margins;

/// How long a decision may take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Limits {
    /// Counted from the call; at its end the best checked plan is the answer, whatever the stages are doing.
    pub time: Duration,
    pub search: Search,
    /// Of the integer program.
    pub work: Work,
    /// A plan that costs so much is worth nothing: the search ends where every plan that places the same pods does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worth: Option<MicroUsd>,
}

impl Limits {
    /// As much work as the time allows.
    #[must_use]
    pub const fn of_time(time: Duration, search: Search) -> Self {
        Self { time, search, work: Work::IN_TIME, worth: None }
    }

    /// The same answer on every machine, unless it takes an hour.
    #[must_use]
    pub const fn of_work(work: Work, search: Search) -> Self {
        Self { time: Duration::from_secs(3_600), search, work, worth: None }
    }
}

/// What may look for a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Search {
    /// Karpenter's own packing alone.
    Greedy,
    /// The integer program as well.
    #[default]
    Integer,
}

/// A checked plan with what is known about it.
#[derive(Debug, Clone)]
pub struct Decision {
    pub plan: Plan<Checked>,
    pub certificate: Certificate,
    /// What proves the bound of the certificate.
    pub proof: Proof,
    /// The same of the pods that are left, by priority.
    pub left_proofs: Vec<LeftProof>,
    /// Karpenter's own packing of the same Snapshot; `None` where there was no time to finish it.
    pub greedy: Option<Outcome>,
    /// Every answer that was better than the one before, or said more about it, in the order in which they came.
    pub answers: Vec<Answer>,
    /// Rules that the checker found broken in a draft; the pods concerned were taken out of it. A bug of ours, shown.
    pub refused: Vec<Violation>,
    /// The packing that the plan came from, or else the cheapest one of the integer program, with its columns; `None` where
    /// it has found none. The columns are missing where the time was up before it came to its end.
    pub searched: Option<Arc<Searched>>,
    /// What the search learned, where it came to its end; elsewhere [`Self::searched`] has it.
    pub learned: Option<Arc<Carried>>,
    /// What the search has read of its clock; `None` where it was cut off.
    pub clock: Option<Arc<Readings>>,
}

impl Decision {
    /// What the next decision can start from; empty where the integer program found nothing. `snapshot`: that of the decision.
    #[must_use]
    pub fn carried(&self, snapshot: &Snapshot) -> Carried {
        match (&self.learned, &self.searched) {
            (Some(learned), _) => Carried::clone(learned),
            (None, Some(searched)) => Carried::of(&Problem::new(snapshot), searched),
            (None, None) => Carried::default(),
        }
    }
}

/// A checked answer on the way.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Counted from the call.
    pub at: Duration,
    pub stage: Stage,
    pub cost: MicroUsd,
    pub bound: MicroUsd,
    pub unplaced: usize,
}

/// Decides what to launch for the pending pods of a Snapshot, in this process.
///
/// The stages run on a thread of their own and hand over every improved, checked answer. A stage that overruns the
/// deadline or panics costs what it was working on: the last answer stands, and where there is none yet, the plan that
/// launches nothing.
#[must_use]
pub fn decide(snapshot: &Arc<Snapshot>, limits: Limits) -> Decision {
    decide_from(snapshot, Arc::default(), limits)
}

/// As [`decide`], from what an earlier decision carried over: where the new answer is as good for its pods, it is done.
#[must_use]
pub fn decide_from(snapshot: &Arc<Snapshot>, carried: Arc<Carried>, limits: Limits) -> Decision {
    decide_watched(snapshot, carried, limits, &mut |_| {})
}

/// As [`decide_from`]; `observe` is told of each answer.
#[must_use]
pub fn decide_watched(
    snapshot: &Arc<Snapshot>,
    carried: Arc<Carried>,
    limits: Limits,
    observe: &mut dyn FnMut(&Answer),
) -> Decision {
    let stages = {
        let snapshot = snapshot.clone();
        move |clock: &Clock, sink: &dyn Fn(Decision)| {
            stages::run(&snapshot, &carried, limits, clock, Margins::OWN, sink);
        }
    };
    search_within(limits.time, Instant::now(), snapshot, stages, observe)
}

/// Decides once more as an earlier search did that started from the same and has read this of its clock. Only what HiGHS ended
/// by a clock of its own may come out differently.
#[must_use]
pub fn repeat(snapshot: &Arc<Snapshot>, carried: Arc<Carried>, limits: Limits, readings: Readings) -> Decision {
    let limits = Limits { search: readings.search, ..limits };
    let stages = {
        let snapshot = snapshot.clone();
        move |clock: &Clock, sink: &dyn Fn(Decision)| {
            let clock = Clock::new(clock.started, clock.time, clock.cancelled.clone()).repeating(readings);
            stages::run(&snapshot, &carried, limits, &clock, Margins::OWN, sink);
        }
    };
    search_within(REPEATING, Instant::now(), snapshot, stages, &mut |_| {})
}

/// However slow the machine is that repeats a search.
const REPEATING: Duration = Duration::from_secs(3_600);

/// Runs a search on a thread of its own until it has said its last, breaks down, or the time is up. `observe` is told of
/// each answer.
fn search_within(
    time: Duration,
    started: Instant,
    snapshot: &Snapshot,
    search: impl FnOnce(&Clock, &dyn Fn(Decision)) + Send + 'static,
    observe: &mut dyn FnMut(&Answer),
) -> Decision {
    let cancelled = Arc::new(AtomicBool::new(false));
    let (sender, answers) = channel();
    let clock = Clock::new(started, time, cancelled.clone());
    let on_thread = move || search(&clock, &|decision| drop(sender.send(decision)));
    let mut came = Vec::new();
    let (last, stop, cause) = match spawn("solve", DEEP_STACK, on_thread) {
        Ok(_) => last_answer(&answers, started, time, &mut |answer| {
            observe(&answer);
            came.push(answer);
        }),
        Err(error) => (None, Some(Stop::Failed), Some(Cause::NotStarted { error: error.to_string() })),
    };
    cancelled.store(true, Ordering::Relaxed);
    let mut decision = last.unwrap_or_else(|| Decision {
        plan: Plan::nothing(snapshot, NOT_REACHED),
        certificate: Certificate::nothing(snapshot),
        proof: Proof::default(),
        left_proofs: Vec::new(),
        greedy: None,
        answers: Vec::new(),
        refused: Vec::new(),
        searched: None,
        learned: None,
        clock: None,
    });
    let certificate = &mut decision.certificate;
    match stop {
        Some(_) if certificate.failure.is_some() => certificate.stop = Stop::Failed,
        Some(stop) => {
            certificate.stop = stop;
            certificate.failure = cause.map(|cause| Failure { cause, answers: came.len() });
        }
        None => {}
    }
    decision.answers = came;
    decision
}

/// Room for searches that go deep, bytes.
const DEEP_STACK: usize = 64 << 20;
/// For threads that read and write.
const STACK: usize = 2 << 20;

fn spawn(name: &str, stack: usize, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(stack).spawn(body)
}

/// The last answer that comes in time, and why there was no other; `None` where the search came to its end.
fn last_answer(
    answers: &Receiver<Decision>,
    started: Instant,
    time: Duration,
    came: &mut dyn FnMut(Answer),
) -> (Option<Decision>, Option<Stop>, Option<Cause>) {
    let mut last: Option<Decision> = None;
    loop {
        match answers.recv_timeout(time.saturating_sub(started.elapsed())) {
            Ok(decision) => {
                let Certificate { stage, bound, stop, .. } = decision.certificate;
                let (cost, unplaced) = (decision.plan.cost(), decision.plan.unplaced.len());
                came(Answer { at: started.elapsed(), stage, cost, bound, unplaced });
                last = Some(decision);
                if stop != Stop::Unfinished {
                    return (last, None, None);
                }
            }
            Err(RecvTimeoutError::Timeout) => return (last, Some(Stop::Deadline), None),
            Err(RecvTimeoutError::Disconnected) => return (last, Some(Stop::Failed), Some(Cause::Panicked)),
        }
    }
}

/// Whether a Snapshot and a plan agree: what the tests of other modules ask.
///
/// # Errors
/// As [`check`].
pub fn accepts(snapshot: &Snapshot, plan: &Plan<Checked>) -> Result<(), Vec<Violation>> {
    check(snapshot, plan.to_draft()).map(|_| ())
}

#[cfg(test)]
pub(crate) mod tests;
