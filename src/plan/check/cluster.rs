//! The simulated cluster: every existing node and every launch as a slot, each slot with the shapes it may turn out to be.
//!
//! An existing node has one shape; a launch has one for every offer that it names, and a rule holds on a slot only if it
//! holds for all of them. Equal shapes of different launches are one, so that what is decided for a shape is decided once; and
//! launches that differ in name and pods only are of one kind, so that what their pods have no part in is decided once.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::shape::{OfferShape, Shape};
use super::violation::{Report, Rule, Violation};
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::observe::snapshot::{Labels, NodePool, Snapshot, Taint};
use crate::plan::{Draft, Launch, Offer, Plan, Target};
use crate::requirements::{Requirement, Requirements};

pub(super) struct Cluster<'a> {
    pub snapshot: &'a Snapshot,
    pub plan: &'a Plan<Draft>,
    /// The nodes of the Snapshot in their order, then the launches in theirs.
    pub slots: Vec<Slot<'a>>,
    pub shapes: Vec<Shape<'a>>,
    /// The number of kinds.
    pub kinds: usize,
}

/// What the launches of a kind have in common: all that they are without name, pods and requests.
#[derive(PartialEq, Eq)]
struct Kind<'a> {
    pool: usize,
    capacity_type: CapacityType,
    offers: &'a [Offer],
    labels: &'a Labels,
    taints: [&'a [Taint]; 2],
    requirements: &'a Requirements,
}

/// By what tells most kinds apart: hashing all of some 60 offers costs more than to compare them with those of a kind.
impl Hash for Kind<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.pool, self.capacity_type, self.offers.len(), self.labels.len()).hash(state);
        (self.offers.first(), self.offers.last()).hash(state);
    }
}

impl<'a> Kind<'a> {
    fn of(launch: &'a Launch) -> Self {
        Self {
            pool: launch.pool,
            capacity_type: launch.capacity_type,
            offers: &launch.offers,
            labels: &launch.labels,
            taints: [&launch.taints, &launch.startup_taints],
            requirements: &launch.requirements,
        }
    }
}

pub(super) struct Slot<'a> {
    pub name: &'a Arc<str>,
    /// Equal for launches of one kind, at most `Cluster::kinds`; every existing node is a kind of its own.
    pub kind: usize,
    /// Indices into `Cluster::shapes`, without repetition. Empty for a launch without a known offer. Equal for one kind.
    pub shapes: Arc<[usize]>,
    pub taints: &'a [Taint],
    /// Takes no pods and is no domain of a spread.
    pub deleting: bool,
    /// The pods that are bound here and stay: indices into `Snapshot::pods`.
    pub residents: Vec<usize>,
    /// The pods that the plan puts here, in bind order: indices into `Snapshot::pods`.
    pub assigned: Vec<usize>,
}

impl<'a> Cluster<'a> {
    /// Needs targets and pools that exist. Offers that the catalogue does not have are reported and left out.
    pub(super) fn build(snapshot: &'a Snapshot, plan: &'a Plan<Draft>, report: &mut Report) -> Self {
        let mut shapes: Vec<Shape<'a>> = snapshot.nodes.iter().map(Shape::Node).collect();
        let mut slots: Vec<Slot<'a>> = snapshot
            .nodes
            .iter()
            .enumerate()
            .map(|(i, node)| Slot {
                name: &node.name,
                kind: i,
                shapes: Arc::from([i]),
                taints: &node.taints,
                deleting: node.deleting,
                residents: Vec::new(),
                assigned: Vec::new(),
            })
            .collect();
        let by_name: HashMap<&str, usize> = snapshot.nodes.iter().enumerate().map(|(i, n)| (&*n.name, i)).collect();
        for (i, pod) in snapshot.pods.iter().enumerate().filter(|(_, pod)| !pod.displaced) {
            if let Some(&slot) = pod.node.as_ref().and_then(|name| by_name.get(name.as_ref())) {
                slots[slot].residents.push(i);
            }
        }
        let catalogues: Vec<Catalogue<'a>> = snapshot.node_pools.iter().map(Catalogue::index).collect();
        let mut profiles: BTreeMap<Profile<'a>, usize> = BTreeMap::new();
        let mut known: HashMap<(usize, usize, usize), usize> = HashMap::new();
        let mut kinds: HashMap<Kind<'a>, usize> = HashMap::new();
        // by kind: its shapes, and what is wrong with its offers
        let mut bought: Vec<(Arc<[usize]>, Vec<String>)> = Vec::new();
        for launch in &plan.launches {
            let catalogue = &catalogues[launch.pool];
            let kind = *kinds.entry(Kind::of(launch)).or_insert(bought.len());
            if kind == bought.len() {
                let next = profiles.len();
                let profile = *profiles.entry(catalogue.profile(launch)).or_insert(next);
                let mut faults = Vec::new();
                let mut of_kind = Vec::with_capacity(launch.offers.len());
                for offer in launch.offers.iter() {
                    let Some((type_index, offering_index)) = catalogue.find(launch, offer) else {
                        faults.push(unknown_offer(launch, offer));
                        continue;
                    };
                    let shape = *known.entry((profile, type_index, offering_index)).or_insert_with(|| {
                        let instance_type = &catalogue.pool.instance_types[type_index];
                        shapes.push(Shape::Offer(OfferShape {
                            instance_type,
                            offering: &instance_type.offerings[offering_index],
                            labels: &launch.labels,
                            claim: &launch.requirements,
                        }));
                        shapes.len() - 1
                    });
                    of_kind.push(shape);
                }
                let named = of_kind.len();
                of_kind.sort_unstable();
                of_kind.dedup();
                if of_kind.len() < named {
                    faults.push("an offer stands in the launch twice".to_owned());
                }
                bought.push((of_kind.into(), faults));
            }
            let (shapes, faults) = &bought[kind];
            for fault in faults {
                report.push(Violation::new(Rule::UnknownOffer, fault.clone()).node(&launch.name));
            }
            slots.push(Slot {
                name: &launch.name,
                kind: snapshot.nodes.len() + kind,
                shapes: shapes.clone(),
                taints: &catalogue.pool.taints,
                deleting: false,
                residents: Vec::new(),
                assigned: Vec::new(),
            });
        }
        let kinds = snapshot.nodes.len() + bought.len();
        let mut cluster = Self { snapshot, plan, slots, shapes, kinds };
        for assignment in &plan.assignments {
            let slot = cluster.slot_of(assignment.target);
            cluster.slots[slot].assigned.push(assignment.pod);
        }
        cluster
    }

    pub(super) fn slot_of(&self, target: Target) -> usize {
        match target {
            Target::Existing(node) => node,
            Target::Launch(launch) => self.snapshot.nodes.len() + launch,
        }
    }

    /// The slots of the launches with what they launch.
    pub(super) fn launches(&self) -> impl Iterator<Item = (&Slot<'a>, &'a Launch, &'a NodePool)> {
        let pools = &self.snapshot.node_pools;
        self.slots[self.snapshot.nodes.len()..]
            .iter()
            .zip(&self.plan.launches)
            .map(move |(slot, launch)| (slot, launch, &pools[launch.pool]))
    }

    pub(super) fn offer_shape(&self, shape: usize) -> Option<&OfferShape<'a>> {
        match &self.shapes[shape] {
            Shape::Offer(offer) => Some(offer),
            Shape::Node(_) => None,
        }
    }
}

fn unknown_offer(launch: &Launch, offer: &Offer) -> String {
    let reserved = offer.reservation.as_ref().map(|id| format!(" of reservation {id}")).unwrap_or_default();
    format!(
        "{} in {} ({}{reserved}): the pool's catalogue has no such offering",
        offer.instance_type, offer.zone, launch.capacity_type
    )
}

/// What distinguishes the nodes of two launches of one type and offering: pool, labels, and the claim's requirements for
/// the keys that some type of the pool leaves open.
type Profile<'a> = (usize, &'a Labels, Vec<(Arc<str>, Option<&'a Requirement>)>);

struct Catalogue<'a> {
    pool: &'a NodePool,
    types: HashMap<&'a str, usize>,
    /// Keys for which some type has not exactly one value.
    open_keys: Vec<Arc<str>>,
}

impl<'a> Catalogue<'a> {
    fn index(pool: &'a NodePool) -> Self {
        let types = pool.instance_types.iter().enumerate().map(|(i, t)| (t.name.as_ref(), i)).collect();
        let is_open = |r: &Requirement| r.finite_values().is_none_or(|values| values.len() > 1);
        let mut open_keys: Vec<Arc<str>> = pool
            .instance_types
            .iter()
            .flat_map(|t| t.requirements.iter())
            .filter(|(_, requirement)| is_open(requirement))
            .map(|(key, _)| key.clone())
            .collect();
        open_keys.sort_unstable();
        open_keys.dedup();
        Self { pool, types, open_keys }
    }

    fn profile(&self, launch: &'a Launch) -> Profile<'a> {
        let claimed = self.open_keys.iter().map(|key| (key.clone(), launch.requirements.get(key))).collect();
        (launch.pool, &launch.labels, claimed)
    }

    fn find(&self, launch: &Launch, offer: &Offer) -> Option<(usize, usize)> {
        let type_index = *self.types.get(offer.instance_type.as_ref())?;
        let same = |o: &Offering| {
            o.zone == offer.zone
                && o.capacity_type == launch.capacity_type
                && o.reservation.as_ref().map(|r| &r.id) == offer.reservation.as_ref()
        };
        let instance_type: &InstanceType = &self.pool.instance_types[type_index];
        Some((type_index, instance_type.offerings.iter().position(same)?))
    }
}
