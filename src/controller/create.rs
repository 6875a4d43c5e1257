//! NodeClaims as they come to be.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::action::Verb;
use super::class_hash;
use super::event::Subject;
use super::hash;
use super::turn::Turn;
use crate::api::labels;
use crate::observe::objects::Objects;
use crate::observe::snapshot::NodePool;
use crate::placement::ClaimPlan;

/// Characters after the name of the pool.
const LENGTH: usize = 5;

/// A claim of a pool, for the pods of a plan: by its annotation it is known as ours. Whether it is sent.
pub(super) fn create_claim(
    pool: &NodePool,
    mut claim: Value,
    plan: &ClaimPlan,
    objects: &Objects,
    turn: &mut Turn<'_>,
) -> bool {
    let Some(name) = claim["metadata"]["name"].as_str().map(str::to_owned) else { return false };
    let metadata = &mut claim["metadata"];
    metadata["annotations"][labels::PLANNED_PODS] = json!(plan.to_annotation());
    if let Value::Object(stamp) = hash::annotations(pool) {
        stamp.into_iter().for_each(|(key, value)| metadata["annotations"][key] = value);
    }
    if let Some(class) = class_hash::class_of(&pool.node_class.kind, &pool.node_class.name, objects) {
        for (key, value) in class_hash::annotations(class) {
            metadata["annotations"][key] = json!(value);
        }
    }
    metadata["finalizers"] = json!([labels::FINALIZER_TERMINATION]);
    metadata["ownerReferences"] = json!([{
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "name": pool.name, "uid": pool.uid,
        "blockOwnerDeletion": true,
    }]);
    turn.write_version(Subject::of_cluster("NodeClaim", &name), None, Verb::Create(claim))
}

/// A name that no claim had before: pods of a node that is gone may still name it. Another seed makes another name.
pub(super) fn free_name(pool: &str, seed: &str, objects: &Objects) -> Arc<str> {
    let mut hash = Sha256::new();
    hash.update(seed);
    loop {
        let suffix: String = hash.clone().finalize().iter().take(LENGTH).map(|byte| letter(*byte)).collect();
        let name: Arc<str> = format!("{pool}-{suffix}").into();
        let (claim, node) = (Subject::of_cluster("NodeClaim", &name), Subject::of_cluster("Node", &name));
        if !objects.node_claims.contains_key(&claim.key) && !objects.nodes.contains_key(&node.key) {
            return name;
        }
        hash.update("again");
    }
}

/// The alphabet of generated Kubernetes names.
fn letter(byte: u8) -> char {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])
}
