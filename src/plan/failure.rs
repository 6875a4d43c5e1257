//! Why a search broke down.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A search that broke down: one solve is lost, and the best answer that was checked before stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    #[serde(flatten)]
    pub cause: Cause,
    /// How many answers the search had given.
    pub answers: usize,
}

/// What broke down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    #[error("a stage of the search panicked")]
    Panicked,
    #[error("the search could not be started: {error}")]
    NotStarted { error: String },
    /// The program was replaced while this one ran.
    #[error("the solver process is version {version}")]
    OtherVersion { version: String },
    #[error("the solver process ran out of memory")]
    OutOfMemory,
    /// By somebody else: its own deadline is not a failure.
    #[error("the solver process was killed by signal {signal}")]
    Killed { signal: i32 },
    /// `said`: how its standard error begins.
    #[error("the solver process ended early with exit code {code}{}", quoted(said))]
    Ended { code: i32, said: String },
    #[error("the solver process sent something that is no answer: {error}")]
    Malformed { error: String },
    #[error("an answer of the solver process breaks a rule: {violation}")]
    Refused { violation: String },
    #[error("the solver process gave no answer within the time limit")]
    Silent,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, answers } = self;
        match (cause, answers) {
            // these say it themselves
            (Cause::NotStarted { .. } | Cause::OtherVersion { .. } | Cause::Silent, 0) => write!(f, "{cause}"),
            (_, 0) => write!(f, "{cause} (before it gave an answer)"),
            (_, 1) => write!(f, "{cause} (after 1 answer)"),
            (_, several) => write!(f, "{cause} (after {several} answers)"),
        }
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
