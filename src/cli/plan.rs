//! `packwright plan -f PATH...`

pub(super) mod commands;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, io};

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

use super::catalog::{CatalogArgs, Region};
use super::exit;
use super::input::{Input, InputArgs};
use super::searching::Searching;
use super::settings::{SettingsArgs, count};
use crate::catalog::Catalog;
use crate::consolidation::{EvictionLimit, Policy};
use crate::host::worker::{Progress, Worker, decide_apart_from};
use crate::host::{self, Decision, Limits, Search};
use crate::observe::{self, LoadOptions, LoadOutcome, region_of};
use crate::plan::claims::node_claims;
use crate::plan::report::Report;
use crate::solve::Work;
use crate::solve::carried::Carried;
use crate::units::Quantity;
use crate::what_if;

const EXAMPLES: &str = "\
Examples:
  packwright plan -f examples/getting-started
  packwright plan --context production -f more-pods.yaml
  packwright snapshot --context production --out saved && packwright plan -f saved
  packwright plan -f pods.yaml -f nodepools/ --spot-prices history.json -o json | jq .summary
  packwright plan -f examples/getting-started --memory-limit 2Gi
  packwright plan --context production --scope consolidate";

/// Of every command that plans.
pub(super) const EXIT_CODES: &str = "\
Exit codes, the first that applies; a search that breaks down is none of them, the plan says so:
  1  internal failure
  2  invalid input or a refused option, also where a malformed object was skipped and the rest was planned
  3  some pods cannot be placed
  0  every pod was placed";

/// Plan the nodes of a cluster: what would be launched for pending pods, what it costs, and why the rest cannot be placed; and
/// which nodes would go, or be replaced by cheaper ones.
///
/// Reads manifests or a live cluster; touches nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Args {
    #[command(flatten)]
    pub(super) question: QuestionArgs,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    consolidation: ConsolidationArgs,
    /// table joins equal nodes, wide lists every claim with its pods (of commands: every pod that moves), claims prints NodeClaim
    /// objects.
    #[arg(short, long, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    output: Output,
}

/// What is to be planned, and how.
#[derive(Debug, clap::Args)]
pub(super) struct QuestionArgs {
    #[command(flatten)]
    input: InputArgs,
    /// How to pack: greedy is karpenter's own way; ilp is the integer program, which starts from it; auto is ilp.
    #[arg(long, value_enum, default_value_t = Solver::Auto)]
    solver: Solver,
    /// The answer is given within this time, counted from the end of reading [default: 2s; with --work-limits 10m].
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    time_limit: Option<Duration>,
    /// Search by work instead of time, so that equal input gives the same plan on every machine: usual, or any of
    /// rounds=N,dive-rounds=N,search-steps=N,exact-steps=N,ways=N; --time-limit only ends what would take longer.
    #[arg(long, value_parser = work, value_name = "LIMITS")]
    work_limits: Option<Work>,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl QuestionArgs {
    pub(super) fn limits(&self) -> Limits {
        let search = match self.solver {
            Solver::Greedy => Search::Greedy,
            Solver::Auto | Solver::Ilp => Search::Integer,
        };
        let (work, time) = match self.work_limits {
            Some(work) => (work, Duration::from_secs(600)),
            None => (Work::IN_TIME, Duration::from_secs(2)),
        };
        Limits { time: self.time_limit.unwrap_or(time), search, work, worth: None }
    }

    /// As [`QuestionArgs::load`]; what is wrong with parts of the input has been printed too.
    pub(super) fn load_and_say(&self) -> Result<LoadOutcome, ExitCode> {
        let loaded = self.load()?;
        for error in &loaded.errors {
            eprintln!("error: {error}");
        }
        Ok(loaded)
    }

    /// Reads the input; what cannot be gone on with has been printed.
    pub(super) fn load(&self) -> Result<LoadOutcome, ExitCode> {
        let (settings, gates) = match self.settings.settings() {
            Ok(settings) => settings,
            Err(sentence) => return Err(refuse(&sentence)),
        };
        let input = self.input.read()?;
        let (errors, notes) = (input.errors(), input.notes());
        let Input { objects, .. } = input;
        let region = self.catalog.region(region_of(&objects).as_deref());
        let (catalog, assumptions) = catalog(&self.catalog, &region).map_err(|sentence| refuse(&sentence))?;
        let region = Arc::from(region.name);
        let options = LoadOptions { settings, region, taken_at: Timestamp::now(), catalog, assumptions, gates };
        let mut loaded = observe::of_read(objects, errors, options);
        loaded.notes.splice(0..0, notes);
        Ok(loaded)
    }
}

/// What is planned besides launches, and when it is worth it.
#[derive(Debug, clap::Args)]
pub(super) struct ConsolidationArgs {
    /// launch plans nodes for pending pods; consolidate plans which nodes go, or are replaced, without the pending pods; all plans
    /// both, one after the other.
    #[arg(long, value_enum, default_value_t = Scope::Launch)]
    pub(super) scope: Scope,
    /// When a saving is worth it: frugal asks for 2 % of the price of the nodes that go, and for evictions and boots to be paid back
    /// within a day; calm asks for three times as much, leaves nodes alone in their first hour, and removes or replaces one by
    /// one; any takes every saving, and moves pods for nothing.
    #[arg(long, value_enum, default_value_t = When::Frugal)]
    pub(super) consolidation: When,
    /// The most pods that commands may move, of drifted nodes and of those that cost too much: what saves most for them is planned. A
    /// single node may have more.
    #[arg(long, value_parser = count, value_name = "N")]
    pub(super) max_evictions: Option<usize>,
}

impl ConsolidationArgs {
    pub(super) fn policy(&self) -> Policy {
        let evictions_left = self.max_evictions.map(|most| EvictionLimit { most, evicted: 0 });
        Policy { evictions_left, ..self.consolidation.policy() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scope {
    Launch,
    Consolidate,
    All,
}

impl Scope {
    pub(super) fn planned(self) -> what_if::Scope {
        match self {
            Self::Launch => what_if::Scope::Launch,
            Self::Consolidate => what_if::Scope::Consolidate,
            Self::All => what_if::Scope::All,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Frugal,
    Calm,
    Any,
}

impl When {
    pub(super) fn policy(self) -> Policy {
        match self {
            Self::Frugal => Policy::default(),
            Self::Calm => Policy::calm(),
            Self::Any => Policy::anything(),
        }
    }
}

/// Where the search runs, and what it starts from.
#[derive(Debug, clap::Args)]
pub(super) struct SearchArgs {
    /// Start from what an earlier decision learned, if the file is there, and write what this one learns: one more pod then
    /// takes a moment, as the search ends where the answer is as good for its pods as the earlier one was.
    #[arg(long, value_name = "FILE")]
    carry: Option<PathBuf>,
    /// Run the integer program in a process of its own: if that dies, hangs or runs out of memory, karpenter's packing and
    /// what was found before stand.
    #[arg(long)]
    isolate: bool,
    /// What that process may allocate, such as 2Gi; implies --isolate.
    #[arg(long, value_parser = bytes, value_name = "QUANTITY")]
    memory_limit: Option<u64>,
}

impl SearchArgs {
    /// Decides, in this process or apart from it, from what the file of `--carry` has if there is one, which is written anew;
    /// with what it started from. What cannot be gone on with has been printed.
    ///
    /// # Errors
    /// The system does not say which program this is.
    pub(super) fn decide(
        &self,
        loaded: &LoadOutcome,
        limits: Limits,
    ) -> io::Result<Result<(Decision, Arc<Carried>), ExitCode>> {
        let carried = match self.carry.as_deref().map_or_else(|| Ok(Carried::default()), read_carried) {
            Ok(carried) => Arc::new(carried),
            Err(code) => return Ok(Err(code)),
        };
        let searching = Searching::start(limits);
        let decision = if self.isolate || self.memory_limit.is_some() {
            let worker = Worker { program: env::current_exe()?, memory_limit: self.memory_limit };
            let mut show = |progress: Progress| {
                if let Progress::Answered(answer) = progress {
                    searching.show(answer);
                }
            };
            decide_apart_from(&loaded.snapshot, carried.clone(), limits, &worker, &mut show)
        } else {
            host::decide_watched(&loaded.snapshot, carried.clone(), limits, &mut |answer| searching.show(answer))
        };
        drop(searching);
        let left = self.carry.as_ref().map(|path| (path, decision.carried(&loaded.snapshot)));
        if let Some((path, left)) = left.filter(|(_, left)| *left != Carried::default()) {
            let written = serde_json::to_string(&left).map_err(io::Error::from);
            if let Err(error) = written.and_then(|text| std::fs::write(path, text)) {
                return Ok(Err(refuse(&format!("{}: {error}", path.display()))));
            }
        }
        Ok(Ok((decision, carried)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Solver {
    Auto,
    Greedy,
    Ilp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Wide,
    Json,
    Yaml,
    Claims,
}

/// Plans and prints.
///
/// # Errors
/// Standard output is closed, or the plan cannot be written in the chosen format.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let loaded = match args.question.load() {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let started = Instant::now();
    if args.consolidation.scope != Scope::Launch {
        return commands::run(args, loaded);
    }
    let (decision, _) = match args.search.decide(&loaded, args.question.limits())? {
        Ok(decided) => decided,
        Err(code) => return Ok(code),
    };
    let report = report(&loaded, &decision, started.elapsed());
    print(args, &loaded, &decision, &report)?;
    Ok(exit_code(&loaded, &decision))
}

pub(super) fn exit_code(loaded: &LoadOutcome, decision: &Decision) -> ExitCode {
    ExitCode::from(if !loaded.errors.is_empty() {
        exit::INVALID_INPUT
    } else if decision.plan.unplaced.is_empty() {
        exit::SUCCESS
    } else {
        exit::UNPLACED
    })
}

pub(super) fn catalog(args: &CatalogArgs, region: &Region) -> Result<(Catalog, Vec<String>), String> {
    Ok(match args.replacement()? {
        Some(catalog) => (catalog, Vec::new()),
        None => args.market(region).map(|(market, notes)| (Catalog::Ec2(Box::new(market)), notes))?,
    })
}

/// Empty where the file is not there.
fn read_carried(path: &Path) -> Result<Carried, ExitCode> {
    if !path.exists() {
        return Ok(Carried::default());
    }
    let fault = |error: &dyn std::fmt::Display| refuse(&format!("--carry {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
    serde_json::from_str(&text).map_err(|error| fault(&error))
}

fn refuse(sentence: &str) -> ExitCode {
    eprintln!("error: {sentence}");
    ExitCode::from(exit::INVALID_INPUT)
}

/// The plan in words, with what is to be said of the input.
pub(super) fn report(loaded: &LoadOutcome, decision: &Decision, elapsed: Duration) -> Report {
    let mut report = Report::of(&loaded.snapshot, &decision.plan, &decision.certificate, decision.greedy.as_ref());
    report.summary.elapsed_ms = (elapsed.as_secs_f64() * 1e4).round() / 10.0;
    report.notes.splice(0..0, loaded.notes.iter().cloned());
    if loaded.snapshot.pending().next().is_none() {
        report.notes.push("no pending pods in the input".to_owned());
    }
    for violation in &decision.refused {
        report.notes.push(format!("the plan's own check took pods out of it: {violation}"));
    }
    let skipped: Vec<String> = loaded.skipped.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if !skipped.is_empty() {
        report.notes.push(format!("kinds that are not read were skipped: {}", skipped.join(", ")));
    }
    report.errors = loaded.errors.iter().map(ToString::to_string).collect();
    report
}

fn print(
    args: &Args,
    loaded: &LoadOutcome,
    decision: &Decision,
    report: &Report,
) -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => {
            writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        }
        Output::Yaml => write!(out, "{}", serde_saphyr::to_string(report)?)?,
        Output::Claims => {
            for claim in node_claims(&loaded.snapshot, &decision.plan) {
                write!(out, "---\n{}", serde_saphyr::to_string(&claim)?)?;
            }
            // the claims alone are what kubectl can take
            eprint!("{}", table::outcome(report));
        }
        Output::Table => write!(out, "{}", table::summary(report))?,
        Output::Wide => write!(out, "{}", table::wide(report))?,
    }
    out.flush()?;
    // what is in the JSON and YAML stays there; on a terminal it goes beside the table
    if !matches!(args.output, Output::Json | Output::Yaml) {
        say(&report.assumptions, &report.notes);
    }
    for error in &report.errors {
        eprintln!("error: {error}");
    }
    Ok(())
}

/// Beside the output.
pub(super) fn say(assumptions: &[String], notes: &[String]) {
    for assumption in assumptions {
        eprintln!("assumed: {assumption}");
    }
    for note in notes {
        eprintln!("note: {note}");
    }
}

/// `usual`, or work limits by name.
fn work(text: &str) -> Result<Work, String> {
    let mut work = Work::LIMITED;
    for limit in text.split(',').filter(|_| text != "usual") {
        let (name, number) = limit.split_once('=').unwrap_or((limit, ""));
        let field = match name {
            "rounds" => &mut work.rounds,
            "dive-rounds" => &mut work.dive_rounds,
            "search-steps" => &mut work.search_steps,
            "exact-steps" => &mut work.exact_steps,
            "ways" => &mut work.ways,
            _ => {
                return Err(format!(
                    "{name:?} is no work limit: expected usual, or NAME=N of rounds, dive-rounds, search-steps, exact-steps and ways"
                ));
            }
        };
        *field =
            number.parse().map_err(|_| format!("{name}: expected a number such as {name}=100, found {number:?}"))?;
    }
    Ok(work)
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let quantity: Quantity = text.parse().map_err(|_| "expected a quantity such as 512Mi or 2Gi".to_owned())?;
    u64::try_from(quantity.value()).ok().filter(|bytes| *bytes > 0).ok_or("expected more than nothing".to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| "expected a duration such as 500ms, 2s or 1m".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "expected a duration that is not negative".to_owned())
}
