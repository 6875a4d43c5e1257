//! What a node-group autoscaler would pay: groups of one fixed type, the one that wastes least is scaled up.
//!
//! Source: the `least-waste` expander of the Kubernetes cluster autoscaler: of the groups that could take pending pods, the
//! one that would idle the least cpu and memory, as the mean of both parts, after a scale-up for all pods that it can take.
//! One group for each pool and the on-demand types of the newest generation, `large` to `8xlarge`, that its requirements
//! allow. Only resources, taints, node selectors and required node affinity are looked at; nodes that exist, topology,
//! volumes and limits are not, which favours the autoscaler.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::catalog::CapacityType;
use crate::model::{Amounts, Problem, SoftTaints, TypeModel, admits, affinity_alternatives};
use crate::observe::Snapshot;
use crate::requirements::Undefined;

const SIZES: [&str; 5] = ["large", "xlarge", "2xlarge", "4xlarge", "8xlarge"];

/// Dollars an hour for all pods that some group can take; `None` where no group can be made, or a pod is left.
#[must_use]
pub fn cost(snapshot: &Snapshot) -> Option<f64> {
    let problem = Problem::new(snapshot);
    let groups = node_groups(&problem);
    let mut left: Vec<usize> = problem.groups.iter().map(|group| group.pods.len()).collect();
    let takes = takes(&problem, &groups);
    let mut total = 0.0;
    while left.iter().any(|&left| left > 0) {
        let options = (0..groups.len()).filter_map(|group| {
            let scaled = scale_up(&problem, &groups[group], &takes[group], &left)?;
            Some((group, scaled))
        });
        let (group, scaled) = options.min_by(|(a, x), (b, y)| x.order(y).then(a.cmp(b)))?;
        total += groups[group].price * f64::from(scaled.nodes);
        left = scaled.left;
    }
    Some(total)
}

struct NodeGroup<'p> {
    pool: usize,
    kind: &'p TypeModel<'p>,
    price: f64,
}

fn node_groups<'p>(problem: &'p Problem) -> Vec<NodeGroup<'p>> {
    let mut groups = Vec::new();
    for (pool, model) in problem.pools.iter().enumerate() {
        // the newest generation of each category and size
        let mut newest: HashMap<(String, &str), (i64, NodeGroup)> = HashMap::new();
        for kind in &model.types {
            let name = &kind.instance_type.name;
            let Some((family, size)) = name.split_once('.') else { continue };
            let on_demand = kind.offerings.iter().filter(|o| o.capacity_type == CapacityType::OnDemand);
            let Some(price) = on_demand.map(|o| o.price.as_usd()).min_by(f64::total_cmp) else { continue };
            let Some(size) = SIZES.into_iter().find(|of| *of == size) else { continue };
            let category: String = family.chars().take_while(char::is_ascii_alphabetic).collect();
            let generation: i64 = family
                .chars()
                .skip_while(char::is_ascii_alphabetic)
                .take_while(char::is_ascii_digit)
                .fold(0, |n, c| n * 10 + i64::from(c.to_digit(10).unwrap_or(0)));
            let plain = family.chars().skip_while(char::is_ascii_alphabetic).count() <= 2;
            let entry = (generation * 2 + i64::from(plain), NodeGroup { pool, kind, price });
            match newest.entry((category, size)) {
                std::collections::hash_map::Entry::Occupied(mut known) if known.get().0 < entry.0 => {
                    known.insert(entry);
                }
                std::collections::hash_map::Entry::Occupied(_) => {}
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(entry);
                }
            }
        }
        let mut of_pool: Vec<NodeGroup> = newest.into_values().map(|(_, group)| group).collect();
        of_pool.sort_by(|a, b| a.kind.instance_type.name.cmp(&b.kind.instance_type.name));
        groups.extend(of_pool);
    }
    groups
}

/// By node group, which pod groups it may take.
fn takes(problem: &Problem, groups: &[NodeGroup]) -> Vec<Vec<bool>> {
    let may_take = |node_group: &NodeGroup, pods: usize| {
        let (model, spec) = (&problem.pools[node_group.pool], problem.groups[pods].spec());
        admits(spec, &model.pool.taints, SoftTaints::Ignore)
            && affinity_alternatives(spec).iter().any(|wanted| {
                model.requirements.compatible(wanted, Undefined::AllowWellKnown).is_ok()
                    && wanted.intersects(&node_group.kind.instance_type.requirements).is_ok()
                    && node_group.kind.offerings.iter().any(|offering| offering.satisfies(wanted))
            })
    };
    groups.iter().map(|group| (0..problem.groups.len()).map(|pods| may_take(group, pods)).collect()).collect()
}

struct ScaledUp {
    nodes: u32,
    /// Mean of the idle parts of cpu and memory.
    waste: f64,
    left: Vec<usize>,
}

impl ScaledUp {
    fn order(&self, other: &Self) -> Ordering {
        self.waste.total_cmp(&other.waste)
    }
}

/// First fit of all pods that the group can take, the largest first; `None` where it takes none.
#[allow(clippy::cast_precision_loss)] // parts of capacities
fn scale_up(problem: &Problem, group: &NodeGroup, takes: &[bool], left: &[usize]) -> Option<ScaledUp> {
    let mut order: Vec<usize> = (0..left.len()).filter(|&pods| takes[pods] && left[pods] > 0).collect();
    order.sort_by_key(|&pods| (problem.groups[pods].queue_key(), pods));
    let mut left = left.to_vec();
    let mut nodes: Vec<Amounts> = Vec::new();
    let fits = |room: &Amounts, wanted: &Amounts| room.iter().zip(wanted).all(|(room, want)| want <= room);
    for pods in order {
        let wanted = &problem.groups[pods].amounts;
        if !fits(&group.kind.room, wanted) {
            continue;
        }
        let mut from = 0; // equal pods: a node that is full for one is full for the next
        while left[pods] > 0 {
            let node = (from..nodes.len()).find(|&node| fits(&nodes[node], wanted)).unwrap_or(nodes.len());
            if node == nodes.len() {
                nodes.push(group.kind.room.clone());
            }
            nodes[node].iter_mut().zip(wanted).for_each(|(room, want)| *room -= want);
            left[pods] -= 1;
            from = node;
        }
    }
    if nodes.is_empty() {
        return None;
    }
    let idle = |dim: usize| {
        let free: i64 = nodes.iter().map(|room| room[dim]).sum();
        free as f64 / (group.kind.room[dim].max(1) as f64 * nodes.len() as f64)
    };
    let waste = f64::midpoint(idle(crate::model::Dims::CPU), idle(crate::model::Dims::MEMORY));
    Some(ScaledUp { nodes: u32::try_from(nodes.len()).ok()?, waste, left })
}
