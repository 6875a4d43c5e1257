//! The stages of a decision, from the cheapest answer to the best.

use super::standing::Standing;
use super::{Clock, Decision, Limits, Search, repair};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::check::check;
use crate::plan::{self, Certificate, Outcome, Stage, Stop};
use crate::solve::bound::{self, Bound, Bounds, Proof, Values};
use crate::solve::greedy::{self, Order};
use crate::solve::integer::{self, News};
use crate::solve::{Solution, Work, few};
use crate::units::MicroUsd;

/// Time kept for carrying a solution out, writing it down and checking it, as a multiple of what the first answer took.
const RESERVE: f64 = 2.0;

/// How far a proof goes.
const PROOF: bound::Limits = bound::Limits { searched: 16, cells: [160, 320], steps: 5_000 };

/// Runs the stages; `sink` gets every answer that is better than the one before, or says more about it. The last one
/// says why the search ended.
pub(super) fn run(snapshot: &Snapshot, Limits { search, work, .. }: Limits, clock: &Clock, sink: &dyn Fn(Decision)) {
    let problem = Problem::new(snapshot);
    // writing an answer down and checking it mostly takes no longer than finding the first one
    let (solution, worked) = greedy::work(&problem, Order::Karpenter, &|| clock.is_up(clock.time / 2));
    let draft = plan::build(&problem, &solution);
    let greedy = (!solution.stopped).then(|| Outcome { cost: draft.cost(), unplaced: draft.unplaced.len() });
    let mut refused = Vec::new();
    let plan = repair::checked(snapshot, draft, &mut refused);
    let certificate =
        Certificate { objective: plan.cost(), bound: MicroUsd::ZERO, stage: Stage::Greedy, stop: Stop::Unfinished };
    let decision = Decision { plan, certificate, proof: Proof::default(), greedy, answers: Vec::new(), refused };
    if solution.stopped {
        let certificate = Certificate { stop: Stop::Deadline, ..decision.certificate };
        return sink(Decision { certificate, ..decision });
    }
    let first_answer = clock.started.elapsed();
    let stop = || clock.is_up(first_answer.mul_f64(RESERVE));
    let bounds = Bounds::new(&problem);
    let mut best = Best::new(&problem, &bounds, decision, sink);
    if search == Search::Integer {
        let (mut solution, mut worked) = (solution, worked);
        if !best.decision.plan.unplaced.is_empty() && best.priorities_differ() && !stop() {
            let (other, learned) = greedy::work(&problem, Order::PriorityFirst, &stop);
            if !other.stopped && best.offer(&other, Stage::PriorityGreedy) {
                (solution, worked) = (other, learned);
            }
        }
        let left = || clock.left(first_answer.mul_f64(RESERVE));
        integer::improve(&problem, &solution, &worked, work, &left, &mut |news| match news {
            News::Solution(other) => drop(best.offer(&other, Stage::Columns)),
            News::Values(values) => best.prove(&values),
        });
        best.try_assignments(&stop);
        best.try_everything(work, &stop);
    }
    best.finish(stop());
}

/// The best answer so far.
struct Best<'b, 's> {
    problem: &'b Problem<'s>,
    decision: Decision,
    standing: Standing,
    sink: &'b dyn Fn(Decision),
    bounds: &'b Bounds<'b, 's>,
    /// Of plans that leave at most the same pods.
    bound: Bound<'b, 's>,
}

impl<'b, 's> Best<'b, 's> {
    /// Hands the first answer over, then what it could cost at least.
    fn new(
        problem: &'b Problem<'s>,
        bounds: &'b Bounds<'b, 's>,
        decision: Decision,
        sink: &'b dyn Fn(Decision),
    ) -> Self {
        sink(decision.clone());
        let standing = Standing::of(problem.snapshot, &decision.plan);
        let bound = bounds.where_unplaced(&left(&decision));
        let mut best = Self { problem, decision, standing, sink, bounds, bound };
        best.state(best.bound.of_resources());
        best
    }

    /// Checks a solution and keeps it if it is better.
    fn offer(&mut self, solution: &Solution, stage: Stage) -> bool {
        let snapshot = self.problem.snapshot;
        let Ok(plan) = check(snapshot, plan::build(self.problem, solution)) else { return false };
        let standing = Standing::of(snapshot, &plan);
        if !standing.is_better_than(&self.standing) {
            return false;
        }
        self.standing = standing;
        let leaves_others = plan.unplaced != self.decision.plan.unplaced;
        self.decision.certificate.objective = plan.cost();
        self.decision.certificate.stage = stage;
        self.decision.plan = plan;
        if leaves_others {
            self.bound = self.bounds.where_unplaced(&left(&self.decision));
            self.state(self.bound.of_resources());
        } else {
            (self.sink)(self.decision.clone());
        }
        true
    }

    /// States a proof, and says so.
    fn state(&mut self, proof: Proof) {
        self.decision.certificate.bound = proof.bound;
        self.decision.proof = proof;
        (self.sink)(self.decision.clone());
    }

    /// Keeps the bound that these values prove, if it is better.
    fn prove(&mut self, values: &Values) {
        let proof = self.bound.of_values(values, PROOF);
        if proof.bound > self.decision.proof.bound {
            self.state(proof);
        }
    }

    /// Few pods: every way to deal them over nodes that could be better in any level.
    fn try_assignments(&mut self, stop: &dyn Fn() -> bool) {
        let priorities = few::priorities(self.problem);
        let known = self.standing.levels(&priorities);
        let is_best = known.violated == 0
            && self.decision.plan.unplaced.is_empty()
            && self.decision.proof.bound >= self.decision.certificate.objective;
        if !is_best {
            few::search(self.problem, &priorities, known, stop, &mut |solution| {
                self.offer(&solution, Stage::Assignments);
                self.standing.levels(&priorities)
            });
        }
    }

    /// Few pods: what every plan costs at least, with whole pods on whole nodes.
    fn try_everything(&mut self, work: Work, stop: &dyn Fn() -> bool) {
        let (proof, cost) = (&self.decision.proof, self.decision.certificate.objective);
        if proof.bound >= cost || stop() {
            return;
        }
        if let Some(proof) = self.bound.of_everything(proof, cost, work.exact_steps, stop) {
            self.state(proof);
        }
    }

    fn priorities_differ(&self) -> bool {
        let mut priorities = self.problem.groups.iter().map(|group| group.spec().priority);
        let first = priorities.next();
        priorities.any(|priority| Some(priority) != first)
    }

    fn finish(mut self, stopped: bool) {
        let certificate = &mut self.decision.certificate;
        let is_optimal = certificate.objective == certificate.bound && self.decision.plan.unplaced.is_empty();
        certificate.stop = match (is_optimal, stopped) {
            (true, _) => Stop::Optimal,
            (false, true) => Stop::Deadline,
            (false, false) => Stop::Complete,
        };
        (self.sink)(self.decision);
    }
}

/// The pods that the plan leaves, ascending.
fn left(decision: &Decision) -> Vec<usize> {
    decision.plan.unplaced.iter().map(|unplaced| unplaced.pod).collect()
}
