//! Nodes register, and open for their planned pods: the protocol of [`crate::placement`] as a part of the step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};

use super::action::Verb;
use super::cluster::{Claimed, Cluster};
use super::event::Subject;
use super::said::Said;
use super::turn::Turn;
use crate::api::labels;
use crate::observe::objects::ObjectKey;
use crate::placement::{
    self, Landed, Loss, Memory, ObjectPatch, Observed, Refusals, What, is_initialized, landed, read,
};

/// A pod that the API server does not let us change is left alone for so long.
const GIVE_UP: Duration = Duration::from_secs(5 * 60);

/// So many pods that mind where others are, are let in and not bound at once. kube-scheduler takes those that it may try in the order in
/// which it has tried them last, and not in the one in which they are let in; spreads hold in that one alone. So many are two
/// seconds' work for it. All others are let in as fast as they can be written.
const LET_IN: usize = 256;
/// One that was let in so long ago does not count any more: it waits for its volumes, or was tried in vain.
const BINDS: Duration = Duration::from_secs(1);

/// What was said and refused so far; a process that does not know says it again.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Pods by uid, until when they are left alone, and why.
    refused: BTreeMap<Arc<str>, (Timestamp, String)>,
    told: BTreeSet<Loss>,
    landed: BTreeMap<Arc<str>, Landed>,
    /// Pods that mind where others are, were let in and are not bound, by uid, since when.
    let_in: BTreeMap<Arc<str>, Timestamp>,
    memory: Memory,
}

impl Following {
    pub fn refuse(&mut self, pod: &str, reason: &str, now: Timestamp) {
        self.refused.insert(Arc::from(pod), (now + GIVE_UP, reason.to_owned()));
    }

    /// Those that are bound, have had their time, or cannot be written for now make room.
    fn forget_let_in(&mut self, observed: &Observed, turn: &Turn<'_>) {
        let waits = |uid: &Arc<str>| {
            let pod = observed.pods.get(uid).filter(|pod| pod.node.is_none() && pod.unchangeable.is_none());
            pod.is_some_and(|pod| {
                let subject = Subject { kind: "Pod", key: pod.key.clone() };
                !matches!(turn.writes.may(&subject, Some(&pod.version.resource), turn.now), Err(Some(_)))
            })
        };
        self.let_in.retain(|uid, since| *since + BINDS > turn.now && waits(uid));
    }

    /// Whether one more pod may be let in now.
    fn has_room(&self, pod: &Arc<str>) -> bool {
        self.let_in.len() < LET_IN || self.let_in.contains_key(pod)
    }

    fn refusals(&mut self, now: Timestamp) -> Refusals {
        self.refused.retain(|_, (until, _)| *until > now);
        self.refused.iter().map(|(uid, (_, reason))| (uid.clone(), reason.clone())).collect()
    }
}

/// What following the plans needs of the cluster: of the claims that are looked at and that are on their way.
pub(super) fn observe(cluster: &Cluster<'_>, following: &mut Following, now: Timestamp) -> Observed {
    let refusals = following.refusals(now);
    let objects = objects(cluster, &mut following.memory, now);
    read(&objects, &refusals, &mut following.memory, now)
}

/// The claims with their nodes, those that they replace, and the pods that they plan; nodes that are kept for somebody, with
/// what is on them; and the pods that are not bound.
fn objects(cluster: &Cluster<'_>, memory: &mut Memory, now: Timestamp) -> placement::Objects {
    let objects = cluster.objects;
    let mut nodes: BTreeMap<&str, &Arc<Node>> = BTreeMap::new();
    let mut pods: BTreeMap<&ObjectKey, &Arc<Pod>> = BTreeMap::new();
    let mut all_pods = false;
    let is_held = |claimed: &Claimed<'_>| claimed.nodes.iter().any(|node| cluster.is_reserved(node));
    let is_on_its_way = |claimed: &&Claimed<'_>| !is_initialized(claimed.claim, now) || is_held(claimed);
    let claims: Vec<&Claimed<'_>> = cluster.claims.iter().filter(is_on_its_way).collect();
    for claimed in &claims {
        nodes.extend(claimed.nodes.iter().filter_map(|node| Some((node.metadata.name.as_deref()?, *node))));
        let Some(plan) = memory.plan(claimed.claim) else { continue };
        for name in &plan.replaces {
            let key = ObjectKey { namespace: Arc::from(""), name: name.clone() };
            nodes.extend(objects.nodes.get_key_value(&key).map(|(key, node)| (&*key.name, &node.object)));
        }
        for pod in &plan.pods {
            let key = ObjectKey { namespace: pod.namespace.clone(), name: pod.name.clone() };
            pods.extend(objects.pods.get_key_value(&key).map(|(key, pod)| (key, &pod.object)));
        }
        all_pods |= !plan.expected.is_empty();
    }
    let reserved: Vec<_> = cluster.reserved_nodes().collect();
    nodes.extend(reserved.iter().map(|(key, node)| (&*key.name, *node)));
    if all_pods {
        pods.extend(objects.pods.iter().map(|(key, pod)| (key, &pod.object)));
    } else {
        pods.extend(cluster.unbound_pods());
        for (node, _) in &reserved {
            pods.extend(cluster.pods_on(&node.name));
        }
    }
    placement::Objects {
        nodes: nodes.into_values().cloned().collect(),
        pods: pods.into_values().cloned().collect(),
        daemon_sets: objects.daemon_sets.values().map(|set| set.object.clone()).collect(),
        claims: claims.iter().map(|claimed| claimed.claim.clone()).collect(),
        namespaces: objects.namespaces.values().map(|namespace| namespace.object.clone()).collect(),
    }
}

/// Sends what is to be sent now. A node waits with opening for the patches of its pods that are under way.
pub(super) fn step(cluster: &Cluster<'_>, observed: &Observed, following: &mut Following, turn: &mut Turn<'_>) {
    let step = placement::step(observed, turn.settings.placement, &turn.settings.placement_limits, turn.now);
    // what is on its way is looked at in every step
    if let Some(next) = step.next {
        turn.step_again(next);
    }
    following.forget_let_in(observed, turn);
    for action in step.actions {
        if let What::Register { node, .. } = &action.what {
            tell_missing_taint(observed, node, turn);
        }
        if matches!(action.what, What::Tolerate { .. }) {
            let uid = action.patch.version.uid.clone();
            if observed.pods.get(&uid).is_none_or(|pod| pod.in_turn_with.is_none()) {
                send(action.patch, turn);
            } else if !following.has_room(&uid) {
                // or as soon as one is bound
                turn.step_again(following.let_in.values().min().map_or(turn.now, |since| *since + BINDS));
            } else if send(action.patch, turn) {
                following.let_in.entry(uid).or_insert(turn.now);
            }
            continue;
        }
        let opens = match &action.what {
            What::Register { node, .. } | What::Open { node, .. } => Some(node),
            _ => None,
        };
        if opens.is_none_or(|node| !waits(observed, node, turn)) {
            send(action.patch, turn);
        }
    }
    let is_there = |claim: &Arc<str>| cluster.has_claim(claim);
    following.told.retain(|loss| is_there(&loss.claim));
    for loss in step.losses {
        if following.told.insert(loss.clone()) {
            turn.say(Said::NotGuaranteed(loss));
        }
    }
    cluster.forget_gone(&mut following.landed);
    for landed in landed(observed) {
        if following.landed.get(&landed.claim) != Some(&landed) {
            following.landed.insert(landed.claim.clone(), landed.clone());
            turn.say(Said::Landed(landed));
        }
    }
}

/// Pods may have bound to a node that came without the taint before it was labelled.
fn tell_missing_taint(observed: &Observed, node: &Arc<str>, turn: &mut Turn<'_>) {
    let Some(state) = observed.nodes.iter().find(|state| state.name == *node) else { return };
    let Some(claim) = state.claim.as_ref() else { return };
    if !state.taints.iter().any(|taint| taint.key == labels::TAINT_UNREGISTERED) {
        turn.say(Said::UnregisteredTaintMissing { claim: claim.clone() });
    }
}

/// Whether a patch of a pod that is planned on the node is under way.
fn waits(observed: &Observed, node: &Arc<str>, turn: &Turn<'_>) -> bool {
    let claim = observed.nodes.iter().find(|state| state.name == *node).and_then(|state| state.claim.as_ref());
    let plan = claim.and_then(|claim| observed.claims.get(claim)).map(|claim| &claim.plan);
    let mut pods = plan.into_iter().flat_map(|plan| &plan.pods).filter_map(|pod| observed.pods.get(&pod.uid));
    pods.any(|pod| turn.writes.is_sent(&Subject { kind: "Pod", key: pod.key.clone() }))
}

/// Whether it is sent: an object has one write at a time, and a pause after one that failed.
fn send(patch: ObjectPatch, turn: &mut Turn<'_>) -> bool {
    use placement::Subject as Of;
    let ObjectPatch { subject, version, body } = patch;
    let pod = |namespace: Arc<str>, name: Arc<str>| {
        let key = crate::observe::snapshot::PodKey { namespace, name };
        Subject { kind: "Pod", key }
    };
    let (subject, verb) = match subject {
        Of::Node(name) => (Subject::of_cluster("Node", &name), Verb::Patch(body)),
        Of::Pod(namespace, name) => (pod(namespace, name), Verb::Patch(body)),
        Of::PodStatus(namespace, name) => (pod(namespace, name), Verb::PatchStatus(body)),
    };
    turn.write_version(subject, Some(&version.resource), verb)
}
