//! The part of a cluster that the pods of some nodes can move to. A trial looks at that alone: of a large cluster it takes as long as of
//! a small one.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::floor::Sold;
use super::without::takes_moved;
use crate::catalog::InstanceType;
use crate::model::rules::keep_out;
use crate::model::types_on_sale;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Node, NodePool, OnSale, Pod, PodSpec, PodTemplate};
use crate::resources::Resources;
use crate::scheduler::selects;

/// Pods may move to so many nodes, and so many more for each of them: those with the most room.
const NEAR: usize = 40;
const NEAR_A_POD: usize = 2;

type Types = Arc<Vec<InstanceType>>;

/// What is known of each node, by index into `Snapshot::nodes`.
pub(super) struct Surroundings {
    /// What is free; `None`: it takes no pods.
    free: Vec<Option<Resources>>,
    /// Its pods, by index into `Snapshot::pods`.
    pods: Vec<Vec<usize>>,
    /// By name.
    index: HashMap<Arc<str>, usize>, // looked up only
    /// Nodes that count for the limits of a pool.
    limited: Vec<usize>,
    /// By pool, its types and those of them that can be bought: most of what a catalogue has no pool allows.
    on_sale: Vec<(Types, Types, OnSale)>,
    pub(super) sold: Sold,
    alike: Alike,
    takers: RefCell<HashMap<usize, Rc<[bool]>>>, // looked up only
}

impl Surroundings {
    pub fn of(snapshot: &Snapshot) -> Self {
        let index: HashMap<Arc<str>, usize> =
            snapshot.nodes.iter().enumerate().map(|(index, node)| (node.name.clone(), index)).collect();
        let takes = |node: &&Node| takes_moved(node);
        let mut free: Vec<Option<Resources>> =
            snapshot.nodes.iter().map(|node| Some(node).filter(takes).map(|node| node.allocatable.clone())).collect();
        let mut pods = vec![Vec::new(); snapshot.nodes.len()];
        for (number, pod) in snapshot.pods.iter().enumerate() {
            let Some(&node) = pod.node.as_ref().and_then(|node| index.get(node)) else { continue };
            pods[node].push(number);
            if let Some(free) = &mut free[node] {
                free.subtract(requests(pod));
            }
        }
        let is_limited = |pool: &&NodePool| {
            let limits = &pool.limits;
            !limits.resources.is_empty() || limits.nodes.is_some() || limits.usd_per_hour.is_some()
        };
        let limited: BTreeSet<&Arc<str>> =
            snapshot.node_pools.iter().filter(is_limited).map(|pool| &pool.name).collect();
        let counts = |&index: &usize| snapshot.nodes[index].pool.as_ref().is_some_and(|pool| limited.contains(pool));
        let limited = (0..snapshot.nodes.len()).filter(counts).collect();
        let sold = |pool: &NodePool| (pool.instance_types.clone(), Arc::new(types_on_sale(pool)), OnSale::default());
        let on_sale: Vec<(Types, Types, OnSale)> = snapshot.node_pools.iter().map(sold).collect();
        let types = on_sale.iter().map(|(_, sold, _)| sold.as_slice());
        let sold = Sold::of(&snapshot.node_pools.iter().zip(types).collect::<Vec<_>>());
        Self { free, pods, index, limited, on_sale, sold, alike: Alike::of(snapshot), takers: RefCell::default() }
    }

    /// Nodes, by index into `Snapshot::nodes`.
    pub(super) fn indices(&self, names: &BTreeSet<Arc<str>>) -> BTreeSet<usize> {
        names.iter().filter_map(|name| self.index.get(name)).copied().collect()
    }

    /// Pods, by index into `Snapshot::pods`.
    pub(super) fn pods_on(&self, node: usize) -> &[usize] {
        &self.pods[node]
    }

    /// What is free on a node that takes pods, by index into `Snapshot::nodes`.
    pub fn free(&self, node: usize) -> Option<&Resources> {
        self.free[node].as_ref()
    }

    /// The cluster as the pods of these nodes see it: the nodes that they can move to, and besides, as nodes that take no pods, those
    /// of pods that rules bind to them, and those that count for limits.
    pub fn part(&self, snapshot: &Snapshot, removed: &BTreeSet<Arc<str>>) -> Snapshot {
        let gone = self.indices(removed);
        let near = self.near(snapshot, &gone);
        let moving =
            gone.iter().flat_map(|&node| &self.pods[node]).filter(|&&pod| snapshot.pods[pod].is_reschedulable());
        let mut pods: BTreeSet<usize> = self.alike.bound_to(moving.copied()).into_iter().collect();
        let mut kept: BTreeSet<usize> = near.union(&gone).copied().collect();
        pods.extend(kept.iter().flat_map(|&node| &self.pods[node]));
        let of_pod = |&pod: &usize| self.index.get(snapshot.pods[pod].node.as_ref()?).copied();
        kept.extend(pods.iter().filter_map(of_pod));
        kept.extend(&self.limited);
        let nodes = kept.into_iter().map(|index| {
            let mut node = snapshot.nodes[index].clone();
            node.deleting |= !near.contains(&index) && !gone.contains(&index);
            node
        });
        Snapshot {
            taken_at: snapshot.taken_at,
            region: snapshot.region.clone(),
            settings: snapshot.settings.clone(),
            pods: pods.iter().map(|&pod| snapshot.pods[pod].clone()).collect(),
            nodes: nodes.collect(),
            node_pools: snapshot.node_pools.iter().zip(&self.on_sale).map(with_types_on_sale).collect(),
            daemon_sets: snapshot.daemon_sets.clone(),
            disruption_budgets: snapshot.disruption_budgets.clone(),
            namespaces: snapshot.namespaces.clone(),
            assumptions: Vec::new(),
        }
    }

    /// The nodes with the most room of those that have some for the smallest of the pods of the nodes that go, and take one of them.
    pub(super) fn near(&self, snapshot: &Snapshot, gone: &BTreeSet<usize>) -> BTreeSet<usize> {
        let moving = gone.iter().flat_map(|&node| &self.pods[node]).copied();
        let mut templates: BTreeSet<usize> = BTreeSet::new();
        let mut least: Option<Resources> = None;
        let mut count = 0;
        for number in moving.filter(|&number| snapshot.pods[number].is_reschedulable()) {
            count += 1;
            if templates.insert(self.template(number)) {
                let requests = requests(&snapshot.pods[number]);
                lower_to(least.get_or_insert_with(|| requests.clone()), requests);
            }
        }
        let Some(least) = least else { return BTreeSet::new() };
        let takers: Vec<Rc<[bool]>> = templates.into_iter().map(|template| self.takers(snapshot, template)).collect();
        let has_room = |index: &usize| {
            let free = self.free[*index].as_ref().filter(|_| !gone.contains(index));
            free.is_some_and(|free| takers.iter().any(|takers| takers[*index]) && least.fits(free))
        };
        let mut near: Vec<usize> = (0..self.free.len()).filter(has_room).collect();
        let most = NEAR + NEAR_A_POD * count;
        if near.len() > most {
            // by the resource of which the smallest pod finds the fewest times its own
            near.sort_by_cached_key(|&index| (std::cmp::Reverse(self.times(index, &least)), index));
            near.truncate(most);
        }
        near.into_iter().collect()
    }

    /// Of a pod, by index into `Snapshot::pods`: pods of one template are alike.
    pub(super) fn template(&self, pod: usize) -> usize {
        self.alike.of_pod[pod]
    }

    /// Which nodes take pods of a template, by index into `Snapshot::nodes`: looked up once, a search asks for it thousands of times.
    pub(super) fn takers(&self, snapshot: &Snapshot, template: usize) -> Rc<[bool]> {
        let mut known = self.takers.borrow_mut();
        let takers = known.entry(template).or_insert_with(|| {
            let spec = &self.alike.templates[template].spec;
            snapshot.nodes.iter().map(|node| takes(node, spec)).collect()
        });
        takers.clone()
    }

    fn times(&self, index: usize, least: &Resources) -> i64 {
        let Some(free) = &self.free[index] else { return 0 };
        let times = |(name, amount): (&Arc<str>, i64)| free.get(name) / amount.max(1);
        least.iter().map(times).min().unwrap_or(0)
    }
}

/// A pool with the types alone that can be bought, unless it has become another one.
fn with_types_on_sale((pool, (all, sold, on_sale)): (&NodePool, &(Types, Types, OnSale))) -> NodePool {
    if !Arc::ptr_eq(&pool.instance_types, all) {
        return pool.clone();
    }
    NodePool { instance_types: sold.clone(), on_sale: on_sale.clone(), ..pool.clone() }
}

fn requests(pod: &Pod) -> &Resources {
    &pod.template.spec.requests
}

/// Whether a node's taints and labels are such as a pod takes.
fn takes(node: &Node, spec: &PodSpec) -> bool {
    keep_out(&spec.tolerations, &node.taints).is_none() && selects(spec, &node.labels)
}

/// The smaller amount of each resource; what one of them does not have is none.
pub(super) fn lower_to(least: &mut Resources, other: &Resources) {
    let lower: Vec<(Arc<str>, i64)> =
        least.iter().map(|(name, amount)| (name.clone(), amount.min(other.get(name)))).collect();
    *least = lower.into_iter().filter(|(_, amount)| *amount > 0).collect();
}

/// Pods by template, and which templates rules bind to one another.
struct Alike {
    templates: Vec<Arc<PodTemplate>>,
    /// Of each template, by index into `Snapshot::pods`.
    pods: Vec<Vec<usize>>,
    /// Of each pod.
    of_pod: Vec<usize>,
    known: RefCell<HashMap<usize, Vec<usize>>>, // looked up only
}

impl Alike {
    fn of(snapshot: &Snapshot) -> Self {
        let mut index: HashMap<*const PodTemplate, usize> = HashMap::new(); // looked up only
        let mut alike = Self { templates: Vec::new(), pods: Vec::new(), of_pod: Vec::new(), known: RefCell::default() };
        for (number, pod) in snapshot.pods.iter().enumerate() {
            let template = *index.entry(Arc::as_ptr(&pod.template)).or_insert_with(|| {
                alike.templates.push(pod.template.clone());
                alike.pods.push(Vec::new());
                alike.templates.len() - 1
            });
            alike.pods[template].push(number);
            alike.of_pod.push(template);
        }
        alike
    }

    /// The pods of which rules take notice where one of these is placed.
    fn bound_to(&self, pods: impl Iterator<Item = usize>) -> Vec<usize> {
        let templates: BTreeSet<usize> = pods.map(|pod| self.of_pod[pod]).collect();
        let others: BTreeSet<usize> = templates.into_iter().flat_map(|template| self.others(template)).collect();
        others.into_iter().flat_map(|template| self.pods[template].iter().copied()).collect()
    }

    fn others(&self, template: usize) -> Vec<usize> {
        let mut known = self.known.borrow_mut();
        let others = known.entry(template).or_insert_with(|| {
            let of = &self.templates[template];
            let is_bound = |other: &usize| {
                let other = &self.templates[*other];
                binds(&of.spec, &other.labels) || binds(&other.spec, &of.labels)
            };
            (0..self.templates.len()).filter(is_bound).collect()
        });
        others.clone()
    }
}

/// Whether a rule of a pod selects pods with these labels, in whatever namespace.
fn binds(spec: &PodSpec, labels: &Labels) -> bool {
    let spread = spec.topology_spread.iter().map(|of| &of.selector);
    let required = spec.pod_affinity.iter().chain(&spec.pod_anti_affinity);
    let preferred = spec.preferred_pod_affinity.iter().chain(&spec.preferred_pod_anti_affinity);
    let terms = required.chain(preferred.map(|(_, term)| term)).map(|term| &term.selector);
    spread.chain(terms).any(|selector| selector.matches(labels))
}
