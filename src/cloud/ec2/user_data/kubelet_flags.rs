//! The kubelet's configuration as flags, for images whose scripts take those: AL2 and Windows.

use serde_json::Value;

use super::Bootstrap;

/// One text for each flag, in the reference's order.
pub(super) fn flags(bootstrap: &Bootstrap<'_>) -> Vec<String> {
    let kubelet = &bootstrap.kubelet;
    let mut flags = vec![node_labels(bootstrap), taints(bootstrap)];
    let mut plain = |flag: &str, field: &str| {
        let value = kubelet.get(field).filter(|value| !value.is_null());
        flags.extend(value.map(|value| format!("--{flag}={}", text(value))));
    };
    plain("max-pods", "maxPods");
    plain("pods-per-core", "podsPerCore");
    let mut joined = |flag: &str, field: &str, sign: &str| {
        let entries = kubelet.get(field).and_then(Value::as_object).filter(|entries| !entries.is_empty());
        let Some(entries) = entries else { return };
        let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}{sign}{}", text(value))).collect();
        flags.push(format!("--{flag}=\"{}\"", entries.join(",")));
    };
    joined("system-reserved", "systemReserved", "=");
    joined("kube-reserved", "kubeReserved", "=");
    joined("eviction-hard", "evictionHard", "<");
    joined("eviction-soft", "evictionSoft", "<");
    joined("eviction-soft-grace-period", "evictionSoftGracePeriod", "=");
    let mut plain = |flag: &str, field: &str| {
        let value = kubelet.get(field).filter(|value| !value.is_null());
        flags.extend(value.map(|value| format!("--{flag}={}", text(value))));
    };
    plain("eviction-max-pod-grace-period", "evictionMaxPodGracePeriod");
    plain("image-gc-high-threshold", "imageGCHighThresholdPercent");
    plain("image-gc-low-threshold", "imageGCLowThresholdPercent");
    plain("cpu-cfs-quota", "cpuCFSQuota");
    flags
}

/// `--node-labels="a=b,c=d"`.
pub(super) fn node_labels(bootstrap: &Bootstrap<'_>) -> String {
    let labels: Vec<String> = bootstrap.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("--node-labels=\"{}\"", labels.join(","))
}

fn taints(bootstrap: &Bootstrap<'_>) -> String {
    let taint = |taint: &k8s_openapi::api::core::v1::Taint| match taint.value.as_deref() {
        Some(value) if !value.is_empty() => format!("{}={value}:{}", taint.key, taint.effect),
        _ => format!("{}:{}", taint.key, taint.effect),
    };
    let taints: Vec<String> = bootstrap.taints.iter().map(taint).collect();
    format!("--register-with-taints=\"{}\"", taints.join(","))
}

/// A value without the quotes of a text.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
