//! How many nodes of a pool may be disrupted now.
//!
//! Source: the reference's `nodepool.go` and `disruption/helpers.go` (karpenter-core 4.7).

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::node_pool::{Budget, DisruptionReason, NodePool};
use crate::api::schedule;

/// At most so many of `nodes` for a reason, those that are being disrupted included: the least that an active budget says.
pub(super) fn allowed(pool: &NodePool, reason: DisruptionReason, nodes: usize, now: Timestamp) -> usize {
    let of_reason = |budget: &&Budget| budget.reasons.is_empty() || budget.reasons.contains(&reason);
    let budgets = pool.spec.disruption.budgets.iter().filter(of_reason);
    budgets.filter_map(|budget| most(budget, nodes, now)).min().unwrap_or(usize::MAX)
}

/// `None` where the budget is not active. One whose schedule cannot be read allows nothing.
fn most(budget: &Budget, nodes: usize, now: Timestamp) -> Option<usize> {
    let is_active = match (&budget.schedule, &budget.duration) {
        (Some(schedule), Some(duration)) => {
            let Some(is_active) = was_hit(schedule, duration.seconds().ok()?, now) else { return Some(0) };
            is_active
        }
        _ => true,
    };
    is_active.then(|| match budget.nodes.strip_suffix('%') {
        Some(percent) => percent.parse::<usize>().map_or(0, |percent| (nodes * percent).div_ceil(100)),
        None => budget.nodes.parse().unwrap_or(0),
    })
}

/// Whether a schedule, in UTC, was hit within the last seconds.
fn was_hit(schedule: &str, seconds: u64, now: Timestamp) -> Option<bool> {
    let cron = schedule::parse(schedule)?;
    let from = now.checked_sub(std::time::Duration::from_secs(seconds)).ok()?;
    let next = cron.find_next_occurrence(&from.to_zoned(TimeZone::UTC), false).ok()?;
    Some(next.timestamp() <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(nodes: &str, schedule: Option<&str>) -> Budget {
        let duration = schedule.map(|_| "1h".into());
        Budget { nodes: nodes.to_owned(), schedule: schedule.map(str::to_owned), duration, ..Budget::default() }
    }

    #[test]
    fn shares_are_rounded_up_and_schedules_hold_for_their_duration() {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let noon = at("2026-01-05T12:00:00Z");
        assert_eq!(most(&budget("10%", None), 11, noon), Some(2));
        assert_eq!(most(&budget("3", None), 11, noon), Some(3));
        let at_noon = budget("0", Some("0 12 * * mon-fri"));
        assert_eq!(most(&at_noon, 5, noon), Some(0));
        assert_eq!(most(&at_noon, 5, at("2026-01-05T12:59:59Z")), Some(0));
        assert_eq!(most(&at_noon, 5, at("2026-01-05T13:00:01Z")), None);
        assert_eq!(most(&at_noon, 5, at("2026-01-04T12:00:00Z")), None, "a Sunday");
        assert_eq!(most(&budget("5", Some("@daily")), 5, at("2026-01-05T00:30:00Z")), Some(5));
        assert_eq!(most(&budget("5", Some("99 9 * * *")), 5, noon), Some(0));
    }
}
