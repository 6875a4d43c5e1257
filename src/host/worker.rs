//! Decisions that survive their solver: it runs in a process of its own, which may crash, hang or run out of memory.
//!
//! ```text
//! this process                                          solver process: the same binary, `packwright worker`
//!   question (Snapshot, limits) ----- standard input ---->  the stages, as in `decide`
//!   Karpenter's packing, checked                             |
//!   every answer checked, every bound proven <-- standard output: improved answers, the last with why it ended
//! ```
//! What holds, whatever the solver process does (`docs/worker.md`):
//! * Karpenter's packing is made and checked here, so it stands where nothing else comes.
//! * Nothing that comes is believed: plans go through the checker, and of a bound only what [`crate::verify`] shows by
//!   arithmetic of its own, in this process, is stated.
//! * The answer is given at the deadline; the process is killed then, and always reaped. It ends by itself where this
//!   process dies.
//! * Messages are at most [`message::most_bytes`] long and at most [`MOST_WAITING`] wait, so the memory that this process
//!   needs is bounded whatever is sent.

pub mod message;
mod packed;
mod process;
mod prover;
mod relay;
pub mod serve;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::clock::Clock;
use super::{Answer, Decision, Limits, Search, decide, search_within};
use crate::observe::Snapshot;
use crate::plan::Stop;
use crate::plan::failure::{Cause, Failure};
use crate::solve::carried::Carried;
pub use packed::PackedSnapshot;
pub use process::Process;

/// Messages of a solver process that wait to be looked at; it waits with the next one.
const MOST_WAITING: usize = 2;

/// How to run a solver process.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The binary of this program: [`std::env::current_exe`].
    pub program: PathBuf,
    /// What the process may allocate, bytes; `None`: as much as the machine has.
    pub memory_limit: Option<u64>,
}

/// What happens on the way to a decision.
#[derive(Debug)]
pub enum Progress<'p> {
    /// The solver process runs; its id.
    Started(u32),
    /// A checked answer.
    Answered(&'p Answer),
}

/// Decides as [`decide`] does, with the search in a process of its own; `observe` is told of what happens on the way.
///
/// Where that process fails, one search is lost: the best answer that was checked before stands, at least Karpenter's own
/// packing, and the certificate says what happened. Searches that come to their end give the same plan in either way.
/// Karpenter's own packing alone needs no other process.
#[must_use]
pub fn decide_apart(
    snapshot: &Arc<Snapshot>,
    limits: Limits,
    worker: &Worker,
    observe: &mut dyn FnMut(Progress),
) -> Decision {
    decide_apart_from(snapshot, Arc::default(), limits, worker, observe)
}

/// As [`decide_apart`], from what an earlier decision carried over, as [`super::decide_from`] does.
#[must_use]
pub fn decide_apart_from(
    snapshot: &Arc<Snapshot>,
    carried: Arc<Carried>,
    limits: Limits,
    worker: &Worker,
    observe: &mut dyn FnMut(Progress),
) -> Decision {
    if limits.search == Search::Greedy {
        return decide(snapshot, limits);
    }
    let started = Instant::now();
    // killed and reaped where this function ends, however it ends
    let (process, link) = match Process::start(worker, &[]) {
        Ok((process, link)) => (Some(process), Ok(link)),
        Err(error) => (None, Err(Cause::NotStarted { error: format!("{}: {error}", worker.program.display()) })),
    };
    if let Some(process) = &process {
        observe(Progress::Started(process.id()));
    }
    let came = Arc::new(AtomicUsize::new(0));
    let search = {
        let (snapshot, came) = (snapshot.clone(), came.clone());
        move |clock: &Clock, sink: &dyn Fn(Decision)| {
            let question = relay::Question { snapshot: &snapshot, carried, limits };
            relay::run(&question, clock, link, &came, sink);
        }
    };
    let mut answered = |answer: &Answer| observe(Progress::Answered(answer));
    let mut decision = search_within(limits.time, started, snapshot, search, &mut answered);
    drop(process);
    if decision.certificate.stop == Stop::Deadline && came.load(Ordering::Relaxed) == 0 && decision.greedy.is_some() {
        decision.certificate.stop = Stop::Failed;
        decision.certificate.failure = Some(Failure { cause: Cause::Silent, answers: 0 });
    }
    decision
}
