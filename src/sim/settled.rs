//! What must hold when nothing new comes and nothing goes wrong any more: nobody waits who need not, and nothing is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::Simulation;
use super::api::{is_deleting, text};
use super::invariants::{Broken, SETTLED, is_true};
use crate::api::labels;

impl Simulation<'_> {
    pub(super) fn unsettled(&mut self) -> Option<Broken> {
        let waits = self.place_of_waiting();
        let text = waits.or_else(|| self.unequal()).or_else(|| self.unfinished()).or_else(|| self.empty())?;
        Some(Broken { at: self.now, rule: SETTLED, text })
    }

    /// Claims, instances and nodes are three sides of the same thing.
    fn unequal(&self) -> Option<String> {
        let claims: BTreeSet<&str> =
            self.api.all("NodeClaim").map(|(_, claim)| text(claim, "/status/providerID")).collect();
        let instances: BTreeSet<&str> = self.cloud.running().map(|(id, _)| &**id).collect();
        let nodes: BTreeSet<&str> = self.api.all("Node").map(|(_, node)| text(node, "/spec/providerID")).collect();
        let missing = |from: &BTreeSet<&str>, of: &BTreeSet<&str>, text: &str| {
            from.difference(of).next().map(|id| format!("{id} {text}"))
        };
        missing(&instances, &claims, "runs, and no NodeClaim has it")
            .or_else(|| missing(&claims, &instances, "is what a NodeClaim has, and does not run"))
            .or_else(|| missing(&instances, &nodes, "runs, and is no node"))
            .or_else(|| missing(&nodes, &instances, "is a node, and does not run"))
    }

    fn unfinished(&self) -> Option<String> {
        let is_unfinished =
            |claim: &Value| (is_deleting(claim) && !self.is_protected(claim)) || !is_true(claim, "Initialized");
        let claim = self.api.all("NodeClaim").find(|(_, claim)| is_unfinished(claim));
        let unfinished = claim.map(|(key, claim)| {
            let what = if is_deleting(claim) { "is still being deleted" } else { "is not initialized" };
            format!("NodeClaim {} {what}", key.name)
        });
        unfinished.or_else(|| {
            let reserved = self.api.all("Node").find(|(_, node)| {
                let taints = node["spec"]["taints"].as_array();
                taints.is_some_and(|all| all.iter().any(|taint| taint["key"] == labels::PLANNED))
            });
            reserved.map(|(key, _)| format!("Node {} is still reserved", key.name))
        })
    }

    /// Whether pods that must not be disrupted keep the node of a claim for as long as they run.
    fn is_protected(&self, claim: &Value) -> bool {
        let Some((node, _)) = self.api.of_instance("Node", text(claim, "/status/providerID")) else { return false };
        let is_kept =
            |pod: &Value| pod["metadata"]["annotations"][labels::DO_NOT_DISRUPT] == "true" && !is_deleting(pod);
        self.api.pods_on(&node.key.name).any(|(_, pod)| is_kept(pod))
    }

    /// Nodes without pods, in pools whose nodes go when they are empty. Static pools keep theirs, and which are kept for
    /// CapacityBuffers only a decision says.
    fn empty(&self) -> Option<String> {
        if self.api.all("CapacityBuffer").next().is_some() {
            return None;
        }
        let mut pods: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for (_, pod) in self.api.all("Pod") {
            let has_ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
            let of_daemon = text(pod, "/metadata/ownerReferences/0/kind") == "DaemonSet";
            if !has_ended && !of_daemon {
                *pods.entry(text(pod, "/spec/nodeName").into()).or_default() += 1;
            }
        }
        let goes = |node: &Value| {
            let pool = node["metadata"]["labels"][labels::NODEPOOL].as_str().unwrap_or_default();
            let pool = self.api.get(&crate::controller::Subject::of_cluster("NodePool", pool));
            pool.is_some_and(|pool| {
                let disruption = &pool["spec"]["disruption"];
                let budgets = disruption["budgets"].as_array();
                let is_blocked =
                    budgets.is_some_and(|all| all.iter().any(|of| of["nodes"] == "0" || !of["schedule"].is_null()));
                let after = disruption["consolidateAfter"].as_str().unwrap_or("0s");
                let is_short = after.parse::<jiff::SignedDuration>().is_ok_and(|after| after.as_secs() <= 600);
                is_short && !is_blocked && pool["spec"]["replicas"].is_null()
            })
        };
        let empty = self.api.all("Node").find(|(key, node)| !pods.contains_key(&key.name) && goes(node));
        empty.map(|(key, _)| format!("Node {} is empty and stays", key.name))
    }
}
