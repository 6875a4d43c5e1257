//! Instances that run for claims which are not known here: another process has made them a moment ago, or they were left behind.
//! They cost money as others do, so they count towards the limits of their NodePools and the safety valves until their claim is
//! seen or they are gone.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::garbage::{Garbage, is_wanted};
use super::instances::Instances;
use crate::catalog::{InstanceType, Offering};
use crate::cloud::Listed;
use crate::observe::snapshot::{Node, NodeDisruption, NodePool, NodeStage};
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
        !cluster.is_claimed(&listed.provider_id)
            && !instances.is_gone(&listed.provider_id)
            && !is_wanted(cluster, listed)
    };
    garbage.all_listed().filter(is_unseen).map(|listed| node(listed, market)).collect()
}

fn node(listed: &Listed, market: &[NodePool]) -> Node {
    let pool = listed.pool.as_ref().and_then(|name| market.iter().find(|pool| pool.name == *name));
    let machine = listed.machine.as_ref();
    let is_it = |kind: &&InstanceType| machine.is_some_and(|machine| machine.instance_type == kind.name);
    let kind = pool.and_then(|pool| pool.instance_types.iter().find(is_it));
    let price = || {
        let (kind, machine) = (kind?, machine?);
        let here = |of: &&Offering| of.zone == machine.zone && of.capacity_type == machine.capacity_type;
        let bought = kind.offerings.iter().find(here).map(|of| of.price);
        bought.or_else(|| kind.offerings.iter().map(|of| of.price).max())
    };
    let capacity = kind.map_or_else(Resources::new, |kind| kind.capacity.clone());
    Node {
        name: listed.provider_id.clone(),
        claim: None,
        pool: listed.pool.clone(),
        stage: NodeStage::InFlight,
        created_at: Some(listed.launched_at),
        labels: std::sync::Arc::default(),
        taints: Vec::new(),
        allocatable: capacity.clone(),
        capacity,
        attach_limits: BTreeMap::new(),
        deleting: true,
        price: price(),
        disruption: NodeDisruption::default(),
    }
}
