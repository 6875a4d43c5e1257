//! `packwright verify DIR`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::exit;
use super::table::{Output, align, table};
use crate::plan::Stop;
use crate::verify::{Verdict, decision, verify};

const EXAMPLES: &str = "\
Examples:
  packwright export -f examples/getting-started --out decision && packwright verify decision

Exit codes, the first that applies:
  1  internal failure
  2  the directory cannot be read, or its files are not those of one decision
  5  the plan breaks a rule, or something that the decision states is not proven
  0  every statement holds";

/// Re-check a stored decision, without the solver: the plan against every rule, and its bounds by arithmetic.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The decision directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[arg(short, long, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    output: Output,
}

/// Verifies and prints.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (snapshot, decision) = match decision::read(&args.directory) {
        Ok(read) => read,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    };
    let verdict = verify(&snapshot, &decision);
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&verdict)?)?,
        Output::Table => {
            writeln!(out, "{}", listed(&verdict))?;
            let why = match decision.certificate.stop {
                Stop::EveryWay => "that every way to place its pods was tried",
                Stop::Complete => "that the search found nothing more",
                _ => "",
            };
            if !why.is_empty() {
                writeln!(out, "not re-derived: {why}")?;
            }
        }
    }
    for fault in &verdict.faults {
        eprintln!("error: {fault}");
    }
    for level in verdict.levels.iter().filter(|level| !level.is_proven) {
        let (kind, stated, proven) = (&level.stated.kind, level.stated.bound, level.proven_bound);
        let objective = level.stated.objective;
        if stated > objective {
            eprintln!("error: {kind}: a bound of {stated} is stated, but the plan itself comes to {objective}");
        } else {
            eprintln!("error: {kind}: a bound of {stated} is stated, only {proven} is proven");
        }
    }
    Ok(ExitCode::from(if verdict.is_sound() { exit::SUCCESS } else { exit::UNPROVEN }))
}

fn listed(verdict: &Verdict) -> String {
    let mut table = table(&["LEVEL", "OBJECTIVE", "BOUND", "PROVEN"]);
    for level in &verdict.levels {
        let proven = match level.is_proven {
            true => "yes".to_owned(),
            false if level.stated.bound > level.stated.objective => "no".to_owned(),
            false => format!("only {}", level.proven_bound),
        };
        let stated = &level.stated;
        table.add_row([stated.kind.to_string(), stated.objective.to_string(), stated.bound.to_string(), proven]);
    }
    align(table, &[1, 2])
}
