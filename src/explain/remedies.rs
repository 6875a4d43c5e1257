//! What would make a pod schedulable: changes of manifests, each tried by planning again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::Question;
use super::candidates::{candidates, refined};
use super::edit::{Edit, describe, edited, siblings};
use super::facts::{Remedy, UnplacedPod};
use crate::host::{self, Decision, Limits, Search};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::{NOT_REACHED, Stop, Target};

/// Pairs are tried among as many changes, those of the pod and of the pools that come first.
const MOST_OF_PAIRS: usize = 16;
/// A search for one change gets this part of the time limit; all together get twice the limit.
const SHARE: u32 = 8;

/// The pod's way to a place.
pub(super) fn unplaced(question: &Question, problem: &Problem, pod: usize, reason: Arc<str>) -> UnplacedPod {
    let none = |reason| UnplacedPod { reason, remedies: Vec::new(), tried: 0, is_incomplete: false, by_search: false };
    if problem.snapshot.pods[pod].refused.is_some() || *reason == *NOT_REACHED {
        return none(reason);
    }
    let mut trials = Trials::new(question, pod);
    let singles = candidates(problem, &question.decision.plan, pod);
    let mut remedies = Vec::new();
    for edit in &singles {
        if trials.is_up() {
            break;
        }
        if let Some(after) = trials.places(std::slice::from_ref(edit)) {
            remedies.push(trials.best(std::slice::from_ref(edit), &after));
        }
    }
    if remedies.is_empty() {
        let few = &singles[..singles.len().min(MOST_OF_PAIRS)];
        'pairs: for (position, first) in few.iter().enumerate() {
            for second in &few[position + 1..] {
                if trials.is_up() {
                    break 'pairs;
                }
                let both = [first.clone(), second.clone()];
                if let Some(after) = trials.places(&both) {
                    remedies.push(trials.best(&both, &after));
                }
            }
        }
    }
    let pairs_untried = remedies.is_empty() && singles.len() > MOST_OF_PAIRS;
    let is_incomplete = trials.is_up() || trials.is_cut || pairs_untried;
    let by_search = trials.search == Search::Integer;
    UnplacedPod { reason, remedies, tried: trials.tried, is_incomplete, by_search }
}

/// Plans of changed Snapshots, within a time.
struct Trials<'q> {
    question: &'q Question<'q>,
    snapshot: &'q Snapshot,
    pod: usize,
    siblings: Vec<usize>,
    /// What changed Snapshots are planned by.
    search: Search,
    /// The question as it is, planned so.
    before: Decision,
    started: Instant,
    tried: usize,
    /// The time cut a plan short: what it leaves may be for want of time.
    is_cut: bool,
}

/// A plan of a changed Snapshot.
struct After {
    snapshot: Arc<Snapshot>,
    decision: Decision,
}

impl<'q> Trials<'q> {
    /// By karpenter's packing, which is quick; by the search where that packing places the pod as it is, and the plan has
    /// its reasons to leave it.
    fn new(question: &'q Question<'q>, pod: usize) -> Self {
        let started = Instant::now();
        let packed = planned(question, question.snapshot, Search::Greedy);
        let leaves = packed.plan.unplaced.iter().any(|unplaced| unplaced.pod == pod);
        let (search, before) =
            if leaves { (Search::Greedy, packed) } else { (Search::Integer, question.decision.clone()) };
        let siblings = siblings(question.snapshot, pod);
        Self { question, snapshot: question.snapshot, pod, siblings, search, before, started, tried: 0, is_cut: false }
    }

    /// Whether twice the time limit is spent.
    fn is_up(&self) -> bool {
        self.started.elapsed() >= self.question.limits.time * 2
    }

    /// The plan after these changes, if it places the pod and leaves no pod that was placed before.
    fn places(&mut self, edits: &[Edit]) -> Option<After> {
        self.tried += 1;
        (self.question.progress)(&format!("trying change {}", self.tried));
        let snapshot = Arc::new(edited(self.snapshot, &self.siblings, edits));
        let decision = planned(self.question, &snapshot, self.search);
        self.is_cut |= self.search == Search::Greedy && decision.certificate.stop == Stop::Deadline;
        let left = |of: &Decision| of.plan.unplaced.iter().map(|unplaced| unplaced.pod).collect::<BTreeSet<_>>();
        let (before, after) = (left(&self.before), left(&decision));
        (!after.contains(&self.pod) && after.is_subset(&before)).then_some(After { snapshot, decision })
    }

    /// The changes with amounts and values instead of what they remove, where that is enough.
    fn best(&mut self, edits: &[Edit], after: &After) -> Remedy {
        let on = after.decision.plan.assignments.iter().find(|assignment| assignment.pod == self.pod);
        let launch = on.and_then(|assignment| match assignment.target {
            Target::Launch(launch) => Some(&after.decision.plan.launches[launch]),
            Target::Existing(_) => None,
        });
        let narrow: Vec<Edit> = edits
            .iter()
            .map(|edit| refined(&after.snapshot, self.snapshot, &after.decision.plan, launch, edit))
            .collect();
        if narrow != edits
            && let Some(after) = self.places(&narrow)
        {
            return self.remedy(&narrow, &after);
        }
        self.remedy(edits, after)
    }

    fn remedy(&self, edits: &[Edit], After { decision, .. }: &After) -> Remedy {
        let is_left = |of: &Decision, pod: &usize| of.plan.unplaced.iter().any(|unplaced| unplaced.pod == *pod);
        let left: Vec<usize> =
            self.siblings.iter().copied().filter(|pod| is_left(self.question.decision, pod)).collect();
        Remedy {
            changes: edits.iter().map(|edit| describe(self.snapshot, Some(self.pod), edit)).collect(),
            places: left.iter().filter(|pod| !is_left(decision, pod)).count(),
            of: left.len(),
            extra_usd_hour: (decision.plan.cost() - self.before.plan.cost()).as_usd(),
        }
    }
}

fn planned(question: &Question, snapshot: &Arc<Snapshot>, search: Search) -> Decision {
    let time = if search == Search::Greedy { question.limits.time } else { question.limits.time / SHARE };
    host::decide(snapshot, Limits { time, search, ..question.limits })
}
