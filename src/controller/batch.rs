//! When to decide: pods that come shortly one after another are planned together.
//!
//! Source: the reference's `provisioning/batcher.go` (karpenter-core 3).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::said::Said;
use super::turn::Turn;

/// Pods for which there is no place are planned anew so often, as the reference does.
const AGAIN: Duration = Duration::from_secs(10);

/// The pods of a batch that is not closed yet, and those that were planned and are still waiting.
#[derive(Debug, Default)]
pub(super) struct Batch {
    open: Option<Window>,
    /// Uids of the last decision's pods; they open no batch before their time.
    answered: BTreeSet<Arc<str>>,
    /// When they do.
    again: Option<Timestamp>,
}

#[derive(Debug)]
struct Window {
    pods: BTreeSet<Arc<str>>,
    first: Timestamp,
    last: Timestamp,
}

impl Batch {
    /// Whether to decide now; `waiting`: the uids of pods that have no node coming.
    pub fn step(&mut self, waiting: &BTreeSet<Arc<str>>, turn: &mut Turn<'_>) -> bool {
        if waiting.is_empty() {
            *self = Self::default();
            return false;
        }
        let now = turn.now;
        if self.again.is_some_and(|again| turn.is_due(again)) {
            self.answered.clear();
            self.again = None;
        }
        let fresh: BTreeSet<Arc<str>> = waiting.difference(&self.answered).cloned().collect();
        if fresh.is_empty() {
            self.open = None;
            return false;
        }
        let window = self.open.get_or_insert_with(|| Window { pods: BTreeSet::new(), first: now, last: now });
        if !fresh.is_subset(&window.pods) {
            window.last = now;
        }
        window.pods = fresh;
        let end = (window.last + turn.settings.batch_idle).min(window.first + turn.settings.batch_max);
        if !turn.is_due(end) {
            return false;
        }
        turn.say(Said::FoundPods { pods: waiting.len() });
        self.open = None;
        self.answered.clone_from(waiting);
        self.again = Some(now + AGAIN);
        true
    }
}
