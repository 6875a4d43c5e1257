//! Solution -> [`Plan<Draft>`]: each new node becomes a launch with its ordered offers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
use crate::units::MicroUsd;

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
    Plan::draft(launches, assignments, unplaced)
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

/// What earlier launches of the plan have taken from the cloud.
struct Market {
    reserved: BTreeMap<Arc<str>, u32>,
    nodes_in_zone: BTreeMap<Arc<str>, usize>,
}

impl Market {
    fn new(problem: &Problem) -> Self {
        let mut nodes_in_zone: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for node in &problem.snapshot.nodes {
            if let Some(zone) = node.labels.get(labels::ZONE) {
                *nodes_in_zone.entry(zone.clone()).or_default() += 1;
            }
        }
        Self { reserved: BTreeMap::new(), nodes_in_zone }
    }

    fn is_free(&self, offering: &Offering) -> bool {
        offering
            .reservation
            .as_ref()
            .is_none_or(|reservation| self.reserved.get(&reservation.id).copied().unwrap_or(0) < reservation.free)
    }
}

type Candidate<'a> = (&'a TypeModel<'a>, &'a Offering);

fn launch(problem: &Problem, node: &NewNode, pods: &[usize], market: &mut Market, names: &mut Names) -> Launch {
    let pool = &problem.pools[node.pool];
    let (capacity_type, candidates) = candidates(pool, node, market);
    let offers = offers(problem, pool, node, &candidates, market);
    if let Some(first) = offers.first() {
        *market.nodes_in_zone.entry(first.zone.clone()).or_default() += 1;
        if let Some(id) = &first.reservation {
            *market.reserved.entry(id.clone()).or_default() += 1;
        }
    }
    let types: BTreeSet<&str> = offers.iter().map(|offer| offer.instance_type.as_ref()).collect();
    let offered: Vec<&TypeModel> =
        pool.types.iter().filter(|kind| types.contains(kind.instance_type.name.as_ref())).collect();
    let mut requests = Resources::new();
    for &pod in pods {
        requests.add(&problem.snapshot.pods[pod].template.spec.requests);
    }
    requests.add(&least_overhead(&offered));
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
fn candidates<'p>(pool: &'p PoolModel, node: &NewNode, market: &Market) -> (CapacityType, Vec<Candidate<'p>>) {
    let all = node.types.ones().flat_map(|kind| {
        let kind = &pool.types[kind];
        kind.offerings.iter().map(move |offering| (kind, *offering))
    });
    let mut all: Vec<Candidate> =
        all.filter(|(_, offering)| offering.satisfies(&node.requirements) && market.is_free(offering)).collect();
    if pool.min_values.is_empty() && all.iter().any(|(kind, _)| !is_exotic(kind)) {
        all.retain(|(kind, _)| !is_exotic(kind));
    }
    let cheapest = |of: CapacityType| all.iter().filter(|(_, o)| o.capacity_type == of).map(|(_, o)| o.price).min();
    let capacity_type =
        match (cheapest(CapacityType::Reserved), cheapest(CapacityType::Spot), cheapest(CapacityType::OnDemand)) {
            (Some(_), _, _) => CapacityType::Reserved,
            (None, Some(spot), Some(on_demand)) if spot > on_demand => CapacityType::OnDemand,
            (None, Some(_), _) => CapacityType::Spot,
            (None, None, _) => CapacityType::OnDemand,
        };
    all.retain(|(_, offering)| offering.capacity_type == capacity_type);
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
) -> Vec<Offer> {
    let settings = &problem.snapshot.settings;
    let mut by_type: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates {
        by_type.entry(candidate.0.instance_type.name.as_ref()).or_default().push(candidate);
    }
    let mut types: Vec<Vec<&Candidate>> = by_type.into_values().collect();
    let zone_load = |offering: &Offering| market.nodes_in_zone.get(&offering.zone).copied().unwrap_or(0);
    for zones in &mut types {
        zones.sort_by_key(|(_, offering)| (offering.price, zone_load(offering), offering.zone.clone()));
    }
    types.sort_by_key(|zones| (zones[0].1.price, zones[0].0.instance_type.name.clone()));
    let Some(chosen) = types.first().map(|zones| zones[0].1.price) else { return Vec::new() };

    let flexible = chosen.permille(1_000 + settings.price_flexibility_permille);
    let ceiling = node.spend_limit.map_or(flexible, |limit| limit.min(flexible));
    let affordable = |zones: &[&Candidate], ceiling: MicroUsd| -> Vec<Offer> {
        zones.iter().filter(|(_, offering)| offering.price <= ceiling).map(|(kind, o)| offer(kind, o)).collect()
    };
    let mut taken: Vec<usize> =
        (0..types.len()).filter(|&t| types[t][0].1.price <= ceiling).take(settings.max_instance_types).collect();
    let needed = types_for_min_values(pool, &types, &taken, settings.max_instance_types);
    let mut offers: Vec<Offer> = taken.iter().flat_map(|&t| affordable(&types[t], ceiling)).collect();
    if let Some(needed) = needed {
        // a dearer type serves only to keep minValues: its cheapest zone's price is the ceiling of its own offers
        taken.retain(|t| needed.contains(t));
        offers = needed.iter().flat_map(|&t| affordable(&types[t], ceiling.max(types[t][0].1.price))).collect();
    }
    offers
}

/// The types that keep `minValues`, cheapest first; `None` where those taken already do, or nothing can.
fn types_for_min_values(
    pool: &PoolModel,
    types: &[Vec<&Candidate>],
    taken: &[usize],
    most: usize,
) -> Option<Vec<usize>> {
    let distinct = |chosen: &[usize], key: &str| {
        let mut values: BTreeSet<&str> = BTreeSet::new();
        for &t in chosen {
            let of_type = types[t][0].0.instance_type.requirements.get(key).and_then(|r| r.finite_values());
            values.extend(of_type.into_iter().flatten().map(AsRef::as_ref));
            values.extend(types[t].iter().filter_map(|(_, offering)| offering.label(key)));
        }
        values.len()
    };
    let missing = |chosen: &[usize]| {
        pool.min_values.iter().filter(|(key, minimum)| distinct(chosen, key) < *minimum as usize).count()
    };
    if missing(taken) == 0 {
        return None;
    }
    let mut chosen: Vec<usize> = taken.to_vec();
    for t in 0..types.len() {
        let adds = |key: &str| distinct(&[chosen.as_slice(), &[t]].concat(), key) > distinct(&chosen, key);
        let useful =
            pool.min_values.iter().any(|(key, minimum)| distinct(&chosen, key) < *minimum as usize && adds(key));
        if !chosen.contains(&t) && useful {
            chosen.push(t);
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
    chosen.sort_unstable();
    Some(chosen)
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
