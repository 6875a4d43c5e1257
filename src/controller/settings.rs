//! What a controller is told besides what is in the cluster.

use std::sync::Arc;
use std::time::Duration;

use super::valves::Valves;
use crate::cloud::Provider;
use crate::consolidation::Policy;
use crate::placement;
use crate::settings::Settings;

/// Settings of the loops; those of decisions are a part.
#[derive(Debug, Clone)]
pub struct ControllerSettings {
    /// Of every decision.
    pub decision: Settings,
    /// Where instances are.
    pub provider: Provider,
    /// Where nodes are launched.
    pub region: Arc<str>,
    /// `BATCH_IDLE_DURATION`: a batch of pods is closed when no new one came for so long.
    pub batch_idle: Duration,
    /// `BATCH_MAX_DURATION`: a batch is closed at most so long after its first pod.
    pub batch_max: Duration,
    /// `settings.placement`.
    pub placement: placement::Mode,
    /// How long nodes are kept for their pods.
    pub placement_limits: placement::Limits,
    /// Decide and say so, and do nothing.
    pub shadow: bool,
    /// How often is looked at which nodes may be disrupted, for events and metrics: it takes a Snapshot. `None`: nobody reads them.
    pub disruption_looks: Option<Duration>,
    /// When nodes that are used go, because their pods fit elsewhere or for less. `None`: never.
    pub consolidation: Policy,
    /// What binds decisions.
    pub valves: Valves,
    /// Every step looks at every claim, as a test compares.
    #[cfg(test)]
    pub is_undivided: bool,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self {
            decision: Settings::default(),
            provider: Provider::default(),
            region: Arc::from("us-east-1"),
            batch_idle: Duration::from_secs(1),
            batch_max: Duration::from_secs(10),
            placement: placement::Mode::default(),
            placement_limits: placement::Limits::default(),
            shadow: false,
            disruption_looks: Some(Duration::from_secs(2 * 60)),
            consolidation: Policy::default(),
            valves: Valves::default(),
            #[cfg(test)]
            is_undivided: false,
        }
    }
}
