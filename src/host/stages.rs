//! The stages of a decision, from the cheapest answer to the best.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use super::{Clock, Decision, Search, repair};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::check::check;
use crate::plan::{self, Certificate, Checked, Outcome, Plan, Stage, Stop};
use crate::solve::{Signals, Work, bound, greedy, integer};
use crate::units::MicroUsd;

/// Time kept for carrying a solution out, writing it down and checking it, as a multiple of what the first answer took.
const RESERVE: f64 = 1.2;

/// Runs the stages; `sink` gets every answer that is better than the one before, or says more about it. The last one
/// says why the search ended.
pub(super) fn run(snapshot: &Snapshot, search: Search, clock: &Clock, sink: &dyn Fn(Decision)) {
    let problem = Problem::new(snapshot);
    // writing an answer down and checking it takes no longer than finding the first one
    let (solution, worked) = greedy::work(&problem, &|| clock.is_up(clock.time / 2));
    let draft = plan::build(&problem, &solution);
    let greedy = (!solution.stopped).then(|| Outcome { cost: draft.cost(), unplaced: draft.unplaced.len() });
    let mut refused = Vec::new();
    let plan = repair::checked(snapshot, draft, &mut refused);
    let objective = plan.cost();
    let mut certificate =
        Certificate { objective, bound: MicroUsd::ZERO, stage: Stage::Greedy, stop: Stop::Unfinished };
    let mut decision = Decision { plan, certificate: certificate.clone(), greedy, refused };
    if solution.stopped {
        decision.certificate.stop = Stop::Deadline;
        return sink(decision);
    }
    sink(decision.clone());
    let first_answer = clock.started.elapsed();
    let stop = || clock.is_up(first_answer.mul_f64(RESERVE));
    let unplaced: Vec<usize> = decision.plan.unplaced.iter().map(|unplaced| unplaced.pod).collect();
    certificate.bound = bound::lower_bound(&problem, &unplaced);
    decision.certificate = certificate;
    sink(decision.clone());
    if search == Search::Integer {
        let half = clock.time.saturating_sub(first_answer) / 2;
        let when = Signals { hurry: &|| clock.is_up(half.max(first_answer.mul_f64(RESERVE))), stop: &stop };
        integer::improve(&problem, &solution, &worked, Work::default(), when, &mut |other| {
            if other.relaxed > solution.relaxed {
                return;
            }
            let draft = plan::build(&problem, &other);
            if let Ok(plan) = check(snapshot, draft)
                && is_better(snapshot, &plan, &decision.plan)
            {
                decision.certificate.objective = plan.cost();
                decision.certificate.stage = Stage::Columns;
                decision.plan = plan;
                sink(decision.clone());
            }
        });
    }
    let certificate = &mut decision.certificate;
    let is_optimal = certificate.objective == certificate.bound && decision.plan.unplaced.is_empty();
    certificate.stop = match (is_optimal, stop()) {
        (true, _) => Stop::Optimal,
        (false, true) => Stop::Deadline,
        (false, false) => Stop::Complete,
    };
    sink(decision);
}

/// Whether a plan beats another: fewer pods left, the highest priority first, then cost.
fn is_better(snapshot: &Snapshot, plan: &Plan<Checked>, other: &Plan<Checked>) -> bool {
    let left = |plan: &Plan<Checked>| {
        let mut by_priority: BTreeMap<Reverse<i32>, i64> = BTreeMap::new();
        for unplaced in &plan.unplaced {
            *by_priority.entry(Reverse(snapshot.pods[unplaced.pod].template.spec.priority)).or_default() += 1;
        }
        by_priority
    };
    let (ours, theirs) = (left(plan), left(other));
    let priorities: BTreeSet<Reverse<i32>> = ours.keys().chain(theirs.keys()).copied().collect();
    let count = |of: &BTreeMap<Reverse<i32>, i64>, priority| of.get(priority).copied().unwrap_or(0);
    let pods = priorities.iter().map(|priority| count(&ours, priority).cmp(&count(&theirs, priority)));
    pods.chain([plan.cost().cmp(&other.cost())]).find(|order| order.is_ne()) == Some(Ordering::Less)
}
