//! Why a plan is as it is: where a pod goes and which of its rules decided, why a claim is bought as it is, what a limit or
//! a rule costs, and what would make an unschedulable pod schedulable.
//!
//! Everything that is said is checked: an alternative is one that the checker accepts in place of the launch, a change
//! helps if planning again places the pod, and a saving lies between what two plans and their bounds prove.

mod alternatives;
mod candidates;
pub mod edit;
pub mod facts;
mod places;
mod remedies;
mod replan;
mod rules;
mod subject;

use std::sync::Arc;

pub use facts::Explanation;
pub(crate) use replan::{left_by_priority, saving};
pub use subject::{Subject, find};
pub(crate) use subject::{close as close_names, owner_of};

use crate::host::{Decision, Limits};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::Target;
use alternatives::Instead;
use edit::{object_of, siblings};
use facts::{Claim, PlacedPod, PlanFacts};
use places::Places;

/// A decision that is to be explained.
pub struct Question<'q> {
    pub snapshot: &'q Arc<Snapshot>,
    pub decision: &'q Decision,
    /// Of that decision; planning again takes up to twice the time.
    pub limits: Limits,
    /// Hears what is being done.
    pub progress: &'q dyn Fn(&str),
}

/// What the what-ifs are about.
struct Asked {
    pod: Option<usize>,
    launch: Option<usize>,
}

/// Explains one pod or one claim of the decision; the notes and errors of the input are filled in by the caller.
#[must_use]
pub fn explain(question: &Question, subject: Subject) -> Explanation {
    let (snapshot, plan) = (&**question.snapshot, &question.decision.plan);
    let problem = Problem::new(snapshot);
    let places = Places::of(snapshot, plan);
    let certificate = &question.decision.certificate;
    let mut explanation = Explanation {
        kind: "claim",
        name: String::new(),
        owner: None,
        alike: 0,
        alike_unplaced: 0,
        placed: None,
        claim: None,
        unplaced: None,
        bound_to: None,
        is_node_unknown: false,
        what_if: Vec::new(),
        plan: PlanFacts {
            cost_usd_hour: plan.cost().as_usd(),
            bound_usd_hour: certificate.bound.as_usd(),
            stop: certificate.stop,
            pods_unplaced: plan.unplaced.len(),
        },
        assumptions: snapshot.assumptions.clone(),
        notes: Vec::new(),
        errors: Vec::new(),
    };
    match subject {
        Subject::Claim(launch) => {
            explanation.name = plan.launches[launch].name.to_string();
            explanation.claim = Some(claim(question, &problem, &places, launch));
            explanation.what_if = replan::what_if(question, &problem, &Asked { pod: None, launch: Some(launch) });
        }
        Subject::Pod(pod) => {
            let is_left = |pod: &usize| plan.unplaced.iter().any(|unplaced| unplaced.pod == *pod);
            let alike = if snapshot.pods[pod].is_pending() { siblings(snapshot, pod) } else { Vec::new() };
            let object = object_of(snapshot, pod);
            explanation.kind = "pod";
            explanation.name = snapshot.pods[pod].key.to_string();
            explanation.owner = (!object.starts_with("Pod ")).then_some(object);
            explanation.alike = alike.len();
            explanation.alike_unplaced = alike.iter().filter(|pod| is_left(pod)).count();
            let left = plan.unplaced.iter().find(|unplaced| unplaced.pod == pod);
            if let Some(target) = places.target(pod) {
                let launch = if let Target::Launch(launch) = target { Some(launch) } else { None };
                explanation.placed = Some(placed(question, &problem, &places, pod, target));
                explanation.what_if = replan::what_if(question, &problem, &Asked { pod: Some(pod), launch });
            } else if let Some(left) = left {
                explanation.unplaced = Some(remedies::unplaced(question, &problem, pod, left.reason.clone()));
            } else {
                let node = &snapshot.pods[pod].node;
                explanation.bound_to.clone_from(node);
                explanation.is_node_unknown = snapshot.nodes.iter().all(|of| node.as_ref() != Some(&of.name));
            }
        }
    }
    explanation
}

/// Why launches of the decision are bought as they are, by their index in the plan: what [`explain`] says of a claim, without
/// planning again.
pub fn claims<'q>(question: &'q Question) -> impl FnMut(usize) -> Claim + 'q {
    let problem = Problem::new(question.snapshot);
    let places = Places::of(question.snapshot, &question.decision.plan);
    move |launch| claim(question, &problem, &places, launch)
}

fn claim(question: &Question, problem: &Problem, places: &Places, launch: usize) -> Claim {
    let target = Target::Launch(launch);
    let pods = places.planned(target);
    let worth = pods.iter().map(|&pod| replan::worth(question, problem, places, pod)).sum();
    let answer = Instead::of(problem, &question.decision.plan, launch, pods.clone()).answer();
    Claim {
        node: places.node(target),
        pods: pods.iter().map(|&pod| problem.snapshot.pods[pod].key.to_string()).collect(),
        room: places.room(problem, target, None),
        pods_worth_usd_hour: worth,
        alternatives: answer.alternatives,
        cheaper_offerings: answer.cheaper,
        ruled_out: answer.ruled_out,
        is_incomplete: answer.is_incomplete,
    }
}

fn placed(question: &Question, problem: &Problem, places: &Places, pod: usize, target: Target) -> PlacedPod {
    let node = places.node(target);
    let there = places.planned(target);
    let worth = |pod: usize| replan::worth(question, problem, places, pod);
    let (own, all): (Option<f64>, Option<f64>) = (worth(pod), there.iter().map(|&pod| worth(pod)).sum());
    let share = || Some(node.price_usd_hour? * own? / all.filter(|all| *all > 0.0)?);
    let share_usd_hour = if node.is_new { share() } else { None };
    let spec = &problem.snapshot.pods[pod].template.spec;
    let others = there.into_iter().filter(|&other| other != pod);
    PlacedPod {
        room: places.room(problem, target, Some(&spec.requests)),
        decided_by: rules::decided_by(problem, places, pod, target),
        preferences_given_up: rules::preferences(places, pod, target),
        shares_with: others.map(|other| problem.snapshot.pods[other].key.to_string()).collect(),
        worth_usd_hour: own,
        share_usd_hour,
        node,
    }
}
