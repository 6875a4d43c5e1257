//! NodePool weight: a new node holds at least one pod whose heaviest feasible pool it is; others may ride along.
//!
//! A pool is feasible for a pod if one of its offerings could hold the pod alone on an empty node with the daemonsets of
//! that node: it is available, a reservation behind it has an instance left, the pool's requirements, taints and labels
//! admit the pod, its volumes reach, `minValues` can be met, what the pool's limits leave after this plan is enough for
//! one more node, and it lies in the domains in which the plan has the pod, for every topology key that ties the pod to
//! others. Only a strictly greater weight makes a pool heavier. A pod that minds the daemon pods of new nodes is asked nothing:
//! a heavier pool may bring others.
//!
//! Preferences come before weight, as they come before cost: a heavier pool is no better where the pod would lose one that
//! it keeps here (an untolerated `PreferNoSchedule` taint, a preferred node affinity, the domain that a preferred pod
//! affinity or a `ScheduleAnyway` spread looks at), or hold it by a later one of its ORed node affinity terms only: the
//! reference tries them in order (karpenter-core 2.6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::classes::{Class, Classes};
use super::cluster::{Cluster, Slot};
use super::daemons;
use super::limits::{Usage, has_room};
use super::offers::{reserved, unmet_min_values};
use super::replay::Ties;
use super::selection::term_holds;
use super::shape::{Known, OfferShape};
use super::taints::first_untolerated;
use super::violation::{Report, Rule, Violation};
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::observe::snapshot::{
    NodeAffinityTerm, NodePool, PodSpec, Taint, TaintEffect, Toleration, WhenUnsatisfiable,
};
use crate::requirements::Requirement;
use crate::settings::{MinValuesPolicy, PreferencePolicy};

/// The values that a node may have for each topology key that ties a pod to others.
type Domains<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

struct Question<'a, 'c> {
    cluster: &'c Cluster<'a>,
    classes: &'c Classes<'a>,
    usage: &'c [Usage],
    reserved: BTreeMap<&'a Arc<str>, u32>,
    /// What each offering of a pool leaves for pods, by pool and position.
    rooms: Vec<Vec<Option<Vec<i64>>>>,
    answers: BTreeMap<(usize, usize, Domains<'a>, Kept), bool>,
}

/// The preferences that a pod keeps where the plan has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    /// No `PreferNoSchedule` taint that it does not tolerate.
    no_soft_taint: bool,
    /// Its preferred node affinity terms that hold, by position.
    terms: Vec<usize>,
    /// The first of its required node affinity terms that holds.
    required: Option<usize>,
}

/// `ties`: for each class how its pods are tied to others.
pub(super) fn check<'a>(
    cluster: &Cluster<'a>,
    classes: &Classes<'a>,
    usage: &[Usage],
    ties: &[Ties<'a>],
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
        let on_slot: BTreeSet<usize> = classes.runs(&slot.assigned).map(|(class, _)| class).collect();
        let mut better = None;
        let justified = heavier.is_empty()
            || on_slot.iter().any(|&class| {
                if ties[class].minds_daemons {
                    return true;
                }
                let class_of = &classes.all[class];
                let ties: BTreeSet<&str> =
                    ties[class].keys.iter().copied().chain(preferred_keys(cluster, class_of)).collect();
                let domains = domains_of(cluster, slot, &ties);
                let kept = kept(cluster, slot, class_of);
                let found = heavier.iter().find(|&&pool| question.is_feasible(class, pool, &domains, &kept));
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

/// The topology keys that the pod's preferences look at.
fn preferred_keys<'a>(cluster: &Cluster<'a>, class: &Class<'a>) -> Vec<&'a str> {
    if cluster.snapshot.settings.preference_policy == PreferencePolicy::Ignore {
        return Vec::new();
    }
    let spec = class.spec();
    let terms = spec.preferred_pod_affinity.iter().chain(&spec.preferred_pod_anti_affinity);
    let anyway = spec.topology_spread.iter().filter(|c| c.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway);
    terms.map(|(_, term)| &*term.topology_key).chain(anyway.map(|c| &*c.topology_key)).collect()
}

fn kept(cluster: &Cluster<'_>, slot: &Slot<'_>, class: &Class<'_>) -> Kept {
    let spec = class.spec();
    let holds = |term: &NodeAffinityTerm| {
        slot.shapes.iter().all(|&shape| term_holds(term, &|key: &str| cluster.shapes[shape].label(key)))
    };
    let respected = cluster.snapshot.settings.preference_policy == PreferencePolicy::Respect;
    let terms = spec.preferred_node_affinity.iter().enumerate().filter(|(_, (_, term))| respected && holds(term));
    Kept {
        no_soft_taint: !has_soft_taint(slot.taints, spec),
        terms: terms.map(|(i, _)| i).collect(),
        required: spec.node_affinity.iter().position(holds),
    }
}

fn has_soft_taint(taints: &[Taint], spec: &PodSpec) -> bool {
    taints.iter().filter(|taint| taint.effect == TaintEffect::PreferNoSchedule).any(|taint| {
        // asked as a hard one
        let effect = TaintEffect::NoSchedule;
        let tolerations: Vec<Toleration> = spec
            .tolerations
            .iter()
            .filter(|t| t.effect.is_none_or(|of| of == TaintEffect::PreferNoSchedule))
            .map(|t| Toleration { effect: None, ..t.clone() })
            .collect();
        first_untolerated(&[Taint { effect, ..taint.clone() }], &tolerations).is_some()
    })
}

/// Where the plan has the slot's pods; the hostname ties nothing to a new node.
fn domains_of<'a>(cluster: &Cluster<'a>, slot: &Slot<'a>, keys: &BTreeSet<&'a str>) -> Domains<'a> {
    let values = |key: &str| {
        let labels = slot.shapes.iter().map(|&shape| cluster.shapes[shape].label(key));
        labels.filter_map(|label| if let Known::Value(value) = label { Some(value) } else { None }).collect()
    };
    keys.iter().filter(|key| labels::normalize(key) != labels::HOSTNAME).map(|key| (*key, values(key))).collect()
}

impl<'a> Question<'a, '_> {
    fn is_feasible(&mut self, class: usize, pool: usize, domains: &Domains<'a>, kept: &Kept) -> bool {
        let key = (class, pool, domains.clone(), kept.clone());
        if let Some(&answer) = self.answers.get(&key) {
            return answer;
        }
        let answer = self.ask(class, pool, domains, kept);
        self.answers.insert(key, answer);
        answer
    }

    fn ask(&mut self, class: usize, pool_index: usize, domains: &Domains<'a>, kept: &Kept) -> bool {
        let (class, pool) = (&self.classes.all[class], &self.cluster.snapshot.node_pools[pool_index]);
        let loses_taint = kept.no_soft_taint && has_soft_taint(&pool.taints, class.spec());
        if loses_taint || first_untolerated(&pool.taints, &class.spec().tolerations).is_some() {
            return false;
        }
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
                    && admits(pool, class, &offer, kept.required)
                    && kept.terms.iter().all(|&i| {
                        let term = &class.spec().preferred_node_affinity[i].1;
                        term.0.iter().all(|(key, wanted)| could_be(pool, &offer, key, wanted))
                    })
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
        self.keeps_min_values(pool, &holding)
    }

    /// Whether the offers of one capacity type, as many types of them as a launch may name, keep the pool's `minValues`.
    fn keeps_min_values(&self, pool: &NodePool, holding: &[OfferShape<'a>]) -> bool {
        let capacity_types: BTreeSet<CapacityType> = holding.iter().map(|o| o.offering.capacity_type).collect();
        capacity_types.into_iter().any(|capacity_type| {
            let of: Vec<&OfferShape<'a>> =
                holding.iter().filter(|offer| offer.offering.capacity_type == capacity_type).collect();
            let types: BTreeSet<&Arc<str>> = of.iter().map(|offer| &offer.instance_type.name).collect();
            // a smallest set of types that keeps every minimum has no more types than the minimums together
            let minimums =
                pool.requirements.iter().filter_map(|(_, r)| r.min_values).map(|wanted| wanted as usize).sum();
            types.len().min(minimums) <= self.cluster.snapshot.settings.max_instance_types
                && unmet_min_values(pool, &of).is_none()
        })
    }

    fn fits(&mut self, pool: usize, position: usize, class: &Class<'a>, offer: &OfferShape<'a>) -> bool {
        let snapshot = self.cluster.snapshot;
        let of_pool = &snapshot.node_pools[pool];
        let daemons = || snapshot.daemon_sets.iter().filter(|d| may_run(of_pool, &d.template.spec, offer));
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

/// Whether a daemon pod may run on some node of the type, whatever is bought: a pool is planned with all of them.
fn may_run(pool: &NodePool, spec: &PodSpec, offer: &OfferShape<'_>) -> bool {
    first_untolerated(&pool.taints, &spec.tolerations).is_none()
        && offer.instance_type.offerings.iter().any(|offering| {
            let shape = OfferShape { offering, ..*offer };
            let holds = |(key, wanted): (&Arc<str>, &Requirement)| could_be(pool, &shape, key, wanted);
            let selected = |(key, value): (&Arc<str>, &Arc<str>)| {
                could_be(pool, &shape, key, &Requirement::one_of([value.clone()]))
            };
            spec.node_selector.iter().all(selected)
                && (spec.node_affinity.is_empty() || spec.node_affinity.iter().any(|t| t.0.iter().all(holds)))
        })
}

/// Whether a node of the pool could have the labels that the pool and the pod demand, the pod by one of its required
/// affinity terms up to `last`.
fn admits(pool: &NodePool, class: &Class<'_>, offer: &OfferShape<'_>, last: Option<usize>) -> bool {
    let spec = class.spec();
    let term = |term: &NodeAffinityTerm| term.0.iter().all(|(key, wanted)| could_be(pool, offer, key, wanted));
    pool.requirements.iter().all(|(key, wanted)| could_be(pool, offer, key, wanted))
        && spec
            .node_selector
            .iter()
            .all(|(key, value)| could_be(pool, offer, key, &Requirement::one_of([value.clone()])))
        && (spec.node_affinity.is_empty()
            || spec
                .node_affinity
                .iter()
                .take(last.map_or(usize::MAX, |last| last + 1))
                .any(|t| !t.0.is_empty() && term(t)))
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
