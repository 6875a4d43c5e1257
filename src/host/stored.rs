//! A proof as it is stored, and as [`crate::verify`] reads it: names instead of indices.

use crate::observe::Snapshot;
use crate::solve::bound::{self, PodWorth, Proof};
use crate::verify::decision::{LimitPrice, NodePrices, PodValue, StoredProof};

/// The proof in the words of the Snapshot; what it says of pods and nodes that are not there is left out.
#[must_use]
pub fn stored_proof(snapshot: &Snapshot, proof: &Proof) -> StoredProof {
    let written = |prices: &Vec<i128>| prices.iter().map(ToString::to_string).collect::<Vec<_>>();
    let pod_value = |PodWorth { pod, zone, value }: &PodWorth| {
        let pod = snapshot.pods.get(*pod)?.key.to_string();
        Some(PodValue { pod, zone: zone.as_ref().map(ToString::to_string), nano_usd_hour: *value })
    };
    let of_node = |(node, prices): &(usize, Vec<i128>)| {
        Some(NodePrices { node: snapshot.nodes.get(*node)?.name.to_string(), prices: written(prices) })
    };
    let of_limit = |bound::LimitPrice { pool, limit, price }: &bound::LimitPrice| {
        let node_pool = snapshot.node_pools.get(*pool)?.name.to_string();
        Some(LimitPrice { node_pool, limit: limit.to_string(), price: price.to_string() })
    };
    StoredProof {
        values: proof.values.iter().filter_map(pod_value).collect(),
        theta: [proof.theta.0.to_string(), proof.theta.1.to_string()],
        resources: proof.resources.iter().map(ToString::to_string).collect(),
        prices: proof.prices.iter().map(written).collect(),
        node_prices: proof.node_prices.iter().filter_map(of_node).collect(),
        limit_prices: proof.limit_prices.iter().filter_map(of_limit).collect(),
        cells: proof.limits.cells,
        steps: proof.limits.steps,
        is_exhaustive: proof.is_exhaustive,
    }
}
