//! The best bounds that are known of instances, with what proves them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::stored::stored_proof;
use crate::host::{self, Limits, Search};
use crate::observe::Snapshot;
use crate::plan::{Draft, Plan};
use crate::solve::Work;
use crate::verify::decision::StoredProof;
use crate::verify::proven_cost;

/// A file of `benchmarks/bounds/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// No plan that places every pod that something can hold costs less, micro-dollars an hour.
    pub bound_micro_usd_hour: i64,
    /// Version of the program that found it.
    pub version: String,
    pub proof: StoredProof,
}

impl Known {
    #[must_use]
    pub fn usd_hour(&self) -> f64 {
        crate::units::MicroUsd(self.bound_micro_usd_hour).as_usd()
    }

    /// What the proof shows of a Snapshot, by the arithmetic of `packwright verify`.
    #[must_use]
    pub fn proven(&self, snapshot: &Snapshot) -> i64 {
        let nothing_left: Plan<Draft> = Plan::draft(Vec::new(), Vec::new(), Vec::new());
        proven_cost(snapshot, &nothing_left, &self.proof, self.bound_micro_usd_hour)
    }
}

fn path(folder: &Path, instance: &str) -> PathBuf {
    folder.join(format!("{instance}.json"))
}

/// `None` where nothing is known of the instance.
///
/// # Errors
/// The file is there and cannot be read.
pub fn read(folder: &Path, instance: &str) -> Result<Option<Known>, String> {
    let path = path(folder, instance);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", path.display()))
}

/// Searches an instance for so long, with finer tables and longer searches than a plan can wait for; `None` where the plan
/// leaves a pod that something could hold, or nothing is proven.
#[must_use]
pub fn search(snapshot: &Arc<Snapshot>, time: Duration) -> Option<Known> {
    let limits = Limits { work: Work::OFFLINE, ..Limits::of_time(time, Search::Integer) };
    let decision = host::decide(snapshot, limits);
    let known = Known {
        bound_micro_usd_hour: decision.certificate.bound.0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        proof: stored_proof(snapshot, &decision.proof),
    };
    (known.bound_micro_usd_hour > 0 && known.proven(snapshot) >= known.bound_micro_usd_hour).then_some(known)
}

/// # Errors
/// The file cannot be written.
pub fn write(folder: &Path, instance: &str, known: &Known) -> Result<(), String> {
    let path = path(folder, instance);
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| fault(&error))?;
    let text = serde_json::to_string(known).map_err(|error| fault(&error))?;
    fs::write(&path, text + "\n").map_err(|error| fault(&error))
}
