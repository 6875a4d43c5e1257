//! Which pending pods are alike: nothing that is looked at tells them apart. Replicas of a StatefulSet differ in labels that no
//! selector reads, and in the names of claims that are nobody else's.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::observe::Snapshot;
use crate::observe::snapshot::{LabelSelector, Pod, PodSpec, PodTemplate};

/// Numbers pods so that those that are alike have one number.
pub struct Alike<'s> {
    /// Keys of labels that some selector reads.
    keys: BTreeSet<&'s Arc<str>>,
    /// By claim, how many pods use it.
    users: BTreeMap<&'s Arc<str>, usize>,
    by_template: HashMap<(&'s str, *const PodTemplate), usize>,
    known: HashMap<Signature<'s>, usize>,
}

/// Namespace, the labels that are read, and the spec without names that do not matter.
type Signature<'s> = (&'s str, Vec<(&'s Arc<str>, &'s Arc<str>)>, Cow<'s, PodSpec>);

impl<'s> Alike<'s> {
    pub fn of(snapshot: &'s Snapshot) -> Self {
        let specs = || snapshot.pods.iter().map(|pod| &pod.template.spec);
        let of_daemons = snapshot.daemon_sets.iter().map(|daemon| &daemon.template.spec);
        let mut users = BTreeMap::new();
        for volume in specs().flat_map(|spec| &spec.volumes) {
            *users.entry(&volume.claim).or_default() += 1;
        }
        let keys = specs().chain(of_daemons).flat_map(selectors).flat_map(|selector| match selector {
            LabelSelector::Matching(requirements) => &requirements[..],
            LabelSelector::Nothing => &[],
        });
        let keys = keys.map(|requirement| &requirement.key).collect();
        Self { keys, users, by_template: HashMap::new(), known: HashMap::new() }
    }

    /// The number of a pod; a new one is the number of those before.
    pub fn number(&mut self, pod: &'s Pod) -> usize {
        let pointer = (&*pod.key.namespace, Arc::as_ptr(&pod.template));
        if let Some(&number) = self.by_template.get(&pointer) {
            return number;
        }
        let labels = pod.template.labels.iter().filter(|(key, _)| self.keys.contains(key)).collect();
        let next = self.known.len();
        let signature = (&*pod.key.namespace, labels, self.without_names(&pod.template.spec));
        let number = *self.known.entry(signature).or_insert(next);
        self.by_template.insert(pointer, number);
        number
    }

    /// A claim for one pod keeps its name: no second one may use it.
    fn without_names(&self, spec: &'s PodSpec) -> Cow<'s, PodSpec> {
        let mut spec = Cow::Borrowed(spec);
        for index in 0..spec.volumes.len() {
            let volume = &spec.volumes[index];
            if !volume.single_pod && self.users.get(&volume.claim) == Some(&1) {
                spec.to_mut().volumes[index].claim = Arc::from("");
            }
        }
        spec
    }
}

fn selectors(spec: &PodSpec) -> impl Iterator<Item = &LabelSelector> {
    let preferred = spec.preferred_pod_affinity.iter().chain(&spec.preferred_pod_anti_affinity).map(|(_, term)| term);
    let terms = spec.pod_affinity.iter().chain(&spec.pod_anti_affinity).chain(preferred);
    spec.topology_spread.iter().map(|constraint| &constraint.selector).chain(terms.map(|term| &term.selector))
}
