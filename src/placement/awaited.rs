//! For whom nodes are kept: the planned pods of each claim, and new ones that take the places of those to come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::observed::{ClaimState, NodeState, Observed, PodState, Unchangeable};
use super::planned::{ExpectedPods, taint_value};
use super::reservation::Reservation;
use super::tolerations::{MOST, count, has, is_ours};

/// The pods of one claim that are not bound yet.
#[derive(Debug, Default)]
pub(super) struct Awaited<'a> {
    /// What taint and tolerations call the claim.
    pub value: String,
    /// Planned by name.
    pub planned: Vec<&'a PodState>,
    /// They have no toleration yet, and may get it.
    pub to_tolerate: Vec<&'a PodState>,
    /// They have it.
    pub tolerating: Vec<&'a PodState>,
    /// Nothing can be done for them.
    pub lost: Vec<(&'a PodState, Unchangeable)>,
    /// How many do not exist yet.
    pub to_come: usize,
    /// Those that take the places of others.
    pub newcomers: Vec<&'a PodState>,
    /// Those whose places are still to be taken, on the nodes that they leave.
    pub leaving: Vec<&'a PodState>,
}

impl<'a> Awaited<'a> {
    /// Whether somebody is left to keep a node for.
    pub fn is_any(&self) -> bool {
        !self.to_tolerate.is_empty() || !self.tolerating.is_empty() || self.to_come > 0
    }

    fn add(&mut self, pod: &'a PodState) {
        if pod.node.is_some() {
            return;
        }
        if has(&pod.tolerations, &self.value) {
            self.tolerating.push(pod);
        } else if let Some(why) = &pod.unchangeable {
            self.lost.push((pod, why.clone()));
        } else if count(&pod.tolerations) >= MOST {
            self.lost.push((pod, Unchangeable::Full));
        } else {
            self.to_tolerate.push(pod);
        }
    }
}

/// The pods of every claim. A pod that one claim plans takes no place of those that another expects.
pub(super) fn awaited(observed: &Observed) -> BTreeMap<Arc<str>, Awaited<'_>> {
    let planned = observed.claims.values().flat_map(|claim| &claim.plan.pods);
    let mut taken: BTreeSet<&Arc<str>> = planned.map(|pod| &pod.uid).collect();
    let values: BTreeSet<String> = observed.claims.keys().map(|claim| taint_value(claim)).collect();
    let mut left: BTreeSet<&Arc<str>> = BTreeSet::new();
    let mut all = BTreeMap::new();
    for (name, claim) in by_opening(observed) {
        let mut awaited = Awaited { value: taint_value(name), ..Awaited::default() };
        for pod in claim.plan.pods.iter().filter_map(|pod| observed.pods.get(&pod.uid)) {
            if pod.node.is_none() {
                awaited.planned.push(pod);
            }
            awaited.add(pod);
        }
        for expected in &claim.plan.expected {
            let (places, newcomers) = places(observed, expected, &awaited.value, &mut taken, &values);
            awaited.to_come += places;
            let leaves = |pod: &&PodState| pod.node.as_ref().is_some_and(|node| claim.draining.contains(node));
            let leaving = alike(observed, expected).filter(leaves).filter(|pod| !left.contains(&pod.version.uid));
            let leaving: Vec<&PodState> = leaving.take(places).collect();
            left.extend(leaving.iter().map(|pod| &pod.version.uid));
            awaited.leaving.extend(leaving);
            for pod in newcomers {
                if pod.node.is_none() {
                    awaited.newcomers.push(pod);
                }
                awaited.add(pod);
            }
        }
        all.insert(name.clone(), awaited);
    }
    all
}

/// Claims in the order in which new pods take their places: those first whose node lets them in, the one that has waited longest before
/// the others. By their names alone one might be passed over for as long as others of the same pods come.
fn by_opening(observed: &Observed) -> Vec<(&Arc<str>, &ClaimState)> {
    let opened = |node: &NodeState| match node.reservation {
        Reservation::Reserved { since, .. } => (0, since),
        Reservation::Cordoned { since } => (1, since),
        _ => (2, None),
    };
    let nodes: BTreeMap<&Arc<str>, _> =
        observed.nodes.iter().filter_map(|node| Some((node.claim.as_ref()?, opened(node)))).collect();
    let mut claims: Vec<_> = observed.claims.iter().collect();
    claims.sort_by_key(|(name, _)| nodes.get(name).copied().unwrap_or((2, None))); // stable: then by name
    claims
}

/// How many places are left after the pods that have them or get them now, and those pods.
fn places<'a>(
    observed: &'a Observed,
    expected: &'a ExpectedPods,
    value: &str,
    taken: &mut BTreeSet<&'a Arc<str>>,
    values: &BTreeSet<String>,
) -> (usize, Vec<&'a PodState>) {
    let (mut found, others): (Vec<&PodState>, Vec<&PodState>) = alike(observed, expected)
        .filter(|pod| !taken.contains(&pod.version.uid))
        .partition(|pod| has(&pod.tolerations, value));
    let is_promised = |pod: &&PodState| {
        let ours = pod.tolerations.iter().filter(|toleration| is_ours(toleration));
        ours.into_iter().any(|toleration| toleration.value.as_ref().is_some_and(|value| values.contains(value)))
    };
    let mut free: Vec<&PodState> = others.into_iter().filter(|pod| pod.node.is_none() && !is_promised(pod)).collect();
    free.sort_by_key(|pod| (pod.created_at, &pod.key));
    let places = expected.count.saturating_sub(found.len());
    found.extend(free.into_iter().take(places));
    taken.extend(found.iter().map(|pod| &pod.version.uid));
    (expected.count.saturating_sub(found.len()), found)
}

fn alike<'a>(observed: &'a Observed, expected: &'a ExpectedPods) -> impl Iterator<Item = &'a PodState> {
    observed.pods.values().map(AsRef::as_ref).filter(move |pod: &&PodState| {
        let likeness = pod.likeness.as_ref();
        pod.key.namespace == expected.namespace
            && likeness.is_some_and(|(owner, signature)| *owner == expected.owner && *signature == expected.signature)
    })
}

/// Who comes to the node of a claim from nodes that are drained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Successors {
    /// Pods that have been made for others and are not bound yet, by uid.
    pub newcomers: Vec<Arc<str>>,
    /// Pods that are still where they have to leave, by uid.
    pub leaving: Vec<Arc<str>>,
    /// How many are neither: those whose places they take are gone, and they do not exist yet.
    pub to_come: usize,
}

/// Of every claim that expects some, by name.
#[must_use]
pub fn successors(observed: &Observed) -> BTreeMap<Arc<str>, Successors> {
    if observed.claims.values().all(|claim| claim.plan.expected.is_empty()) {
        return BTreeMap::new();
    }
    let uids = |pods: &[&PodState]| pods.iter().map(|pod| pod.version.uid.clone()).collect();
    let of = |awaited: Awaited<'_>| Successors {
        newcomers: uids(&awaited.newcomers),
        leaving: uids(&awaited.leaving),
        to_come: awaited.to_come - awaited.leaving.len(),
    };
    awaited(observed).into_iter().map(|(claim, awaited)| (claim, of(awaited))).collect()
}
