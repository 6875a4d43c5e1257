//! The settings that change a decision: those of the reference by its flags and variables, and ours.

use std::collections::BTreeSet;

use super::words::boolean;
use crate::observe::GatesByInput;
use crate::settings::{FeatureGates, MinValuesPolicy, PreferencePolicy, Settings, parse_scheduler_config};
use crate::units::Quantity;

/// What decides how much of a node pods may use.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Settings of nodes")]
pub struct NodeSettingsArgs {
    /// Share of a type's memory that the hypervisor keeps, as a fraction.
    #[arg(long, env = "VM_MEMORY_OVERHEAD_PERCENT", default_value_t = 0.075, value_name = "FRACTION", value_parser = fraction)]
    vm_memory_overhead_percent: f64,
    /// Network interfaces of each node that are not used for pods.
    #[arg(long, env = "RESERVED_ENIS", default_value_t = 0, value_name = "N", value_parser = whole::<u32>)]
    reserved_enis: u32,
    /// Share of a type's predicted memory, at least 64 MiB, that is not packed, because real nodes differ; 0 packs it all.
    #[arg(long, env = "PACKWRIGHT_ESTIMATE_MARGIN", default_value = "0.005", value_name = "FRACTION", value_parser = share)]
    estimate_margin: i64,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Settings (the reference's flags and variables)")]
pub struct SettingsArgs {
    /// Whether preferred terms are tried as requirements first, or ignored.
    #[arg(long, env = "PREFERENCE_POLICY", value_enum, ignore_case = true, default_value_t = PreferencePolicy::Respect)]
    preference_policy: PreferencePolicy,
    /// Whether minValues must hold, or are lowered to what can be had.
    #[arg(long, env = "MIN_VALUES_POLICY", value_enum, ignore_case = true, default_value_t = MinValuesPolicy::Strict)]
    min_values_policy: MinValuesPolicy,
    /// Default topology spread as YAML or JSON: podTopologySpread.defaultConstraints, for pods without constraints.
    #[arg(long, env = "SCHEDULER_CONFIG", default_value = "", value_name = "CONFIG")]
    scheduler_config: String,
    /// Gates as Name=true|false, separated by commas: NodeRepair, ReservedCapacity, SpotToSpotConsolidation, NodeOverlay,
    /// StaticCapacity and CapacityBuffer; NodeClassCEL is accepted and changes nothing. Of those that are not given, plan turns on
    /// the one for each kind that its input has (NodeOverlay, CapacityBuffer).
    #[arg(long, env = "FEATURE_GATES", default_value = "", value_name = "GATES")]
    feature_gates: String,
    /// Pods with resource claims are refused; false is not supported.
    #[arg(long, env = "IGNORE_DRA_REQUESTS", default_value = "true", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    ignore_dra_requests: bool,
    #[command(flatten)]
    nodes: NodeSettingsArgs,
    #[command(flatten)]
    launches: LaunchSettingsArgs,
}

/// What a launch may name, and which of nearly equal plans is taken.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Settings of launches")]
struct LaunchSettingsArgs {
    /// A launch names at most this many instance types.
    #[arg(long, env = "PACKWRIGHT_MAX_INSTANCE_TYPES", default_value_t = 60, value_name = "N", value_parser = count)]
    max_instance_types: usize,
    /// How much dearer than the chosen type the alternatives of a launch may be, as a fraction of its price.
    #[arg(long, env = "PACKWRIGHT_PRICE_FLEXIBILITY", default_value = "0.1", value_name = "FRACTION", value_parser = flexibility)]
    price_flexibility: i64,
}

impl NodeSettingsArgs {
    /// These settings, and the others as they are by default.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            vm_memory_overhead_percent: self.vm_memory_overhead_percent,
            reserved_enis: self.reserved_enis,
            estimate_margin_permille: self.estimate_margin,
            ..Settings::default()
        }
    }
}

impl SettingsArgs {
    /// The settings that these flags stand for, and which gates the kinds of the input may turn on.
    ///
    /// # Errors
    /// One sentence that names the flag and what it expects.
    pub fn settings(&self) -> Result<(Settings, GatesByInput), String> {
        if !self.ignore_dra_requests {
            return Err("--ignore-dra-requests (IGNORE_DRA_REQUESTS) must be true: pods with resource claims are not \
                        planned yet"
                .to_owned());
        }
        let (feature_gates, named) = parse_gates(&self.feature_gates)?;
        let settings = Settings {
            preference_policy: self.preference_policy,
            min_values_policy: self.min_values_policy,
            default_topology_spread: parse_scheduler_config(&self.scheduler_config)
                .map_err(|error| format!("--scheduler-config (SCHEDULER_CONFIG): {error}"))?,
            feature_gates,
            max_instance_types: self.launches.max_instance_types,
            price_flexibility_permille: self.launches.price_flexibility,
            ..self.nodes.settings()
        };
        Ok((settings, GatesByInput::TurnOnExcept(named)))
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok().filter(|value| (0.0..1.0).contains(value));
    value.ok_or_else(|| "expected a fraction from 0 to below 1, such as 0.075".to_owned())
}

/// A fraction below 1, in thousandths.
fn share(text: &str) -> Result<i64, String> {
    thousandths(text)
        .filter(|permille| *permille < 1_000)
        .ok_or_else(|| "expected a fraction from 0 to below 1 with at most three decimals, such as 0.005".to_owned())
}

/// A fraction of up to ten times, in thousandths.
fn flexibility(text: &str) -> Result<i64, String> {
    thousandths(text)
        .filter(|permille| *permille <= 10_000)
        .ok_or_else(|| "expected a fraction from 0 to 10 with at most three decimals, such as 0.1".to_owned())
}

fn thousandths(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let millionths = text.parse::<Quantity>().ok().filter(|_| plain)?.micro_value();
    (millionths % 1_000 == 0).then_some(millionths / 1_000)
}

/// A number that may be zero.
pub(super) fn whole<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| "expected a whole number that is not negative".to_owned())
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    whole(text).ok().filter(|count| *count > 0).ok_or_else(|| "expected a whole number above zero".to_owned())
}

/// The gates, and the names of those that the text sets.
fn parse_gates(text: &str) -> Result<(FeatureGates, BTreeSet<String>), String> {
    let mut gates = FeatureGates::default();
    let mut named = BTreeSet::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let Some((name, value)) = entry.split_once('=') else {
            return Err(format!("--feature-gates: '{entry}' is not Name=true or Name=false"));
        };
        let value = boolean(value.trim())
            .map_err(|expected| format!("--feature-gates: {name}: {expected}, found '{value}'"))?;
        match name.trim() {
            "NodeRepair" => gates.node_repair = value,
            "ReservedCapacity" => gates.reserved_capacity = value,
            "SpotToSpotConsolidation" => gates.spot_to_spot_consolidation = value,
            "NodeOverlay" => gates.node_overlay = value,
            "StaticCapacity" => gates.static_capacity = value,
            "CapacityBuffer" => gates.capacity_buffer = value,
            "NodeClassCEL" => {} // of the AWS provider's admission, which is none of ours
            other => {
                return Err(format!(
                    "--feature-gates: there is no gate {other}: expected NodeRepair, ReservedCapacity, \
                     SpotToSpotConsolidation, NodeOverlay, StaticCapacity or CapacityBuffer"
                ));
            }
        }
        named.insert(name.trim().to_owned());
    }
    Ok((gates, named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_by_name() {
        let (gates, named) = parse_gates("NodeOverlay=1, ReservedCapacity=False,NodeClassCEL=true").unwrap();
        assert_eq!(named.into_iter().collect::<Vec<_>>(), ["NodeClassCEL", "NodeOverlay", "ReservedCapacity"]);
        assert!(gates.node_overlay && !gates.reserved_capacity && !gates.capacity_buffer);
        assert!(parse_gates("NodeOverlay").unwrap_err().contains("Name=true"));
        assert!(parse_gates("Nope=true").unwrap_err().contains("no gate Nope"));
        assert!(parse_gates("NodeOverlay=yes").unwrap_err().contains("'yes'"));
    }

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        settings: SettingsArgs,
    }

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_settings() {
        let alone = <Alone as clap::Parser>::try_parse_from(["test"]).unwrap();
        assert_eq!(alone.settings.settings().unwrap().0, Settings::default());
    }

    #[test]
    fn shares_are_read_in_thousandths() {
        assert_eq!((share("0.005"), share("0"), share("0.999")), (Ok(5), Ok(0), Ok(999)));
        for wrong in ["1", "-0.1", "0.0001", "10%", "", "x"] {
            assert!(share(wrong).unwrap_err().starts_with("expected a fraction from 0 to below 1"), "{wrong}");
        }
        assert_eq!((flexibility("0.1"), flexibility("2")), (Ok(100), Ok(2_000)));
        assert!(flexibility("11").unwrap_err().contains("from 0 to 10"));
        assert_eq!((whole("7"), count("60")), (Ok(7), Ok(60)));
        assert!(
            whole::<u32>("-1").is_err() && whole::<u32>("x").is_err() && count("0").is_err() && count("1.5").is_err()
        );
    }
}
