//! `packwright what-if -f PATH... [--set ...] [--drop ...] [--limit ...] [--replicas ...]`

mod typed;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;

use super::exit;
use super::plan::{ConsolidationArgs, QuestionArgs, say};
use super::searching::Step;
use super::table::{align, table};
use super::words::counted;
use crate::host::Answer;
use crate::what_if::{Change, Comparison, Difference, Manner, Outcome, Scope, compare};

const EXAMPLES: &str = "\
Examples:
  packwright what-if -f examples/getting-started --set spot-prices*2 --drop arch=arm64
  packwright what-if --context production --scope all --replicas shop/web=40
  packwright what-if -f cluster.yaml --limit general.cpu=200 --limit general.cpu=none
  packwright what-if -f cluster.yaml --drop instance-family=m5 --drop zone=us-east-1c -o json | jq .changes

Every change is planned by itself, beside the input as it is; several also together. Each takes the time limit, with --scope all twice.

Exit codes, the first that applies:
  1  internal failure
  2  invalid input or a refused option, a change that names what is not there, also where a malformed object was skipped
  3  some pods cannot be placed, as it is or with a change
  0  every pod was placed each time";

/// Plan what a cluster would cost with other prices, other instance types, other limits or other replicas, beside the cluster as it
/// is.
///
/// Reads manifests or a live cluster, as plan does; touches nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    question: QuestionArgs,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    consolidation: ConsolidationArgs,
    #[arg(short, long, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    output: Output,
}

/// What is different; each may be given several times.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
#[command(next_help_heading = "Changes")]
struct Changes {
    /// Other prices: prices*1.2, or on-demand-prices, spot-prices or reserved-prices alone, times a factor from 0.001 to 1000. Nodes
    /// that are there cost as much more.
    #[arg(long, value_name = "PRICES*FACTOR", value_parser = typed::prices)]
    set: Vec<Change>,
    /// What has this label cannot be bought: arch=arm64, instance-type=m5.large, instance-family=m5, zone=us-east-1a,
    /// capacity-type=spot, nodepool=NAME or any label of instance types or NodePools. Nodes that are there stay.
    #[arg(long, value_name = "LABEL=VALUE", value_parser = typed::dropped)]
    drop: Vec<Change>,
    /// Another limit of a NodePool: general.cpu=100, general.memory=64Gi, general.nodes=10,
    /// general.packwright.dev/usd-per-hour=5, or none instead of the amount.
    #[arg(long, value_name = "POOL.RESOURCE=AMOUNT", value_parser = typed::limit)]
    limit: Vec<Change>,
    /// Another number of pods: web=40, shop/web=40, deployment/shop/web=40. Pods that come are like those that are there; pods that go
    /// are those that Kubernetes takes first.
    #[arg(long, value_name = "WORKLOAD=COUNT", value_parser = typed::replicas)]
    replicas: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
    Yaml,
}

/// Plans, compares and prints.
///
/// # Errors
/// Standard output is closed, or the comparison cannot be written in the chosen format.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let loaded = match args.question.load() {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let Changes { set, drop: dropped, limit, replicas } = &args.changes;
    let changes: Vec<Change> = [set, dropped, limit, replicas].into_iter().flatten().cloned().collect();
    let policy = args.consolidation.policy();
    let manner = Manner { scope: args.consolidation.scope.planned(), policy: &policy, limits: args.question.limits() };
    let step = Step::start();
    let mut show = |change: &str, answer: Option<&Answer>| match answer {
        Some(answer) => step.say(&format!("{change}: ${:.4}/h for launches so far", answer.cost.as_usd())),
        None => step.say(change),
    };
    let compared = compare(&loaded.snapshot, &changes, manner, &mut show);
    drop(step);
    let mut comparison = match compared {
        Ok(comparison) => comparison,
        Err(faults) => {
            for fault in faults {
                eprintln!("error: {fault}");
            }
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    };
    comparison.notes.splice(0..0, loaded.notes);
    comparison.errors = loaded.errors.iter().map(ToString::to_string).collect();
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Table => write!(out, "{}", text(&comparison))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&comparison)?)?,
        Output::Yaml => write!(out, "{}", serde_saphyr::to_string(&comparison)?)?,
    }
    out.flush()?;
    if args.output == Output::Table {
        say(&comparison.assumptions, &comparison.notes);
    }
    for error in &comparison.errors {
        eprintln!("error: {error}");
    }
    Ok(ExitCode::from(if !comparison.errors.is_empty() {
        exit::INVALID_INPUT
    } else if comparison.leaves_pods() {
        exit::UNPLACED
    } else {
        exit::SUCCESS
    }))
}

/// A row for the input as it is, and one for every change.
fn text(comparison: &Comparison) -> String {
    let mut rows =
        table(&["CHANGE", "NODES", "$/H", "BOUND", "PLACED", "LEFT", "LAUNCHES", "PODS MOVED", "DIFFERENCE", "PROVEN"]);
    rows.add_row(row("as it is", &comparison.now, None));
    for of in &comparison.changes {
        rows.add_row(row(&of.change, &of.outcome, Some(&of.difference)));
    }
    let mut text = align(rows, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    text.push_str("\n\n");
    for of in &comparison.changes {
        if let Some(note) = &of.difference.note {
            let _ = writeln!(text, "{}: {note}, so that the costs are not those of the same", of.change);
        }
    }
    let all = || std::iter::once(&comparison.now).chain(comparison.changes.iter().map(|of| &of.outcome));
    if let Some(unknown) = all().map(|of| of.nodes_of_unknown_price).max().filter(|unknown| *unknown > 0) {
        let _ = writeln!(text, "the price of {} is not known: it is left out", counted(unknown, "node"));
    }
    text.push_str(match comparison.scope {
        Scope::Launch => {
            "PROVEN: between these two, whatever better plans there are; DIFFERENCE is that of the plans found\n"
        }
        Scope::Consolidate | Scope::All => {
            "what consolidation could save at most is not known: no bound, nothing proven\n"
        }
    });
    if all().any(|of| of.is_consolidation_cut) {
        text.push_str(
            "(cut): the time ended the search of consolidation, so that a difference may be one of searches\n",
        );
    }
    text
}

fn row(change: &str, outcome: &Outcome, difference: Option<&Difference>) -> Vec<String> {
    let count = |count: Option<usize>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let signed = |usd: f64| format!("{:+.4}", if usd == 0.0 { 0.0 } else { usd });
    let proven = difference.and_then(|of| of.proven_usd_hour.as_ref());
    vec![
        change.to_owned(),
        outcome.nodes.to_string(),
        format!("{:.4}", outcome.cost_usd_hour),
        outcome.bound_usd_hour.map_or_else(|| "-".to_owned(), |bound| format!("{bound:.4}")),
        count(outcome.pods_placed),
        count(outcome.pods_unplaced),
        outcome.nodes_launched.to_string(),
        format!("{}{}", outcome.pods_moved, if outcome.is_consolidation_cut { " (cut)" } else { "" }),
        difference.map_or_else(|| "-".to_owned(), |of| signed(of.usd_hour)),
        proven.map_or_else(|| "-".to_owned(), |of| format!("{} to {}", signed(of.at_least), signed(of.at_most))),
    ]
}
