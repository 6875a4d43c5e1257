//! How many nodes of a pool may be disrupted now, and when that changes.
//!
//! Source: the reference's `nodepool.go` and `disruption/helpers.go` (karpenter-core 4.7).

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::node_pool::{Budget, DisruptionReason};
use crate::api::schedule;
use crate::observe::Snapshot;
use crate::observe::snapshot::{NodePool, NodeStage};

/// How many nodes of a pool may go for a reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// What the strictest active budget says; more than are there where none holds.
    pub most: usize,
    /// The nodes that budgets count.
    pub nodes: usize,
    /// Those of them that are not ready, or on their way out.
    pub disrupted: usize,
}

impl Allowance {
    /// Of what budgets count.
    #[must_use]
    pub fn of(budgets: &[Budget], reason: DisruptionReason, nodes: usize, disrupted: usize, now: Timestamp) -> Self {
        Self { most: most_of(budgets, reason, nodes, now), nodes, disrupted }
    }

    /// How many more may go.
    #[must_use]
    pub fn left(self) -> usize {
        self.most.saturating_sub(self.disrupted)
    }
}

/// Of a pool of the Snapshot: its initialized nodes count, but for those whose instance is ending.
#[must_use]
pub fn allowance(snapshot: &Snapshot, pool: &NodePool, reason: DisruptionReason, now: Timestamp) -> Allowance {
    let nodes = snapshot.nodes.iter().filter(|node| {
        node.claim.is_some()
            && node.pool.as_ref() == Some(&pool.name)
            && node.stage == NodeStage::Initialized
            && !node.disruption.instance_terminating
    });
    let disrupted = nodes.clone().filter(|node| node.deleting || node.disruption.not_ready).count();
    Allowance::of(&pool.disruption.budgets, reason, nodes.count(), disrupted, now)
}

/// Whether it holds now; one that cannot be read does.
#[must_use]
pub fn is_active(budget: &Budget, now: Timestamp) -> bool {
    most(budget, 0, now).is_some()
}

/// At most so many of `nodes` for a reason, those that are being disrupted included: the least that an active budget says.
/// Repair is bound by the budgets that name it alone.
fn most_of(budgets: &[Budget], reason: DisruptionReason, nodes: usize, now: Timestamp) -> usize {
    let of_all = reason != DisruptionReason::Unhealthy;
    let of_reason = |budget: &&Budget| budget.reasons.contains(&reason) || (of_all && budget.reasons.is_empty());
    let active = budgets.iter().filter(of_reason).filter_map(|budget| most(budget, nodes, now));
    active.min().unwrap_or(usize::MAX)
}

/// When a budget begins or ends to hold next; one that is hit again before it ends goes on.
#[must_use]
pub fn next_change(budgets: &[Budget], now: Timestamp) -> Option<Timestamp> {
    budgets.iter().filter_map(|budget| next_change_of(budget, now)).min()
}

fn next_change_of(budget: &Budget, now: Timestamp) -> Option<Timestamp> {
    let cron = schedule::parse(budget.schedule.as_deref()?)?;
    let lasts = Duration::from_secs(budget.duration.as_ref()?.seconds().ok()?);
    let here = now.to_zoned(TimeZone::UTC);
    let begins = cron.find_next_occurrence(&here, false).ok().map(|at| at.timestamp());
    let began = cron.find_previous_occurrence(&here, true).ok().map(|at| at.timestamp());
    let ends = began.and_then(|began| began.checked_add(lasts).ok()).filter(|ends| *ends > now);
    begins.into_iter().chain(ends).min()
}

/// `None` where the budget is not active. One whose schedule or duration cannot be read allows nothing.
fn most(budget: &Budget, nodes: usize, now: Timestamp) -> Option<usize> {
    let is_active = match (&budget.schedule, &budget.duration) {
        (Some(schedule), Some(duration)) => {
            let was_hit = duration.seconds().ok().and_then(|seconds| was_hit(schedule, seconds, now));
            let Some(is_active) = was_hit else { return Some(0) };
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
    let from = now.checked_sub(Duration::from_secs(seconds)).ok()?;
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
        let unreadable = Budget { duration: Some("soon".into()), ..at_noon };
        assert_eq!(most(&unreadable, 5, at("2026-01-04T12:00:00Z")), Some(0));
    }

    #[test]
    fn the_strictest_budget_of_the_reason_holds_and_what_is_disrupted_counts() {
        use DisruptionReason::{Drifted, Empty, Underutilized, Unhealthy};
        let now = "2026-01-05T12:00:00Z".parse().unwrap();
        let drift = Budget { reasons: vec![Drifted], ..budget("1", None) };
        let budgets = [budget("50%", None), drift, budget("0", Some("0 13 * * *"))];
        let allowed = |reason, disrupted| Allowance::of(&budgets, reason, 9, disrupted, now).left();
        assert_eq!([allowed(Empty, 0), allowed(Underutilized, 2), allowed(Drifted, 0)], [5, 3, 1]);
        assert_eq!([allowed(Drifted, 1), allowed(Drifted, 2)], [0, 0], "never below none");
        assert!(allowed(Unhealthy, 0) > 9, "no budget names it");
        assert!(Allowance::of(&[], Empty, 9, 2, now).left() > 9, "without budgets as many as one likes");
    }

    #[test]
    fn a_change_is_when_a_budget_begins_or_ends() {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let next = |budgets: &[Budget], time: &str| next_change(budgets, at(time)).map(|at| at.to_string());
        let at_noon = budget("0", Some("0 12 * * *"));
        let of_noon = std::slice::from_ref(&at_noon);
        assert_eq!(next(of_noon, "2026-01-05T11:00:00.5Z").as_deref(), Some("2026-01-05T12:00:00Z"));
        assert_eq!(next(of_noon, "2026-01-05T12:00:00Z").as_deref(), Some("2026-01-05T13:00:00Z"));
        assert_eq!(next(of_noon, "2026-01-05T13:00:00Z").as_deref(), Some("2026-01-06T12:00:00Z"));
        let both = [at_noon, budget("1", Some("30 12 * * *"))];
        assert_eq!(next(&both, "2026-01-05T12:10:00Z").as_deref(), Some("2026-01-05T12:30:00Z"));
        assert_eq!(next(&[budget("10%", None), budget("1", Some("99 9 * * *"))], "2026-01-05T12:10:00Z"), None);
    }
}
