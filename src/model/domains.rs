//! Topology keys and the domains that they have: zones, hosts, any label.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::PoolModel;
use crate::api::labels;
use crate::observe::Snapshot;

/// Index into the keys.
pub type KeyId = usize;
/// Index into the domains of one key; for the hostname key, see [`Keys::HOST`].
pub type DomainId = usize;

/// Every topology key that some constraint names, with the domains that exist or could be created.
///
/// The hostname key is key 0 and has no list: its domains are the nodes, existing ones first, then new ones in the
/// order in which they are opened.
#[derive(Debug)]
pub struct Keys {
    names: Vec<Arc<str>>,
    domains: Vec<Vec<Arc<str>>>,
    /// For each key and domain: the pools (by model index) that can create it.
    pub providers: Vec<Vec<BTreeSet<usize>>>,
    /// For each key and domain: the mean price of the offerings in it, micro-dollars an hour; 0 where there are none.
    mean_price: Vec<Vec<i64>>,
}

impl Keys {
    pub const HOST: KeyId = 0;

    pub(super) fn of(snapshot: &Snapshot, pools: &[PoolModel]) -> Self {
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut templates = BTreeSet::new();
        for daemon in &snapshot.daemon_sets {
            names.extend(daemon.template.spec.pod_anti_affinity.iter().map(|term| term.topology_key.clone()));
        }
        for pod in &snapshot.pods {
            if !templates.insert(Arc::as_ptr(&pod.template)) {
                continue;
            }
            let spec = &pod.template.spec;
            names.extend(spec.topology_spread.iter().map(|c| c.topology_key.clone()));
            let preferred = spec.preferred_pod_affinity.iter().chain(&spec.preferred_pod_anti_affinity);
            let terms = spec.pod_affinity.iter().chain(&spec.pod_anti_affinity).chain(preferred.map(|(_, term)| term));
            names.extend(terms.map(|term| term.topology_key.clone()));
        }
        names.remove(labels::HOSTNAME);
        let names: Vec<Arc<str>> = std::iter::once(Arc::from(labels::HOSTNAME)).chain(names).collect();
        let mut keys =
            Self { names, domains: vec![Vec::new()], providers: vec![Vec::new()], mean_price: vec![Vec::new()] };
        let asked = asked_values(snapshot);
        for key in 1..keys.names.len() {
            let found = domains_of(&keys.names[key], snapshot, pools, &asked);
            keys.domains.push(found.keys().cloned().collect());
            keys.providers.push(found.into_values().collect());
            keys.mean_price.push(mean_prices(&keys.names[key], &keys.domains[key], pools));
        }
        keys
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    #[must_use]
    pub fn name(&self, key: KeyId) -> &Arc<str> {
        &self.names[key]
    }

    #[must_use]
    pub fn id(&self, name: &str) -> Option<KeyId> {
        self.names.iter().position(|known| known.as_ref() == name)
    }

    /// The domains of a key, sorted; empty for the hostname.
    #[must_use]
    pub fn domains(&self, key: KeyId) -> &[Arc<str>] {
        &self.domains[key]
    }

    /// What a domain costs, to compare it with others of its key.
    #[must_use]
    pub fn mean_price(&self, key: KeyId, domain: DomainId) -> i64 {
        self.mean_price[key][domain]
    }

    #[must_use]
    pub fn domain(&self, key: KeyId, value: &str) -> Option<DomainId> {
        self.domains[key].binary_search_by(|known| known.as_ref().cmp(value)).ok()
    }
}

fn mean_prices(key: &str, domains: &[Arc<str>], pools: &[PoolModel]) -> Vec<i64> {
    let mut sums: Vec<(i64, i64)> = vec![(0, 0); domains.len()];
    for offering in pools.iter().flat_map(|pool| &pool.types).flat_map(|kind| &kind.offerings) {
        let at = offering.label(key).and_then(|value| domains.binary_search_by(|known| known.as_ref().cmp(value)).ok());
        if let Some((sum, count)) = at.map(|at| &mut sums[at]) {
            (*sum, *count) = (sum.saturating_add(offering.price.0), *count + 1);
        }
    }
    sums.into_iter().map(|(sum, count)| if count == 0 { 0 } else { sum / count }).collect()
}

/// The values that pods ask for by label, which a pool that leaves the label open can create.
fn asked_values(snapshot: &Snapshot) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let mut asked: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
    let mut templates = BTreeSet::new();
    for (_, pod) in snapshot.pending().filter(|(_, pod)| templates.insert(Arc::as_ptr(&pod.template))) {
        let spec = &pod.template.spec;
        for (key, value) in &spec.node_selector {
            asked.entry(key.clone()).or_default().insert(value.clone());
        }
        let preferred = spec.preferred_node_affinity.iter().map(|(_, term)| term);
        for (key, requirement) in spec.node_affinity.iter().chain(preferred).flat_map(|term| &term.0) {
            asked.entry(key.clone()).or_default().extend(requirement.finite_values().into_iter().flatten().cloned());
        }
    }
    asked
}

/// The values of a label that nodes carry (deleting ones too: pods that stay there count) or pools can create, with the
/// pools that can.
fn domains_of(
    key: &str,
    snapshot: &Snapshot,
    pools: &[PoolModel],
    asked: &BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
) -> BTreeMap<Arc<str>, BTreeSet<usize>> {
    let mut found: BTreeMap<Arc<str>, BTreeSet<usize>> = BTreeMap::new();
    for value in snapshot.nodes.iter().filter_map(|node| node.labels.get(key)) {
        found.entry(value.clone()).or_default();
    }
    for (index, pool) in pools.iter().enumerate() {
        let allowed = pool.requirements.get(key);
        let mut values: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut offered = false;
        for kind in &pool.types {
            if let Some(of_type) = kind.instance_type.requirements.get(key).and_then(|r| r.finite_values()) {
                offered = true;
                values.extend(of_type.iter().cloned());
            }
            for offering in &kind.offerings {
                if let Some(value) = offering.label(key) {
                    offered = true;
                    if !values.contains(value) {
                        values.insert(Arc::from(value));
                    }
                }
            }
        }
        if !offered {
            values.extend(allowed.and_then(|r| r.finite_values()).into_iter().flatten().cloned());
            if let Some(open) = allowed.filter(|r| r.finite_values().is_none()) {
                // the pool leaves the label open: what its nodes get by themselves, and what pods ask for
                values.extend(open.any_value().filter(|_| !open.allows_absence()));
                values.extend(asked.get(key).into_iter().flatten().cloned());
            }
        }
        for value in values.into_iter().filter(|value| allowed.is_none_or(|r| r.allows(value))) {
            found.entry(value).or_default().insert(index);
        }
    }
    // a pool that leaves a custom label open can be pinned to any value that is known
    for (index, pool) in pools.iter().enumerate().filter(|_| !labels::is_well_known(key)) {
        if let Some(open) = pool.requirements.get(key).filter(|r| r.finite_values().is_none()) {
            for (_, pools) in found.iter_mut().filter(|(value, _)| open.allows(value)) {
                pools.insert(index);
            }
        }
    }
    found
}
