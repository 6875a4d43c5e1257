//! Nothing is launched twice.
//!
//! A pod may stand in the plans of two claims where nobody could know: a process that has not seen the first one yet, or a pod that
//! took room which was left on a node while the other claim was being decided. So a new claim must not have, of the claims that
//! are under way, a pod that its maker knew to have one when it asked what to do; and not all of its pods, whatever it knew.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::Simulation;
use super::super::api::is_deleting;
use super::{DOUBLED, is_true};
use crate::api::labels;
use crate::placement::ClaimPlan;

impl Simulation<'_> {
    /// A process asks what to do: what it knows of claims that are under way.
    pub(in super::super) fn note_question(&mut self, life: u64) {
        let Some(process) = self.processes.iter().find(|process| process.life == life) else { return };
        let claims = process.controller.world().objects().node_claims.iter();
        self.invariants.known = claims
            .filter(|(_, claim)| {
                let conditions = claim.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
                claim.object.metadata.deletion_timestamp.is_none()
                    && !conditions.iter().any(|of| of.type_ == "Initialized" && of.status == "True")
            })
            .filter_map(|(key, claim)| {
                let annotations = claim.object.metadata.annotations.as_ref()?;
                Some((key, ClaimPlan::from_annotation(annotations.get(labels::PLANNED_PODS)?).ok()?))
            })
            .flat_map(|(key, plan)| plan.pods.into_iter().map(move |pod| (pod.uid, key.name.clone())))
            .collect();
    }

    pub(super) fn note_under_way(&mut self, name: &Arc<str>, claim: &Value) {
        if is_deleting(claim) || is_true(claim, "Initialized") || self.invariants.late.contains(name) {
            self.invariants.under_way.remove(name);
        } else {
            self.invariants.under_way.insert(name.clone(), planned_pods(claim));
        }
    }

    /// Of pods that have a node coming no second one is made.
    pub(super) fn check_doubled(&mut self, name: &Arc<str>, claim: &Value) {
        let own = planned_pods(claim);
        if own.is_empty() || self.invariants.late.contains(name) {
            return;
        }
        let known = own.iter().find_map(|pod| Some((pod, self.invariants.known.get(pod)?)));
        // what has become of it since is known by now
        let known = known.filter(|(_, other)| self.invariants.under_way.contains_key(*other));
        if let Some((pod, other)) = known {
            let text = format!("pod {pod} of NodeClaim {name} was known to have NodeClaim {other} under way");
            return self.break_rule(DOUBLED, text);
        }
        let others = self.invariants.under_way.iter().filter(|(other, _)| *other != name);
        let others: BTreeSet<&Arc<str>> = others.flat_map(|(_, pods)| pods).collect();
        if own.iter().all(|pod| others.contains(pod)) {
            self.break_rule(DOUBLED, format!("every pod of NodeClaim {name} has another claim under way"));
        }
    }
}

/// The uids of the pods that are planned on a claim.
pub(super) fn planned_pods(claim: &Value) -> BTreeSet<Arc<str>> {
    let written = claim["metadata"]["annotations"][labels::PLANNED_PODS].as_str();
    let plan = written.and_then(|text| ClaimPlan::from_annotation(text).ok()).unwrap_or_default();
    plan.pods.into_iter().map(|pod| pod.uid).collect()
}
