//! AL2023: a NodeConfig for nodeadm, after what the user wrote so that it has the last word.

use serde_json::{Value, json};

use super::mime::{self, NODE_CONFIG, Part, SHELL_SCRIPT};
use super::{Bootstrap, UserDataError, kubelet_flags};

pub(super) fn merged(bootstrap: &Bootstrap<'_>) -> Result<String, UserDataError> {
    let mut parts = match bootstrap.custom() {
        None => Vec::new(),
        Some(custom) if mime::is_archive(custom) => mime::read(custom)?,
        Some(custom) => vec![Part::new(if is_mapping(custom) { NODE_CONFIG } else { SHELL_SCRIPT }, custom)],
    };
    let config = serde_saphyr::to_string(&node_config(bootstrap)?)
        .map_err(|error| UserDataError::Malformed(format!("the NodeConfig cannot be written: {error}")))?;
    parts.push(Part::new(NODE_CONFIG, format!("# NodeConfig of Packwright\n{config}")));
    Ok(mime::write(&parts))
}

/// A NodeConfig is a YAML mapping; a script is not.
fn is_mapping(text: &str) -> bool {
    serde_saphyr::from_str::<Value>(text).is_ok_and(|value| value.is_object())
}

fn node_config(bootstrap: &Bootstrap<'_>) -> Result<Value, UserDataError> {
    let cluster = bootstrap.cluster;
    let cidr = cluster.service_cidr.as_ref().ok_or(UserDataError::Cluster("Service CIDR"))?;
    let mut kubelet = bootstrap.kubelet.clone();
    kubelet.insert("registerWithTaints".to_owned(), json!(bootstrap.taints));
    let mut config = json!({
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {
            "cluster": {"name": cluster.name, "apiServerEndpoint": cluster.endpoint, "cidr": cidr},
            "kubelet": {"config": kubelet, "flags": [kubelet_flags::node_labels(bootstrap)]},
        },
    });
    if let Some(bundle) = &cluster.ca_bundle {
        config["spec"]["cluster"]["certificateAuthority"] = json!(bundle);
    }
    if bootstrap.has_raid0() {
        config["spec"]["instance"] = json!({"localStorage": {"strategy": "RAID0"}});
    }
    Ok(config)
}
