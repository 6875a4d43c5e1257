//! Proves bounds that another process states, beside whatever else goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, channel};

use super::relay::Event;
use crate::host::stored::stored_proof;
use crate::host::{DEEP_STACK, spawn};
use crate::observe::Snapshot;
use crate::plan::Unplaced;
use crate::solve::Work;
use crate::solve::bound::{Limits, Proof};
use crate::units::MicroUsd;
use crate::verify::Verifier;

/// A bound that is stated of plans that leave certain pods.
pub struct Claim {
    pub proof: Proof,
    pub left: Vec<Unplaced>,
    /// Which of the plans it was stated of; for the caller.
    pub of_plan: usize,
}

/// One claim is looked at at a time; of those that come meanwhile only the last waits.
pub struct Prover {
    claims: Option<Sender<Claim>>,
    is_busy: bool,
    waiting: Option<Claim>,
}

impl Prover {
    /// Without a thread nothing is proven.
    pub fn start(snapshot: Arc<Snapshot>, work: Work, events: SyncSender<Event>) -> Self {
        let (claims, todo) = channel::<Claim>();
        let prove = move || {
            let mut verifier = None;
            while let Ok(Claim { proof, left, of_plan }) = todo.recv() {
                // what was sent may be anything: arithmetic that overflows on it proves nothing
                let proven = catch_unwind(AssertUnwindSafe(|| {
                    let verifier = verifier.get_or_insert_with(|| Verifier::of(&snapshot));
                    proven(&snapshot, work, verifier, proof, &left)
                }));
                if events.send(Event::Proven(proven.unwrap_or_default(), of_plan)).is_err() {
                    return;
                }
            }
        };
        let spawned = spawn("prove", DEEP_STACK, prove);
        Self { claims: spawned.is_ok().then_some(claims), is_busy: false, waiting: None }
    }

    pub fn prove(&mut self, claim: Claim) {
        let Some(claims) = &self.claims else { return };
        if self.is_busy {
            self.waiting = Some(claim);
        } else {
            self.is_busy = claims.send(claim).is_ok();
        }
    }

    /// One claim has been looked at.
    pub fn next(&mut self) {
        self.is_busy = false;
        if let Some(claim) = self.waiting.take() {
            self.prove(claim);
        }
    }

    pub fn is_busy(&self) -> bool {
        self.is_busy
    }
}

/// The proof with the bound that it shows here, at most the one that it states.
fn proven(snapshot: &Snapshot, work: Work, verifier: &Verifier, proof: Proof, left: &[Unplaced]) -> Proof {
    // no more work than was allowed
    let cells = [0, 1].map(|axis| proof.limits.cells[axis].min(work.cells[axis]));
    let limits = Limits { cells, steps: proof.limits.steps.min(work.search_steps), ..proof.limits };
    let proof = Proof { limits, ..proof };
    let shown = verifier.bound_of_cost(left, &stored_proof(snapshot, &proof), proof.bound.0);
    Proof { bound: MicroUsd(shown.min(proof.bound.0).max(0)), ..proof }
}
