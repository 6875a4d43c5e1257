//! `packwright worker`: what `--isolate` runs.

use std::io::{self, BufReader};
use std::process::ExitCode;

use super::exit;
use crate::consolidation::apart;
use crate::host::worker::serve::{limit_memory, serve};

/// The solver process of `--isolate`: reads a question from standard input, and writes answers to standard output.
///
/// It speaks a protocol of its own, with the same version of this program.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What it may allocate, bytes.
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<u64>,
    /// The question is which nodes may go.
    #[arg(long)]
    consolidate: bool,
}

/// Answers one question.
///
/// # Errors
/// There is no question, or the search broke down.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if let Some(bytes) = args.memory_limit {
        limit_memory(bytes)?;
    }
    let (from, to) = (BufReader::new(io::stdin()), &mut io::stdout().lock());
    if args.consolidate {
        apart::serve(from, to)?;
    } else {
        serve(from, to)?;
    }
    Ok(ExitCode::from(exit::SUCCESS))
}
