//! Every kind of launch that a world allows, written down without the solver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, NodePool, PodSpec, Taint, TaintEffect};
use crate::plan::{Launch, Offer};
use crate::requirements::{Requirement, Requirements};
use crate::resources::Resources;
use crate::settings::{MinValuesPolicy, PreferencePolicy};

use super::super::worlds::GPU;

/// What is bought, and the labels that are written where pool or type leave them open.
#[derive(Debug, Clone)]
pub struct Kind {
    pub pool: usize,
    capacity_type: CapacityType,
    offers: Vec<Offer>,
    written: Labels,
}

/// One offer, or where a pool asks for `minValues` any offers of one capacity type; cheapest first.
pub fn kinds(snapshot: &Snapshot) -> Vec<Kind> {
    let asked = asked_keys(snapshot);
    let strict = snapshot.settings.min_values_policy == MinValuesPolicy::Strict;
    let mut all = Vec::new();
    for (index, pool) in snapshot.node_pools.iter().enumerate() {
        let many = strict && pool.requirements.iter().any(|(_, requirement)| requirement.min_values.is_some());
        let sold = || pool.instance_types.iter().flat_map(|kind| kind.offerings.iter().map(move |of| (kind, of)));
        let sold: Vec<(&InstanceType, &Offering)> = sold().filter(|(_, of)| of.available).collect();
        let sets = if many { sets(&sold) } else { sold.iter().map(|&one| vec![one]).collect() };
        for mut set in sets {
            set.sort_by_key(|(kind, of)| (of.price, kind.name.clone(), of.zone.clone()));
            let offer = |(kind, of): &(&InstanceType, &Offering)| Offer {
                instance_type: kind.name.clone(),
                zone: of.zone.clone(),
                reservation: of.reservation.as_ref().map(|reservation| reservation.id.clone()),
                price: of.price,
            };
            for written in written(snapshot, pool, &set, &asked) {
                let offers = set.iter().map(offer).collect();
                all.push(Kind { pool: index, capacity_type: set[0].1.capacity_type, offers, written });
            }
        }
    }
    all.sort_by_key(Kind::price);
    all
}

/// Offers of one capacity type, every choice of them.
fn sets<'a>(sold: &[(&'a InstanceType, &'a Offering)]) -> Vec<Vec<(&'a InstanceType, &'a Offering)>> {
    let ways: BTreeSet<CapacityType> = sold.iter().map(|(_, of)| of.capacity_type).collect();
    let of_way = |way| sold.iter().copied().filter(|(_, of)| of.capacity_type == way).collect::<Vec<_>>();
    ways.into_iter().map(of_way).flat_map(|offers| subsets(&offers)).collect()
}

fn subsets<T: Copy>(of: &[T]) -> Vec<Vec<T>> {
    (1..1_usize << of.len())
        .map(|bits| of.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, one)| *one).collect())
        .collect()
}

/// The values of a label that somebody names; where nothing is spread or kept together by it also one that nobody does.
fn named(snapshot: &Snapshot, key: &str) -> BTreeSet<Arc<str>> {
    let mut values: BTreeSet<Arc<str>> =
        snapshot.nodes.iter().filter_map(|node| node.labels.get(key).cloned()).collect();
    let daemons = snapshot.daemon_sets.iter().map(|daemon| &daemon.template.spec);
    let specs = || snapshot.pending().map(|(_, pod)| &pod.template.spec);
    let pools = || {
        let usable = snapshot.node_pools.iter().filter(|pool| pool.unusable.is_none() && pool.replicas.is_none());
        usable.map(|pool| &pool.requirements)
    };
    let terms = |spec: &'_ PodSpec| {
        let preferred = spec.preferred_node_affinity.iter().map(|(_, term)| term.0.clone());
        spec.node_affinity.iter().map(|term| term.0.clone()).chain(preferred).collect::<Vec<_>>()
    };
    for requirements in pools().cloned().chain(specs().chain(daemons.clone()).flat_map(terms)) {
        values.extend(requirements.get(key).and_then(Requirement::finite_values).into_iter().flatten().cloned());
    }
    let of_pools = snapshot.node_pools.iter().filter_map(|pool| pool.requirements.get(key));
    values.extend(of_pools.flat_map(|requirement| requirement.named_values().iter().cloned()));
    // what a pool's nodes have where nobody asks for a value
    let of_pools = pools().filter_map(|requirements| requirements.get(key));
    values.extend(of_pools.filter(|of| !of.allows_absence()).filter_map(Requirement::any_value));
    values.extend(specs().chain(daemons).filter_map(|spec| spec.node_selector.get(key).cloned()));
    if !specs().any(|spec| topology_keys(spec).any(|of| **of == *key)) {
        values.insert("other".into());
    }
    values
}

fn topology_keys(spec: &PodSpec) -> impl Iterator<Item = &Arc<str>> {
    let soft = spec.preferred_pod_affinity.iter().chain(&spec.preferred_pod_anti_affinity).map(|(_, term)| term);
    let terms = spec.pod_affinity.iter().chain(&spec.pod_anti_affinity).chain(soft);
    spec.topology_spread.iter().map(|c| &c.topology_key).chain(terms.map(|term| &term.topology_key))
}

/// The keys that pods and daemon pods look at: others may have any value.
fn asked_keys(snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
    let daemons = snapshot.daemon_sets.iter().map(|daemon| &daemon.template.spec);
    let mut keys = BTreeSet::new();
    for spec in snapshot.pods.iter().map(|pod| &pod.template.spec).chain(daemons) {
        keys.extend(spec.node_selector.keys().cloned());
        let preferred = spec.preferred_node_affinity.iter().map(|(_, term)| term);
        let terms = spec.node_affinity.iter().chain(preferred).chain(spec.volumes.iter().flat_map(|v| &v.topology));
        keys.extend(terms.flat_map(|term| term.0.keys().cloned()));
        keys.extend(topology_keys(spec).cloned());
    }
    keys
}

/// The values that daemon pods and affinity of pods name of each label that they look at. What a pod selects it gets.
fn asked_values(snapshot: &Snapshot) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let daemons = snapshot.daemon_sets.iter().map(|daemon| &daemon.template.spec);
    let mut asked: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
    for (key, value) in daemons.clone().flat_map(|spec| &spec.node_selector) {
        asked.entry(key.clone()).or_default().insert(value.clone());
    }
    for spec in snapshot.pending().map(|(_, pod)| &pod.template.spec).chain(daemons) {
        let preferred = spec.preferred_node_affinity.iter().map(|(_, term)| term);
        let terms = spec.node_affinity.iter().chain(preferred).chain(spec.volumes.iter().flat_map(|v| &v.topology));
        for (key, requirement) in terms.flat_map(|term| &term.0) {
            asked.entry(key.clone()).or_default().extend(requirement.named_values().iter().cloned());
        }
    }
    asked
}

/// The ways to write the labels that pool or types leave open.
fn written(
    snapshot: &Snapshot,
    pool: &NodePool,
    set: &[(&InstanceType, &Offering)],
    asked: &BTreeSet<Arc<str>>,
) -> Vec<Labels> {
    let mut ways = vec![Labels::new()];
    let custom = pool.requirements.iter().filter(|(key, _)| !labels::is_well_known(key));
    let custom = custom.map(|(key, requirement)| {
        let mut values: Vec<Arc<str>> = named(snapshot, key).into_iter().collect();
        values.retain(|value| requirement.allows(value));
        if values.is_empty() && !requirement.allows_absence() {
            values.extend(requirement.any_value());
        }
        (key, values, requirement.allows_absence())
    });
    let of_types = set[0].0.requirements.iter().filter(|(_, r)| r.finite_values().is_some_and(|v| v.len() > 1));
    let of_types = of_types
        .map(|(key, requirement)| (key, requirement.finite_values().into_iter().flatten().cloned().collect(), true));
    let open: Vec<_> = custom.chain(of_types).collect();
    for (key, values, may_be_absent) in open.into_iter().filter(|(key, ..)| !pool.labels.contains_key(*key)) {
        let mut choices: Vec<Option<Arc<str>>> = may_be_absent.then_some(None).into_iter().collect();
        choices.extend(values.into_iter().map(Some));
        choices.truncate(if asked.contains(key) { usize::MAX } else { 1 });
        ways = ways
            .into_iter()
            .flat_map(|way| {
                choices.iter().map(move |choice| {
                    let mut way = way.clone();
                    way.extend(choice.iter().map(|value| (key.clone(), value.clone())));
                    way
                })
            })
            .collect();
    }
    ways
}

impl Kind {
    /// Accelerators, which the cloud provider buys only where nothing else is left (karpenter-aws 3).
    pub fn is_exotic(&self, snapshot: &Snapshot) -> bool {
        let pool = &snapshot.node_pools[self.pool];
        let is_asked = pool.requirements.iter().any(|(_, requirement)| requirement.min_values.is_some());
        let mut types = self.offers.iter().filter_map(|offer| self.of_type(snapshot, offer));
        !is_asked && types.any(|kind| kind.capacity.get(GPU) > 0)
    }

    /// Whether both are the same to every rule over domains, and have the same of all values that pods and daemon pods name.
    pub fn looks_like(&self, snapshot: &Snapshot, other: &Self) -> bool {
        let specs = snapshot.pods.iter().map(|pod| &pod.template.spec);
        let keys: BTreeSet<&Arc<str>> = specs.flat_map(topology_keys).collect();
        let label = |kind: &'_ Self, key: &str| kind.label(snapshot, &kind.offers[0], key).map(str::to_owned);
        keys.into_iter().all(|key| label(self, key) == label(other, key))
            && asked_values(snapshot).iter().all(|(key, named)| {
                let named = |kind: &Self| label(kind, key).filter(|value| named.contains(value.as_str()));
                named(self) == named(other)
            })
    }

    /// Micro-dollars an hour.
    pub fn price(&self) -> i64 {
        self.offers[0].price.0
    }

    fn of_type<'a>(&self, snapshot: &'a Snapshot, offer: &Offer) -> Option<&'a InstanceType> {
        snapshot.node_pools[self.pool].instance_types.iter().find(|kind| kind.name == offer.instance_type)
    }

    fn label<'a>(&'a self, snapshot: &'a Snapshot, offer: &'a Offer, key: &str) -> Option<&'a str> {
        let of_type = || self.of_type(snapshot, offer)?.requirements.get(key)?.single_value();
        match key {
            labels::ZONE => Some(&offer.zone),
            labels::CAPACITY_TYPE => Some(self.capacity_type.label()),
            labels::CAPACITY_RESERVATION_ID => offer.reservation.as_deref(),
            _ => {
                let of_pool = || snapshot.node_pools[self.pool].labels.get(key);
                self.written.get(key).or_else(of_type).or_else(of_pool).map(AsRef::as_ref)
            }
        }
    }

    /// A necessary condition: every type has that much before daemon pods.
    pub fn may_hold(&self, snapshot: &Snapshot, used: &Resources) -> bool {
        let mut types = self.offers.iter().filter_map(|offer| self.of_type(snapshot, offer));
        types.all(|kind| used.first_excess(&kind.allocatable).is_none())
    }

    /// What the pod gives up on such a node whatever else happens: preferred node affinity and taints.
    pub fn given_up(&self, snapshot: &Snapshot, spec: &PodSpec) -> i64 {
        let label = |key: &str| self.label(snapshot, &self.offers[0], key);
        given_up(snapshot, spec, &snapshot.node_pools[self.pool].taints, &label)
    }

    /// The launch for these pods; `None` where none of the terms of one holds.
    pub fn launch(&self, snapshot: &Snapshot, name: String, pods: &[usize]) -> Option<Launch> {
        let pool = &snapshot.node_pools[self.pool];
        let mut requirements = pool.requirements.clone();
        requirements.add(labels::INSTANCE_TYPE, one_of(self.offers.iter().map(|offer| &offer.instance_type)));
        requirements.add(labels::ZONE, one_of(self.offers.iter().map(|offer| &offer.zone)));
        requirements.add(labels::CAPACITY_TYPE, Requirement::one_of([self.capacity_type.label()]));
        for (key, value) in &self.written {
            requirements.add(key, Requirement::one_of([value.clone()]));
        }
        let mut requests = Resources::new();
        for &pod in pods {
            let spec = &snapshot.pods[pod].template.spec;
            requests.add(&spec.requests);
            requirements.add_all(&Requirements::from_labels(&spec.node_selector));
            if !spec.node_affinity.is_empty() {
                let holds = |term: &&Requirements| {
                    self.offers.iter().all(|offer| term.satisfied_by(|key| self.label(snapshot, offer, key)))
                };
                requirements.add_all(spec.node_affinity.iter().map(|term| &term.0).find(holds)?);
            }
        }
        requirements.remove(labels::HOSTNAME);
        snapshot.daemon_sets.iter().for_each(|daemon| requests.add(&daemon.template.spec.requests));
        let mut all = pool.labels.clone();
        all.extend(self.written.clone());
        Some(Launch {
            name: name.into(),
            pool: self.pool,
            capacity_type: self.capacity_type,
            offers: self.offers.clone().into(),
            labels: all.into(),
            taints: pool.taints.clone(),
            startup_taints: pool.startup_taints.clone(),
            requirements: requirements.into(),
            requests,
        })
    }
}

fn one_of<'a>(values: impl Iterator<Item = &'a Arc<str>>) -> Requirement {
    Requirement::one_of(values.cloned().collect::<BTreeSet<Arc<str>>>())
}

/// See [`Kind::given_up`]; of any node.
pub fn given_up<'a>(
    snapshot: &Snapshot,
    spec: &PodSpec,
    taints: &[Taint],
    label: &impl Fn(&str) -> Option<&'a str>,
) -> i64 {
    if snapshot.settings.preference_policy == PreferencePolicy::Ignore {
        return 0;
    }
    let unmet = spec.preferred_node_affinity.iter().filter(|(_, term)| !term.0.satisfied_by(label));
    let soft = taints.iter().filter(|taint| taint.effect == TaintEffect::PreferNoSchedule);
    let hard = soft.filter(|taint| !crate::model::rules::tolerates_all(&spec.tolerations, &[(*taint).clone()]));
    unmet.map(|(weight, _)| i64::from(*weight)).sum::<i64>() + 100 * i64::try_from(hard.count()).unwrap()
}
