//! Workloads of another size: pods that come are like those that are there, pods that go are those that Kubernetes takes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Changed;
use crate::api::labels;
use crate::explain::{close_names, owner_of};
use crate::observe::snapshot::{Pod, PodDisruption, PodKey, Volume};
use crate::observe::{Snapshot, refuse_second_users};

/// Kind and key of what makes pods: of a ReplicaSet that a Deployment made, the Deployment.
type Workload = (Arc<str>, PodKey);

const STATEFUL_SET: &str = "StatefulSet";

/// The Snapshot with so many pods of a workload.
///
/// # Errors
/// One sentence: no pod of the input is of it, or it could be several.
pub(super) fn scaled(snapshot: &Snapshot, name: &str, count: usize) -> Result<Changed, String> {
    let ((kind, key), pods) = workload(snapshot, name)?;
    let mut changed = Changed { snapshot: snapshot.clone(), notes: Vec::new() };
    if count < pods.len() {
        let gone: BTreeSet<usize> =
            in_order_of_removal(snapshot, &kind, &pods).into_iter().take(pods.len() - count).collect();
        let mut index = 0..;
        changed.snapshot.pods.retain(|_| !index.next().is_some_and(|index| gone.contains(&index)));
    } else {
        let like = &snapshot.pods[pods
            .iter()
            .copied()
            .min_by_key(|&pod| rank_as_pattern(&snapshot.pods[pod]))
            .ok_or("there is no pod to take as a pattern")?];
        let names = new_names(snapshot, &kind, &key.name, count - pods.len());
        changed.snapshot.pods.extend(names.iter().map(|name| copy(like, name)));
        if !names.is_empty() && like.template.spec.volumes.iter().any(|of| own(of, like, "").is_some()) {
            let note =
                format!("new pods of {kind} {key} get volumes of their own, in the zone in which each is placed");
            changed.notes.push(note);
        }
        changed.snapshot.pods.sort_by(|a, b| a.key.cmp(&b.key));
        refuse_second_users(&mut changed.snapshot.pods);
    }
    Ok(changed)
}

/// What `[KIND/][NAMESPACE/]NAME` names, and its pods that are not on their way out, by index.
fn workload(snapshot: &Snapshot, name: &str) -> Result<(Workload, Vec<usize>), String> {
    let mut workloads: BTreeMap<Workload, Vec<usize>> = BTreeMap::new();
    for (index, pod) in snapshot.pods.iter().enumerate() {
        let is_scaled = !pod.terminating && !pod.buffer && !pod.is_daemon() && !pod.is_mirror();
        if let Some((kind, owner)) = owner_of(pod).filter(|_| is_scaled) {
            let key = PodKey { namespace: pod.key.namespace.clone(), name: owner };
            workloads.entry((kind, key)).or_default().push(index);
        }
    }
    let parts: Vec<&str> = name.split('/').collect();
    let is_of = |kind: &str, asked: &str| kind.eq_ignore_ascii_case(asked);
    let is_asked = |(kind, key): &Workload| match parts[..] {
        [name] => *key.name == *name,
        [first, name] => *key.name == *name && (*key.namespace == *first || is_of(kind, first)),
        [of, namespace, name] => *key.name == *name && *key.namespace == *namespace && is_of(kind, of),
        _ => false,
    };
    let found: Vec<&Workload> = workloads.keys().filter(|workload| is_asked(workload)).collect();
    match found[..] {
        [only] => Ok((only.clone(), workloads[only].clone())),
        [] => {
            let asked = parts.last().copied().unwrap_or_default();
            let near = close_names(asked, workloads.keys().map(|(_, key)| key.name.to_string()));
            let near: Vec<&Workload> =
                workloads.keys().filter(|(_, key)| near.iter().any(|near| **near == *key.name)).collect();
            let near = if near.is_empty() { String::new() } else { format!("; close to it: {}", listed(&near)) };
            Err(format!("no pod of the input, which new ones could be like, belongs to {name}{near}"))
        }
        ref several => Err(format!("{name} may be any of {}", listed(several))),
    }
}

fn listed(workloads: &[&Workload]) -> String {
    workloads.iter().map(|(kind, key)| format!("{}/{key}", kind.to_lowercase())).collect::<Vec<_>>().join(", ")
}

/// Pods that wait have the newest template; else the pod that came last has.
fn rank_as_pattern(pod: &Pod) -> (bool, Reverse<Option<jiff::Timestamp>>) {
    (pod.node.is_some(), Reverse(pod.created_at))
}

/// The pods that go first come first: of a StatefulSet those with the highest ordinals, else as the ReplicaSet controller of Kubernetes
/// ranks them (`ActivePodsWithRanks`): without a node, not ready, of low deletion cost, with many others on their node, younger.
fn in_order_of_removal(snapshot: &Snapshot, kind: &str, pods: &[usize]) -> Vec<usize> {
    let mut on_node: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    for node in pods.iter().filter_map(|&pod| snapshot.pods[pod].node.as_ref()) {
        *on_node.entry(node).or_default() += 1;
    }
    let mut order = pods.to_vec();
    if kind == STATEFUL_SET {
        order.sort_by_key(|&pod| Reverse(ordinal(&snapshot.pods[pod])));
    } else {
        order.sort_by_key(|&pod| {
            let of = &snapshot.pods[pod];
            let beside = of.node.as_ref().and_then(|node| on_node.get(node)).copied().unwrap_or(0);
            let disruption = &of.disruption;
            let is_ready = of.node.is_some() && !disruption.not_ready;
            (
                of.node.is_some(),
                is_ready,
                disruption.deletion_cost,
                Reverse(beside),
                Reverse(of.created_at),
                Reverse(pod),
            )
        });
    }
    order
}

fn ordinal(pod: &Pod) -> Option<u64> {
    pod.key.name.rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse().ok())
}

/// Names that are free: of a StatefulSet the next ordinals, else numbers from 1.
fn new_names(snapshot: &Snapshot, kind: &str, name: &str, count: usize) -> Vec<Arc<str>> {
    let taken: BTreeSet<&str> = snapshot.pods.iter().map(|pod| &*pod.key.name).collect();
    let first = usize::from(kind != STATEFUL_SET);
    let names = (first..).map(|number| format!("{name}-{number}"));
    names.filter(|name| !taken.contains(name.as_str())).take(count).map(Arc::from).collect()
}

/// A pod that waits, like one that is there.
fn copy(like: &Pod, name: &Arc<str>) -> Pod {
    let mut template = like.template.clone();
    let has_own = template.spec.volumes.iter().any(|volume| own(volume, like, name).is_some());
    if has_own || template.labels.contains_key(labels::STATEFUL_SET_POD_NAME) {
        let changed = Arc::make_mut(&mut template);
        for volume in &mut changed.spec.volumes {
            if let Some(own) = own(volume, like, name) {
                *volume = own;
            }
        }
        if let Some(label) = changed.labels.get_mut(labels::STATEFUL_SET_POD_NAME) {
            *label = name.clone();
        }
        if let (Some(label), Some((_, ordinal))) = (changed.labels.get_mut(labels::POD_INDEX), name.rsplit_once('-')) {
            *label = Arc::from(ordinal);
        }
    }
    Pod {
        key: PodKey { namespace: like.key.namespace.clone(), name: name.clone() },
        uid: Arc::from(format!("what-if/{}/{name}", like.key.namespace)),
        created_at: None,
        template,
        owner: like.owner.clone(),
        node: None,
        terminating: false,
        displaced: false,
        buffer: false,
        refused: if like.node.is_none() { like.refused.clone() } else { None },
        disruption: PodDisruption { budgets: like.disruption.budgets.clone(), ..PodDisruption::default() },
    }
}

/// The volume as another pod has it, where every pod has its own: the claim of a StatefulSet's template (`data-web-0`) or of an
/// ephemeral volume (`web-0-data`). It comes to be where the pod goes.
fn own(volume: &Volume, like: &Pod, name: &str) -> Option<Volume> {
    let (namespace, claim) = volume.claim.split_once('/')?;
    let before = claim.strip_suffix(&*like.key.name).filter(|before| before.ends_with('-'));
    let behind = claim.strip_prefix(&*like.key.name).filter(|behind| behind.starts_with('-'));
    let claim = match (before, behind) {
        (Some(before), _) => format!("{namespace}/{before}{name}"),
        (None, Some(behind)) => format!("{namespace}/{name}{behind}"),
        (None, None) => return None,
    };
    Some(Volume {
        claim: Arc::from(claim),
        driver: volume.driver.clone(),
        topology: Vec::new(),
        single_pod: volume.single_pod,
        follows_first_user: volume.follows_first_user || !volume.topology.is_empty(),
    })
}
