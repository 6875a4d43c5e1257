//! What a simulation shows.

use serde::Serialize;

use super::chart::{Chart, Line, Threshold, chart};
use super::ladder::Rung;
use super::numbers::{count, rounded, usd};
use super::render;
use crate::sim::{Alerts, EXPENSIVE, Fired, MANY_NODES, Report, Sample};
use crate::units::MicroUsd;

#[derive(Serialize)]
struct View {
    from: String,
    hours: String,
    seed: u64,
    cost: String,
    verdict: String,
    ladder: Vec<Rung>,
    charts: Vec<Chart>,
    /// Where alerts are looked at: those that fired.
    fired: Option<Vec<String>>,
    rows: Vec<Row>,
    has_greedy: bool,
    has_bound: bool,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    own: String,
    greedy: String,
}

/// The page of a simulation, beside the same hours decided as Karpenter does where they were simulated too, with the alerts that are
/// looked at and those that fired.
///
/// # Errors
/// A template is wrong: none is.
pub fn of_simulation(
    title: &str,
    report: &Report,
    greedy: Option<&Report>,
    alerts: Option<(&Alerts, &[Fired])>,
) -> Result<String, minijinja::Error> {
    let hours = report.end.duration_since(report.start).as_secs_f64() / 3_600.0;
    let bound = report.bound().map(MicroUsd::as_usd);
    let cost = report.cost.as_usd();
    let packed = greedy.map(|greedy| greedy.cost.as_usd());
    let most = [Some(cost), bound, packed].into_iter().flatten().fold(0.0, f64::max);
    let rung = |kind, name, amount: f64, note: &str| Rung::of(kind, name, amount, most, note);
    let mut ladder = Vec::new();
    ladder.extend(
        packed.map(|packed| rung("greedy", "as Karpenter", packed, "the same controller, deciding as it does")),
    );
    ladder.push(rung("plan", "packwright", cost, ""));
    ladder.extend(bound.map(|bound| rung("bound", "bound", bound, "whatever is bought for its pods")));
    let view = View {
        from: report.start.strftime("%A %H:%M").to_string(),
        hours: format!("{hours:.1}"),
        seed: report.seed,
        cost: usd(cost),
        verdict: verdict(cost, packed),
        ladder,
        charts: charts(report, greedy, hours, alerts),
        fired: alerts.map(|(_, fired)| fired.iter().map(|of| of.said(report.start)).collect()),
        rows: rows(report, greedy),
        has_greedy: greedy.is_some(),
        has_bound: bound.is_some(),
    };
    render("simulation.html", title, &view)
}

fn verdict(cost: f64, packed: Option<f64>) -> String {
    match packed {
        Some(packed) if packed > 0.0 => {
            let part = 100.0 * (packed - cost) / packed;
            let than = if part < 0.0 { "above" } else { "below" };
            format!("{:.1} % {than} what deciding as Karpenter costs in the same hours", part.abs())
        }
        _ => String::new(),
    }
}

type Of = fn(&Sample) -> f64;

#[allow(clippy::cast_precision_loss)] // places on a chart
fn charts(report: &Report, greedy: Option<&Report>, hours: f64, alerts: Option<(&Alerts, &[Fired])>) -> Vec<Chart> {
    let hour = |at: jiff::Timestamp| at.duration_since(report.start).as_secs_f64() / 3_600.0;
    let points = |of: &Report, value: Of| -> Vec<(f64, f64)> {
        let all = of.samples.iter().map(|sample| (hour(sample.at), value(sample)));
        all.filter(|(hour, _)| *hour <= hours * 1.0001).collect()
    };
    let threshold = |value: f64, name: &'static str, fired: &[Fired]| {
        let fired = fired.iter().find(|of| of.alert == name);
        Threshold { name, value, fires: fired.map(|of| hour(of.at)) }
    };
    // of dollars and of nodes
    let thresholds: [Option<Threshold>; 2] = alerts.map_or([None, None], |(of, fired)| {
        let usd_hour = of.usd_hour.map(|most| threshold(most.as_usd(), EXPENSIVE, fired));
        [usd_hour, of.nodes.map(|most| threshold(most as f64, MANY_NODES, fired))]
    });
    let panels: [(&str, &str, Of); 3] = [
        ("Dollars an hour", "$", |sample| sample.usd_hour.as_usd()),
        ("Nodes", "", |sample| sample.nodes as f64),
        ("Pods that wait", "", |sample| sample.pending as f64),
    ];
    let panel = |(index, (title, unit, of)): (usize, (&str, &str, Of))| {
        let mut lines = vec![Line { class: "plan", name: "packwright", points: points(report, of), is_dotted: false }];
        lines.extend(greedy.map(|greedy| Line {
            class: "greedy",
            name: "as Karpenter",
            points: points(greedy, of),
            is_dotted: false,
        }));
        if index == 0 && !report.bounds.is_empty() {
            let bounds = report.bounds.iter().map(|of| (rounded(hour(of.at)), of.usd_hour.as_usd())).collect();
            lines.push(Line { class: "bound", name: "bound", points: bounds, is_dotted: true });
        }
        chart(title, unit, hours, &lines, thresholds.get(index).and_then(Option::as_ref))
    };
    panels.into_iter().enumerate().map(panel).collect()
}

fn rows(report: &Report, greedy: Option<&Report>) -> Vec<Row> {
    let number = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX));
    let row = |name: &'static str, of: &dyn Fn(&Report) -> String| Row {
        name,
        own: of(report),
        greedy: greedy.map_or_else(String::new, of),
    };
    vec![
        row("cost", &|of| usd(of.cost.as_usd())),
        row("pod-seconds of waiting", &|of| number(of.pending_pod_seconds)),
        row("most pods waiting at once", &|of| count(of.most_pending)),
        row("most nodes at once", &|of| count(of.most_nodes)),
        row("instances launched", &|of| number(of.launches)),
        row("pods of jobs done", &|of| format!("{} of {}", number(of.jobs_done), number(of.arrivals))),
        row("decisions", &|of| number(of.decisions)),
        row("consolidations", &|of| number(of.consolidations)),
        row("nodes taken away by choice", &|of| number(of.taken_away)),
        row("pods evicted for that", &|of| number(of.evicted)),
        row("launches and writes that failed", &|of| number(of.failures)),
        row("restarts and pauses", &|of| number(of.restarts + of.pauses)),
    ]
}
