//! The API server: objects with versions, preconditions, finalizers and graceful deletion.
//!
//! Source: the API conventions of Kubernetes (`resourceVersion`, `uid`, `generation`, `deletionTimestamp`), and the eviction
//! sub-resource. Schemas are not asked: those are tested on a real server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::index::{By, Index};
use super::queue::after;
use crate::controller::Subject;
use crate::observe::objects::ObjectKey;

/// All objects.
#[derive(Debug, Default)]
pub(super) struct Api {
    objects: BTreeMap<&'static str, BTreeMap<ObjectKey, Arc<Value>>>,
    index: Index,
    version: u64,
    uids: u64,
    changes: Vec<Change>,
}

/// An object before and after something happened to it; `None`: it was not, or is not there.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub subject: Subject,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
}

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not found, there already, or changed since.
    Outdated,
    /// A disruption budget does not allow it now.
    Budget(String),
}

/// What a server does with an object by itself.
const FIRST_VERSION: u64 = 1_000;

impl Api {
    pub fn get(&self, subject: &Subject) -> Option<&Arc<Value>> {
        self.objects.get(subject.kind)?.get(&subject.key)
    }

    /// The objects of a kind, by name.
    pub fn all(&self, kind: &'static str) -> impl Iterator<Item = (&ObjectKey, &Arc<Value>)> {
        self.objects.get(kind).into_iter().flatten()
    }

    /// The objects that are found by something.
    pub fn find<'a>(&'a self, by: &By) -> impl Iterator<Item = (&'a Subject, &'a Arc<Value>)> + use<'a> {
        self.index.get(by).filter_map(|subject| Some((subject, self.get(subject)?)))
    }

    /// The pods that are bound to a node.
    pub fn pods_on<'a>(&'a self, node: &str) -> impl Iterator<Item = (&'a Subject, &'a Arc<Value>)> + use<'a> {
        self.find(&By::Node(node.into()))
    }

    /// The object of a uid.
    pub fn of_uid(&self, uid: &str) -> Option<(&Subject, &Arc<Value>)> {
        self.find(&By::Uid(uid.into())).next()
    }

    /// The object of a kind that has an instance.
    pub fn of_instance(&self, kind: &str, provider_id: &str) -> Option<(&Subject, &Arc<Value>)> {
        self.find(&By::Instance(provider_id.into())).find(|(subject, _)| subject.kind == kind)
    }

    /// What has changed since this was asked last.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub fn create(&mut self, kind: &'static str, mut object: Value, now: Timestamp) -> Result<Arc<Value>, Refusal> {
        let subject = subject_of(kind, &object);
        if self.get(&subject).is_some() {
            return Err(Refusal::Outdated);
        }
        self.uids += 1;
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.uids));
        metadata["creationTimestamp"] = json!(whole_seconds(now));
        metadata["generation"] = json!(1);
        Ok(self.store(subject, None, object))
    }

    /// A JSON merge patch of an object, or of its status alone.
    pub fn patch(&mut self, subject: &Subject, body: &Value, of_status: bool) -> Result<Arc<Value>, Refusal> {
        let before = self.get(subject).cloned().ok_or(Refusal::Outdated)?;
        for field in ["uid", "resourceVersion"] {
            let wanted = &body["metadata"][field];
            if !wanted.is_null() && *wanted != before["metadata"][field] {
                return Err(Refusal::Outdated);
            }
        }
        let mut object = Value::clone(&before);
        let has_changed =
            if of_status { merge(&mut object["status"], &body["status"]) } else { merge(&mut object, body) };
        if !has_changed {
            return Ok(before);
        }
        if object["spec"] != before["spec"] {
            let generation = before["metadata"]["generation"].as_u64().unwrap_or(0) + 1;
            object["metadata"]["generation"] = json!(generation);
        }
        if !object["metadata"]["deletionTimestamp"].is_null() && has_no_finalizer(&object) && subject.kind != "Pod" {
            self.remove(subject);
            return Ok(Arc::new(object));
        }
        Ok(self.store(subject.clone(), Some(before), object))
    }

    /// Whether an object has the version that it is expected to have, if one is.
    pub fn expect_version(&self, subject: &Subject, version: Option<&str>) -> Result<(), Refusal> {
        let has = |object: &Arc<Value>| version.is_none_or(|version| object["metadata"]["resourceVersion"] == version);
        if self.get(subject).is_some_and(has) { Ok(()) } else { Err(Refusal::Outdated) }
    }

    /// Deletes an object: at once, or when its finalizers are gone, or for a pod that runs when its time to end is over.
    pub fn delete(
        &mut self,
        subject: &Subject,
        uid: Option<&str>,
        grace: Option<Duration>,
        now: Timestamp,
    ) -> Result<Option<Arc<Value>>, Refusal> {
        let before = self.get(subject).cloned().ok_or(Refusal::Outdated)?;
        if uid.is_some_and(|uid| before["metadata"]["uid"] != uid) {
            return Err(Refusal::Outdated);
        }
        let grace = if subject.kind == "Pod" { Some(grace_of(&before, grace)) } else { None };
        let is_gone = match grace {
            Some(grace) => grace.is_zero(),
            None => has_no_finalizer(&before),
        };
        if is_gone {
            self.remove(subject);
            return Ok(None);
        }
        let end = whole_seconds(after(now, grace.unwrap_or_default()));
        let known: Option<Timestamp> =
            before["metadata"]["deletionTimestamp"].as_str().and_then(|time| time.parse().ok());
        if known.is_some_and(|known| grace.is_none() || known <= end) {
            return Ok(Some(before));
        }
        let mut object = Value::clone(&before);
        object["metadata"]["deletionTimestamp"] = json!(end);
        if let Some(grace) = grace {
            object["metadata"]["deletionGracePeriodSeconds"] = json!(grace.as_secs());
        }
        Ok(Some(self.store(subject.clone(), Some(before), object)))
    }

    /// Takes an object away, whatever keeps it.
    pub fn remove(&mut self, subject: &Subject) {
        let before = self.objects.get_mut(subject.kind).and_then(|of_kind| of_kind.remove(&subject.key));
        if let Some(object) = &before {
            self.version += 1;
            self.index.remove(subject, object);
            self.changes.push(Change { subject: subject.clone(), before, after: None });
        }
    }

    fn store(&mut self, subject: Subject, before: Option<Arc<Value>>, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!((FIRST_VERSION + self.version).to_string());
        let object = Arc::new(object);
        if let Some(before) = &before {
            self.index.remove(&subject, before);
        }
        self.index.add(&subject, &object);
        self.objects.entry(subject.kind).or_default().insert(subject.key.clone(), object.clone());
        self.changes.push(Change { subject, before, after: Some(object.clone()) });
        object
    }
}

pub(super) fn subject_of(kind: &'static str, object: &Value) -> Subject {
    let text = |field: &str| Arc::from(object["metadata"][field].as_str().unwrap_or_default());
    Subject { kind, key: ObjectKey { namespace: text("namespace"), name: text("name") } }
}

/// The text at a path of fields and places in lists, or nothing. A JSON pointer without escapes, which are what takes its time.
pub(super) fn text<'v>(object: &'v Value, path: &str) -> &'v str {
    let mut parts = path.split('/').skip(1);
    let found = parts.try_fold(object, |at, part| match at {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    });
    found.and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn has_no_finalizer(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
}

/// How long a pod may take to end: nothing where it does not run.
fn grace_of(pod: &Value, asked: Option<Duration>) -> Duration {
    if text(pod, "/spec/nodeName").is_empty() || ["Succeeded", "Failed"].contains(&text(pod, "/status/phase")) {
        return Duration::ZERO;
    }
    let own = || Duration::from_secs(pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30));
    asked.unwrap_or_else(own)
}

/// As Kubernetes writes times.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// RFC 7386. Whether that changes anything.
pub(super) fn merge(target: &mut Value, patch: &Value) -> bool {
    let Value::Object(fields) = patch else {
        let has_changed = target != patch;
        if has_changed {
            target.clone_from(patch);
        }
        return has_changed;
    };
    let mut has_changed = !target.is_object();
    if has_changed {
        *target = json!({});
    }
    if let Value::Object(into) = target {
        for (name, value) in fields {
            has_changed |= if value.is_null() {
                into.remove(name).is_some()
            } else {
                merge(into.entry(name.clone()).or_insert(Value::Null), value)
            };
        }
    }
    has_changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_write_of_an_old_version_is_refused_and_a_finalizer_keeps_an_object() {
        let mut api = Api::default();
        let claim = json!({"metadata": {"name": "a", "finalizers": ["karpenter.sh/termination"]}, "spec": {}});
        let first = api.create("NodeClaim", claim.clone(), now()).unwrap();
        assert_eq!(api.create("NodeClaim", claim, now()).unwrap_err(), Refusal::Outdated);
        let subject = Subject::of_cluster("NodeClaim", "a");
        let body = json!({"metadata": {"resourceVersion": first["metadata"]["resourceVersion"], "labels": {"x": "y"}}});
        let second = api.patch(&subject, &body, false).unwrap();
        assert_eq!(api.patch(&subject, &body, false).unwrap_err(), Refusal::Outdated);
        assert_eq!(api.delete(&subject, Some("another"), None, now()).unwrap_err(), Refusal::Outdated);
        assert!(api.delete(&subject, second["metadata"]["uid"].as_str(), None, now()).unwrap().is_some());
        assert!(api.get(&subject).is_some_and(|object| is_deleting(object)));
        api.patch(&subject, &json!({"metadata": {"finalizers": []}}), false).unwrap();
        assert!(api.get(&subject).is_none());
        assert_eq!(api.take_changes().len(), 4);
    }

    #[test]
    fn a_pod_that_runs_has_its_time_to_end_and_never_more_than_it_was_given_before() {
        let mut api = Api::default();
        let pod = json!({"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "n"}});
        api.create("Pod", pod, now()).unwrap();
        let subject = subject_of("Pod", &json!({"metadata": {"name": "p", "namespace": "d"}}));
        let end = |object: &Value| object["metadata"]["deletionTimestamp"].as_str().map(str::to_owned);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let deleted = api.delete(&subject, None, None, now()).unwrap().unwrap();
        assert_eq!(end(&deleted).as_deref(), Some("2026-01-01T00:00:30Z"));
        let deleted = api.delete(&subject, None, seconds(60), now()).unwrap().unwrap();
        assert_eq!(end(&deleted).as_deref(), Some("2026-01-01T00:00:30Z"));
        let deleted = api.delete(&subject, None, seconds(5), now()).unwrap().unwrap();
        assert_eq!(end(&deleted).as_deref(), Some("2026-01-01T00:00:05Z"));
        assert!(api.delete(&subject, None, seconds(0), now()).unwrap().is_none());
        assert!(api.get(&subject).is_none());
    }
}
