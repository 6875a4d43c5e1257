//! Bottlerocket: settings as TOML; what the controller knows better replaces what the user wrote.

use serde_json::Value as Json;
use toml::{Table, Value};

use super::{Bootstrap, UserDataError, kubelet_flags};
use crate::api::ec2_node_class::EC2NodeClassSpec;

/// The first release that knows by itself what to move to the local disks.
const BINDS_BY_ITSELF: (u32, u32) = (1, 46);
const MOUNT: &str = "000-mount-instance-storage";

/// Maps of the kubelet's configuration, and their names here.
const MAPS: [(&str, &str); 5] = [
    ("systemReserved", "system-reserved"),
    ("kubeReserved", "kube-reserved"),
    ("evictionHard", "eviction-hard"),
    ("evictionSoft", "eviction-soft"),
    ("evictionSoftGracePeriod", "eviction-soft-grace-period"),
];

pub(super) fn merged(bootstrap: &Bootstrap<'_>) -> Result<String, UserDataError> {
    let mut all: Table = match bootstrap.custom() {
        None => Table::new(),
        Some(custom) => custom.parse().map_err(|error: toml::de::Error| {
            UserDataError::Malformed(format!("found no TOML: {}", error.message()))
        })?,
    };
    let settings = table(&mut all, "settings", "settings")?;
    set_kubernetes(bootstrap, table(settings, "kubernetes", "settings.kubernetes")?)?;
    // nodes join no Auto Scaling group, and one that waited for it would never start its kubelet
    if let Some(Value::Table(autoscaling)) = settings.get_mut("autoscaling")
        && autoscaling.contains_key("should-wait")
    {
        autoscaling.insert("should-wait".to_owned(), Value::Boolean(false));
    }
    if bootstrap.has_raid0() {
        let commands = table(settings, "bootstrap-commands", "settings.bootstrap-commands")?;
        commands.insert(MOUNT.to_owned(), Value::Table(mount(bootstrap.binds_by_itself)));
    }
    toml::to_string(&all).map_err(|error| UserDataError::Malformed(format!("it cannot be written: {error}")))
}

fn set_kubernetes(bootstrap: &Bootstrap<'_>, kubernetes: &mut Table) -> Result<(), UserDataError> {
    let (cluster, kubelet) = (bootstrap.cluster, &bootstrap.kubelet);
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            kubernetes.insert(key.to_owned(), value);
        }
    };
    set("api-server", Some(string(&cluster.endpoint)));
    set("cluster-name", Some(string(&cluster.name)));
    set("cluster-certificate", cluster.ca_bundle.as_deref().map(string));
    set("cluster-dns-ip", bootstrap.dns().map(string));
    let integer = |field: &str| kubelet.get(field).and_then(Json::as_i64).map(Value::Integer);
    set("max-pods", integer("maxPods"));
    set("eviction-max-pod-grace-period", integer("evictionMaxPodGracePeriod"));
    // percentages are texts here
    let percent = |field: &str| kubelet.get(field).and_then(Json::as_i64).map(|value| string(&value.to_string()));
    set("image-gc-high-threshold-percent", percent("imageGCHighThresholdPercent"));
    set("image-gc-low-threshold-percent", percent("imageGCLowThresholdPercent"));
    set("cpu-cfs-quota-enforced", kubelet.get("cpuCFSQuota").and_then(Json::as_bool).map(Value::Boolean));
    for (field, key) in MAPS {
        let entries = kubelet.get(field).and_then(Json::as_object);
        let texts = |entries: &serde_json::Map<String, Json>| -> Table {
            entries.iter().map(|(key, value)| (key.clone(), string(&kubelet_flags::text(value)))).collect()
        };
        set(key, entries.map(|entries| Value::Table(texts(entries))));
    }
    let labels = table(kubernetes, "node-labels", "settings.kubernetes.node-labels")?;
    labels.extend(bootstrap.labels.iter().map(|(key, value)| (key.clone(), string(value))));
    let mut taints = Table::new();
    for taint in &bootstrap.taints {
        let text = string(&format!("{}:{}", taint.value.as_deref().unwrap_or_default(), taint.effect));
        match taints.entry(taint.key.clone()).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(of_key) => of_key.push(text),
            _ => unreachable!("only lists are inserted"),
        }
    }
    kubernetes.insert("node-taints".to_owned(), Value::Table(taints));
    Ok(())
}

/// The table under a key, which is made where there is none.
fn table<'t>(of: &'t mut Table, key: &str, path: &str) -> Result<&'t mut Table, UserDataError> {
    match of.entry(key.to_owned()).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(table) => Ok(table),
        other => Err(UserDataError::Malformed(format!("{path}: found {}: expected a table", other.type_str()))),
    }
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn mount(binds_by_itself: bool) -> Table {
    let command = |words: &[&str]| Value::Array(words.iter().map(|word| string(word)).collect());
    let bind: &[&str] = if binds_by_itself {
        &["apiclient", "ephemeral-storage", "bind"]
    } else {
        &[
            "apiclient",
            "ephemeral-storage",
            "bind",
            "--dirs",
            "/var/lib/containerd",
            "/var/lib/kubelet",
            "/var/log/pods",
        ]
    };
    let commands = Value::Array(vec![command(&["apiclient", "ephemeral-storage", "init"]), command(bind)]);
    [("commands", commands), ("mode", string("always")), ("essential", Value::Boolean(true))]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Whether the images of a class are of such a release, as its alias says; of others nobody knows.
pub(super) fn binds_by_itself(spec: &EC2NodeClassSpec) -> bool {
    let Some(alias) = spec.ami_alias() else { return false };
    let Some(("bottlerocket", version)) = alias.split_once('@') else { return false };
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= BINDS_BY_ITSELF,
        _ => version == "latest",
    }
}
