//! What the two processes say to each other: JSON, one message a line.
//!
//! To the solver process: [`Question`]. From it: [`Hello`], then one [`Told`] after the other, the last with why the search
//! ended. A new field of a [`Decision`] that a solver process finds out goes into [`Told`].

use std::io::{self, BufRead, Read as _, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::packed::PackedSnapshot;
use crate::host::{Decision, Limits, Readings};
use crate::observe::Snapshot;
use crate::plan::{Assignment, Draft, Launch, Plan, Stage, Stop, Unplaced};
use crate::solve::bound::{LeftProof, Proof};
use crate::solve::carried::Carried;

/// No message is longer. An answer takes about 40 bytes a pod and 2.3 kB a launch: 100,000 pods on 40,000 nodes are 96 MB.
pub const MOST_BYTES: u64 = 256 << 20;
/// Of one pod: a launch holds at least one, and names 60 types in 6 zones, of 110 bytes each, unless `minValues` asks for more.
const MOST_BYTES_A_POD: u64 = 64 << 10;
/// Of everything else.
const MOST_BYTES_BESIDES: u64 = 4 << 20;

/// The first that a solver process says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Of the package: both ends must agree on everything that follows.
    pub version: String,
}

/// What is to be decided.
#[derive(Debug, Serialize, Deserialize)]
pub struct Question {
    /// The time that is left.
    pub limits: Limits,
    pub snapshot: PackedSnapshot,
    /// What the search starts from.
    pub carried: Carried,
}

/// An answer on its way: what is new in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// `None`: that of the answer before.
    pub plan: Option<ToldPlan>,
    /// `None`: that of the answer before, where the plan leaves the same pods.
    pub proof: Option<Proof>,
    /// Those that are new.
    pub left_proofs: Vec<LeftProof>,
    /// [`Stop::Unfinished`] in all but the last.
    pub stop: Stop,
    /// Of the last: what the search learned, and what it has read of its clock.
    pub learned: Option<Carried>,
    pub clock: Option<Readings>,
}

/// A plan that nobody here has checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToldPlan {
    pub stage: Stage,
    pub packed_after: usize,
    pub launches: Vec<Launch>,
    pub assignments: Vec<Assignment>,
    pub unplaced: Vec<Unplaced>,
}

impl Question {
    #[must_use]
    pub fn new(limits: Limits, snapshot: &Snapshot, carried: &Carried) -> Self {
        Self { limits, snapshot: PackedSnapshot::of(snapshot), carried: carried.clone() }
    }
}

impl Hello {
    #[must_use]
    pub fn own() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

impl Told {
    /// What a decision says beyond the one before.
    #[must_use]
    pub fn of(decision: &Decision, before: Option<&Decision>) -> Self {
        let Decision { plan, certificate, proof, left_proofs, .. } = decision;
        let Plan { launches, assignments, unplaced, .. } = plan;
        let is_known = before.is_some_and(|Decision { plan: before, .. }| {
            (&before.launches, &before.assignments, &before.unplaced) == (launches, assignments, unplaced)
        });
        let told = || ToldPlan {
            stage: certificate.stage,
            packed_after: certificate.packed_after,
            launches: launches.clone(),
            assignments: assignments.clone(),
            unplaced: unplaced.clone(),
        };
        let is_proven = before.is_some_and(|before| before.proof == *proof);
        let is_new = |proof: &&LeftProof| before.is_none_or(|before| !before.left_proofs.contains(proof));
        let left_proofs = left_proofs.iter().filter(is_new).cloned().collect();
        let (plan, proof) = ((!is_known).then(told), (!is_proven).then(|| proof.clone()));
        let clock = decision.clock.as_deref().cloned();
        Self { plan, proof, left_proofs, stop: certificate.stop, learned: None, clock }
    }
}

impl ToldPlan {
    #[must_use]
    pub fn into_draft(self) -> Plan<Draft> {
        Plan::draft(self.launches, self.assignments, self.unplaced)
    }
}

/// No answer about a Snapshot is as long as this, bytes.
#[must_use]
pub fn most_bytes(snapshot: &Snapshot) -> u64 {
    (snapshot.pods.len() as u64).saturating_mul(MOST_BYTES_A_POD).saturating_add(MOST_BYTES_BESIDES).min(MOST_BYTES)
}

/// Writes one message.
///
/// # Errors
/// The other end is gone.
pub fn write(to: &mut dyn Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one message of less than so many bytes; `None` at the end.
///
/// # Errors
/// It is too long, or not what was expected.
pub fn read<M: DeserializeOwned>(from: &mut dyn BufRead, most_bytes: u64) -> io::Result<Option<M>> {
    let fault = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let mut line = Vec::new();
    from.take(most_bytes).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => serde_json::from_slice(&line).map(Some).map_err(|error| fault(error.to_string())),
        Some(_) if line.len() as u64 + 1 == most_bytes => {
            Err(fault(format!("a message of more than {most_bytes} bytes")))
        }
        // the other side has ended, perhaps in the middle of it
        Some(_) | None => Ok(None),
    }
}
