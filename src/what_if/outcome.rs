//! What a Snapshot comes to: launches for pods that wait, and nodes that go or are replaced.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::Manner;
use crate::consolidation::{self, Budgets, Consolidation, consolidate, launched};
use crate::host::{self, Answer, Decision};
use crate::observe::Snapshot;
use crate::plan::Stop;
use crate::units::MicroUsd;

/// What is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nodes for pods that wait.
    Launch,
    /// Which nodes go, or are replaced by cheaper ones, without the pods that wait.
    Consolidate,
    /// Both, one after the other.
    All,
}

/// The plans of one Snapshot.
#[derive(Debug)]
pub struct Plans {
    pub snapshot: Arc<Snapshot>,
    /// Where launches are planned.
    pub launch: Option<Decision>,
    /// Where it is planned which nodes go.
    pub consolidation: Option<Consolidation>,
    /// The cluster once all of it is carried out.
    after: Snapshot,
}

/// What the plans of a Snapshot come to. Nodes on their way out are none.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Of the nodes that are there once the plans are carried out, at the chosen offers; those of unknown price are left out.
    pub cost_usd_hour: f64,
    /// No plan costs less that leaves at most as many pods of each priority; null where consolidation is planned, of which no bound is
    /// known.
    pub bound_usd_hour: Option<f64>,
    pub nodes: usize,
    /// How many of them have an unknown price.
    pub nodes_of_unknown_price: usize,
    /// Null where launches are not planned.
    pub pods_placed: Option<usize>,
    pub pods_unplaced: Option<usize>,
    /// Nodes that are launched, for pods that wait and in place of others.
    pub nodes_launched: usize,
    /// Nodes that consolidation takes away.
    pub nodes_removed: usize,
    /// Pods that consolidation evicts, so that they start again elsewhere.
    pub pods_moved: usize,
    /// Why the search for launches ended.
    pub stop: Option<Stop>,
    /// The time ended the search of consolidation.
    pub is_consolidation_cut: bool,
}

impl Plans {
    /// Plans. `observe` is told of each answer for pods that wait, and once where consolidation begins.
    #[must_use]
    pub fn of(snapshot: &Arc<Snapshot>, manner: Manner<'_>, observe: &mut dyn FnMut(Option<&Answer>)) -> Self {
        observe(None);
        let launch = (manner.scope != Scope::Consolidate).then(|| {
            host::decide_watched(snapshot, Arc::default(), manner.limits, &mut |answer| observe(Some(answer)))
        });
        let placed = launch.as_ref().map(|decision| launched(snapshot, &decision.plan));
        let mut after = placed.unwrap_or_else(|| Snapshot::clone(snapshot));
        let consolidation = (manner.scope != Scope::Launch).then(|| {
            observe(None);
            let since = Instant::now();
            let time = || manner.limits.time.saturating_sub(since.elapsed());
            let how = consolidation::Manner::all(manner.policy, Budgets::Together, manner.limits);
            consolidate(&after, how, after.taken_at, &time)
        });
        if let Some(found) = &consolidation {
            after = found.after.clone();
        }
        Self { snapshot: snapshot.clone(), launch, consolidation, after }
    }

    /// Of the nodes that are there then, of an hour.
    #[must_use]
    pub fn cost(&self) -> MicroUsd {
        self.after.nodes.iter().filter(|node| !node.deleting).filter_map(|node| node.price).sum()
    }

    /// The least that any plan costs, with the nodes that are there; of launches alone.
    #[must_use]
    pub fn bound(&self) -> Option<MicroUsd> {
        let launch = self.launch.as_ref().filter(|_| self.consolidation.is_none())?;
        Some(self.cost() - launch.plan.cost() + launch.certificate.bound)
    }

    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let there = || self.after.nodes.iter().filter(|node| !node.deleting);
        let commands = || self.consolidation.iter().flat_map(|found| &found.commands);
        let plan = self.launch.as_ref().map(|decision| &decision.plan);
        let launches = plan.map_or(0, |plan| plan.launches.len());
        Outcome {
            cost_usd_hour: self.cost().as_usd(),
            bound_usd_hour: self.bound().map(MicroUsd::as_usd),
            nodes: there().count(),
            nodes_of_unknown_price: there().filter(|node| node.price.is_none()).count(),
            pods_placed: plan.map(|plan| plan.assignments.len()),
            pods_unplaced: plan.map(|plan| plan.unplaced.len()),
            nodes_launched: launches + commands().map(|command| command.launches.len()).sum::<usize>(),
            nodes_removed: commands().map(|command| command.removed.len()).sum(),
            pods_moved: commands().map(|command| command.moves.len()).sum(),
            stop: self.launch.as_ref().map(|decision| decision.certificate.stop),
            is_consolidation_cut: self.consolidation.as_ref().is_some_and(|found| found.stopped),
        }
    }
}
