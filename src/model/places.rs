//! Which domain a node is in, remembered while bound pods are counted.

use super::DomainId;
use crate::observe::Snapshot;

/// In which domain of a topology each node is, by index into `Snapshot::nodes`, as far as it was asked for: a rule counts many pods of
/// one node.
pub(super) struct Places(Vec<Place>);

#[derive(Clone, Copy)]
enum Place {
    Unasked,
    /// `None`: in none that counts.
    Known(Option<DomainId>),
}

impl Places {
    pub fn new(snapshot: &Snapshot) -> Self {
        Self(vec![Place::Unasked; snapshot.nodes.len()])
    }

    pub fn get_or_find(&mut self, node: usize, find: impl FnOnce() -> Option<DomainId>) -> Option<DomainId> {
        if let Place::Known(known) = self.0[node] {
            return known;
        }
        let found = find();
        self.0[node] = Place::Known(found);
        found
    }
}
