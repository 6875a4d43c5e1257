//! What was read of objects, kept while they do not change: of a cluster with thousands of pods those are read that did.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::input::FieldError;
use super::live_pods::owner;
use super::nodes::ReadNode;
use super::objects::{ObjectKey, Objects, Sourced, Table};
use super::pod::TemplateAndRefusal;
use super::snapshot::{OwnerRef, PodTemplate};
use super::spreading::DefaultSpreading;

/// By the place where an object is, which is kept as long as it is known.
#[derive(Debug)]
pub struct Memo<O, T> {
    known: HashMap<usize, Known<O, T>>,
    round: u64,
}

#[derive(Debug)]
struct Known<O, T> {
    /// So that no other one comes to be at its place.
    _object: Arc<O>,
    value: Arc<T>,
    round: u64,
}

impl<O, T> Default for Memo<O, T> {
    fn default() -> Self {
        Self { known: HashMap::new(), round: 0 }
    }
}

impl<O, T> Memo<O, T> {
    /// What was read of this object, or is read now.
    pub fn of(&mut self, object: &Arc<O>, read: impl FnOnce(&O) -> T) -> Arc<T> {
        let round = self.round;
        let known = self.known.entry(Arc::as_ptr(object).addr()).or_insert_with(|| Known {
            _object: object.clone(),
            value: Arc::new(read(object)),
            round,
        });
        known.round = round;
        known.value.clone()
    }

    /// Forgets what nobody has asked for since the last time.
    pub fn end_round(&mut self) {
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        self.round += 1;
    }
}

/// What one reading keeps for the next; an empty one is always right.
#[derive(Debug, Default)]
pub struct Memory {
    /// What pods refer to: with something else they may be something else.
    referred: Objects,
    pods: Memo<Pod, ReadPod>,
    nodes: Memo<Node, Result<ReadNode, FieldError>>,
    /// Looked up only, so its order does not show.
    templates: HashSet<Arc<PodTemplate>>,
}

/// A pod as it was read.
#[derive(Debug)]
pub(super) struct ReadPod {
    /// What it is made of, and why it is not for us to place.
    pub read: Result<(Arc<PodTemplate>, Option<Arc<str>>), FieldError>,
    pub uid: Arc<str>,
    pub owner: Option<OwnerRef>,
    pub node: Option<Arc<str>>,
}

impl ReadPod {
    fn of(key: &ObjectKey, pod: &Pod, read: Result<(Arc<PodTemplate>, Option<Arc<str>>), FieldError>) -> Self {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        Self {
            read,
            uid: pod.metadata.uid.as_deref().map_or_else(|| format!("pod/{key}").into(), Arc::from),
            owner: owner(&pod.metadata),
            node: node.filter(|name| !name.is_empty()).map(Arc::from),
        }
    }
}

impl Memory {
    /// Begins a reading: what was read beside other objects is forgotten.
    pub(super) fn begin(&mut self, objects: &Objects, spreading: &DefaultSpreading<'_>) {
        let before = &self.referred;
        let same_owners = || {
            is_same(&before.services, &objects.services)
                && is_same(&before.replication_controllers, &objects.replication_controllers)
                && is_same(&before.replica_sets, &objects.replica_sets)
                && is_same(&before.deployments, &objects.deployments)
                && is_same(&before.stateful_sets, &objects.stateful_sets)
        };
        let is_same = is_same(&before.priority_classes, &objects.priority_classes)
            && is_same(&before.volumes, &objects.volumes)
            && is_same(&before.volume_claims, &objects.volume_claims)
            && is_same(&before.storage_classes, &objects.storage_classes)
            && (spreading.is_off() || same_owners());
        if !is_same {
            self.pods = Memo::default();
            self.referred = Objects { pods: Table::new(), nodes: Table::new(), ..objects.clone() };
        }
    }

    /// What a pod is, which the API server has admitted: nothing else decides about it.
    pub(super) fn admitted(
        &mut self,
        (key, pod): (&ObjectKey, &Arc<Pod>),
        read: impl FnOnce() -> Result<TemplateAndRefusal, FieldError>,
    ) -> Arc<ReadPod> {
        let Self { pods, templates, .. } = self;
        pods.of(pod, |pod| ReadPod::of(key, pod, shared(templates, read())))
    }

    /// What a Node says without its claim.
    pub(super) fn node(
        &mut self,
        node: &Arc<Node>,
        read: impl FnOnce(&Node) -> Result<ReadNode, FieldError>,
    ) -> Arc<Result<ReadNode, FieldError>> {
        self.nodes.of(node, read)
    }

    /// What any pod is.
    pub(super) fn anew(
        &mut self,
        (key, pod): (&ObjectKey, &Pod),
        read: Result<TemplateAndRefusal, FieldError>,
    ) -> Arc<ReadPod> {
        Arc::new(ReadPod::of(key, pod, shared(&mut self.templates, read)))
    }

    /// Forgets what is not there any more.
    pub(super) fn end(&mut self) {
        self.pods.end_round();
        self.nodes.end_round();
        self.templates.retain(|template| Arc::strong_count(template) > 1);
    }
}

/// Pods that are alike share what they are made of.
fn shared(
    templates: &mut HashSet<Arc<PodTemplate>>,
    read: Result<TemplateAndRefusal, FieldError>,
) -> Result<(Arc<PodTemplate>, Option<Arc<str>>), FieldError> {
    let (template, refusal) = read?;
    let template = templates.get(&template).cloned().unwrap_or_else(|| {
        let template = Arc::new(template);
        templates.insert(template.clone());
        template
    });
    Ok((template, refusal))
}

fn is_same<T>(before: &Table<T>, now: &Table<T>) -> bool {
    let same = |before: &Sourced<T>, now: &Sourced<T>| Arc::ptr_eq(&before.object, &now.object);
    before.len() == now.len() && before.values().zip(now.values()).all(|(before, now)| same(before, now))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::input::Origin;
    use crate::observe::{Moment, Offered, RawObject, build_observed};
    use crate::settings::Settings;

    fn raw(value: Value) -> RawObject {
        RawObject { origin: Origin::default(), value }
    }

    fn class(value: i32) -> RawObject {
        raw(json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": value,
        }))
    }

    #[test]
    fn a_pod_is_read_again_when_it_or_what_it_refers_to_has_changed() {
        let pod = |cpu: &str| {
            raw(json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d", "uid": "u"},
                "spec": {"priorityClassName": "high", "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]},
            }))
        };
        let mut objects = Objects::collect([pod("1"), class(1)]);
        let mut memory = Memory::default();
        let mut read = |objects: &Objects| {
            let (settings, region, taken_at) = (Settings::default(), "".into(), Timestamp::UNIX_EPOCH);
            let moment = Moment { settings, region, taken_at, offered: Offered::default() };
            build_observed(objects.clone(), moment, &mut memory).snapshot.pods[0].template.clone()
        };
        let key = |namespace: &str, name: &str| ObjectKey { namespace: namespace.into(), name: name.into() };
        let first = read(&objects);
        assert!(Arc::ptr_eq(&first, &read(&objects)));
        assert_eq!(first.spec.priority, 1);
        objects.put("PriorityClass", &key("", "high"), class(5)).unwrap();
        assert_eq!(read(&objects).spec.priority, 5);
        objects.put("Pod", &key("d", "p"), pod("2")).unwrap();
        assert_eq!(read(&objects).spec.requests.get("cpu"), 2_000);
    }
}
