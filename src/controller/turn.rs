//! One step in the making: what its parts share.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Step;
use super::action::{Action, Verb, Write};
use super::cluster::Claimed;
use super::event::Subject;
use super::said::Said;
use super::settings::ControllerSettings;
use super::writes::Writes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A time after another one, or the end of time: what people write into objects may be any number.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

pub(super) struct Turn<'t> {
    pub now: Timestamp,
    pub settings: &'t ControllerSettings,
    pub writes: &'t mut Writes,
    pub step: &'t mut Step,
}

impl Turn<'_> {
    pub fn say(&mut self, said: Said) {
        self.step.said.push(said);
    }

    /// Says it once the write that was sent last is taken: what is counted has happened.
    pub fn say_once_taken(&mut self, said: Said) {
        if let Some(Action::Write(write)) = self.step.actions.last() {
            self.writes.say_once_taken(&write.subject, said);
        }
    }

    /// In a shadow nothing is done: whatever is to be written or bought comes through here.
    pub fn act(&mut self, action: Action) {
        if !self.settings.shadow {
            self.step.actions.push(action);
        }
    }

    /// What follows concerns this claim, until another one is named.
    pub fn about(&mut self, claimed: &Claimed<'_>) {
        self.step.later.about = Some(claimed.key.name.clone());
    }

    /// What follows concerns every claim.
    pub fn about_all(&mut self) {
        self.step.later.about = None;
    }

    /// Looks at the claim that this is about again at this time, if nothing happens before; what time has brought already is
    /// looked at now.
    pub fn look_again(&mut self, at: Timestamp) {
        if at > self.now {
            self.step.later.wake(at);
            self.step_again(at);
        }
    }

    /// Makes a step at this time, for what every step looks at.
    pub fn step_again(&mut self, at: Timestamp) {
        if at > self.now {
            self.step.next = Some(self.step.next.map_or(at, |next| next.min(at)));
        }
    }

    /// Looks at the claim that this is about in the next step: what others do decides about it.
    pub fn stay(&mut self) {
        self.step.later.stay();
    }

    /// Whether the time has come; if not, the claim that this is about is looked at again then.
    pub fn is_due(&mut self, at: Timestamp) -> bool {
        self.look_again(at);
        at <= self.now
    }

    /// As [`Turn::is_due`], of what every step looks at.
    pub fn is_time(&mut self, at: Timestamp) -> bool {
        self.step_again(at);
        at <= self.now
    }

    /// Sends a write, unless one of the same object is under way or has to wait. Whether it was sent.
    pub fn write(&mut self, subject: Subject, meta: &ObjectMeta, verb: Verb) -> bool {
        self.write_version(subject, meta.resource_version.as_deref(), verb)
    }

    /// As [`Turn::write`], for an object of which the version is known.
    pub fn write_version(&mut self, subject: Subject, version: Option<&str>, verb: Verb) -> bool {
        match self.writes.may(&subject, version, self.now) {
            Ok(()) if self.settings.shadow => false,
            Ok(()) => {
                self.writes.sent(&subject, version);
                if let Verb::Create(object) = &verb {
                    self.writes.creates(&subject, object);
                }
                self.act(Action::Write(Write { subject, verb }));
                true
            }
            Err(Some(at)) => {
                self.look_again(at);
                false
            }
            Err(None) => false,
        }
    }

    /// Sends a creation of which nobody knows what became once more, the very same, as soon as it may be: there is one at most.
    pub fn create_again(&mut self, subject: &Subject) {
        match self.writes.may(subject, None, self.now) {
            Ok(()) => {
                if let Some(object) = self.writes.again(subject) {
                    self.act(Action::Write(Write { subject: subject.clone(), verb: Verb::Create(object) }));
                }
            }
            Err(at) => at.into_iter().for_each(|at| self.step_again(at)),
        }
    }

    /// Patches an object of the cluster; `body` without what names the version.
    pub fn patch(&mut self, kind: &'static str, meta: &ObjectMeta, body: Value) -> bool {
        let Some(name) = meta.name.as_deref() else { return false };
        self.write(Subject::of_cluster(kind, name), meta, Verb::Patch(versioned(meta, body)))
    }

    /// Deletes a claim, whatever has changed since it was read: nothing would make it stay.
    pub fn delete_claim(&mut self, claimed: &Claimed<'_>) -> bool {
        self.delete_version(claimed, None)
    }

    /// Deletes a claim as it was read: what has changed since may be why it stays, as where its node is launched or needed after
    /// all. Another process may have acted meanwhile.
    pub fn delete_claim_as_read(&mut self, claimed: &Claimed<'_>) -> bool {
        let version = claimed.claim.metadata.resource_version.as_deref();
        self.delete_version(claimed, version.map(Arc::from))
    }

    fn delete_version(&mut self, claimed: &Claimed<'_>, version: Option<Arc<str>>) -> bool {
        let delete = Verb::Delete { uid: Arc::from(claimed.uid()), version, grace: None };
        self.write(Subject::of_cluster("NodeClaim", claimed.name()), &claimed.claim.metadata, delete)
    }

    /// Patches its status.
    pub fn patch_status(&mut self, kind: &'static str, meta: &ObjectMeta, status: &Value) -> bool {
        let Some(name) = meta.name.as_deref() else { return false };
        self.patch_status_of(Subject::of_cluster(kind, name), meta, status)
    }

    /// As [`Turn::patch_status`], of any object.
    pub fn patch_status_of(&mut self, subject: Subject, meta: &ObjectMeta, status: &Value) -> bool {
        let body = versioned(meta, json!({ "status": status }));
        self.write(subject, meta, Verb::PatchStatus(body))
    }
}

fn versioned(meta: &ObjectMeta, mut body: Value) -> Value {
    if !body["metadata"].is_object() {
        body["metadata"] = json!({});
    }
    body["metadata"]["uid"] = json!(meta.uid);
    body["metadata"]["resourceVersion"] = json!(meta.resource_version);
    body
}

#[cfg(test)]
mod tests {
    use super::super::played::{Played, claims_of, pods};
    use super::*;

    #[test]
    fn a_shadow_decides_and_does_nothing() {
        let mut open = Played::new(ControllerSettings::default(), &pods(2, "60"));
        let decided = open.decide();
        assert_eq!(claims_of(&decided).len(), 2, "what it would do: {:?}", decided.said);
        let mut played =
            Played::new(ControllerSettings { shadow: true, ..ControllerSettings::default() }, &pods(2, "60"));
        let proposed = |step: &Step| step.said.iter().filter(|said| matches!(said, Said::Proposed { .. })).count();
        for _ in 0..3 {
            let decided = played.decide();
            assert_eq!((decided.actions.len(), proposed(&decided)), (0, 2), "again and again");
        }
        // what it sees of itself changes nothing
        played.see("NodeClaim", json!({
            "metadata": {"annotations": {crate::api::labels::PLANNED_PODS: "{}"}, "labels": {"karpenter.sh/nodepool": "default"}},
            "spec": {"nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}, "requirements": []},
        }), "theirs");
        for _ in 0..100 {
            let step = played.controller.step(played.now);
            let is_question = |action: &&Action| matches!(action, Action::Decide { .. } | Action::Consolidate { .. });
            let writes = step.actions.iter().filter(|action| !is_question(action));
            assert_eq!(writes.count(), 0, "{:?}", step.actions);
            played.pass(Duration::from_secs(1));
        }
    }
}
