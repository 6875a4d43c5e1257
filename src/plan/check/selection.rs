//! Node selectors and required node affinity, as kube-scheduler's NodeAffinity filter reads them.
//!
//! The selector holds for every label; of the affinity's terms one must hold with all its expressions; a term without
//! expressions selects nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::cluster::{Cluster, Slot};
use super::shape::{Known, Shape};
use crate::observe::snapshot::{Labels, NodeAffinityTerm, PodSpec};

/// Whether something is so for what a node may turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holds {
    No,
    /// It depends on what the cloud decides.
    Perhaps,
    Surely,
}

/// What a pod demands of its node's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Selection<'a> {
    pub node_selector: &'a Labels,
    pub node_affinity: &'a [NodeAffinityTerm],
}

impl<'a> Selection<'a> {
    pub(super) fn of(spec: &'a PodSpec) -> Self {
        Self { node_selector: &spec.node_selector, node_affinity: &spec.node_affinity }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.node_selector.is_empty() && self.node_affinity.is_empty()
    }

    /// Whether a node is selected. `label` is the node's side.
    pub(super) fn holds<'n>(&self, label: impl Fn(&str) -> Known<'n>) -> Holds {
        let selected = |(key, wanted): (&Arc<str>, &Arc<str>)| match label(key) {
            Known::Value(value) => value == wanted.as_ref(),
            Known::OneOf(values) => values.len() == 1 && values.contains(wanted),
            Known::Absent | Known::Fresh | Known::Unknown => false,
        };
        let surely = self.node_selector.iter().all(selected)
            && (self.node_affinity.is_empty()
                || self.node_affinity.iter().any(|term| !term.0.is_empty() && term_holds(term, &label)));
        let mut keys = self.node_selector.keys().chain(self.node_affinity.iter().flat_map(|term| term.0.keys()));
        if surely {
            Holds::Surely
        } else if keys.any(|key| matches!(label(key), Known::OneOf(_) | Known::Unknown)) {
            Holds::Perhaps
        } else {
            Holds::No
        }
    }
}

/// Whether every expression of a term holds.
pub(super) fn term_holds<'n>(term: &NodeAffinityTerm, label: &impl Fn(&str) -> Known<'n>) -> bool {
    term.0.iter().all(|(key, requirement)| label(key).meets(requirement))
}

/// Selections by identity, and where each holds.
#[derive(Default)]
pub(super) struct Selections<'a> {
    index: HashMap<Selection<'a>, usize>,
    all: Vec<Asked<'a>>,
}

struct Asked<'a> {
    selection: Selection<'a>,
    by_shape: Vec<Option<Holds>>,
    by_kind: Vec<Option<Holds>>,
}

impl<'a> Selections<'a> {
    pub(super) fn intern(&mut self, selection: Selection<'a>) -> usize {
        let next = self.all.len();
        let id = *self.index.entry(selection).or_insert(next);
        if id == next {
            self.all.push(Asked { selection, by_shape: Vec::new(), by_kind: Vec::new() });
        }
        id
    }

    pub(super) fn holds(&mut self, id: usize, shape: usize, shapes: &[Shape<'a>]) -> Holds {
        let Asked { selection, by_shape, .. } = &mut self.all[id];
        if selection.is_empty() {
            return Holds::Surely;
        }
        if by_shape.is_empty() {
            by_shape.resize(shapes.len(), None);
        }
        *by_shape[shape].get_or_insert_with(|| selection.holds(|key| shapes[shape].label(key)))
    }

    /// Over all shapes of a slot: what they agree on, else `Perhaps`; `No` where there is none.
    pub(super) fn holds_on(&mut self, id: usize, slot: &Slot<'a>, cluster: &Cluster<'a>) -> Holds {
        if let Some(&Some(known)) = self.all[id].by_kind.get(slot.kind) {
            return known;
        }
        let over_shapes = slot.shapes.iter().map(|&shape| self.holds(id, shape, &cluster.shapes));
        let all = over_shapes.reduce(|a, b| if a == b { a } else { Holds::Perhaps }).unwrap_or(Holds::No);
        let by_kind = &mut self.all[id].by_kind;
        by_kind.resize(cluster.kinds, None);
        by_kind[slot.kind] = Some(all);
        all
    }
}
