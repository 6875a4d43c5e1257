//! Pods by class: equal template in equal namespace. Everything that does not depend on the single pod is decided once
//! for its class.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::selection::{Selection, Selections};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Pod, PodSpec, PodTemplate};
use crate::resources::{PODS, Resources};

pub(super) struct Classes<'a> {
    pub all: Vec<Class<'a>>,
    /// Class of each pod of the Snapshot.
    pub of_pod: Vec<usize>,
    /// Class of the pods of each DaemonSet of the Snapshot.
    pub of_daemon_set: Vec<usize>,
    pub amounts: Amounts,
}

pub(super) struct Class<'a> {
    pub namespace: &'a Arc<str>,
    pub template: &'a PodTemplate,
    /// Requests above zero: (index in [`Amounts`], amount).
    pub requests: Vec<(usize, i64)>,
    /// Index in [`Selections`].
    pub selection: usize,
    /// Equal for classes of equal namespace and labels: what selectors can tell apart.
    pub group: usize,
}

impl<'a> Class<'a> {
    pub(super) fn spec(&self) -> &'a PodSpec {
        &self.template.spec
    }

    pub(super) fn has_volume_topology(&self) -> bool {
        self.spec().volumes.iter().any(|volume| !volume.topology.is_empty())
    }
}

impl<'a> Classes<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, selections: &mut Selections<'a>) -> Self {
        let pods = &snapshot.pods;
        let mut classes = Self {
            all: Vec::new(),
            of_pod: Vec::with_capacity(pods.len()),
            of_daemon_set: Vec::with_capacity(snapshot.daemon_sets.len()),
            amounts: Amounts::default(),
        };
        let mut known = Known {
            by_address: HashMap::new(),
            // to grow is to hash every template again: room for more templates than most clusters have
            by_content: HashMap::with_capacity(pods.len().min(16_384)),
            groups: HashMap::new(),
        };
        let mut before: Option<(&Pod, usize)> = None;
        for pod in pods {
            // replicas stand together
            let as_before = |(of, _): &(&Pod, usize)| {
                Arc::ptr_eq(&of.template, &pod.template) && of.key.namespace == pod.key.namespace
            };
            if let Some((_, class)) = before.filter(as_before) {
                classes.of_pod.push(class);
                continue;
            }
            let class = classes.intern(&pod.key.namespace, &pod.template, &mut known, selections);
            classes.of_pod.push(class);
            before = Some((pod, class));
        }
        for daemon in &snapshot.daemon_sets {
            let class = classes.intern(&daemon.key.namespace, &daemon.template, &mut known, selections);
            classes.of_daemon_set.push(class);
        }
        classes
    }

    /// The classes of pods with those of them that stand together.
    pub(super) fn runs<'p>(&self, pods: &'p [usize]) -> impl Iterator<Item = (usize, &'p [usize])> {
        let class = |pod: usize| self.of_pod[pod];
        pods.chunk_by(move |a, b| class(*a) == class(*b)).map(move |equal| (class(equal[0]), equal))
    }

    fn intern(
        &mut self,
        namespace: &'a Arc<str>,
        template: &'a Arc<PodTemplate>,
        known: &mut Known<'a>,
        selections: &mut Selections<'a>,
    ) -> usize {
        let Known { by_address, by_content, groups } = known;
        *by_address.entry((Arc::as_ptr(template), namespace)).or_insert_with(|| {
            *by_content.entry(Content { namespace, template }).or_insert_with(|| {
                let next = groups.len();
                let group = *groups.entry((namespace.as_ref(), &template.labels)).or_insert(next);
                self.all.push(Class {
                    namespace,
                    template,
                    requests: self.amounts.of_pod(&template.spec.requests),
                    selection: selections.intern(Selection::of(&template.spec)),
                    group,
                });
                self.all.len() - 1
            })
        })
    }
}

/// What equal pods request together.
pub(super) fn times(amount: i64, pods: &[usize]) -> i64 {
    amount.saturating_mul(i64::try_from(pods.len()).unwrap_or(i64::MAX))
}

/// Classes and groups met so far.
struct Known<'a> {
    by_address: HashMap<(*const PodTemplate, &'a str), usize>,
    by_content: HashMap<Content<'a>, usize>,
    groups: HashMap<(&'a str, &'a Labels), usize>,
}

#[derive(PartialEq, Eq)]
struct Content<'a> {
    namespace: &'a str,
    template: &'a PodTemplate,
}

/// By what tells most templates apart: hashing every constraint of each costs more than to compare the few that agree.
impl Hash for Content<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let spec = &self.template.spec;
        (self.namespace, &self.template.labels, &spec.requests).hash(state);
        (spec.topology_spread.len(), spec.pod_affinity.len(), spec.pod_anti_affinity.len()).hash(state);
    }
}

/// Resource names as indices, so that a node's account is a vector.
#[derive(Default)]
pub(super) struct Amounts {
    index: HashMap<Arc<str>, usize>,
    pub names: Vec<Arc<str>>,
}

impl Amounts {
    fn intern(&mut self, name: &Arc<str>) -> usize {
        if let Some(&index) = self.index.get(name) {
            return index;
        }
        self.index.insert(name.clone(), self.names.len());
        self.names.push(name.clone());
        self.names.len() - 1
    }

    /// The amounts above zero; a pod counts as one pod at least.
    fn of_pod(&mut self, requests: &Resources) -> Vec<(usize, i64)> {
        let pods: Arc<str> = Arc::from(PODS);
        let one = requests.get(PODS).max(1);
        let mut amounts = vec![(self.intern(&pods), one)];
        for (name, amount) in requests.iter().filter(|(name, amount)| name.as_ref() != PODS && *amount > 0) {
            amounts.push((self.intern(name), amount));
        }
        amounts
    }

    /// The amounts that some pod requests, as a vector by index.
    pub(super) fn dense(&self, resources: &Resources) -> Vec<i64> {
        self.names.iter().map(|name| resources.get(name)).collect()
    }
}
