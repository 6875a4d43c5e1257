//! Which rules of a placed pod bear on where it went, and what they came to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::edit::shown_taint;
use super::facts::{GivenUp, Rule};
use super::places::Places;
use crate::catalog::Offering;
use crate::model::{PoolModel, Problem, TypeModel, affinity_alternatives, rules as taint_rules};
use crate::observe::snapshot::{PodAffinityTerm, PodSpec, TaintEffect, WhenUnsatisfiable};
use crate::plan::Target;
use crate::plan::preferences::{Preference, given_up};
use crate::requirements::{Requirement, Requirements, Undefined};

/// Pods that are named beside a term.
const MOST_NAMES: usize = 3;

/// The rules of a pod that the plan puts there.
pub(super) fn decided_by(problem: &Problem, places: &Places, pod: usize, target: Target) -> Vec<Rule> {
    let of = &problem.snapshot.pods[pod];
    let spec = &of.template.spec;
    let offerings = sold(problem, &[&Requirements::new()]);
    let rule = |rule, states: String, outcome: String, offerings_left| Rule {
        rule,
        states,
        outcome,
        offerings_left,
        offerings,
    };
    let mut found = Vec::new();
    let has = |key: &str| {
        places
            .label(target, key)
            .map_or_else(|| format!("the node has no {key}"), |value| format!("the node has {value}"))
    };
    for (key, value) in &spec.node_selector {
        let wanted = Requirements::from_labels([(key, value)]);
        found.push(rule("node-selector", format!("{key}={value}"), has(key), Some(sold(problem, &[&wanted]))));
    }
    for (term, all) in spec.node_affinity.iter().zip(affinity_alternatives(spec)) {
        let holds = all.satisfied_by(|key| places.label(target, key));
        let outcome = if holds { "holds" } else { "another term holds" };
        found.push(rule("node-affinity", term.0.to_string(), outcome.to_owned(), Some(sold(problem, &[&term.0]))));
    }
    found.extend(tolerations(problem, places, spec, target, offerings));
    for constraint in &spec.topology_spread {
        let key = &constraint.topology_key;
        let Some(domain) = places.label(target, key) else { continue };
        let counts = places.by_domain(key, &constraint.selector, &|namespace| *namespace == of.key.namespace, false);
        let when = match constraint.when_unsatisfiable {
            WhenUnsatisfiable::DoNotSchedule => "DoNotSchedule",
            WhenUnsatisfiable::ScheduleAnyway => "ScheduleAnyway",
        };
        let states = format!("over {key}, maxSkew {}, {when}", constraint.max_skew);
        found.push(rule(
            "spread",
            states,
            format!("{domain}; pods there once all are bound: {}", listed(&counts)),
            None,
        ));
    }
    let terms = spec.pod_affinity.iter().map(|term| ("pod-affinity", term));
    for (name, term) in terms.chain(spec.pod_anti_affinity.iter().map(|term| ("pod-anti-affinity", term))) {
        let outcome = company(places, term, pod, target);
        found.push(rule(name, format!("over {}", term.topology_key), outcome, None));
    }
    for port in &spec.host_ports {
        let states = format!("{}/{}", port.port, port.protocol);
        found.push(rule("host-port", states, "free on the node; one such pod a node".to_owned(), None));
    }
    for volume in spec.volumes.iter().filter(|volume| !volume.topology.is_empty()) {
        let reach: Vec<String> = volume.topology.iter().map(|term| term.0.to_string()).collect();
        let left = sold(problem, &volume.topology.iter().map(|term| &term.0).collect::<Vec<_>>());
        found.push(rule(
            "volume",
            volume.claim.to_string(),
            format!("can be used where {}", reach.join(" or ")),
            Some(left),
        ));
    }
    found
}

/// Taints that it tolerates where it goes, and pools that keep it out.
fn tolerations(problem: &Problem, places: &Places, spec: &PodSpec, target: Target, offerings: usize) -> Vec<Rule> {
    let taints = match target {
        Target::Existing(node) => &problem.snapshot.nodes[node].taints,
        Target::Launch(launch) => &places.plan.launches[launch].taints,
    };
    let hard = taints.iter().filter(|taint| taint.effect != TaintEffect::PreferNoSchedule);
    let tolerated = hard.map(|taint| Rule {
        rule: "toleration",
        states: shown_taint(taint),
        outcome: "the pod tolerates this taint of the node".to_owned(),
        offerings_left: None,
        offerings,
    });
    let mut found: Vec<Rule> = tolerated.collect();
    for pool in &problem.pools {
        if let Some(taint) = taint_rules::keep_out(&spec.tolerations, &pool.pool.taints) {
            found.push(Rule {
                rule: "toleration",
                states: format!("none for {}", shown_taint(taint)),
                outcome: format!("keeps it out of NodePool {}", pool.pool.name),
                offerings_left: Some(offerings - pool.types.iter().map(|kind| kind.offerings.len()).sum::<usize>()),
                offerings,
            });
        }
    }
    found
}

/// How many offerings of the pools meet one of these requirements.
fn sold(problem: &Problem, ways: &[&Requirements]) -> usize {
    let of_pool = |pool: &PoolModel| {
        let sells = |wanted: &Requirements, kind: &TypeModel, offering: &Offering| {
            let mut node = pool.requirements.clone();
            node.add_all(&kind.instance_type.requirements);
            node.compatible(wanted, Undefined::AllowWellKnown).is_ok()
                && kind.sells(offering, wanted, &pool.labels_to_be_had(wanted))
        };
        let all = pool.types.iter().flat_map(|kind| kind.offerings.iter().map(move |offering| (kind, offering)));
        all.filter(|(kind, offering)| ways.iter().any(|wanted| sells(wanted, kind, offering))).count()
    };
    problem.pools.iter().map(of_pool).sum()
}

fn listed(counts: &BTreeMap<&str, Vec<usize>>) -> String {
    const MOST: usize = 8;
    let mut shown: Vec<String> =
        counts.iter().take(MOST).map(|(domain, pods)| format!("{domain} {}", pods.len())).collect();
    if counts.len() > MOST {
        shown.push(format!("{} more", counts.len() - MOST));
    }
    shown.join(", ")
}

/// The pods that a term matches in the domain of the node.
fn company(places: &Places, term: &PodAffinityTerm, pod: usize, target: Target) -> String {
    let key = &term.topology_key;
    let Some(domain) = places.label(target, key) else { return format!("the node has no {key}") };
    let selected = |namespace: &Arc<str>| {
        term.namespaces.contains(namespace)
            || term.namespace_selector.as_ref().is_some_and(|selector| selector.matches(&places.namespace(namespace)))
    };
    let counts = places.by_domain(key, &term.selector, &selected, true);
    let others: Vec<usize> = counts.get(domain).into_iter().flatten().copied().filter(|other| *other != pod).collect();
    let names: Vec<String> =
        others.iter().take(MOST_NAMES).map(|other| places.snapshot.pods[*other].key.to_string()).collect();
    match others.len() {
        0 => format!("{domain} has no other pod that it selects"),
        count if count > MOST_NAMES => format!("{domain} has {} and {} more", names.join(", "), count - MOST_NAMES),
        _ => format!("{domain} has {}", names.join(", ")),
    }
}

/// The preferences that the pod does not get, in the words of its manifest.
pub(super) fn preferences(places: &Places, pod: usize, target: Target) -> Vec<GivenUp> {
    let spec = &places.snapshot.pods[pod].template.spec;
    let text = |preference| match preference {
        Preference::NodeAffinity(i) => format!("node affinity {}", spec.preferred_node_affinity[i].1.0),
        Preference::PodAffinity(i) => format!("pod affinity over {}", spec.preferred_pod_affinity[i].1.topology_key),
        Preference::PodAntiAffinity(i) => {
            format!("pod anti-affinity over {}", spec.preferred_pod_anti_affinity[i].1.topology_key)
        }
        Preference::Spread(i) => format!("spread over {}", spec.topology_spread[i].topology_key),
        Preference::Taint(i) => {
            let taints = match target {
                Target::Existing(node) => &places.snapshot.nodes[node].taints,
                Target::Launch(launch) => &places.plan.launches[launch].taints,
            };
            format!("a node without {}", shown_taint(&taints[i]))
        }
    };
    let found = given_up(places.snapshot, places.plan, pod);
    found.into_iter().map(|(weight, preference)| GivenUp { weight, preference: text(preference) }).collect()
}

/// The keys of the node affinity whose values a node must have, by term.
pub(super) fn affinity_keys(spec: &PodSpec) -> Vec<(Arc<str>, Requirement)> {
    let mut keys: BTreeMap<Arc<str>, Requirement> = BTreeMap::new();
    for (key, requirement) in spec.node_affinity.iter().flat_map(|term| &term.0) {
        keys.entry(key.clone()).or_insert_with(|| requirement.clone());
    }
    keys.into_iter().collect()
}
