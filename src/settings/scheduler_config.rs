//! `SCHEDULER_CONFIG`: what the cluster's kube-scheduler is configured to add to pods.
//!
//! Source: karpenter core settings (6.3) and default spread (2.4); the constraints are those of kube-scheduler's
//! `PodTopologySpreadArgs`.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::reading;

/// A spread constraint for pods that carry none. Its selector is deduced for each pod, so it has none of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefaultSpread {
    pub max_skew: NonZeroU32,
    pub topology_key: Arc<str>,
    pub when_unsatisfiable: WhenUnsatisfiable,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_domains: Option<NonZeroU32>,
    #[serde(default = "honor")]
    pub node_affinity_policy: NodeInclusionPolicy,
    #[serde(default = "ignore")]
    pub node_taints_policy: NodeInclusionPolicy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WhenUnsatisfiable {
    DoNotSchedule,
    ScheduleAnyway,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodeInclusionPolicy {
    Honor,
    Ignore,
}

fn honor() -> NodeInclusionPolicy {
    NodeInclusionPolicy::Honor
}

fn ignore() -> NodeInclusionPolicy {
    NodeInclusionPolicy::Ignore
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SchedulerConfig {
    #[serde(default)]
    pod_topology_spread: Option<PodTopologySpread>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodTopologySpread {
    #[serde(default)]
    default_constraints: Vec<DefaultSpread>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchedulerConfigError {
    #[error("not a scheduler configuration: {0}")]
    Format(String),
    #[error("podTopologySpread.defaultConstraints[{0}]: topologyKey: expected a label key, found nothing")]
    NoKey(usize),
    #[error("podTopologySpread.defaultConstraints[{index}]: a second constraint with {key} and {when:?}")]
    Duplicate { index: usize, key: Arc<str>, when: WhenUnsatisfiable },
    #[error("podTopologySpread.defaultConstraints[{0}]: minDomains needs whenUnsatisfiable DoNotSchedule")]
    MinDomains(usize),
}

/// Reads the configuration, YAML or JSON; an empty text adds nothing.
///
/// # Errors
/// A field that is unknown or does not fit, or two constraints with the same key and `whenUnsatisfiable`.
pub fn parse_scheduler_config(text: &str) -> Result<Vec<DefaultSpread>, SchedulerConfigError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        let reason = error.without_snippet().to_string();
        SchedulerConfigError::Format(reason.lines().next().unwrap_or_default().to_owned())
    })?;
    let config = reading::read::<SchedulerConfig>(&value)
        .map_err(|error| SchedulerConfigError::Format(error.to_string()))?
        .object;
    let constraints = config.pod_topology_spread.map(|spread| spread.default_constraints).unwrap_or_default();
    let mut seen = BTreeSet::new();
    for (index, constraint) in constraints.iter().enumerate() {
        let (key, when) = (constraint.topology_key.clone(), constraint.when_unsatisfiable);
        if key.is_empty() {
            return Err(SchedulerConfigError::NoKey(index));
        }
        if constraint.min_domains.is_some() && when != WhenUnsatisfiable::DoNotSchedule {
            return Err(SchedulerConfigError::MinDomains(index));
        }
        if !seen.insert((key.clone(), when)) {
            return Err(SchedulerConfigError::Duplicate { index, key, when });
        }
    }
    Ok(constraints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_read_with_the_documented_defaults() {
        let yaml = "podTopologySpread:\n  defaultConstraints:\n  - maxSkew: 2\n    topologyKey: topology.kubernetes.io/zone\n    \
                    whenUnsatisfiable: ScheduleAnyway\n";
        let json = r#"{"podTopologySpread": {"defaultConstraints": [{"maxSkew": 2,
            "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}]}}"#;
        let expected = DefaultSpread {
            max_skew: NonZeroU32::new(2).unwrap(),
            topology_key: Arc::from("topology.kubernetes.io/zone"),
            when_unsatisfiable: WhenUnsatisfiable::ScheduleAnyway,
            min_domains: None,
            node_affinity_policy: NodeInclusionPolicy::Honor,
            node_taints_policy: NodeInclusionPolicy::Ignore,
        };
        assert_eq!(parse_scheduler_config(yaml), Ok(vec![expected.clone()]));
        assert_eq!(parse_scheduler_config(json), Ok(vec![expected]));
        assert_eq!(parse_scheduler_config(" \n"), Ok(Vec::new()));
        assert_eq!(parse_scheduler_config("{}"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let one = |extra: &str| {
            format!(
                "podTopologySpread: {{defaultConstraints: [{{maxSkew: 1, topologyKey: z, whenUnsatisfiable: \
                 ScheduleAnyway{extra}}}]}}"
            )
        };
        assert_eq!(parse_scheduler_config(&one("")).map(|read| read.len()), Ok(1));
        for (text, expected) in [
            (
                one(", labelSelector: {}"),
                "defaultConstraints[0].labelSelector: unknown field: expected one of maxSkew,",
            ),
            (one(", matchLabelKeys: [a]"), "matchLabelKeys"),
            (one(", minDomains: 2"), "[0]: minDomains needs"),
            (
                one("}, {maxSkew: 2, topologyKey: z, whenUnsatisfiable: ScheduleAnyway"),
                "[1]: a second constraint with z",
            ),
            (
                one("").replace("maxSkew: 1", "maxSkew: 0"),
                "not a scheduler configuration: podTopologySpread.defaultConstraints[0].maxSkew: expected a whole number \
                 above zero, found 0",
            ),
            (
                one("").replace("ScheduleAnyway", "Sometimes"),
                "whenUnsatisfiable: expected DoNotSchedule or ScheduleAnyway, found 'Sometimes'",
            ),
            (one("").replace(": z,", ": '',"), "[0]: topologyKey"),
            ("profiles: []".to_owned(), "profiles"),
            ("- 1".to_owned(), "not a scheduler configuration"),
        ] {
            let error = parse_scheduler_config(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
