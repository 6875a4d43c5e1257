//! The best answer so far: only what is checked and better takes its place.

use super::Decision;
use super::standing::Yardstick;
use crate::observe::Snapshot;
use crate::plan::check::{Violation, check};
use crate::plan::failure::Failure;
use crate::plan::{Draft, LeftBound, Plan, Stage, Stop};
use crate::solve::bound::{LeftProof, Proof};
use crate::solve::{Ended, Levels};

/// The best answer so far, and who is told of a better one.
pub(super) struct Incumbent<'s> {
    pub decision: Decision,
    snapshot: &'s Snapshot,
    yardstick: Yardstick<'s>,
    /// How it stands, level by level.
    levels: Levels,
    sink: &'s dyn Fn(Decision),
}

/// What became of a plan that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    Worse,
    /// It is the incumbent now, and leaves the same pods: what was proven still holds.
    Better,
    /// It is the incumbent now, and leaves other pods: nothing is proven of it.
    LeavesOthers,
}

impl<'s> Incumbent<'s> {
    /// Hands the first answer over.
    pub fn new(snapshot: &'s Snapshot, mut decision: Decision, sink: &'s dyn Fn(Decision)) -> Self {
        let yardstick = Yardstick::new(snapshot);
        let levels = yardstick.measure(&decision.plan);
        if let Some(greedy) = &mut decision.greedy {
            (greedy.left, greedy.violated) = (levels.left.clone(), levels.violated);
        }
        let mut incumbent = Self { decision, snapshot, yardstick, levels, sink };
        incumbent.count_left();
        incumbent.tell();
        incumbent
    }

    /// Checks a plan that looks better and keeps it; nobody is told yet. `packed_after`: as in the
    /// certificate.
    ///
    /// # Errors
    /// The rules that it breaks, of one that would be better.
    pub fn offer(&mut self, draft: Plan<Draft>, stage: Stage, packed_after: usize) -> Result<Offered, Vec<Violation>> {
        let levels = self.yardstick.measure(&draft);
        if levels >= self.levels {
            return Ok(Offered::Worse);
        }
        let plan = check(self.snapshot, draft)?;
        // a level is proven of plans that leave no more on the levels above
        let is_kept =
            |level: usize| levels.left[..level].iter().zip(&self.levels.left).all(|(now, before)| now <= before);
        let kept: Vec<i32> = self
            .yardstick
            .priorities
            .iter()
            .enumerate()
            .filter(|(level, _)| is_kept(*level))
            .map(|(_, of)| *of)
            .collect();
        self.decision.left_proofs.retain(|proof| kept.contains(&proof.priority));
        self.levels = levels;
        let leaves_others = self.left() != plan.unplaced.iter().map(|unplaced| unplaced.pod).collect::<Vec<_>>();
        self.decision.certificate.objective = plan.cost();
        self.decision.certificate.stage = stage;
        self.decision.certificate.packed_after = packed_after;
        self.decision.plan = plan;
        self.count_left();
        if leaves_others {
            self.keep(Proof::default());
        }
        Ok(if leaves_others { Offered::LeavesOthers } else { Offered::Better })
    }

    /// States a proof, and says so.
    pub fn state(&mut self, proof: Proof) {
        self.keep(proof);
        self.tell();
    }

    /// States how many pods of a priority every plan leaves, and says so, where it is more than was known.
    pub fn state_left(&mut self, proof: LeftProof) {
        let proofs = &mut self.decision.left_proofs;
        match proofs.iter_mut().find(|known| known.priority == proof.priority) {
            Some(known) if known.at_least >= proof.at_least => return,
            Some(known) => *known = proof,
            None => proofs.push(proof),
        }
        self.count_left();
        self.tell();
    }

    fn count_left(&mut self) {
        let of = |(&priority, &pods): (&i32, &usize)| {
            let proof = self.decision.left_proofs.iter().find(|proof| proof.priority == priority);
            LeftBound { priority, pods, at_least: proof.map_or(0, |proof| proof.at_least.min(pods)) }
        };
        let all = self.yardstick.priorities.iter().zip(&self.levels.left).filter(|(_, pods)| **pods > 0);
        self.decision.certificate.left = all.map(of).collect();
    }

    fn keep(&mut self, proof: Proof) {
        self.decision.certificate.bound = proof.bound;
        self.decision.proof = proof;
    }

    pub fn tell(&self) {
        (self.sink)(self.decision.clone());
    }

    /// The pods that it leaves, ascending.
    pub fn left(&self) -> Vec<usize> {
        self.decision.plan.unplaced.iter().map(|unplaced| unplaced.pod).collect()
    }

    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The priorities of the pending pods, highest first.
    pub fn priorities(&self) -> &[i32] {
        &self.yardstick.priorities
    }

    /// The search broke down. What is still being found out about its answers may follow before the last word.
    pub fn fail(&mut self, failure: Failure) {
        self.decision.certificate.failure = Some(failure);
        self.tell();
    }

    /// The last word. `is_late`: there was more to try; `every_way`: of the ways to place the pods there was not.
    pub fn finish(mut self, ended: Ended, is_late: bool, every_way: bool) {
        let certificate = &mut self.decision.certificate;
        let is_optimal = certificate.objective == certificate.bound
            && self.levels.violated == 0
            && certificate.left.iter().all(|left| left.pods == left.at_least);
        certificate.stop = match (&certificate.failure, is_optimal, ended) {
            (Some(_), ..) => Stop::Failed,
            (None, true, _) => Stop::Optimal,
            (None, false, _) if every_way => Stop::EveryWay,
            (None, false, Ended::AsNear) => Stop::AsNear,
            (None, false, Ended::Searched) if is_late => Stop::Deadline,
            (None, false, Ended::Searched) => Stop::Complete,
        };
        (self.sink)(self.decision);
    }
}
