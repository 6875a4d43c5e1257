//! Kubernetes objects -> [`Observed`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, PodSpec, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::daemons::{Daemons, daemons, lacking};
use super::inheritance::Inheritance;
use super::memory::{Memory, Plan};
use super::observed::{ClaimState, NodeState, Observed, PodState, Unchangeable, Version};
use super::planned::ClaimPlan;
use super::reservation::Reservation;
use super::signature::signature;
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::observe::snapshot::PodKey;
use crate::observe::{has_ended, is_ephemeral_key, pod_requests};
use crate::resources::Resources;

/// What a step reads of the cluster, as a client keeps it.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// All of them.
    pub nodes: Vec<Arc<Node>>,
    /// All of them.
    pub pods: Vec<Arc<Pod>>,
    /// All of them.
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    /// All of them.
    pub claims: Vec<Arc<NodeClaim>>,
    /// For their annotations.
    pub namespaces: Vec<Arc<Namespace>>,
}

/// Pods, by uid, that the API server does not let us change, with what it said.
pub type Refusals = BTreeMap<Arc<str>, String>;

/// Reads what matters, with what was read before; what cannot be read costs one claim. Of claims that have been where they should be
/// for a while only the pods that are not bound are looked at.
#[must_use]
pub fn read(objects: &Objects, refusals: &Refusals, memory: &mut Memory, now: Timestamp) -> Observed {
    let claims = claims(objects, memory, now);
    let pods = pods(objects, &claims, refusals, memory);
    let nodes = nodes(objects, &claims, memory);
    memory.end_round();
    Observed { nodes, claims, pods }
}

/// Those with the annotation: others are another provisioner's, and so are their nodes.
fn claims(objects: &Objects, memory: &mut Memory, now: Timestamp) -> BTreeMap<Arc<str>, ClaimState> {
    let there: BTreeSet<&str> = objects.nodes.iter().filter_map(|node| node.metadata.name.as_deref()).collect();
    let mut held: BTreeSet<&str> = BTreeSet::new();
    for node in &objects.nodes {
        if memory.nodes.of(node, NodeState::of).reservation.is_held() {
            held.extend(node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()));
        }
    }
    let mut claims = BTreeMap::new();
    for claim in &objects.claims {
        let Some(name) = claim.metadata.name.as_deref() else { continue };
        let Some((plan, unreadable)) = memory.plans.of(claim, plan).as_ref().clone() else { continue };
        let draining = plan.replaces.iter().filter(|node| there.contains(&***node)).cloned().collect();
        let id = claim.status.as_ref().and_then(|status| status.provider_id.as_deref());
        let is_settled = id.is_some_and(|id| !held.contains(id)) && is_initialized(claim, now);
        claims.insert(Arc::from(name), ClaimState { plan, draining, is_settled, unreadable });
    }
    claims
}

/// Its pods have long been bound, or are planned anew.
const SETTLED: Duration = Duration::from_secs(60);

/// Whether the node of a claim has been ready for pods for a while: unless it is kept for somebody, nothing is left to do there.
#[must_use]
pub fn is_initialized(claim: &NodeClaim, now: Timestamp) -> bool {
    let mut conditions = claim.status.iter().flat_map(|status| &status.conditions);
    let initialized = conditions.find(|condition| condition.type_ == "Initialized" && condition.status == "True");
    let since = initialized.and_then(|condition| condition.last_transition_time.0.checked_add(SETTLED).ok());
    since.is_some_and(|settled| settled < now)
}

pub(super) fn plan(claim: &NodeClaim) -> Option<Plan> {
    let plan = match ClaimPlan::from_annotation(annotation(&claim.metadata, labels::PLANNED_PODS)?) {
        Ok(plan) => (plan, None),
        Err(why) => (ClaimPlan::default(), Some(why)),
    };
    Some((Arc::new(plan.0), plan.1))
}

/// Nodes by provider id, or by name where a claim says that alone.
fn claim_of_nodes(objects: &Objects) -> BTreeMap<&str, &Arc<NodeClaim>> {
    let mut by_id = BTreeMap::new();
    for node in &objects.nodes {
        let id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).filter(|id| !id.is_empty());
        if let (Some(id), Some(name)) = (id, node.metadata.name.as_deref()) {
            by_id.insert(id, name);
        }
    }
    let mut found = BTreeMap::new();
    for claim in &objects.claims {
        let Some(status) = &claim.status else { continue };
        let id = status.provider_id.as_deref().and_then(|id| by_id.get(id).copied());
        if let Some(node) = id.or(status.node_name.as_deref()) {
            found.insert(node, claim);
        }
    }
    found
}

fn nodes(objects: &Objects, claims: &BTreeMap<Arc<str>, ClaimState>, memory: &mut Memory) -> Vec<NodeState> {
    let claim_of = claim_of_nodes(objects);
    let daemons = daemons(objects.daemon_sets.iter().map(AsRef::as_ref));
    let states: Vec<NodeState> =
        objects.nodes.iter().map(|node| memory.nodes.of(node, NodeState::of).as_ref().clone()).collect();
    // only of these it matters what is on them
    let held = states.iter().filter(|state| state.reservation.is_held());
    let mut bound: BTreeMap<Arc<str>, Vec<&Pod>> = held.map(|state| (state.name.clone(), Vec::new())).collect();
    let pods = if bound.is_empty() { &[][..] } else { &objects.pods };
    for pod in pods {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if let Some(here) = node.and_then(|node| bound.get_mut(node)) {
            here.push(pod);
        }
    }
    let mut nodes = Vec::with_capacity(states.len());
    for (node, mut state) in objects.nodes.iter().zip(states) {
        if let Some(claim) = claim_of.get(&*state.name) {
            let name: Arc<str> = Arc::from(claim.metadata.name.as_deref().unwrap_or_default());
            if let (Reservation::Cordoned { .. }, Some(of)) = (&state.reservation, claims.get(&name)) {
                let owners = bound.get(&*state.name).into_iter().flatten().filter_map(|pod| controller(&pod.metadata));
                let owners: BTreeSet<&str> = owners.collect();
                look_closer(&mut state, node, claim, &of.plan, &daemons, &owners);
            }
            // one that came without the taint that nodes are born with is to be registered all the same
            if state.reservation == Reservation::Open && claims.contains_key(&name) && !is_registered(node) {
                state.reservation = Reservation::Unregistered;
            }
            if state.reservation == Reservation::Unregistered && claims.contains_key(&name) {
                state.inheritance = Some(Inheritance::of(claim, node));
            }
            state.claim = Some(name);
        }
        if state.reservation.is_held() {
            let pods = bound.get(&*state.name).into_iter().flatten().filter(|pod| !has_ended(pod));
            for requests in pods.filter_map(|pod| pod_requests(pod)) {
                state.room.subtract(&requests);
            }
        }
        nodes.push(state);
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

fn is_registered(node: &Node) -> bool {
    node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(labels::REGISTERED))
}

/// What a cordoned node waits for.
fn look_closer(
    state: &mut NodeState,
    node: &Node,
    claim: &NodeClaim,
    plan: &ClaimPlan,
    daemons: &[Daemons],
    bound: &BTreeSet<&str>,
) {
    let is_startup = |of: &Taint| claim.spec.startup_taints.iter().any(|s| s.key == of.key && s.effect == of.effect);
    let passing = state.taints.iter().filter(|taint| is_startup(taint) || is_ephemeral_key(&taint.key));
    let passing: Vec<&str> = passing.map(|taint| taint.key.as_str()).collect();
    if let Some(taint) = passing.first() {
        state.starting.get_or_insert_with(|| format!("it still has the taint {taint}"));
    }
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let has = |name: &str| {
        let quantity = allocatable.and_then(|allocatable| allocatable.get(name));
        quantity.and_then(|quantity| Resources::parse_amount(name, &quantity.0).ok()).unwrap_or(0)
    };
    let lacks = plan.extended.iter().filter(|(name, amount)| has(name) < **amount).map(|(name, _)| name.clone());
    let lacking_resources = lacks.collect();
    let lacking_daemons = lacking(node, daemons, bound, &passing);
    (state.lacking_resources, state.lacking_daemons) = (lacking_resources, lacking_daemons);
}

/// Only pods that some claim plans or expects.
fn pods(
    objects: &Objects,
    claims: &BTreeMap<Arc<str>, ClaimState>,
    refusals: &Refusals,
    memory: &mut Memory,
) -> BTreeMap<Arc<str>, Arc<PodState>> {
    let plans = || claims.values().map(|claim| &claim.plan);
    let uids = |of: &'_ ClaimState| of.plan.pods.iter().map(|pod| pod.uid.clone()).collect::<Vec<_>>();
    let open = claims.values().filter(|claim| !claim.is_settled);
    let mut planned: HashSet<Arc<str>> = open.flat_map(uids).collect();
    // of claims that are where they should be only pods that are not bound matter: few, of thousands
    let unbound: HashSet<&str> = objects
        .pods
        .iter()
        .filter(|pod| pod.spec.as_ref().is_none_or(|spec| spec.node_name.as_deref().unwrap_or_default().is_empty()))
        .filter_map(|pod| pod.metadata.uid.as_deref())
        .collect();
    let settled = claims.values().filter(|claim| claim.is_settled && !unbound.is_empty());
    let waiting = settled.flat_map(|claim| claim.plan.pods.iter()).filter(|pod| unbound.contains(&*pod.uid));
    planned.extend(waiting.map(|pod| pod.uid.clone()));
    let owners: BTreeSet<&str> = plans().flat_map(|plan| plan.expected.iter().map(|pods| &*pods.owner)).collect();
    let opted_out: BTreeSet<&str> = objects
        .namespaces
        .iter()
        .filter(|namespace| opts_out(&namespace.metadata))
        .filter_map(|namespace| namespace.metadata.name.as_deref())
        .collect();
    let mut pods = BTreeMap::new();
    for pod in &objects.pods {
        let meta = &pod.metadata;
        let uid = meta.uid.as_deref().unwrap_or_default();
        let owner = controller(meta).filter(|owner| owners.contains(owner));
        let is_over = meta.deletion_timestamp.is_some() || has_ended(pod);
        if is_over || !(planned.contains(uid) || owner.is_some()) {
            continue;
        }
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let mut state = memory.pods.of(pod, pod_state);
        let refused = refusals.get(uid).cloned().map(Unchangeable::Refused);
        let is_out = state.unchangeable.is_none() && opted_out.contains(namespace);
        if is_out || refused.is_some() || owner.is_some() {
            let mut changed = state.as_ref().clone();
            if is_out {
                changed.unchangeable = Some(Unchangeable::OptedOut);
            } else if changed.unchangeable.is_none() {
                changed.unchangeable = refused;
            }
            changed.likeness = owner.map(|owner| (Arc::from(owner), Arc::from(signature(pod))));
            state = Arc::new(changed);
        }
        pods.insert(state.version.uid.clone(), state);
    }
    pods
}

/// What the pod alone says.
fn pod_state(pod: &Pod) -> PodState {
    let (meta, spec) = (&pod.metadata, pod.spec.as_ref());
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(Arc::from);
    let of = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
    PodState {
        key: PodKey { namespace: of(&meta.namespace), name: of(&meta.name) },
        version: Version { uid: of(&meta.uid), resource: of(&meta.resource_version) },
        node: text(spec.and_then(|spec| spec.node_name.as_deref())),
        tolerations: spec.and_then(|spec| spec.tolerations.clone()).unwrap_or_default(),
        requests: pod_requests(pod).unwrap_or_default(),
        nominated: text(pod.status.as_ref().and_then(|status| status.nominated_node_name.as_deref())),
        in_turn_with: spec.filter(|spec| minds_others(spec)).and_then(|_| controller(meta)).map(Arc::from),
        likeness: None,
        created_at: meta.creation_timestamp.as_ref().map(|time| time.0),
        unchangeable: opts_out(meta).then_some(Unchangeable::OptedOut),
    }
}

/// Whether where it may bind depends on where others are: by a required spread or affinity.
fn minds_others(spec: &PodSpec) -> bool {
    let spreads = spec.topology_spread_constraints.iter().flatten();
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.pod_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    spreads.into_iter().any(|spread| spread.when_unsatisfiable == "DoNotSchedule")
        || required.is_some_and(|terms| !terms.is_empty())
}

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

fn opts_out(meta: &ObjectMeta) -> bool {
    annotation(meta, labels::DO_NOT_RESERVE) == Some("true")
}

/// The uid of the controller.
fn controller(meta: &ObjectMeta) -> Option<&str> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}
