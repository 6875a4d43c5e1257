//! Volumes: where each can be used, how many a node attaches, and `ReadWriteOncePod`.
//!
//! Source: kube-scheduler's VolumeBinding (topology), NodeVolumeLimits (distinct volumes of each CSI driver; a pod that
//! brings no new volume passes) and VolumeRestrictions (one pod of the cluster for a `ReadWriteOncePod` claim).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::classes::Classes;
use super::cluster::Cluster;
use super::selection::term_holds;
use super::shape::Shape;
use super::violation::{Report, Rule, Violation};
use crate::observe::snapshot::{NodeAffinityTerm, PodSpec, Volume};

/// The first volume that a node of this shape cannot use, if there is one. A term without expressions selects nothing.
pub(super) fn unreachable<'p>(spec: &'p PodSpec, shape: &Shape<'_>) -> Option<&'p Volume> {
    let reachable = |volume: &&Volume| {
        let holds = |term: &NodeAffinityTerm| !term.0.is_empty() && term_holds(term, &|key: &str| shape.label(key));
        volume.topology.is_empty() || volume.topology.iter().any(holds)
    };
    spec.volumes.iter().find(|volume| !reachable(volume))
}

/// Attach limits of existing nodes: a node to be has none that are known.
pub(super) fn check_limits(cluster: &Cluster<'_>, report: &mut Report) {
    let pods = &cluster.snapshot.pods;
    for (slot, node) in cluster.slots.iter().zip(&cluster.snapshot.nodes) {
        if slot.assigned.is_empty() || node.attach_limits.is_empty() {
            continue;
        }
        let mut attached = Attached::default();
        for &pod in &slot.residents {
            attached.add(&pods[pod].template.spec);
        }
        for &pod in &slot.assigned {
            for driver in attached.add(&pods[pod].template.spec) {
                let (count, limit) = (attached.0[driver].len(), node.attach_limits.get(driver));
                if let Some(limit) = limit.filter(|limit| count > usize::try_from(**limit).unwrap_or(usize::MAX)) {
                    let text = format!("{count} volumes of {driver} on a node that attaches {limit}");
                    report.push(Violation::new(Rule::VolumeLimits, text).pod(&pods[pod].key).node(&node.name));
                }
            }
        }
    }
}

/// The volumes that a node attaches, by driver.
#[derive(Default)]
struct Attached<'a>(BTreeMap<&'a Arc<str>, BTreeSet<&'a Arc<str>>>);

impl<'a> Attached<'a> {
    /// Attaches a pod's volumes; the drivers that get a new one.
    fn add(&mut self, spec: &'a PodSpec) -> BTreeSet<&'a Arc<str>> {
        let attachable = spec.volumes.iter().filter_map(|volume| Some((volume.driver.as_ref()?, &volume.claim)));
        attachable
            .filter(|(driver, claim)| self.0.entry(driver).or_default().insert(claim))
            .map(|(driver, _)| driver)
            .collect()
    }
}

/// A `ReadWriteOncePod` claim has one user among bound pods, terminating ones too, and placed pods.
pub(super) fn check_single_pod(cluster: &Cluster<'_>, classes: &Classes<'_>, report: &mut Report) {
    if !classes.all.iter().any(|class| class.spec().volumes.iter().any(|volume| volume.single_pod)) {
        return;
    }
    let pods = &cluster.snapshot.pods;
    let mut users: HashMap<&Arc<str>, usize> = HashMap::new();
    let bound = (0..pods.len()).filter(|&pod| pods[pod].node.is_some() && !pods[pod].displaced);
    let placed = cluster.plan.assignments.iter().map(|a| a.pod);
    for (pod, is_new) in bound.map(|pod| (pod, false)).chain(placed.map(|pod| (pod, true))) {
        for volume in &pods[pod].template.spec.volumes {
            if let Some(&first) = users.get(&volume.claim)
                && first != pod
                && is_new
                && (volume.single_pod || single_for(&pods[first].template.spec, &volume.claim))
            {
                let text = format!("the volume {} is for one pod, and {} uses it", volume.claim, pods[first].key);
                report.push(Violation::new(Rule::ReadWriteOncePod, text).pod(&pods[pod].key));
            }
            users.entry(&volume.claim).or_insert(pod);
        }
    }
}

fn single_for(spec: &PodSpec, claim: &Arc<str>) -> bool {
    spec.volumes.iter().any(|volume| volume.single_pod && volume.claim == *claim)
}
