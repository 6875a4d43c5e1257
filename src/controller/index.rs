//! What belongs together, kept up to date change by change: the nodes and claims of an instance, the pods of a node, pods of none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::closing::DISRUPTION_REASON;
use crate::api::labels;
use crate::observe::objects::{ObjectKey, Objects};
use crate::placement::Reservation;

/// By the provider id of an instance, or by the name of a node.
type Of = BTreeMap<Arc<str>, BTreeSet<ObjectKey>>;

#[derive(Debug, Default)]
pub(super) struct Index {
    /// By provider id.
    nodes: Of,
    claims: Of,
    /// Claims that come for others, or that say why they go.
    of_commands: BTreeSet<ObjectKey>,
    /// Claims by their own uid.
    uids: HashMap<Arc<str>, ObjectKey>,
    /// By the name of their node.
    pods: Of,
    /// Those of them that say something of being disrupted.
    protected: Of,
    /// Pods without a node.
    unbound: BTreeSet<ObjectKey>,
    /// Nodes that are not open for every pod, as [`Reservation`] reads them.
    reserved: BTreeSet<ObjectKey>,
}

/// Where an object belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It is not there, or of no concern.
    Nowhere,
    /// `None`: it is not bound.
    Pod {
        node: Option<Arc<str>>,
        is_protected: bool,
    },
    Node {
        id: Option<Arc<str>>,
        is_reserved: bool,
    },
    Claim {
        id: Option<Arc<str>>,
        uid: Option<Arc<str>>,
        is_of_command: bool,
    },
}

fn filled(text: Option<&str>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty()).map(Arc::from)
}

impl Place {
    /// Of an object as it is known now.
    pub fn of(objects: &Objects, kind: &str, key: &ObjectKey) -> Self {
        let found = match kind {
            "Pod" => objects.pods.get(key).map(|pod| Self::of_pod(&pod.object)),
            "Node" => objects.nodes.get(key).map(|node| Self::of_node(&node.object)),
            "NodeClaim" => objects.node_claims.get(key).map(|claim| {
                let status = claim.object.status.as_ref();
                let id = filled(status.and_then(|status| status.provider_id.as_deref()));
                let annotations = claim.object.metadata.annotations.as_ref();
                let comes = annotations.is_some_and(|of| of.contains_key(labels::REPLACES));
                let mut conditions = status.iter().flat_map(|status| &status.conditions);
                let is_of_command = comes || conditions.any(|of| of.type_ == DISRUPTION_REASON);
                Self::Claim { id, uid: filled(claim.object.metadata.uid.as_deref()), is_of_command }
            }),
            _ => None,
        };
        found.unwrap_or(Self::Nowhere)
    }

    fn of_pod(pod: &Pod) -> Self {
        let node = filled(pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()));
        let annotations = pod.metadata.annotations.as_ref();
        Self::Pod { node, is_protected: annotations.is_some_and(|of| of.contains_key(labels::DO_NOT_DISRUPT)) }
    }

    fn of_node(node: &Node) -> Self {
        let id = filled(node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()));
        Self::Node { id, is_reserved: Reservation::of(node) != Reservation::Open }
    }
}

impl Index {
    /// Of objects that nothing is known of yet.
    #[cfg(test)]
    pub fn of(objects: &Objects) -> Self {
        let mut index = Self::default();
        for kind in ["Pod", "Node", "NodeClaim"] {
            for key in objects.keys(kind) {
                index.note(&key, &Place::Nowhere, &Place::of(objects, kind, &key));
            }
        }
        index
    }

    /// Notes that an object has changed its place.
    pub fn note(&mut self, key: &ObjectKey, before: &Place, after: &Place) {
        if before == after {
            return;
        }
        match before {
            Place::Nowhere => {}
            Place::Pod { node: Some(node), is_protected } => {
                leave(&mut self.pods, node, key);
                if *is_protected {
                    leave(&mut self.protected, node, key);
                }
            }
            Place::Pod { node: None, .. } => drop(self.unbound.remove(key)),
            Place::Node { id, .. } => {
                if let Some(id) = id {
                    leave(&mut self.nodes, id, key);
                }
                self.reserved.remove(key);
            }
            Place::Claim { id, uid, .. } => {
                self.of_commands.remove(key);
                if let Some(id) = id {
                    leave(&mut self.claims, id, key);
                }
                if let Some(uid) = uid {
                    self.uids.remove(uid);
                }
            }
        }
        match after {
            Place::Nowhere => {}
            Place::Pod { node: Some(node), is_protected } => {
                join(&mut self.pods, node, key);
                if *is_protected {
                    join(&mut self.protected, node, key);
                }
            }
            Place::Pod { node: None, .. } => drop(self.unbound.insert(key.clone())),
            Place::Node { id, is_reserved } => {
                if let Some(id) = id {
                    join(&mut self.nodes, id, key);
                }
                if *is_reserved {
                    self.reserved.insert(key.clone());
                }
            }
            Place::Claim { id, uid, is_of_command } => {
                if *is_of_command {
                    self.of_commands.insert(key.clone());
                }
                if let Some(id) = id {
                    join(&mut self.claims, id, key);
                }
                if let Some(uid) = uid {
                    self.uids.insert(uid.clone(), key.clone());
                }
            }
        }
    }

    /// The nodes that are an instance.
    pub fn nodes_of(&self, id: &str) -> impl Iterator<Item = &ObjectKey> {
        self.nodes.get(id).into_iter().flatten()
    }

    /// The claims that say they have an instance.
    pub fn claims_of(&self, id: &str) -> impl Iterator<Item = &ObjectKey> {
        self.claims.get(id).into_iter().flatten()
    }

    /// Claims that come for others, or that say why they go.
    pub fn of_commands(&self) -> impl Iterator<Item = &ObjectKey> {
        self.of_commands.iter()
    }

    /// The claim of a uid.
    pub fn claim_of_uid(&self, uid: &str) -> Option<&ObjectKey> {
        self.uids.get(uid)
    }

    /// The pods that are bound to a node.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &ObjectKey> {
        self.pods.get(node).into_iter().flatten()
    }

    /// Those of them that say something of being disrupted (`karpenter.sh/do-not-disrupt`).
    pub fn protected_on(&self, node: &str) -> impl Iterator<Item = &ObjectKey> {
        self.protected.get(node).into_iter().flatten()
    }

    /// Pods without a node.
    pub fn unbound(&self) -> impl Iterator<Item = &ObjectKey> {
        self.unbound.iter()
    }

    pub fn is_reserved(&self, node: &str) -> bool {
        self.reserved.contains(&ObjectKey { namespace: Arc::from(""), name: Arc::from(node) })
    }

    /// Nodes that are not open for every pod.
    pub fn reserved(&self) -> impl Iterator<Item = &ObjectKey> {
        self.reserved.iter()
    }
}

fn join(of: &mut Of, at: &Arc<str>, key: &ObjectKey) {
    of.entry(at.clone()).or_default().insert(key.clone());
}

fn leave(of: &mut Of, at: &Arc<str>, key: &ObjectKey) {
    if let Some(keys) = of.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            of.remove(at);
        }
    }
}
