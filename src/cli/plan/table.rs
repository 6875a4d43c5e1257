//! A plan on a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::table::{align, table};
use crate::cli::words::counted;
use crate::plan::Stop;
use crate::plan::report::{LaunchReport, NodeReport, Report};
use crate::resources::{CPU, MEMORY};

/// Pods that are not placed and have one reason: as many are named, the rest is a number.
const MOST_NAMES: usize = 5;

/// The plan with equal launches joined to one row.
pub fn summary(report: &Report) -> String {
    let mut rows: BTreeMap<Row, Vec<&LaunchReport>> = BTreeMap::new();
    for launch in &report.launches {
        rows.entry(Row::of(launch)).or_default().push(launch);
    }
    let mut table =
        table(&["NODES", "NODEPOOL", "TYPE", "CAPACITY", "ZONE", "OFFERS", "PODS", "CPU", "MEMORY", "$/H EACH", "$/H"]);
    for (row, launches) in &rows {
        let count = launches.len();
        let pods: usize = launches.iter().map(|launch| launch.pods.len()).sum();
        let each = launches[0].price_usd_hour;
        let total: f64 = launches.iter().map(|launch| launch.price_usd_hour).sum();
        table.add_row([
            count.to_string(),
            row.nodepool.clone(),
            row.instance_type.clone(),
            row.capacity_type.clone(),
            row.zones.clone(),
            spread(launches.iter().map(|launch| launch.offers.len())),
            pods.to_string(),
            share(launches, CPU),
            share(launches, MEMORY),
            format!("{each:.4}"),
            format!("{total:.4}"),
        ]);
    }
    let existing = report.existing_nodes.iter().map(|node| (node, node.pods.len().to_string()));
    with_summary(report, &align(table, &[0, 5, 6, 7, 8, 9, 10]), existing.collect())
}

/// The plan with a row for each claim, and its pods.
pub fn wide(report: &Report) -> String {
    let mut table =
        table(&["CLAIM", "NODEPOOL", "TYPE", "CAPACITY", "ZONE", "OFFERS", "CPU", "MEMORY", "$/H", "WORST", "PODS"]);
    for launch in &report.launches {
        let row = Row::of(launch);
        table.add_row([
            launch.name.to_string(),
            row.nodepool,
            row.instance_type,
            row.capacity_type,
            row.zones,
            launch.offers.len().to_string(),
            share(&[launch], CPU),
            share(&[launch], MEMORY),
            format!("{:.4}", launch.price_usd_hour),
            format!("{:.4}", launch.worst_usd_hour),
            launch.pods.join(" "),
        ]);
    }
    let existing = report.existing_nodes.iter().map(|node| (node, node.pods.join(" ")));
    with_summary(report, &align(table, &[5, 6, 7, 8, 9]), existing.collect())
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    nodepool: String,
    instance_type: String,
    capacity_type: String,
    zones: String,
    price: String,
}

impl Row {
    fn of(launch: &LaunchReport) -> Self {
        let zones = match launch.zones.as_slice() {
            [only] => only.to_string(),
            several => format!("any of {}", several.len()),
        };
        Self {
            nodepool: launch.nodepool.to_string(),
            instance_type: launch.instance_type.to_string(),
            capacity_type: launch.capacity_type.to_string(),
            zones,
            price: format!("{:.6}", launch.price_usd_hour),
        }
    }
}

/// Requested share of the chosen types' allocatable, in percent.
#[allow(clippy::cast_precision_loss)] // a percentage for people
fn share(launches: &[&LaunchReport], resource: &str) -> String {
    let sum = |amounts: &dyn Fn(&LaunchReport) -> i64| launches.iter().map(|launch| amounts(launch)).sum::<i64>();
    let have = sum(&|launch| launch.allocatable.get(resource));
    let used = sum(&|launch| launch.requests.get(resource));
    if have == 0 { "-".to_owned() } else { format!("{:.0}%", 100.0 * used as f64 / have as f64) }
}

fn spread(counts: impl Iterator<Item = usize>) -> String {
    let counts: Vec<usize> = counts.collect();
    match (counts.iter().min(), counts.iter().max()) {
        (Some(least), Some(most)) if least != most => format!("{least}-{most}"),
        (Some(least), _) => least.to_string(),
        (None, _) => "0".to_owned(),
    }
}

fn names(pods: &[String]) -> String {
    let shown = pods.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(" ");
    if pods.len() > MOST_NAMES { format!("{shown} and {} more", pods.len() - MOST_NAMES) } else { shown }
}

/// `existing` are the nodes that take pods, with their pods as they are to be shown.
fn with_summary(report: &Report, launches: &str, existing: Vec<(&NodeReport, String)>) -> String {
    let mut text = String::new();
    if !report.launches.is_empty() {
        let _ = writeln!(text, "{launches}\n");
    }
    if !existing.is_empty() {
        let mut nodes = table(&["EXISTING NODE", "PODS"]);
        for (node, pods) in existing {
            nodes.add_row([node.name.to_string(), pods]);
        }
        let _ = writeln!(text, "{}\n", align(nodes, &[]));
    }
    text.push_str(&outcome(report));
    text
}

/// The pods that are not placed, and the summary.
pub fn outcome(report: &Report) -> String {
    let mut text = String::new();
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for unplaced in &report.unplaced {
        reasons.entry(&unplaced.reason).or_default().push(unplaced.pod.clone());
    }
    for (reason, pods) in reasons {
        let _ = writeln!(text, "not placed: {} ({})\n  {reason}", names(&pods), pods.len());
    }
    if !report.unplaced.is_empty() {
        text.push('\n');
    }
    let s = &report.summary;
    let _ = writeln!(
        text,
        "{} for {}, {} not placed: ${:.4}/h (at most ${:.4}/h), ${:.2} a month",
        counted(s.nodes, "node"),
        counted(s.pods_placed, "pod"),
        s.pods_unplaced,
        s.cost_usd_hour,
        s.worst_usd_hour,
        s.cost_usd_month
    );
    let greedy = match (s.greedy_usd_hour, s.greedy_pods_unplaced) {
        (Some(cost), Some(unplaced)) if unplaced != s.pods_unplaced => {
            format!("${cost:.4}/h without {}", counted(unplaced, "pod"))
        }
        (Some(cost), _) => format!("${cost:.4}/h"),
        (None, _) => "not finished".to_owned(),
    };
    let bound = match s.gap {
        Some(gap) => format!("${:.4}/h (gap {:.1} %)", s.bound_usd_hour, 100.0 * gap),
        None => "- (gap -)".to_owned(),
    };
    let stopped = match s.stop {
        Stop::Deadline => ", stopped at the time limit",
        Stop::EveryWay => ", nothing better among all ways to place its pods",
        Stop::AsNear => ", as good as the decision that it started from",
        Stop::Complete if s.gap.is_some_and(|gap| gap > 0.0) => ", the search found nothing more",
        _ => "",
    };
    let _ = writeln!(
        text,
        "proven bound {bound}, karpenter's packing {greedy}, planned in {:.0} ms{stopped}",
        s.elapsed_ms
    );
    for remark in s.remarks() {
        let _ = writeln!(text, "{remark}");
    }
    if let Some(failure) = &s.failure {
        let _ = writeln!(text, "failed: {}", failure.sentence);
    }
    text
}
