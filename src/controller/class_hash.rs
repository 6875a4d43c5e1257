//! What EC2NodeClasses and the claims that are made with them say of the class as it was: its static hash.
//!
//! Source: the reference's `nodeclass.hash` controller (karpenter-aws 1.1).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::cluster::{Claimed, Cluster};
use super::drift::DRIFTED;
use super::turn::Turn;
use crate::api::ec2_node_class::{EC2NodeClass, HASH_VERSION};
use crate::api::labels;
use crate::observe::objects::{ObjectKey, Objects};

const KIND: &str = "EC2NodeClass";

/// The class that a claim or pool names, if it is one of EC2 that can be read.
pub(super) fn class_of<'o>(kind: &str, name: &str, objects: &'o Objects) -> Option<&'o Arc<EC2NodeClass>> {
    let key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
    objects.ec2_node_classes.get(&key).filter(|_| kind == KIND).map(|class| &class.object)
}

/// The annotations of a claim that is made with a class, and of the class.
pub(super) fn annotations(class: &EC2NodeClass) -> [(&'static str, String); 2] {
    [
        (labels::EC2_NODE_CLASS_HASH, class.spec.static_hash()),
        (labels::EC2_NODE_CLASS_HASH_VERSION, HASH_VERSION.to_owned()),
    ]
}

/// Stamps classes, and claims that have the hash of another version. A claim that has drifted keeps its hash.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    let mut hashes: BTreeMap<&str, String> = BTreeMap::new();
    let classes = cluster.objects.ec2_node_classes.values().map(|class| &*class.object);
    for class in classes.filter(|class| cluster.is_structural && class.metadata.deletion_timestamp.is_none()) {
        let stamp = annotations(class);
        let known = class.metadata.annotations.as_ref();
        if stamp.iter().any(|(key, value)| known.and_then(|known| known.get(*key)) != Some(value)) {
            let stamp: BTreeMap<&str, String> = stamp.into();
            turn.patch(KIND, &class.metadata, json!({"metadata": {"annotations": stamp}}));
        }
    }
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && !is_stamped(claimed)) {
        let of = &claimed.claim.spec.node_class_ref;
        let Some(class) = class_of(&of.kind, &of.name, cluster.objects) else { continue };
        turn.about(claimed);
        let hash = hashes.entry(&of.name).or_insert_with(|| class.spec.static_hash());
        let mut stamp: BTreeMap<&str, Value> = [(labels::EC2_NODE_CLASS_HASH_VERSION, json!(HASH_VERSION))].into();
        if !claimed.is(DRIFTED) {
            stamp.insert(labels::EC2_NODE_CLASS_HASH, json!(hash));
        }
        turn.patch("NodeClaim", &claimed.claim.metadata, json!({"metadata": {"annotations": stamp}}));
    }
    turn.about_all();
}

fn is_stamped(claimed: &Claimed<'_>) -> bool {
    annotation(claimed, labels::EC2_NODE_CLASS_HASH_VERSION) == Some(HASH_VERSION)
}

/// The hash of the class that a claim was made with; `None` where it is of another version, which says nothing.
pub(super) fn of_claim<'o>(claimed: &Claimed<'o>) -> Option<&'o str> {
    annotation(claimed, labels::EC2_NODE_CLASS_HASH).filter(|_| is_stamped(claimed))
}

fn annotation<'o>(claimed: &Claimed<'o>, key: &str) -> Option<&'o str> {
    claimed.claim.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
