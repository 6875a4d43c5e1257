//! Selectors by a label that they demand, so that a pod is held against few of them.

use std::collections::HashMap;

use crate::observe::snapshot::{LabelSelector, Labels};

/// Indices of selectors.
#[derive(Debug, Default)]
pub(super) struct Demanded<'a> {
    /// By key and value: those that demand this label, or one of several values of its key.
    by_label: HashMap<(&'a str, &'a str), Vec<usize>>,
    /// Those that demand no label.
    others: Vec<usize>,
}

impl<'a> Demanded<'a> {
    pub fn add(&mut self, index: usize, selector: &'a LabelSelector) {
        let LabelSelector::Matching(requirements) = selector else { return };
        let demands = requirements.iter().filter(|r| !r.requirement.allows_absence());
        let values = demands.filter_map(|r| Some((r.key.as_ref(), r.requirement.finite_values()?)));
        match values.min_by_key(|(_, values)| values.len()) {
            Some((key, values)) => {
                for value in values {
                    self.by_label.entry((key, value.as_ref())).or_default().push(index);
                }
            }
            None => self.others.push(index),
        }
    }

    /// The selectors that may match these labels, ascending; no other one does.
    pub fn candidates(&self, labels: &Labels) -> Vec<usize> {
        let labelled = labels.iter().filter_map(|(key, value)| self.by_label.get(&(key.as_ref(), value.as_ref())));
        let mut found: Vec<usize> = labelled.flatten().chain(&self.others).copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}
