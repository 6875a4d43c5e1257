//! The assignments one after another, as kube-scheduler would bind them, against the rules that look at other pods.
//!
//! All launched nodes are ready before the first pod binds, and the pods of their daemonsets are there, except where
//! anti-affinity of bound pods keeps those away. Bound pods count where they are, unless they are displaced; terminating ones count for affinity and anti-affinity until they are gone, for spread never (kube-scheduler's
//! InterPodAffinity looks at every pod of a node, PodTopologySpread skips those with a deletion timestamp). A placed pod
//! counts from its turn on. Counters are kept by constraint and domain, so that a pod costs
//! what the constraints that touch its class cost.

use std::collections::{BTreeMap, BTreeSet};

use super::affinity::{Terms, Verdict};
use super::classes::Classes;
use super::cluster::Cluster;
use super::daemons;
use super::selection::{Holds, Selections};
use super::spread::{Carried, Groups};
use super::topology::{Domain, Keys, OpenDomains};
use super::violation::{Report, Rule, Violation};
use crate::api::labels;

/// What touches the pods of one class.
#[derive(Default)]
struct Touching {
    spread: Vec<Carried>,
    spread_counting: Vec<usize>,
    /// The affinity that it carries, and whether it matches itself.
    affinity: Option<(usize, bool)>,
    affinity_counting: Vec<usize>,
    apart_carried: Vec<usize>,
    apart_matching: Vec<usize>,
}

impl Touching {
    fn is_nothing(&self) -> bool {
        let Self { spread, spread_counting, affinity, affinity_counting, apart_carried, apart_matching } = self;
        spread.is_empty()
            && [spread_counting, affinity_counting, apart_carried, apart_matching].iter().all(|of| of.is_empty())
            && affinity.is_none()
    }
}

/// What counts pods of some classes.
#[derive(Default)]
struct Touched {
    spread: BTreeSet<usize>,
    affinity: BTreeSet<usize>,
    apart_matching: BTreeSet<usize>,
    apart_carried: BTreeSet<usize>,
}

struct Replay<'a, 'c> {
    cluster: &'c Cluster<'a>,
    keys: Keys<'a>,
    groups: Groups<'a>,
    terms: Terms<'a>,
    /// By class.
    touching: Vec<Touching>,
}

/// Returns for each class how its pods are tied to others.
pub(super) fn check<'a>(
    cluster: &Cluster<'a>,
    classes: &Classes<'a>,
    selections: &mut Selections<'a>,
    report: &mut Report,
) -> Vec<Ties<'a>> {
    let mut replay = Replay::collect(cluster, classes, selections);
    for (slot, pods) in cluster.slots.iter().enumerate().map(|(i, slot)| (i, &slot.residents)) {
        for &pod in pods {
            if !cluster.snapshot.pods[pod].terminating {
                replay.count_for_spread(classes.of_pod[pod], slot, Holds::Surely);
            }
            replay.count_for_affinity(classes.of_pod[pod], slot, Holds::Surely);
        }
    }
    replay.count_daemons(classes);
    let mut open = OpenDomains::default();
    for assignment in &cluster.plan.assignments {
        let (slot, class) = (cluster.slot_of(assignment.target), classes.of_pod[assignment.pod]);
        if !replay.touching[class].is_nothing() && !cluster.slots[slot].shapes.is_empty() {
            let pod = &cluster.snapshot.pods[assignment.pod].key;
            for (rule, text) in replay.faults(class, slot, &mut open, report) {
                report.push(Violation::new(rule, text).pod(pod).node(cluster.slots[slot].name));
            }
            replay.count_for_spread(class, slot, Holds::Surely);
            replay.count_for_affinity(class, slot, Holds::Surely);
        }
    }
    let of_daemons = replay.of_daemons(classes);
    (0..classes.all.len()).map(|class| replay.ties(class, &of_daemons)).collect()
}

/// How the pods of a class are tied to others.
pub(super) struct Ties<'a> {
    /// The topology keys of what the class carries, and of the anti-affinity that other pods direct at it.
    pub keys: BTreeSet<&'a str>,
    /// Some of it looks at pods of daemonsets, which new nodes bring.
    pub minds_daemons: bool,
}

/// Where bound pods keep the pods of a daemonset away.
#[derive(Default)]
struct Repelled {
    /// What is left of its coming, by slot; elsewhere everything.
    slots: BTreeMap<usize, Holds>,
    /// The topology keys, other than the host's, that have such domains.
    keys: BTreeSet<usize>,
}

impl Repelled {
    fn leaves(&self, slot: usize) -> Holds {
        self.slots.get(&slot).copied().unwrap_or(Holds::Surely)
    }
}

impl<'a, 'c> Replay<'a, 'c> {
    fn collect(cluster: &'c Cluster<'a>, classes: &Classes<'a>, selections: &mut Selections<'a>) -> Self {
        let mut keys = Keys::default();
        let mut groups = Groups::default();
        let mut terms = Terms::new(cluster.snapshot);
        let mut touching: Vec<Touching> = Vec::new();
        touching.resize_with(classes.all.len(), Touching::default);
        let mut placed = vec![false; classes.all.len()];
        let mut present = vec![false; classes.all.len()];
        for assignment in &cluster.plan.assignments {
            placed[classes.of_pod[assignment.pod]] = true;
        }
        for &pod in cluster.slots.iter().flat_map(|slot| &slot.residents) {
            present[classes.of_pod[pod]] = true;
        }
        classes.of_daemon_set.iter().for_each(|&class| present[class] = true);
        for class in 0..classes.all.len() {
            if placed[class] {
                touching[class].spread = groups.carried_by(class, cluster, classes, selections, &mut keys);
                touching[class].affinity = terms.affinity_of(class, classes, cluster, &mut keys);
            }
            if placed[class] || present[class] {
                touching[class].apart_carried = terms.anti_affinity_of(class, classes, cluster, &mut keys);
            }
        }
        let mut by_group: BTreeMap<usize, [Vec<usize>; 3]> = BTreeMap::new();
        for class in (0..classes.all.len()).filter(|&class| placed[class] || present[class]) {
            let of = &classes.all[class];
            // equal namespace and labels: the same selectors match
            let [spread, affinity, apart] = by_group
                .entry(of.group)
                .or_insert_with(|| [groups.counting(of), terms.together_with(of), terms.apart_from(of)]);
            touching[class].spread_counting.clone_from(spread);
            touching[class].affinity_counting.clone_from(affinity);
            touching[class].apart_matching.clone_from(apart);
        }
        Self { cluster, keys, groups, terms, touching }
    }

    fn ties(&self, class: usize, of_daemons: &Touched) -> Ties<'a> {
        let touching = &self.touching[class];
        let spread = touching.spread.iter().map(|carried| self.groups.all[carried.group].key);
        let affinity = touching.affinity.iter().flat_map(|&(together, _)| self.terms.together[together].keys());
        let apart = touching.apart_carried.iter().chain(&touching.apart_matching);
        let apart = apart.map(|&apart| self.terms.apart[apart].key);
        let minds_daemons = touching.spread.iter().any(|carried| of_daemons.spread.contains(&carried.group))
            || touching.affinity.iter().any(|(together, _)| of_daemons.affinity.contains(together))
            || touching.apart_carried.iter().any(|apart| of_daemons.apart_matching.contains(apart))
            || touching.apart_matching.iter().any(|apart| of_daemons.apart_carried.contains(apart));
        Ties { keys: spread.chain(affinity).chain(apart).map(|key| self.keys.all[key].name).collect(), minds_daemons }
    }

    /// Everything that counts pods of daemonsets.
    fn of_daemons(&self, classes: &Classes<'a>) -> Touched {
        let mut touched = Touched::default();
        for touching in classes.of_daemon_set.iter().map(|&class| &self.touching[class]) {
            touched.spread.extend(&touching.spread_counting);
            touched.affinity.extend(&touching.affinity_counting);
            touched.apart_matching.extend(&touching.apart_matching);
            touched.apart_carried.extend(&touching.apart_carried);
        }
        touched
    }

    fn domain(&self, key: usize, slot: usize) -> &Domain {
        &self.keys.all[key].domains[slot]
    }

    /// A pod of the class is on the slot from now on, as the spread constraints see it.
    fn count_for_spread(&mut self, class: usize, slot: usize, is_there: Holds) {
        let touching = &self.touching[class];
        let keys = &self.keys;
        for &group in &touching.spread_counting {
            let group = &mut self.groups.all[group];
            group.count(slot, &keys.all[group.key].domains[slot], is_there);
        }
    }

    /// A pod of the class is on the slot from now on, as affinity and anti-affinity see it.
    fn count_for_affinity(&mut self, class: usize, slot: usize, is_there: Holds) {
        let touching = &self.touching[class];
        let keys = &self.keys;
        for &together in &touching.affinity_counting {
            self.terms.together[together].count(slot, keys, is_there);
        }
        for &apart in &touching.apart_matching {
            let apart = &mut self.terms.apart[apart];
            apart.count_matching(&keys.all[apart.key].domains[slot]);
        }
        for &apart in &touching.apart_carried {
            let apart = &mut self.terms.apart[apart];
            apart.count_carrying(&keys.all[apart.key].domains[slot]);
        }
    }

    /// The pods of daemonsets that are still to come, as far as some rule about a placed pod looks at them.
    fn count_daemons(&mut self, classes: &Classes<'a>) {
        let cluster = self.cluster;
        let placed = cluster.plan.assignments.iter().map(|assignment| classes.of_pod[assignment.pod]);
        let placed: BTreeSet<usize> =
            if cluster.snapshot.daemon_sets.is_empty() { BTreeSet::new() } else { placed.collect() };
        let kept_away: BTreeSet<usize> =
            placed.iter().flat_map(|&class| self.touching[class].apart_matching.iter().copied()).collect();
        let repelled: Vec<Repelled> =
            classes.of_daemon_set.iter().map(|&class| self.repelled_by_residents(class)).collect();
        let daemons = cluster.snapshot.daemon_sets.iter().zip(&classes.of_daemon_set).zip(repelled);
        for ((daemon, &class), repelled) in daemons {
            let touching = &self.touching[class];
            if touching.spread_counting.is_empty()
                && touching.affinity_counting.is_empty()
                && touching.apart_matching.is_empty()
                && !touching.apart_carried.iter().any(|apart| kept_away.contains(apart))
            {
                continue;
            }
            for &group in &touching.spread_counting {
                let group = &mut self.groups.all[group];
                let comes =
                    repelled.keys.is_empty() && daemons::comes_with_every_node(daemon, cluster.snapshot, &group.asked);
                group.with_every_node += u32::from(comes);
            }
            let mut of_kind: Vec<Option<Holds>> = vec![None; cluster.kinds];
            for (index, slot) in cluster.slots.iter().enumerate() {
                let comes = || daemons::comes_to(daemon, slot, cluster).min(repelled.leaves(index));
                let is_there = *of_kind[slot.kind].get_or_insert_with(comes);
                if is_there > Holds::No {
                    self.count_for_spread(class, index, is_there);
                    self.count_for_affinity(class, index, is_there);
                }
            }
        }
    }

    /// Where anti-affinity of pods that are bound keeps pods of a class away. Asked before anything else is counted.
    fn repelled_by_residents(&self, class: usize) -> Repelled {
        let mut found = Repelled::default();
        for apart in self.touching[class].apart_matching.iter().map(|&apart| &self.terms.apart[apart]) {
            for slot in 0..self.cluster.slots.len() {
                let domain = self.domain(apart.key, slot);
                if apart.forbids_match(domain) {
                    let is_sure = matches!(domain, Domain::At(_));
                    let left = if is_sure { Holds::No } else { Holds::Perhaps };
                    found.slots.entry(slot).and_modify(|known| *known = left.min(*known)).or_insert(left);
                }
            }
            // on a host that is still to come nobody is there before
            if apart.is_carried() && self.keys.all[apart.key].name != labels::HOSTNAME {
                found.keys.insert(apart.key);
            }
        }
        found
    }

    /// Why kube-scheduler would not bind a pod of the class to the slot now.
    fn faults(&self, class: usize, slot: usize, open: &mut OpenDomains, report: &mut Report) -> Vec<(Rule, String)> {
        let touching = &self.touching[class];
        let mut found = Vec::new();
        for carried in &touching.spread {
            let group = &self.groups.all[carried.group];
            let key = &self.keys.all[group.key];
            match self.domain(group.key, slot) {
                Domain::Absent => {
                    found.push((Rule::TopologySpread, format!("the node lacks the topology key {}", key.name)));
                }
                Domain::Open { .. } => open.report(slot, group.key, &self.keys, self.cluster, report),
                Domain::At(domain) => {
                    if let Some((count, minimum)) = group.refuses(carried, *domain) {
                        let (name, of) = (key.names[*domain], key.name);
                        let text = format!("{of} {name} would have {count} matching pods, the least has {minimum}");
                        found.push((Rule::TopologySpread, text));
                    } else if let Some(count) = group.refuses_with_openable(carried, *domain) {
                        let (name, of) = (key.names[*domain], key.name);
                        let to_come = match group.with_every_node {
                            0 => "none".to_owned(),
                            pods => pods.to_string(),
                        };
                        let text = format!(
                            "{of} {name} would have {count} matching pods, one that a pool could open {to_come}"
                        );
                        found.push((Rule::OpenableSpread, text));
                    }
                }
            }
        }
        if let Some((together, matches_itself)) = touching.affinity {
            match self.terms.together[together].ask(slot, matches_itself, &self.keys) {
                Verdict::Holds => {}
                Verdict::Fails => {
                    let text = "no pod that the pod's affinity asks for is in its domain at its turn".to_owned();
                    found.push((Rule::PodAffinity, text));
                }
                Verdict::Open(key) => open.report(slot, key, &self.keys, self.cluster, report),
            }
        }
        let forbidden = |apart: usize, carries: bool| {
            let apart = &self.terms.apart[apart];
            let domain = self.domain(apart.key, slot);
            let clash = if carries { apart.forbids_carrier(domain) } else { apart.forbids_match(domain) };
            clash.then(|| {
                let whose = if carries { "the pod's" } else { "another pod's" };
                let key = self.keys.all[apart.key].name;
                (Rule::PodAntiAffinity, format!("{whose} anti-affinity on {key} keeps it away"))
            })
        };
        found.extend(touching.apart_carried.iter().filter_map(|&apart| forbidden(apart, true)));
        found.extend(touching.apart_matching.iter().filter_map(|&apart| forbidden(apart, false)));
        found
    }
}
