//! What a plan gives up of the pods' preferences: the second level on which plans are compared.
//!
//! Once all pods are bound: the weight of every preferred node affinity term that the pod's node does not satisfy; of every
//! preferred pod affinity term without a matching pod in the node's domain, and anti-affinity term with one; 100 for each
//! `ScheduleAnyway` spread whose domain is fuller than the emptiest by more than `maxSkew`, and for each
//! `PreferNoSchedule` taint that the pod does not tolerate. A launch counts as the offer that it names first. Unlike
//! kube-scheduler's scores this looks at every node as a domain of a spread, whatever its inclusion policies say, and as
//! karpenter at those that pools could still open: a plan is not better spread for having fewer domains.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::check::{Asked, Openable, tolerates};
use super::types::{Plan, Target};
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{
    LabelSelector, Labels, Pod, PodAffinityTerm, PodSpec, PodTemplate, Taint, TaintEffect, TopologySpreadConstraint,
    WhenUnsatisfiable,
};
use crate::settings::PreferencePolicy;

/// What one `ScheduleAnyway` spread or one `PreferNoSchedule` taint weighs.
const WEIGHT_OF_OTHERS: i64 = 100;

/// A preference of a pod, by its position in the spec; a taint by its position on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    NodeAffinity(usize),
    PodAffinity(usize),
    PodAntiAffinity(usize),
    Spread(usize),
    Taint(usize),
}

/// The sum of the weights that the plan's pods do not get; 0 where the settings ignore preferences.
#[must_use]
pub fn violated<State>(snapshot: &Snapshot, plan: &Plan<State>) -> i64 {
    Preferences::new(snapshot).violated(plan)
}

/// What the plan gives up of one placed pod's preferences, with the weight of each.
#[must_use]
pub fn given_up<State>(snapshot: &Snapshot, plan: &Plan<State>, pod: usize) -> Vec<(i64, Preference)> {
    let mut found = Vec::new();
    if snapshot.settings.preference_policy != PreferencePolicy::Ignore {
        let preferences = Preferences::new(snapshot);
        World::of(&preferences, plan).each(pod, &mut HashMap::new(), &mut |weight, of| found.push((weight, of)));
    }
    found
}

/// What the pods of a snapshot prefer, to measure many plans by.
pub struct Preferences<'s> {
    snapshot: &'s Snapshot,
    openable: RefCell<Openable<'s>>,
}

impl<'s> Preferences<'s> {
    #[must_use]
    pub fn new(snapshot: &'s Snapshot) -> Self {
        Self { snapshot, openable: RefCell::default() }
    }

    /// As [`violated`].
    #[must_use]
    pub fn violated<State>(&self, plan: &Plan<State>) -> i64 {
        let snapshot = self.snapshot;
        if snapshot.settings.preference_policy == PreferencePolicy::Ignore {
            return 0;
        }
        let soft = |taint: &Taint| taint.effect == TaintEffect::PreferNoSchedule;
        let pools = snapshot.node_pools.iter().flat_map(|pool| &pool.taints);
        let nodes = snapshot.nodes.iter().flat_map(|node| &node.taints);
        let mut placed: HashSet<*const PodTemplate> = HashSet::new();
        let of_placed = plan.assignments.iter().map(|assignment| &snapshot.pods[assignment.pod].template);
        let mut before = None;
        // replicas stand together
        let of_placed =
            of_placed.filter(|template| before.replace(Arc::as_ptr(template)) != Some(Arc::as_ptr(template)));
        let mut of_placed = of_placed.filter(|template| placed.insert(Arc::as_ptr(template)));
        if !of_placed.any(|template| has_any(template)) && !pools.chain(nodes).any(soft) {
            return 0;
        }
        let world = World::of(self, plan);
        let mut counts = HashMap::new();
        plan.assignments.iter().map(|assignment| world.violated_by(assignment.pod, &mut counts)).sum()
    }

    /// Whether a pool could still open a domain that is not among these, in the eyes of a spread of the pod.
    fn more_could_open(
        &self,
        spec: &'s PodSpec,
        constraint: &'s TopologySpreadConstraint,
        known: &BTreeMap<&str, u32>,
    ) -> bool {
        let asked = Asked::of(spec, constraint);
        let mut openable = self.openable.borrow_mut();
        asked.key == labels::HOSTNAME
            || openable.domains(self.snapshot, &asked).iter().any(|domain| !known.contains_key(domain))
    }
}

fn has_any(template: &PodTemplate) -> bool {
    let spec = &template.spec;
    !spec.preferred_node_affinity.is_empty()
        || !spec.preferred_pod_affinity.is_empty()
        || !spec.preferred_pod_anti_affinity.is_empty()
        || spec.topology_spread.iter().any(|c| c.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway)
}

/// A node once the plan is carried out.
struct Slot<'w> {
    labels: HashMap<&'w str, &'w str>,
    taints: &'w [Taint],
}

/// Equal pods: how many of them each slot has.
struct Kind<'w> {
    template: &'w PodTemplate,
    on_slots: BTreeMap<usize, u32>,
}

/// Everything that is bound once the plan is carried out.
struct World<'w, 's> {
    snapshot: &'s Snapshot,
    preferences: &'w Preferences<'s>,
    slots: Vec<Slot<'w>>,
    /// By pod of the snapshot.
    slot_of: Vec<Option<usize>>,
    kinds: BTreeMap<(&'w Arc<str>, *const PodTemplate), Kind<'w>>,
}

/// Pods by domain that a selector matches: topology key, selector, namespaces.
type Counts<'w> =
    HashMap<(&'w str, &'w LabelSelector, Vec<&'w Arc<str>>, Option<&'w LabelSelector>), BTreeMap<&'w str, u32>>;

impl<'w, 's: 'w> World<'w, 's> {
    fn of<State>(preferences: &'w Preferences<'s>, plan: &'w Plan<State>) -> Self {
        let snapshot = preferences.snapshot;
        let mut slots: Vec<Slot<'w>> = Vec::with_capacity(snapshot.nodes.len() + plan.launches.len());
        let mut index: HashMap<&str, usize> = HashMap::new();
        for (slot, node) in snapshot.nodes.iter().enumerate() {
            index.insert(&node.name, slot);
            slots.push(Slot { labels: borrowed(&node.labels), taints: &node.taints });
        }
        for launch in &plan.launches {
            let pool = &snapshot.node_pools[launch.pool];
            let mut of_node = borrowed(&launch.labels);
            if let Some(chosen) = launch.offers.first() {
                let kind = pool.instance_types.iter().find(|kind| kind.name == chosen.instance_type);
                let of_type = kind.iter().flat_map(|kind| kind.requirements.single_values());
                of_node.extend(of_type.map(|(key, value)| (key.as_ref(), value.as_ref())));
                of_node.insert(labels::ZONE, &chosen.zone);
            }
            of_node.insert(labels::CAPACITY_TYPE, launch.capacity_type.label());
            of_node.insert(labels::HOSTNAME, &launch.name);
            slots.push(Slot { labels: of_node, taints: &launch.taints });
        }
        let stays =
            |pod: &Pod| pod.node.as_ref().filter(|_| !pod.displaced).and_then(|node| index.get(node.as_ref()).copied());
        let mut slot_of: Vec<Option<usize>> = snapshot.pods.iter().map(stays).collect();
        for assignment in &plan.assignments {
            slot_of[assignment.pod] = Some(match assignment.target {
                Target::Existing(node) => node,
                Target::Launch(launch) => snapshot.nodes.len() + launch,
            });
        }
        let mut kinds = BTreeMap::new();
        for (pod, slot) in snapshot.pods.iter().zip(&slot_of) {
            if let Some(slot) = slot {
                let of = (&pod.key.namespace, Arc::as_ptr(&pod.template));
                let kind =
                    kinds.entry(of).or_insert_with(|| Kind { template: &pod.template, on_slots: BTreeMap::new() });
                *kind.on_slots.entry(*slot).or_insert(0) += 1;
            }
        }
        Self { snapshot, preferences, slots, slot_of, kinds }
    }

    fn violated_by(&self, pod: usize, counts: &mut Counts<'w>) -> i64 {
        let mut total = 0;
        self.each(pod, counts, &mut |weight, _| total += weight);
        total
    }

    fn each(&self, pod: usize, counts: &mut Counts<'w>, give_up: &mut dyn FnMut(i64, Preference)) {
        let of = &self.snapshot.pods[pod];
        let Some(slot) = self.slot_of[pod].map(|slot| &self.slots[slot]) else { return };
        let spec = &of.template.spec;
        for (position, (weight, term)) in spec.preferred_node_affinity.iter().enumerate() {
            let holds = term.0.iter().all(|(key, wanted)| {
                slot.labels.get(key.as_ref()).map_or(wanted.allows_absence(), |value| wanted.allows(value))
            });
            if !holds {
                give_up(i64::from(*weight), Preference::NodeAffinity(position));
            }
        }
        for (position, (weight, term)) in spec.preferred_pod_affinity.iter().enumerate() {
            if !self.has_company(of, slot, term, counts) {
                give_up(i64::from(*weight), Preference::PodAffinity(position));
            }
        }
        for (position, (weight, term)) in spec.preferred_pod_anti_affinity.iter().enumerate() {
            if self.has_company(of, slot, term, counts) {
                give_up(i64::from(*weight), Preference::PodAntiAffinity(position));
            }
        }
        let constraints = spec.topology_spread.iter().enumerate();
        for (position, constraint) in
            constraints.filter(|(_, c)| c.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway)
        {
            let key = constraint.topology_key.as_ref();
            let Some(domain) = slot.labels.get(key) else { continue };
            let by_domain = self.by_domain(key, &constraint.selector, vec![&of.key.namespace], None, counts);
            let more_could_open = self.preferences.more_could_open(spec, constraint, by_domain);
            let least = if more_could_open { 0 } else { by_domain.values().copied().min().unwrap_or(0) };
            if by_domain.get(domain).copied().unwrap_or(0) > least + constraint.max_skew {
                give_up(WEIGHT_OF_OTHERS, Preference::Spread(position));
            }
        }
        for (position, taint) in slot.taints.iter().enumerate() {
            if taint.effect == TaintEffect::PreferNoSchedule
                && !spec.tolerations.iter().any(|toleration| tolerates(toleration, taint))
            {
                give_up(WEIGHT_OF_OTHERS, Preference::Taint(position));
            }
        }
    }

    /// Whether another pod that the term selects is in the slot's domain.
    fn has_company(&self, pod: &'w Pod, slot: &Slot, term: &'w PodAffinityTerm, counts: &mut Counts<'w>) -> bool {
        let Some(domain) = slot.labels.get(term.topology_key.as_ref()) else { return false };
        let namespaces = term.namespaces.iter().collect();
        let selects_others = term.namespace_selector.as_ref();
        let by_domain = self.by_domain(&term.topology_key, &term.selector, namespaces, selects_others, counts);
        let there = by_domain.get(domain).copied().unwrap_or(0);
        let itself = term.selector.matches(&pod.template.labels)
            && self.in_namespaces(&pod.key.namespace, &term.namespaces.iter().collect::<Vec<_>>(), selects_others);
        there > u32::from(itself)
    }

    /// Matching pods by domain; every domain that some node has is listed.
    fn by_domain<'c>(
        &self,
        key: &'w str,
        selector: &'w LabelSelector,
        namespaces: Vec<&'w Arc<str>>,
        selects_others: Option<&'w LabelSelector>,
        counts: &'c mut Counts<'w>,
    ) -> &'c BTreeMap<&'w str, u32> {
        counts.entry((key, selector, namespaces, selects_others)).or_insert_with_key(
            |(key, selector, namespaces, others)| {
                let mut found: BTreeMap<&str, u32> =
                    self.slots.iter().filter_map(|slot| slot.labels.get(key)).map(|domain| (*domain, 0)).collect();
                for ((namespace, _), Kind { template, on_slots }) in &self.kinds {
                    if selector.matches(&template.labels) && self.in_namespaces(namespace, namespaces, *others) {
                        for (slot, pods) in on_slots {
                            if let Some(domain) = self.slots[*slot].labels.get(key) {
                                *found.entry(domain).or_insert(0) += pods;
                            }
                        }
                    }
                }
                found
            },
        )
    }

    fn in_namespaces(&self, name: &Arc<str>, listed: &[&Arc<str>], selected: Option<&LabelSelector>) -> bool {
        listed.contains(&name)
            || selected.is_some_and(|selector| {
                let mut of_namespace = self.snapshot.namespaces.get(name).cloned().unwrap_or_default();
                of_namespace.entry(Arc::from("kubernetes.io/metadata.name")).or_insert_with(|| name.clone());
                selector.matches(&of_namespace)
            })
    }
}

fn borrowed(labels: &Labels) -> HashMap<&str, &str> {
    labels.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect()
}
