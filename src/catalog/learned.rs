//! What nodes really have, where one of the same kind has been seen: predictions of memory are off by a little, and nodes that are
//! packed to the last byte have no slack for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::InstanceType;
use crate::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Resources};

/// What tells nodes apart that have different amounts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeKind {
    /// The name of the instance type.
    pub instance_type: Arc<str>,
    /// The machine image.
    pub image_id: Arc<str>,
    /// [`crate::api::ec2_node_class::EC2NodeClassSpec::static_hash`] of the class: it has the kubelet's reserves.
    pub class_hash: Arc<str>,
}

/// Amounts of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    capacity: Resources,
    allocatable: Resources,
}

/// Amounts of all kinds of nodes that were seen; of several nodes of a kind the least of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned(BTreeMap<NodeKind, Seen>);

/// The resources that are learned; devices come and go with their plugins.
const RESOURCES: [&str; 4] = [CPU, MEMORY, EPHEMERAL_STORAGE, PODS];

impl Learned {
    /// Takes a node in. Whether anything is different now.
    pub fn note(&mut self, kind: NodeKind, capacity: &Resources, allocatable: &Resources) -> bool {
        // a node that has not counted yet says 0, or nothing
        if [capacity, allocatable].iter().any(|of| of.get(MEMORY) <= 0 || of.get(CPU) <= 0) {
            return false;
        }
        let known = |of: &Resources| -> Resources {
            of.iter()
                .filter(|(name, _)| RESOURCES.contains(&&***name))
                .map(|(name, amount)| (name.clone(), amount))
                .collect()
        };
        let new = Seen { capacity: known(capacity), allocatable: known(allocatable) };
        match self.0.get_mut(&kind) {
            None => {
                self.0.insert(kind, new);
                true
            }
            Some(seen) => {
                let before = seen.clone();
                lower(&mut seen.capacity, &new.capacity);
                lower(&mut seen.allocatable, &new.allocatable);
                *seen != before
            }
        }
    }

    /// The number of kinds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no node was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes a type what nodes of its kind really are: memory exactly, the rest never more than predicted. Whether one was seen; a
    /// type of which none was has the margin of the settings instead.
    pub(super) fn apply(&self, kind: &NodeKind, to: &mut InstanceType) -> bool {
        let Some(seen) = self.0.get(kind) else { return false };
        for (amounts, seen) in [(&mut to.capacity, &seen.capacity), (&mut to.allocatable, &seen.allocatable)] {
            lower(amounts, seen);
            amounts.set(MEMORY, seen.get(MEMORY));
        }
        true
    }
}

fn lower(amounts: &mut Resources, to: &Resources) {
    for (name, amount) in to.iter() {
        let least = if amounts.contains(name) { amounts.get(name).min(amount) } else { amount };
        amounts.set(name.clone(), least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(image: &str) -> NodeKind {
        NodeKind { instance_type: "m5.large".into(), image_id: image.into(), class_hash: "h".into() }
    }

    fn amounts(cpu: i64, memory: i64) -> Resources {
        Resources::new().with(CPU, cpu).with(MEMORY, memory).with("nvidia.com/gpu", 1)
    }

    #[test]
    fn the_least_of_each_counts_and_only_changes_are_news() {
        let mut learned = Learned::default();
        assert!(learned.note(kind("ami-1"), &amounts(2_000, 900), &amounts(1_900, 800)));
        assert!(!learned.note(kind("ami-1"), &amounts(2_000, 950), &amounts(1_950, 850)));
        assert!(learned.note(kind("ami-1"), &amounts(2_000, 890), &amounts(1_900, 790)));
        assert!(!learned.note(kind("ami-2"), &amounts(2_000, 0), &amounts(1_900, 0)), "it has not counted yet");
        let mut of = crate::catalog::kwok::instance_types().remove(0);
        of.capacity = amounts(4_000, 1_000);
        of.allocatable = amounts(1_800, 700);
        assert!(learned.apply(&kind("ami-1"), &mut of));
        assert_eq!((of.capacity.get(CPU), of.capacity.get(MEMORY)), (2_000, 890));
        assert_eq!((of.allocatable.get(CPU), of.allocatable.get(MEMORY)), (1_800, 790), "memory may also be more");
        assert_eq!(of.capacity.get("nvidia.com/gpu"), 1);
        assert!(!learned.apply(&kind("ami-2"), &mut of));
    }
}
