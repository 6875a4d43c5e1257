//! When to decide: pods that come shortly one after another are planned together.
//!
//! Source: the reference's `provisioning/batcher.go` (karpenter-core 3).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::turn::Turn;

/// Pods for which there is no place are planned anew so often, as the reference does.
const AGAIN: Duration = Duration::from_secs(10);

/// The pods of a batch that is not closed yet, and those that were planned and are still waiting.
#[derive(Debug, Default)]
pub(super) struct Batch {
    open: Option<Window>,
    /// Uids of the last decision's pods; they open no batch before their time.
    answered: HashSet<Arc<str>>,
    /// When they do.
    again: Option<Timestamp>,
}

#[derive(Debug)]
struct Window {
    pods: HashSet<Arc<str>>,
    first: Timestamp,
    last: Timestamp,
}

impl Batch {
    /// Notes which pods have a node coming: where it does not come, they are planned as soon as new ones.
    pub fn leave(&mut self, coming: &HashMap<Arc<str>, Arc<str>>) {
        self.answered.retain(|pod| !coming.contains_key(pod));
    }

    /// There is more to buy than when they were planned: they are planned as soon as new ones.
    pub fn reopen(&mut self) {
        self.answered.clear();
    }

    /// Whether no pod waits that has not been planned.
    pub fn is_at_rest(&self) -> bool {
        self.open.is_none()
    }

    /// Whether to decide now; `waiting`: the uids of pods that have no node coming, and what waits like a pod. Most steps find
    /// what the one before them found: then nothing is copied.
    pub fn step(&mut self, waiting: &[&str], turn: &mut Turn<'_>) -> bool {
        if waiting.is_empty() {
            *self = Self::default();
            return false;
        }
        let now = turn.now;
        if self.again.is_some_and(|again| turn.is_time(again)) {
            self.answered.clear();
            self.again = None;
        }
        let answered = &self.answered;
        let fresh: Vec<&str> = waiting.iter().copied().filter(|pod| !answered.contains(*pod)).collect();
        if fresh.is_empty() {
            self.open = None;
            return false;
        }
        let window = self.open.get_or_insert_with(|| Window { pods: HashSet::new(), first: now, last: now });
        let has_grown = fresh.iter().any(|pod| !window.pods.contains(*pod));
        if has_grown {
            window.last = now;
        }
        if has_grown || fresh.len() != window.pods.len() {
            window.pods = fresh.into_iter().map(Arc::from).collect();
        }
        let end = (window.last + turn.settings.batch_idle).min(window.first + turn.settings.batch_max);
        if !turn.is_time(end) {
            return false;
        }
        self.open = None;
        self.answered = waiting.iter().copied().map(Arc::from).collect();
        self.again = Some(now + AGAIN);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Step;
    use crate::controller::settings::ControllerSettings;
    use crate::controller::writes::Writes;

    /// Whether it decides at a time, in milliseconds, with these pods waiting.
    fn at(batch: &mut Batch, millis: i64, pods: &[&str]) -> bool {
        let (settings, mut writes, mut step) = (ControllerSettings::default(), Writes::default(), Step::default());
        let now = Timestamp::from_millisecond(millis).unwrap();
        let mut turn = Turn { now, settings: &settings, writes: &mut writes, step: &mut step };
        batch.step(pods, &mut turn)
    }

    #[test]
    fn a_batch_waits_for_more_while_they_come_and_no_longer() {
        let mut batch = Batch::default();
        assert!(!at(&mut batch, 0, &["a"]));
        assert!(!at(&mut batch, 900, &["a", "b"]), "another one");
        assert!(!at(&mut batch, 1_500, &["a", "b"]));
        assert!(at(&mut batch, 1_900, &["a", "b"]), "idle for a second");
        let mut batch = Batch::default();
        let mut pods = Vec::new();
        for tenth in 0..100 {
            pods.push(format!("{tenth}"));
            let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
            assert!(!at(&mut batch, tenth * 100, &pods), "{tenth}");
        }
        let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
        assert!(at(&mut batch, 10_000, &pods), "they still come");
    }

    #[test]
    fn pods_without_a_place_are_planned_again_after_a_while_and_at_once_beside_new_ones() {
        let mut batch = Batch::default();
        assert!(!at(&mut batch, 0, &["a"]) && at(&mut batch, 1_000, &["a"]));
        assert!(!at(&mut batch, 5_000, &["a"]), "it was answered");
        assert!(!at(&mut batch, 6_000, &["a", "b"]) && at(&mut batch, 7_000, &["a", "b"]));
        assert!(!at(&mut batch, 16_000, &["a", "b"]));
        assert!(!at(&mut batch, 17_000, &["a", "b"]), "ten seconds: a batch of its own");
        assert!(at(&mut batch, 18_000, &["a", "b"]));
    }

    #[test]
    fn pods_are_planned_at_once_where_there_is_more_to_buy() {
        let mut batch = Batch::default();
        assert!(!at(&mut batch, 0, &["a"]) && at(&mut batch, 1_000, &["a"]));
        batch.reopen();
        assert!(!at(&mut batch, 2_000, &["a"]) && at(&mut batch, 3_000, &["a"]));
    }

    #[test]
    fn pods_whose_node_does_not_come_are_planned_at_once() {
        let mut batch = Batch::default();
        assert!(!at(&mut batch, 0, &["a"]) && at(&mut batch, 1_000, &["a"]));
        batch.leave(&HashMap::from([("a".into(), "node".into())]));
        assert!(!at(&mut batch, 2_000, &["a"]) && at(&mut batch, 3_000, &["a"]), "a batch of its own");
    }
}
