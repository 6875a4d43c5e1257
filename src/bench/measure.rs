//! Whole decisions under a time limit.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::instances::Instance;
use super::node_groups;
use super::results::{Machine, Row};
use crate::host::{self, Decision, Limits, Search};
use crate::observe::Snapshot;
use crate::plan::{Checked, Outcome, Plan, Stop, preferences};

/// Decides every question of an instance within each time limit; `done` is told of each row.
///
/// # Errors
/// The instance's own manifests are refused.
pub fn measure(
    instance: &Instance,
    time_limits: &[Duration],
    best_bound: Option<f64>,
    done: &mut dyn FnMut(Row),
) -> Result<(), String> {
    let mut rows: Vec<Option<Row>> = vec![None; time_limits.len()];
    for batch in 0..instance.batches() {
        let snapshot = instance.snapshot(batch)?;
        let node_groups = node_groups::cost(&snapshot);
        for (sum, &limit) in rows.iter_mut().zip(time_limits) {
            let mut row = row(&snapshot, limit);
            row.instance.clone_from(&instance.name);
            row.node_groups_usd_hour = node_groups;
            row.best_bound_usd_hour = best_bound;
            *sum = Some(match sum.take() {
                None => row,
                Some(sum) => joined(sum, &row),
            });
            if batch + 1 == instance.batches() {
                sum.take().into_iter().for_each(&mut *done);
            }
        }
    }
    Ok(())
}

fn row(snapshot: &Arc<Snapshot>, time: Duration) -> Row {
    forget_peak_memory();
    let started = Instant::now();
    let decision = host::decide(snapshot, Limits::of_time(time, Search::Integer));
    let elapsed = started.elapsed();
    Row { peak_memory_mib: peak_memory_mib(), ..of_decision(snapshot, &decision, time, elapsed) }
}

fn of_decision(snapshot: &Snapshot, decision: &Decision, time: Duration, elapsed: Duration) -> Row {
    let plan = &decision.plan;
    let best = decision.answers.iter().rev().take_while(|answer| answer.cost == plan.cost()).last();
    let name = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let certificate = &decision.certificate;
    Row {
        instance: String::new(),
        time_limit_ms: milliseconds(time),
        batches: 1,
        optimal: usize::from(certificate.stop == Stop::Optimal),
        pods_placed: plan.assignments.len(),
        pods_unplaced: plan.unplaced.len(),
        nodes: plan.launches.len(),
        cost_usd_hour: plan.cost().as_usd(),
        bound_usd_hour: certificate.bound.as_usd(),
        greedy_usd_hour: decision.greedy.as_ref().map(|greedy| greedy.cost.as_usd()),
        greedy_pods_unplaced: decision.greedy.as_ref().map(|greedy| greedy.unplaced),
        is_worse_than_greedy: decision.greedy.as_ref().is_some_and(|greedy| is_worse(snapshot, plan, greedy)),
        node_groups_usd_hour: None,
        best_bound_usd_hour: None,
        first_ms: decision.answers.first().map(|answer| milliseconds(answer.at)),
        best_ms: best.map(|answer| milliseconds(answer.at)),
        elapsed_ms: milliseconds(elapsed),
        late_ms: milliseconds(elapsed) - milliseconds(time),
        peak_memory_mib: None,
        pods_packed_after: certificate.packed_after,
        stage: serde_json::to_value(certificate.stage).map(name).unwrap_or_default(),
        stop: serde_json::to_value(certificate.stop).map(name).unwrap_or_default(),
    }
}

/// Level by level, counted anew: how the search compares its answers is not asked.
fn is_worse(snapshot: &Snapshot, plan: &Plan<Checked>, greedy: &Outcome) -> bool {
    let mut left: BTreeMap<Reverse<i32>, usize> = BTreeMap::new();
    snapshot.pending().for_each(|(_, pod)| _ = left.entry(Reverse(pod.template.spec.priority)).or_default());
    for unplaced in &plan.unplaced {
        *left.entry(Reverse(snapshot.pods[unplaced.pod].template.spec.priority)).or_default() += 1;
    }
    let left: Vec<usize> = left.into_values().collect();
    let violated = preferences::violated(snapshot, plan);
    (left, violated, plan.cost()) > (greedy.left.clone(), greedy.violated, greedy.cost)
}

fn joined(a: Row, b: &Row) -> Row {
    let both = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
    let worst = |a: Option<f64>, b: Option<f64>| Some(a?.max(b?));
    Row {
        batches: a.batches + b.batches,
        optimal: a.optimal + b.optimal,
        pods_placed: a.pods_placed + b.pods_placed,
        pods_unplaced: a.pods_unplaced + b.pods_unplaced,
        nodes: a.nodes + b.nodes,
        cost_usd_hour: a.cost_usd_hour + b.cost_usd_hour,
        bound_usd_hour: a.bound_usd_hour + b.bound_usd_hour,
        greedy_usd_hour: both(a.greedy_usd_hour, b.greedy_usd_hour),
        node_groups_usd_hour: both(a.node_groups_usd_hour, b.node_groups_usd_hour),
        peak_memory_mib: a.peak_memory_mib.max(b.peak_memory_mib),
        greedy_pods_unplaced: a.greedy_pods_unplaced.zip(b.greedy_pods_unplaced).map(|(a, b)| a + b),
        first_ms: worst(a.first_ms, b.first_ms),
        best_ms: worst(a.best_ms, b.best_ms),
        elapsed_ms: a.elapsed_ms.max(b.elapsed_ms),
        late_ms: a.late_ms.max(b.late_ms),
        is_worse_than_greedy: a.is_worse_than_greedy || b.is_worse_than_greedy,
        pods_packed_after: a.pods_packed_after + b.pods_packed_after,
        stage: if a.stage == b.stage { a.stage } else { "several".to_owned() },
        stop: if a.stop == b.stop { a.stop } else { "several".to_owned() },
        ..a
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// Linux counts the peak anew after this; elsewhere nothing happens.
fn forget_peak_memory() {
    drop(fs::write("/proc/self/clear_refs", "5"));
}

fn peak_memory_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}

/// Of this machine and build.
#[must_use]
pub fn machine() -> Machine {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let memory = field("/proc/meminfo", "MemTotal").and_then(|line| line.split(' ').next()?.parse::<u64>().ok());
    Machine {
        cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory_gib: memory.map(|kib| kib.div_ceil(1 << 20)),
        debug_assertions: cfg!(debug_assertions),
    }
}
