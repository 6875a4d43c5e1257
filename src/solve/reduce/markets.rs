//! What pools sell, as the requirements of pods look at it.

use std::collections::HashMap;

use fixedbitset::FixedBitSet;

use super::Signature;
use crate::model::{PoolModel, Problem};
use crate::requirements::Requirements;
use crate::solve::sets::RequirementSets;

/// Offerings of a pool by zone, capacity type and labels: what the requirements of pods look at.
pub struct Markets {
    /// For each an offering that stands for all of them: (type, offering).
    examples: Vec<(usize, usize)>,
    /// By type and offering.
    pub of_offering: Vec<Vec<usize>>,
}

impl Markets {
    pub fn of(pool: &PoolModel) -> Self {
        let mut ids = HashMap::new();
        let mut markets = Self { examples: Vec::new(), of_offering: Vec::new() };
        for (kind, of_type) in pool.types.iter().enumerate() {
            let of_kind = of_type.offerings.iter().enumerate().map(|(offering, of)| {
                let next = markets.examples.len();
                let id = *ids.entry((&of.zone, of.capacity_type, &of.labels)).or_insert(next);
                if id == next {
                    markets.examples.push((kind, offering));
                }
                id
            });
            let of_kind = of_kind.collect();
            markets.of_offering.push(of_kind);
        }
        markets
    }

    /// By market: the types that may hold the signature's pods there; empty where the pool is not for them.
    pub fn reached(
        &self,
        problem: &Problem,
        sets: &mut RequirementSets,
        pool: usize,
        signature: &Signature,
    ) -> Vec<FixedBitSet> {
        let Signature { alternatives, tolerates, weight, domains, .. } = signature;
        let model = &problem.pools[pool];
        if !tolerates[pool] || model.pool.weight != *weight {
            return Vec::new();
        }
        let base = sets.intern_pool(problem, pool);
        let mut reached = vec![FixedBitSet::with_capacity(model.types.len()); self.examples.len()];
        for &alternative in alternatives {
            let mut set = sets.meet(base, alternative);
            for &(key, domain) in domains {
                let pin = sets.pin(problem, key, domain);
                set = set.and_then(|set| sets.meet(set, pin));
            }
            let Some(set) = set else { continue };
            let types = sets.types(problem, pool, set);
            let requirements: &Requirements = sets.get(set);
            for (market, &(kind, offering)) in self.examples.iter().enumerate() {
                if model.types[kind].offerings[offering].satisfies(requirements) {
                    reached[market].union_with(&types);
                }
            }
        }
        reached
    }
}
