//! The objects as the parts of a step look at them: claims of ours with their nodes.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};

use super::index::Index;
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::api::node_pool::NodePool;
use crate::cloud::Provider;
use crate::observe::objects::{ObjectKey, Objects, Sourced};
use crate::observe::{serves, snapshot};

pub(super) struct Cluster<'o> {
    pub objects: &'o Objects,
    index: &'o Index,
    provider: Provider,
    /// Claims that are ours and that are looked at now, by name: they have a plan, and their instance, if there is one, is of our cloud.
    pub claims: Vec<Claimed<'o>>,
    /// Whether those are all.
    pub is_whole: bool,
    /// Whether claims, nodes or pools may have changed: what is summed up over them is summed up anew.
    pub is_structural: bool,
    /// Of the claims that are looked at those that are not there any more, by name.
    gone: Vec<&'o Arc<str>>,
    /// Other claims of node classes that we serve: they count, and are left alone.
    pub others: Vec<Claimed<'o>>,
    /// Instances of claims that are not known here: they count.
    pub unseen: Vec<snapshot::Node>,
    /// All of both.
    all: OnceCell<Vec<Claimed<'o>>>,
}

/// A NodeClaim with its node.
pub(super) struct Claimed<'o> {
    pub key: &'o ObjectKey,
    pub claim: &'o Arc<NodeClaim>,
    /// Those with the claim's instance: one, or none yet.
    pub nodes: Vec<&'o Arc<Node>>,
}

impl<'o> Cluster<'o> {
    /// With every claim; `due`: with these alone.
    pub fn of(objects: &'o Objects, index: &'o Index, provider: Provider, due: Option<&'o BTreeSet<Arc<str>>>) -> Self {
        let mut cluster = Self {
            objects,
            index,
            provider,
            claims: Vec::new(),
            is_whole: due.is_none(),
            is_structural: true,
            gone: Vec::new(),
            others: Vec::new(),
            unseen: Vec::new(),
            all: OnceCell::new(),
        };
        let claims = match due {
            None => objects.node_claims.iter().collect(),
            Some(names) => names.iter().filter_map(|name| cluster.entry(name)).collect::<Vec<_>>(),
        };
        cluster.gone = due.into_iter().flatten().filter(|name| !cluster.has_claim(name)).collect();
        let served = claims.into_iter().filter(|(_, claim)| serves(&claim.object.spec.node_class_ref));
        (cluster.claims, cluster.others) = served
            .map(|(key, claim)| cluster.claimed(key, &claim.object))
            .partition(|claimed| claimed.is_ours(provider));
        cluster
    }

    fn entry(&self, name: &Arc<str>) -> Option<(&'o ObjectKey, &'o Sourced<NodeClaim>)> {
        let key = ObjectKey { namespace: Arc::from(""), name: name.clone() };
        self.objects.node_claims.get_key_value(&key)
    }

    fn claimed(&self, key: &'o ObjectKey, claim: &'o Arc<NodeClaim>) -> Claimed<'o> {
        let id = claim.status.as_ref().and_then(|status| status.provider_id.as_deref()).unwrap_or_default();
        let nodes = self.index.nodes_of(id).filter_map(|key| self.objects.nodes.get(key));
        Claimed { key, claim, nodes: nodes.map(|node| &node.object).collect() }
    }

    /// Ours and others, whether they are looked at now or not.
    pub fn all_claims(&self) -> impl Iterator<Item = &Claimed<'o>> {
        let all = self.all.get_or_init(|| {
            let served = self.objects.node_claims.iter();
            let served = served.filter(|(_, claim)| serves(&claim.object.spec.node_class_ref));
            served.map(|(key, claim)| self.claimed(key, &claim.object)).collect()
        });
        all.iter()
    }

    /// Ours, whether they are looked at now or not.
    pub fn our_claims(&self) -> impl Iterator<Item = &Claimed<'o>> {
        self.all_claims().filter(|claimed| claimed.is_ours(self.provider))
    }

    /// Those of them that come for others, or that say why they go.
    pub fn claims_of_commands(&self) -> impl Iterator<Item = Claimed<'o>> {
        let found = self.index.of_commands().filter_map(|key| self.entry(&key.name));
        let served = found.filter(|(_, claim)| serves(&claim.object.spec.node_class_ref));
        let claimed = served.map(|(key, claim)| self.claimed(key, &claim.object));
        claimed.filter(|claimed| claimed.is_ours(self.provider))
    }

    /// One of ours, by its name.
    pub fn our_claim(&self, name: &Arc<str>) -> Option<Claimed<'o>> {
        let (key, claim) = self.entry(name)?;
        let claimed = self.claimed(key, &claim.object);
        (serves(&claimed.claim.spec.node_class_ref) && claimed.is_ours(self.provider)).then_some(claimed)
    }

    /// The claim of ours that has an instance.
    pub fn claim_of(&self, id: &str) -> Option<Claimed<'o>> {
        self.index.claims_of(id).find_map(|key| self.our_claim(&key.name))
    }

    /// Takes claims that are gone out of what is kept by their names: where not all are looked at, those that have just gone.
    pub fn forget_gone<T>(&self, kept: &mut BTreeMap<Arc<str>, T>) {
        if self.is_whole {
            kept.retain(|claim, _| self.has_claim(claim));
        }
        for claim in &self.gone {
            kept.remove(*claim);
        }
    }

    /// Whether a NodeClaim of a uid is there.
    pub fn has_uid(&self, uid: &str) -> bool {
        self.index.claim_of_uid(uid).is_some()
    }

    /// Whether a NodeClaim is there.
    pub fn has_claim(&self, name: &Arc<str>) -> bool {
        self.entry(name).is_some()
    }

    /// Whether some claim says that it has an instance.
    pub fn is_claimed(&self, id: &str) -> bool {
        self.index.claims_of(id).next().is_some()
    }

    pub fn pool(&self, name: &str) -> Option<&'o NodePool> {
        let key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
        self.objects.node_pools.get(&key).map(|pool| &*pool.object)
    }

    pub fn pods(&self) -> impl Iterator<Item = &'o Arc<Pod>> {
        self.objects.pods.values().map(|pod| &pod.object)
    }

    /// Those that are bound to a node.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = (&'o ObjectKey, &'o Arc<Pod>)> {
        let objects = self.objects;
        self.index.pods_on(node).filter_map(|key| objects.pods.get_key_value(key)).map(|(key, pod)| (key, &pod.object))
    }

    /// Those of them that say something of being disrupted.
    pub fn protected_pods_on(&self, node: &str) -> impl Iterator<Item = (&'o ObjectKey, &'o Arc<Pod>)> {
        let objects = self.objects;
        let found = self.index.protected_on(node).filter_map(|key| objects.pods.get_key_value(key));
        found.map(|(key, pod)| (key, &pod.object))
    }

    /// Those that are bound to none.
    pub fn unbound_pods(&self) -> impl Iterator<Item = (&'o ObjectKey, &'o Arc<Pod>)> {
        let objects = self.objects;
        self.index.unbound().filter_map(|key| objects.pods.get_key_value(key)).map(|(key, pod)| (key, &pod.object))
    }

    /// Whether a node is not open for every pod.
    pub fn is_reserved(&self, node: &Node) -> bool {
        self.index.is_reserved(node.metadata.name.as_deref().unwrap_or_default())
    }

    /// Claims that are looked at, ours and others.
    pub fn looked_at(&self) -> impl Iterator<Item = &Claimed<'o>> {
        self.claims.iter().chain(&self.others)
    }

    /// Nodes that are not open for every pod.
    pub fn reserved_nodes(&self) -> impl Iterator<Item = (&'o ObjectKey, &'o Arc<Node>)> {
        let objects = self.objects;
        self.index.reserved().filter_map(|key| objects.nodes.get_key_value(key)).map(|(key, node)| (key, &node.object))
    }
}

impl<'o> Claimed<'o> {
    fn is_ours(&self, provider: Provider) -> bool {
        let has_plan = self.claim.metadata.annotations.as_ref().is_some_and(|of| of.contains_key(labels::PLANNED_PODS));
        let id = self.claim.status.as_ref().and_then(|status| status.provider_id.as_deref()).unwrap_or_default();
        has_plan && (id.is_empty() || provider.has(id))
    }

    pub fn name(&self) -> &'o str {
        self.claim.metadata.name.as_deref().unwrap_or_default()
    }

    /// The name of its node, where there is one.
    pub fn node_name(&self) -> Option<Arc<str>> {
        self.nodes.first()?.metadata.name.as_deref().map(Arc::from)
    }

    pub fn uid(&self) -> &'o str {
        self.claim.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The pool of the claim; `None` for one that a person made.
    pub fn pool(&self) -> Option<&'o str> {
        self.claim.metadata.labels.as_ref()?.get(labels::NODEPOOL).map(String::as_str)
    }

    /// The instance that it says it has; empty: none yet.
    pub fn provider_id(&self) -> &'o str {
        self.claim.status.as_ref().and_then(|status| status.provider_id.as_deref()).unwrap_or_default()
    }

    /// The launch that was asked for last for it and others, where the cloud is one that is asked for several at once.
    pub fn launch(&self) -> Option<&'o str> {
        self.claim.metadata.annotations.as_ref()?.get(labels::LAUNCH).map(String::as_str)
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
