//! Where pods are once the plan is carried out, and which labels those nodes have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::facts::{NodeFacts, Room};
use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::observe::snapshot::{LabelSelector, Labels};
use crate::plan::{Checked, Launch, Plan, Target};
use crate::resources::{PODS, Resources};

pub(super) struct Places<'p> {
    pub snapshot: &'p Snapshot,
    pub plan: &'p Plan<Checked>,
    target_of: HashMap<usize, Target>,
}

impl<'p> Places<'p> {
    pub fn of(snapshot: &'p Snapshot, plan: &'p Plan<Checked>) -> Self {
        let target_of = plan.assignments.iter().map(|assignment| (assignment.pod, assignment.target)).collect();
        Self { snapshot, plan, target_of }
    }

    /// Where the plan puts a pod.
    pub fn target(&self, pod: usize) -> Option<Target> {
        self.target_of.get(&pod).copied()
    }

    /// The pods that the plan puts there, ascending.
    pub fn planned(&self, target: Target) -> Vec<usize> {
        let there = self.plan.assignments.iter().filter(|assignment| assignment.target == target);
        let mut pods: Vec<usize> = there.map(|assignment| assignment.pod).collect();
        pods.sort_unstable();
        pods
    }

    pub fn type_of(&self, launch: &Launch) -> Option<&'p InstanceType> {
        let chosen = &launch.offers.first()?.instance_type;
        self.snapshot.node_pools[launch.pool].instance_types.iter().find(|kind| kind.name == *chosen)
    }

    /// A label of the node; of a launch as it will have it if its first offer is bought.
    pub fn label(&self, target: Target, key: &str) -> Option<&'p str> {
        let launch = match target {
            Target::Existing(node) => return self.snapshot.nodes[node].label(key),
            Target::Launch(launch) => &self.plan.launches[launch],
        };
        match key {
            labels::HOSTNAME => return Some(&launch.name),
            labels::CAPACITY_TYPE => return Some(launch.capacity_type.label()),
            labels::ZONE => return launch.offers.first().map(|offer| &*offer.zone),
            _ => {}
        }
        let of_type = || self.type_of(launch)?.requirements.get(key)?.single_value().map(|value| &**value);
        launch.labels.get(key).map(|value| &**value).or_else(of_type)
    }

    /// Pods by domain of a key that the selector matches in these namespaces; every domain that a node has is listed.
    /// `terminating`: those count as well, as they do for affinity and anti-affinity.
    pub fn by_domain(
        &self,
        key: &str,
        selector: &LabelSelector,
        in_namespace: &dyn Fn(&Arc<str>) -> bool,
        terminating: bool,
    ) -> BTreeMap<&'p str, Vec<usize>> {
        let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let nodes = (0..self.snapshot.nodes.len()).map(Target::Existing);
        let launches = (0..self.plan.launches.len()).map(Target::Launch);
        for domain in nodes.chain(launches).filter_map(|target| self.label(target, key)) {
            found.entry(domain).or_default();
        }
        let by_name: HashMap<&str, usize> =
            self.snapshot.nodes.iter().enumerate().map(|(index, node)| (&*node.name, index)).collect();
        for (index, pod) in self.snapshot.pods.iter().enumerate() {
            let counts = terminating || !pod.terminating;
            if !counts || !in_namespace(&pod.key.namespace) || !selector.matches(&pod.template.labels) {
                continue;
            }
            let bound = || Some(Target::Existing(*by_name.get(pod.node.as_deref()?)?));
            let at = self.target(index).or_else(|| if pod.displaced { None } else { bound() });
            if let Some(domain) = at.and_then(|target| self.label(target, key)) {
                found.entry(domain).or_default().push(index);
            }
        }
        found
    }

    /// Labels of a namespace, its name among them.
    pub fn namespace(&self, name: &Arc<str>) -> Labels {
        let mut of = self.snapshot.namespaces.get(name).cloned().unwrap_or_default();
        of.entry(Arc::from("kubernetes.io/metadata.name")).or_insert_with(|| name.clone());
        of
    }

    pub fn node(&self, target: Target) -> NodeFacts {
        match target {
            Target::Existing(index) => {
                let node = &self.snapshot.nodes[index];
                let label = |key: &str| node.labels.get(key).cloned();
                NodeFacts {
                    name: node.name.clone(),
                    is_new: false,
                    nodepool: node.pool.clone(),
                    instance_type: label(labels::INSTANCE_TYPE),
                    capacity_type: node.label(labels::CAPACITY_TYPE).and_then(CapacityType::parse),
                    zones: label(labels::ZONE).into_iter().collect(),
                    price_usd_hour: node.price.map(crate::units::MicroUsd::as_usd),
                }
            }
            Target::Launch(index) => {
                let launch = &self.plan.launches[index];
                let chosen = launch.offers.first().map(|offer| &offer.instance_type);
                let of_chosen = launch.offers.iter().filter(|offer| Some(&offer.instance_type) == chosen);
                NodeFacts {
                    name: launch.name.clone(),
                    is_new: true,
                    nodepool: Some(self.snapshot.node_pools[launch.pool].name.clone()),
                    instance_type: chosen.cloned(),
                    capacity_type: Some(launch.capacity_type),
                    zones: of_chosen.map(|offer| offer.zone.clone()).collect(),
                    price_usd_hour: Some(launch.price().as_usd()),
                }
            }
        }
    }

    /// What the node has of everything that its planned pods request.
    pub fn room(&self, problem: &Problem, target: Target, requests: Option<&Resources>) -> Vec<Room> {
        let mut planned = Resources::new();
        for pod in self.planned(target) {
            planned.add(&self.snapshot.pods[pod].template.spec.requests);
        }
        let (allocatable, free) = match target {
            Target::Existing(index) => {
                let node = problem.nodes.iter().find(|node| node.index == index);
                let room =
                    node.map(|node| problem.dims.names().iter().cloned().zip(node.room.iter().copied()).collect());
                (self.snapshot.nodes[index].allocatable.clone(), room.unwrap_or_else(Resources::new))
            }
            Target::Launch(index) => {
                let launch = &self.plan.launches[index];
                let allocatable = self.type_of(launch).map(|kind| kind.allocatable.clone()).unwrap_or_default();
                let of_pool = problem.pools.iter().find(|pool| pool.index == launch.pool);
                let chosen = launch.offers.first().map(|offer| &offer.instance_type);
                let kind =
                    of_pool.and_then(|pool| pool.types.iter().find(|kind| Some(&kind.instance_type.name) == chosen));
                let mut free = allocatable.clone();
                if let Some(kind) = kind {
                    free.subtract(&kind.daemon_overhead);
                }
                (allocatable, free)
            }
        };
        let asked = planned.iter().filter(|(name, amount)| *amount > 0 || name.as_ref() == PODS);
        let row = |(name, planned): (&Arc<str>, i64)| Room {
            resource: name.clone(),
            requests: requests.map(|requests| requests.get(name)),
            allocatable: allocatable.get(name),
            taken_before: allocatable.get(name) - free.get(name),
            planned,
            left: free.get(name) - planned,
        };
        asked.map(row).collect()
    }
}
