//! What a node does when it starts: the user data of its class, merged with what its family needs to join the cluster.
//!
//! Source: karpenter-provider-aws `pkg/providers/amifamily/bootstrap` (karpenter-aws 1.5).

mod bottlerocket;
mod eks_script;
mod kubelet_flags;
mod mime;
mod nodeadm;
mod windows;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use serde_json::json;

use super::{ClusterFacts, NodeTemplate};
use crate::api::ec2_node_class::{AMIFamily, EC2NodeClassSpec, KubeletConfiguration};
use crate::api::labels;
use crate::catalog::CapacityType;

/// The most bytes that EC2 takes, before they are encoded.
pub const MOST_BYTES: usize = 16_384;

/// Why no user data can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserDataError {
    /// `spec.userData` has another format than the family's.
    #[error("spec.userData: {0}")]
    Malformed(String),
    /// EC2 would not take it.
    #[error(
        "spec.userData: found {bytes} bytes together with what the image family needs: expected at most {MOST_BYTES}"
    )]
    TooLong {
        /// With what is added.
        bytes: usize,
    },
    /// The cluster is not known well enough.
    #[error("the cluster's {0} is not known")]
    Cluster(&'static str),
}

/// What the user data of a node says.
#[derive(Debug, Clone)]
pub struct Bootstrap<'b> {
    cluster: &'b ClusterFacts,
    spec: &'b EC2NodeClassSpec,
    /// That of the class, with the number of pods and the DNS server.
    kubelet: KubeletConfiguration,
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
    /// Bottlerocket knows by itself what to move to the local disks.
    binds_by_itself: bool,
}

/// What differs between the nodes of a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// How they are bought.
    pub capacity_type: CapacityType,
    /// How many pods the kubelet takes.
    pub max_pods: i64,
}

/// The user data of nodes, not encoded; `None` where there is none.
///
/// # Errors
/// See [`UserDataError`].
pub fn user_data(
    cluster: &ClusterFacts,
    template: &NodeTemplate,
    group: &Group,
) -> Result<Option<String>, UserDataError> {
    let spec = &template.class.spec;
    let family = spec.resolved_ami_family();
    let bootstrap = Bootstrap::of(cluster, template, group);
    let text = match family {
        AMIFamily::Custom => spec.user_data.clone(),
        AMIFamily::AL2 => Some(eks_script::merged(&bootstrap)?),
        AMIFamily::AL2023 => Some(nodeadm::merged(&bootstrap)?),
        AMIFamily::Bottlerocket => Some(bottlerocket::merged(&bootstrap)?),
        AMIFamily::Windows2019 | AMIFamily::Windows2022 | AMIFamily::Windows2025 => Some(windows::merged(&bootstrap)),
    };
    let text = text.filter(|text| !text.is_empty());
    match text.as_ref().map(String::len) {
        Some(bytes) if bytes > MOST_BYTES => Err(UserDataError::TooLong { bytes }),
        _ => Ok(text),
    }
}

impl<'b> Bootstrap<'b> {
    fn of(cluster: &'b ClusterFacts, template: &'b NodeTemplate, group: &Group) -> Self {
        let spec = &template.class.spec;
        let mut kubelet = spec.kubelet.clone().unwrap_or_default();
        kubelet.entry("maxPods").or_insert_with(|| json!(group.max_pods));
        if let Some(dns) = &cluster.dns {
            kubelet.entry("clusterDNS").or_insert_with(|| json!([dns]));
        }
        let mut of_node = template.labels.clone();
        of_node.insert(labels::CAPACITY_TYPE.to_owned(), group.capacity_type.label().to_owned());
        of_node.insert(labels::DO_NOT_SYNC_TAINTS.to_owned(), "true".to_owned());
        let unregistered =
            Taint { key: labels::TAINT_UNREGISTERED.to_owned(), effect: "NoExecute".to_owned(), ..Taint::default() };
        let taints = template.taints.iter().cloned().chain([unregistered]).collect();
        Self { cluster, spec, kubelet, labels: of_node, taints, binds_by_itself: bottlerocket::binds_by_itself(spec) }
    }

    /// What the user wrote.
    fn custom(&self) -> Option<&str> {
        self.spec.user_data.as_deref().filter(|text| !text.trim().is_empty())
    }

    /// The first of the DNS servers.
    fn dns(&self) -> Option<&str> {
        self.kubelet.get("clusterDNS")?.as_array()?.first()?.as_str()
    }

    fn has_raid0(&self) -> bool {
        self.spec.instance_store_policy.is_some()
    }
}

#[cfg(test)]
mod tests;
