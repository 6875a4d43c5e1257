//! What nodes really have, told by those that have registered: other nodes of their kind are planned with it.

use std::sync::Arc;

use super::attention::Changes;
use super::class_hash;
use super::cluster::Claimed;
use super::conditions::REGISTERED;
use super::market::Market;
use super::world::World;
use crate::api::labels;
use crate::catalog::{Catalog, Learned, NodeKind};
use crate::observe::amounts;
use crate::observe::objects::ObjectKey;

/// Takes in the nodes of claims that have changed. Where one of them says something new, everything is offered anew.
pub(super) fn step(
    (world, changes): (&World, &Changes),
    learned: &mut Arc<Learned>,
    catalog: &mut Catalog,
    market: &mut Market,
) {
    if take(world, changes, learned) && catalog.learn(learned) {
        *market = Market::default();
    }
}

/// Whether there is any news.
fn take(world: &World, changes: &Changes, learned: &mut Arc<Learned>) -> bool {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::ec2_node_class::HASH_VERSION;
    use crate::observe::RawObject;
    use crate::observe::input::Origin;

    fn learned(claim: &Value, node: &Value) -> usize {
        let mut world = World::default();
        for (kind, value) in [("NodeClaim", claim), ("Node", node)] {
            let mut said = Vec::new();
            world.see(kind, RawObject { origin: Origin::default(), value: value.clone() }, &mut said);
            assert!(said.is_empty(), "{said:?}");
        }
        let changes = Changes { all: true, ..Changes::default() };
        let mut learned = Arc::default();
        let is_news = take(&world, &changes, &mut learned);
        assert_eq!(is_news, !learned.is_empty());
        assert!(!take(&world, &changes, &mut learned), "it is no news twice");
        learned.len()
    }

    #[test]
    fn a_node_that_has_registered_tells_what_its_kind_has() {
        let claim = json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {"name": "c", "uid": "u", "labels": {labels::INSTANCE_TYPE: "m5.large"}, "annotations": {
                labels::EC2_NODE_CLASS_HASH: "h", labels::EC2_NODE_CLASS_HASH_VERSION: HASH_VERSION}},
            "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "c"}},
            "status": {"providerID": "aws:///a/i-1", "imageID": "ami-1", "conditions": [{"type": "Registered", "status": "True",
                "reason": "Registered", "message": "", "lastTransitionTime": "2024-01-01T01:01:01Z"}]},
        });
        let amounts = json!({"cpu": "2", "memory": "7Gi"});
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"providerID": "aws:///a/i-1"},
            "status": {"capacity": amounts, "allocatable": amounts},
        });
        assert_eq!(learned(&claim, &node), 1);
        let mut unregistered = claim.clone();
        unregistered["status"]["conditions"] = json!([]);
        assert_eq!(learned(&unregistered, &node), 0);
        let mut of_others = claim.clone();
        of_others["metadata"]["annotations"][labels::EC2_NODE_CLASS_HASH_VERSION] = json!("v6");
        assert_eq!(learned(&of_others, &node), 0, "it is not known what its class was");
    }
}
