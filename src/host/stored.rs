//! A decision as it is stored (`docs/decision-directory.md`), and as [`crate::verify`] reads it: names instead of indices,
//! integers of any size as strings.

use std::collections::BTreeMap;

use super::{Decision, Limits};
use crate::observe::Snapshot;
use crate::solve::bound::{self, PodWorth, Proof};
use crate::solve::{Pace, Work};
use crate::verify::decision::{
    self, Kind, LimitPrice, NodePrices, PodValue, StoredCertificate, StoredLeftProof, StoredPace, StoredPlan,
    StoredProof, StoredWork,
};
use crate::verify::objectives;

/// `snapshot_sha256`: of the Snapshot as it is stored beside it.
#[must_use]
pub fn stored_decision(
    snapshot: &Snapshot,
    decided: &Decision,
    snapshot_sha256: String,
    limits: Limits,
) -> decision::Decision {
    let Decision { plan, certificate, .. } = decided;
    let mut levels = objectives(snapshot, plan);
    for level in &mut levels {
        match level.kind {
            Kind::Cost => level.bound = certificate.bound.0,
            Kind::Unplaced { priority } => {
                let stated = certificate.left.iter().find(|left| left.priority == priority);
                let stated = stated.map_or(0, |left| i64::try_from(left.at_least).unwrap_or(i64::MAX));
                level.bound = level.bound.max(stated);
            }
            Kind::Preferences => {}
        }
    }
    let left_proof =
        |of: &bound::LeftProof| StoredLeftProof { priority: of.priority, proof: stored_proof(snapshot, &of.proof) };
    decision::Decision {
        format: decision::FORMAT,
        snapshot_sha256,
        files_sha256: BTreeMap::new(),
        time_limit_ms: u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX),
        work: work(limits.work),
        plan: StoredPlan {
            launches: plan.launches.clone(),
            assignments: plan.assignments.clone(),
            unplaced: plan.unplaced.clone(),
        },
        certificate: StoredCertificate {
            stage: certificate.stage,
            stop: certificate.stop,
            failure: certificate.failure.clone(),
            levels,
            proof: stored_proof(snapshot, &decided.proof),
            left_proofs: decided.left_proofs.iter().filter(|of| of.proof.bound.0 > 0).map(left_proof).collect(),
        },
    }
}

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

fn work(work: Work) -> StoredWork {
    let Work { pace, rounds, dive_rounds, cells, search_steps, exact_steps, ways } = work;
    let pace = match pace {
        Pace::Time => StoredPace::Time,
        Pace::Work => StoredPace::Work,
    };
    StoredWork { pace, rounds, dive_rounds, cells, search_steps, exact_steps, ways }
}

pub(super) fn work_of(stored: StoredWork) -> Work {
    let StoredWork { pace, rounds, dive_rounds, cells, search_steps, exact_steps, ways } = stored;
    let pace = match pace {
        StoredPace::Time => Pace::Time,
        StoredPace::Work => Pace::Work,
    };
    Work { pace, rounds, dive_rounds, cells, search_steps, exact_steps, ways }
}

#[cfg(test)]
mod tests;
