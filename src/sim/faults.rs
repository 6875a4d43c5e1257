//! What goes wrong, when.

use std::time::Duration;

use serde_json::json;

use super::api::{is_deleting, subject_of};
use super::queue::after;
use super::scenario::Faults;
use super::{Happening, Simulation};
use crate::controller::{Event, Subject};
use crate::observe::objects::KINDS;

/// Something that happens again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    DroppedWatch,
    Restart,
    LeaderChange,
    InsufficientCapacity,
    Vanishing,
    SpotInterruption,
    DeletedNode,
}

const ALL: [Fault; 7] = [
    Fault::DroppedWatch,
    Fault::Restart,
    Fault::LeaderChange,
    Fault::InsufficientCapacity,
    Fault::Vanishing,
    Fault::SpotInterruption,
    Fault::DeletedNode,
];

/// The notice that EC2 gives.
const NOTICE: Duration = Duration::from_secs(120);

impl Fault {
    fn every(self, faults: &Faults) -> Option<Duration> {
        match self {
            Self::DroppedWatch => faults.dropped_watches,
            Self::Restart => faults.restarts,
            Self::LeaderChange => faults.leader_changes,
            Self::InsufficientCapacity => faults.insufficient_capacity,
            Self::Vanishing => faults.vanishing,
            Self::SpotInterruption => faults.spot_interruptions,
            Self::DeletedNode => faults.deleted_nodes,
        }
    }
}

impl Simulation<'_> {
    pub(super) fn begin_faults(&mut self) {
        for fault in ALL {
            self.plan_next(fault);
        }
    }

    fn plan_next(&mut self, fault: Fault) {
        if let Some(every) = fault.every(&self.scenario.spec.faults).filter(|every| !every.is_zero()) {
            let span = self.random_span(every);
            self.queue.put(after(self.now, span), Happening::Fault(fault));
        }
    }

    pub(super) fn go_wrong(&mut self, fault: Fault) {
        if self.is_settling {
            return;
        }
        self.plan_next(fault);
        match fault {
            Fault::DroppedWatch => {
                let kind = KINDS[self.index(KINDS.len())].name;
                let span = self.random_span(Duration::from_secs(10));
                self.drop_watch(kind, span);
            }
            Fault::Restart => self.restart(Duration::from_secs(2)),
            Fault::LeaderChange => self.restart(Duration::from_secs(16)),
            Fault::InsufficientCapacity => self.cloud.become_scarce(&mut self.random, self.now),
            Fault::Vanishing => {
                let running: Vec<_> = self.cloud.running().map(|(id, _)| id.clone()).collect();
                if let Some(id) = self.one_of(&running) {
                    self.lose_instance(&id);
                }
            }
            Fault::SpotInterruption => {
                let spot = self.cloud.spot();
                if let Some(id) = self.one_of(&spot) {
                    let heard = after(self.now, Duration::from_secs(1));
                    self.queue.put(
                        heard,
                        Happening::Heard(self.life, Box::new(Event::Interrupted { provider_id: id.clone() })),
                    );
                    self.queue.put(after(self.now, NOTICE), Happening::Ends(id));
                }
            }
            Fault::DeletedNode => {
                let nodes: Vec<Subject> = self
                    .api
                    .all("Node")
                    .filter(|(_, node)| !is_deleting(node))
                    .map(|(_, node)| subject_of("Node", node))
                    .collect();
                if let Some(node) = self.one_of(&nodes) {
                    let now = self.now;
                    drop(self.api.delete(&node, None, None, now));
                }
            }
        }
    }

    /// An instance ends without the controller.
    pub(super) fn lose_instance(&mut self, id: &std::sync::Arc<str>) {
        if self.cloud.get(id).is_some_and(super::cloud::Running::runs) {
            self.cloud.end(id, self.now);
            self.fall_silent(id);
        }
    }

    /// Somebody else changes an object.
    pub(super) fn meddle(&mut self, subject: &Subject) {
        self.meddled += 1;
        let body = json!({"metadata": {"annotations": {"example.com/touched": self.meddled.to_string()}}});
        drop(self.api.patch(subject, &body, false));
    }

    /// Whether something of this chance happens.
    pub(super) fn happens(&mut self, chance: f64) -> bool {
        if chance <= 0.0 || self.is_settling {
            return false;
        }
        self.fraction() < chance
    }

    #[allow(clippy::cast_precision_loss)] // chances
    fn fraction(&mut self) -> f64 {
        (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time with this mean: what happens by chance, again and again.
    pub(super) fn random_span(&mut self, mean: Duration) -> Duration {
        let factor = -(1.0 - self.fraction()).ln();
        mean.mul_f64(factor.clamp(0.001, 10.0))
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.random.next() % length.max(1) as u64).unwrap_or(0)
    }

    fn one_of<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        if items.is_empty() {
            return None;
        }
        let index = self.index(items.len());
        items.get(index).cloned()
    }
}
