//! `packwright simulate`

use std::fmt::Write as _;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use clap::Args as _;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::catalog::CatalogArgs;
use super::consolidation::Consolidation;
use super::exit;
use super::settings::SettingsArgs;
use super::table::{Output, align, table};
use crate::cloud::Provider;
use crate::controller::ControllerSettings;
use crate::host::{Limits, Search};
use crate::observe::{Objects, market, notes_of_pools};
use crate::page::of_simulation;
use crate::sim::{Alerts, Fired, Options, Planted, Report, Scenario, plot, shrink, simulate};
use crate::solve::Work;
use crate::units::MicroUsd;

const HELP: &str = "\
Examples:
  packwright simulate examples/simulations/inflate
  packwright simulate examples/simulations/day --plot day.svg --report day.html
  packwright simulate examples/simulations/faults --seed 7 --for 30m -o json
  packwright simulate examples/simulations/faults --seeds 1000

Exit codes, the first that applies:
  1  internal failure
  2  invalid input or a refused option
  4  something that must hold does not
  0  otherwise";

/// Run the controller on a simulated cluster: API server, kube-scheduler, kubelets and cloud, with simulated time.
///
/// The same state machine that `packwright controller` runs. What must hold whatever goes wrong is looked at as things change; where
/// it does not, fewer faults and a shorter time are looked for that still show it.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A folder of manifests, one of which is of the kind Simulation.
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// Where chance begins: the same seed, the same simulation.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// So many seeds, from --seed on, until something does not hold.
    #[arg(long, value_name = "N", conflicts_with_all = ["plot", "report", "output"])]
    seeds: Option<u64>,
    /// How long is simulated [default: as the scenario says].
    #[arg(long = "for", value_parser = super::plan::duration, value_name = "DURATION")]
    time: Option<Duration>,
    /// Decide as Karpenter does: with its packing, and with its sequence of commands where nodes that are used go.
    #[arg(long)]
    greedy: bool,
    /// Neither a bound, nor what deciding as Karpenter does would have cost.
    #[arg(long)]
    no_comparison: bool,
    /// Write nodes, $/h and waiting pods over time as an SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the same and more as one page for a browser.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Say when the alert PackwrightManyNodes of the chart would have fired, with this threshold.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    alert_nodes: Option<usize>,
    /// Say when the alert PackwrightExpensive of the chart would have fired, with this threshold in dollars.
    #[arg(long, value_name = "USD", value_parser = MicroUsd::parse_usd, conflicts_with = "seeds")]
    alert_usd_per_hour: Option<MicroUsd>,
    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Give the controller a fault that must be found.
    #[arg(long, hide = true, value_enum)]
    plant: Option<Planted>,
    /// When nodes that are used go, as for `packwright controller`.
    #[arg(long, value_enum, default_value_t = Consolidation::Frugal, value_name = "POLICY")]
    consolidation: Consolidation,
    /// Print what the controller says to standard error, with the simulated time.
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Decisions of a simulation are cut short by work, not by time.
const WORK: Work =
    Work { rounds: 30, dive_rounds: 2, search_steps: 200, exact_steps: 20_000, ways: 100, ..Work::LIMITED };

/// Simulates.
///
/// # Errors
/// The plot cannot be drawn.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let refuse = |sentence: &str| {
        eprintln!("error: {sentence}");
        Ok(ExitCode::from(exit::INVALID_INPUT))
    };
    let mut scenario = match Scenario::read(&args.scenario) {
        Ok(scenario) => scenario,
        Err(errors) => {
            for error in &errors {
                eprintln!("error: {error}");
            }
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    };
    if let Some(time) = args.time {
        scenario.spec.time = time;
    }
    let decision = match args.settings.settings() {
        Ok((settings, _)) => settings,
        Err(sentence) => return refuse(&sentence),
    };
    let region = args.catalog.region(None);
    let catalog = match super::plan::catalog(&args.catalog, &region) {
        Ok((catalog, _)) => catalog,
        Err(sentence) => return refuse(&sentence),
    };
    let objects = Objects::collect(scenario.manifests.iter().map(|(_, object)| object.clone()));
    for note in notes_of_pools(&market(&objects, &catalog, &decision).pools) {
        eprintln!("note: {note}");
    }
    let settings = ControllerSettings {
        decision,
        provider: Provider::Ec2,
        region: Arc::from(region.name),
        consolidation: args.consolidation.policy(),
        disruption_looks: None, // no events and metrics are made of it
        ..ControllerSettings::default()
    };
    let search = if args.greedy { Search::Greedy } else { Search::Integer };
    let options = Options {
        settings,
        catalog,
        limits: Limits::of_work(WORK, search),
        seed: args.seed,
        planted: args.plant,
        with_bound: !args.no_comparison && args.seeds.is_none(),
        log: args.log,
    };
    match args.seeds {
        Some(seeds) => Ok(many(&scenario, &options, seeds)),
        None => one(args, &scenario, &options),
    }
}

fn one(args: &Args, scenario: &Scenario, options: &Options) -> Result<ExitCode, Box<dyn std::error::Error>> {
    for path in args.plot.iter().chain(&args.report) {
        if path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
            eprintln!("error: {}: its folder does not exist", path.display());
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    }
    // on a core of its own: it takes about as long
    let greedy = (!args.no_comparison && !args.greedy).then(|| {
        let limits = Limits { search: Search::Greedy, ..options.limits };
        let options = Options { limits, with_bound: false, log: false, ..options.clone() };
        let scenario = scenario.clone();
        std::thread::spawn(move || simulate(&scenario, &options, &mut |_| {}))
    });
    let report = with_progress("simulating", |progress| simulate(scenario, options, progress));
    if report.broken.is_some() {
        return Ok(failed(scenario, options, report));
    }
    let greedy = greedy.map(|beside| with_progress("the same as Karpenter", |_| beside.join()));
    let greedy = greedy.transpose().map_err(|_| "the simulation as Karpenter broke down")?;
    if let Some(path) = &args.plot {
        let mut lines = vec![("packwright", &report)];
        lines.extend(greedy.as_ref().map(|greedy| ("as Karpenter", greedy)));
        std::fs::write(path, plot(&lines)?)?;
    }
    let alerts = Alerts { nodes: args.alert_nodes, usd_hour: args.alert_usd_per_hour };
    let fired = (alerts.nodes.is_some() || alerts.usd_hour.is_some()).then(|| alerts.fired(&report.samples));
    let name = args.scenario.file_name().unwrap_or_default().display().to_string();
    if let Some(path) = &args.report {
        let alerts = fired.as_deref().map(|fired| (&alerts, fired));
        std::fs::write(path, of_simulation(&name, &report, greedy.as_ref(), alerts)?)?;
    }
    match args.output {
        Output::Json => {
            let (alerts, greedy) = (fired.as_deref(), greedy.as_ref());
            let printed = Printed { scenario: &name, report: &report, alerts, greedy };
            println!("{}", serde_json::to_string_pretty(&printed)?);
        }
        Output::Table => {
            println!("{}", shown(&report, greedy.as_ref()));
            if let Some(fired) = &fired {
                let said = fired.iter().map(|of| of.said(report.start)).collect::<Vec<_>>().join("\n");
                println!("{}", if said.is_empty() { "no alert fires" } else { &said });
            }
        }
    }
    Ok(ExitCode::from(exit::SUCCESS))
}

#[derive(Serialize)]
struct Printed<'r> {
    /// Its folder.
    scenario: &'r str,
    #[serde(flatten)]
    report: &'r Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<&'r [Fired]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    greedy: Option<&'r Report>,
}

/// On every core one seed after another, until something does not hold.
fn many(scenario: &Scenario, options: &Options, seeds: u64) -> ExitCode {
    let bar = bar("seeds", seeds);
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let reports = || {
        let mut reports = Vec::new();
        while !is_over.load(Relaxed) {
            let number = next.fetch_add(1, Relaxed);
            if number >= seeds {
                break;
            }
            let options = Options { seed: options.seed.saturating_add(number), ..options.clone() };
            let mut report = simulate(scenario, &options, &mut |_| {});
            report.samples = Vec::new();
            is_over.fetch_or(report.broken.is_some(), Relaxed);
            bar.inc(1);
            reports.push(report);
        }
        reports
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(reports)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.flatten().collect()
    });
    bar.finish_and_clear();
    let sum = |of: &dyn Fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (launches, ends) = (sum(&|report| report.launches), sum(&|report| report.ends));
    let (restarts, failures) = (sum(&|report| report.restarts), sum(&|report| report.failures));
    let broken = reports.into_iter().filter(|report| report.broken.is_some()).min_by_key(|report| report.seed);
    if let Some(report) = broken {
        return failed(scenario, &Options { seed: report.seed, ..options.clone() }, report);
    }
    println!(
        "{seeds} seeds: {launches} launches, {ends} ends, {restarts} restarts, {failures} failures, nothing that must hold was \
         broken"
    );
    ExitCode::from(exit::SUCCESS)
}

/// Options with a value that are not what is repeated, but how often and how it is shown.
const NOT_AGAIN: [&str; 7] = ["--seed", "--seeds", "--for", "--plot", "--report", "--output", "-o"];

/// The command that was typed, for one seed, with the variables that its options are read from.
fn again(typed: impl Iterator<Item = String>, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let command = Args::augment_args(clap::Command::new("simulate"));
    let of_options = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    let names = of_options.chain(["AWS_DEFAULT_REGION"]);
    let set = names.filter_map(|name| Some(format!("{name}={}", quoted(&variable(name)?))));
    let mut words: Vec<String> = set.chain(["packwright".to_owned()]).collect();
    let mut is_value = false;
    for word in typed {
        let name = word.split('=').next().unwrap_or_default();
        let is_left_out = NOT_AGAIN.contains(&name) || (word.starts_with("-o") && !word.starts_with("--"));
        if !is_value && !is_left_out {
            words.push(quoted(&word));
        }
        is_value = !is_value && NOT_AGAIN.contains(&word.as_str());
    }
    words.join(" ")
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Says what is broken, and the least that shows it.
fn failed(scenario: &Scenario, options: &Options, report: Report) -> ExitCode {
    if let Some(broken) = &report.broken {
        eprintln!("error: seed {}: {broken}", report.seed);
    }
    let again = again(std::env::args().skip(1), &|name| std::env::var(name).ok());
    eprintln!("again: {again} --seed {} --for {}s", report.seed, scenario.spec.time.as_secs());
    let (smallest, report) = with_progress("shrinking", |_| shrink(scenario, options, report));
    if let (Some(broken), Ok(spec)) = (&report.broken, serde_json::to_string(&smallest.spec.faults)) {
        eprintln!("it needs {} s and these faults: {spec}\n{broken}", smallest.spec.time.as_secs());
    }
    ExitCode::from(exit::WORSE)
}

fn with_progress<T>(what: &'static str, work: impl FnOnce(&mut dyn FnMut(f64)) -> T) -> T {
    let bar = bar(what, 1_000);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a part of 1,000
    let result = work(&mut |part| bar.set_position((part * 1_000.0) as u64));
    bar.finish_and_clear();
    result
}

/// Shown on a terminal only.
fn bar(what: &'static str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}") {
        bar.set_style(style);
    }
    bar
}

fn shown(report: &Report, greedy: Option<&Report>) -> String {
    let header = ["", "packwright", "as Karpenter"];
    let columns = if greedy.is_some() { 3 } else { 2 };
    let mut table = table(&header[..columns]);
    let mut row = |name: &str, of: &dyn Fn(&Report) -> String| {
        table.add_row([name.to_owned()].into_iter().chain([Some(report), greedy].into_iter().flatten().map(of)));
    };
    row("cost", &|report| report.cost.to_string());
    row("pod-seconds of waiting", &|report| report.pending_pod_seconds.to_string());
    row("pods of jobs done", &|report| format!("{} of {}", report.jobs_done, report.arrivals));
    row("instances launched", &|report| report.launches.to_string());
    row("most nodes at once", &|report| report.most_nodes.to_string());
    row("nodes at the end", &|report| report.samples.last().map_or(0, |sample| sample.nodes).to_string());
    row("most pods waiting", &|report| report.most_pending.to_string());
    row("decisions", &|report| report.decisions.to_string());
    row("consolidations", &|report| report.consolidations.to_string());
    row("nodes taken away by choice", &|report| report.taken_away.to_string());
    row("pods evicted for that", &|report| report.evicted.to_string());
    row("the last one after, h", &|report| {
        let after = |at: Timestamp| format!("{:.1}", at.duration_since(report.start).as_secs_f64() / 3_600.0);
        report.last_evicted.map_or_else(|| "-".to_owned(), after)
    });
    row("launches and writes that failed", &|report| report.failures.to_string());
    row("restarts and pauses", &|report| (report.restarts + report.pauses).to_string());
    let mut text = align(table, &[1, 2]);
    let hours = report.end.duration_since(report.start).as_secs_f64() / 3_600.0;
    let _ = write!(text, "\n\n{hours:.1} h of seed {}", report.seed);
    if let Some(bound) = report.bound() {
        let _ = write!(
            text,
            "; whatever is bought for its pods costs at least {bound} (from {} moments)",
            report.bounds.len()
        );
    }
    let [deciding, stepping, observing] = report.shares().map(|share| share.as_secs_f64());
    let _ = write!(
        text,
        "\ntook {:.1} s: {deciding:.1} s deciding, {stepping:.1} s in {} steps of the controller, {observing:.1} s taking in what it sees",
        report.wall.as_secs_f64(),
        report.steps
    );
    text
}

#[cfg(test)]
mod tests {
    use super::again;

    #[test]
    fn a_seed_is_repeated_with_everything_that_was_typed_and_set() {
        let typed = "simulate a/b --seeds 10 --plant deaf --for=2h -o json --seed 3 --region eu-west-1 --greedy";
        let variable = |name: &str| (name == "FEATURE_GATES").then(|| "NodeOverlay=true, X".to_owned());
        let again = again(typed.split(' ').map(str::to_owned), &variable);
        let expected =
            "FEATURE_GATES='NodeOverlay=true, X' packwright simulate a/b --plant deaf --region eu-west-1 --greedy";
        assert_eq!(again, expected);
    }
}
