//! Claims that were sent and that nobody has seen: where no answer came, one may have been made all the same.
//!
//! Such a creation is sent again, the very same, until it is known what became of it: a claim that is there already is the one that
//! was sent. Its pods are not planned anew meanwhile, and a pool with `spec.replicas` gets no other one. A watch alone would not
//! do: it may be silent for longer than anybody likes to wait. Another process lists all claims before it decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::carry_out::needs_node;
use super::cluster::Cluster;
use super::event::{Outcome, Subject};
use super::turn::{Turn, later};
use crate::observe::snapshot::Pod;

/// What became of a creation is asked for so long, and a claim that is there is waited for as long; what is not known then is
/// planned anew.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// By the name of the claim.
#[derive(Debug, Default)]
pub(super) struct Creating(BTreeMap<Arc<str>, Sent>);

#[derive(Debug)]
struct Sent {
    pool: Arc<str>,
    /// None: it is wanted whatever pods there are.
    pods: Vec<Pod>,
    open: Option<Open>,
}

/// An answer was missing.
#[derive(Debug, Clone, Copy)]
struct Open {
    since: Timestamp,
    /// Whether it is known by now that it is there; a watch will show it.
    is_there: bool,
}

impl Creating {
    pub fn note(&mut self, claim: Arc<str>, pool: Arc<str>, pods: Vec<Pod>) {
        self.0.insert(claim, Sent { pool, pods, open: None });
    }

    /// Takes an answer in: one that says what became of the claim, or none that can be relied on.
    pub fn answered(&mut self, claim: &str, outcome: &Outcome, now: Timestamp) {
        let Some(sent) = self.0.get_mut(claim) else { return };
        let is_there = match outcome {
            Outcome::Done(_) => return drop(self.0.remove(claim)),
            // an earlier one may have been taken before somebody began to refuse it
            Outcome::Refused(_) if sent.open.is_none() => return drop(self.0.remove(claim)),
            Outcome::Failed(_) | Outcome::Delayed(_) | Outcome::Refused(_) => false,
            Outcome::Outdated => true,
        };
        let open = sent.open.get_or_insert(Open { since: now, is_there });
        open.is_there |= is_there;
    }

    /// Asks again what became of those that nobody knows of, while they are wanted.
    pub fn step(&mut self, cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
        self.0.retain(|claim, sent| {
            !cluster.has_claim(claim) && sent.open.is_none_or(|open| !turn.is_time(later(open.since, LONGEST)))
        });
        let is_wanted =
            |sent: &Sent| sent.pods.is_empty() || sent.pods.iter().any(|of| needs_node(of, cluster.objects));
        for (claim, sent) in &self.0 {
            if sent.open.is_some_and(|open| !open.is_there) && is_wanted(sent) {
                turn.create_again(&Subject::of_cluster("NodeClaim", claim));
            }
        }
    }

    /// The uids of the pods that may have a claim which is not seen yet.
    pub fn pods(&self) -> BTreeSet<Arc<str>> {
        self.0.values().flat_map(|sent| &sent.pods).map(|pod| pod.uid.clone()).collect()
    }

    /// Whether a pool may have a claim which is not seen yet.
    pub fn is_of(&self, pool: &str) -> bool {
        self.0.values().any(|sent| *sent.pool == *pool)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::event::Event;
    use super::super::played::{Played, pods};
    use super::super::{Action, ControllerSettings, Said, Step, Verb};
    use super::*;
    use crate::api::labels;
    use crate::observe::RawObject;
    use crate::observe::input::Origin;
    use crate::observe::objects::ObjectKey;
    use crate::placement::ClaimPlan;

    /// The claims that a step creates, as they are sent.
    fn created(step: &Step) -> Vec<&Value> {
        let writes = step.actions.iter().filter_map(|action| match action {
            Action::Write(write) if write.subject.kind == "NodeClaim" => Some(&write.verb),
            _ => None,
        });
        writes.filter_map(|verb| if let Verb::Create(object) = verb { Some(object) } else { None }).collect()
    }

    /// The names of their pods.
    fn planned(step: &Step) -> Vec<String> {
        let plans = created(step).into_iter().map(|object| &object["metadata"]["annotations"][labels::PLANNED_PODS]);
        let plans = plans.map(|text| ClaimPlan::from_annotation(text.as_str().unwrap()).unwrap());
        plans.flat_map(|plan| plan.pods).map(|pod| pod.name.to_string()).collect()
    }

    /// A pod of two is planned, and its claim sent.
    fn sent() -> (Played, Vec<Value>, Value) {
        let both = pods(2, "60");
        let mut played = Played::new(ControllerSettings::default(), &both[..1]);
        let decided = played.decide();
        let claim = created(&decided)[0].clone();
        (played, both, claim)
    }

    fn answer(played: &mut Played, claim: &Value, outcome: Outcome) -> Vec<Said> {
        let subject = Subject::of_cluster("NodeClaim", claim["metadata"]["name"].as_str().unwrap());
        played.controller.observe(Event::Written { subject, outcome }, played.now).said
    }

    /// Another pod comes: the pods of the next decision.
    fn next(played: &mut Played, pod: &Value) -> Vec<String> {
        played.see("Pod", pod.clone(), "another");
        let decided = played.decide();
        let names = planned(&decided);
        played.take_in(decided);
        names
    }

    fn no_answer() -> Outcome {
        Outcome::Failed("no answer".to_owned())
    }

    #[test]
    fn a_claim_without_an_answer_is_sent_again_until_it_is_known_and_its_pods_are_not_planned_anew() {
        let (mut played, both, claim) = sent();
        answer(&mut played, &claim, no_answer());
        let mut times = 0;
        for _ in 0..120 {
            played.pass(Duration::from_secs(1));
            let step = played.controller.step(played.now);
            assert!(!step.actions.iter().any(|action| matches!(action, Action::Decide { .. })), "{:?}", step.actions);
            for again in created(&step) {
                assert_eq!(*again, claim, "the very same");
                times += 1;
                answer(&mut played, again, no_answer());
            }
        }
        assert!((10..=20).contains(&times), "{times}");
        played.pass(Duration::from_secs(10));
        assert_eq!(created(&played.controller.step(played.now)).len(), 1);
        let said = answer(&mut played, &claim, Outcome::Outdated);
        assert!(said.iter().any(|said| matches!(said, Said::Creating { .. })), "it is there: {said:?}");
        played.pass(Duration::from_secs(60));
        let step = played.controller.step(played.now);
        assert!(step.actions.is_empty(), "a watch will show it: {:?}", step.actions);
        assert_eq!(next(&mut played, &both[1]), ["another"]);
        played.pass(LONGEST);
        assert_eq!(planned(&played.decide()), ["p0"], "somebody has removed it before anybody saw it");
    }

    #[test]
    fn a_claim_that_is_not_made_for_certain_is_planned_anew() {
        let refused = || Outcome::Refused("no".to_owned());
        let (mut played, both, claim) = sent();
        answer(&mut played, &claim, refused());
        assert_eq!(next(&mut played, &both[1]).len(), 2, "it is known that it was not made");

        let (mut played, both, claim) = sent();
        answer(&mut played, &claim, no_answer());
        answer(&mut played, &claim, refused());
        assert_eq!(next(&mut played, &both[1]), ["another"], "the first one may have been");
    }

    #[test]
    fn a_claim_that_nobody_needs_any_more_is_not_sent_again() {
        let (mut played, _, claim) = sent();
        answer(&mut played, &claim, no_answer());
        let key = ObjectKey { namespace: "default".into(), name: "p0".into() };
        let uid = "pod-0";
        played.controller.observe(Event::Gone { kind: "Pod", key, uid: uid.into() }, played.now);
        played.pass(Duration::from_secs(1));
        assert_eq!(created(&played.controller.step(played.now)).len(), 0);
    }

    #[test]
    fn a_claim_that_is_taken_is_told_with_its_pods() {
        let (mut played, _, claim) = sent();
        let mut made = claim.clone();
        made["metadata"]["resourceVersion"] = json!("100");
        made["metadata"]["uid"] = json!("claim");
        made["metadata"]["creationTimestamp"] = json!("2026-01-05T12:00:00Z");
        made["apiVersion"] = json!("karpenter.sh/v1");
        made["kind"] = json!("NodeClaim");
        let object = RawObject { origin: Origin::default(), value: made };
        let said = answer(&mut played, &claim, Outcome::Done(Some(object)));
        assert!(said.iter().any(|said| matches!(said, Said::Creating { pods: 1, .. })), "{said:?}");
        assert!(said.iter().any(|said| matches!(said, Said::Nominated { .. })), "{said:?}");
    }

    #[test]
    fn a_pool_with_replicas_gets_no_other_claim_while_one_may_be_there() {
        let mut settings = ControllerSettings::default();
        settings.decision.feature_gates.static_capacity = true;
        let mut played = Played::new(settings, &[]);
        let class = json!({"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"});
        let ready = json!([{"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": "2026-01-05T11:00:00Z"}]);
        let pool = json!({
            "metadata": {},
            "spec": {"replicas": 2, "template": {"spec": {"nodeClassRef": class, "requirements": []}}},
            "status": {"conditions": ready},
        });
        played.see("NodePool", pool, "fixed");
        let step = played.controller.step(played.now);
        let both: Vec<Value> = created(&step).into_iter().cloned().collect();
        assert_eq!(both.len(), 2);
        for claim in &both {
            answer(&mut played, claim, no_answer());
        }
        for _ in 0..60 {
            played.pass(Duration::from_secs(1));
            let step = played.controller.step(played.now);
            for again in created(&step) {
                assert!(both.contains(again), "{again}");
                answer(&mut played, again, no_answer());
            }
        }
    }
}
