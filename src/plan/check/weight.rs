//! NodePool weight: a new node holds at least one pod whose heaviest feasible pool it is; others may ride along.
//!
//! A pool is feasible for a pod if one of its offerings could hold the pod alone on an empty node with the daemonsets of
//! that node: it is available, a reservation behind it has an instance left, the pool's requirements, taints and labels
//! admit the pod, its volumes reach, `minValues` can be met, what the pool's limits leave after this plan is enough for
//! one more node, and it lies in the domains in which the plan has the pod, for every topology key that ties the pod to
//! others. Only a strictly greater weight makes a pool heavier. Karpenter asks for preferences before weight: a pool with
//! a `PreferNoSchedule` taint that the pod does not tolerate, without a preferred label that the pod's node has, or in
//! another domain of a preferred topology rule is no better place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::classes::{Class, Classes};
use super::cluster::{Cluster, Slot};
use super::daemons;
use super::limits::{Usage, has_room};
use super::offers::{reserved, unmet_min_values};
use super::shape::{Known, OfferShape, Shape};
use super::taints::tolerates_all;
use super::violation::{Report, Rule, Violation};
use crate::api::labels;
use crate::observe::snapshot::{NodeAffinityTerm, NodePool, WhenUnsatisfiable};
use crate::requirements::Requirement;
use crate::settings::{MinValuesPolicy, PreferencePolicy};

/// The values that a node may have for each topology key that ties a pod to others.
type Domains<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// What the plan gives a pod: its domains, and which of its preferred node affinity terms hold.
type Place<'a> = (Domains<'a>, Vec<usize>);

struct Question<'a, 'c> {
    cluster: &'c Cluster<'a>,
    classes: &'c Classes<'a>,
    usage: &'c [Usage],
    reserved: BTreeMap<&'a Arc<str>, u32>,
    /// What each offering of a pool leaves for pods, by pool and position.
    rooms: Vec<Vec<Option<Vec<i64>>>>,
    answers: BTreeMap<(usize, usize, Place<'a>), bool>,
}

/// `ties`: for each class the topology keys that tie its pods to others.
pub(super) fn check<'a>(
    cluster: &Cluster<'a>,
    classes: &Classes<'a>,
    usage: &[Usage],
    ties: &[BTreeSet<&'a str>],
    report: &mut Report,
) {
    let pools = &cluster.snapshot.node_pools;
    let rooms = pools.iter().map(|pool| vec![None; pool.instance_types.iter().map(|t| t.offerings.len()).sum()]);
    let (reserved, rooms) = (reserved(cluster), rooms.collect());
    let mut question = Question { cluster, classes, usage, reserved, rooms, answers: BTreeMap::new() };
    for (slot, launch, pool) in cluster.launches().filter(|(slot, ..)| !slot.assigned.is_empty()) {
        let heavier: Vec<usize> = (0..pools.len())
            .filter(|&i| pools[i].weight > pool.weight && pools[i].unusable.is_none() && pools[i].replicas.is_none())
            .collect();
        let on_slot: BTreeSet<usize> = slot.assigned.iter().map(|&pod| classes.of_pod[pod]).collect();
        let mut better = None;
        let justified = heavier.is_empty()
            || on_slot.iter().any(|&class| {
                let place = (
                    domains_of(cluster, slot, &preferred_ties(cluster, &classes.all[class], &ties[class])),
                    preferences_met(cluster, slot, &classes.all[class]),
                );
                let found = heavier.iter().find(|&&pool| question.is_feasible(class, pool, &place));
                better = better.or(found.copied());
                found.is_none()
            });
        if let (false, Some(better)) = (justified, better) {
            let text = format!(
                "every pod of the launch has a heavier pool that could hold it, such as {}",
                pools[better].name
            );
            report.push(Violation::new(Rule::PoolWeight, text).node(&launch.name).pool(&pool.name));
        }
    }
}

/// The keys that tie the pod to others, those of its preferences too where these are respected.
fn preferred_ties<'a>(cluster: &Cluster<'a>, class: &Class<'a>, ties: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let mut keys = ties.clone();
    if cluster.snapshot.settings.preference_policy == PreferencePolicy::Respect {
        let spec = class.spec();
        let terms = spec.preferred_pod_affinity.iter().chain(&spec.preferred_pod_anti_affinity);
        keys.extend(terms.map(|(_, term)| term.topology_key.as_ref()));
        let spread = spec.topology_spread.iter().filter(|c| c.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway);
        keys.extend(spread.map(|constraint| constraint.topology_key.as_ref()));
    }
    keys
}

/// Where the plan has the slot's pods; the hostname ties nothing to a new node.
fn domains_of<'a>(cluster: &Cluster<'a>, slot: &Slot<'a>, keys: &BTreeSet<&'a str>) -> Domains<'a> {
    let values = |key: &str| {
        let labels = slot.shapes.iter().map(|&shape| cluster.shapes[shape].label(key));
        labels.filter_map(|label| if let Known::Value(value) = label { Some(value) } else { None }).collect()
    };
    keys.iter().filter(|key| labels::normalize(key) != labels::HOSTNAME).map(|key| (*key, values(key))).collect()
}

/// The preferred node affinity terms of a pod that hold whatever its launch buys; none where preferences are ignored.
fn preferences_met(cluster: &Cluster<'_>, slot: &Slot<'_>, class: &Class<'_>) -> Vec<usize> {
    if cluster.snapshot.settings.preference_policy == PreferencePolicy::Ignore {
        return Vec::new();
    }
    let holds = |term: &NodeAffinityTerm| {
        let mut shapes = slot.shapes.iter().map(|&shape| cluster.shapes[shape]);
        shapes.all(|shape| term.0.iter().all(|(key, wanted)| shape.label(key).meets(wanted)))
    };
    let terms = class.spec().preferred_node_affinity.iter().enumerate();
    terms.filter(|(_, (_, term))| holds(term)).map(|(index, _)| index).collect()
}

impl<'a> Question<'a, '_> {
    fn is_feasible(&mut self, class: usize, pool: usize, place: &Place<'a>) -> bool {
        let key = (class, pool, place.clone());
        if let Some(&answer) = self.answers.get(&key) {
            return answer;
        }
        let answer = self.ask(class, pool, place);
        self.answers.insert(key, answer);
        answer
    }

    fn ask(&mut self, class: usize, pool_index: usize, (domains, preferred): &Place<'a>) -> bool {
        let (class, pool) = (&self.classes.all[class], &self.cluster.snapshot.node_pools[pool_index]);
        if !tolerates_all(&pool.taints, &class.spec().tolerations) {
            return false;
        }
        let is_as_good = |offer: &OfferShape<'_>| {
            let mut terms = preferred.iter().map(|&index| &class.spec().preferred_node_affinity[index].1);
            terms.all(|term| term.0.iter().all(|(key, wanted)| could_be(pool, offer, key, wanted)))
        };
        let strict = self.cluster.snapshot.settings.min_values_policy == MinValuesPolicy::Strict;
        let wants_many = strict && pool.requirements.iter().any(|(_, r)| r.min_values.is_some());
        let mut holding: Vec<OfferShape<'a>> = Vec::new();
        let mut position = 0;
        for instance_type in pool.instance_types.iter() {
            for offering in &instance_type.offerings {
                let (labels, claim) = (&pool.labels, &pool.requirements);
                let offer = OfferShape { instance_type, offering, labels, claim };
                let is_left = offering.reservation.as_ref().is_none_or(|reservation| {
                    self.reserved.get(&reservation.id).copied().unwrap_or(0) < reservation.free
                });
                let in_domains = |(key, values): (&&str, &BTreeSet<&str>)| match offer.label(key) {
                    Known::Value(value) => values.contains(value),
                    _ => false,
                };
                if offering.available
                    && is_left
                    && domains.iter().all(in_domains)
                    && has_room(pool, &self.usage[pool_index], &offer)
                    && admits(pool, class, &offer)
                    && is_as_good(&offer)
                    && self.fits(pool_index, position, class, &offer)
                {
                    if !wants_many {
                        return true;
                    }
                    holding.push(offer);
                }
                position += 1;
            }
        }
        !holding.is_empty() && unmet_min_values(pool, &holding.iter().collect::<Vec<_>>()).is_none()
    }

    fn fits(&mut self, pool: usize, position: usize, class: &Class<'a>, offer: &OfferShape<'a>) -> bool {
        let snapshot = self.cluster.snapshot;
        let shape = Shape::Offer(*offer);
        let daemons = || daemons::on_shape(&snapshot.daemon_sets, &shape, &snapshot.node_pools[pool].taints);
        let amounts = &self.classes.amounts;
        let room = self.rooms[pool][position].get_or_insert_with(|| {
            let mut room = offer.instance_type.allocatable.clone();
            room.subtract(&daemons::overhead(daemons()));
            amounts.dense(&room)
        });
        class.requests.iter().all(|&(resource, amount)| amount <= room[resource])
            && (class.spec().host_ports.is_empty()
                || !super::ports::clash(&class.spec().host_ports, daemons().flat_map(|d| &d.template.spec.host_ports)))
    }
}

/// Whether a node of the pool could have the labels that the pool and the pod demand.
fn admits(pool: &NodePool, class: &Class<'_>, offer: &OfferShape<'_>) -> bool {
    let spec = class.spec();
    let term = |term: &NodeAffinityTerm| term.0.iter().all(|(key, wanted)| could_be(pool, offer, key, wanted));
    pool.requirements.iter().all(|(key, wanted)| could_be(pool, offer, key, wanted))
        && spec
            .node_selector
            .iter()
            .all(|(key, value)| could_be(pool, offer, key, &Requirement::one_of([value.clone()])))
        && (spec.node_affinity.is_empty() || spec.node_affinity.iter().any(|t| !t.0.is_empty() && term(t)))
        && spec.volumes.iter().all(|volume| volume.topology.is_empty() || volume.topology.iter().any(term))
}

/// Whether the label can satisfy `wanted`: as the offering gives it, as the type leaves it open, or, for a custom key, as
/// the pool admits it.
fn could_be(pool: &NodePool, offer: &OfferShape<'_>, key: &str, wanted: &Requirement) -> bool {
    match offer.without_written(key) {
        Known::OneOf(values) => {
            let admitted = |value: &&Arc<str>| pool.requirements.get(key).is_none_or(|r| r.allows(value));
            values.iter().filter(admitted).any(|value| wanted.allows(value))
        }
        Known::Absent if offer.instance_type.requirements.contains_key(key) => wanted.allows_absence(),
        Known::Absent => match pool.requirements.get(key) {
            Some(admitted) if pool.labels.contains_key(key) || !labels::is_well_known(labels::normalize(key)) => {
                admitted.intersects(wanted)
            }
            _ => wanted.allows_absence(),
        },
        known => known.meets(wanted),
    }
}
