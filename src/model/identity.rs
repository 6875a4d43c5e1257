//! What makes two topology constraints the same one, and which pods a constraint selects.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::topology::{TopologyId, TopologyKind};
use super::{KeyId, NodeFilter};
use crate::observe::snapshot::{LabelSelector, PodTemplate, SelectorRequirement};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub kind: TopologyKind,
    pub key: KeyId,
    pub namespaces: BTreeSet<Arc<str>>,
    pub selector: LabelSelector,
    /// The other required affinity terms of the pod: a pod counts only if it matches all of them.
    pub also: Vec<(BTreeSet<Arc<str>>, LabelSelector)>,
    pub filter: NodeFilter,
}

impl Identity {
    pub fn selects(&self, namespace: &Arc<str>, template: &PodTemplate) -> bool {
        let matches = |namespaces: &BTreeSet<Arc<str>>, selector: &LabelSelector| {
            namespaces.contains(namespace) && selector.matches(&template.labels)
        };
        matches(&self.namespaces, &self.selector) && self.also.iter().all(|(n, s)| matches(n, s))
    }
}

/// Identities by one label that a pod must have, so that a pod is held against few of them.
pub(super) struct Selecting {
    by_label: HashMap<(Arc<str>, Arc<str>), Vec<TopologyId>>,
    /// Those that demand no particular label.
    others: Vec<TopologyId>,
}

impl Selecting {
    pub fn of(identities: &[Identity]) -> Self {
        let mut selecting = Self { by_label: HashMap::new(), others: Vec::new() };
        for (id, identity) in identities.iter().enumerate() {
            let LabelSelector::Matching(requirements) = &identity.selector else { continue };
            let values_of = |r: &SelectorRequirement| {
                let values = r.requirement.finite_values().filter(|_| !r.requirement.allows_absence())?;
                Some((r.key.clone(), values.iter().cloned().collect::<Vec<_>>()))
            };
            let fewest = requirements.iter().filter_map(values_of).min_by_key(|(_, values)| values.len());
            let Some((key, values)) = fewest else {
                selecting.others.push(id);
                continue;
            };
            for value in values {
                selecting.by_label.entry((key.clone(), value)).or_default().push(id);
            }
        }
        selecting
    }

    /// The identities whose selectors match a pod, ascending.
    pub fn pod(&self, identities: &[Identity], namespace: &Arc<str>, template: &PodTemplate) -> Vec<TopologyId> {
        let labelled = template.labels.iter();
        let labelled = labelled.filter_map(|(key, value)| self.by_label.get(&(key.clone(), value.clone()))).flatten();
        let candidates = labelled.chain(&self.others).copied();
        let mut found: Vec<TopologyId> = candidates.filter(|&id| identities[id].selects(namespace, template)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}
