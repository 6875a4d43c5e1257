//! The settings that change a decision, under the reference's names.
//!
//! Source: karpenter core settings (6.3, 6.4) and provider settings (9); ours follow.

mod scheduler_config;

pub use scheduler_config::{
    DefaultSpread, NodeInclusionPolicy, SchedulerConfigError, WhenUnsatisfiable, parse_scheduler_config,
};

use serde::{Deserialize, Serialize};

/// Part of every Snapshot, so that a decision can be reproduced from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Settings {
    /// `VM_MEMORY_OVERHEAD_PERCENT`: share of the memory that the hypervisor keeps, as a fraction.
    pub vm_memory_overhead_percent: f64,
    /// `RESERVED_ENIS`: network interfaces not used for pods.
    pub reserved_enis: u32,
    /// `PREFERENCE_POLICY`.
    pub preference_policy: PreferencePolicy,
    /// `MIN_VALUES_POLICY`.
    pub min_values_policy: MinValuesPolicy,
    /// `SCHEDULER_CONFIG`: the spread of pods that have no constraint of their own.
    pub default_topology_spread: Vec<DefaultSpread>,
    /// `FEATURE_GATES`.
    pub feature_gates: FeatureGates,
    /// A launch names at most this many instance types.
    pub max_instance_types: usize,
    /// Alternatives of a launch may be at most this much dearer than the chosen type, in permille.
    pub price_flexibility_permille: i64,
    /// Share of predicted memory that is not packed for types whose real allocatable is unknown, in permille, at least
    /// 64 MiB; 0 switches the margin off.
    pub estimate_margin_permille: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PreferencePolicy {
    /// Preferred terms and `ScheduleAnyway` are treated as required, then relaxed.
    #[default]
    Respect,
    /// Preferences do not exist.
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum MinValuesPolicy {
    /// A launch that cannot keep `minValues` is refused.
    #[default]
    Strict,
    /// `minValues` is lowered to what can be had.
    BestEffort,
}

#[allow(clippy::struct_excessive_bools)] // one switch for each gate of the reference
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FeatureGates {
    pub node_repair: bool,
    pub reserved_capacity: bool,
    pub spot_to_spot_consolidation: bool,
    pub node_overlay: bool,
    pub static_capacity: bool,
    pub capacity_buffer: bool,
}

impl Default for FeatureGates {
    fn default() -> Self {
        Self {
            node_repair: false,
            reserved_capacity: true,
            spot_to_spot_consolidation: false,
            node_overlay: false,
            static_capacity: false,
            capacity_buffer: false,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            vm_memory_overhead_percent: 0.075,
            reserved_enis: 0,
            preference_policy: PreferencePolicy::Respect,
            min_values_policy: MinValuesPolicy::Strict,
            default_topology_spread: Vec::new(),
            feature_gates: FeatureGates::default(),
            max_instance_types: 60,
            price_flexibility_permille: 100,
            estimate_margin_permille: 5,
        }
    }
}
