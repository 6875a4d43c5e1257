//! What a NodeClaim hands on to its node when the node registers.
//!
//! Source: the reference's `nodeclaim/lifecycle/registration.go` (karpenter-core 5).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::reservation::is_unregistered;
use crate::api::labels;
use crate::api::node_claim::NodeClaim;

/// The node as it is to be: lists are complete, as a merge patch replaces them.
#[derive(Debug, Clone, PartialEq)]
pub struct Inheritance {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    owners: Vec<OwnerReference>,
    finalizers: Vec<String>,
    /// Without the one that the node was born with.
    taints: Vec<Taint>,
}

impl Inheritance {
    /// Labels, annotations and taints of the claim; the claim as owner; and the finalizer, so that the node is drained before it
    /// goes. Annotations of the plan stay with the claim.
    pub(super) fn of(claim: &NodeClaim, node: &Node) -> Self {
        let meta = &claim.metadata;
        let mut labels = meta.labels.clone().unwrap_or_default();
        labels.insert(labels::REGISTERED.to_owned(), "true".to_owned());
        let mut annotations = meta.annotations.clone().unwrap_or_default();
        annotations.retain(|key, _| ![labels::PLANNED_PODS, labels::OFFERS].contains(&key.as_str()));
        let mut owners = node.metadata.owner_references.clone().unwrap_or_default();
        if !owners.iter().any(|owner| Some(&owner.uid) == meta.uid.as_ref()) {
            owners.push(OwnerReference {
                api_version: "karpenter.sh/v1".to_owned(),
                kind: "NodeClaim".to_owned(),
                name: meta.name.clone().unwrap_or_default(),
                uid: meta.uid.clone().unwrap_or_default(),
                block_owner_deletion: Some(true),
                controller: None,
            });
        }
        let mut finalizers = node.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == labels::FINALIZER_TERMINATION) {
            finalizers.push(labels::FINALIZER_TERMINATION.to_owned());
        }
        let written = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        let mut taints: Vec<Taint> = written.into_iter().filter(|taint| !is_unregistered(taint)).collect();
        let own_taints = node
            .metadata
            .labels
            .as_ref()
            .is_some_and(|labels| labels.get(labels::DO_NOT_SYNC_TAINTS).is_some_and(|value| value == "true"));
        if !own_taints {
            for taint in claim.spec.taints.iter().chain(&claim.spec.startup_taints) {
                if !taints.iter().any(|known| known.key == taint.key && known.effect == taint.effect) {
                    taints.push(taint.clone());
                }
            }
        }
        Self { labels, annotations, owners, finalizers, taints }
    }

    /// Metadata and spec of the patch.
    pub(super) fn patch(&self) -> (Value, Value) {
        let metadata = json!({
            "labels": self.labels,
            "annotations": self.annotations,
            "ownerReferences": self.owners,
            "finalizers": self.finalizers,
        });
        (metadata, json!({ "taints": self.taints }))
    }
}
