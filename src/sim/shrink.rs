//! Which faults a failure needs: one after another is left out, and the time is shortened, as long as it still fails.

use std::time::Duration;

use super::report::Report;
use super::scenario::{Faults, Scenario};
use super::{Options, simulate};

/// The smallest scenario found that breaks the same invariant, with its report.
#[must_use]
pub fn shrink(scenario: &Scenario, options: &Options, report: Report) -> (Scenario, Report) {
    let Some(rule) = report.broken.as_ref().map(|broken| broken.rule) else { return (scenario.clone(), report) };
    let (mut smallest, mut of_smallest) = (scenario.clone(), report);
    let mut attempt = |changed: Scenario, smallest: &mut Scenario| {
        let report = simulate(&changed, options, &mut |_| {});
        if report.broken.as_ref().is_some_and(|broken| broken.rule == rule) {
            *smallest = changed;
            of_smallest = report;
        }
    };
    for without in WITHOUT {
        let mut changed = smallest.clone();
        without(&mut changed.spec.faults);
        if changed.spec.faults != smallest.spec.faults {
            attempt(changed, &mut smallest);
        }
    }
    for _ in 0..4 {
        let mut changed = smallest.clone();
        changed.spec.time /= 2;
        if changed.spec.time >= Duration::from_secs(60) {
            attempt(changed, &mut smallest);
        }
    }
    (smallest, of_smallest)
}

/// Each leaves one kind of fault out.
const WITHOUT: [fn(&mut Faults); 20] = [
    |faults| faults.watch_lag = None,
    |faults| faults.dropped_watches = None,
    |faults| faults.conflicts = 0.0,
    |faults| faults.failed_writes = 0.0,
    |faults| faults.lost_answers = 0.0,
    |faults| faults.restarts = None,
    |faults| faults.leader_changes = None,
    |faults| faults.paused_leaders = None,
    |faults| faults.refused_writes = 0.0,
    |faults| faults.not_ready = None,
    |faults| faults.blocked_budgets = None,
    |faults| faults.slow_stops = 0.0,
    |faults| faults.failed_launches = 0.0,
    |faults| faults.lost_launches = 0.0,
    |faults| faults.slow_launches = 0.0,
    |faults| faults.insufficient_capacity = None,
    |faults| faults.never_registers = 0.0,
    |faults| faults.vanishing = None,
    |faults| faults.spot_interruptions = None,
    |faults| (faults.deleted_nodes, faults.less_allocatable) = (None, 0.0),
];
