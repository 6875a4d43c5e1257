//! A group with some of its preferences given up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::model::{Placement, Problem, SoftTaints, Source, admits, volume_alternatives};
use crate::observe::snapshot::{PodSpec, Taint, TaintEffect, WhenUnsatisfiable};
use crate::requirements::Requirements;
use crate::settings::PreferencePolicy;
use crate::solve::sets::{RequirementSets, SetId};

pub type VariantId = usize;

/// A group after some steps of relaxation, and what has been learned about where it cannot go.
#[derive(Debug)]
pub struct Variant {
    pub group: usize,
    /// Node requirements; one set for each alternative of the pod's volumes, tried in order.
    pub alternatives: Vec<SetId>,
    /// Topologies that it must obey.
    pub active: Vec<Placement>,
    /// By pool of the problem.
    pub tolerates: Vec<bool>,
    pub soft_taints: SoftTaints,
    /// Existing nodes that may still take it; a node that refuses for good is dropped.
    pub nodes: Vec<usize>,
    /// Open nodes that may still take it, fewest pods first; counts may be stale, one that refuses for good is dropped.
    pub open: BinaryHeap<Reverse<(usize, usize)>>,
    /// How many open nodes have been entered into `open`.
    pub seen: usize,
    /// No pool can open a node for it, whatever happens.
    pub hopeless: bool,
}

/// What is left of a pod's preferences.
#[derive(Debug, Clone)]
struct Relaxation {
    /// Index of the required node affinity term in use.
    term: usize,
    preferred_affinity: Vec<usize>,
    preferred_anti_affinity: Vec<usize>,
    preferred_node_affinity: Vec<usize>,
    schedule_anyway: Vec<usize>,
    soft_taints: SoftTaints,
}

/// All variants, made when first needed.
#[derive(Debug)]
pub struct Variants {
    all: Vec<Variant>,
    steps: HashMap<(usize, usize), Option<VariantId>>,
    relaxations: Vec<Vec<Relaxation>>,
    prefer_no_schedule_exists: bool,
}

impl Variants {
    pub fn new(problem: &Problem) -> Self {
        let is_soft = |taint: &Taint| taint.effect == TaintEffect::PreferNoSchedule;
        Self {
            all: Vec::new(),
            steps: HashMap::new(),
            relaxations: vec![Vec::new(); problem.groups.len()],
            prefer_no_schedule_exists: problem.pools.iter().any(|pool| pool.pool.taints.iter().any(is_soft)),
        }
    }

    pub fn get(&self, id: VariantId) -> &Variant {
        &self.all[id]
    }

    pub fn get_mut(&mut self, id: VariantId) -> &mut Variant {
        &mut self.all[id]
    }

    /// Lets every open node be asked again: what refused it for good may have changed.
    pub fn forget_refusals(&mut self, problem: &Problem) {
        for variant in &mut self.all {
            variant.nodes = (0..problem.nodes.len()).collect();
            variant.open.clear();
            variant.seen = 0;
        }
    }

    /// The group after `step` steps of relaxation; `None` when nothing is left to give up.
    pub fn at(
        &mut self,
        problem: &Problem,
        sets: &mut RequirementSets,
        group: usize,
        step: usize,
    ) -> Option<VariantId> {
        if let Some(&known) = self.steps.get(&(group, step)) {
            return known;
        }
        let spec = problem.groups[group].spec();
        if let Some(before) = step.checked_sub(1) {
            self.at(problem, sets, group, before)?;
        }
        let relaxation = match step.checked_sub(1) {
            None => Some(Relaxation::initial(spec, problem.snapshot.settings.preference_policy)),
            Some(last) => self.relaxations[group][last].clone().relaxed(spec, self.prefer_no_schedule_exists),
        };
        let id = relaxation.map(|relaxation| {
            let variant = variant(problem, sets, group, &relaxation);
            self.relaxations[group].push(relaxation);
            self.all.push(variant);
            self.all.len() - 1
        });
        self.steps.insert((group, step), id);
        id
    }
}

impl Relaxation {
    fn initial(spec: &PodSpec, policy: PreferencePolicy) -> Self {
        let soft_spread = |i: &usize| spec.topology_spread[*i].when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway;
        let respected = policy == PreferencePolicy::Respect;
        let when = |indices: Vec<usize>| if respected { indices } else { Vec::new() };
        Self {
            term: 0,
            preferred_affinity: when(by_weight(spec.preferred_pod_affinity.iter().map(|(w, _)| *w))),
            preferred_anti_affinity: when(by_weight(spec.preferred_pod_anti_affinity.iter().map(|(w, _)| *w))),
            preferred_node_affinity: when(by_weight(spec.preferred_node_affinity.iter().map(|(w, _)| *w))),
            schedule_anyway: when((0..spec.topology_spread.len()).filter(soft_spread).collect()),
            soft_taints: SoftTaints::Count,
        }
    }

    /// One step further, in the order of karpenter-core 2.6; `None` at the end.
    fn relaxed(mut self, spec: &PodSpec, prefer_no_schedule_exists: bool) -> Option<Self> {
        if self.term + 1 < spec.node_affinity.len() {
            self.term += 1;
        } else if !self.preferred_affinity.is_empty() {
            self.preferred_affinity.remove(0);
        } else if !self.preferred_anti_affinity.is_empty() {
            self.preferred_anti_affinity.remove(0);
        } else if !self.preferred_node_affinity.is_empty() {
            self.preferred_node_affinity.remove(0);
        } else if !self.schedule_anyway.is_empty() {
            self.schedule_anyway.swap_remove(0);
        } else if prefer_no_schedule_exists && self.soft_taints == SoftTaints::Count {
            self.soft_taints = SoftTaints::Ignore;
        } else {
            return None;
        }
        Some(self)
    }

    fn keeps(&self, source: Source, spec: &PodSpec) -> bool {
        match source {
            Source::PreferredAffinity(i) => self.preferred_affinity.contains(&i),
            Source::PreferredAntiAffinity(i) => self.preferred_anti_affinity.contains(&i),
            Source::Spread(i) => source.is_required(spec) || self.schedule_anyway.contains(&i),
            Source::Affinity(_) | Source::AntiAffinity(_) => true,
        }
    }
}

/// Indices, heaviest first, manifest order among equals.
fn by_weight(weights: impl Iterator<Item = i32>) -> Vec<usize> {
    let mut indices: Vec<(Reverse<i32>, usize)> = weights.enumerate().map(|(i, weight)| (Reverse(weight), i)).collect();
    indices.sort_unstable();
    indices.into_iter().map(|(_, i)| i).collect()
}

fn variant(problem: &Problem, sets: &mut RequirementSets, group: usize, relaxation: &Relaxation) -> Variant {
    let model = &problem.groups[group];
    let spec = model.spec();
    let mut node = Requirements::from_labels(&spec.node_selector);
    if let Some(term) = spec.node_affinity.get(relaxation.term) {
        node.add_all(&term.0);
    }
    if let Some(&heaviest) = relaxation.preferred_node_affinity.first() {
        node.add_all(&spec.preferred_node_affinity[heaviest].1.0);
    }
    let soft_taints = relaxation.soft_taints;
    let tolerates = problem.pools.iter().map(|pool| admits(spec, &pool.pool.taints, soft_taints)).collect();
    Variant {
        group,
        alternatives: volume_alternatives(spec, &node).into_iter().map(|set| sets.intern(set)).collect(),
        active: model.carried.iter().copied().filter(|p| relaxation.keeps(p.source, spec)).collect(),
        tolerates,
        soft_taints,
        nodes: (0..problem.nodes.len()).collect(),
        open: BinaryHeap::new(),
        seen: 0,
        hopeless: false,
    }
}
