//! Two runs side by side: what became worse, what became better.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::results::{Results, Row};

/// A figure that changed by more than the threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub instance: String,
    pub time_limit_ms: f64,
    pub what: What,
    pub before: f64,
    pub after: f64,
    pub is_worse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    PodsUnplaced,
    Cost,
    Bound,
    /// Peak memory, MiB; from a tenth and 8 MiB on.
    Memory,
    /// Until the first answer, milliseconds; from half as long again and 10 ms on: machines differ.
    FirstAnswer,
    /// A row that the second run lacks: milliseconds allowed, and none.
    NotMeasured,
    /// Cost beyond the greedy's, or an answer later than its limit: never allowed.
    Promise,
}

/// An answer may be as late as this part of its limit and so many milliseconds.
const LATE_PART: f64 = 0.1;
const LATE_MS: f64 = 20.0;

/// Changes by more than `threshold` (a part, such as 0.01) of the rows that both runs have; broken promises always.
#[must_use]
pub fn changes(before: &Results, after: &Results, threshold: f64) -> Vec<Change> {
    let key = |row: &Row| (row.instance.clone(), row.time_limit_ms.to_bits());
    let known: BTreeMap<_, &Row> = before.rows.iter().map(|row| (key(row), row)).collect();
    let mut changes = Vec::new();
    for row in &after.rows {
        let change = |what, before, after, is_worse| Change {
            instance: row.instance.clone(),
            time_limit_ms: row.time_limit_ms,
            what,
            before,
            after,
            is_worse,
        };
        changes.extend(broken_promises(row).map(|(allowed, found)| change(What::Promise, allowed, found, true)));
        let Some(old) = known.get(&key(row)) else { continue };
        if old.pods_unplaced != row.pods_unplaced {
            let (before, after) = (float(old.pods_unplaced), float(row.pods_unplaced));
            changes.push(change(What::PodsUnplaced, before, after, after > before));
            continue; // what they cost cannot be compared
        }
        let differs = |a: f64, b: f64| (a - b).abs() > threshold * a.abs().max(1e-9);
        if differs(old.cost_usd_hour, row.cost_usd_hour) {
            let is_worse = row.cost_usd_hour > old.cost_usd_hour;
            changes.push(change(What::Cost, old.cost_usd_hour, row.cost_usd_hour, is_worse));
        }
        if differs(old.bound_usd_hour, row.bound_usd_hour) {
            let is_worse = row.bound_usd_hour < old.bound_usd_hour;
            changes.push(change(What::Bound, old.bound_usd_hour, row.bound_usd_hour, is_worse));
        }
        let worst = |part: f64, least: f64| move |of: f64| (of * (1.0 + part)).max(of + least);
        let mut grown = |what, before: Option<f64>, after: Option<f64>, allowed: &dyn Fn(f64) -> f64| {
            let (Some(before), Some(after)) = (before, after) else { return };
            if after > allowed(before) || before > allowed(after) {
                changes.push(change(what, before, after, after > before));
            }
        };
        let mib = |row: &Row| row.peak_memory_mib.map(|mib| float(usize::try_from(mib).unwrap_or(usize::MAX)));
        grown(What::Memory, mib(old), mib(row), &worst(threshold.max(0.1), 8.0));
        grown(What::FirstAnswer, old.first_ms, row.first_ms, &worst(threshold.max(0.5), 10.0));
    }
    let found: BTreeSet<_> = after.rows.iter().map(key).collect();
    for row in before.rows.iter().filter(|row| !found.contains(&key(row))) {
        let (instance, time_limit_ms) = (row.instance.clone(), row.time_limit_ms);
        // some may have been asked for alone
        let (what, is_worse) = (What::NotMeasured, false);
        changes.push(Change { instance, time_limit_ms, what, before: time_limit_ms, after: 0.0, is_worse });
    }
    changes
}

/// (what is allowed, what was found) of promises that a row breaks: never worse than the greedy, which is told by its cost,
/// never later than the limit, a tenth of it and 20 ms.
pub fn broken_promises(row: &Row) -> impl Iterator<Item = (f64, f64)> {
    let greedy = row.greedy_usd_hour.filter(|_| row.is_worse_than_greedy);
    let dearer = greedy.map(|greedy| (greedy, row.cost_usd_hour));
    let allowed = row.time_limit_ms * LATE_PART + LATE_MS;
    let late = (row.late_ms > allowed).then_some((row.time_limit_ms + allowed, row.time_limit_ms + row.late_ms));
    dearer.into_iter().chain(late)
}

#[allow(clippy::cast_precision_loss)] // numbers of pods
fn float(count: usize) -> f64 {
    count as f64
}
