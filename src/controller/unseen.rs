//! Instances that run for claims which are not known here: another process has made them a moment ago, or they were left behind.
//! They cost money as others do, so they count towards the limits of their NodePools and the safety valves until their claim is
//! seen or they are gone.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::garbage::Garbage;
use super::instances::Instances;
use crate::cloud::Listed;
use crate::observe::snapshot::{Labels, Node, NodeDisruption, NodePool, NodeStage};
use crate::resources::Resources;

/// Those that were listed last, as nodes that take no pods; `market`: what each pool can launch. One of a type that its pool does not
/// offer any more is a node all the same, but nobody knows what it has and what it costs.
pub(super) fn unseen(
    cluster: &Cluster<'_>,
    garbage: &Garbage,
    instances: &Instances,
    market: &[NodePool],
) -> Vec<Node> {
    let is_unseen = |listed: &&Listed| {
        !cluster.has_uid(&listed.claim)
            && !cluster.is_claimed(&listed.provider_id)
            && !instances.is_gone(&listed.provider_id)
    };
    garbage.listed().filter(is_unseen).map(|listed| node(listed, market)).collect()
}

fn node(listed: &Listed, market: &[NodePool]) -> Node {
    let pool = market.iter().find(|pool| pool.name == listed.pool);
    let kind = pool.and_then(|pool| pool.instance_types.iter().find(|kind| kind.name == listed.instance_type));
    let capacity = kind.map_or_else(Resources::new, |kind| kind.capacity.clone());
    Node {
        name: listed.provider_id.clone(),
        claim: None,
        pool: Some(listed.pool.clone()),
        stage: NodeStage::InFlight,
        created_at: Some(listed.launched_at),
        labels: Labels::new(),
        taints: Vec::new(),
        allocatable: capacity.clone(),
        capacity,
        attach_limits: BTreeMap::new(),
        deleting: true,
        // where it is and how it was bought is not told
        price: kind.and_then(|kind| kind.offerings.iter().map(|offering| offering.price).max()),
        disruption: NodeDisruption::default(),
    }
}
