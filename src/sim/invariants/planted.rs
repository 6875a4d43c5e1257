//! Faults of a controller that must be found: each breaks one rule, at half of the time.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Simulation;
use super::super::api::{subject_of, text};
use super::super::queue::after;
use crate::api::labels;
use crate::controller::{Subject, Verb, Write};
use crate::placement::{ClaimPlan, PlannedPod};

/// A fault of a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Planted {
    /// It is said that instances end, and they do not.
    Unended,
    /// A claim is let go that does not say which instance it has.
    Forgotten,
    /// An instance runs that no claim was ever made for, and no list shows it.
    Leaked,
    /// A claim is made a second time.
    Doubled,
    /// A pod that has a claim under way gets a place in another one.
    TwoPlaces,
    /// An instance is ended while pods run on it.
    Undrained,
    /// An instance is ended while pods are bound to it that do not run yet.
    Unstarted,
    /// A Node is taken away before its instance and its pods.
    NodeFirst,
    /// A deadline for pods that nobody has set.
    OwnDeadline,
    /// More is launched than the pool may have.
    OverLimit,
    /// All nodes are closed at once.
    OverBudget,
    /// All claims are deleted at once.
    AllAtOnce,
    /// Nodes stay reserved.
    NeverFreed,
    /// Interruptions are not heard.
    Deaf,
    /// Nothing is decided any more.
    Undecided,
}

impl Simulation<'_> {
    /// Whether the controller has this fault, and half of the time is over.
    pub(in super::super) fn is_planted(&self, fault: Planted) -> bool {
        let half = after(self.scenario.spec.start, self.scenario.spec.time / 2);
        self.options.planted == Some(fault) && self.now >= half
    }

    /// What the controller does wrong all at once.
    pub(in super::super) fn plant(&mut self) {
        match self.options.planted {
            Some(Planted::OverLimit) => self.make_too_many(),
            Some(Planted::OverBudget) => {
                for node in self.subjects("Node") {
                    let taints = json!([{"key": labels::TAINT_DISRUPTED, "effect": "NoSchedule"}]);
                    drop(self.api.patch(&node, &json!({"spec": {"taints": taints}}), false));
                }
            }
            Some(Planted::AllAtOnce) => {
                for claim in self.subjects("NodeClaim") {
                    self.delete_as_controller(claim);
                }
            }
            Some(Planted::Forgotten) => {
                if let Some(claim) = self.subjects("NodeClaim").first() {
                    let body = json!({"status": {"providerID": null}, "metadata": {"finalizers": []}});
                    drop(self.api.patch(claim, &body, false));
                    self.delete_as_controller(claim.clone());
                }
            }
            Some(Planted::NodeFirst) => {
                for node in self.subjects("Node") {
                    self.api.remove(&node);
                }
            }
            Some(Planted::Undrained) => self.end_all(),
            Some(Planted::Unstarted) => {
                for pod in self.subjects("Pod") {
                    drop(self.api.patch(&pod, &json!({"status": {"phase": "Pending"}}), true));
                }
                self.end_all();
            }
            Some(Planted::OwnDeadline) => {
                for claim in self.subjects("NodeClaim") {
                    let annotations = json!({ labels::TERMINATION_TIMESTAMP: self.now });
                    drop(self.api.patch(&claim, &json!({"metadata": {"annotations": annotations}}), false));
                }
                self.end_all();
            }
            Some(Planted::Leaked) => self.cloud.leak(self.now),
            Some(Planted::Deaf) => {
                let ids: Vec<Arc<str>> = self.cloud.spot();
                for id in &ids {
                    self.interrupt(id);
                }
            }
            _ => {}
        }
    }

    /// What a claim that the controller creates becomes.
    pub(in super::super) fn planted_claim(&mut self, subject: &Subject, mut claim: Value) -> Value {
        if subject.kind == "NodeClaim" && self.is_planted(Planted::Doubled) {
            let (mut again, now) = (claim.clone(), self.now);
            again["metadata"]["name"] = json!(format!("{}-again", subject.key.name));
            drop(self.api.create("NodeClaim", again, now));
        }
        let known = self.invariants.known.iter().find(|(_, other)| self.invariants.under_way.contains_key(*other));
        if let Some((pod, _)) = known.filter(|_| subject.kind == "NodeClaim" && self.is_planted(Planted::TwoPlaces)) {
            let annotation = &mut claim["metadata"]["annotations"][labels::PLANNED_PODS];
            let mut plan = ClaimPlan::from_annotation(annotation.as_str().unwrap_or_default()).unwrap_or_default();
            plan.pods.push(PlannedPod { namespace: "default".into(), name: "again".into(), uid: pod.clone(), turn: 0 });
            *annotation = json!(plan.to_annotation());
        }
        claim
    }

    fn subjects(&self, kind: &'static str) -> Vec<Subject> {
        self.api.all(kind).map(|(_, object)| subject_of(kind, object)).collect()
    }

    fn delete_as_controller(&mut self, subject: Subject) {
        let uid = self.api.get(&subject).map(|object| Arc::from(text(object, "/metadata/uid")));
        if let Some(uid) = uid {
            let acting = self.acting;
            let verb = Verb::Delete { uid, version: None, grace: None };
            drop(self.write(acting, &Write { subject, verb }));
        }
    }

    fn end_all(&mut self) {
        let ids: Vec<Arc<str>> = self.cloud.running().map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.note_end(id);
        }
    }

    fn make_too_many(&mut self) {
        let known = self.api.all("NodeClaim").map(|(_, claim)| Value::clone(claim)).next();
        let Some(mut claim) = known else { return };
        claim["status"] = Value::Null;
        claim["metadata"]["annotations"][labels::PLANNED_PODS] = json!(ClaimPlan::default().to_annotation());
        let now = self.now;
        for number in 0..200 {
            claim["metadata"]["name"] = json!(format!("more-{number}"));
            drop(self.api.create("NodeClaim", claim.clone(), now));
        }
    }
}
