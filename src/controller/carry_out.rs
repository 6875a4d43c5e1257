//! A decision becomes NodeClaims.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::closing::takes_no_pods;
use super::create::{create_claim, free_name};
use super::event::Subject;
use super::said::Said;
use super::turn::Turn;
use super::valves::{Room, Valve};
use super::world::World;
use crate::api::labels;
use crate::host::Decision;
use crate::observe::Snapshot;
use crate::observe::objects::Objects;
use crate::observe::snapshot::{NodeStage, Pod, PodKey};
use crate::placement::signature::signature;
use crate::placement::{ClaimPlan, ExpectedPods, PlannedPod};
use crate::plan::claims::node_claim;
use crate::plan::{Checked, Launch, Plan, Target};
use jiff::Timestamp;

/// A question that is being answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub question: u64,
    pub at: Timestamp,
    pub snapshot: Arc<Snapshot>,
}

/// What a plan was made of.
pub(super) struct Done {
    /// Nodes that are there and get pods.
    pub nodes: Vec<Arc<str>>,
    /// The claims of those of its launches that are made.
    pub created: BTreeMap<usize, Arc<str>>,
}

/// Creates what is to be launched, for the pods that still wait; tells where the others go, and why some go nowhere. `room`: what
/// may be launched.
pub(super) fn carry_out(
    asked: &Asked,
    decision: &Decision,
    world: &World,
    room: &mut Room,
    turn: &mut Turn<'_>,
) -> Done {
    let Asked { question, snapshot, .. } = asked;
    let plan = &decision.plan;
    let wanted: Vec<usize> =
        (0..plan.launches.len()).filter(|launch| is_wanted(snapshot, plan, *launch, world)).collect();
    turn.say(Said::Computed {
        question: *question,
        claims: wanted.len(),
        placed: plan.assignments.len(),
        unplaced: plan.unplaced.len(),
        certificate: Box::new(decision.certificate.clone()),
        took: Duration::try_from(turn.now.duration_since(asked.at)).unwrap_or_default(),
    });
    let mut created = BTreeMap::new();
    for launch in launched(snapshot, plan, wanted, room, turn) {
        if turn.settings.shadow {
            propose(snapshot, plan, launch, turn);
        } else if let Some(claim) = create(snapshot, plan, launch, world, turn) {
            created.insert(launch, claim);
        }
    }
    let joining = joining(snapshot, plan);
    let nodes = joining.keys().map(|node| snapshot.nodes[*node].name.clone()).collect();
    for (node, pods) in joining {
        join(snapshot, node, pods, world, turn);
    }
    for unplaced in &plan.unplaced {
        let pod = &snapshot.pods[unplaced.pod];
        if !pod.buffer {
            let subject = Subject { kind: "Pod", key: pod.key.clone() };
            turn.say(Said::FailedScheduling { pod: subject, reason: unplaced.reason.clone() });
        }
    }
    Done { nodes, created }
}

/// Those for which there is room; the pods of others are told why they wait.
fn launched(
    snapshot: &Snapshot,
    plan: &Plan<Checked>,
    wanted: Vec<usize>,
    room: &mut Room,
    turn: &mut Turn<'_>,
) -> Vec<usize> {
    let mut held: BTreeMap<usize, Valve> = BTreeMap::new();
    let mut launched = Vec::new();
    for launch in wanted {
        let Launch { pool, .. } = &plan.launches[launch];
        match room.take(&snapshot.node_pools[*pool].name, plan.launches[launch].worst_price()) {
            Ok(()) => launched.push(launch),
            Err(valve) => {
                held.insert(launch, valve);
            }
        }
    }
    let mut claims: Vec<(Valve, usize, usize)> = Vec::new();
    for (launch, valve) in &held {
        let pool = plan.launches[*launch].pool;
        match claims.iter_mut().find(|(of, at, _)| (*of, *at) == (*valve, pool)) {
            Some((_, _, claims)) => *claims += 1,
            None => claims.push((*valve, pool, 1)),
        }
    }
    for (valve, pool, claims) in claims {
        turn.say(Said::HeldBack { valve, pool: snapshot.node_pools[pool].name.clone(), claims });
    }
    for assignment in &plan.assignments {
        let Target::Launch(launch) = assignment.target else { continue };
        let pod = &snapshot.pods[assignment.pod];
        if let Some(valve) = held.get(&launch).filter(|_| !pod.buffer) {
            let reason = format!("its node waits: {valve} is reached").into();
            turn.say(Said::FailedScheduling { pod: Subject { kind: "Pod", key: pod.key.clone() }, reason });
        }
    }
    launched
}

/// What a shadow says instead of creating a claim.
fn propose(snapshot: &Snapshot, plan: &Plan<Checked>, index: usize, turn: &mut Turn<'_>) {
    let launch = &plan.launches[index];
    let here = plan.assignments.iter().filter(|assignment| assignment.target == Target::Launch(index));
    turn.say(Said::Proposed {
        pool: snapshot.node_pools[launch.pool].name.clone(),
        pods: here.count(),
        instance_type: launch.offers.first().map_or_else(|| Arc::from(""), |offer| offer.instance_type.clone()),
        price: launch.price(),
    });
}

/// Whether some pod of a launch still needs it.
fn is_wanted(snapshot: &Snapshot, plan: &Plan<Checked>, launch: usize, world: &World) -> bool {
    let here = plan.assignments.iter().filter(|assignment| assignment.target == Target::Launch(launch));
    here.map(|assignment| &snapshot.pods[assignment.pod]).any(|pod| needs_node(pod, world.objects()))
}

/// Whether a pod that was planned is still there, and waits or has to leave its node.
pub(super) fn needs_node(pod: &Pod, objects: &Objects) -> bool {
    let now = objects.pods.get(&pod.key).map(|pod| &pod.object);
    let is_there = now.is_some_and(|now| now.metadata.uid.as_deref() == Some(&*pod.uid));
    let node = now.and_then(|now| now.spec.as_ref()?.node_name.as_deref());
    pod.buffer || (is_there && node.is_none_or(|node| pod.node.is_some() && takes_no_pods(objects, node)))
}

/// Whether a node takes only the pods that its claim plans.
fn is_kept(world: &World, node: &str) -> bool {
    let node = world.objects().nodes.get(&Subject::of_cluster("Node", node).key).map(|node| &node.object);
    let mut taints = node.iter().flat_map(|node| node.spec.iter()).flat_map(|spec| spec.taints.iter().flatten());
    taints.any(|taint| taint.key == labels::PLANNED)
}

/// The name of the claim, if it is sent.
fn create(
    snapshot: &Snapshot,
    plan: &Plan<Checked>,
    index: usize,
    world: &World,
    turn: &mut Turn<'_>,
) -> Option<Arc<str>> {
    let pool = &snapshot.node_pools[plan.launches[index].pool];
    let mut launch = plan.launches[index].clone();
    let here = plan.assignments.iter().filter(|assignment| assignment.target == Target::Launch(index));
    let pods: String = here.map(|assignment| &*snapshot.pods[assignment.pod].uid).collect();
    let seed = format!("{} {}{pods}", launch.name, snapshot.taken_at);
    launch.name = free_name(&pool.name, &seed, world.objects());
    let launch = &launch;
    let mut pods = ClaimPlan::of_launch(snapshot, plan, index);
    expect(&mut pods, snapshot, plan, index, world);
    let claim = node_claim(pool, launch);
    create_claim(pool, claim, &pods, world.objects(), turn).then(|| {
        turn.say_once_taken(Said::Creating {
            claim: launch.name.clone(),
            pool: pool.name.clone(),
            pods: pods.pods.len(),
            instance_type: launch.offers.first().map_or_else(|| Arc::from(""), |offer| offer.instance_type.clone()),
        });
        let target = Subject::of_cluster("NodeClaim", &launch.name);
        for pod in &pods.pods {
            let key = PodKey { namespace: pod.namespace.clone(), name: pod.name.clone() };
            turn.say_once_taken(Said::Nominated { pod: Subject { kind: "Pod", key }, target: target.clone() });
        }
        launch.name.clone()
    })
}

/// Pods that leave other nodes come back as new ones of their owner: the node is kept for those.
fn expect(claim: &mut ClaimPlan, snapshot: &Snapshot, plan: &Plan<Checked>, index: usize, world: &World) {
    let here = plan.assignments.iter().filter(|assignment| assignment.target == Target::Launch(index));
    let mut expected: BTreeMap<(Arc<str>, Arc<str>, String), usize> = BTreeMap::new();
    let mut replaces: BTreeSet<Arc<str>> = BTreeSet::new();
    for pod in here.map(|assignment| &snapshot.pods[assignment.pod]) {
        let (Some(node), Some(owner)) = (&pod.node, &pod.owner) else { continue };
        let Some(object) = world.objects().pods.get(&pod.key).map(|pod| &pod.object) else { continue };
        *expected.entry((pod.key.namespace.clone(), owner.uid.clone(), signature(object))).or_default() += 1;
        replaces.insert(node.clone());
    }
    claim.expected.extend(expected.into_iter().map(|((namespace, owner, signature), count)| ExpectedPods {
        namespace,
        owner,
        signature: signature.into(),
        count,
    }));
    claim.replaces.extend(replaces);
}

/// Pods for nodes that are there or on their way, by node.
fn joining(snapshot: &Snapshot, plan: &Plan<Checked>) -> BTreeMap<usize, Vec<usize>> {
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for assignment in &plan.assignments {
        if let Target::Existing(node) = assignment.target
            && !snapshot.pods[assignment.pod].buffer
        {
            found.entry(node).or_default().push(assignment.pod);
        }
    }
    found
}

/// Pods that join a node which is not open yet become part of its claim's plan, so that it lets them in.
fn join(snapshot: &Snapshot, node: usize, pods: Vec<usize>, world: &World, turn: &mut Turn<'_>) {
    let node = &snapshot.nodes[node];
    for pod in &pods {
        let subject = Subject { kind: "Pod", key: snapshot.pods[*pod].key.clone() };
        turn.say(Said::Nominated { pod: subject, target: Subject::of_cluster("Node", &node.name) });
    }
    // one that is kept for others lets in whom its claim plans, also once it is initialized
    let is_shut = node.stage != NodeStage::Initialized || is_kept(world, &node.name);
    let Some(name) = node.claim.as_ref().filter(|_| is_shut) else { return };
    let subject = Subject::of_cluster("NodeClaim", name);
    let Some(claim) = world.objects().node_claims.get(&subject.key).map(|claim| &claim.object) else { return };
    let Some(written) = claim.metadata.annotations.as_ref().and_then(|a| a.get(labels::PLANNED_PODS)) else { return };
    let Ok(mut plan) = ClaimPlan::from_annotation(written) else { return };
    let joining = pods.into_iter().map(|pod| &snapshot.pods[pod]).filter(|pod| pod.node.is_none());
    plan.pods.extend(joining.map(|pod| PlannedPod::of(pod, 0)));
    let annotations: Value = json!({ labels::PLANNED_PODS: plan.to_annotation() });
    turn.patch("NodeClaim", &claim.metadata, json!({"metadata": {"annotations": annotations}}));
}
