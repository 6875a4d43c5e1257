//! `packwright plan --scope consolidate|all`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::{Args, Output, Scope, exit_code, refuse, report, say, table as launches};
use crate::cli::exit;
use crate::cli::table::{align, table};
use crate::cli::words::counted;
use crate::consolidation::report::{CommandReport, LaunchReport, RemovedReport, Report};
use crate::consolidation::{Budgets, Manner, consolidate, launched};
use crate::observe::{LoadOutcome, Snapshot};
use crate::plan;

/// The JSON of both.
#[derive(Serialize)]
struct Whole {
    /// Null where launches were not asked for.
    launch: Option<plan::report::Report>,
    consolidation: Report,
    region: Arc<str>,
    assumptions: Vec<String>,
    notes: Vec<String>,
    errors: Vec<String>,
}

/// Plans and prints.
pub(super) fn run(args: &Args, loaded: LoadOutcome) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let limits = args.question.limits();
    if args.output == Output::Claims {
        return Ok(refuse("-o claims prints what would be launched for pending pods: expected --scope launch"));
    }
    let started = Instant::now();
    let is_all = args.consolidation.scope == Scope::All;
    let mut notes = loaded.notes.clone();
    let mut code = ExitCode::from(if loaded.errors.is_empty() { exit::SUCCESS } else { exit::INVALID_INPUT });
    let (launch, current) = if is_all {
        let (decision, _) = match args.search.decide(&loaded, limits)? {
            Ok(decided) => decided,
            Err(code) => return Ok(code),
        };
        code = exit_code(&loaded, &decision);
        let current = launched(&loaded.snapshot, &decision.plan);
        (Some(report(&loaded, &decision, started.elapsed())), current)
    } else {
        let pending = loaded.snapshot.pending().count();
        if pending > 0 {
            notes.push(format!("{} left out: --scope all places them first", counted(pending, "pending pod")));
        }
        (None, Snapshot::clone(&loaded.snapshot))
    };
    let policy = args.consolidation.policy();
    let since = Instant::now();
    let time = || limits.time.saturating_sub(since.elapsed());
    let manner = Manner::all(&policy, Budgets::Together, limits);
    let found = consolidate(&current, manner, current.taken_at, &time);
    let consolidation = Report::of(&current, &policy, &found);
    let LoadOutcome { snapshot, errors, .. } = loaded;
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let (region, assumptions) = (snapshot.region.clone(), snapshot.assumptions.clone());
    let whole = Whole { launch, consolidation, region, assumptions, notes, errors };
    print(args.output, &whole)?;
    Ok(code)
}

fn print(output: Output, whole: &Whole) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(whole)?)?,
        Output::Yaml => write!(out, "{}", serde_saphyr::to_string(whole)?)?,
        Output::Table | Output::Wide | Output::Claims => {
            if let Some(launch) = &whole.launch {
                let shown = if output == Output::Wide { launches::wide(launch) } else { launches::summary(launch) };
                writeln!(out, "{shown}")?;
            }
            write!(out, "{}", text(&whole.consolidation, output == Output::Wide))?;
        }
    }
    out.flush()?;
    if !matches!(output, Output::Json | Output::Yaml) {
        say(&whole.assumptions, &whole.notes);
    }
    for error in &whole.errors {
        eprintln!("error: {error}");
    }
    Ok(())
}

/// One row a command, and what they come to.
fn text(report: &Report, is_wide: bool) -> String {
    let mut text = String::new();
    let mut rows =
        table(&["COMMAND", "REASON", "REMOVES", "LAUNCHES", "PODS MOVED", "SAVES $/H", "ONCE $", "PAID BACK"]);
    for (number, command) in report.commands.iter().enumerate() {
        rows.add_row([
            (number + 1).to_string(),
            command.reason.to_owned(),
            removed(&command.removed, is_wide),
            of_launches(&command.launches, is_wide),
            command.moves.len().to_string(),
            format!("{:.4}", command.saved_usd_hour),
            format!("{:.4}", command.once_usd),
            payback(command),
        ]);
    }
    if !report.commands.is_empty() {
        let _ = writeln!(text, "{}", align(rows, &[0, 4, 5, 6, 7]));
    }
    if is_wide {
        for (number, command) in report.commands.iter().enumerate().filter(|(_, command)| !command.moves.is_empty()) {
            let _ = writeln!(text, "\ncommand {}:", number + 1);
            for of in &command.moves {
                let _ = writeln!(text, "  {} from {} to {}", of.pod, of.from, of.to);
            }
        }
    }
    let _ = match report.commands.len() {
        0 => writeln!(text, "nothing to do: no node is worth removing or replacing"),
        count => writeln!(
            text,
            "\n{}: ${:.4}/h -> ${:.4}/h, at least ${:.4}/h (${:.2} a month) saved; {} removed, {} launched, {} moved",
            counted(count, "command"),
            report.before_usd_hour,
            report.after_usd_hour,
            report.saved_usd_hour,
            report.saved_usd_month,
            counted(report.nodes_removed, "node"),
            report.nodes_launched,
            counted(report.pods_moved, "pod"),
        ),
    };
    let _ = writeln!(
        text,
        "comes to ${:.4}/h with evictions and boots spread over a day; proven: at least ${:.4}/h whatever is done (gap {:.1} %)",
        report.comes_to_usd_hour,
        report.least_usd_hour,
        100.0 * report.gap,
    );
    if report.commands.iter().any(|command| command.lacks_price_history) {
        let _ = writeln!(
            text,
            "spot prices of the last 24 hours are not known: the prices of now stand in for their means"
        );
    }
    for held in &report.held_back {
        let _ = writeln!(
            text,
            "the budget of NodePool {} is used up ({}): {} not looked at",
            held.nodepool,
            held.reason,
            counted(held.nodes, "candidate")
        );
    }
    if !report.held.is_empty() {
        text.push_str("what keeps nodes (packwright explain node/NAME says more of one):\n");
    }
    for of in &report.held {
        let _ = writeln!(text, "  {}: {}, such as {}", of.why, counted(of.nodes, "node"), of.example);
    }
    if report.stopped {
        let _ = writeln!(
            text,
            "the time was up after {} of nodes: there may be more to find",
            counted(report.trials, "set")
        );
    }
    text
}

fn payback(command: &CommandReport) -> String {
    match command.payback_hours {
        Some(hours) if command.once_usd > 0.0 => format!("{hours:.1} h"),
        _ => "-".to_owned(),
    }
}

/// Equal ones joined, or every one by name.
fn joined(all: impl Iterator<Item = (String, String)>, is_wide: bool) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (kind, name) in all {
        *counts.entry(if is_wide { format!("{name} ({kind})") } else { kind }).or_default() += 1;
    }
    let one = |(kind, count): (String, usize)| if is_wide { kind } else { format!("{count} x {kind}") };
    let text = counts.into_iter().map(one).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "-".to_owned() } else { text }
}

fn removed(nodes: &[RemovedReport], is_wide: bool) -> String {
    let kind = |of: &RemovedReport| of.instance_type.as_deref().unwrap_or("unknown").to_owned();
    joined(nodes.iter().map(|of| (kind(of), of.node.to_string())), is_wide)
}

pub(in crate::cli) fn of_launches(launches: &[LaunchReport], is_wide: bool) -> String {
    let kind = |of: &LaunchReport| format!("{} {}", of.instance_type.as_deref().unwrap_or("unknown"), of.capacity_type);
    joined(launches.iter().map(|of| (kind(of), of.name.to_string())), is_wide)
}
