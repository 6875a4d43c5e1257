//! The objects as the parts of a step look at them: claims of ours with their nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::api::node_pool::NodePool;
use crate::cloud::Provider;
use crate::observe::objects::{ObjectKey, Objects};
use crate::observe::serves;

pub(super) struct Cluster<'o> {
    pub objects: &'o Objects,
    /// Claims that are ours, by name: they have a plan, and their instance, if there is one, is of our cloud.
    pub claims: Vec<Claimed<'o>>,
    /// Other claims of node classes that we serve: they count, and are left alone.
    pub others: Vec<Claimed<'o>>,
}

/// A NodeClaim with its node.
pub(super) struct Claimed<'o> {
    pub claim: &'o Arc<NodeClaim>,
    /// Those with the claim's instance: one, or none yet.
    pub nodes: Vec<&'o Arc<Node>>,
}

impl<'o> Cluster<'o> {
    pub fn of(objects: &'o Objects, provider: Provider) -> Self {
        let mut by_id: BTreeMap<&str, Vec<&Arc<Node>>> = BTreeMap::new();
        for node in objects.nodes.values().map(|node| &node.object) {
            if let Some(id) =
                node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).filter(|id| !id.is_empty())
            {
                by_id.entry(id).or_default().push(node);
            }
        }
        let served = objects.node_claims.values().map(|claim| &claim.object);
        let served = served.filter(|claim| serves(&claim.spec.node_class_ref));
        let (claims, others) =
            served.map(|claim| Claimed::of(claim, &by_id)).partition(|claimed| claimed.is_ours(provider));
        Self { objects, claims, others }
    }

    /// Ours and others.
    pub fn all_claims(&self) -> impl Iterator<Item = &Claimed<'o>> {
        self.claims.iter().chain(&self.others)
    }

    /// Of the instances that claims say they have.
    pub fn provider_ids(&self) -> BTreeSet<&'o str> {
        let statuses = self.claims.iter().filter_map(|claimed| claimed.claim.status.as_ref());
        statuses.filter_map(|status| status.provider_id.as_deref()).collect()
    }

    pub fn pool(&self, name: &str) -> Option<&'o NodePool> {
        let key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
        self.objects.node_pools.get(&key).map(|pool| &*pool.object)
    }

    pub fn pods(&self) -> impl Iterator<Item = &'o Arc<Pod>> {
        self.objects.pods.values().map(|pod| &pod.object)
    }
}

impl<'o> Claimed<'o> {
    fn of(claim: &'o Arc<NodeClaim>, by_id: &BTreeMap<&str, Vec<&'o Arc<Node>>>) -> Self {
        let id = claim.status.as_ref().and_then(|status| status.provider_id.as_deref());
        Self { claim, nodes: id.and_then(|id| by_id.get(id).cloned()).unwrap_or_default() }
    }

    fn is_ours(&self, provider: Provider) -> bool {
        let has_plan = self.claim.metadata.annotations.as_ref().is_some_and(|of| of.contains_key(labels::PLANNED_PODS));
        let id = self.claim.status.as_ref().and_then(|status| status.provider_id.as_deref()).unwrap_or_default();
        has_plan && (id.is_empty() || provider.has(id))
    }

    pub fn name(&self) -> &'o str {
        self.claim.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn uid(&self) -> &'o str {
        self.claim.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The pool of the claim; `None` for one that a person made.
    pub fn pool(&self) -> Option<&'o str> {
        self.claim.metadata.labels.as_ref()?.get(labels::NODEPOOL).map(String::as_str)
    }

    pub fn finalizers(&self) -> impl Iterator<Item = &'o String> {
        self.claim.metadata.finalizers.iter().flatten()
    }

    /// Whether it waits for us before it goes.
    pub fn has_finalizer(&self) -> bool {
        self.finalizers().any(|name| name == labels::FINALIZER_TERMINATION)
    }

    /// Until when its node may drain.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.claim.metadata.annotations.as_ref()?.get(labels::TERMINATION_TIMESTAMP)?.parse().ok()
    }

    pub fn is_deleting(&self) -> bool {
        self.claim.metadata.deletion_timestamp.is_some()
    }

    pub fn is(&self, condition: &str) -> bool {
        self.claim.status.as_ref().is_some_and(|status| super::conditions::is_true(&status.conditions, condition))
    }
}
