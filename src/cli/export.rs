//! `packwright export -f PATH... --out DIR`

mod models;

use std::path::PathBuf;
use std::process::ExitCode;

pub(super) use models::{utf8, write as write_models};

use super::plan::{EXIT_CODES, QuestionArgs, SearchArgs, exit_code};
use crate::cli::exit;
use crate::host::recorded::{self, Question};

const EXAMPLES: &str = "\
Examples:
  packwright export -f examples/getting-started --out decision && packwright verify decision
  packwright export -f examples/getting-started --out decision && packwright solve decision";

/// Plan, and write the decision into a directory: the Snapshot, the plan, what proves how good it is, and its models.
///
/// The models are solved once more for what HiGHS finds in them, within the time limit or ten seconds, whichever is less.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Args {
    #[command(flatten)]
    question: QuestionArgs,
    #[command(flatten)]
    search: SearchArgs,
    /// Where to: the directory is made, and files of an earlier decision in it are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Plans and writes.
///
/// # Errors
/// The directory cannot be written.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let loaded = match args.question.load_and_say() {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    if args.out.exists() && !args.out.is_dir() {
        eprintln!("error: --out {}: expected a directory, found a file", args.out.display());
        return Ok(ExitCode::from(exit::INVALID_INPUT));
    }
    let limits = args.question.limits();
    let (decided, carried) = match args.search.decide(&loaded, limits)? {
        Ok(decided) => decided,
        Err(code) => return Ok(code),
    };
    let files = models::write(&args.out, &loaded.snapshot, &decided, limits.time)?;
    let question = Question { snapshot: loaded.snapshot.clone(), carried, limits };
    recorded::write(&args.out, &question, &decided, files)?;
    println!(
        "{}: {} launches, {} pods left",
        args.out.display(),
        decided.plan.launches.len(),
        decided.plan.unplaced.len()
    );
    Ok(exit_code(&loaded, &decided))
}
