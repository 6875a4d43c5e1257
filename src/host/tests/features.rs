//! What the generated worlds exercise: a property that never meets a rule says nothing about it.

use std::collections::BTreeMap;

use crate::observe::Snapshot;

/// Feature -> in how many worlds it occurred.
#[derive(Debug, Default)]
pub struct Features(pub BTreeMap<&'static str, usize>);

impl Features {
    pub fn count(&mut self, _snapshot: &Snapshot) {}
}
