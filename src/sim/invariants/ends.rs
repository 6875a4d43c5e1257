//! Instances that end, and claims and Nodes that go: pods have left before, nothing is left behind, and an interruption is seen to.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::Simulation;
use super::super::api::{is_deleting, text};
use super::super::queue::after;
use super::{RUNS_ON, UNDRAINED, UNHANDLED};
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::api::reading::read;

/// A pod that does not end so long after it should have is not waited for.
const STUCK: Duration = Duration::from_secs(60);
/// A claim that says so late which instance it has may be deleted late; and pods that may be evicted are, so long after their claim
/// was deleted.
const LATE: Duration = Duration::from_secs(60);

impl Simulation<'_> {
    /// A claim is gone: its instance must not run, also one of which the claim does not say.
    pub(super) fn check_runs_on(&mut self, name: &Arc<str>, claim: &Value) {
        let running = self.cloud.of_claim(text(claim, "/metadata/uid")).filter(|running| !running.is_late);
        if let Some(id) = running.map(|running| running.what.provider_id.clone()) {
            self.break_rule(RUNS_ON, format!("NodeClaim {name} is gone, and {id} runs"));
        }
    }

    /// A Node is gone: nobody tells its pods any more that its instance ends.
    pub(super) fn check_node_gone(&mut self, node: &Value) {
        let id = text(node, "/spec/providerID");
        self.invariants.disrupted.remove(id);
        if self.cloud.get(id).is_some_and(super::super::cloud::Running::runs) {
            self.check_drained(id, "its Node is taken away");
        }
    }

    /// Before the controller ends an instance.
    pub(in super::super) fn note_end(&mut self, id: &str) {
        if self.cloud.get(id).is_some_and(super::super::cloud::Running::runs) {
            self.check_drained(id, "it is ended");
        }
    }

    fn check_drained(&mut self, id: &str, what: &str) {
        let Some(running) = self.cloud.get(id) else { return };
        let claim = self.api.of_uid(&running.claim).map(|(_, claim)| claim);
        if claim.and_then(|claim| deadline(claim)).is_some_and(|deadline| deadline <= self.now) {
            return;
        }
        let waits = |pod: &&Arc<Value>| {
            let has_ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
            let ends = text(pod, "/metadata/deletionTimestamp").parse::<Timestamp>().ok();
            let is_stuck = ends.is_some_and(|ends| after(ends, STUCK) < self.now);
            !has_ended && !is_stuck && !stays(pod)
        };
        let node = running.node.clone();
        let pods = self.api.pods_on(&node).map(|(_, pod)| pod).filter(waits).count();
        if pods > 0 {
            self.break_rule(UNDRAINED, format!("{what} while {pods} pods are on {node}: {id}"));
        }
    }

    /// The two minutes of an interruption are over: its claim is being deleted, and pods that may be evicted are.
    pub(in super::super) fn check_handled(&mut self, id: &str, since: Timestamp) {
        let Some(running) = self.cloud.get(id).filter(|running| running.runs()) else { return };
        let Some((subject, claim)) = self.api.of_uid(&running.claim) else { return };
        let launched = claim["status"]["conditions"].as_array().into_iter().flatten();
        let launched = launched.clone().find(|of| of["type"] == "Launched" && of["status"] == "True");
        let launched = launched.and_then(|of| text(of, "/lastTransitionTime").parse::<Timestamp>().ok());
        if launched.is_none_or(|launched| launched > after(since, LATE)) {
            return; // it could not be known whose instance it is
        }
        let Ok(deleted) = text(claim, "/metadata/deletionTimestamp").parse::<Timestamp>() else {
            let name = subject.key.name.clone();
            return self.break_rule(UNHANDLED, format!("{id} ends, and NodeClaim {name} is not being deleted"));
        };
        if after(deleted, LATE) > self.now {
            return;
        }
        let is_left = |pod: &&Arc<Value>| {
            let is_over = is_deleting(pod) || ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
            let is_critical = text(pod, "/spec/priorityClassName").starts_with("system-");
            let is_kept = !pod["metadata"]["annotations"][labels::DO_NOT_DISRUPT].is_null();
            !is_over && !is_critical && !is_kept && !stays(pod) && !self.has_budget(pod)
        };
        let node = running.node.clone();
        let pods = self.api.pods_on(&node).map(|(_, pod)| pod).filter(is_left).count();
        if pods > 0 {
            self.break_rule(UNHANDLED, format!("{id} ends under {pods} pods that nobody has told to leave {node}"));
        }
    }
}

/// Until when a claim that is being deleted lets its pods be: what its own field says, whatever is noted elsewhere.
fn deadline(claim: &Value) -> Option<Timestamp> {
    let deleted: Timestamp = text(claim, "/metadata/deletionTimestamp").parse().ok()?;
    let claim = read::<NodeClaim>(claim).ok()?.object;
    let seconds = claim.spec.termination_grace_period.as_ref()?.seconds().ok()?;
    Some(after(deleted, Duration::from_secs(seconds)))
}

/// Pods that nobody evicts: they belong to the node, or say that its end does not concern them.
pub(super) fn stays(pod: &Value) -> bool {
    let tolerations = pod["spec"]["tolerations"].as_array().into_iter().flatten();
    let is_tolerant = tolerations.clone().any(|of| {
        let effect = text(of, "/effect");
        let (key, exists) = (text(of, "/key"), of["operator"] == "Exists");
        (effect.is_empty() || effect == "NoSchedule")
            && ((key == labels::TAINT_DISRUPTED && (exists || text(of, "/value").is_empty()))
                || (key.is_empty() && exists))
    });
    is_tolerant || text(pod, "/metadata/ownerReferences/0/kind") == "DaemonSet"
}
