//! Default topology spread: constraints that kube-scheduler's configuration gives to pods without any (core 2.4).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::input::{FieldError, FieldResult as _};
use super::objects::{ObjectKey, Objects};
use super::selectors::label_selector;
use super::snapshot::{LabelSelector, PodTemplate, TopologySpreadConstraint};
use crate::api::labels;
use crate::settings::DefaultSpread;

pub(super) struct DefaultSpreading<'a> {
    objects: &'a Objects,
    constraints: &'a [DefaultSpread],
}

impl<'a> DefaultSpreading<'a> {
    pub fn new(objects: &'a Objects, constraints: &'a [DefaultSpread]) -> Self {
        Self { objects, constraints }
    }

    /// Whether there are no constraints to give.
    pub fn is_off(&self) -> bool {
        self.constraints.is_empty()
    }

    /// Gives the constraints to a template that carries none and whose selector can be deduced: the selectors of all
    /// Services that match the pod, and that of the ReplicaSet, ReplicationController or StatefulSet which controls it, together.
    pub fn apply(
        &self,
        namespace: &str,
        template: &mut PodTemplate,
        owner: Option<&meta::LabelSelector>,
    ) -> Result<(), FieldError> {
        if self.is_off() || !template.spec.topology_spread.is_empty() {
            return Ok(());
        }
        let mut wanted: BTreeMap<String, String> = BTreeMap::new();
        for (key, service) in &self.objects.services {
            let selector = service.object.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let Some(selector) = selector.filter(|_| *key.namespace == *namespace) else { continue };
            let own = |key: &str| template.labels.get(key).map(AsRef::as_ref);
            if selector.iter().all(|(key, value)| own(key) == Some(value)) {
                wanted.extend(selector.clone());
            }
        }
        let owner = owner.cloned().unwrap_or_default();
        wanted.extend(owner.match_labels.into_iter().flatten());
        let merged = meta::LabelSelector { match_labels: Some(wanted), match_expressions: owner.match_expressions };
        let selector = label_selector(Some(&merged)).within("spec.selector")?;
        if selector == LabelSelector::Matching(Vec::new()) {
            return Ok(()); // nothing says which pods belong together
        }
        let constraints = self.constraints.iter().map(|constraint| TopologySpreadConstraint {
            topology_key: labels::normalize(&constraint.topology_key).into(),
            max_skew: constraint.max_skew.get(),
            min_domains: constraint.min_domains.map(Into::into),
            when_unsatisfiable: constraint.when_unsatisfiable,
            selector: selector.clone(),
            node_affinity_policy: constraint.node_affinity_policy,
            node_taints_policy: constraint.node_taints_policy,
        });
        template.spec.topology_spread = constraints.collect();
        Ok(())
    }

    /// The selector of the controller of a pod that exists. A ReplicaSet that is not in the input is known through its
    /// Deployment, whose name it extends by the hash of the pod's template.
    pub fn selector_of(&self, namespace: &str, pod: &meta::ObjectMeta) -> Option<meta::LabelSelector> {
        let owner = super::owners::controller(pod)?;
        let named = |name: &str| ObjectKey { namespace: namespace.into(), name: name.into() };
        match owner.kind.as_str() {
            "StatefulSet" => {
                self.objects.stateful_sets.get(&named(&owner.name)).map(|set| set.object.spec.selector.clone())
            }
            "ReplicationController" => {
                let controllers = &self.objects.replication_controllers;
                controllers.get(&named(&owner.name)).map(|controller| selector_of_controller(&controller.object))
            }
            "ReplicaSet" => {
                if let Some(set) = self.objects.replica_sets.get(&named(&owner.name)) {
                    return Some(set.object.spec.selector.clone());
                }
                let hash = pod.labels.as_ref()?.get(labels::POD_TEMPLATE_HASH)?;
                let deployment = owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
                let deployment = &self.objects.deployments.get(&named(deployment))?.object;
                Some(selector_of_revision(deployment, hash))
            }
            _ => None,
        }
    }
}

/// The selector of a ReplicationController; without one it has the labels of its template (API server defaulting).
pub(super) fn selector_of_controller(controller: &core::ReplicationController) -> meta::LabelSelector {
    let spec = controller.spec.as_ref();
    let own = spec.and_then(|spec| spec.selector.clone()).filter(|selector| !selector.is_empty());
    let of_template = || spec?.template.as_ref()?.metadata.as_ref()?.labels.clone();
    meta::LabelSelector { match_labels: own.or_else(of_template), match_expressions: None }
}

/// The selector of the ReplicaSet that a Deployment makes for the template of this hash.
pub(super) fn selector_of_revision(deployment: &apps::Deployment, hash: &str) -> meta::LabelSelector {
    let mut selector = deployment.spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(labels::POD_TEMPLATE_HASH.to_owned(), hash.to_owned());
    selector
}

#[cfg(test)]
mod tests;
