//! A decision becomes NodeClaims.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::action::Verb;
use super::event::Subject;
use super::said::Said;
use super::turn::Turn;
use super::world::World;
use crate::api::labels;
use crate::host::Decision;
use crate::observe::Snapshot;
use crate::observe::snapshot::NodeStage;
use crate::placement::{ClaimPlan, PlannedPod};
use crate::plan::claims::node_claim;
use crate::plan::{Checked, Plan, Target};

/// A question that is being answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub question: u64,
    pub snapshot: Arc<Snapshot>,
}

/// Creates what is to be launched, for the pods that still wait; tells where the others go, and why some go nowhere. The nodes
/// that are there and get some.
pub(super) fn carry_out(asked: &Asked, decision: &Decision, world: &World, turn: &mut Turn<'_>) -> Vec<Arc<str>> {
    let Asked { question, snapshot } = asked;
    let plan = &decision.plan;
    let wanted: Vec<usize> =
        (0..plan.launches.len()).filter(|launch| is_wanted(snapshot, plan, *launch, world)).collect();
    turn.say(Said::Computed {
        question: *question,
        claims: wanted.len(),
        placed: plan.assignments.len(),
        unplaced: plan.unplaced.len(),
        certificate: Box::new(decision.certificate.clone()),
    });
    for launch in wanted {
        create(snapshot, plan, launch, turn);
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
    nodes
}

/// Whether some pod of a launch still needs it.
fn is_wanted(snapshot: &Snapshot, plan: &Plan<Checked>, launch: usize, world: &World) -> bool {
    let here = plan.assignments.iter().filter(|assignment| assignment.target == Target::Launch(launch));
    here.map(|assignment| &snapshot.pods[assignment.pod]).any(|pod| {
        let now = world.objects().pods.get(&pod.key).map(|pod| &pod.object);
        let is_there = now.is_some_and(|now| now.metadata.uid.as_deref() == Some(&*pod.uid));
        let was_bound = pod.node.is_some();
        let is_bound = now.and_then(|now| now.spec.as_ref()).is_some_and(|spec| spec.node_name.is_some());
        pod.buffer || (is_there && (was_bound || !is_bound))
    })
}

fn create(snapshot: &Snapshot, plan: &Plan<Checked>, index: usize, turn: &mut Turn<'_>) {
    let launch = &plan.launches[index];
    let pool = &snapshot.node_pools[launch.pool];
    let pods = ClaimPlan::of_launch(snapshot, plan, index);
    let mut claim = node_claim(pool, launch);
    let metadata = &mut claim["metadata"];
    metadata["annotations"][labels::PLANNED_PODS] = json!(pods.to_annotation());
    metadata["finalizers"] = json!([labels::FINALIZER_TERMINATION]);
    metadata["ownerReferences"] = json!([{
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "name": pool.name, "uid": pool.uid,
        "blockOwnerDeletion": true,
    }]);
    let subject = Subject::of_cluster("NodeClaim", &launch.name);
    if turn.write_version(subject, None, Verb::Create(claim)) {
        turn.say(Said::Creating {
            claim: launch.name.clone(),
            pool: pool.name.clone(),
            pods: pods.pods.len(),
            instance_type: launch.offers.first().map_or_else(|| Arc::from(""), |offer| offer.instance_type.clone()),
        });
    }
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
        turn.say(Said::Nominated { pod: subject, target: node.name.clone() });
    }
    let Some(name) = node.claim.as_ref().filter(|_| node.stage != NodeStage::Initialized) else { return };
    let subject = Subject::of_cluster("NodeClaim", name);
    let Some(claim) = world.objects().node_claims.get(&subject.key).map(|claim| &claim.object) else { return };
    let Some(written) = claim.metadata.annotations.as_ref().and_then(|a| a.get(labels::PLANNED_PODS)) else { return };
    let Ok(mut plan) = ClaimPlan::from_annotation(written) else { return };
    plan.pods.extend(pods.into_iter().map(|pod| &snapshot.pods[pod]).filter(|pod| pod.node.is_none()).map(|pod| {
        PlannedPod { namespace: pod.key.namespace.clone(), name: pod.key.name.clone(), uid: pod.uid.clone() }
    }));
    let annotations: Value = json!({ labels::PLANNED_PODS: plan.to_annotation() });
    turn.patch("NodeClaim", &claim.metadata, json!({"metadata": {"annotations": annotations}}));
}
