//! A claim is what its pool and its pods make of it: labels, taints, requirements, requests.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::classes::{Classes, times};
use super::cluster::{Cluster, Slot};
use super::daemons;
use super::selection::Selection;
use super::shape::{Known, OfferShape};
use super::violation::{Report, Rule, Violation};
use crate::api::labels;
use crate::observe::snapshot::NodePool;
use crate::plan::Launch;
use crate::requirements::{Requirement, Requirements};
use crate::resources::Resources;

pub(super) fn check(cluster: &Cluster<'_>, classes: &Classes<'_>, report: &mut Report) {
    let mut by_kind: Vec<Option<OfKind>> = Vec::new();
    by_kind.resize_with(cluster.kinds, || None);
    let mut overheads: Vec<Option<Resources>> = vec![None; cluster.shapes.len()];
    for (slot, launch, pool) in cluster.launches() {
        let of_kind = by_kind[slot.kind].get_or_insert_with(|| OfKind {
            faults: faults(launch, pool),
            overhead: Overhead::of(least_overhead(cluster, slot, &mut overheads), classes),
        });
        let found = [
            slot.assigned.is_empty().then(|| (Rule::EmptyLaunch, "the launch holds no pod".to_owned())),
            wider_than_pods(launch, slot, classes).map(|text| (Rule::LaunchRequirements, text)),
            requests(slot, launch, classes, &of_kind.overhead).map(|text| (Rule::LaunchRequests, text)),
        ];
        for (rule, text) in of_kind.faults.iter().cloned().chain(found.into_iter().flatten()) {
            report.push(Violation::new(rule, text).node(&launch.name).pool(&pool.name));
        }
    }
}

/// What holds of every launch of a kind.
struct OfKind {
    faults: Vec<(Rule, String)>,
    overhead: Overhead,
}

/// The least daemon overhead over the offers, resource by resource.
struct Overhead {
    all: Resources,
    /// Of what pods request, as a vector by index.
    dense: Vec<i64>,
}

impl Overhead {
    fn of(all: Resources, classes: &Classes<'_>) -> Self {
        let dense = classes.amounts.dense(&all);
        Self { all, dense }
    }
}

fn faults(launch: &Launch, pool: &NodePool) -> Vec<(Rule, String)> {
    let found = [
        pool_state(pool).map(|text| (Rule::PoolState, text)),
        taints(launch, pool).map(|text| (Rule::LaunchTaints, text)),
        written_labels(launch, pool).map(|text| (Rule::LaunchLabels, text)),
        wider_than_pool(launch, pool).map(|text| (Rule::LaunchRequirements, text)),
    ];
    found.into_iter().flatten().collect()
}

fn pool_state(pool: &NodePool) -> Option<String> {
    match (&pool.unusable, pool.replicas) {
        (Some(why), _) => Some(format!("the pool cannot be used: {why}")),
        (None, Some(_)) => Some("a static pool receives no planned nodes".to_owned()),
        (None, None) => None,
    }
}

fn taints(launch: &Launch, pool: &NodePool) -> Option<String> {
    let same = launch.taints == pool.taints && launch.startup_taints == pool.startup_taints;
    (!same).then(|| "taints or startup taints differ from the pool's".to_owned())
}

/// A launch carries its pool's labels, and beside them only custom labels that the pool's requirements ask for, and
/// labels that every offer has anyway ([`label_of_offer`]).
fn written_labels(launch: &Launch, pool: &NodePool) -> Option<String> {
    if let Some((key, value)) = pool.labels.iter().find(|(key, value)| launch.labels.get(*key) != Some(value)) {
        return Some(format!("the pool's label {key}={value} is missing"));
    }
    launch.labels.iter().filter(|(key, _)| !pool.labels.contains_key(*key)).find_map(|(key, value)| {
        let of_cloud = labels::is_well_known(labels::normalize(key));
        let admitted = pool.requirements.get(key).is_some_and(|requirement| requirement.allows(value));
        if key.as_ref() == labels::HOSTNAME || labels::is_restricted(key) {
            Some(format!("the label {key}={value} is not for a launch to set"))
        } else if !of_cloud && !admitted {
            Some(format!("the pool does not admit the label {key}={value}"))
        } else {
            None
        }
    })
}

/// Whether what the launch writes agrees with what this offer gives: a label of the cloud is not written over, and a
/// well-known label that the offer lacks cannot be invented.
pub(super) fn label_of_offer(launch: &Launch, pool: &NodePool, offer: &OfferShape<'_>) -> Option<String> {
    launch.labels.iter().find_map(|(key, value)| {
        let given = offer.without_written(key);
        let agrees = match given {
            Known::Value(of_cloud) => of_cloud == value.as_ref(),
            Known::OneOf(values) => values.contains(value),
            Known::Absent => {
                !offer.instance_type.requirements.contains_key(key)
                    && (pool.labels.contains_key(key) || !labels::is_well_known(labels::normalize(key)))
            }
            Known::Fresh => false,
            Known::Unknown => offer.instance_type.requirements.get(key).is_none_or(|r| r.allows(value)),
        };
        (!agrees)
            .then(|| format!("{} in {} does not have {key}={value}", offer.instance_type.name, offer.offering.zone))
    })
}

/// The claim asks for nothing that its pool excludes.
fn wider_than_pool(launch: &Launch, pool: &NodePool) -> Option<String> {
    let (key, wanted) = pool.requirements.iter().find(|(key, wanted)| !within(&launch.requirements, key, wanted))?;
    Some(format!("wider than the pool's {key} {wanted}"))
}

/// The claim asks for nothing that its pods exclude.
fn wider_than_pods(launch: &Launch, slot: &Slot<'_>, classes: &Classes<'_>) -> Option<String> {
    let claim = &launch.requirements;
    let demanding = |class: &usize| !Selection::of(classes.all[*class].spec()).is_empty();
    let distinct: BTreeSet<usize> = classes.runs(&slot.assigned).map(|(class, _)| class).filter(demanding).collect();
    let mut pods = distinct.into_iter().map(|class| classes.all[class].spec());
    pods.find_map(|pod| {
        let selector =
            |(key, value): (&Arc<str>, &Arc<str>)| !within(claim, key, &Requirement::one_of([value.clone()]));
        if let Some((key, value)) = pod.node_selector.iter().find(|entry| selector(*entry)) {
            return Some(format!("wider than a pod's node selector {key}={value}"));
        }
        let term = |term: &Requirements| term.iter().all(|(key, wanted)| within(claim, key, wanted));
        let affine = pod.node_affinity.is_empty() || pod.node_affinity.iter().any(|t| term(&t.0));
        (!affine).then(|| "wider than every term of a pod's required node affinity".to_owned())
    })
}

/// Whether the claim allows for this key only what `wanted` allows. A key that the claim does not name may have any value.
fn within(claim: &Requirements, key: &str, wanted: &Requirement) -> bool {
    let Some(asked) = claim.get(key) else {
        // the hostname is the launch's own and never part of a claim; a pod may still exclude others
        return labels::normalize(key) == labels::HOSTNAME;
    };
    let mut both = asked.intersection(wanted);
    both.min_values = asked.min_values;
    both == *asked
}

fn least_overhead(cluster: &Cluster<'_>, slot: &Slot<'_>, overheads: &mut [Option<Resources>]) -> Resources {
    let mut least: Option<Resources> = None;
    for &shape in slot.shapes.iter() {
        let overhead = overheads[shape].get_or_insert_with(|| {
            let sets = &cluster.snapshot.daemon_sets;
            daemons::overhead(daemons::on_shape(sets, &cluster.shapes[shape], slot.taints))
        });
        least = Some(match least {
            None => overhead.clone(),
            Some(least) => least.iter().map(|(name, a)| (name.clone(), a.min(overhead.get(name)))).collect(),
        });
    }
    least.unwrap_or_default()
}

/// At least the pods' requests and what the daemon pods take of every offer.
fn requests(slot: &Slot<'_>, launch: &Launch, classes: &Classes<'_>, overhead: &Overhead) -> Option<String> {
    let mut needed = vec![0_i64; classes.amounts.names.len()];
    for (class, equal) in classes.runs(&slot.assigned) {
        for &(resource, amount) in &classes.all[class].requests {
            needed[resource] = needed[resource].saturating_add(times(amount, equal));
        }
    }
    let asked = classes.amounts.dense(&launch.requests);
    let enough = (0..asked.len()).all(|r| needed[r].saturating_add(overhead.dense[r]) <= asked[r]);
    if enough && overhead.all.first_excess(&launch.requests).is_none() {
        return None;
    }
    let mut total: Resources = classes.amounts.names.iter().cloned().zip(needed).collect();
    total.add(&overhead.all);
    let short = total.first_excess(&launch.requests)?;
    Some(format!("asks for {} {}, its pods and daemon pods need {}", short.2, short.0, short.1))
}
