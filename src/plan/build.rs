//! Solution -> [`Plan<Draft>`]: each new node becomes a launch with its ordered offers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::names::Names;
use super::reasons::Reasons;
use super::types::{Assignment, Draft, Launch, Offer, Plan, Target, Unplaced};
use crate::api::labels;
use crate::catalog::{CapacityType, Offering};
use crate::model::{PoolModel, Problem, TypeModel};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Pod, PodKey, PodSpec};
use crate::requirements::{Requirement, Requirements};
use crate::resources::Resources;
use crate::solve::purchase::{Book, Purchase, Wish, distinct, purchase};
use crate::solve::{NewNode, Place, Solution};

/// Turns a solution into a plan: chooses capacity type, offers and labels of each launch, and says why pods are left.
#[must_use]
pub fn build(problem: &Problem, solution: &Solution) -> Plan<Draft> {
    let mut zones = Zones::of(problem);
    let mut names = Names::new(problem.snapshot);
    let mut pods: Vec<Vec<usize>> = vec![Vec::new(); solution.new_nodes.len()];
    for (pod, place) in &solution.placements {
        if let Place::New(node) = place {
            pods[*node].push(*pod);
        }
    }
    let mut books: HashMap<(usize, &Requirements), Book> = HashMap::new();
    // equal nodes are bought alike, as long as the zones stand in the same order; equal requirements mostly are one set
    let mut known: HashMap<_, Bought> = HashMap::new();
    let mut launches: Vec<Launch> = Vec::with_capacity(solution.new_nodes.len());
    for (node, pods) in solution.new_nodes.iter().zip(&pods) {
        let pool = &problem.pools[node.pool];
        let NewNode { requirements, types, reservations, spend_limit, .. } = node;
        let key = (node.pool, Arc::as_ptr(requirements), types, reservations, spend_limit, zones.order.clone());
        let bought = known.entry(key).or_insert_with(|| {
            let book = books.entry((node.pool, requirements)).or_insert_with(|| Book::of(pool, requirements));
            Bought::of(problem, node, book, &zones.load)
        });
        if let Some(first) = bought.offers.first() {
            zones.raise(&first.zone);
        }
        launches.push(launch(problem, node, bought, pods, names.claim(&pool.pool.name, pods)));
    }
    let target = |place: &Place| match place {
        Place::Existing(node) => Target::Existing(problem.nodes[*node].index),
        Place::New(node) => Target::Launch(*node),
    };
    let assignments =
        solution.placements.iter().map(|(pod, place)| Assignment { pod: *pod, target: target(place) }).collect();
    let unplaced = unplaced(problem, solution, &launches);
    Plan::draft(launches, assignments, unplaced)
}

/// The reason of a pod for which there was no time.
pub const NOT_REACHED: &str = "not reached within the time limit";

fn unplaced(problem: &Problem, solution: &Solution, launches: &[Launch]) -> Vec<Unplaced> {
    let snapshot = problem.snapshot;
    // not even looked for where the time is up
    let mut reasons = (!solution.stopped).then(|| (Reasons::new(problem, launches), Users::of(snapshot, solution)));
    let not_reached: Arc<str> = NOT_REACHED.into();
    let refused = snapshot
        .pending()
        .filter_map(|(pod, of)| of.refused.as_ref().map(|reason| Unplaced { pod, reason: reason.clone() }));
    let mut unplaced: Vec<Unplaced> = refused.collect();
    let left: BTreeSet<usize> = solution.unplaced.iter().copied().collect();
    for (group, model) in problem.groups.iter().enumerate() {
        let mut members = model.pods.iter().filter(|pod| left.contains(pod)).peekable();
        if members.peek().is_some() {
            let why = |(reasons, users): &mut (Reasons, Users)| reasons.why(group, users.taken(model.spec())).into();
            let reason: Arc<str> = reasons.as_mut().map_or_else(|| not_reached.clone(), why);
            unplaced.extend(members.map(|&pod| Unplaced { pod, reason: reason.clone() }));
        }
    }
    unplaced.sort_by_key(|unplaced| unplaced.pod);
    unplaced
}

/// Which placed pod has a `ReadWriteOncePod` claim.
struct Users<'s>(HashMap<&'s Arc<str>, &'s PodKey>);

impl<'s> Users<'s> {
    fn of(snapshot: &'s Snapshot, solution: &Solution) -> Self {
        let placed = solution.placements.iter().map(|(pod, _)| &snapshot.pods[*pod]);
        let of_pod = |pod: &'s Pod| {
            let single = pod.template.spec.volumes.iter().filter(|volume| volume.single_pod);
            single.map(move |volume| (&volume.claim, &pod.key))
        };
        Self(placed.flat_map(of_pod).collect())
    }

    /// Why a pod cannot have its claims, where that is so.
    fn taken(&self, spec: &PodSpec) -> Option<String> {
        let mut taken = spec.volumes.iter().filter_map(|volume| Some((&volume.claim, self.0.get(&volume.claim)?)));
        let (claim, user) = taken.next()?;
        Some(format!("persistent volume claim {claim} is for one pod at a time, and {user} gets it"))
    }
}

/// One node that holds these pods as a launch of this name, as a plan would have it; `None` where nothing can be bought.
#[must_use]
pub fn launch_of(problem: &Problem, node: &NewNode, pods: &[usize], name: Arc<str>) -> Option<Launch> {
    let book = Book::of(&problem.pools[node.pool], &node.requirements);
    let bought = Bought::of(problem, node, &book, &ZoneLoad::new());
    (!bought.offers.is_empty()).then(|| launch(problem, node, &bought, pods, name))
}

/// How many nodes each zone has: existing ones, and launches so far.
type ZoneLoad = BTreeMap<Arc<str>, usize>;

struct Zones {
    load: ZoneLoad,
    /// Positions in `load`, least loaded first; zones without a node stand before all of them.
    order: Vec<usize>,
}

impl Zones {
    fn of(problem: &Problem) -> Self {
        let mut load = ZoneLoad::new();
        for zone in problem.snapshot.nodes.iter().filter_map(|node| node.labels.get(labels::ZONE)) {
            *load.entry(zone.clone()).or_default() += 1;
        }
        let mut zones = Self { load, order: Vec::new() };
        zones.sort();
        zones
    }

    fn raise(&mut self, zone: &Arc<str>) {
        *self.load.entry(zone.clone()).or_default() += 1;
        self.sort();
    }

    fn sort(&mut self) {
        let load: Vec<usize> = self.load.values().copied().collect();
        self.order = (0..load.len()).collect();
        self.order.sort_by_key(|&zone| (load[zone], zone));
    }
}

/// What is the same of all equal nodes.
struct Bought {
    capacity_type: CapacityType,
    offers: Arc<Vec<Offer>>,
    labels: Arc<Labels>,
    requirements: Arc<Requirements>,
    overhead: Resources,
}

impl Bought {
    fn of(problem: &Problem, node: &NewNode, book: &Book, load: &ZoneLoad) -> Self {
        let pool = &problem.pools[node.pool];
        let wish = Wish { types: &node.types, reservations: &node.reservations, spend_limit: node.spend_limit };
        let bought = purchase(pool, &problem.snapshot.settings, book, wish, load);
        let candidates = || bought.iter().flat_map(|bought| &bought.offers);
        let offers: Vec<Offer> = candidates().map(|(kind, o)| offer(kind, o)).collect();
        let mut offered: Vec<&TypeModel> = candidates().map(|(kind, _)| *kind).collect();
        offered.dedup_by_key(|kind| std::ptr::from_ref(*kind)); // the offers of a type stand together
        Self {
            capacity_type: bought.as_ref().map_or(CapacityType::OnDemand, |bought| bought.capacity_type),
            labels: Arc::new(node_labels(pool, &node.requirements, &offered)),
            requirements: Arc::new(claim_requirements(pool, node, bought.as_ref(), &offers)),
            overhead: least_overhead(pool, &offered, &node.requirements),
            offers: Arc::new(offers),
        }
    }
}

fn launch(problem: &Problem, node: &NewNode, bought: &Bought, pods: &[usize], name: Arc<str>) -> Launch {
    let pool = &problem.pools[node.pool];
    let mut requests = Resources::new();
    let template = |pod: &usize| &problem.snapshot.pods[*pod].template;
    for equal in pods.chunk_by(|a, b| Arc::ptr_eq(template(a), template(b))) {
        requests.add_times(&template(&equal[0]).spec.requests, equal.len());
    }
    requests.add(&bought.overhead);
    Launch {
        name,
        pool: pool.index,
        capacity_type: bought.capacity_type,
        labels: bought.labels.clone(),
        taints: pool.pool.taints.clone(),
        startup_taints: pool.pool.startup_taints.clone(),
        requirements: bought.requirements.clone(),
        requests,
        offers: bought.offers.clone(),
    }
}

fn offer(kind: &TypeModel, offering: &Offering) -> Offer {
    Offer {
        instance_type: kind.instance_type.name.clone(),
        zone: offering.zone.clone(),
        reservation: offering.reservation.as_ref().map(|reservation| reservation.id.clone()),
        price: offering.price,
    }
}

fn least_overhead(pool: &PoolModel, offered: &[&TypeModel], requirements: &Requirements) -> Resources {
    let of_kinds = offered.iter().map(|kind| pool.overhead_under(kind, requirements).0);
    let least =
        |a: Resources, b: Resources| a.iter().map(|(name, amount)| (name.clone(), amount.min(b.get(name)))).collect();
    of_kinds.reduce(least).unwrap_or_default()
}

/// Labels of the node beyond those of type and offering: the pool's, and one fixed value for each custom label and for
/// each label that every offered type leaves open (tenancy: `default` where it is allowed). Where only some of the types
/// have such a label, the claim's requirements alone decide its value.
fn node_labels(pool: &PoolModel, requirements: &Requirements, offered: &[&TypeModel]) -> Labels {
    let mut labels_of_node = pool.pool.labels.clone();
    let of_types = |key: &str| -> Vec<&Requirement> {
        offered.iter().filter_map(|kind| kind.instance_type.requirements.get(key)).collect()
    };
    for (key, requirement) in requirements.iter().filter(|(key, _)| !labels::is_well_known(key)) {
        let written = key.as_ref() != labels::HOSTNAME && !requirement.allows_absence();
        if written && !labels_of_node.contains_key(key) && of_types(key).is_empty() {
            labels_of_node.extend(requirement.any_value().map(|value| (key.clone(), value)));
        }
    }
    let open: BTreeSet<&Arc<str>> = offered
        .iter()
        .flat_map(|kind| &kind.instance_type.requirements)
        .filter(|(_, of_type)| of_type.single_value().is_none())
        .map(|(key, _)| key)
        .collect();
    for key in open.into_iter().filter(|key| !pool.pool.labels.contains_key(*key)) {
        let of_types = of_types(key);
        if of_types.len() == offered.len() {
            let wanted = requirements.get(key).cloned().unwrap_or_else(Requirement::exists);
            let shared = of_types.into_iter().fold(wanted, |shared, of_type| shared.intersection(of_type));
            labels_of_node.extend(preferred_value(&shared).map(|value| (key.clone(), value)));
        }
    }
    labels_of_node
}

fn preferred_value(requirement: &Requirement) -> Option<Arc<str>> {
    if requirement.allows("default") { Some(Arc::from("default")) } else { requirement.any_value() }
}

/// Minimums that could not be kept are lowered to what there is, as karpenter does.
fn claim_requirements(pool: &PoolModel, node: &NewNode, bought: Option<&Purchase>, offers: &[Offer]) -> Requirements {
    let capacity_type = bought.map_or(CapacityType::OnDemand, |bought| bought.capacity_type);
    let mut requirements = Requirements::clone(&node.requirements);
    requirements.remove(labels::HOSTNAME);
    let types: BTreeSet<Arc<str>> = offers.iter().map(|offer| offer.instance_type.clone()).collect();
    let zones: BTreeSet<Arc<str>> = offers.iter().map(|offer| offer.zone.clone()).collect();
    requirements.add(labels::INSTANCE_TYPE, Requirement::one_of(types));
    requirements.add(labels::CAPACITY_TYPE, Requirement::one_of([capacity_type.label()]));
    requirements.add(labels::ZONE, Requirement::one_of(zones));
    if let Some(bought) = bought.filter(|bought| bought.min_values_relaxed) {
        for (key, wanted) in &pool.min_values {
            let found = u32::try_from(distinct(&bought.offers, key)).unwrap_or(u32::MAX);
            if let Some(mut lowered) = requirements.get(key).filter(|_| found < *wanted).cloned() {
                lowered.min_values = Some(found).filter(|found| *found > 0);
                requirements.replace(key, lowered);
            }
        }
    }
    requirements
}
