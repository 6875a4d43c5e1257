//! NodePools with the types that they can launch and the room those leave for pods.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::daemons::Counted;
use super::topology::TopologyId;
use super::{Amounts, Dims, rules};
use fixedbitset::FixedBitSet;

use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType, Offering, OfferingFilter};
use crate::observe::Snapshot;
use crate::observe::snapshot::{DaemonSet, HostPort, NodePool, PodSpec};
use crate::requirements::{Requirement, Requirements, Undefined};
use crate::resources::Resources;
use crate::units::MicroUsd;

/// The hostname of a node that does not exist yet: no pod can select it by name.
const NEW_NODE: &str = "packwright.dev/new-node";

/// A pool that can launch nodes.
#[derive(Debug)]
pub struct PoolModel<'a> {
    /// Index into `Snapshot::node_pools`.
    pub index: usize,
    pub pool: &'a NodePool,
    /// The pool's requirements and the placeholder hostname.
    pub requirements: Requirements,
    /// Types that the pool's own requirements allow in some available offering, by name.
    pub types: Vec<TypeModel<'a>>,
    /// Those that may run on some node of the pool.
    daemons: Vec<&'a DaemonSet>,
    pub remaining: RemainingLimits,
    /// The keys for which the pool asks a minimum of distinct values.
    pub min_values: Vec<(Arc<str>, u32)>,
    /// Some offering is one of a capacity reservation.
    pub has_reservations: bool,
    /// What the daemon pods of its new nodes count for; empty where no pending pod must obey what counts any of them.
    pub brings: Vec<Brought>,
}

/// Types whose daemon pods count for the same topologies.
#[derive(Debug)]
pub struct Brought {
    /// Indices into the types of the pool.
    pub types: FixedBitSet,
    /// What each daemon pod that may run there counts for.
    pub counts: Vec<BroughtCount>,
}

/// A daemon pod of a new node counts for the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BroughtCount {
    pub topology: TopologyId,
    /// Whatever offering is bought, and whatever other pods are there.
    pub surely: bool,
}

/// One type of a pool.
#[derive(Debug)]
pub struct TypeModel<'a> {
    pub instance_type: &'a InstanceType,
    /// What is left for pods after every daemon pod that may run there, by dimension.
    pub room: Amounts,
    /// What is left for pods after the daemon pods that run whatever offering is bought; at least `room`.
    pub most_room: Amounts,
    /// What the daemon pods that may run there take.
    pub daemon_overhead: Resources,
    /// What a node counts towards each resource limit of the pool, in the order of [`RemainingLimits::resources`].
    pub counts: Amounts,
    /// Host ports of those daemon pods.
    pub daemon_ports: Vec<HostPort>,
    /// Available offerings that the pool allows.
    pub offerings: Vec<&'a Offering>,
}

/// One offering of one type of one pool of the Problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferingIndex {
    /// Index into `Problem::pools`.
    pub pool: usize,
    /// Index into the types of the pool.
    pub kind: usize,
    /// Index into the offerings of the type.
    pub offering: usize,
}

/// What a pool's limits leave, after the nodes that exist; `None`: no limit.
#[derive(Debug, Clone)]
pub struct RemainingLimits {
    pub resources: BTreeMap<Arc<str>, i64>,
    pub nodes: Option<i64>,
    pub usd_per_hour: Option<MicroUsd>,
}

impl<'a> PoolModel<'a> {
    /// Whether something other than the market bounds what it can launch.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        let RemainingLimits { resources, nodes, usd_per_hour } = &self.remaining;
        self.has_reservations || !resources.is_empty() || nodes.is_some() || usd_per_hour.is_some()
    }

    /// The DaemonSets of which some node of the type may have a pod.
    pub fn daemons_on(&self, kind: &TypeModel) -> impl Iterator<Item = &'a DaemonSet> {
        let may_run = |daemon: &&DaemonSet| may_run_on(&daemon.template.spec, kind.instance_type, &kind.offerings);
        self.daemons.iter().copied().filter(may_run)
    }

    /// What daemon pods take of a node of the type with these requirements, which may rule some of them out, and their host
    /// ports.
    #[must_use]
    pub fn overhead_under(&self, kind: &TypeModel, requirements: &Requirements) -> (Resources, Vec<HostPort>) {
        let ready = rules::once_initialized(requirements);
        let sold: Vec<&Offering> = kind.offerings.iter().copied().filter(|o| o.satisfies(requirements)).collect();
        let of_type = &kind.instance_type.requirements;
        // a label that nobody writes is not there, be it well-known
        let is_absent = |key: &str| {
            !ready.contains_key(key)
                && !of_type.contains_key(key)
                && !sold.iter().any(|offering| offering.label(key).is_some())
        };
        let may_hold = |wanted: &Requirements| {
            ready.compatible(wanted, Undefined::AllowWellKnown).is_ok()
                && of_type.intersects(wanted).is_ok()
                && sold.iter().any(|offering| offering.satisfies(wanted))
                && wanted.iter().all(|(key, of)| of.allows_absence() || !is_absent(key))
        };
        let may_run = |daemon: &&DaemonSet| {
            let spec = &daemon.template.spec;
            may_hold(&Requirements::from_labels(&spec.node_selector))
                && (spec.node_affinity.is_empty() || spec.node_affinity.iter().any(|term| may_hold(&term.0)))
        };
        overhead(self.daemons.iter().copied().filter(may_run))
    }

    /// Works out what new nodes bring, from the topologies that each daemonset's pods count for. `repelled`: which of them bound
    /// pods keep away from some new nodes.
    pub(super) fn set_brought(&mut self, counted: &[Counted], repelled: &[bool]) {
        let ready = rules::once_initialized(&self.requirements);
        let mut brings: Vec<Brought> = Vec::new();
        for kind in 0..self.types.len() {
            let mut counts: Vec<BroughtCount> = Vec::new();
            let runs = |daemon: &DaemonSet| self.may_run(daemon, &self.types[kind]);
            for (of, repelled) in counted.iter().zip(repelled) {
                if of.topologies.is_empty() || !runs(of.daemon) {
                    continue;
                }
                let spec = &of.daemon.template.spec;
                let always = surely_runs_on(spec, &ready, self.types[kind].instance_type);
                let surely = always && !repelled && !rules::obeys_pods(spec);
                counts.extend(of.topologies.iter().map(|&topology| BroughtCount { topology, surely }));
            }
            counts.sort_unstable();
            let known = brings.iter().position(|brought| brought.counts == counts);
            let index = known.unwrap_or_else(|| {
                let types = FixedBitSet::with_capacity(self.types.len());
                brings.push(Brought { types, counts });
                brings.len() - 1
            });
            brings[index].types.insert(kind);
        }
        if brings.iter().any(|brought| !brought.counts.is_empty()) {
            self.brings = brings;
        }
    }

    /// Whether the daemonset's pod may be on some node that the pool could launch.
    pub(super) fn may_run_somewhere(&self, daemon: &DaemonSet) -> bool {
        self.types.iter().any(|kind| self.may_run(daemon, kind))
    }

    fn may_run(&self, daemon: &DaemonSet, kind: &TypeModel) -> bool {
        self.daemons.iter().any(|of| std::ptr::eq(*of, daemon))
            && may_run_on(&daemon.template.spec, kind.instance_type, &kind.offerings)
    }

    /// Whether the daemonset's pod is on every node that the pool could launch.
    pub(super) fn surely_runs(&self, daemon: &DaemonSet) -> bool {
        let ready = rules::once_initialized(&self.requirements);
        self.daemons.iter().any(|of| std::ptr::eq(*of, daemon))
            && !rules::obeys_pods(&daemon.template.spec)
            && self.types.iter().all(|kind| surely_runs_on(&daemon.template.spec, &ready, kind.instance_type))
    }

    /// The labels that a node with these requirements must get from its type or offering: a well-known label that the
    /// pool does not write cannot be invented.
    #[must_use]
    pub fn labels_to_be_had(&self, wanted: &Requirements) -> Vec<Arc<str>> {
        labels_to_be_had(self.pool, wanted)
    }
}

impl TypeModel<'_> {
    /// Whether a node of this type bought through this offering meets the requirements, as far as the offering decides;
    /// `must_have` as [`PoolModel::labels_to_be_had`] says.
    #[must_use]
    pub fn sells(&self, offering: &Offering, wanted: &Requirements, must_have: &[Arc<str>]) -> bool {
        offering.satisfies(wanted) && has_labels(self.instance_type, offering, must_have)
    }

    /// What an offering counts towards a spend cap: reserved capacity at the on-demand price of its zone.
    #[must_use]
    pub fn counted_price(&self, offering: &Offering) -> MicroUsd {
        if offering.capacity_type != CapacityType::Reserved {
            return offering.price;
        }
        let of_zone = self.instance_type.offerings.iter().filter(|o| o.zone == offering.zone);
        let on_demand = of_zone.filter(|o| o.capacity_type == CapacityType::OnDemand).map(|o| o.price);
        on_demand.fold(offering.price, MicroUsd::max)
    }
}

fn labels_to_be_had(pool: &NodePool, wanted: &Requirements) -> Vec<Arc<str>> {
    let must = wanted.iter().filter(|(key, requirement)| {
        !requirement.allows_absence() && labels::is_well_known(key) && !pool.labels.contains_key(*key)
    });
    must.map(|(key, _)| key.clone()).collect()
}

fn has_labels(instance_type: &InstanceType, offering: &Offering, must_have: &[Arc<str>]) -> bool {
    must_have.iter().all(|key| instance_type.requirements.contains_key(key) || offering.label(key).is_some())
}

/// What of a pool's types a [`PoolModel`] of it has: whoever formulates many problems of one cluster looks for them once.
#[must_use]
pub fn types_on_sale(pool: &NodePool) -> Vec<InstanceType> {
    let requirements = of_new_node(pool);
    let (must_have, asked) = (labels_to_be_had(pool, &requirements), OfferingFilter::of(&requirements));
    let is_sold = |of: &&InstanceType| !sold(of, (&requirements, asked), &must_have).is_empty();
    pool.instance_types.iter().filter(is_sold).cloned().collect()
}

/// The pool's requirements and the placeholder hostname.
fn of_new_node(pool: &NodePool) -> Requirements {
    let mut requirements = pool.requirements.clone();
    requirements.replace(labels::HOSTNAME, Requirement::one_of([NEW_NODE]));
    requirements
}

/// The available offerings of a type that these requirements allow.
fn sold<'t>(
    kind: &'t InstanceType,
    (requirements, asked): (&Requirements, OfferingFilter<'_>),
    must_have: &[Arc<str>],
) -> Vec<&'t Offering> {
    // the shorter of the two is gone through
    if kind.requirements.intersects(requirements).is_err() {
        return Vec::new();
    }
    let is_sold = |of: &&Offering| of.available && asked.takes(of) && has_labels(kind, of, must_have);
    kind.offerings.iter().filter(is_sold).collect()
}

pub(super) fn build<'a>(snapshot: &'a Snapshot, dims: &Dims) -> Vec<PoolModel<'a>> {
    let usable = |pool: &NodePool| pool.unusable.is_none() && pool.replicas.is_none();
    let mut order: Vec<usize> = (0..snapshot.node_pools.len()).filter(|&i| usable(&snapshot.node_pools[i])).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&snapshot.node_pools[a], &snapshot.node_pools[b]);
        b.weight.cmp(&a.weight).then_with(|| b.name.cmp(&a.name))
    });
    let pools = order.into_iter().map(|index| pool_model(snapshot, index, dims));
    pools.filter(|pool| !pool.types.is_empty()).collect()
}

fn pool_model<'a>(snapshot: &'a Snapshot, index: usize, dims: &Dims) -> PoolModel<'a> {
    let pool = &snapshot.node_pools[index];
    let requirements = of_new_node(pool);
    let ready = rules::once_initialized(&requirements);
    let daemons: Vec<&DaemonSet> = snapshot
        .daemon_sets
        .iter()
        .filter(|daemon| rules::must_run(&daemon.template.spec, &pool.taints, &ready, Undefined::AllowWellKnown))
        .collect();
    let (must_have, asked) = (labels_to_be_had(pool, &requirements), OfferingFilter::of(&requirements));
    let mut overheads: HashMap<Vec<usize>, (Resources, Vec<HostPort>)> = HashMap::new();
    let types = pool.instance_types.iter().filter_map(|instance_type| {
        let offerings = sold(instance_type, (&requirements, asked), &must_have);
        if offerings.is_empty() {
            return None;
        }
        let running: Vec<usize> =
            (0..daemons.len()).filter(|&d| may_run_on(&daemons[d].template.spec, instance_type, &offerings)).collect();
        let (overhead, ports) = overheads
            .entry(running)
            .or_insert_with_key(|running| overhead(running.iter().map(|&daemon| daemons[daemon])));
        let mut most = Resources::new();
        for daemon in daemons.iter().filter(|d| surely_runs_on(&d.template.spec, &ready, instance_type)) {
            most.add(&daemon.template.spec.requests);
        }
        Some(TypeModel {
            instance_type,
            room: dims.left(&instance_type.allocatable, overhead),
            most_room: dims.left(&instance_type.allocatable, &most),
            counts: pool.limits.resources.iter().map(|(name, _)| instance_type.capacity.get(name)).collect(),
            daemon_overhead: overhead.clone(),
            daemon_ports: ports.clone(),
            offerings,
        })
    });
    let types: Vec<TypeModel> = types.collect();
    let has_reservations = types.iter().flat_map(|kind| &kind.offerings).any(|offering| offering.reservation.is_some());
    let min_values =
        requirements.iter().filter_map(|(key, r)| r.min_values.map(|minimum| (key.clone(), minimum))).collect();
    let remaining = remaining(snapshot, pool);
    PoolModel { index, pool, requirements, types, daemons, remaining, min_values, has_reservations, brings: Vec::new() }
}

/// Whether some node of the type could run the daemon pod: only keys that the type and its offerings define are compared.
fn may_run_on(spec: &PodSpec, instance_type: &InstanceType, offerings: &[&Offering]) -> bool {
    let defined = |wanted: &Requirements| {
        instance_type.requirements.intersects(wanted).is_ok()
            && offerings.iter().any(|offering| offering.satisfies(wanted))
    };
    defined(&Requirements::from_labels(&spec.node_selector))
        && (spec.node_affinity.is_empty() || spec.node_affinity.iter().any(|term| defined(&term.0)))
}

/// Whether every node of the type runs the daemon pod: each key that it asks for has one value on all of them.
fn surely_runs_on(spec: &PodSpec, pool: &Requirements, instance_type: &InstanceType) -> bool {
    let fixed = |key: &str| {
        let of_type = instance_type.requirements.get(key).and_then(|r| r.single_value());
        of_type.or_else(|| pool.get(key).and_then(|r| r.single_value()))
    };
    let surely = |wanted: &Requirements| {
        wanted.iter().all(|(key, requirement)| fixed(key).is_some_and(|value| requirement.allows(value)))
    };
    surely(&Requirements::from_labels(&spec.node_selector))
        && (spec.node_affinity.is_empty() || spec.node_affinity.iter().any(|term| surely(&term.0)))
}

fn overhead<'d>(running: impl Iterator<Item = &'d DaemonSet>) -> (Resources, Vec<HostPort>) {
    let mut total = Resources::new();
    let mut ports = Vec::new();
    for daemon in running {
        let spec = &daemon.template.spec;
        total.add(&spec.requests);
        ports.extend(spec.host_ports.iter().cloned());
    }
    (total, ports)
}

fn remaining(snapshot: &Snapshot, pool: &NodePool) -> RemainingLimits {
    let nodes: Vec<_> = snapshot.nodes.iter().filter(|node| node.pool.as_ref() == Some(&pool.name)).collect();
    let mut used = Resources::new();
    for node in &nodes {
        used.add(&node.capacity);
    }
    let count = i64::try_from(nodes.len()).unwrap_or(i64::MAX);
    let spend: MicroUsd = nodes.iter().filter_map(|node| node.price).sum();
    RemainingLimits {
        resources: pool.limits.resources.iter().map(|(name, limit)| (name.clone(), limit - used.get(name))).collect(),
        nodes: pool.limits.nodes.map(|limit| limit - count),
        usd_per_hour: pool.limits.usd_per_hour.map(|cap| cap - spend),
    }
}
