//! Pods that must be spread over zones, and what they are worth at least however that is done.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::reach::{demands_of, met_by_node, tolerates};
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{
    DaemonSet, Node, NodeInclusionPolicy, NodeStage, Pod, PodSpec, TopologySpreadConstraint, WhenUnsatisfiable,
};
use crate::plan::check::openable_domains;
use crate::requirements::Requirements;

/// A hard spread over zones that counts no other pods to come than those that carry it.
pub struct Spread {
    max_skew: i64,
    /// By zone: pods that are there, and whether the checker counts the zone in every plan.
    zones: Vec<(i64, bool)>,
}

/// `pod`: one of those that carry it; `others`: pending pods that are not of its kind. Zones are sorted.
pub fn of(snapshot: &Snapshot, pod: &Pod, zones: &[Arc<str>], others: &[&Pod]) -> Option<Spread> {
    let spec = &pod.template.spec;
    let constraint = spec.topology_spread.iter().find(|constraint| {
        *constraint.topology_key == *labels::ZONE
            && constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
            && constraint.selector.matches(&pod.template.labels)
    })?;
    let counts = |of: &Pod| of.key.namespace == pod.key.namespace && constraint.selector.matches(&of.template.labels);
    let openable = openable_domains(snapshot, spec, constraint);
    let counts_daemons = counts_daemons(snapshot, &pod.key.namespace, constraint);
    if openable.is_empty() || counts_daemons || others.iter().any(|other| counts(other)) {
        return None;
    }
    let mut there = vec![0_i64; zones.len()];
    for resident in snapshot.pods.iter().filter(|of| !of.displaced && !of.terminating && counts(of)) {
        let node = resident.node.as_ref().and_then(|name| snapshot.nodes.iter().find(|node| node.name == *name));
        let Some(node) = node.filter(|node| is_eligible(spec, constraint, node)) else { continue };
        let zone = node.labels.get(labels::ZONE).and_then(|zone| zones.binary_search(zone).ok());
        if let Some(zone) = zone {
            there[zone] += 1;
        }
    }
    let zones = zones.iter().zip(there).map(|(zone, there)| (there, openable.contains(zone)));
    Some(Spread { max_skew: i64::from(constraint.max_skew), zones: zones.collect() })
}

/// Whether the constraint of a pod in the namespace selects pods of daemonsets, which may still come.
pub fn counts_daemons(snapshot: &Snapshot, namespace: &Arc<str>, constraint: &TopologySpreadConstraint) -> bool {
    let is_counted =
        |daemon: &DaemonSet| daemon.key.namespace == *namespace && constraint.selector.matches(&daemon.template.labels);
    snapshot.daemon_sets.iter().any(is_counted)
}

/// Whether pods on the node count.
fn is_eligible(spec: &PodSpec, constraint: &TopologySpreadConstraint, node: &Node) -> bool {
    let labels = Requirements::from_labels(&*node.labels);
    let hard = spec.topology_spread.iter().filter(|of| of.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    let has = |key: &Arc<str>| {
        node.labels.contains_key(key) || **key == *labels::HOSTNAME && node.stage == NodeStage::InFlight
    };
    let has_keys = hard.into_iter().all(|of| has(&of.topology_key));
    let is_selected = constraint.node_affinity_policy != NodeInclusionPolicy::Honor
        || demands_of(spec).1.iter().any(|way| met_by_node(way, node, &labels));
    let is_tolerated =
        constraint.node_taints_policy != NodeInclusionPolicy::Honor || tolerates(&spec.tolerations, &node.taints);
    has_keys && is_selected && is_tolerated
}

impl Spread {
    /// What so many pods come to at least, `worth` being what one is in each zone. A zone that gets some may have at most
    /// `max_skew` more than the one that has least; every height of the latter is tried.
    pub fn least(&self, worth: &[i64], pods: i64) -> i128 {
        let mut order: Vec<usize> = (0..worth.len()).collect();
        order.sort_by_key(|&zone| worth[zone]);
        let mut best: Option<i128> = None;
        let domains = self.zones.iter().filter(|(_, is_domain)| *is_domain).count();
        let heights = pods + self.zones.iter().map(|(there, _)| there).sum::<i64>();
        for lowest in 0..=heights / i64::try_from(domains.max(1)).unwrap_or(1) {
            let mut placed: Vec<i64> = Vec::with_capacity(worth.len());
            for (there, is_domain) in &self.zones {
                placed.push(if *is_domain { (lowest - there).max(0) } else { 0 });
            }
            let mut missing = pods - placed.iter().sum::<i64>();
            if missing < 0 {
                break; // a higher one needs more
            }
            for &zone in &order {
                let room = (lowest + self.max_skew - self.zones[zone].0 - placed[zone]).max(0);
                let taken = room.min(missing);
                placed[zone] += taken;
                missing -= taken;
            }
            if missing == 0 {
                let sum = placed.iter().zip(worth).map(|(n, worth)| i128::from(*n) * i128::from(*worth)).sum();
                best = Some(best.map_or(sum, |best| best.min(sum)));
            }
        }
        best.unwrap_or_else(|| i128::from(worth.iter().copied().min().unwrap_or(0)) * i128::from(pods))
    }
}

/// Zones of nodes that exist or could be bought.
pub fn zones(snapshot: &Snapshot) -> Vec<Arc<str>> {
    let of_nodes = snapshot.nodes.iter().filter_map(|node| node.labels.get(labels::ZONE));
    let types = snapshot.node_pools.iter().flat_map(|pool| pool.instance_types.iter());
    let of_types = types.flat_map(|kind| &kind.offerings).map(|offering| &offering.zone);
    of_nodes.chain(of_types).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}
