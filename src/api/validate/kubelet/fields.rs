//! The fields of `KubeletConfiguration` and what JSON has for each: the reference's controller decodes them strictly.
//!
//! Source: kubelet.config.k8s.io/v1beta1 of Kubernetes 1.36.

use serde_json::Value;

/// What JSON has for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    /// Of 32 bits.
    Integer,
    /// Of 64 bits.
    Long,
    Number,
    Duration,
    Texts,
    Object,
    Objects,
    TextByName,
    BoolByName,
    TextsByName,
    /// Its values are looked at one by one.
    Checked,
}

const FIELDS: [(Kind, &[&str]); 13] = [
    (
        Kind::Text,
        &[
            "apiVersion",
            "kind",
            "address",
            "cgroupDriver",
            "cgroupRoot",
            "clusterDomain",
            "configMapAndSecretChangeDetectionStrategy",
            "containerLogMaxSize",
            "containerRuntimeEndpoint",
            "contentType",
            "cpuManagerPolicy",
            "hairpinMode",
            "healthzBindAddress",
            "imagePullCredentialsVerificationPolicy",
            "imageServiceEndpoint",
            "kubeReservedCgroup",
            "kubeletCgroups",
            "memoryManagerPolicy",
            "memoryReservationPolicy",
            "podCIDR",
            "podLogsDir",
            "providerID",
            "reservedSystemCPUs",
            "resolvConf",
            "showHiddenMetricsForVersion",
            "staticPodPath",
            "staticPodURL",
            "systemCgroups",
            "systemReservedCgroup",
            "tlsCertFile",
            "tlsMinVersion",
            "tlsPrivateKeyFile",
            "topologyManagerPolicy",
            "topologyManagerScope",
            "volumePluginDir",
        ],
    ),
    (
        Kind::Bool,
        &[
            "cgroupsPerQOS",
            "cpuCFSQuota",
            "enableContentionProfiling",
            "enableControllerAttachDetach",
            "enableDebugFlagsHandler",
            "enableDebuggingHandlers",
            "enableProfilingHandler",
            "enableServer",
            "enableSystemLogHandler",
            "enableSystemLogQuery",
            "failCgroupV1",
            "failSwapOn",
            "kernelMemcgNotification",
            "localStorageCapacityIsolation",
            "makeIPTablesUtilChains",
            "mergeDefaultEvictionSettings",
            "protectKernelDefaults",
            "registerNode",
            "rotateCertificates",
            "runOnce",
            "seccompDefault",
            "serializeImagePulls",
            "serverTLSBootstrap",
            "singleProcessOOMKill",
        ],
    ),
    (
        Kind::Integer,
        &[
            "containerLogMaxFiles",
            "containerLogMaxWorkers",
            "eventBurst",
            "eventRecordQPS",
            "healthzPort",
            "iptablesDropBit",
            "iptablesMasqueradeBit",
            "kubeAPIBurst",
            "kubeAPIQPS",
            "maxParallelImagePulls",
            "nodeLeaseDurationSeconds",
            "nodeStatusMaxImages",
            "oomScoreAdj",
            "port",
            "readOnlyPort",
            "registryBurst",
            "registryPullQPS",
        ],
    ),
    (Kind::Long, &["maxOpenFiles", "podPidsLimit"]),
    (Kind::Number, &["memoryThrottlingFactor"]),
    (
        Kind::Duration,
        &[
            "containerLogMonitorInterval",
            "cpuCFSQuotaPeriod",
            "cpuManagerReconcilePeriod",
            "evictionPressureTransitionPeriod",
            "fileCheckFrequency",
            "httpCheckFrequency",
            "imageMaximumGCAge",
            "imageMinimumGCAge",
            "nodeStatusReportFrequency",
            "nodeStatusUpdateFrequency",
            "runtimeRequestTimeout",
            "shutdownGracePeriod",
            "shutdownGracePeriodCriticalPods",
            "streamingConnectionIdleTimeout",
            "syncFrequency",
            "volumeStatsAggPeriod",
        ],
    ),
    (
        Kind::Texts,
        &[
            "allowedUnsafeSysctls",
            "clusterDNS",
            "enforceNodeAllocatable",
            "preloadedImagesVerificationAllowlist",
            "tlsCipherSuites",
        ],
    ),
    (
        Kind::Object,
        &["authentication", "authorization", "crashLoopBackOff", "logging", "memorySwap", "tracing", "userNamespaces"],
    ),
    (Kind::Objects, &["reservedMemory", "shutdownGracePeriodByPodPriority"]),
    (
        Kind::TextByName,
        &["cpuManagerPolicyOptions", "evictionMinimumReclaim", "qosReserved", "topologyManagerPolicyOptions"],
    ),
    (Kind::BoolByName, &["featureGates"]),
    (Kind::TextsByName, &["staticPodURLHeader"]),
    (
        Kind::Checked,
        &[
            "evictionHard",
            "evictionMaxPodGracePeriod",
            "evictionSoft",
            "evictionSoftGracePeriod",
            "imageGCHighThresholdPercent",
            "imageGCLowThresholdPercent",
            "kubeReserved",
            "maxPods",
            "podsPerCore",
            "registerWithTaints",
            "systemReserved",
        ],
    ),
];

/// As Go writes durations, of any sign and length.
const DURATION: &str = r"^[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// All of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().flat_map(|(_, names)| names.iter().copied())
}

/// `None`: there is no such field.
pub(super) fn kind(name: &str) -> Option<Kind> {
    FIELDS.iter().find(|(_, names)| names.contains(&name)).map(|(kind, _)| *kind)
}

impl Kind {
    /// Whether a value is what the field may have; `null` is as good as nothing.
    pub fn allows(self, value: &Value) -> bool {
        let all = |is: fn(&Value) -> bool| value.as_array().is_some_and(|values| values.iter().all(is));
        let each = |is: fn(&Value) -> bool| value.as_object().is_some_and(|values| values.values().all(is));
        let is_texts = |value: &Value| value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string));
        value.is_null()
            || match self {
                Self::Text => value.is_string(),
                Self::Bool => value.is_boolean(),
                Self::Integer => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                Self::Long => value.is_i64(),
                Self::Number => value.is_number(),
                Self::Duration => value.as_str().is_some_and(|text| super::super::is_match(DURATION, text)),
                Self::Texts => is_texts(value),
                Self::Object => value.is_object(),
                Self::Objects => all(Value::is_object),
                Self::TextByName => each(Value::is_string),
                Self::BoolByName => each(Value::is_boolean),
                Self::TextsByName => each(is_texts),
                Self::Checked => true,
            }
    }

    /// In words.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Bool => "true or false",
            Self::Integer => "an integer of 32 bits",
            Self::Long => "an integer",
            Self::Number => "a number",
            Self::Duration => "a duration such as 1m30s",
            Self::Texts => "a list of texts",
            Self::Object => "a mapping",
            Self::Objects => "a list of mappings",
            Self::TextByName => "a mapping from names to texts",
            Self::BoolByName => "a mapping from names to true or false",
            Self::TextsByName => "a mapping from names to lists of texts",
            Self::Checked => "something else",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_is_there_once_and_what_images_can_pass_on_is_among_them() {
        let all: BTreeSet<&str> = names().collect();
        assert_eq!(all.len(), names().count());
        assert!(super::super::MAPPED.iter().all(|name| all.contains(name)));
    }

    #[test]
    fn values_are_of_the_kind_of_their_field() {
        for (name, right, wrong) in [
            ("cpuManagerPolicy", json!("static"), json!(5)),
            ("cpuCFSQuota", json!(false), json!("false")),
            ("port", json!(10_250), json!(3_000_000_000_i64)),
            ("podPidsLimit", json!(-1), json!(1.5)),
            ("memoryThrottlingFactor", json!(0.9), json!("0.9")),
            ("cpuCFSQuotaPeriod", json!("100ms"), json!("100")),
            ("syncFrequency", json!("1h1.5m"), json!(60)),
            ("clusterDNS", json!(["10.0.0.10"]), json!("10.0.0.10")),
            ("logging", json!({"format": "json"}), json!("json")),
            ("reservedMemory", json!([{"numaNode": 0}]), json!({"numaNode": 0})),
            ("cpuManagerPolicyOptions", json!({"full-pcpus-only": "true"}), json!({"full-pcpus-only": true})),
            ("featureGates", json!({"MemoryQoS": true}), json!({"MemoryQoS": "true"})),
            ("staticPodURLHeader", json!({"a": ["b"]}), json!({"a": "b"})),
        ] {
            let kind = kind(name).unwrap();
            assert!(kind.allows(&right) && kind.allows(&Value::Null), "{name}");
            assert!(!kind.allows(&wrong), "{name}: {wrong}");
        }
        assert_eq!(kind("maxPod"), None);
    }
}
