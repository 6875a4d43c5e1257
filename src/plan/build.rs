//! Solution -> [`Plan<Draft>`]: each new node becomes a launch with its ordered offers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::names::Names;
use super::reasons::Reasons;
use super::types::{Assignment, Draft, Launch, Offer, Plan, Target, Unplaced};
use crate::api::labels;
use crate::catalog::{CapacityType, Offering};
use crate::model::{PoolModel, Problem, TypeModel};
use crate::observe::snapshot::Labels;
use crate::requirements::{Requirement, Requirements};
use crate::resources::Resources;
use crate::solve::{NewNode, Place, Solution};

/// Turns a solution into a plan: chooses capacity type, offers and labels of each launch, and says why pods are left.
#[must_use]
pub fn build(problem: &Problem, solution: &Solution) -> Plan<Draft> {
    let mut market = Market::new(problem);
    let mut names = Names::new(problem.snapshot);
    let mut pods: Vec<Vec<usize>> = vec![Vec::new(); solution.new_nodes.len()];
    for (pod, place) in &solution.placements {
        if let Place::New(node) = place {
            pods[*node].push(*pod);
        }
    }
    let launches: Vec<Launch> = solution
        .new_nodes
        .iter()
        .zip(&pods)
        .map(|(node, pods)| launch(problem, node, pods, &mut market, &mut names))
        .collect();
    let target = |place: &Place| match place {
        Place::Existing(node) => Target::Existing(problem.nodes[*node].index),
        Place::New(node) => Target::Launch(*node),
    };
    let assignments =
        solution.placements.iter().map(|(pod, place)| Assignment { pod: *pod, target: target(place) }).collect();
    let unplaced = unplaced(problem, solution, &launches);
    Plan { launches, assignments, unplaced, state: PhantomData }
}

fn unplaced(problem: &Problem, solution: &Solution, launches: &[Launch]) -> Vec<Unplaced> {
    let snapshot = problem.snapshot;
    let mut reasons = Reasons::new(problem, launches);
    let refused = snapshot
        .pending()
        .filter_map(|(pod, of)| of.refused.as_ref().map(|reason| Unplaced { pod, reason: reason.clone() }));
    let mut unplaced: Vec<Unplaced> = refused.collect();
    let left: BTreeSet<usize> = solution.unplaced.iter().copied().collect();
    for (group, model) in problem.groups.iter().enumerate() {
        let mut members = model.pods.iter().filter(|pod| left.contains(pod)).peekable();
        if members.peek().is_some() {
            let reason: Arc<str> = reasons.why(group).into();
            unplaced.extend(members.map(|&pod| Unplaced { pod, reason: reason.clone() }));
        }
    }
    unplaced.sort_by_key(|unplaced| unplaced.pod);
    unplaced
}

/// What a pool offers under some requirements, cheapest first, and what earlier launches of the plan have taken.
struct Market<'p> {
    books: HashMap<(usize, &'p Requirements), Rc<Vec<Candidate>>>,
    reserved: BTreeMap<Arc<str>, u32>,
    nodes_in_zone: BTreeMap<Arc<str>, usize>,
}

/// An offering of a type, by their indices in the pool.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    kind: usize,
    offering: usize,
}

impl Candidate {
    fn kind<'m>(self, pool: &'m PoolModel) -> &'m TypeModel<'m> {
        &pool.types[self.kind]
    }

    fn offering<'m>(self, pool: &'m PoolModel) -> &'m Offering {
        pool.types[self.kind].offerings[self.offering]
    }
}

impl<'p> Market<'p> {
    fn new(problem: &Problem) -> Self {
        let mut nodes_in_zone: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for node in &problem.snapshot.nodes {
            if let Some(zone) = node.labels.get(labels::ZONE) {
                *nodes_in_zone.entry(zone.clone()).or_default() += 1;
            }
        }
        Self { books: HashMap::new(), reserved: BTreeMap::new(), nodes_in_zone }
    }

    /// The offerings of the pool that satisfy the requirements, by price, type name and zone.
    fn book(&mut self, problem: &Problem, node: &'p NewNode) -> Rc<Vec<Candidate>> {
        let book = self.books.entry((node.pool, &node.requirements)).or_insert_with(|| {
            let pool = &problem.pools[node.pool];
            let all = pool
                .types
                .iter()
                .enumerate()
                .flat_map(|(kind, of)| (0..of.offerings.len()).map(move |offering| Candidate { kind, offering }));
            let mut book: Vec<Candidate> = all.filter(|c| c.offering(pool).satisfies(&node.requirements)).collect();
            // types are sorted by name and offerings by zone
            book.sort_by_key(|c| (c.offering(pool).price, c.kind, c.offering));
            Rc::new(book)
        });
        book.clone()
    }

    fn is_free(&self, offering: &Offering) -> bool {
        offering
            .reservation
            .as_ref()
            .is_none_or(|reservation| self.reserved.get(&reservation.id).copied().unwrap_or(0) < reservation.free)
    }

    fn load(&self, zone: &str) -> usize {
        self.nodes_in_zone.get(zone).copied().unwrap_or(0)
    }
}

fn launch<'p>(
    problem: &Problem,
    node: &'p NewNode,
    pods: &[usize],
    market: &mut Market<'p>,
    names: &mut Names,
) -> Launch {
    let pool = &problem.pools[node.pool];
    let book = market.book(problem, node);
    let (capacity_type, candidates) = candidates(pool, node, &book, market);
    let chosen = offers(problem, pool, node, &candidates, market);
    if let Some(first) = chosen.first().map(|first| first.offering(pool)) {
        *market.nodes_in_zone.entry(first.zone.clone()).or_default() += 1;
        if let Some(reservation) = &first.reservation {
            *market.reserved.entry(reservation.id.clone()).or_default() += 1;
        }
    }
    let offered: BTreeSet<usize> = chosen.iter().map(|c| c.kind).collect();
    let offered: Vec<&TypeModel> = offered.into_iter().map(|kind| &pool.types[kind]).collect();
    let mut requests = Resources::new();
    for &pod in pods {
        requests.add(&problem.snapshot.pods[pod].template.spec.requests);
    }
    requests.add(&least_overhead(&offered));
    let offers: Vec<Offer> = chosen.iter().map(|c| offer(c.kind(pool), c.offering(pool))).collect();
    Launch {
        name: names.claim(&pool.pool.name, pods),
        pool: pool.index,
        capacity_type,
        labels: node_labels(pool, &node.requirements, &offered),
        taints: pool.pool.taints.clone(),
        startup_taints: pool.pool.startup_taints.clone(),
        requirements: claim_requirements(node, capacity_type, &offers),
        requests,
        offers,
    }
}

/// The capacity type to buy and its offerings, as the provider filters them (karpenter-aws 3): exotic types only where
/// nothing else is left, reserved before spot before on-demand, spot only where it is not dearer than on-demand.
fn candidates(pool: &PoolModel, node: &NewNode, book: &[Candidate], market: &Market) -> (CapacityType, Vec<Candidate>) {
    let usable = |c: &&Candidate| node.types.contains(c.kind) && market.is_free(c.offering(pool));
    let mut all: Vec<Candidate> = book.iter().filter(usable).copied().collect();
    if pool.min_values.is_empty() && all.iter().any(|c| !is_exotic(c.kind(pool))) {
        all.retain(|c| !is_exotic(c.kind(pool)));
    }
    let cheapest =
        |of: CapacityType| all.iter().map(|c| c.offering(pool)).find(|o| o.capacity_type == of).map(|o| o.price);
    let reserved = cheapest(CapacityType::Reserved);
    let capacity_type = match (reserved, cheapest(CapacityType::Spot), cheapest(CapacityType::OnDemand)) {
        (Some(_), _, _) => CapacityType::Reserved,
        (None, Some(spot), Some(on_demand)) if spot > on_demand => CapacityType::OnDemand,
        (None, Some(_), _) => CapacityType::Spot,
        (None, None, _) => CapacityType::OnDemand,
    };
    all.retain(|c| c.offering(pool).capacity_type == capacity_type);
    (capacity_type, all)
}

/// Bare metal and accelerators: bought only by those who need them.
fn is_exotic(kind: &TypeModel) -> bool {
    const ACCELERATORS: [&str; 4] = ["nvidia.com/gpu", "amd.com/gpu", "aws.amazon.com/neuron", "habana.ai/gaudi"];
    let of_type = kind.instance_type;
    let metal = of_type.requirements.get(labels::INSTANCE_SIZE).and_then(|r| r.single_value());
    metal.is_some_and(|size| size.contains("metal")) || ACCELERATORS.iter().any(|name| of_type.capacity.get(name) > 0)
}

/// Offers by type, cheapest first; zones of a type by price, then the zone with the fewest nodes. At most
/// `max_instance_types`, none dearer than the price flexibility allows, except where `minValues` needs more types.
fn offers(
    problem: &Problem,
    pool: &PoolModel,
    node: &NewNode,
    candidates: &[Candidate],
    market: &Market,
) -> Vec<Candidate> {
    let settings = &problem.snapshot.settings;
    let Some(chosen) = candidates.first().map(|c| c.offering(pool).price) else { return Vec::new() };
    let flexible = chosen.permille(1_000 + settings.price_flexibility_permille);
    let ceiling = node.spend_limit.map_or(flexible, |limit| limit.min(flexible));
    let affordable = candidates.iter().take_while(|c| c.offering(pool).price <= ceiling).map(|c| c.kind);
    let mut seen = FixedBitSet::with_capacity(pool.types.len());
    let mut taken: Vec<usize> = affordable.filter(|&kind| !seen.put(kind)).take(settings.max_instance_types).collect();
    if !pool.min_values.is_empty() {
        taken = with_min_values(pool, candidates, taken, settings.max_instance_types);
    }
    let mut zones: BTreeMap<usize, Vec<Candidate>> = taken.iter().map(|&kind| (kind, Vec::new())).collect();
    for candidate in candidates {
        let price = candidate.offering(pool).price;
        // a dearer type serves only to keep minValues: its cheapest zone's price is the ceiling of its own offers
        if let Some(of_type) = zones.get_mut(&candidate.kind)
            && (price <= ceiling || of_type.first().is_none_or(|first| price <= first.offering(pool).price))
        {
            of_type.push(*candidate);
        }
    }
    for of_type in zones.values_mut() {
        of_type.sort_by_key(|c| {
            let offering = c.offering(pool);
            (offering.price, market.load(&offering.zone), c.offering)
        });
    }
    taken.iter().filter_map(|kind| zones.remove(kind)).flatten().collect()
}

/// The types taken so far, and what `minValues` needs beside them, cheapest first; those taken where they already keep
/// the minimums, or nothing can.
fn with_min_values(pool: &PoolModel, candidates: &[Candidate], taken: Vec<usize>, most: usize) -> Vec<usize> {
    let distinct = |chosen: &[usize], key: &str| {
        let mut values: BTreeSet<&str> = BTreeSet::new();
        for candidate in candidates.iter().filter(|c| chosen.contains(&c.kind)) {
            let of_type = candidate.kind(pool).instance_type.requirements.get(key).and_then(|r| r.finite_values());
            values.extend(of_type.into_iter().flatten().map(AsRef::as_ref));
            values.extend(candidate.offering(pool).label(key));
        }
        values.len()
    };
    let missing = |chosen: &[usize]| {
        pool.min_values.iter().filter(|(key, minimum)| distinct(chosen, key) < *minimum as usize).count()
    };
    if missing(&taken) == 0 {
        return taken;
    }
    let mut order: Vec<usize> = Vec::new();
    for candidate in candidates {
        if !order.contains(&candidate.kind) {
            order.push(candidate.kind);
        }
    }
    let mut chosen = taken;
    for &kind in &order {
        let adds = |key: &str| distinct(&[chosen.as_slice(), &[kind]].concat(), key) > distinct(&chosen, key);
        let useful =
            pool.min_values.iter().any(|(key, minimum)| distinct(&chosen, key) < *minimum as usize && adds(key));
        if !chosen.contains(&kind) && useful {
            chosen.push(kind);
        }
    }
    // over the cap: drop the dearest types without which the minimums still hold
    let mut position = chosen.len();
    while chosen.len() > most && position > 1 {
        position -= 1;
        let mut fewer = chosen.clone();
        fewer.remove(position);
        if missing(&fewer) <= missing(&chosen) {
            chosen = fewer;
        }
    }
    order.retain(|kind| chosen.contains(kind));
    order
}

fn offer(kind: &TypeModel, offering: &Offering) -> Offer {
    Offer {
        instance_type: kind.instance_type.name.clone(),
        zone: offering.zone.clone(),
        reservation: offering.reservation.as_ref().map(|reservation| reservation.id.clone()),
        price: offering.price,
    }
}

fn least_overhead(offered: &[&TypeModel]) -> Resources {
    let mut kinds = offered.iter();
    let Some(first) = kinds.next() else { return Resources::new() };
    let mut least = first.daemon_overhead.clone();
    for kind in kinds {
        least = least.iter().map(|(name, amount)| (name.clone(), amount.min(kind.daemon_overhead.get(name)))).collect();
    }
    least
}

/// Labels of the node beyond those of type and offering: the pool's, and one fixed value for each custom label and for
/// each label of the type that is still open (tenancy: `default` where it is allowed).
fn node_labels(pool: &PoolModel, requirements: &Requirements, offered: &[&TypeModel]) -> Labels {
    let mut labels_of_node = pool.pool.labels.clone();
    let Some(first) = offered.first() else { return labels_of_node };
    for (key, requirement) in requirements {
        let of_offering = first.offerings.first().is_some_and(|offering| offering.label(key).is_some());
        if key.as_ref() == labels::HOSTNAME || labels_of_node.contains_key(key) || of_offering {
            continue;
        }
        let of_type = first.instance_type.requirements.get(key);
        let value = match of_type {
            Some(of_type) if of_type.single_value().is_some() => continue,
            Some(of_type) => preferred_value(&of_type.intersection(requirement)),
            None if labels::is_well_known(key) => requirement.single_value().cloned(),
            None => requirement.any_value(),
        };
        if let Some(value) = value {
            labels_of_node.insert(key.clone(), value);
        }
    }
    for (key, of_type) in &first.instance_type.requirements {
        if of_type.single_value().is_none() && !labels_of_node.contains_key(key) {
            labels_of_node.extend(preferred_value(of_type).map(|value| (key.clone(), value)));
        }
    }
    labels_of_node
}

fn preferred_value(requirement: &Requirement) -> Option<Arc<str>> {
    if requirement.allows("default") { Some(Arc::from("default")) } else { requirement.any_value() }
}

fn claim_requirements(node: &NewNode, capacity_type: CapacityType, offers: &[Offer]) -> Requirements {
    let mut requirements = node.requirements.clone();
    requirements.remove(labels::HOSTNAME);
    let types: BTreeSet<Arc<str>> = offers.iter().map(|offer| offer.instance_type.clone()).collect();
    let zones: BTreeSet<Arc<str>> = offers.iter().map(|offer| offer.zone.clone()).collect();
    requirements.add(labels::INSTANCE_TYPE, Requirement::one_of(types));
    requirements.add(labels::CAPACITY_TYPE, Requirement::one_of([capacity_type.label()]));
    requirements.add(labels::ZONE, Requirement::one_of(zones));
    requirements
}
