//! Claims that were sent and that nobody has seen: where no answer came, one may have been made all the same.
//!
//! Their pods are not planned again while the watch may still show the claim. Another process lists all claims before it decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::Cluster;
use super::event::Outcome;
use super::turn::{Turn, later};
use super::writes::WATCH;

/// By the name of the claim.
#[derive(Debug, Default)]
pub(super) struct Creating(BTreeMap<Arc<str>, Sent>);

#[derive(Debug)]
struct Sent {
    /// By uid.
    pods: Vec<Arc<str>>,
    /// How long it is waited for; `None` while the answer is.
    until: Option<Timestamp>,
}

impl Creating {
    pub fn note(&mut self, claim: Arc<str>, pods: Vec<Arc<str>>) {
        self.0.insert(claim, Sent { pods, until: None });
    }

    /// Takes an answer in: one that says what became of the claim, or none that can be relied on.
    pub fn answered(&mut self, claim: &str, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::Done(_) | Outcome::Refused(_) => drop(self.0.remove(claim)),
            Outcome::Failed(_) | Outcome::Outdated | Outcome::Delayed(_) => {
                if let Some(sent) = self.0.get_mut(claim) {
                    sent.until.get_or_insert(later(now, WATCH));
                }
            }
        }
    }

    /// The uids of the pods that may have a claim which is not seen yet.
    pub fn pods(&mut self, cluster: &Cluster<'_>, turn: &mut Turn<'_>) -> BTreeSet<Arc<str>> {
        self.0.retain(|claim, sent| !cluster.has_claim(claim) && sent.until.is_none_or(|until| !turn.is_time(until)));
        self.0.values().flat_map(|sent| &sent.pods).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::event::{Event, Subject};
    use super::super::played::{Played, claims_of, pods};
    use super::super::{Action, ControllerSettings, Step, Verb};
    use crate::api::labels;
    use crate::controller::Outcome;
    use crate::placement::ClaimPlan;

    /// The names of the pods of the claims that a step creates.
    fn planned(step: &Step) -> Vec<String> {
        let created = step.actions.iter().filter_map(|action| match action {
            Action::Write(write) => match &write.verb {
                Verb::Create(object) => object["metadata"]["annotations"][labels::PLANNED_PODS].as_str(),
                _ => None,
            },
            _ => None,
        });
        let plans = created.map(|text| ClaimPlan::from_annotation(text).unwrap());
        plans.flat_map(|plan| plan.pods).map(|pod| pod.name.to_string()).collect()
    }

    /// Of two pods one is planned, and this becomes of its claim: the pods of the next decision.
    fn after(outcome: Outcome) -> (Played, Vec<String>) {
        let both = pods(2, "60");
        let mut played = Played::new(ControllerSettings::default(), &both[..1]);
        let decided = played.decide();
        let [claim] = &claims_of(&decided)[..] else { panic!("{:?}", decided.actions) };
        let subject = Subject::of_cluster("NodeClaim", claim);
        played.controller.observe(Event::Written { subject, outcome }, played.now);
        played.see("Pod", both[1].clone(), "another");
        let decided = played.decide();
        let next = planned(&decided);
        played.take_in(decided);
        (played, next)
    }

    #[test]
    fn a_pod_whose_claim_may_be_there_is_not_planned_again_at_once() {
        let (mut played, next) = after(Outcome::Failed("no answer".to_owned()));
        assert_eq!(next, ["another"]);
        played.pass(Duration::from_secs(10));
        assert_eq!(planned(&played.decide()), ["p0"], "it was not made");
        let (_, next) = after(Outcome::Refused("no".to_owned()));
        assert_eq!(next.len(), 2, "it is known that it was not made: {next:?}");
    }
}
