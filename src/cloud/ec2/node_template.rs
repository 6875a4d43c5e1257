//! What the nodes of a launch have in common besides their types: class, pool, labels and taints. Nothing of one claim alone is in
//! it, so that launch templates are shared and identical requests are sent as one.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Taint;

use crate::api::ec2_node_class::{EC2NodeClass, EC2NodeClassStatus};
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::api::requirement::Operator;
use crate::cloud::LaunchError;

const EFA: &str = "vpc.amazonaws.com/efa";
const NITRO_SANDBOX: &str = "eks.amazonaws.com/nitro-sandbox";
const READY: &str = "Ready";

/// A template of nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeTemplate {
    /// With the status that was looked up for its spec.
    pub class: Arc<EC2NodeClass>,
    /// The NodePool; empty for claims that a person made.
    pub pool: Arc<str>,
    /// The labels that the kubelet registers with; the others come when the node is registered.
    pub labels: BTreeMap<String, String>,
    /// Taints and startup taints, as the NodePool has them.
    pub taints: Vec<Taint>,
    /// Some pod asks for `vpc.amazonaws.com/efa`.
    pub wants_efa: bool,
    /// Some pod asks for `eks.amazonaws.com/nitro-sandbox`.
    pub wants_enclaves: bool,
    /// `default` or `dedicated`.
    pub tenancy: Tenancy,
    /// The partition that the claim asks for, where its placement group has some.
    pub partition: Option<i32>,
    /// Fewer values than the NodePool's `minValues` are had.
    pub has_relaxed_min_values: bool,
}

/// Whose machines instances run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Tenancy {
    /// Shared ones.
    #[default]
    Default,
    /// Ones that no other account has instances on.
    Dedicated,
}

impl Tenancy {
    /// As EC2 and the label write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Dedicated => "dedicated",
        }
    }
}

impl NodeTemplate {
    /// That of a claim.
    ///
    /// # Errors
    /// The class is not ready, or its status was looked up for another spec ([`LaunchError::NodeClassNotReady`]).
    pub fn of(claim: &NodeClaim, class: &Arc<EC2NodeClass>) -> Result<Self, LaunchError> {
        ready_status(class)?;
        let written = claim.metadata.labels.clone().unwrap_or_default();
        let pool = written.get(labels::NODEPOOL).map_or("", String::as_str);
        let requests = &claim.spec.resources.requests;
        let annotations = claim.metadata.annotations.as_ref();
        Ok(Self {
            class: class.clone(),
            pool: Arc::from(pool),
            taints: claim.spec.taints.iter().chain(&claim.spec.startup_taints).cloned().collect(),
            wants_efa: requests.contains_key(EFA),
            wants_enclaves: requests.contains_key(NITRO_SANDBOX),
            tenancy: tenancy(claim),
            partition: lowest(claim, labels::PLACEMENT_GROUP_PARTITION).and_then(|value| value.parse().ok()),
            has_relaxed_min_values: annotations
                .is_some_and(|of| of.get(labels::MIN_VALUES_RELAXED).is_some_and(|value| value == "true")),
            labels: written.into_iter().filter(|(key, _)| is_registered_with(key)).collect(),
        })
    }

    /// What was found for the class.
    #[must_use]
    pub fn status(&self) -> &EC2NodeClassStatus {
        self.class.status.as_ref().expect("a template is made of a class that is ready")
    }
}

/// The status of a class that nodes can be launched with: it is ready, and was looked up for the spec as it is now.
///
/// # Errors
/// It is not.
pub fn ready_status(class: &EC2NodeClass) -> Result<&EC2NodeClassStatus, LaunchError> {
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let refuse = |reason: &str| Err(LaunchError::NodeClassNotReady(format!("EC2NodeClass {name}: {reason}")));
    if class.metadata.deletion_timestamp.is_some() {
        return refuse("it is being deleted");
    }
    let Some(status) = &class.status else { return refuse("it has no status yet") };
    match status.conditions.iter().find(|condition| condition.type_ == READY) {
        None => refuse("it has no status yet"),
        Some(ready) if ready.status != "True" => refuse(&format!("{}: {}", ready.reason, ready.message)),
        Some(ready) if ready.observed_generation != class.metadata.generation => {
            refuse("its status is of an earlier spec")
        }
        Some(_) => Ok(status),
    }
}

/// Those of the template and the labels that pods fixed, before anything is bought: what the launch brings is different for each
/// node. The kubelet may not set labels of Kubernetes (admission plugin NodeRestriction).
fn is_registered_with(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_of = |parent: &str| domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
    let is_kept = [labels::NODEPOOL, labels::EC2_NODE_CLASS].contains(&key);
    !is_of("kubernetes.io") && !is_of("k8s.io") && (is_kept || !labels::is_well_known(key))
}

/// `default` where both are allowed.
fn tenancy(claim: &NodeClaim) -> Tenancy {
    let wanted = values(claim, labels::INSTANCE_TENANCY);
    let is_dedicated = wanted.is_some_and(|values| !values.iter().any(|value| value == "default"));
    if is_dedicated { Tenancy::Dedicated } else { Tenancy::Default }
}

/// The first of the values that a claim asks for by name.
fn lowest<'c>(claim: &'c NodeClaim, key: &str) -> Option<&'c String> {
    values(claim, key)?.iter().min()
}

fn values<'c>(claim: &'c NodeClaim, key: &str) -> Option<&'c Vec<String>> {
    let entry = claim.spec.requirements.iter().find(|entry| entry.key == key && entry.operator == Operator::In)?;
    Some(&entry.values)
}

#[cfg(test)]
mod tests;
