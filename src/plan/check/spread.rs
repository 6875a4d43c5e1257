//! Hard topology spread, as kube-scheduler's PodTopologySpread filter counts it.
//!
//! For the domain that receives the pod: `matching + self - minimum <= maxSkew`, where
//! * *matching* counts the bound pods of the pod's namespace that the selector matches and that are not terminating, on
//!   eligible nodes of the domain; *self* is 1 if the selector matches the pod itself;
//! * a node is *eligible* if it has the topology keys of all hard constraints of the pod, satisfies its node selector and
//!   required affinity (`nodeAffinityPolicy: Honor`) and has no taint that the pod does not tolerate
//!   (`nodeTaintsPolicy: Honor`);
//! * *minimum* is the least count over the domains of eligible nodes, 0 where there are fewer of them than `minDomains`.
//!
//! The domains are those of nodes that exist, deleting ones left out, and of launches ([`Group::survey`]). Those that a
//! pool could still open ([`super::openable`]) are a rule of their own: they hold the pods of daemonsets that come with every
//! node; a host can always be opened. Pods that stay on a deleting node count in the domains that others have, as long as they
//! are there. Where the offers of a launch leave its eligibility or domain open, the worst case of
//! each side counts: pods that may be there in *matching*, only those that surely are in *minimum*, and every domain
//! that it may open.

use std::collections::HashMap;

use super::classes::{Class, Classes};
use super::cluster::Cluster;
use super::demanded::Demanded;
use super::openable::{Asked, Openable};
use super::selection::{Holds, Selection, Selections};
use super::shape::Known;
use super::taints::first_untolerated;
use super::topology::{Domain, Keys};
use crate::api::labels;
use crate::observe::snapshot::{LabelSelector, Toleration, TopologySpreadConstraint, WhenUnsatisfiable};

/// Constraints that count alike: they differ at most in `maxSkew` and `minDomains`.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Identity<'a> {
    namespace: &'a str,
    selector: &'a LabelSelector,
    key: usize,
    /// Keys of all hard constraints of the pod, sorted.
    required_keys: Vec<usize>,
    selection: Option<Selection<'a>>,
    tolerations: Option<&'a [Toleration]>,
}

/// The counts of one such set of constraints.
pub(super) struct Group<'a> {
    pub namespace: &'a str,
    pub selector: &'a LabelSelector,
    pub key: usize,
    /// By slot.
    eligible: Vec<Holds>,
    /// By domain: pods that may be there.
    most: Vec<u32>,
    /// By domain: pods that surely are there.
    least: Vec<u32>,
    /// By domain: whether some eligible node has it, or may.
    possible: Vec<bool>,
    /// Number of domains that some eligible node surely has.
    certain_domains: usize,
    /// How many possible domains have each `least` count, and the least of them.
    with_count: Vec<usize>,
    minimum: u32,
    /// A pool could open a domain that no node has.
    more_could_open: bool,
    /// What decides which domains it looks at.
    pub asked: Asked<'a>,
    /// How many pods that the selector matches come with every node that a pool could open, their daemonsets'.
    pub with_every_node: u32,
}

/// A constraint that a class carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carried {
    pub group: usize,
    max_skew: u32,
    min_domains: u32,
    matches_itself: bool,
}

#[derive(Default)]
pub(super) struct Groups<'a> {
    index: HashMap<Identity<'a>, usize>,
    by_selector: Demanded<'a>,
    openable: Openable<'a>,
    pub all: Vec<Group<'a>>,
}

impl<'a> Groups<'a> {
    /// The hard constraints of a class.
    pub(super) fn carried_by(
        &mut self,
        class: usize,
        cluster: &Cluster<'a>,
        classes: &Classes<'a>,
        selections: &mut Selections<'a>,
        keys: &mut Keys<'a>,
    ) -> Vec<Carried> {
        let class = &classes.all[class];
        let hard: Vec<&'a TopologySpreadConstraint> = class
            .spec()
            .topology_spread
            .iter()
            .filter(|c| c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
            .collect();
        let mut required_keys: Vec<usize> = hard.iter().map(|c| keys.intern(&c.topology_key, cluster)).collect();
        required_keys.sort_unstable();
        required_keys.dedup();
        let mut carried = Vec::with_capacity(hard.len());
        for constraint in hard {
            let asked = Asked::of(class.spec(), constraint);
            let identity = Identity {
                namespace: class.namespace,
                selector: &constraint.selector,
                key: keys.intern(&constraint.topology_key, cluster),
                required_keys: required_keys.clone(),
                selection: asked.selection,
                tolerations: asked.tolerations,
            };
            let next = self.all.len();
            let group = *self.index.entry(identity.clone()).or_insert(next);
            if group == next {
                self.by_selector.add(group, identity.selector);
                let mut group = Group::survey(&identity, asked.clone(), cluster, selections, keys);
                let names = &keys.all[identity.key].names;
                let has = |domain: &&str| names.iter().zip(&group.possible).any(|(name, is)| *is && name == domain);
                let mut openable = self.openable.domains(cluster.snapshot, &asked).iter();
                group.more_could_open = asked.key == labels::HOSTNAME || !openable.all(has);
                self.all.push(group);
            }
            carried.push(Carried {
                group,
                max_skew: constraint.max_skew,
                min_domains: constraint.min_domains.unwrap_or(1),
                matches_itself: constraint.selector.matches(&class.template.labels),
            });
        }
        carried
    }

    /// The groups that count pods of a class.
    pub(super) fn counting(&self, class: &Class<'_>) -> Vec<usize> {
        let counts = |group: &Group<'_>| {
            group.namespace == class.namespace.as_ref() && group.selector.matches(&class.template.labels)
        };
        let candidates = self.by_selector.candidates(&class.template.labels).into_iter();
        candidates.filter(|&group| counts(&self.all[group])).collect()
    }
}

impl<'a> Group<'a> {
    /// The universe of a constraint: which slots are eligible, and so which domains there are.
    fn survey(
        identity: &Identity<'a>,
        asked: Asked<'a>,
        cluster: &Cluster<'a>,
        selections: &mut Selections<'a>,
        keys: &Keys<'a>,
    ) -> Self {
        let selection = identity.selection.filter(|selection| !selection.is_empty());
        let selection = selection.map(|selection| selections.intern(selection));
        let domains = &keys.all[identity.key].domains;
        let mut group = Self {
            namespace: identity.namespace,
            selector: identity.selector,
            key: identity.key,
            eligible: Vec::with_capacity(cluster.slots.len()),
            most: vec![0; keys.all[identity.key].names.len()],
            least: vec![0; keys.all[identity.key].names.len()],
            possible: vec![false; keys.all[identity.key].names.len()],
            certain_domains: 0,
            with_count: Vec::new(),
            minimum: 0,
            more_could_open: false,
            asked,
            with_every_node: 0,
        };
        let mut certain = vec![false; group.most.len()];
        for (i, slot) in cluster.slots.iter().enumerate() {
            let mut eligible = Holds::Surely;
            for &key in &identity.required_keys {
                eligible = eligible.min(match &keys.all[key].domains[i] {
                    Domain::Absent => Holds::No,
                    Domain::Open { absent: true, .. } => Holds::Perhaps,
                    Domain::At(_) | Domain::Open { .. } => Holds::Surely,
                });
            }
            if identity.tolerations.is_some_and(|own| first_untolerated(slot.taints, own).is_some()) {
                eligible = Holds::No;
            }
            let of_selection = match selection.filter(|_| eligible > Holds::No) {
                Some(selection) => selections.holds_on(selection, slot, cluster),
                None => Holds::Surely,
            };
            eligible = eligible.min(of_selection);
            // a domain that only offers outside the selection would bring is none of the constraint's
            let selected = |domain: &&usize, selections: &mut Selections<'a>| {
                let Some(selection) = selection.filter(|_| of_selection == Holds::Perhaps) else { return true };
                let name = keys.all[identity.key].names[**domain];
                let mut in_domain = slot.shapes.iter().filter(|&&shape| {
                    !matches!(cluster.shapes[shape].label(keys.all[identity.key].name), Known::Value(v) if v != name)
                });
                in_domain.any(|&shape| selections.holds(selection, shape, &cluster.shapes) > Holds::No)
            };
            for &domain in domains[i].possible().iter().filter(|_| eligible > Holds::No && !slot.deleting) {
                if !selected(&&domain, selections) {
                    continue;
                }
                group.possible[domain] = true;
                certain[domain] |= eligible == Holds::Surely && matches!(domains[i], Domain::At(_));
            }
            group.eligible.push(eligible);
        }
        group.certain_domains = certain.iter().filter(|is_certain| **is_certain).count();
        group.with_count.push(group.possible.iter().filter(|is_possible| **is_possible).count());
        group
    }

    /// A pod that the selector matches is on the slot, perhaps or surely.
    pub(super) fn count(&mut self, slot: usize, domain: &Domain, is_there: Holds) {
        if self.eligible[slot] == Holds::No {
            return;
        }
        for &domain in domain.possible() {
            self.most[domain] += 1;
        }
        if let (Domain::At(domain), Holds::Surely) = (domain, self.eligible[slot].min(is_there))
            && self.possible[*domain]
        {
            let before = self.least[*domain];
            self.least[*domain] += 1;
            self.move_up(before);
        }
    }

    fn move_up(&mut self, before: u32) {
        let before = before as usize;
        if self.with_count.len() <= before + 1 {
            self.with_count.resize(before + 2, 0);
        }
        self.with_count[before] -= 1;
        self.with_count[before + 1] += 1;
        while self.with_count[self.minimum as usize] == 0 {
            self.minimum += 1;
        }
    }

    /// Whether a pod that carries the constraint may not bind to a node of this domain now: the count that the domain
    /// would have, and the minimum.
    pub(super) fn refuses(&self, carried: &Carried, domain: usize) -> Option<(u32, u32)> {
        let too_few = self.certain_domains < carried.min_domains as usize;
        let minimum = if too_few { 0 } else { self.minimum };
        let count = self.most[domain] + u32::from(carried.matches_itself);
        (count.saturating_sub(minimum) > carried.max_skew).then_some((count, minimum))
    }

    /// Whether it may not although kube-scheduler would bind it: a domain that a pool could open has as few as come with
    /// every node, and this one would have so many.
    pub(super) fn refuses_with_openable(&self, carried: &Carried, domain: usize) -> Option<u32> {
        let count = self.most[domain] + u32::from(carried.matches_itself);
        (self.more_could_open && count > carried.max_skew + self.with_every_node).then_some(count)
    }
}
