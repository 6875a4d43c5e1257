//! Proves bounds that another process states, beside whatever else goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel};

use super::relay::Event;
use crate::host::stored::stored_proof;
use crate::host::{DEEP_STACK, spawn};
use crate::observe::Snapshot;
use crate::plan::Unplaced;
use crate::solve::Work;
use crate::solve::bound::{LeftProof, Limits, Proof};
use crate::units::MicroUsd;
use crate::verify::Verifier;

/// What is bounded, with the proof.
pub enum Bounded {
    Cost(Proof),
    Left(LeftProof),
}

impl Bounded {
    /// The priority of the pods left.
    fn priority(&self) -> Option<i32> {
        match self {
            Self::Cost(_) => None,
            Self::Left(proof) => Some(proof.priority),
        }
    }

    /// Proves nothing.
    fn empty(priority: Option<i32>) -> Self {
        let proof = Proof::default();
        match priority {
            None => Self::Cost(proof),
            Some(priority) => Self::Left(LeftProof { priority, at_least: 0, proof }),
        }
    }
}

/// A bound that is stated of plans that leave certain pods.
pub struct Claim {
    pub bounded: Bounded,
    pub left: Vec<Unplaced>,
    /// Which of the plans it was stated of; for the caller.
    pub of_plan: usize,
}

/// One claim is looked at at a time; of those of one kind that come meanwhile only the last waits.
pub struct Prover {
    claims: Option<Sender<Claim>>,
    is_busy: bool,
    waiting: Vec<Claim>,
}

impl Prover {
    /// Without a thread nothing is proven.
    pub fn start(snapshot: Arc<Snapshot>, work: Work, cancelled: Arc<AtomicBool>, events: SyncSender<Event>) -> Self {
        let (claims, todo) = channel::<Claim>();
        let prove = move || {
            let mut verifier = None;
            while let Ok(Claim { bounded, left, of_plan }) = todo.recv() {
                let priority = bounded.priority();
                // what was sent may be anything: arithmetic that overflows on it proves nothing
                let proven = catch_unwind(AssertUnwindSafe(|| {
                    let verifier = verifier.get_or_insert_with(|| Verifier::of(&snapshot));
                    proven(&snapshot, work, verifier, bounded, &left, &|| cancelled.load(Ordering::Relaxed))
                }));
                let proven = proven.unwrap_or_else(|_| Bounded::empty(priority));
                if events.send(Event::Proven(Box::new(proven), of_plan)).is_err() {
                    return;
                }
            }
        };
        let spawned = spawn("prove", DEEP_STACK, prove);
        Self { claims: spawned.is_ok().then_some(claims), is_busy: false, waiting: Vec::new() }
    }

    pub fn prove(&mut self, claim: Claim) {
        let Some(claims) = &self.claims else { return };
        if self.is_busy {
            self.waiting.retain(|other| other.bounded.priority() != claim.bounded.priority());
            self.waiting.push(claim);
        } else {
            self.is_busy = claims.send(claim).is_ok();
        }
    }

    /// One claim has been looked at.
    pub fn next(&mut self) {
        self.is_busy = false;
        if !self.waiting.is_empty() {
            let claim = self.waiting.remove(0);
            self.prove(claim);
        }
    }

    pub fn is_busy(&self) -> bool {
        self.is_busy
    }
}

/// The proof with the bound that it shows here, at most the one that it states.
fn proven(
    snapshot: &Snapshot,
    work: Work,
    verifier: &Verifier,
    bounded: Bounded,
    left: &[Unplaced],
    stop: &dyn Fn() -> bool,
) -> Bounded {
    // no more work than was allowed
    let within = |proof: Proof| {
        let cells = [0, 1].map(|axis| proof.limits.cells[axis].min(work.cells[axis]));
        let limits = Limits { cells, steps: proof.limits.steps.min(work.search_steps), ..proof.limits };
        Proof { limits, ..proof }
    };
    match bounded {
        Bounded::Cost(proof) => {
            let proof = within(proof);
            let shown = verifier.bound_of_cost(left, (&stored_proof(snapshot, &proof), proof.bound.0), stop);
            Bounded::Cost(Proof { bound: MicroUsd(shown.min(proof.bound.0).max(0)), ..proof })
        }
        Bounded::Left(LeftProof { priority, at_least, proof }) => {
            let proof = within(proof);
            let shown = verifier.bound_of_left(left, priority, &stored_proof(snapshot, &proof)).max(0);
            // beside those that no node of any kind can hold
            let bound = MicroUsd(shown.saturating_mul(1_000_000));
            let shown = usize::try_from(verifier.hopeless(priority).saturating_add(shown)).unwrap_or(0);
            Bounded::Left(LeftProof { priority, at_least: at_least.min(shown), proof: Proof { bound, ..proof } })
        }
    }
}
