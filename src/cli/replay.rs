//! `packwright replay DIR`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::exit;
use super::export::write_models;
use crate::host::Decision;
use crate::host::recorded::{self, Recorded};
use crate::verify::verify;

const EXAMPLES: &str = "\
Examples:
  packwright replay decisions/20260105T120000.000Z-000007
  packwright replay decision --out again && packwright solve again

Exit codes, the first that applies:
  1  internal failure
  2  the directory cannot be read, or its files are not those of one decision
  5  the plan came out otherwise; or it was only re-checked, and does not hold
  0  the plan is the same, byte for byte; or it was only re-checked, and holds";

/// Decide once more what a recorded decision was about, going as far as it went, and compare the plans.
///
/// Where the search was cut off before it could say how far it went, the stored plan is re-checked instead.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The decision directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Write what came out into a decision directory, with its models.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Decides and compares.
///
/// # Errors
/// Standard output is closed, or the directory cannot be written.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let recorded = match recorded::read(&args.directory) {
        Ok(recorded) => recorded,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    };
    let own = env!("CARGO_PKG_VERSION");
    if let Some(other) = recorded.search.as_ref().map(|search| &search.version).filter(|other| *other != own) {
        eprintln!("note: decided by version {other}, repeated by {own}");
    }
    let Some(again) = recorded.again() else {
        if let Some(out) = &args.out {
            eprintln!("note: --out {}: nothing came out that could be written", out.display());
        }
        return re_check(&recorded);
    };
    if let Some(out) = &args.out {
        let Recorded { question, .. } = &recorded;
        let files = write_models(out, &question.snapshot, &again, question.limits.time)?;
        recorded::write(out, question, &again, files)?;
    }
    let mut out = std::io::stdout().lock();
    if recorded.has_plan_of(&again)? {
        writeln!(out, "the same plan: {}", summary(&again))?;
        return Ok(ExitCode::from(exit::SUCCESS));
    }
    let stored = &recorded.decision.plan;
    eprintln!(
        "error: another plan: {}; stored are {} launches and {} pods left",
        summary(&again),
        stored.launches.len(),
        stored.unplaced.len()
    );
    Ok(ExitCode::from(exit::UNPROVEN))
}

fn summary(decision: &Decision) -> String {
    let plan = &decision.plan;
    format!("{} launches, {} pods left, {}/h", plan.launches.len(), plan.unplaced.len(), plan.cost())
}

/// What can be said of a plan whose search is not known.
fn re_check(recorded: &Recorded) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let verdict = verify(&recorded.question.snapshot, &recorded.decision);
    let mut out = std::io::stdout().lock();
    writeln!(out, "how far the search went is not known: it was cut off, so its plan was re-checked instead")?;
    for fault in &verdict.faults {
        eprintln!("error: {fault}");
    }
    for level in verdict.levels.iter().filter(|level| !level.is_proven) {
        eprintln!("error: {}: what is stated is not proven", level.stated.kind);
    }
    if verdict.is_sound() {
        writeln!(out, "the plan holds: {} launches", recorded.decision.plan.launches.len())?;
    }
    Ok(ExitCode::from(if verdict.is_sound() { exit::SUCCESS } else { exit::UNPROVEN }))
}
