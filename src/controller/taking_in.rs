//! What objects become that are seen, and what writes have come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::event::{Outcome, Subject};
use super::said::Said;
use super::{Controller, world};
use crate::observe::RawObject;
use crate::observe::objects::ObjectKey;

impl Controller {
    pub(super) fn written(&mut self, subject: &Subject, outcome: Outcome, now: Timestamp, said: &mut Vec<Said>) {
        if let Outcome::Refused(reason) = &outcome
            && let Some(meta) = self.world.objects().metadata(subject.kind, &subject.key)
            && subject.kind == "Pod"
        {
            self.following.refuse(meta.uid.as_deref().unwrap_or_default(), reason, now);
        }
        if let Outcome::Delayed(reason) = &outcome {
            let pod = self.pod(subject.kind, &subject.key);
            let node = pod.and_then(|pod| pod.spec.as_ref()?.node_name.as_deref().map(Arc::from));
            said.push(Said::EvictionDelayed { pod: subject.clone(), node, reason: reason.clone() });
        }
        if subject.kind == "NodeClaim" {
            self.creating.answered(&subject.key.name, &outcome, now);
        }
        said.extend(self.writes.means(subject, &outcome));
        let failure = self.writes.answered(subject, &outcome, now);
        if let Some(reason) = failure {
            said.push(Said::WriteFailed { subject: subject.clone(), reason });
        }
        match outcome {
            Outcome::Done(Some(object)) => self.see(subject.kind, object, now, said),
            _ => self.world.touch(subject.kind, &subject.key),
        }
    }

    pub(super) fn see(&mut self, kind: &'static str, object: RawObject, now: Timestamp, said: &mut Vec<Said>) {
        let key = world::key_of(&object.value);
        let before = key.as_ref().and_then(|key| self.pod(kind, key));
        self.world.see(kind, object, said);
        if before.is_some() {
            let after = key.as_ref().and_then(|key| self.pod(kind, key));
            self.events.note(before.as_deref(), after.as_deref(), now);
        }
    }

    /// What happened to pods while nobody looked counts as if it happened now.
    pub(super) fn list(&mut self, kind: &'static str, objects: Vec<RawObject>, now: Timestamp, said: &mut Vec<Said>) {
        let before = if kind == "Pod" { self.world.objects().pods.clone() } else { BTreeMap::new() };
        self.world.list(kind, objects, said);
        for (key, pod) in &before {
            let after = self.pod(kind, key);
            self.events.note(Some(&pod.object), after.as_deref(), now);
        }
    }

    pub(super) fn pod(&self, kind: &str, key: &ObjectKey) -> Option<Arc<Pod>> {
        let found = self.world.objects().pods.get(key).filter(|_| kind == "Pod");
        found.map(|pod| pod.object.clone())
    }
}
