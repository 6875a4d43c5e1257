//! The stages of a decision, from the cheapest answer to the best.

mod leave_fewer;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::incumbent::{Incumbent, Offered};
use super::orders::Orders;
use super::reserve::{Margins, Reserve, timed};
use super::{Decision, Limits, Search, repair};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::check::{Rule, Violation};
use crate::plan::{self, Certificate, LeftBound, Outcome, Stage, Stop};
use crate::solve::bound::{self, Bound, Bounds, Proof, Values};
use crate::solve::carried::Carried;
use crate::solve::greedy::{self, Order, Worked};
use crate::solve::integer::{self, News, Searched};
use crate::solve::{Ended, Pace, Place, Solution, Work, few};
use crate::units::MicroUsd;

/// Time kept for the first answer, as a multiple of what formulating the decision took.
const FORMULATIONS: u32 = 4;

/// Shapes that a proof looks at with tables and searches.
const SEARCHED: usize = 16;

/// What may hold once other pods are bound.
const OF_ORDER: [Rule; 3] = [Rule::PodAffinity, Rule::TopologySpread, Rule::OpenableSpread];

/// Karpenter's own packing.
pub(super) struct First<'p> {
    pub decision: Decision,
    solution: Solution,
    worked: Worked<'p>,
    /// How long it took to pack, and to write and check.
    steps: [Duration; 2],
}

impl<'p> First<'p> {
    /// Packs and checks; where there is not the time for that, the decision says so and is the last.
    pub fn of(problem: &'p Problem, time: &Clock) -> Self {
        let kept = kept_for_the_first(problem, time);
        let ((solution, worked), packing) = timed(|| greedy::work(problem, Order::Karpenter, &|| time.is_up(kept)));
        let mut refused = Vec::new();
        let write = || {
            let draft = plan::build(problem, &solution);
            let (cost, unplaced) = (draft.cost(), draft.unplaced.len());
            // whoever compares answers counts the rest
            let greedy = (!solution.stopped).then(|| Outcome { cost, unplaced, left: Vec::new(), violated: 0 });
            (repair::checked(problem.snapshot, draft, &mut refused), greedy)
        };
        let ((plan, greedy), writing) = timed(write);
        let (objective, stage) = (plan.cost(), Stage::Greedy);
        let stop = if solution.stopped { Stop::Deadline } else { Stop::Unfinished };
        let (bound, left) = (MicroUsd::ZERO, LeftBound::of(problem.snapshot, &plan));
        let certificate = Certificate { objective, bound, left, stage, packed_after: 0, stop, failure: None };
        let proof = Proof::default();
        let (left_proofs, answers) = (Vec::new(), Vec::new());
        let (searched, learned, clock) = (None, None, None);
        let decision =
            Decision { plan, certificate, proof, left_proofs, greedy, answers, refused, searched, learned, clock };
        Self { decision, solution, worked, steps: [packing, writing] }
    }

    pub fn is_last(&self) -> bool {
        self.decision.certificate.stop != Stop::Unfinished
    }
}

/// Time for writing the first answer down and checking it, which took 0.9 to 2.7 times as long as formulating the decision where
/// it was measured (1,000 to 100,000 pods); `minValues` ask more of every launch. Never more than half of all.
fn kept_for_the_first(problem: &Problem, clock: &Clock) -> Duration {
    let half = clock.time / 2;
    let has_minimums = problem.pools.iter().any(|pool| !pool.min_values.is_empty());
    if has_minimums { half } else { half.min(clock.started.elapsed() * FORMULATIONS) }
}

/// Runs the stages; `sink` gets every answer that is better than the one before, or says more about it. The last one
/// says why the search ended. `margins`: of the time kept for carrying an answer out.
pub(super) fn run(
    snapshot: &Snapshot,
    carried: &Carried,
    limits: Limits,
    clock: &Clock,
    margins: Margins,
    sink: &dyn Fn(Decision),
) {
    let Limits { search, work, worth, .. } = limits;
    let (problem, formulating) = timed(|| Problem::new(snapshot));
    let first = First::of(&problem, clock);
    if first.is_last() {
        return sink(Decision { clock: Some(Arc::new(clock.readings(search))), ..first.decision });
    }
    let First { decision, mut solution, mut worked, steps: [packing, writing] } = first;
    let (reserve, may_leave_others) = (Reserve::new(margins, formulating), !decision.plan.unplaced.is_empty());
    reserve.first(packing, writing);
    let kept = || reserve.time(may_leave_others);
    let is_hopeless = Cell::new(false);
    let stop = || is_hopeless.get() || clock.is_up(kept());
    let bounds = Bounds::new(&problem);
    let mut best = Best::new(&problem, &bounds, &reserve, decision, sink);
    let (mut ended, mut every_way) = (Ended::Searched, false);
    let look = |best: &Best<'_, '_>| {
        is_hopeless.set(worth.is_some_and(|worth| best.incumbent.decision.proof.bound >= worth));
    };
    look(&best);
    if search == Search::Integer && !is_hopeless.get() {
        let left = || if is_hopeless.get() { 0.0 } else { clock.left(kept()) };
        let all_time = clock.time.saturating_sub(kept());
        best.leave_fewer(&mut solution, &mut worked, work, (&left, all_time));
        let mut hear = |news: News| match news {
            News::Packing(carry_out, searched) => {
                let other = reserve.packing(carry_out);
                best.offer(&other, Stage::Columns, Some(searched));
            }
            News::Values(values) => {
                best.prove(&values, work);
                look(&best);
            }
            News::Columns(searched) => best.keep_columns(searched),
        };
        ended = integer::improve(&problem, (&solution, &worked), carried, work, (&left, all_time), &mut hear);
        // half of the time that is left for each, where both follow
        let end = if work.pace == Pace::Time && few::are_few(&problem) { left() / 2.0 } else { 0.0 };
        best.try_everything(work, &|| left() <= end);
        let is_better;
        (every_way, is_better) = best.try_assignments(work, &stop);
        if is_better {
            best.try_everything(work, &stop);
        }
    }
    let is_late = clock.is_up(kept()) || best.is_cut;
    let decision = &mut best.incumbent.decision;
    decision.clock = Some(Arc::new(clock.readings(search)));
    decision.learned = decision.searched.as_ref().map(|searched| Arc::new(Carried::of(&problem, searched)));
    best.incumbent.finish(ended, is_late, every_way);
}

/// The best answer so far, with what it could cost at least.
struct Best<'b, 's> {
    problem: &'b Problem<'s>,
    incumbent: Incumbent<'b>,
    bounds: &'b Bounds<'b, 's>,
    /// Is told how long the steps take.
    reserve: &'b Reserve,
    /// Of plans that leave at most the same pods.
    bound: Bound<'b, 's>,
    /// A search for fewer pods left had more to try.
    is_cut: bool,
}

impl<'b, 's> Best<'b, 's> {
    /// Hands the first answer over, then what it could cost at least.
    fn new(
        problem: &'b Problem<'s>,
        bounds: &'b Bounds<'b, 's>,
        reserve: &'b Reserve,
        decision: Decision,
        sink: &'b dyn Fn(Decision),
    ) -> Self {
        let mut incumbent = Incumbent::new(problem.snapshot, decision, sink);
        let bound = reserve.bounding(|| bounded(bounds, &mut incumbent));
        let mut best = Self { problem, incumbent, bounds, reserve, bound, is_cut: false };
        best.count_hopeless();
        best
    }

    /// Of every priority of which pods are left: those that no node of any kind can hold are left by every plan.
    fn count_hopeless(&mut self) {
        let left = self.incumbent.left();
        for (level, &priority) in self.incumbent.priorities().to_vec().iter().enumerate() {
            if self.incumbent.levels().left[level] > 0 {
                self.incumbent.state_left(self.bounds.least_left(&left, priority, None, Proof::default().limits));
            }
        }
    }

    /// Checks a solution and keeps it if it is better.
    fn offer(&mut self, solution: &Solution, stage: Stage, searched: Option<Searched>) -> bool {
        let write = || self.incumbent.offer(plan::build(self.problem, solution), stage, solution.packed_after);
        let offered = self.reserve.writing(write);
        offered.is_ok_and(|offered| self.take(offered, searched))
    }

    /// What follows from an offer; whether it is better.
    fn take(&mut self, offered: Offered, searched: Option<Searched>) -> bool {
        if let Some(searched) = searched.filter(|_| offered != Offered::Worse) {
            self.incumbent.decision.searched = Some(Arc::new(searched));
        }
        if offered == Offered::Worse {
            return false;
        }
        self.incumbent.tell();
        if offered == Offered::LeavesOthers {
            self.bound = self.reserve.bounding(|| bounded(self.bounds, &mut self.incumbent));
            self.count_hopeless();
        }
        true
    }

    /// As [`Self::offer`], with the pods bound in an order that the checker accepts. Every order that is tried takes one off
    /// `ways`; there may be none where these are spent.
    fn offer_in_some_order(&mut self, mut solution: Solution, ways: &mut usize) -> bool {
        let placements = std::mem::take(&mut solution.placements);
        let mut orders = Orders::of(&self.kinds(&placements));
        while *ways > 0 {
            *ways -= 1;
            let Some(order) = orders.next() else { return false };
            solution.placements = order.iter().map(|&place| placements[place]).collect();
            let violations = match self.incumbent.offer(plan::build(self.problem, &solution), Stage::Assignments, 0) {
                Ok(offered) => return self.take(offered, None),
                Err(violations) => violations,
            };
            let is_of_order = |violation: &Violation| OF_ORDER.contains(&violation.rule);
            let named = |pod: usize| {
                let key = &self.problem.snapshot.pods[pod].key;
                violations.iter().any(|violation| violation.pod.as_ref() == Some(key))
            };
            let refused = solution.placements.iter().position(|(pod, _)| named(*pod));
            let Some(place) = refused.filter(|_| violations.iter().all(is_of_order)) else { return false };
            orders.refuse(&order, place);
        }
        false
    }

    /// Numbers for placements, the same for pods of one group on one node.
    fn kinds(&self, placements: &[(usize, Place)]) -> Vec<usize> {
        let group = |pod: &usize| self.problem.groups.iter().position(|group| group.pods.binary_search(pod).is_ok());
        let kinds: Vec<_> = placements.iter().map(|(pod, place)| (group(pod), *place)).collect();
        kinds.iter().map(|kind| kinds.iter().position(|other| other == kind).unwrap_or(0)).collect()
    }

    /// Keeps the columns of the search with the packing that the plan came from.
    fn keep_columns(&mut self, searched: Searched) {
        let searched = match self.incumbent.decision.searched.as_deref() {
            Some(of_plan) => of_plan.clone().with_columns_of(searched),
            None => searched,
        };
        self.incumbent.decision.searched = Some(Arc::new(searched));
    }

    /// Keeps the bound that these values prove, if it is better.
    fn prove(&mut self, values: &Values, work: Work) {
        let limits = bound::Limits { searched: SEARCHED, cells: work.cells, steps: work.search_steps };
        let proof = self.bound.of_values(values, limits);
        if proof.bound > self.incumbent.decision.proof.bound {
            self.incumbent.state(proof);
        }
    }

    /// Few pods: the ways to deal them over nodes that could be better in any level. Whether all were tried, and whether one
    /// is better.
    fn try_assignments(&mut self, work: Work, stop: &dyn Fn() -> bool) -> (bool, bool) {
        let priorities = self.incumbent.priorities().to_vec();
        let known = self.incumbent.levels().clone();
        let decision = &self.incumbent.decision;
        let is_best = known.violated == 0
            && decision.plan.unplaced.is_empty()
            && decision.proof.bound >= decision.certificate.objective;
        if is_best {
            return (false, false);
        }
        let mut is_better = false;
        let all = few::search(self.problem, &priorities, known, work.ways, stop, &mut |solution, ways| {
            is_better |= self.offer_in_some_order(solution, ways);
            self.incumbent.levels().clone()
        });
        (all, is_better)
    }

    /// Few pods: what every plan costs at least, with whole pods on whole nodes.
    fn try_everything(&mut self, work: Work, stop: &dyn Fn() -> bool) {
        let (proof, cost) = (&self.incumbent.decision.proof, self.incumbent.decision.certificate.objective);
        if proof.bound >= cost || stop() {
            return;
        }
        if let Some(proof) = self.bound.of_everything(proof, cost, work.exact_steps, stop) {
            self.incumbent.state(proof);
        }
    }
}

/// States what resources alone prove of plans that leave at most the same pods.
fn bounded<'b, 's>(bounds: &'b Bounds<'b, 's>, incumbent: &mut Incumbent<'_>) -> Bound<'b, 's> {
    let bound = bounds.where_unplaced(&incumbent.left());
    incumbent.state(bound.of_resources());
    bound
}
