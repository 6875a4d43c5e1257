//! What is asked about: `pod/[NAMESPACE/]NAME`, `claim/NAME`, or an owner of pods as `KIND/[NAMESPACE/]NAME`.

use std::sync::Arc;

use crate::api::labels;
use crate::observe::snapshot::{OwnerRef, Pod, PodKey};
use crate::observe::{LeftOut, Snapshot, Unplanned};
use crate::plan::{Checked, Plan};
use crate::resources::{PODS, display_amount};

/// An index into `Snapshot::pods` or `Plan::launches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Pod(usize),
    Claim(usize),
}

/// Names that differ in at most this many letters are close.
const CLOSE: usize = 3;
const MOST_NAMES: usize = 5;

/// Finds what a text names.
///
/// # Errors
/// One sentence that says what there is instead.
pub fn find(snapshot: &Snapshot, left_out: &LeftOut, plan: &Plan<Checked>, text: &str) -> Result<Subject, String> {
    let Some((kind, name)) = text.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty()) else {
        return Err(format!(
            "'{text}' names nothing: expected pod/NAME, pod/NAMESPACE/NAME, claim/NAME, node/NAME, an owner of pods such as \
             deployment/NAME, or constraints"
        ));
    };
    let kind = kind.to_lowercase();
    match full_kind(&kind) {
        "claim" => claim(snapshot, plan, name),
        "pod" => pod(snapshot, left_out, name),
        "daemonset" => Err(daemon_set(snapshot, name)),
        kind @ ("poddisruptionbudget" | "nodepool" | "nodeclass" | "ec2nodeclass" | "service" | "namespace") => Err(
            format!("{kind} {name} has no pods of its own: ask for a pod, its owner, a claim, a node, or constraints"),
        ),
        kind => owner(snapshot, left_out, plan, kind, name),
    }
}

/// Of a kind as kubectl takes it: short, in the plural, with its group.
fn full_kind(kind: &str) -> &str {
    match kind.split('.').next().unwrap_or_default() {
        "claims" | "nodeclaim" | "nodeclaims" => "claim",
        "po" | "pods" => "pod",
        "deploy" | "deployments" => "deployment",
        "rs" | "replicasets" => "replicaset",
        "sts" | "statefulsets" => "statefulset",
        "ds" | "daemonsets" => "daemonset",
        "rc" | "replicationcontrollers" => "replicationcontroller",
        "jobs" => "job",
        "pdb" | "poddisruptionbudgets" => "poddisruptionbudget",
        "nodepools" => "nodepool",
        other => other,
    }
}

fn daemon_set(snapshot: &Snapshot, name: &str) -> String {
    let found = snapshot.daemon_sets.iter().find(|set| is_named(&set.key, name));
    let Some(found) = found else {
        let keys = snapshot.daemon_sets.iter().map(|set| set.key.to_string());
        return format!("the input has no daemonset {name}{}", instead("daemonset", &close_keys(name, keys)));
    };
    let requests = found.template.spec.requests.iter().filter(|(name, amount)| &***name != PODS && *amount > 0);
    let requests: Vec<String> =
        requests.map(|(name, amount)| format!("{name} {}", display_amount(name, amount))).collect();
    let each = if requests.is_empty() { String::new() } else { format!(" ({} each)", requests.join(", ")) };
    format!(
        "daemonset {}: its pods are not planned by themselves, they are overhead of every node that takes them{each}; explain a \
         claim to see what is taken before",
        found.key
    )
}

fn claim(snapshot: &Snapshot, plan: &Plan<Checked>, name: &str) -> Result<Subject, String> {
    if let Some(index) = plan.launches.iter().position(|launch| *launch.name == *name) {
        return Ok(Subject::Claim(index));
    }
    if snapshot.nodes.iter().any(|node| *node.name == *name || node.claim.as_deref() == Some(name)) {
        return Err(format!("claim/{name} is there already: only claims that the plan makes can be explained"));
    }
    let all = || plan.launches.iter().map(|launch| launch.name.to_string());
    let mut names = close(name, all());
    if names.is_empty() {
        let pool = name.rsplit_once('-').map_or(name, |(pool, _)| pool);
        names = all().filter(|other| other.rsplit_once('-').is_some_and(|(of, _)| is_close(pool, of))).collect();
        names.truncate(MOST_NAMES);
    }
    Err(format!("the plan has no claim {name}{}", instead("claim", &names)))
}

fn is_named(key: &PodKey, name: &str) -> bool {
    match name.split_once('/') {
        Some((namespace, name)) => *key.namespace == *namespace && *key.name == *name,
        None => *key.name == *name,
    }
}

fn pod(snapshot: &Snapshot, left_out: &LeftOut, name: &str) -> Result<Subject, String> {
    let found: Vec<usize> =
        (0..snapshot.pods.len()).filter(|&index| is_named(&snapshot.pods[index].key, name)).collect();
    match found.as_slice() {
        [only] => Ok(Subject::Pod(*only)),
        [] => {
            if let Some((key, Unplanned { why, .. })) = left_out.iter().find(|(key, _)| is_named(key, name)) {
                return Err(format!("pod {key} is not planned: {why}"));
            }
            let keys = snapshot.pods.iter().map(|pod| &pod.key).chain(left_out.keys()).map(ToString::to_string);
            Err(format!("the input has no pod {name}{}", instead("pod", &close_keys(name, keys))))
        }
        several => {
            let in_default = several.iter().find(|&&index| &*snapshot.pods[index].key.namespace == "default");
            in_default.map(|index| Subject::Pod(*index)).ok_or_else(|| {
                let names: Vec<String> = several.iter().map(|&i| format!("pod/{}", snapshot.pods[i].key)).collect();
                format!("pod {name} is in several namespaces: {}", names.join(", "))
            })
        }
    }
}

/// The first pending pod of the owner that the plan leaves, else the first that it places, else the first that is bound.
fn owner(
    snapshot: &Snapshot,
    left_out: &LeftOut,
    plan: &Plan<Checked>,
    kind: &str,
    name: &str,
) -> Result<Subject, String> {
    let (namespace, name) = name.split_once('/').map_or((None, name), |(namespace, name)| (Some(namespace), name));
    let is_there = |key: &PodKey| namespace.is_none_or(|namespace| *key.namespace == *namespace);
    // a ReplicaSet that a Deployment made may be asked for too
    let is_asked = |owner: &OwnerRef, revision: Option<&Arc<str>>| {
        let (made_by, named) = with_template(owner, revision);
        (is_kind(&made_by, kind) && *named == *name) || (is_kind(&owner.kind, kind) && *owner.name == *name)
    };
    let is_left = |pod: usize| plan.unplaced.binary_search_by_key(&pod, |unplaced| unplaced.pod).is_ok();
    let owned = snapshot.pods.iter().enumerate().filter(|(_, pod)| is_there(&pod.key)).filter(|(_, pod)| {
        pod.owner.as_ref().is_some_and(|owner| is_asked(owner, pod.template.labels.get(labels::POD_TEMPLATE_HASH)))
    });
    let first = owned.min_by_key(|&(index, pod)| (!is_left(index), !pod.is_pending()));
    if let Some((index, _)) = first {
        return Ok(Subject::Pod(index));
    }
    let mut unplanned = left_out.iter().filter(|(key, _)| is_there(key));
    let of_owner = |of: &Unplanned| of.owner.as_ref().is_some_and(|owner| is_asked(owner, of.revision.as_ref()));
    if let Some((key, Unplanned { why, .. })) = unplanned.find(|(_, of)| of_owner(of)) {
        return Err(format!("pod {key} of {kind} {name} is not planned: {why}"));
    }
    let owners = snapshot.pods.iter().filter_map(owner_of).filter(|(own, _)| is_kind(own, kind));
    let names = close(name, owners.map(|(_, named)| named.to_string()));
    Err(format!("no pod of the input belongs to {kind} {name}{}", instead(kind, &names)))
}

/// Whether a kind is the one that was asked for, in lower case, perhaps in the plural.
fn is_kind(kind: &str, asked: &str) -> bool {
    let kind = kind.to_lowercase();
    kind == asked || format!("{kind}s") == asked
}

/// Kind and name of the object whose template the pod has: of a ReplicaSet that a Deployment made, the Deployment.
pub(crate) fn owner_of(pod: &Pod) -> Option<(Arc<str>, Arc<str>)> {
    Some(with_template(pod.owner.as_ref()?, pod.template.labels.get(labels::POD_TEMPLATE_HASH)))
}

/// The same, where `revision` is the `pod-template-hash` of the pod.
fn with_template(owner: &OwnerRef, revision: Option<&Arc<str>>) -> (Arc<str>, Arc<str>) {
    let made_by = || owner.name.strip_suffix(revision?.as_ref())?.strip_suffix('-');
    match made_by().filter(|_| &*owner.kind == "ReplicaSet") {
        Some(deployment) => (Arc::from("Deployment"), Arc::from(deployment)),
        None => (owner.kind.clone(), owner.name.clone()),
    }
}

fn is_close(asked: &str, name: &str) -> bool {
    strsim::osa_distance(asked, name) <= CLOSE || name.starts_with(asked)
}

pub(crate) fn close(asked: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<(usize, String)> =
        names.filter(|name| is_close(asked, name)).map(|name| (strsim::osa_distance(asked, &name), name)).collect();
    names.sort();
    names.dedup();
    names.into_iter().take(MOST_NAMES).map(|(_, name)| name).collect()
}

/// Of keys with a namespace; a name without one is compared without.
fn close_keys(asked: &str, keys: impl Iterator<Item = String>) -> Vec<String> {
    if asked.contains('/') {
        return close(asked, keys);
    }
    let of_name = |key: &String| key.split_once('/').is_some_and(|(_, own)| is_close(asked, own));
    let mut names: Vec<String> = keys.filter(of_name).collect();
    names.truncate(MOST_NAMES);
    names
}

fn instead(kind: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<String> = names.iter().map(|name| format!("{kind}/{name}")).collect();
    format!("; close to it: {}", names.join(", "))
}
