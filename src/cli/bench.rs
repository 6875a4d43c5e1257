//! `packwright bench`

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use regex::Regex;

use super::exit;
use super::plan::{When, duration};
use super::table::{Output, align, table};
use crate::bench::compare::{Change, What, broken_promises, changes};
use crate::bench::instances::{self, Instance};
use crate::bench::measure::{machine, measure};
use crate::bench::results::{Results, Row};
use crate::bench::{bounds, churn, plot};

const EXAMPLES: &str = "\
Examples:
  packwright bench
  packwright bench --instances '^(openb|balanced-1000-)' --time-limits 500ms,2s
  packwright bench --random 1000
  packwright bench -o json > new.json && packwright bench --read new.json --compare old.json

Exit codes, the first that applies:
  1  internal failure
  2  invalid input or a refused option
  4  a promise is broken (dearer than karpenter's packing, later than allowed), or --compare found something worse
  0  otherwise";

/// Measure what plans cost within time limits, on instances that are always the same.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only instances (of --random: questions) whose name this regular expression finds; else those marked with * by --list.
    #[arg(long, value_name = "REGEX")]
    instances: Option<Regex>,
    /// Every instance, also those that are not measured unless they are asked for.
    #[arg(long, conflicts_with = "instances")]
    all: bool,
    /// So many random questions instead, half of them made to be hard, each within a random time of 10 ms to 2 s.
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "list", "time_limits", "prove", "read", "plot"])]
    random: Option<u64>,
    /// Consolidation instead: clusters of these instances that lost so many percent of their pods, under ours and under the reference's
    /// own sequence, each within the largest time limit.
    #[arg(long, value_name = "PERCENTS", value_delimiter = ',', num_args = 0..=1, default_missing_value = "0,20,30,40",
          value_parser = clap::value_parser!(u32).range(0..=99), conflicts_with_all = ["random", "list", "prove", "read", "compare", "plot"])]
    churn: Option<Vec<u32>>,
    /// When a saving is worth it to ours; the reference's sequence knows no such thing.
    #[arg(long, value_enum, default_value_t = When::Any, requires = "churn")]
    consolidation: When,
    /// Print the names of the instances and what they are, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Within how much time each question is answered.
    #[arg(long, value_name = "DURATIONS", value_delimiter = ',', value_parser = duration, default_value = "50ms,500ms,2s,10s")]
    time_limits: Vec<Duration>,
    /// Folder of the best bounds that are known, with their proofs.
    #[arg(long, value_name = "DIR", default_value = "benchmarks/bounds")]
    bounds: PathBuf,
    /// Measure nothing: search each instance for so long, and keep what is proven where it is better than what is known.
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with_all = ["read", "compare", "plot"])]
    prove: Option<Duration>,
    /// Results of an earlier run (-o json) to compare with.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// From which change on a figure counts as worse or better, as a part of it.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.01)]
    threshold: f64,
    /// Read results instead of measuring.
    #[arg(long, value_name = "FILE")]
    read: Option<PathBuf>,
    /// Draw cost / bound by time limit into an SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[arg(short, long, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    output: Output,
}

/// Measures and prints.
///
/// # Errors
/// Standard output is closed, or an instance of ours is refused by our own loader.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if args.list {
        let mut out = io::stdout().lock();
        for instance in instances::all() {
            let mark = if instance.is_core { '*' } else { ' ' };
            writeln!(out, "{mark} {:<28} {}", instance.name, instance.about)?;
        }
        return Ok(ExitCode::from(exit::SUCCESS));
    }
    if let Some(time) = args.prove {
        return prove(args, time);
    }
    if let Some(percents) = &args.churn {
        return churned(args, percents);
    }
    let before = match args.compare.as_deref().map(read).transpose() {
        Ok(before) => before,
        Err(sentence) => return Ok(refuse(&sentence)),
    };
    let results = match (&args.read, args.random) {
        (_, Some(count)) => match random(count, args.instances.as_ref())? {
            results if results.rows.is_empty() => return Ok(refuse(NO_QUESTION)),
            results => results,
        },
        (Some(path), _) => match read(path) {
            Ok(results) => results,
            Err(sentence) => return Ok(refuse(&sentence)),
        },
        (None, None) => match measured(args)? {
            Some(results) => results,
            None => return Ok(refuse(NO_INSTANCE)),
        },
    };
    if let Some(path) = &args.plot {
        fs::write(path, plot(&results)?).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let changes = before.map(|before| changes(&before, &results, args.threshold));
    let mut out = io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&results)?)?,
        Output::Table if args.random.is_some() => writeln!(out, "{}", by_family(&results))?,
        Output::Table => writeln!(out, "{}", listed(&results))?,
    }
    let is_worse = changes.iter().flatten().any(|change| change.is_worse);
    for change in changes.iter().flatten() {
        eprintln!("{}", sentence(change));
    }
    let is_broken = results.rows.iter().any(|row| broken_promises(row).next().is_some());
    for row in results.rows.iter().filter(|_| changes.is_none()) {
        for (allowed, found) in broken_promises(row) {
            eprintln!(
                "broken promise: {} within {} ms: {found} where {allowed} is allowed",
                row.instance, row.time_limit_ms
            );
        }
    }
    Ok(ExitCode::from(if is_worse || is_broken { exit::WORSE } else { exit::SUCCESS }))
}

fn refuse(sentence: &str) -> ExitCode {
    eprintln!("error: {sentence}");
    ExitCode::from(exit::INVALID_INPUT)
}

fn read(path: &Path) -> Result<Results, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{}: not the JSON of packwright bench: {error}", path.display()))
}

fn wanted(args: &Args) -> Vec<Instance> {
    let is_wanted = |instance: &Instance| match &args.instances {
        Some(names) => names.is_match(&instance.name),
        None => args.all || instance.is_core,
    };
    instances::all().into_iter().filter(is_wanted).collect()
}

const NO_QUESTION: &str = "--instances: no random question has such a name; -o json prints them";
const NO_INSTANCE: &str = "--instances: no instance has such a name; --list prints them";

fn progress(steps: usize) -> Result<ProgressBar, Box<dyn std::error::Error>> {
    let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_length(u64::try_from(steps)?);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}")?);
    Ok(bar)
}

/// Clusters that lost pods: costs, evictions and time of both.
fn churned(args: &Args, percents: &[u32]) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let wanted: Vec<Instance> = wanted(args).into_iter().filter(|instance| instance.batches() == 1).collect();
    if wanted.is_empty() {
        return Ok(refuse(NO_INSTANCE));
    }
    let time = args.time_limits.iter().max().copied().unwrap_or_default();
    let bar = progress(wanted.len() * percents.len())?;
    let mut rows = Vec::new();
    for instance in &wanted {
        let snapshot = instance.snapshot(0)?;
        for &percent in percents {
            bar.set_message(format!("{} {percent} %", instance.name));
            let cluster = churn::cluster(&snapshot, percent, 42);
            rows.push(churn::measure(&instance.name, percent, &cluster, &args.consolidation.policy(), time));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let mut out = io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?,
        Output::Table => {
            let mut shown = table(&[
                "CLUSTER",
                "CHURN",
                "NODES",
                "PODS",
                "$/H",
                "BOUND",
                "REFERENCE",
                "MOVED",
                "S",
                "OURS",
                "MOVED",
                "S",
                "COMES TO",
                "GAP",
            ]);
            let cut = |side: &churn::Side| format!("{:.1}{}", side.seconds, if side.stopped { "+" } else { "" });
            for row in &rows {
                shown.add_row([
                    row.cluster.clone(),
                    format!("{} %", row.churn),
                    row.nodes.to_string(),
                    row.pods.to_string(),
                    format!("{:.2}", row.before),
                    format!("{:.2}", row.bound),
                    format!("{:.2}", row.reference.after),
                    row.reference.evictions.to_string(),
                    cut(&row.reference),
                    format!("{:.2}", row.ours.after),
                    row.ours.evictions.to_string(),
                    cut(&row.ours),
                    format!("{:.2}", row.comes_to),
                    format!("{:.1} %", 100.0 * (1.0 - row.bound / row.comes_to)),
                ]);
            }
            writeln!(out, "{}", align(shown, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]))?;
        }
    }
    Ok(ExitCode::from(exit::SUCCESS))
}

/// Instances of one question only: the others are small enough to be solved.
fn prove(args: &Args, time: Duration) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let wanted: Vec<Instance> = wanted(args).into_iter().filter(|instance| instance.batches() == 1).collect();
    if wanted.is_empty() {
        return Ok(refuse(NO_INSTANCE));
    }
    let bar = progress(wanted.len())?;
    for instance in wanted {
        bar.set_message(instance.name.clone());
        let known = bounds::read(&args.bounds, &instance.name)?;
        let found = bounds::search(&instance.snapshot(0)?, time);
        let shown = |of: &Option<bounds::Known>| {
            of.as_ref().map_or_else(|| "-".to_owned(), |of| format!("{:.2}", of.usd_hour()))
        };
        bar.suspend(|| println!("{:<28} known {:>10}  found {:>10} $/h", instance.name, shown(&known), shown(&found)));
        if let Some(found) = found.filter(|found| known.is_none_or(|known| found.usd_hour() > known.usd_hour())) {
            bounds::write(&args.bounds, &instance.name, &found)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(ExitCode::from(exit::SUCCESS))
}

/// `None` where no instance is wanted.
fn measured(args: &Args) -> Result<Option<Results>, Box<dyn std::error::Error>> {
    let wanted = wanted(args);
    if wanted.is_empty() {
        return Ok(None);
    }
    let bar = progress(wanted.len() * args.time_limits.len())?;
    let mut rows: Vec<Row> = Vec::new();
    for instance in &wanted {
        bar.set_message(instance.name.clone());
        measure(
            instance,
            &args.time_limits,
            bounds::read(&args.bounds, &instance.name)?.map(|known| known.usd_hour()),
            &mut |row| {
                rows.push(row);
                bar.inc(1);
            },
        )?;
    }
    bar.finish_and_clear();
    Ok(Some(dated(rows)))
}

fn random(count: u64, named: Option<&Regex>) -> Result<Results, Box<dyn std::error::Error>> {
    let bar = progress(usize::try_from(count)?)?;
    let mut rows: Vec<Row> = Vec::new();
    for number in 0..count {
        let (instance, time) = instances::question(number);
        if named.is_none_or(|named| named.is_match(&instance.name)) {
            bar.set_message(instance.name.clone());
            measure(&instance, &[time], None, &mut |row| rows.push(row))?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(dated(rows))
}

fn dated(rows: Vec<Row>) -> Results {
    let (version, date) = (env!("CARGO_PKG_VERSION").to_owned(), Timestamp::now().to_string());
    Results { version, date, machine: machine(), rows }
}

/// Random questions by family: what is in a name before its number.
fn by_family(results: &Results) -> String {
    let mut families: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &results.rows {
        families.entry(row.instance.rsplit_once('-').map_or("", |(family, _)| family)).or_default().push(row);
    }
    let mut table =
        table(&["FAMILY", "QUESTIONS", "GREEDY CUT OFF", "LEAST /GREEDY", "MOST /GREEDY", "LATEST BY MS", "BROKEN"]);
    for (family, rows) in families {
        let ratios: Vec<f64> = rows.iter().filter_map(|row| row.to_greedy()).collect();
        let ratio = |of: fn(f64, f64) -> f64| {
            ratios.iter().copied().reduce(of).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"))
        };
        let latest = rows.iter().map(|row| row.late_ms).fold(f64::NEG_INFINITY, f64::max);
        let cut_off = rows.iter().filter(|row| row.greedy_usd_hour.is_none()).count();
        let broken = rows.iter().filter(|row| broken_promises(row).next().is_some()).count();
        table.add_row([
            family.to_owned(),
            rows.len().to_string(),
            cut_off.to_string(),
            ratio(f64::min),
            ratio(f64::max),
            format!("{latest:.1}"),
            broken.to_string(),
        ]);
    }
    align(table, &(1..7).collect::<Vec<usize>>())
}

fn listed(results: &Results) -> String {
    let mut table = table(&[
        "INSTANCE", "LIMIT", "PODS", "LEFT", "NODES", "$/H", "/GREEDY", "/GROUPS", "/BOUND", "OPTIMAL", "FIRST",
        "BEST", "END", "MIB", "STOP",
    ]);
    for row in &results.rows {
        let ratio = |of: Option<f64>| of.map_or_else(|| "-".to_owned(), |of| format!("{of:.3}"));
        let time = |of: Option<f64>| of.map_or_else(|| "-".to_owned(), |of| format!("{of:.0}"));
        let groups = row.node_groups_usd_hour.filter(|cost| *cost > 0.0).map(|cost| row.cost_usd_hour / cost);
        table.add_row([
            row.instance.clone(),
            format!("{:.0}", row.time_limit_ms),
            row.pods_placed.to_string(),
            row.pods_unplaced.to_string(),
            row.nodes.to_string(),
            format!("{:.2}", row.cost_usd_hour),
            ratio(row.to_greedy()),
            ratio(groups),
            ratio(row.to_bound()),
            format!("{}/{}", row.optimal, row.batches),
            time(row.first_ms),
            time(row.best_ms),
            time(Some(row.elapsed_ms)),
            row.peak_memory_mib.map_or_else(|| "-".to_owned(), |mib| mib.to_string()),
            row.stop.clone(),
        ]);
    }
    align(table, &(1..14).collect::<Vec<usize>>())
}

fn sentence(change: &Change) -> String {
    let Change { instance, time_limit_ms, what, before, after, is_worse } = change;
    let what = match what {
        What::PodsUnplaced => "pods left",
        What::Cost => "$/h",
        What::Bound => "proven bound, $/h",
        What::Memory => "peak memory, MiB",
        What::FirstAnswer => "first answer, ms",
        What::NotMeasured => return format!("not measured now: {instance} within {time_limit_ms} ms"),
        What::Promise => {
            return format!("broken promise: {instance} within {time_limit_ms} ms: {after} where {before} is allowed");
        }
    };
    let verdict = if *is_worse { "worse" } else { "better" };
    format!("{verdict}: {instance} within {time_limit_ms} ms: {what} {before} -> {after}")
}
