//! Two runs side by side: what became worse, what became better.

use std::collections::BTreeMap;

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
    }
    changes
}

/// (what is allowed, what was found) of promises that a row breaks: never dearer than the greedy with as many pods left,
/// never later than the limit, a tenth of it and 20 ms.
pub fn broken_promises(row: &Row) -> impl Iterator<Item = (f64, f64)> {
    let greedy = row.greedy_usd_hour.filter(|_| row.greedy_pods_unplaced == Some(row.pods_unplaced));
    let dearer = greedy.filter(|greedy| row.cost_usd_hour > greedy + 1e-6).map(|greedy| (greedy, row.cost_usd_hour));
    let allowed = row.time_limit_ms * LATE_PART + LATE_MS;
    let late = (row.late_ms > allowed).then_some((row.time_limit_ms + allowed, row.time_limit_ms + row.late_ms));
    dearer.into_iter().chain(late)
}

#[allow(clippy::cast_precision_loss)] // numbers of pods
fn float(count: usize) -> f64 {
    count as f64
}
