//! Budgets: how many nodes of a pool the controller takes away at once of its own accord. And whether it ever comes to an end.
//!
//! A node counts from when it is closed while nobody has deleted it, or from when its claim is deleted, until it is open again or its
//! instance ends. It does not where there is another reason: a person, the cloud, its age, a node that is not ready or never was.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::Simulation;
use super::super::api::{is_deleting, text};
use super::super::contact::is_ready;
use super::super::queue::after;
use super::ends::stays;
use super::{BUDGETS, Invariants, QUIET, has_taint, is_true, pool_of};
use crate::api::duration::NillableDuration;
use crate::api::labels;
use crate::api::node_pool::{Budget, NodePool};
use crate::api::reading::read;
use crate::controller::Subject;

impl Simulation<'_> {
    /// A Node has changed.
    pub(super) fn note_closed(&mut self, before: Option<&Value>, node: &Value) {
        let was_closed = before.is_some_and(|node| has_taint(node, labels::TAINT_DISRUPTED));
        let is_closed = has_taint(node, labels::TAINT_DISRUPTED);
        let id = text(node, "/spec/providerID");
        let is_claim_deleting = || self.api.of_instance("NodeClaim", id).is_some_and(|(_, claim)| is_deleting(claim));
        if is_closed && !was_closed && !is_deleting(node) && !is_claim_deleting() {
            self.disrupt(id.into(), node);
        } else if was_closed && !is_closed && !is_claim_deleting() {
            self.invariants.disrupted.remove(id);
        }
    }

    /// Before the controller deletes a claim.
    pub(super) fn note_disruption(&mut self, subject: &Subject, uid: &str) {
        let Some(claim) = self.api.get(subject).filter(|claim| claim["metadata"]["uid"] == *uid).cloned() else {
            return;
        };
        let id = text(&claim, "/status/providerID");
        let is_asked_for = is_deleting(&claim)
            || !is_true(&claim, "Initialized")
            || self.is_expired(&claim)
            || self.interrupted.contains_key(id)
            || self.cloud.get(id).is_none_or(|running| !running.runs());
        let node = self.api.of_instance("Node", id).map(|(_, node)| node.clone());
        if let Some(node) = node.filter(|node| !is_asked_for && !is_deleting(node) && is_ready(node)) {
            self.disrupt(id.into(), &node);
            if self.invariants.disrupted.contains(id) && self.invariants.taken_away.insert(id.into()) {
                self.report.taken_away += 1;
            }
        }
    }

    /// Whether a claim is as old as it may become.
    fn is_expired(&self, claim: &Value) -> bool {
        let age = NillableDuration::from(text(claim, "/spec/expireAfter")).seconds().ok().flatten();
        let created = text(claim, "/metadata/creationTimestamp").parse::<Timestamp>().ok();
        created.zip(age).is_some_and(|(created, age)| after(created, Duration::from_secs(age)) <= self.now)
    }

    /// A late write counts where somebody would lose something: a node that is empty for one process is empty for the other.
    fn disrupt(&mut self, id: Arc<str>, node: &Value) {
        let has_ended = |pod: &Value| ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
        let leaves = |pod: &Value| !stays(pod) && !is_deleting(pod) && !has_ended(pod);
        let is_left_out =
            self.invariants.is_late && !self.api.pods_on(text(node, "/metadata/name")).any(|(_, pod)| leaves(pod));
        if !is_left_out && self.invariants.disrupted.insert(id) {
            self.check_budget(pool_of(node));
        }
    }

    /// A pod is evicted by the controller.
    pub(in super::super) fn note_eviction(&mut self, subject: &Subject, pod: &Value) {
        let name = text(pod, "/spec/nodeName");
        let Some(node) = self.api.get(&Subject::of_cluster("Node", name)) else { return };
        if !self.invariants.disrupted.contains(text(node, "/spec/providerID")) {
            return;
        }
        self.report.evicted += 1;
        self.report.last_evicted = Some(self.now);
        let quiet = self.scenario.spec.quiet_after.map(|span| after(self.scenario.spec.start, span));
        if quiet.is_some_and(|quiet| quiet < self.now) {
            self.break_rule(QUIET, format!("{subject} is evicted from {name}"));
        }
    }

    fn check_budget(&mut self, pool: &str) {
        let Some(object) = self.api.get(&Subject::of_cluster("NodePool", pool)) else { return };
        let Ok(read) = read::<NodePool>(object).map(|read| read.object) else { return };
        if read.spec.replicas.is_some() {
            return; // how many a static pool has is no disruption
        }
        let Invariants { ending, disrupted, .. } = &self.invariants;
        let here = self.api.all("Node").filter(|(_, node)| pool_of(node) == pool);
        let ids = here.map(|(_, node)| text(node, "/spec/providerID")).filter(|id| !ending.contains(*id));
        let ids: Vec<&str> = ids.collect();
        let disrupted = ids.iter().filter(|id| disrupted.contains(**id)).count();
        // those that come and go with time are left out
        let always = read.spec.disruption.budgets.iter().filter(|budget| budget.schedule.is_none());
        let of = |budget: &Budget| match budget.nodes.strip_suffix('%') {
            Some(percent) => (ids.len() * percent.parse::<usize>().unwrap_or(0)).div_ceil(100),
            None => budget.nodes.parse().unwrap_or(0),
        };
        let allowed = always.filter(|budget| budget.reasons.is_empty()).map(of).min().unwrap_or(usize::MAX);
        if disrupted > allowed {
            let text =
                format!("{disrupted} of {} nodes of {pool} are being taken away, and {allowed} may be", ids.len());
            self.break_rule(BUDGETS, text);
        }
    }
}
