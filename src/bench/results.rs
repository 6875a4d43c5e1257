//! What was measured, as it is stored and compared.

use serde::{Deserialize, Serialize};

/// A run of the benchmarks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    /// Of Packwright.
    pub version: String,
    /// RFC 3339.
    pub date: String,
    pub machine: Machine,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: Option<u64>,
    /// Whether the program was built with debug assertions, which slow it down.
    pub debug_assertions: bool,
}

/// An instance under a time limit; of an instance that is several batches, their sums and worst cases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub instance: String,
    pub time_limit_ms: f64,
    pub batches: usize,
    /// Batches whose plan is proven to be the cheapest.
    pub optimal: usize,
    pub pods_placed: usize,
    pub pods_unplaced: usize,
    pub nodes: usize,
    pub cost_usd_hour: f64,
    /// What is proven: no plan costs less.
    pub bound_usd_hour: f64,
    /// Karpenter's packing; null where there was no time for it.
    pub greedy_usd_hour: Option<f64>,
    pub greedy_pods_unplaced: Option<usize>,
    /// A node-group autoscaler; null where it leaves pods.
    pub node_groups_usd_hour: Option<f64>,
    /// The best bound that is known of the instance, where it is known.
    pub best_bound_usd_hour: Option<f64>,
    /// Until the first plan, and until the best.
    pub first_ms: Option<f64>,
    pub best_ms: Option<f64>,
    pub elapsed_ms: f64,
    /// The largest of a batch's time beyond its limit; negative where all are in time.
    pub late_ms: f64,
    /// Of the process while it planned; null where the system does not tell.
    pub peak_memory_mib: Option<u64>,
    /// Its plans are worse than Karpenter's packing: by pods left, priority by priority, then preferences, then cost.
    #[serde(default)]
    pub is_worse_than_greedy: bool,
    /// Pods that were packed after the integer program, under rules that it does not hold.
    #[serde(default)]
    pub pods_packed_after: usize,
    pub stage: String,
    pub stop: String,
}

impl Row {
    /// Of Karpenter's cost; comparable only where both place the same number of pods.
    #[must_use]
    pub fn to_greedy(&self) -> Option<f64> {
        let greedy = self.greedy_usd_hour.filter(|_| self.greedy_pods_unplaced == Some(self.pods_unplaced))?;
        (greedy > 0.0).then(|| self.cost_usd_hour / greedy)
    }

    /// Of the best bound that is known, be it this run's own.
    #[must_use]
    pub fn to_bound(&self) -> Option<f64> {
        let bound = self.best_bound_usd_hour.unwrap_or(0.0).max(self.bound_usd_hour);
        (bound > 0.0).then(|| self.cost_usd_hour / bound)
    }
}
