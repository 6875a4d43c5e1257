//! `packwright report -f PATH... --out FILE`

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use super::exit;
use super::plan::{self, ConsolidationArgs, QuestionArgs, Scope};
use super::searching::Searching;
use crate::consolidation::{self, Budgets, Manner, consolidate, launched};
use crate::explain::facts::Claim;
use crate::explain::{Question, claims};
use crate::host;
use crate::observe::Snapshot;
use crate::page::{Consolidated, Launched, Planned, of_plan};

const EXAMPLES: &str = "\
Examples:
  packwright report -f examples/getting-started --out plan.html
  packwright report --context production --scope all --out production.html
  packwright simulate examples/simulations/day --report day.html";

/// Draw a plan as one page for a browser: nodes as bars that pods fill, what they cost and why they are of their type, and what
/// becomes of nodes that are there.
///
/// Reads manifests or a live cluster, as plan does; touches nothing. The page needs no network and no other file. Reasons are looked
/// for as long as the time limit, the dearest nodes first.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", plan::EXIT_CODES))]
pub struct Args {
    /// Where the page is written.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What stands at its top.
    #[arg(long, default_value = "The plan")]
    title: String,
    #[command(flatten)]
    question: QuestionArgs,
    #[command(flatten)]
    consolidation: ConsolidationArgs,
}

/// Plans and draws.
///
/// # Errors
/// A template is wrong: none is.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let loaded = match args.question.load_and_say() {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let (limits, scope) = (args.question.limits(), args.consolidation.scope);
    let mut code = ExitCode::from(if loaded.errors.is_empty() { exit::SUCCESS } else { exit::INVALID_INPUT });
    let started = Instant::now();
    let decision = (scope != Scope::Consolidate).then(|| {
        let searching = Searching::start(limits);
        host::decide_watched(&loaded.snapshot, Arc::default(), limits, &mut |answer| searching.show(answer))
    });
    let of_launch = decision.as_ref().map(|decision| {
        code = plan::exit_code(&loaded, decision);
        (plan::report(&loaded, decision, started.elapsed()), launched(&loaded.snapshot, &decision.plan))
    });
    let current = of_launch.as_ref().map_or_else(|| Snapshot::clone(&loaded.snapshot), |(_, after)| after.clone());
    let policy = args.consolidation.policy();
    let found = (scope != Scope::Launch).then(|| {
        let since = Instant::now();
        let time = || limits.time.saturating_sub(since.elapsed());
        let manner = Manner::all(&policy, Budgets::Together, limits);
        consolidate(&current, manner, current.taken_at, &time)
    });
    let found = found.map(|found| (consolidation::report::Report::of(&current, &policy, &found), found));
    let (mut notes, errors) = (loaded.notes.clone(), loaded.errors.iter().map(ToString::to_string).collect::<Vec<_>>());
    if let Some((report, _)) = &of_launch {
        notes.clone_from(&report.notes);
    }
    let planned = Planned {
        title: &args.title,
        snapshot: &loaded.snapshot,
        launched: decision.as_ref().zip(of_launch.as_ref()).map(|(decision, (report, after))| Launched {
            plan: &decision.plan,
            report,
            after,
        }),
        consolidated: found.as_ref().map(|(report, consolidation)| Consolidated {
            before: &current,
            consolidation,
            report,
        }),
        notes: &notes,
        errors: &errors,
    };
    let since = Instant::now();
    let question =
        decision.as_ref().map(|decision| Question { snapshot: &loaded.snapshot, decision, limits, progress: &|_| {} });
    let numbers: HashMap<&Arc<str>, usize> = question
        .iter()
        .flat_map(|question| &question.decision.plan.launches)
        .enumerate()
        .map(|(index, launch)| (&launch.name, index))
        .collect();
    let prepared = RefCell::new(question.as_ref().map(claims));
    let why = |name: &Arc<str>| -> Option<Claim> {
        let launch = *numbers.get(name)?;
        let mut prepared = prepared.borrow_mut();
        (since.elapsed() < limits.time).then(|| prepared.as_mut().map(|of| of(launch)))?
    };
    let page = of_plan(&planned, &why)?;
    if let Err(error) = std::fs::write(&args.out, page) {
        eprintln!("error: {}: {error}", args.out.display());
        return Ok(ExitCode::from(exit::INVALID_INPUT));
    }
    println!("{}", args.out.display());
    Ok(code)
}
