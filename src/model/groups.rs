//! Pods with identical signature: cost follows groups, not pods.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::topology::TopologyId;
use super::{Amounts, Dims};
use crate::observe::Snapshot;
use crate::observe::snapshot::{HostPort, LabelSelector, Labels, PodAffinityTerm, PodSpec, PodTemplate, Volume};

/// Identical pending pods: same namespace, same spec, same values of every label that some selector reads.
#[derive(Debug)]
pub struct Group<'a> {
    pub namespace: &'a Arc<str>,
    pub template: &'a Arc<PodTemplate>,
    /// Indices into `Snapshot::pods`, ascending.
    pub pods: Vec<usize>,
    /// Requests by dimension.
    pub amounts: Amounts,
    /// Topologies that the group carries, by the position of their constraint: filled by the topology builder.
    pub carried: Vec<super::Placement>,
    /// Topologies whose count a placed pod of this group raises.
    pub counted: Vec<TopologyId>,
    /// Inverse anti-affinities that forbid this group a domain.
    pub forbidden_by: Vec<TopologyId>,
    /// A topology that it must obey counts pods of daemonsets that are still to come.
    pub minds_daemons: bool,
}

impl<'a> Group<'a> {
    #[must_use]
    pub fn spec(&self) -> &'a PodSpec {
        &self.template.spec
    }

    /// The topologies that its pods must obey.
    #[must_use]
    pub fn obeyed(&self) -> BTreeSet<TopologyId> {
        let carried = self.carried.iter().filter(|placement| placement.source.is_required(self.spec()));
        carried.map(|placement| placement.topology).chain(self.forbidden_by.iter().copied()).collect()
    }
}

/// Groups the pending pods that may be placed; refused pods are in no group.
pub(super) fn group(snapshot: &Snapshot) -> Vec<Group<'_>> {
    let keys = selector_keys(snapshot);
    let claims = Claims::read(snapshot);
    let mut groups: Vec<Group> = Vec::new();
    // replicas share their template: the pointer answers for all but the first of each
    let mut by_pointer: HashMap<(&str, *const PodTemplate), usize> = HashMap::new();
    let mut by_signature: HashMap<(&str, Labels, Cow<PodSpec>), usize> = HashMap::new();
    for (index, pod) in snapshot.pending().filter(|(_, pod)| pod.refused.is_none()) {
        let namespace = pod.key.namespace.as_ref();
        let found = *by_pointer.entry((namespace, Arc::as_ptr(&pod.template))).or_insert_with(|| {
            let labels = pod.template.labels.iter().filter(|(key, _)| keys.contains(*key));
            let labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
            *by_signature.entry((namespace, labels, claims.without_own(&pod.template.spec))).or_insert_with(|| {
                groups.push(Group {
                    namespace: &pod.key.namespace,
                    template: &pod.template,
                    pods: Vec::new(),
                    amounts: Amounts::default(),
                    carried: Vec::new(),
                    counted: Vec::new(),
                    forbidden_by: Vec::new(),
                    minds_daemons: false,
                });
                groups.len() - 1
            })
        });
        groups[found].pods.push(index);
    }
    groups
}

/// Claims whose name matters: those of several pods, and those whose driver attaches only so many to a node.
struct Claims<'a> {
    users: BTreeMap<&'a str, usize>,
    limited_drivers: BTreeSet<&'a str>,
}

impl<'a> Claims<'a> {
    fn read(snapshot: &'a Snapshot) -> Self {
        let mut users = BTreeMap::new();
        for volume in snapshot.pods.iter().flat_map(|pod| &pod.template.spec.volumes) {
            *users.entry(volume.claim.as_ref()).or_default() += 1;
        }
        let limits = snapshot.nodes.iter().flat_map(|node| node.attach_limits.keys());
        Self { users, limited_drivers: limits.map(AsRef::as_ref).collect() }
    }

    /// The spec without the names of claims that are nobody else's: replicas of a StatefulSet differ only in them. A
    /// claim for one pod keeps its name, as the pods of a group must not be taken for its second user.
    fn without_own<'s>(&self, spec: &'s PodSpec) -> Cow<'s, PodSpec> {
        let own = |volume: &Volume| {
            let limited = volume.driver.as_ref().is_some_and(|driver| self.limited_drivers.contains(driver.as_ref()));
            !volume.single_pod && !limited && self.users.get(volume.claim.as_ref()) == Some(&1)
        };
        if !spec.volumes.iter().any(own) {
            return Cow::Borrowed(spec);
        }
        let mut shared = spec.clone();
        shared.volumes.iter_mut().filter(|volume| own(volume)).for_each(|volume| volume.claim = Arc::from(""));
        shared.volumes.sort();
        Cow::Owned(shared)
    }
}

/// Every label key that a selector of some pod reads: two pods that differ in other labels only are the same.
fn selector_keys(snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
    let mut seen: HashSet<*const PodTemplate> = HashSet::new();
    let mut keys = BTreeSet::new();
    for daemon in &snapshot.daemon_sets {
        daemon.template.spec.pod_anti_affinity.iter().for_each(|term| collect(&term.selector, &mut keys));
    }
    for pod in &snapshot.pods {
        if !seen.insert(Arc::as_ptr(&pod.template)) {
            continue;
        }
        let spec = &pod.template.spec;
        for constraint in &spec.topology_spread {
            collect(&constraint.selector, &mut keys);
        }
        for term in affinity_terms(spec) {
            collect(&term.selector, &mut keys);
        }
    }
    keys
}

fn affinity_terms(spec: &PodSpec) -> impl Iterator<Item = &PodAffinityTerm> {
    let preferred = spec.preferred_pod_affinity.iter().chain(&spec.preferred_pod_anti_affinity).map(|(_, term)| term);
    spec.pod_affinity.iter().chain(&spec.pod_anti_affinity).chain(preferred)
}

fn collect(selector: &LabelSelector, keys: &mut BTreeSet<Arc<str>>) {
    if let LabelSelector::Matching(requirements) = selector {
        keys.extend(requirements.iter().map(|r| r.key.clone()));
    }
}

/// Whether two sets of host ports clash: same port and protocol, same address or one of them every address.
#[must_use]
pub fn ports_conflict(a: &[HostPort], b: &[HostPort]) -> bool {
    let any = |ip: &str| ip == "0.0.0.0" || ip == "::";
    a.iter().any(|x| {
        b.iter().any(|y| x.port == y.port && x.protocol == y.protocol && (x.ip == y.ip || any(&x.ip) || any(&y.ip)))
    })
}

impl Group<'_> {
    /// The pod's place in karpenter's queue: cpu descending, then memory descending (karpenter-core 3).
    #[must_use]
    pub fn queue_key(&self) -> (i64, i64) {
        (-self.amounts[Dims::CPU], -self.amounts[Dims::MEMORY])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::group;
    use crate::catalog::Catalog;
    use crate::observe::{GatesByInput, LoadOptions, Objects, build, read_text};
    use crate::settings::Settings;

    /// Sizes of the groups of a StatefulSet with three replicas, a claim each, and one node besides.
    fn sizes(access_mode: &str, attach_limits: bool) -> Vec<usize> {
        let mut list = vec![
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "ebs"},
                "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer"}),
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {"replicas": 3,
                "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
                "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "data"},
                    "spec": {"storageClassName": "ebs", "accessModes": [access_mode]}}]}}),
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}),
        ];
        if attach_limits {
            list.push(json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "n1"}, "spec":
                {"drivers": [{"name": "ebs.csi.aws.com", "nodeID": "i-1", "allocatable": {"count": 2}}]}}));
        }
        let (mut raw, mut errors) = (Vec::new(), Vec::new());
        read_text("in.json", &json!(list).to_string(), &mut raw, &mut errors);
        let options = LoadOptions {
            settings: Settings::default(),
            region: "us-east-1".into(),
            taken_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            catalog: Catalog::Fixed(Vec::new()),
            assumptions: Vec::new(),
            gates: GatesByInput::AsConfigured,
        };
        let outcome = build(Objects::collect(raw), options);
        assert_eq!((errors, outcome.errors), (vec![], vec![]));
        group(&outcome.snapshot).iter().map(|group| group.pods.len()).collect()
    }

    #[test]
    fn replicas_that_differ_in_their_own_claims_are_one_group_where_no_rule_counts_claims() {
        assert_eq!(sizes("ReadWriteOnce", false), [3]);
        assert_eq!(sizes("ReadWriteOnce", true), [1, 1, 1], "each claim takes one of the node's attachments");
        assert_eq!(sizes("ReadWriteOncePod", false), [1, 1, 1]);
    }
}
