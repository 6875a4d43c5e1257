//! Interned requirement sets, so that intersecting and matching them is done once for each distinct pair.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use crate::api::labels;
use crate::model::{KeyId, PoolModel, Problem};
use crate::requirements::{Requirement, Requirements, Undefined};

/// Handle of an interned [`Requirements`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(u32);

/// Requirement sets with memoised intersections and matching types.
#[derive(Debug, Default)]
pub struct RequirementSets {
    sets: Vec<Arc<Requirements>>,
    ids: HashMap<Arc<Requirements>, SetId>,
    meets: HashMap<(SetId, SetId), Option<SetId>>,
    types: HashMap<(usize, SetId), Rc<FixedBitSet>>,
    pins: HashMap<(KeyId, usize), SetId>,
    pools: HashMap<usize, SetId>,
}

impl RequirementSets {
    pub fn intern(&mut self, set: Requirements) -> SetId {
        let set = Arc::new(set);
        if let Some(&id) = self.ids.get(&set) {
            return id;
        }
        let id = SetId(u32::try_from(self.sets.len()).expect("fewer than 2^32 requirement sets"));
        self.sets.push(set.clone());
        self.ids.insert(set, id);
        id
    }

    pub fn get(&self, id: SetId) -> &Arc<Requirements> {
        &self.sets[id.0 as usize]
    }

    /// A new node's requirements narrowed by a pod's; `None` where they are incompatible.
    pub fn meet(&mut self, node: SetId, pod: SetId) -> Option<SetId> {
        if let Some(&known) = self.meets.get(&(node, pod)) {
            return known;
        }
        let (a, b) = (self.sets[node.0 as usize].clone(), self.sets[pod.0 as usize].clone());
        let met = a.compatible(&b, Undefined::AllowWellKnown).ok().map(|()| {
            let mut joined = (*a).clone();
            joined.add_all(&b);
            // a key that only a pod names, and that the cloud does not give, is on no node of the pool
            for (key, wanted) in b.iter().filter(|(key, _)| !a.contains_key(key) && !labels::is_well_known(key)) {
                if wanted.allows_absence() {
                    joined.replace(key, Requirement::does_not_exist());
                }
            }
            self.intern(joined)
        });
        self.meets.insert((node, pod), met);
        met
    }

    /// The set that fixes a topology key to one domain.
    pub fn pin(&mut self, problem: &Problem, key: KeyId, domain: usize) -> SetId {
        if let Some(&known) = self.pins.get(&(key, domain)) {
            return known;
        }
        let value = problem.keys.domains(key)[domain].clone();
        let id = self.intern([(problem.keys.name(key), Requirement::one_of([value]))].into_iter().collect());
        self.pins.insert((key, domain), id);
        id
    }

    /// The requirements of a pool.
    pub fn intern_pool(&mut self, problem: &Problem, pool: usize) -> SetId {
        if let Some(&known) = self.pools.get(&pool) {
            return known;
        }
        let id = self.intern(problem.pools[pool].requirements.clone());
        self.pools.insert(pool, id);
        id
    }

    /// The types of a pool that the set allows in some available offering.
    pub fn types(&mut self, problem: &Problem, pool: usize, id: SetId) -> Rc<FixedBitSet> {
        if let Some(known) = self.types.get(&(pool, id)) {
            return known.clone();
        }
        let found = Rc::new(matching_types(&problem.pools[pool], self.get(id)));
        self.types.insert((pool, id), found.clone());
        found
    }
}

fn matching_types(pool: &PoolModel, set: &Requirements) -> FixedBitSet {
    let mut found = FixedBitSet::with_capacity(pool.types.len());
    let must_have = pool.labels_to_be_had(set);
    for (index, kind) in pool.types.iter().enumerate() {
        let matches = kind.instance_type.requirements.intersects(set).is_ok()
            && kind.offerings.iter().any(|offering| kind.sells(offering, set, &must_have));
        found.set(index, matches);
    }
    found
}
