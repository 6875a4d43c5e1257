//! How many evictions PodDisruptionBudgets have room for.

use std::collections::BTreeMap;

use crate::observe::Snapshot;
use crate::observe::snapshot::PodDisruptionBudget;

/// Evictions at once, counted by the budget that each of them uses up: by index into `Snapshot::disruption_budgets`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evictions(BTreeMap<usize, usize>);

impl Evictions {
    /// Of pods, by index into `Snapshot::pods`. Those that their budget lets go at any time use nothing up.
    #[must_use]
    pub fn of(snapshot: &Snapshot, pods: impl IntoIterator<Item = usize>) -> Self {
        let mut counts = BTreeMap::new();
        for pod in pods {
            let disruption = &snapshot.pods[pod].disruption;
            for &index in &disruption.budgets {
                let is_free = |budget: &PodDisruptionBudget| budget.always_allows_unhealthy && disruption.not_ready;
                if snapshot.disruption_budgets.get(index).is_some_and(|budget| !is_free(budget)) {
                    *counts.entry(index).or_default() += 1;
                }
            }
        }
        Self(counts)
    }

    /// Whether budgets have room for these beside others. `alone`: they are of one node, which is drained pod by pod as a budget
    /// allows, as long as no other node waits for the same budget.
    #[must_use]
    pub fn fit(&self, snapshot: &Snapshot, others: &Self, alone: bool) -> bool {
        self.0.iter().all(|(&index, count)| {
            let before = others.0.get(&index).copied().unwrap_or(0);
            let allowed = snapshot.disruption_budgets.get(index).map_or(0, |budget| budget.disruptions_allowed);
            (alone && before == 0) || before + count <= usize::try_from(allowed).unwrap_or(usize::MAX)
        })
    }

    /// These as well.
    pub fn add(&mut self, others: &Self) {
        for (&index, count) in &others.0 {
            *self.0.entry(index).or_default() += count;
        }
    }
}
