//! What goes wrong, when. The times are the same whatever the controller does; whom it hits depends on what is there.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::api::{is_deleting, subject_of};
use super::chance::{Draw, Purpose};
use super::queue::after;
use super::scenario::Faults;
use super::{Happening, Simulation};
use crate::controller::Subject;
use crate::observe::objects::KINDS;

/// Something that happens again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    DroppedWatch,
    Restart,
    LeaderChange,
    PausedLeader,
    InsufficientCapacity,
    Vanishing,
    SpotInterruption,
    DeletedNode,
    NotReady,
    BlockedBudget,
}

const ALL: [Fault; 10] = [
    Fault::DroppedWatch,
    Fault::Restart,
    Fault::LeaderChange,
    Fault::PausedLeader,
    Fault::InsufficientCapacity,
    Fault::Vanishing,
    Fault::SpotInterruption,
    Fault::DeletedNode,
    Fault::NotReady,
    Fault::BlockedBudget,
];

/// What is silent for a while is so for this long on average, and at most so long.
const WATCH: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));
const LEADER: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(120));
const KUBELET: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(240));
/// No pod of a budget may be evicted for so long at most.
const BLOCKED: Duration = Duration::from_secs(3_600);

impl Fault {
    fn every(self, faults: &Faults) -> Option<Duration> {
        match self {
            Self::DroppedWatch => faults.dropped_watches,
            Self::Restart => faults.restarts,
            Self::LeaderChange => faults.leader_changes,
            Self::PausedLeader => faults.paused_leaders,
            Self::InsufficientCapacity => faults.insufficient_capacity,
            Self::Vanishing => faults.vanishing,
            Self::SpotInterruption => faults.spot_interruptions,
            Self::DeletedNode => faults.deleted_nodes,
            Self::NotReady => faults.not_ready,
            Self::BlockedBudget => faults.blocked_budgets,
        }
    }
}

impl Simulation<'_> {
    pub(super) fn begin_faults(&mut self) {
        for fault in ALL {
            self.plan_next(fault);
        }
    }

    /// Nothing goes wrong any more when everything is to come to rest.
    pub(super) fn faults(&self) -> &Faults {
        if self.is_settling { &self.no_faults } else { &self.scenario.spec.faults }
    }

    fn plan_next(&mut self, fault: Fault) {
        if let Some(every) = fault.every(&self.scenario.spec.faults) {
            let mut draw = self.chance.draw(Purpose::Fault(fault));
            let at = after(self.now, draw.span(every));
            self.queue.put(at, Happening::Fault(fault, draw));
        }
    }

    pub(super) fn go_wrong(&mut self, fault: Fault, mut draw: Draw) {
        if self.is_settling {
            return;
        }
        self.plan_next(fault);
        self.report.faults += 1;
        match fault {
            Fault::DroppedWatch => {
                let kinds: Vec<&'static str> = KINDS.iter().map(|kind| kind.name).collect();
                let kind = draw.one_of(&kinds).unwrap_or("Pod");
                let span = span(&mut draw, WATCH);
                self.drop_watch(self.acting, kind, span);
            }
            Fault::Restart => self.end_leader(Duration::from_secs(2)),
            Fault::LeaderChange => self.end_leader(Duration::from_secs(16)),
            Fault::PausedLeader => {
                let span = span(&mut draw, LEADER);
                self.pause_leader(span);
            }
            Fault::InsufficientCapacity => {
                let zones = self.zones();
                self.cloud.become_scarce(&zones, &mut draw, self.now);
            }
            Fault::Vanishing => {
                if let Some(id) = draw.one_of(&self.instances()) {
                    self.lose_instance(&id);
                }
            }
            Fault::SpotInterruption => {
                if let Some(id) = draw.one_of(&self.cloud.spot()) {
                    self.interrupt(&id);
                }
            }
            Fault::DeletedNode => {
                let nodes: Vec<Subject> = self
                    .api
                    .all("Node")
                    .filter(|(_, node)| !is_deleting(node))
                    .map(|(_, node)| subject_of("Node", node))
                    .collect();
                if let Some(node) = draw.one_of(&nodes) {
                    let now = self.now;
                    drop(self.api.delete(&node, None, None, now));
                }
            }
            Fault::NotReady => {
                if let Some(id) = draw.one_of(&self.instances()) {
                    let span = span(&mut draw, KUBELET);
                    self.lose_contact(&id, span);
                }
            }
            Fault::BlockedBudget => {
                let budgets: Vec<Subject> = self
                    .api
                    .all("PodDisruptionBudget")
                    .map(|(_, budget)| subject_of("PodDisruptionBudget", budget))
                    .collect();
                if let Some(budget) = draw.one_of(&budgets) {
                    self.block_budget(&budget, Duration::from_secs(draw.between(60, BLOCKED.as_secs())));
                }
            }
        }
    }

    fn instances(&self) -> Vec<Arc<str>> {
        self.cloud.running().map(|(id, _)| id.clone()).collect()
    }

    /// An instance ends without the controller.
    pub(super) fn lose_instance(&mut self, id: &Arc<str>) {
        if self.cloud.end(id, self.now) {
            self.fall_silent(id);
        }
    }

    /// Somebody else changes an object.
    pub(super) fn meddle(&mut self, subject: &Subject) {
        self.meddled += 1;
        let body = json!({"metadata": {"annotations": {"example.com/touched": self.meddled.to_string()}}});
        drop(self.api.patch(subject, &body, false));
    }
}

fn span(draw: &mut Draw, (mean, longest): (Duration, Duration)) -> Duration {
    draw.span(mean).min(longest)
}
