//! What is known of the cluster: its objects, each in the newest state that was seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::attention::Changes;
use super::index::{Index, Place};
use super::said::Said;
use crate::observe::objects::{KINDS, ObjectKey, Objects};
use crate::observe::{InputError, RawObject};

/// The objects of every kind that is read.
#[derive(Debug, Default)]
pub struct World {
    objects: Objects,
    /// Kinds of which everything is known.
    listed: BTreeSet<&'static str>,
    /// What is wrong with objects that cannot be read: said once.
    unreadable: BTreeMap<(&'static str, ObjectKey), InputError>,
    gone: Gone,
    index: Index,
    changes: Changes,
}

/// What an object was before it changed.
struct Before {
    place: Place,
    /// Of a pool: its status changes with its nodes, the rest seldom.
    pool: Option<ObjectMeta>,
}

/// Uids of objects that are gone: the answer to the write that took the last finalizer off may come after the watch has said so,
/// and must not bring the object back.
#[derive(Debug, Default)]
struct Gone {
    uids: BTreeSet<Arc<str>>,
    /// Oldest first.
    order: VecDeque<Arc<str>>,
}

/// So many are remembered: far more than can go while an answer is on its way.
const REMEMBERED: usize = 4_096;

impl Gone {
    fn note(&mut self, uid: &str) {
        let uid: Arc<str> = Arc::from(uid);
        if !uid.is_empty() && self.uids.insert(uid.clone()) {
            self.order.push_back(uid);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.uids.remove(&oldest);
        }
    }
}

impl World {
    /// Whether every kind was listed once.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.listed.len() == KINDS.len()
    }

    /// Whether every object of a kind that is there can be read.
    pub(super) fn can_read_all(&self, kind: &str) -> bool {
        !self.unreadable.keys().any(|(of, _)| *of == kind)
    }

    /// What is there.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// What belongs together.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// What has changed since this was asked last.
    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Notes that something may have happened to what a write or a question was about.
    pub(super) fn touch(&mut self, kind: &str, key: &ObjectKey) {
        match Place::of(&self.objects, kind, key) {
            Place::Pod { node: Some(node), .. } => self.touch_node(&node),
            Place::Node { id: Some(id), .. } => self.touch_instance(&id),
            _ if kind == "NodeClaim" => drop(self.changes.claims.insert(key.name.clone())),
            _ => {}
        }
        self.changes.is_structural = true;
    }

    fn touch_node(&mut self, name: &Arc<str>) {
        let key = ObjectKey { namespace: Arc::from(""), name: name.clone() };
        if let Place::Node { id: Some(id), .. } = Place::of(&self.objects, "Node", &key) {
            self.touch_instance(&id);
        }
    }

    /// Notes that something has happened to an instance.
    pub(super) fn touch_instance(&mut self, id: &str) {
        let claims = self.index.claims_of(id).map(|key| key.name.clone());
        self.changes.claims.extend(claims);
    }

    /// Every claim is to be looked at.
    pub(super) fn touch_all(&mut self) {
        self.changes.all = true;
    }

    fn before(&self, kind: &str, key: &ObjectKey) -> Before {
        let pool = if kind == "NodePool" { self.objects.metadata(kind, key).cloned() } else { None };
        Before { place: Place::of(&self.objects, kind, key), pool }
    }

    fn note_change(&mut self, kind: &'static str, key: &ObjectKey, before: &Before) {
        let after = Place::of(&self.objects, kind, key);
        self.index.note(key, &before.place, &after);
        self.changes.is_structural |= ["Node", "NodeClaim", "NodePool"].contains(&kind);
        match kind {
            "NodeClaim" => drop(self.changes.claims.insert(key.name.clone())),
            "Node" | "Pod" => {
                for place in [&before.place, &after] {
                    match place {
                        Place::Pod { node: Some(node), .. } => self.touch_node(node),
                        Place::Node { id: Some(id), .. } => self.touch_instance(id),
                        _ => {}
                    }
                }
            }
            "NodePool" => {
                let now = self.objects.metadata(kind, key);
                let same = |a: &ObjectMeta, b: &ObjectMeta| {
                    (&a.uid, a.generation, &a.labels, &a.annotations)
                        == (&b.uid, b.generation, &b.labels, &b.annotations)
                        && a.deletion_timestamp == b.deletion_timestamp
                };
                self.changes.all |= !before.pool.as_ref().zip(now).is_some_and(|(before, now)| same(before, now));
            }
            "EC2NodeClass" | "KWOKNodeClass" | "NodeOverlay" => self.changes.all = true,
            _ => {}
        }
    }

    /// Notes the state of an object, unless it or a newer one is known: watches and answers to writes overtake one another.
    pub(super) fn see(&mut self, kind: &'static str, object: RawObject, said: &mut Vec<Said>) {
        let Some(key) = key_of(&object.value) else { return };
        let uid = object.value["metadata"]["uid"].as_str().unwrap_or_default();
        if self.gone.uids.contains(uid) || self.knows(kind, &key, &object.value) {
            return;
        }
        let before = self.before(kind, &key);
        let put = self.objects.put(kind, &key, object);
        self.note_change(kind, &key, &before);
        match put {
            Ok(()) => drop(self.unreadable.remove(&(kind, key))),
            Err(error) => {
                let known = self.unreadable.insert((kind, key), error.clone());
                if known.as_ref() != Some(&error) {
                    said.push(Said::Unreadable(error));
                }
            }
        }
    }

    /// Notes that an object is gone; one of the same name that came after it stays.
    pub(super) fn lose(&mut self, kind: &'static str, key: &ObjectKey, uid: &str) {
        self.gone.note(uid);
        let known = self.objects.metadata(kind, key).and_then(|meta| meta.uid.as_deref());
        if known.is_none_or(|known| known == uid) {
            self.take_out(kind, key);
        }
    }

    /// Notes all objects of a kind.
    pub(super) fn list(&mut self, kind: &'static str, objects: Vec<RawObject>, said: &mut Vec<Said>) {
        let mut gone = self.objects.keys(kind);
        gone.extend(self.unreadable.keys().filter(|(of, _)| *of == kind).map(|(_, key)| key.clone()));
        for object in objects {
            if let Some(key) = key_of(&object.value) {
                gone.remove(&key);
            }
            self.see(kind, object, said);
        }
        for key in gone {
            let uid = self.objects.metadata(kind, &key).and_then(|meta| meta.uid.clone());
            self.gone.note(uid.as_deref().unwrap_or_default());
            self.take_out(kind, &key);
        }
        self.listed.insert(kind);
        self.changes.all = true;
    }

    fn take_out(&mut self, kind: &'static str, key: &ObjectKey) {
        let before = self.before(kind, key);
        self.objects.remove(kind, key);
        self.unreadable.remove(&(kind, key.clone()));
        self.note_change(kind, key, &before);
    }

    /// Resource versions of one object are numbers that grow (Kubernetes, KEP-5504).
    fn knows(&self, kind: &str, key: &ObjectKey, object: &Value) -> bool {
        let Some(known) = self.objects.metadata(kind, key) else { return false };
        let text = |field: &str| object["metadata"][field].as_str();
        let version = |text: Option<&str>| text.and_then(|text| text.parse::<u128>().ok());
        known.uid.as_deref() == text("uid")
            && version(text("resourceVersion"))
                .is_some_and(|written| version(known.resource_version.as_deref()) >= Some(written))
    }
}

/// Namespace and name of an object as it is written.
#[must_use]
pub fn key_of(object: &Value) -> Option<ObjectKey> {
    let metadata = object.get("metadata")?;
    let name = Arc::from(metadata.get("name")?.as_str()?);
    let namespace = Arc::from(metadata.get("namespace").and_then(Value::as_str).unwrap_or_default());
    Some(ObjectKey { namespace, name })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::observe::input::Origin;

    fn node(name: &str, uid: &str, version: &str) -> RawObject {
        let metadata = json!({"name": name, "uid": uid, "resourceVersion": version});
        RawObject {
            origin: Origin::default(),
            value: json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}),
        }
    }

    fn version(world: &World, name: &str) -> Option<String> {
        let key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
        world.objects().metadata("Node", &key).and_then(|meta| meta.resource_version.clone())
    }

    #[test]
    fn the_newest_state_counts_whoever_comes_first() {
        let (mut world, mut said) = (World::default(), Vec::new());
        world.see("Node", node("n", "a", "9"), &mut said);
        world.see("Node", node("n", "a", "10"), &mut said);
        world.see("Node", node("n", "a", "9"), &mut said);
        assert_eq!(version(&world, "n").as_deref(), Some("10"), "versions are numbers");
        // another one of the same name
        world.see("Node", node("n", "b", "3"), &mut said);
        assert_eq!(version(&world, "n").as_deref(), Some("3"));
        let key = ObjectKey { namespace: Arc::from(""), name: Arc::from("n") };
        world.lose("Node", &key, "a");
        assert_eq!(version(&world, "n").as_deref(), Some("3"), "the one before is gone, not this one");
        world.lose("Node", &key, "b");
        assert_eq!(version(&world, "n"), None);
        // the answer to the write that took its last finalizer off
        world.see("Node", node("n", "b", "4"), &mut said);
        assert_eq!(version(&world, "n"), None);
    }

    #[test]
    fn a_list_is_all_that_there_is() {
        let (mut world, mut said) = (World::default(), Vec::new());
        world.see("Node", node("old", "a", "1"), &mut said);
        world.list("Node", vec![node("new", "b", "2")], &mut said);
        assert_eq!((version(&world, "old"), version(&world, "new").as_deref()), (None, Some("2")));
        assert!(!world.is_complete(), "other kinds were not listed");
    }

    #[test]
    fn what_cannot_be_read_is_said_once_and_is_not_there() {
        let (mut world, mut said) = (World::default(), Vec::new());
        for version in ["1", "2"] {
            let mut broken = node("n", "a", version);
            broken.value["spec"] = json!({"taints": "none"});
            world.see("Node", broken, &mut said);
        }
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(version(&world, "n"), None);
        world.see("Node", node("n", "a", "3"), &mut said);
        assert_eq!((version(&world, "n").as_deref(), said.len()), (Some("3"), 1));
    }
}
