//! The simulated cluster: every existing node and every launch as a slot, each slot with the shapes it may turn out to be.
//!
//! An existing node has one shape; a launch has one for every offer that it names, and a rule holds on a slot only if it
//! holds for all of them. Equal shapes of different launches are one, so that what is decided for a shape is decided once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::shape::{OfferShape, Shape};
use super::violation::{Report, Rule, Violation};
use crate::catalog::{InstanceType, Offering};
use crate::observe::snapshot::{Labels, NodePool, Snapshot, Taint};
use crate::plan::{Draft, Launch, Offer, Plan, Target};
use crate::requirements::Requirement;

pub(super) struct Cluster<'a> {
    pub snapshot: &'a Snapshot,
    pub plan: &'a Plan<Draft>,
    /// The nodes of the Snapshot in their order, then the launches in theirs.
    pub slots: Vec<Slot<'a>>,
    pub shapes: Vec<Shape<'a>>,
}

pub(super) struct Slot<'a> {
    pub name: &'a Arc<str>,
    /// Indices into `Cluster::shapes`, without repetition. Empty for a launch without a known offer.
    pub shapes: Vec<usize>,
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
                shapes: vec![i],
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
        for launch in &plan.launches {
            let catalogue = &catalogues[launch.pool];
            let next = profiles.len();
            let profile = *profiles.entry(catalogue.profile(launch)).or_insert(next);
            let mut of_launch = Vec::with_capacity(launch.offers.len());
            for offer in &launch.offers {
                let Some((type_index, offering_index)) = catalogue.find(launch, offer) else {
                    report.push(unknown_offer(launch, offer, "the pool's catalogue has no such offering"));
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
                of_launch.push(shape);
            }
            let named = of_launch.len();
            of_launch.sort_unstable();
            of_launch.dedup();
            if of_launch.len() < named {
                let text = "an offer stands in the launch twice".to_owned();
                report.push(Violation::new(Rule::UnknownOffer, text).node(&launch.name));
            }
            slots.push(Slot {
                name: &launch.name,
                shapes: of_launch,
                taints: &catalogue.pool.taints,
                deleting: false,
                residents: Vec::new(),
                assigned: Vec::new(),
            });
        }
        let mut cluster = Self { snapshot, plan, slots, shapes };
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

fn unknown_offer(launch: &Launch, offer: &Offer, why: &str) -> Violation {
    let reserved = offer.reservation.as_ref().map(|id| format!(" of reservation {id}")).unwrap_or_default();
    let text = format!("{} in {} ({}{reserved}): {why}", offer.instance_type, offer.zone, launch.capacity_type);
    Violation::new(Rule::UnknownOffer, text).node(&launch.name)
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
