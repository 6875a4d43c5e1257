//! The kubelet's configuration, which the API leaves open and the reference's controller checks.
//!
//! Source: karpenter-provider-aws, the validation of the node class's kubelet field; the field's names and ranges are
//! those of `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1).

mod fields;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Errors;
use crate::api::duration::Duration;
use crate::api::ec2_node_class::{AMIFamily, KubeletConfiguration};
use crate::api::reading::nearest_name;

/// The fields that image families other than AL2023 and Custom can pass on.
const MAPPED: [&str; 12] = [
    "clusterDNS",
    "maxPods",
    "podsPerCore",
    "systemReserved",
    "kubeReserved",
    "evictionHard",
    "evictionSoft",
    "evictionSoftGracePeriod",
    "evictionMaxPodGracePeriod",
    "imageGCHighThresholdPercent",
    "imageGCLowThresholdPercent",
    "cpuCFSQuota",
];
const SIGNALS: [&str; 6] = [
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
];
const RESERVED: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pid"];

impl Errors {
    pub(super) fn kubelet(&mut self, field: &str, kubelet: &KubeletConfiguration, family: AMIFamily) {
        self.known_fields(field, kubelet);
        self.supported_fields(field, kubelet, family);
        for (name, high) in [
            ("maxPods", i64::from(i32::MAX)),
            ("podsPerCore", i64::from(i32::MAX)),
            ("evictionMaxPodGracePeriod", i64::from(i32::MAX)),
            ("imageGCHighThresholdPercent", 100),
            ("imageGCLowThresholdPercent", 100),
        ] {
            match kubelet.get(name).map(Value::as_i64) {
                None => {}
                Some(Some(value)) if (0..=high).contains(&value) => {}
                Some(Some(value)) => {
                    self.add(format!("{field}.{name}"), format!("found {value}: expected 0 to {high}"));
                }
                Some(None) => {
                    self.add(format!("{field}.{name}"), format!("found {}: expected an integer", kubelet[name]));
                }
            }
        }
        let percent = |name: &str| kubelet.get(name).and_then(Value::as_i64);
        if let (Some(high), Some(low)) = (percent("imageGCHighThresholdPercent"), percent("imageGCLowThresholdPercent"))
            && high <= low
        {
            self.add(
                format!("{field}.imageGCHighThresholdPercent"),
                format!("found {high}: expected more than imageGCLowThresholdPercent, which is {low}"),
            );
        }
        for name in ["kubeReserved", "systemReserved"] {
            self.entries(
                &format!("{field}.{name}"),
                kubelet.get(name),
                &RESERVED,
                is_amount,
                "a quantity of 0 or more",
            );
        }
        for name in ["evictionHard", "evictionSoft"] {
            let expected = "a percentage from 0% to 100%, or a quantity of 0 or more";
            self.entries(&format!("{field}.{name}"), kubelet.get(name), &SIGNALS, is_threshold, expected);
        }
        let is_duration = |text: &str| Duration::from(text).seconds().is_ok();
        let periods = kubelet.get("evictionSoftGracePeriod");
        let period_field = format!("{field}.evictionSoftGracePeriod");
        self.entries(&period_field, periods, &SIGNALS, is_duration, "a duration such as 1m30s");
        let (soft, periods) = (keys(kubelet.get("evictionSoft")), keys(periods));
        for signal in soft.difference(&periods) {
            self.add(format!("{field}.evictionSoft.{signal}"), "found no evictionSoftGracePeriod for it: expected one");
        }
        for signal in periods.difference(&soft) {
            self.add(format!("{period_field}.{signal}"), "found no evictionSoft for it: expected one");
        }
    }

    /// Whatever the family: a setting that no kubelet knows would be dropped by some, and one of another kind keeps them from starting.
    fn known_fields(&mut self, field: &str, kubelet: &KubeletConfiguration) {
        for (name, value) in kubelet {
            let field = format!("{field}.{name}");
            match fields::kind(name) {
                Some(kind) if kind.allows(value) => {}
                Some(kind) => self.add(field, format!("found {value}: expected {}", kind.expected())),
                None => {
                    let near = nearest_name(name, fields::names());
                    let meant = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
                    self.add(field, format!("found {name}: expected a field of KubeletConfiguration{meant}"));
                }
            }
        }
    }

    fn supported_fields(&mut self, field: &str, kubelet: &KubeletConfiguration, family: AMIFamily) {
        if kubelet.contains_key("registerWithTaints") {
            self.add(format!("{field}.registerWithTaints"), "found taints: they are set by the NodePool");
        }
        if matches!(family, AMIFamily::AL2023 | AMIFamily::Custom) {
            return;
        }
        let bottlerocket = family == AMIFamily::Bottlerocket;
        for name in kubelet.keys() {
            let is_known = fields::kind(name).is_some();
            if is_known && !MAPPED.contains(&name.as_str()) || (bottlerocket && name == "podsPerCore") {
                self.add(format!("{field}.{name}"), format!("found {name}: {family:?} images do not support it"));
            }
        }
        if let Some(servers) = kubelet.get("clusterDNS").and_then(Value::as_array).filter(|s| s.len() > 1) {
            self.add(
                format!("{field}.clusterDNS"),
                format!("found {} addresses: {family:?} images support one", servers.len()),
            );
        }
    }

    /// A map from some of `known` to texts that satisfy `valid`.
    fn entries(
        &mut self,
        field: &str,
        entries: Option<&Value>,
        known: &[&str],
        valid: impl Fn(&str) -> bool,
        expected: &str,
    ) {
        let Some(entries) = entries else { return };
        let Some(entries) = entries.as_object() else {
            self.add(field, "found no mapping: expected one from names to texts");
            return;
        };
        for (key, value) in entries {
            let field = format!("{field}.{key}");
            if !known.contains(&key.as_str()) {
                self.add(&field, format!("found {key}: expected one of {}", known.join(", ")));
            }
            match value.as_str() {
                Some(text) if valid(text) => {}
                Some(text) => self.add(field, format!("found '{text}': expected {expected}")),
                None => self.add(field, format!("found {value}: expected a text, {expected}")),
            }
        }
    }
}

fn is_amount(text: &str) -> bool {
    !text.starts_with('-') && text.parse::<crate::units::Quantity>().is_ok()
}

fn is_threshold(text: &str) -> bool {
    match text.strip_suffix('%') {
        Some(percent) => super::is_match(r"^(\d{1,2}(\.\d+)?|100(\.0+)?)$", percent),
        None => is_amount(text),
    }
}

fn keys(entries: Option<&Value>) -> BTreeSet<&str> {
    entries.and_then(Value::as_object).map(Map::keys).into_iter().flatten().map(String::as_str).collect()
}
