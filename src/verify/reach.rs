//! Where pods could go, read from the Snapshot: wide enough to hold every plan that the checker accepts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::alike::Alike;
use super::spread::{self, Spread};
use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::observe::Snapshot;
use crate::observe::snapshot::{
    DaemonSet, HostPort, Node, NodePool, NodeStage, Pod, PodAffinityTerm, PodSpec, Taint, TaintEffect, Toleration,
    TolerationOperator, TopologySpreadConstraint, WhenUnsatisfiable,
};
use crate::requirements::{Requirement, Requirements};
use crate::resources::{CPU, MEMORY, PODS, Resources};

/// Pending pods that share everything that matters here.
pub struct Group<'s> {
    pub spec: &'s PodSpec,
    pub pods: Vec<usize>,
    /// Requests by resource.
    pub size: Vec<i64>,
    /// Index into [`World::demands`].
    pub demand: usize,
    /// How they must be spread over zones.
    pub spread: Option<Spread>,
    /// What keeps them apart, if something does: of all pods with this number a node holds at most so many.
    pub apart: Option<(usize, u32)>,
}

/// What a pod demands of the labels and taints of its node.
pub type Demands<'s> = (&'s [Toleration], Vec<Requirements>, Vec<Vec<&'s Requirements>>);

/// A kind of node that can be bought: equal in room and in which demands it meets.
pub struct Shape {
    /// Over the demands, ascending.
    pub holds: Vec<usize>,
    /// Index into [`World::zones`]; `None` also where nothing is spread over them.
    pub zone: Option<usize>,
    pub room: Vec<i64>,
    /// Micro-dollars an hour, the least.
    pub price: i64,
    /// How many can be bought, where that is limited.
    pub most: Option<u32>,
    /// What one counts towards limits: (index into [`World::limits`], how much), none zero.
    pub uses: Vec<(usize, i64)>,
}

/// A limit of a pool.
pub struct Limit<'s> {
    pub pool: &'s str,
    /// As `spec.limits` writes it.
    pub name: Arc<str>,
    /// What existing nodes leave of it; not negative.
    pub left: i64,
}

/// What shapes that are equal have in common: what they hold, their room, their reservation, what they use of limits, and
/// their zone.
type Kind<'s> = (Vec<usize>, Vec<i64>, Option<(&'s str, u32)>, Vec<(usize, i64)>, Option<usize>);

/// An existing node with what is free.
pub struct Free<'s> {
    pub name: &'s Arc<str>,
    pub holds: Vec<usize>,
    pub zone: Option<usize>,
    pub room: Vec<i64>,
}

pub struct World<'s> {
    pub resources: Vec<Arc<str>>,
    pub groups: Vec<Group<'s>>,
    pub shapes: Vec<Shape>,
    pub nodes: Vec<Free<'s>>,
    pub limits: Vec<Limit<'s>>,
    /// Sorted; empty where nothing is spread over them.
    pub zones: Vec<Arc<str>>,
}

impl<'s> World<'s> {
    pub fn of(snapshot: &'s Snapshot) -> Self {
        let pending = || snapshot.pending().filter(|(_, pod)| pod.refused.is_none());
        let base = [CPU, MEMORY, PODS];
        let others: BTreeSet<Arc<str>> = pending()
            .flat_map(|(_, pod)| pod.template.spec.requests.iter())
            .filter(|(name, amount)| *amount > 0 && !base.contains(&name.as_ref()))
            .map(|(name, _)| name.clone())
            .collect();
        let resources: Vec<Arc<str>> = base.into_iter().map(Arc::from).chain(others).collect();
        let amounts = |of: &Resources| resources.iter().map(|name| of.get(name)).collect::<Vec<i64>>();
        let mut demands: Vec<Demands<'s>> = Vec::new();
        let mut known_demands: HashMap<(&[Toleration], String), usize> = HashMap::new();
        let mut kinds: HashMap<Apart<'s>, usize> = HashMap::new();
        let mut alike = Alike::of(snapshot);
        let mut groups: Vec<Group<'s>> = Vec::new();
        for (index, pod) in pending() {
            let spec = &pod.template.spec;
            let group = alike.number(pod);
            if group == groups.len() {
                let of_pod = demands_of(spec);
                let written = format!("{:?}", (&of_pod.1, &of_pod.2));
                let demand = *known_demands.entry((&spec.tolerations, written)).or_insert_with(|| {
                    demands.push(of_pod);
                    demands.len() - 1
                });
                let size = amounts(&spec.requests).into_iter().map(|amount| amount.max(0)).collect();
                let apart = apart(snapshot, pod).map(|(of_pod, most)| {
                    let next = kinds.len();
                    (*kinds.entry(of_pod).or_insert(next), most)
                });
                groups.push(Group { spec, pods: Vec::new(), size, demand, apart, spread: None });
            }
            groups[group].pods.push(index);
        }
        let zones = spread_over_zones(snapshot, &mut groups);
        let zone_of = |name: &Arc<str>| zones.binary_search(name).ok();
        let mut limits: Vec<Limit<'s>> = Vec::new();
        let mut shapes: HashMap<Kind, i64> = HashMap::new();
        for pool in snapshot.node_pools.iter().filter(|pool| pool.unusable.is_none() && pool.replicas.is_none()) {
            let tolerating: Vec<bool> =
                demands.iter().map(|(tolerations, ..)| tolerates(tolerations, &pool.taints)).collect();
            let first_limit = limits.len();
            limits.extend(limits_of(snapshot, pool));
            for kind in pool.instance_types.iter() {
                let mut room = kind.allocatable.clone();
                for daemon in snapshot.daemon_sets.iter().filter(|daemon| surely_runs(daemon, pool, kind)) {
                    room.subtract(&daemon.template.spec.requests);
                }
                // what daemon pods request beyond what there is keeps nobody out who requests none of it
                let room: Vec<i64> = amounts(&room).into_iter().map(|free| free.max(0)).collect();
                for offering in kind.offerings.iter().filter(|offering| offering.available) {
                    let holds: Vec<usize> = (0..demands.len())
                        .filter(|&demand| tolerating[demand] && could_meet(&demands[demand], pool, kind, offering))
                        .collect();
                    if holds.is_empty() {
                        continue;
                    }
                    let of_pool = limits.iter().enumerate().skip(first_limit);
                    let uses = of_pool.map(|(index, limit)| (index, counted(&limit.name, kind, offering)));
                    let uses: Vec<(usize, i64)> = uses.filter(|(_, amount)| *amount > 0).collect();
                    if uses.iter().any(|&(index, amount)| amount > limits[index].left) {
                        continue; // not one of them
                    }
                    let reserved = offering.reservation.as_ref().map(|of| (&*of.id, of.free));
                    let zone = zone_of(&offering.zone);
                    let price = shapes.entry((holds, room.clone(), reserved, uses, zone)).or_insert(i64::MAX);
                    *price = (*price).min(offering.price.0);
                }
            }
        }
        let shapes = shapes.into_iter().map(|((holds, room, reserved, uses, zone), price)| Shape {
            holds,
            zone,
            room,
            price,
            most: reserved.map(|(_, free)| free),
            uses,
        });
        let mut shapes: Vec<Shape> = shapes.collect();
        shapes.sort_by(|a, b| {
            let rest = |shape: &Shape| (shape.most, shape.uses.clone(), shape.zone);
            (a.price, &a.room, &a.holds, rest(a)).cmp(&(b.price, &b.room, &b.holds, rest(b)))
        });
        let nodes = snapshot.nodes.iter().filter(|node| !node.deleting).map(|node| {
            let labels = Requirements::from_labels(&*node.labels);
            let meets = |(tolerations, ways, volumes): &Demands| {
                let is_met = |wanted: &Requirements| met_by_node(wanted, node, &labels);
                tolerates(tolerations, &node.taints)
                    && ways.iter().any(is_met)
                    && volumes.iter().all(|terms| terms.iter().any(|term| is_met(term)))
            };
            let holds = (0..demands.len()).filter(|&demand| meets(&demands[demand])).collect();
            let room = amounts(&free_of(snapshot, node)).into_iter().map(|free| free.max(0)).collect();
            let zone = node.labels.get(labels::ZONE).and_then(zone_of);
            Free { name: &node.name, holds, zone, room }
        });
        let nodes = nodes.collect();
        Self { resources, groups, shapes, nodes, limits, zones }
    }

    /// Pending pods, as indices into the Snapshot, that something can hold.
    pub fn possible(&self) -> BTreeSet<usize> {
        let groups = self.groups.iter().filter(|group| self.is_possible(group));
        groups.flat_map(|group| group.pods.iter().copied()).collect()
    }

    /// Whether some node, existing or bought, could hold a pod of the group if it were empty otherwise.
    pub fn is_possible(&self, group: &Group) -> bool {
        let fits = |room: &[i64], holds: &[usize]| {
            holds.contains(&group.demand) && group.size.iter().zip(room).all(|(size, room)| *size == 0 || size <= room)
        };
        self.shapes.iter().any(|shape| fits(&shape.room, &shape.holds))
            || self.nodes.iter().any(|node| fits(&node.room, &node.holds))
    }
}

/// Finds out how groups must be spread; returns the zones, where some group is.
fn spread_over_zones(snapshot: &Snapshot, groups: &mut [Group<'_>]) -> Vec<Arc<str>> {
    let is_candidate = |group: &Group| group.spec.topology_spread.iter().any(|of| *of.topology_key == *labels::ZONE);
    if !groups.iter().any(is_candidate) {
        return Vec::new();
    }
    let zones = spread::zones(snapshot);
    let examples: Vec<&Pod> = groups.iter().map(|group| &snapshot.pods[group.pods[0]]).collect();
    for (index, group) in groups.iter_mut().enumerate().filter(|(_, group)| is_candidate(group)) {
        let others: Vec<&Pod> =
            examples.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, pod)| *pod).collect();
        group.spread = spread::of(snapshot, examples[index], &zones, &others);
    }
    if groups.iter().any(|group| group.spread.is_some()) { zones } else { Vec::new() }
}

/// What the pool's nodes leave of each of its limits.
fn limits_of<'s>(snapshot: &'s Snapshot, pool: &'s NodePool) -> Vec<Limit<'s>> {
    let nodes = || snapshot.nodes.iter().filter(|node| node.pool.as_deref() == Some(&*pool.name));
    let limit = |name: &str, most: i64, used: i64| Limit {
        pool: &pool.name,
        name: Arc::from(name),
        left: most.saturating_sub(used).max(0),
    };
    let of_resource = |(name, most): (&Arc<str>, i64)| {
        let used = nodes().fold(0_i64, |sum, node| sum.saturating_add(node.capacity.get(name)));
        limit(name, most, used)
    };
    let mut limits: Vec<Limit> = pool.limits.resources.iter().map(of_resource).collect();
    if let Some(most) = pool.limits.nodes {
        limits.push(limit(labels::LIMIT_NODES, most, i64::try_from(nodes().count()).unwrap_or(i64::MAX)));
    }
    if let Some(most) = pool.limits.usd_per_hour {
        let spent = nodes().filter_map(|node| node.price).fold(0_i64, |sum, price| sum.saturating_add(price.0));
        limits.push(limit(labels::LIMIT_USD_PER_HOUR, most.0, spent));
    }
    limits
}

/// What a node counts towards a limit; reserved capacity is charged at the on-demand price of its zone, or its own if that
/// is more.
fn counted(limit: &str, kind: &InstanceType, offering: &Offering) -> i64 {
    match limit {
        labels::LIMIT_NODES => 1,
        labels::LIMIT_USD_PER_HOUR if offering.reservation.is_some() => {
            let on_demand = kind
                .offerings
                .iter()
                .filter(|of| of.zone == offering.zone && of.capacity_type == CapacityType::OnDemand);
            on_demand.map(|of| of.price.0).chain([offering.price.0]).max().unwrap_or(0)
        }
        labels::LIMIT_USD_PER_HOUR => offering.price.0,
        resource => kind.capacity.get(resource),
    }
}

/// Tolerations; ways to meet node selector and required node affinity; for each volume the terms of which one must hold.
pub fn demands_of(spec: &PodSpec) -> Demands<'_> {
    let selector = Requirements::from_labels(&spec.node_selector);
    let ways = if spec.node_affinity.is_empty() {
        vec![selector]
    } else {
        let with = |term: &Requirements| {
            let mut both = selector.clone();
            both.add_all(term);
            both
        };
        spec.node_affinity.iter().filter(|term| !term.0.is_empty()).map(|term| with(&term.0)).collect()
    };
    let volumes = spec.volumes.iter().filter(|volume| !volume.topology.is_empty());
    let volumes =
        volumes.map(|volume| volume.topology.iter().map(|term| &term.0).filter(|term| !term.is_empty()).collect());
    (&spec.tolerations, ways, volumes.collect())
}

fn could_meet((_, ways, volumes): &Demands, pool: &NodePool, kind: &InstanceType, offering: &Offering) -> bool {
    let own = possible(&pool.requirements, pool, kind, offering);
    let is_met = |wanted: &Requirements| possible(wanted, pool, kind, offering);
    own && ways.iter().any(is_met) && volumes.iter().all(|terms| terms.iter().any(|term| is_met(term)))
}

/// Whether a node of the pool bought through the offering could meet the requirements, labels that a launch may still
/// choose chosen as they should be.
fn possible(wanted: &Requirements, pool: &NodePool, kind: &InstanceType, offering: &Offering) -> bool {
    wanted.iter().all(|(key, requirement)| {
        let key = labels::normalize(key);
        let of_offering = match key {
            labels::ZONE => Some(&*offering.zone),
            labels::CAPACITY_TYPE => Some(offering.capacity_type.label()),
            _ => offering.labels.iter().find(|(of, _)| &**of == key).map(|(_, value)| &**value),
        };
        if let Some(value) = of_offering {
            return requirement.allows(value);
        }
        match (kind.requirements.get(key), pool.requirements.get(key)) {
            (Some(of_type), Some(of_pool)) => intersect(requirement, of_type) && intersect(requirement, of_pool),
            // a label that the cloud gives, and does not give here, is there only where the pool writes it
            (None, Some(_)) if labels::is_well_known(key) && !pool.labels.contains_key(key) => {
                requirement.allows_absence()
            }
            (Some(one), None) | (None, Some(one)) => intersect(requirement, one),
            (None, None) => requirement.allows_absence(),
        }
    })
}

fn intersect(a: &Requirement, b: &Requirement) -> bool {
    a.intersects(b) || (a.allows_absence() && b.allows_absence())
}

pub fn met_by_node(wanted: &Requirements, node: &Node, labels: &Requirements) -> bool {
    wanted.iter().all(|(key, requirement)| {
        let value = labels.get(key).or_else(|| labels.get(labels::normalize(key))).and_then(Requirement::single_value);
        match value {
            Some(value) => requirement.allows(value),
            // it has a name that nobody knows yet
            None if node.stage == NodeStage::InFlight && key.as_ref() == labels::HOSTNAME => {
                requirement.allows("\u{0}")
            }
            None => requirement.allows_absence(),
        }
    })
}

/// Whether every node of the type runs the daemon pod: each label that it asks for has one value on all of them.
fn surely_runs(daemon: &DaemonSet, pool: &NodePool, kind: &InstanceType) -> bool {
    let spec = &daemon.template.spec;
    let fixed = |key: &str| {
        if key == labels::REGISTERED || key == labels::INITIALIZED {
            return Some("true");
        }
        let of_type = kind.requirements.get(key).and_then(Requirement::single_value);
        let of_pool = || pool.requirements.get(key).and_then(Requirement::single_value);
        of_type.or_else(of_pool).map(|value| &**value)
    };
    let holds = |wanted: &Requirements| {
        wanted.iter().all(|(key, requirement)| fixed(key).is_some_and(|value| requirement.allows(value)))
    };
    tolerates(&spec.tolerations, &pool.taints) && demands_of(spec).1.iter().any(holds)
}

/// Allocatable less the pods there, and less the daemon pods that will still come.
fn free_of(snapshot: &Snapshot, node: &Node) -> Resources {
    let labels = Requirements::from_labels(&*node.labels);
    let mut free = node.allocatable.clone();
    let mut of_daemons = Resources::new();
    let here = snapshot.pods.iter().filter(|pod| !pod.displaced && pod.node.as_ref() == Some(&node.name));
    for pod in here {
        free.subtract(&pod.template.spec.requests);
        if pod.owner.as_ref().is_some_and(|owner| &*owner.kind == "DaemonSet") {
            of_daemons.add(&pod.template.spec.requests);
        }
    }
    let mut to_come = Resources::new();
    let mut ready = labels.clone();
    if node.stage != NodeStage::Initialized {
        for key in [labels::REGISTERED, labels::INITIALIZED] {
            ready.replace(key, Requirement::one_of(["true"]));
        }
    }
    for daemon in &snapshot.daemon_sets {
        let spec = &daemon.template.spec;
        if tolerates(&spec.tolerations, &node.taints)
            && demands_of(spec).1.iter().any(|way| met_by_node(way, node, &ready))
        {
            to_come.add(&spec.requests);
        }
    }
    for (name, amount) in to_come.iter() {
        let missing = (amount - of_daemons.get(name)).max(0);
        free.subtract(&Resources::new().with(name.clone(), missing));
    }
    free
}

/// Why pods of a kind can never share a node, or only few of them.
#[derive(PartialEq, Eq, Hash)]
enum Apart<'s> {
    /// The same host ports.
    Ports(&'s [HostPort]),
    /// The same anti-affinity over hosts, which selects each of them, in one namespace.
    Term(&'s Arc<str>, &'s PodAffinityTerm),
    /// The same spread over hosts, which selects each of them, in one namespace, and no daemon pods: a host can always be opened,
    /// so that the least count is zero.
    Spread(&'s Arc<str>, &'s TopologySpreadConstraint),
}

/// With how many of the kind a node holds.
fn apart<'s>(snapshot: &Snapshot, pod: &'s Pod) -> Option<(Apart<'s>, u32)> {
    let spec = &pod.template.spec;
    if !spec.host_ports.is_empty() {
        return Some((Apart::Ports(&spec.host_ports), 1));
    }
    let namespace = &pod.key.namespace;
    let mut of_namespace = snapshot.namespaces.get(namespace).cloned().unwrap_or_default();
    of_namespace.insert("kubernetes.io/metadata.name".into(), namespace.clone());
    let repels_itself = |term: &&PodAffinityTerm| {
        term.topology_key.as_ref() == labels::HOSTNAME
            && (term.namespaces.contains(namespace)
                || term.namespace_selector.as_ref().is_some_and(|selector| selector.matches(&of_namespace)))
            && term.selector.matches(&pod.template.labels)
    };
    if let Some(term) = spec.pod_anti_affinity.iter().find(repels_itself) {
        return Some((Apart::Term(namespace, term), 1));
    }
    let over_hosts = spec.topology_spread.iter().filter(|constraint| {
        constraint.topology_key.as_ref() == labels::HOSTNAME
            && constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
            && constraint.selector.matches(&pod.template.labels)
            && !spread::counts_daemons(snapshot, namespace, constraint)
    });
    let tightest = over_hosts.min_by_key(|constraint| constraint.max_skew)?;
    Some((Apart::Spread(namespace, tightest), tightest.max_skew))
}

pub fn tolerates(tolerations: &[Toleration], taints: &[Taint]) -> bool {
    let hard = taints.iter().filter(|taint| taint.effect != TaintEffect::PreferNoSchedule);
    hard.into_iter().all(|taint| tolerations.iter().any(|toleration| covers(toleration, taint)))
}

fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    let of_effect = toleration.effect.is_none_or(|effect| effect == taint.effect);
    let of_key =
        toleration.key == taint.key || toleration.key.is_empty() && toleration.operator == TolerationOperator::Exists;
    let of_value = match toleration.operator {
        TolerationOperator::Exists => true,
        TolerationOperator::Equal => toleration.value == taint.value,
        // exact, as daemon pods that tolerate too much would leave too little room
        TolerationOperator::Lt | TolerationOperator::Gt => match (number(&taint.value), number(&toleration.value)) {
            (Some(of_taint), Some(own)) if toleration.operator == TolerationOperator::Lt => of_taint < own,
            (Some(of_taint), Some(own)) => of_taint > own,
            _ => false,
        },
    };
    of_effect && of_key && of_value
}

/// An integer, written as integers are.
fn number(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}
