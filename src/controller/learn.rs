//! What nodes really have, told by those that have registered: other nodes of their kind are planned with it.

use std::sync::Arc;

use super::attention::Changes;
use super::class_hash;
use super::cluster::Claimed;
use super::conditions::REGISTERED;
use super::world::World;
use crate::api::labels;
use crate::catalog::{Learned, NodeKind};
use crate::observe::amounts;
use crate::observe::objects::ObjectKey;

/// Takes in the nodes of claims that have changed. Whether any of them says something new.
pub(super) fn step(world: &World, changes: &Changes, learned: &mut Arc<Learned>) -> bool {
    let claims = &world.objects().node_claims;
    let one = |name: &Arc<str>| claims.get_key_value(&ObjectKey { namespace: Arc::from(""), name: name.clone() });
    let all = changes.all.then(|| claims.iter()).into_iter().flatten();
    let changed = changes.claims.iter().filter(|_| !changes.all).filter_map(one);
    let mut is_news = false;
    for (key, claim) in all.chain(changed) {
        let Some(kind) = kind(&Claimed { key, claim: &claim.object, nodes: Vec::new() }) else { continue };
        let id = claim.object.status.as_ref().and_then(|status| status.provider_id.as_deref()).unwrap_or_default();
        let nodes = world.index().nodes_of(id).filter_map(|key| world.objects().nodes.get(key));
        for status in nodes.filter_map(|node| node.object.status.as_ref()) {
            let (Some(capacity), Some(allocatable)) = (&status.capacity, &status.allocatable) else { continue };
            is_news |= Arc::make_mut(learned).note(kind.clone(), &amounts(capacity), &amounts(allocatable));
        }
    }
    is_news
}

/// Of a claim whose node has registered, where the cloud says which image it runs.
fn kind(claimed: &Claimed<'_>) -> Option<NodeKind> {
    let image = claimed.claim.status.as_ref()?.image_id.as_deref()?;
    let instance_type = claimed.claim.metadata.labels.as_ref()?.get(labels::INSTANCE_TYPE)?;
    let class_hash = class_hash::of_claim(claimed)?;
    claimed.is(REGISTERED).then(|| NodeKind {
        instance_type: Arc::from(instance_type.as_str()),
        image_id: Arc::from(image),
        class_hash: Arc::from(class_hash),
    })
}
