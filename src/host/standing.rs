//! Where a plan stands among others: pods left by priority, then preferences given up, then cost.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use crate::observe::Snapshot;
use crate::plan::{Checked, Plan, preferences};
use crate::solve::few::Levels;
use crate::units::MicroUsd;

/// The vector by which plans are compared, level by level.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Pods left, highest priority first.
    left: BTreeMap<Reverse<i32>, usize>,
    /// Weight of what the placed pods would have preferred.
    violated: i64,
    cost: MicroUsd,
}

impl Standing {
    pub fn of(snapshot: &Snapshot, plan: &Plan<Checked>) -> Self {
        let mut left = BTreeMap::new();
        for unplaced in &plan.unplaced {
            *left.entry(Reverse(snapshot.pods[unplaced.pod].template.spec.priority)).or_insert(0) += 1;
        }
        Self { left, violated: preferences::violated(snapshot, plan), cost: plan.cost() }
    }

    /// The same vector as numbers, pods left in this order of priorities.
    pub fn levels(&self, priorities: &[i32]) -> Levels {
        let left = priorities.iter().map(|&priority| self.left.get(&Reverse(priority)).copied().unwrap_or(0));
        Levels { left: left.collect(), violated: self.violated, cost: self.cost.0 }
    }

    pub fn is_better_than(&self, other: &Self) -> bool {
        let priorities: BTreeSet<&Reverse<i32>> = self.left.keys().chain(other.left.keys()).collect();
        let count = |of: &Self, priority| of.left.get(priority).copied().unwrap_or(0);
        let pods = priorities.into_iter().map(|priority| count(self, priority).cmp(&count(other, priority)));
        let rest = [self.violated.cmp(&other.violated), self.cost.cmp(&other.cost)];
        pods.chain(rest).find(|order| order.is_ne()) == Some(Ordering::Less)
    }
}
