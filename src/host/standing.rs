//! Where a plan stands among others of the same snapshot.

use std::cmp::Reverse;

use crate::observe::Snapshot;
use crate::plan::Plan;
use crate::plan::preferences::Preferences;
use crate::solve::Levels;

/// What plans are measured by.
pub(super) struct Yardstick<'s> {
    snapshot: &'s Snapshot,
    /// Of the pending pods, highest first.
    pub priorities: Vec<i32>,
    preferences: Preferences<'s>,
}

impl<'s> Yardstick<'s> {
    pub fn new(snapshot: &'s Snapshot) -> Self {
        let mut priorities: Vec<i32> = snapshot.pending().map(|(_, pod)| pod.template.spec.priority).collect();
        priorities.sort_unstable_by_key(|priority| Reverse(*priority));
        priorities.dedup();
        Self { snapshot, priorities, preferences: Preferences::new(snapshot) }
    }

    pub fn measure<State>(&self, plan: &Plan<State>) -> Levels {
        let mut left = vec![0; self.priorities.len()];
        for unplaced in &plan.unplaced {
            let own = self.snapshot.pods[unplaced.pod].template.spec.priority;
            if let Ok(level) = self.priorities.binary_search_by_key(&Reverse(own), |priority| Reverse(*priority)) {
                left[level] += 1;
            }
        }
        Levels { left, violated: self.preferences.violated(plan), cost: plan.cost().0 }
    }
}
