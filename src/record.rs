//! A decision as it is stored (`docs/decision-directory.md`): indices become names, integers of any size strings.

use std::collections::BTreeMap;

use crate::host::stored::stored_proof;
use crate::host::{Decision, Limits};
use crate::observe::Snapshot;
use crate::solve::{Pace, Work};
use crate::verify::decision::{self, Kind, StoredCertificate, StoredPace, StoredPlan, StoredWork};
use crate::verify::objectives;

/// `snapshot_sha256`: of the Snapshot as it is stored beside it.
#[must_use]
pub fn decision(
    snapshot: &Snapshot,
    decided: &Decision,
    snapshot_sha256: String,
    limits: Limits,
) -> decision::Decision {
    let Decision { plan, certificate, .. } = decided;
    let mut levels = objectives(snapshot, plan);
    for level in levels.iter_mut().filter(|level| level.kind == Kind::Cost) {
        level.bound = certificate.bound.0;
    }
    decision::Decision {
        format: decision::FORMAT,
        snapshot_sha256,
        files_sha256: BTreeMap::new(),
        time_limit_ms: u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX),
        work: work(limits.work),
        plan: StoredPlan {
            launches: plan.launches.clone(),
            assignments: plan.assignments.clone(),
            unplaced: plan.unplaced.clone(),
        },
        certificate: StoredCertificate {
            stage: certificate.stage,
            stop: certificate.stop,
            failure: certificate.failure.clone(),
            levels,
            proof: stored_proof(snapshot, &decided.proof),
        },
    }
}

fn work(work: Work) -> StoredWork {
    let Work { pace, rounds, dive_rounds, cells, search_steps, exact_steps } = work;
    let pace = match pace {
        Pace::Time => StoredPace::Time,
        Pace::Work => StoredPace::Work,
    };
    StoredWork { pace, rounds, dive_rounds, cells, search_steps, exact_steps }
}

#[cfg(test)]
mod tests;
