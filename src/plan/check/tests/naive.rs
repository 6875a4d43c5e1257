//! The pod rules once more, pod by pod and pair by pair, for launches in one zone: slow, short, and written apart.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Rule;
use super::world::{Bought, TYPES};
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::*;
use crate::plan::Target;
use crate::resources::CPU;

pub struct Place {
    labels: BTreeMap<String, String>,
    tainted: bool,
    cpu: i64,
    pods: Vec<usize>,
}

/// Existing nodes with their bound pods, then launches.
pub fn places(snapshot: &Snapshot, bought: &[Bought<'_>]) -> Vec<Place> {
    let mut places = Vec::new();
    for node in &snapshot.nodes {
        let bound = (0..snapshot.pods.len()).filter(|&p| snapshot.pods[p].node.as_ref() == Some(&node.name));
        places.push(Place {
            labels: node.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            tainted: !node.taints.is_empty(),
            cpu: node.allocatable.get(CPU),
            pods: bound.collect(),
        });
    }
    for (i, (pool, types, zones)) in bought.iter().enumerate() {
        let least = TYPES.iter().filter(|t| types.contains(&t.0)).map(|t| t.1).min().unwrap();
        places.push(Place {
            labels: [(labels::HOSTNAME, format!("new-{i}")), (labels::ZONE, zones[0].to_owned())]
                .map(|(k, v)| (k.to_owned(), v))
                .into(),
            tainted: !snapshot.node_pools[*pool].taints.is_empty(),
            cpu: least,
            pods: vec![],
        });
    }
    places
}

pub fn index(snapshot: &Snapshot, target: Target) -> usize {
    match target {
        Target::Existing(node) => node,
        Target::Launch(launch) => snapshot.nodes.len() + launch,
    }
}

fn tolerates(spec: &PodSpec) -> bool {
    spec.tolerations.iter().any(|t| &*t.key == "dedicated")
}

fn selects(spec: &PodSpec, place: &Place) -> bool {
    spec.node_selector.iter().all(|(k, v)| place.labels.get(&**k).map(String::as_str) == Some(&**v))
}

/// Binds the pod; the rules that this breaks.
pub fn bind(snapshot: &Snapshot, places: &mut [Place], pod: usize, at: usize) -> BTreeSet<Rule> {
    let broken = broken(snapshot, places, pod, at);
    places[at].pods.push(pod);
    broken
}

pub fn broken(snapshot: &Snapshot, places: &[Place], pod: usize, at: usize) -> BTreeSet<Rule> {
    let template = |p: usize| &*snapshot.pods[p].template;
    let (own, place) = (template(pod), &places[at]);
    let spec = &own.spec;
    let mut broken = BTreeSet::new();
    let mut unless = |holds: bool, rule: Rule| {
        if !holds {
            broken.insert(rule);
        }
    };
    let used: i64 = place.pods.iter().map(|&p| template(p).spec.requests.get(CPU)).sum();
    unless(used + spec.requests.get(CPU) <= place.cpu && place.pods.len() < 10, Rule::Resources);
    unless(!place.tainted || tolerates(spec), Rule::Taints);
    unless(selects(spec, place), Rule::NodeAffinity);
    let clash = |p: usize| template(p).spec.host_ports.iter().any(|a| spec.host_ports.iter().any(|b| a.port == b.port));
    unless(!place.pods.iter().any(|&p| clash(p)), Rule::HostPorts);

    let same =
        |other: &Place, key: &str| other.labels.contains_key(key) && other.labels.get(key) == place.labels.get(key);
    let pairs = || places.iter().flat_map(|other| other.pods.iter().map(move |&p| (other, p)));
    for term in &spec.pod_anti_affinity {
        let near = pairs().any(|(o, p)| same(o, &term.topology_key) && term.selector.matches(&template(p).labels));
        unless(!near, Rule::PodAntiAffinity);
    }
    for (other, p) in pairs() {
        for term in &template(p).spec.pod_anti_affinity {
            let near = same(other, &term.topology_key) && term.selector.matches(&own.labels);
            unless(!near, Rule::PodAntiAffinity);
        }
    }
    for term in &spec.pod_affinity {
        let near = pairs().any(|(o, p)| same(o, &term.topology_key) && term.selector.matches(&template(p).labels));
        let first =
            !pairs().any(|(_, p)| term.selector.matches(&template(p).labels)) && term.selector.matches(&own.labels);
        unless(near || first, Rule::PodAffinity);
    }
    for constraint in &spec.topology_spread {
        let honor = constraint.node_taints_policy == NodeInclusionPolicy::Honor;
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for other in places.iter().filter(|o| selects(spec, o) && (!honor || !o.tainted || tolerates(spec))) {
            if let Some(value) = other.labels.get(&*constraint.topology_key) {
                let matching = other.pods.iter().filter(|&&p| constraint.selector.matches(&template(p).labels)).count();
                *counts.entry(value).or_default() += u32::try_from(matching).unwrap();
            }
        }
        let mut least = counts.values().min().copied().unwrap_or(0);
        if counts.len() < constraint.min_domains.unwrap_or(1) as usize {
            least = 0;
        }
        let here = counts.get(place.labels[&*constraint.topology_key].as_str()).copied().unwrap_or(0);
        let own_count = u32::from(constraint.selector.matches(&own.labels));
        unless((here + own_count).saturating_sub(least) <= constraint.max_skew, Rule::TopologySpread);
    }
    broken
}
