//! The stages of a decision, from the cheapest answer to the best.

use super::{Decision, repair};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::{self, Certificate, Outcome, Stage, Stop};
use crate::solve::{bound, greedy};
use crate::units::MicroUsd;

/// Runs the stages; `sink` gets every answer that is better than the one before, or says more about it. The last one
/// says why the search ended.
pub(super) fn run(snapshot: &Snapshot, stop: &dyn Fn() -> bool, sink: &dyn Fn(Decision)) {
    let problem = Problem::new(snapshot);
    let solution = greedy::solve(&problem, stop);
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
    let unplaced: Vec<usize> = decision.plan.unplaced.iter().map(|unplaced| unplaced.pod).collect();
    certificate.bound = bound::lower_bound(&problem, &unplaced);
    let is_optimal = objective == certificate.bound && unplaced.is_empty();
    certificate.stop = if is_optimal { Stop::Optimal } else { Stop::Complete };
    sink(Decision { certificate, ..decision });
}
