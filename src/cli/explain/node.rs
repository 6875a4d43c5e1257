//! `packwright explain node/NAME`: why it is still there, and what that costs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use super::{Args, Output, constraints};
use crate::cli::exit;
use crate::cli::plan::{commands::of_launches, say};
use crate::cli::words::counted;
use crate::consolidation::report::CommandReport;
use crate::consolidation::why::{Alone, HeldBy, PassedOver, Why, why};
use crate::observe::LoadOutcome;
use crate::units::money::HOURS_PER_MONTH;
use crate::what_if::{PriceTag, Pricing, prices_of_holds};

/// The JSON of a node.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    why: Why,
    /// What the constraints that hold it cost the cluster.
    price_tags: Vec<PriceTag>,
}

/// Pods that are listed; the rest is a number.
const MOST: usize = 6;

/// The name of a node, where a text names one.
pub(super) fn named(text: &str) -> Option<&str> {
    let (kind, name) = text.split_once('/')?;
    (matches!(kind, "node" | "nodes" | "no") && !name.is_empty()).then_some(name)
}

/// Explains and prints.
///
/// # Errors
/// Standard output is closed, or the explanation cannot be written in the chosen format.
pub(super) fn run(args: &Args, name: &str, loaded: &LoadOutcome) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let snapshot = &loaded.snapshot;
    let of_ours = || snapshot.nodes.iter().filter(|node| node.claim.is_some());
    let Some(index) = snapshot.nodes.iter().position(|node| *node.name == *name) else {
        let count = of_ours().count();
        let some: Vec<&str> = of_ours().take(MOST).map(|node| &*node.name).collect();
        let there = if some.is_empty() { "none of a NodePool".to_owned() } else { some.join(", ") };
        eprintln!("error: the input has no node {name}: it has {there}{}", rest(count, some.len()));
        return Ok(ExitCode::from(exit::INVALID_INPUT));
    };
    if snapshot.nodes[index].claim.is_none() {
        eprintln!("error: node {name} has no NodeClaim: nothing here takes it away");
        return Ok(ExitCode::from(exit::INVALID_INPUT));
    }
    let (limits, started) = (args.question.limits(), Instant::now());
    let whole = limits.time + limits.time / 2;
    let time = || whole.saturating_sub(started.elapsed());
    let policy = args.consolidation.policy();
    let why = why(snapshot, index, &policy, limits, &time);
    let price_tags = prices_of_holds(snapshot, index, Pricing { policy: &policy, limits, within: limits.time });
    let found = Explained { why, price_tags };
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Text => write!(out, "{}", text(&found))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?,
        Output::Yaml => write!(out, "{}", serde_saphyr::to_string(&found)?)?,
    }
    out.flush()?;
    if args.output == Output::Text {
        let pending = snapshot.pending().count();
        let left_out = format!("{} left out, as by plan --scope consolidate", counted(pending, "pending pod"));
        let notes: Vec<String> = loaded.notes.iter().cloned().chain((pending > 0).then_some(left_out)).collect();
        say(&snapshot.assumptions, &notes);
    }
    Ok(ExitCode::from(if loaded.errors.is_empty() { exit::SUCCESS } else { exit::INVALID_INPUT }))
}

fn rest(count: usize, shown: usize) -> String {
    if count > shown { format!(" and {} more", count - shown) } else { String::new() }
}

/// What comes for it.
fn bought(command: &CommandReport) -> String {
    if command.launches.is_empty() { "nothing".to_owned() } else { of_launches(&command.launches, false) }
}

#[allow(clippy::cast_precision_loss)] // hours of a month
fn text(Explained { why, price_tags }: &Explained) -> String {
    let mut text = String::new();
    let labels: Vec<&str> =
        [&why.instance_type, &why.capacity_type].into_iter().flatten().map(String::as_str).collect();
    let price = why.price_usd_hour.map_or_else(
        || "of unknown price".to_owned(),
        |price| format!("${price:.4}/h, ${:.2} a month", price * HOURS_PER_MONTH as f64),
    );
    let _ = writeln!(text, "node {}: {}, {price}, {} to move", why.node, labels.join(" "), counted(why.pods, "pod"));
    if let Some(holds) = &why.drift_holds {
        held(&mut text, "It is drifted, and to be replaced", holds);
    }
    match &why.goes {
        Some(command) => {
            let others = command.removed.len() - 1;
            let with = if others > 0 { format!(" with {}", counted(others, "other node")) } else { String::new() };
            let _ = writeln!(
                text,
                "\nIt goes now{}: {} for it, pods that move: {}, at least ${:.4}/h saved",
                with,
                bought(command),
                command.moves.len(),
                command.saved_usd_hour
            );
        }
        None if why.holds.is_empty() => {
            let because = why.passed_over.as_ref().map(passed_over).unwrap_or_default();
            let _ = writeln!(text, "\nNothing keeps it, and no command takes it away{because}.");
        }
        None => held(&mut text, "It stays", &why.holds),
    }
    alone(&mut text, why);
    for tag in price_tags {
        let costs = constraints::consolidation(tag);
        let _ = writeln!(text, "What {} costs the cluster, $/h: {costs}", constraints::named(&tag.change));
    }
    text
}

fn held(text: &mut String, what: &str, holds: &[HeldBy]) {
    let but = if holds.is_empty() { ": nothing keeps it" } else { ", but:" };
    let _ = writeln!(text, "\n{what}{}", if what == "It stays" { ":" } else { but });
    for hold in holds {
        let _ = writeln!(text, "  * {}", hold.why);
    }
}

fn alone(text: &mut String, why: &Why) {
    let told = told(&why.alone);
    let what = if why.holds.is_empty() { "If it went alone" } else { "What that costs, if it went alone" };
    let _ = writeln!(text, "\n{what}: {told}");
}

/// Why a node stays that nothing keeps and that could go alone, after what is said of it.
fn passed_over(why: &PassedOver) -> String {
    let commands = counted(why.commands, "command");
    let cut = if why.is_search_cut { ", and the time limit ended the search (--time-limit)" } else { "" };
    if why.is_budget_used {
        return format!(": the budget of its NodePool is used up by what goes first ({commands}){cut}");
    }
    match &why.after_them {
        None if why.is_search_cut => ": the time limit ended the search before it was tried (--time-limit)".to_owned(),
        None => ": the search has not come upon it".to_owned(),
        Some(Alone::Worth { .. }) => {
            format!(": the search has not come upon it beside {commands}, after which it could go, too{cut}")
        }
        Some(alone) => {
            format!(", as {commands} that there are need what it would need. After them: {}{cut}", told(alone))
        }
    }
}

fn told(alone: &Alone) -> String {
    match alone {
        Alone::Unknown => "there was not the time to find out".to_owned(),
        Alone::NoPlace { pods } => {
            let some: Vec<&str> = pods.iter().take(MOST).map(String::as_str).collect();
            format!("no place elsewhere for {}{}", some.join(", "), rest(pods.len(), some.len()))
        }
        Alone::Dearer { price_usd_hour } => format!("its pods would need nodes of ${price_usd_hour:.4}/h"),
        Alone::NotWorth { command, why } => {
            format!("{} for it; {why}", bought(command))
        }
        Alone::Worth { command, saved_usd_month } => format!(
            "{} for it, pods that move: {}, at least ${:.4}/h saved: ${saved_usd_month:.2} a month",
            bought(command),
            command.moves.len(),
            command.saved_usd_hour
        ),
    }
}
