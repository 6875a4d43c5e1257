//! A decision as it is stored (`docs/decision-directory.md`): indices become names, integers of any size strings.

use std::collections::BTreeMap;

use crate::host::{Decision, Limits};
use crate::observe::Snapshot;
use crate::solve::bound::{LimitPrice, PodWorth, Proof};
use crate::solve::{Pace, Work};
use crate::verify::decision::{
    self, Kind, NodePrices, PodValue, StoredCertificate, StoredPace, StoredPlan, StoredProof, StoredWork,
};
use crate::verify::objectives;

/// `snapshot_sha256`: of the Snapshot as it is stored beside it.
#[must_use]
pub fn decision(
    snapshot: &Snapshot,
    decided: &Decision,
    snapshot_sha256: String,
    limits: Limits,
) -> decision::Decision {
    let Decision { plan, certificate, .. } = decided;
    let mut levels = objectives(snapshot, plan);
    for level in levels.iter_mut().filter(|level| level.kind == Kind::Cost) {
        level.bound = certificate.bound.0;
    }
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
            levels,
            proof: proof(snapshot, &decided.proof),
        },
    }
}

/// What proves a bound on cost.
#[must_use]
pub fn proof(snapshot: &Snapshot, proof: &Proof) -> StoredProof {
    let written = |prices: &Vec<i128>| prices.iter().map(ToString::to_string).collect::<Vec<_>>();
    let pod_value = |PodWorth { pod, zone, value }: &PodWorth| PodValue {
        pod: snapshot.pods[*pod].key.to_string(),
        zone: zone.as_ref().map(ToString::to_string),
        nano_usd_hour: *value,
    };
    let of_node = |(node, prices): &(usize, Vec<i128>)| NodePrices {
        node: snapshot.nodes[*node].name.to_string(),
        prices: written(prices),
    };
    let of_limit = |LimitPrice { pool, limit, price }: &LimitPrice| decision::LimitPrice {
        node_pool: snapshot.node_pools[*pool].name.to_string(),
        limit: limit.to_string(),
        price: price.to_string(),
    };
    StoredProof {
        values: proof.values.iter().map(pod_value).collect(),
        theta: [proof.theta.0.to_string(), proof.theta.1.to_string()],
        resources: proof.resources.iter().map(ToString::to_string).collect(),
        prices: proof.prices.iter().map(written).collect(),
        node_prices: proof.node_prices.iter().map(of_node).collect(),
        limit_prices: proof.limit_prices.iter().map(of_limit).collect(),
        cells: proof.limits.cells,
        steps: proof.limits.steps,
        is_exhaustive: proof.is_exhaustive,
    }
}

fn work(work: Work) -> StoredWork {
    let Work { pace, rounds, dive_rounds, cells, search_steps, exact_steps } = work;
    let pace = match pace {
        Pace::Time => StoredPace::Time,
        Pace::Work => StoredPace::Work,
    };
    StoredWork { pace, rounds, dive_rounds, cells, search_steps, exact_steps }
}

#[cfg(test)]
mod tests;
