//! The settings of the reference that change a decision, by the same flag and variable.

use crate::settings::{FeatureGates, MinValuesPolicy, PreferencePolicy, Settings, parse_scheduler_config};

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Settings (the reference's flags and variables)")]
pub struct SettingsArgs {
    /// Share of a type's memory that the hypervisor keeps, as a fraction.
    #[arg(long, env = "VM_MEMORY_OVERHEAD_PERCENT", default_value_t = 0.075, value_name = "FRACTION", value_parser = fraction)]
    vm_memory_overhead_percent: f64,
    /// Network interfaces of each node that are not used for pods.
    #[arg(long, env = "RESERVED_ENIS", default_value_t = 0, value_name = "N")]
    reserved_enis: u32,
    /// Whether preferred terms are tried as requirements first, or ignored.
    #[arg(long, env = "PREFERENCE_POLICY", value_enum, ignore_case = true, default_value_t = PreferencePolicy::Respect)]
    preference_policy: PreferencePolicy,
    /// Whether minValues must hold, or are lowered to what can be had.
    #[arg(long, env = "MIN_VALUES_POLICY", value_enum, ignore_case = true, default_value_t = MinValuesPolicy::Strict)]
    min_values_policy: MinValuesPolicy,
    /// Default topology spread as YAML or JSON: podTopologySpread.defaultConstraints, for pods without constraints.
    #[arg(long, env = "SCHEDULER_CONFIG", default_value = "", value_name = "CONFIG")]
    scheduler_config: String,
    /// Gates as Name=true|false, separated by commas; plan turns on the gate of every kind in its input by itself.
    #[arg(long, env = "FEATURE_GATES", default_value = "", value_name = "GATES")]
    feature_gates: String,
    /// Pods with resource claims are refused; false is not supported.
    #[arg(long, env = "IGNORE_DRA_REQUESTS", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    ignore_dra_requests: bool,
}

impl SettingsArgs {
    /// The settings that these flags stand for.
    ///
    /// # Errors
    /// One sentence that names the flag and what it expects.
    pub fn settings(&self) -> Result<Settings, String> {
        if !self.ignore_dra_requests {
            return Err("--ignore-dra-requests (IGNORE_DRA_REQUESTS) must be true: pods with resource claims are not \
                        planned yet"
                .to_owned());
        }
        Ok(Settings {
            vm_memory_overhead_percent: self.vm_memory_overhead_percent,
            reserved_enis: self.reserved_enis,
            preference_policy: self.preference_policy,
            min_values_policy: self.min_values_policy,
            default_topology_spread: parse_scheduler_config(&self.scheduler_config)
                .map_err(|error| format!("--scheduler-config (SCHEDULER_CONFIG): {error}"))?,
            feature_gates: parse_gates(&self.feature_gates)?,
            ..Settings::default()
        })
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number such as 0.075".to_owned())?;
    if (0.0..1.0).contains(&value) { Ok(value) } else { Err("expected a fraction from 0 to below 1".to_owned()) }
}

fn parse_gates(text: &str) -> Result<FeatureGates, String> {
    let mut gates = FeatureGates::default();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let Some((name, value)) = entry.split_once('=') else {
            return Err(format!("--feature-gates: '{entry}' is not Name=true or Name=false"));
        };
        let value: bool = value
            .trim()
            .parse()
            .map_err(|_| format!("--feature-gates: {name} expects true or false, found '{value}'"))?;
        match name.trim() {
            "NodeRepair" => gates.node_repair = value,
            "ReservedCapacity" => gates.reserved_capacity = value,
            "SpotToSpotConsolidation" => gates.spot_to_spot_consolidation = value,
            "NodeOverlay" => gates.node_overlay = value,
            "StaticCapacity" => gates.static_capacity = value,
            "CapacityBuffer" => gates.capacity_buffer = value,
            other => {
                return Err(format!(
                    "--feature-gates: there is no gate {other}: expected NodeRepair, ReservedCapacity, \
                     SpotToSpotConsolidation, NodeOverlay, StaticCapacity or CapacityBuffer"
                ));
            }
        }
    }
    Ok(gates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_by_name() {
        let gates = parse_gates("NodeOverlay=true, ReservedCapacity=false").unwrap();
        assert!(gates.node_overlay && !gates.reserved_capacity && !gates.capacity_buffer);
        assert!(parse_gates("NodeOverlay").unwrap_err().contains("Name=true"));
        assert!(parse_gates("Nope=true").unwrap_err().contains("no gate Nope"));
        assert!(parse_gates("NodeOverlay=yes").unwrap_err().contains("'yes'"));
    }
}
