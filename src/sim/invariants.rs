//! What must hold after every step, whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::Simulation;
use super::api::{Change, is_deleting, text};
use super::queue::after;
use crate::api::labels;
use crate::api::node_pool::NodePool;
use crate::api::reading::read;
use crate::controller::{Subject, Verb, Write};
use crate::observe::amounts;
use crate::placement::ClaimPlan;
use crate::resources::Resources;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// When.
    pub at: Timestamp,
    /// Which one.
    pub rule: &'static str,
    /// What is so and must not be.
    pub text: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.rule, self.text)
    }
}

/// A fault of a controller that must be found: each breaks one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Planted {
    /// It is said that instances end, and they do not.
    Unended,
    /// An instance runs that no claim was ever made for, and no list shows it.
    Leaked,
    /// A claim is made a second time.
    Doubled,
    /// An instance is ended while pods run on it.
    Undrained,
    /// More is launched than the pool may have.
    OverLimit,
    /// All nodes are closed at once.
    OverBudget,
    /// Nodes stay reserved.
    NeverFreed,
    /// Nothing is decided any more.
    Undecided,
}

pub(super) const RUNS_ON: &str = "an instance ends with its claim";
pub(super) const LEAKED: &str = "every instance has its claim";
pub(super) const DOUBLED: &str = "nothing is launched twice";
pub(super) const UNDRAINED: &str = "no instance ends under pods";
pub(super) const LIMITS: &str = "limits are kept";
pub(super) const BUDGETS: &str = "budgets are kept";
pub(super) const RESERVED: &str = "no node is reserved for nobody";
pub(super) const SETTLED: &str = "everything comes to rest";

/// Whoever collects what was left behind has so long.
const COLLECTED: Duration = Duration::from_secs(10 * 60);
/// A node is reserved for so long at most.
const LONGEST_RESERVED: Duration = Duration::from_secs(20 * 60);

#[derive(Debug, Default)]
pub(super) struct Invariants {
    found: Option<Broken>,
    /// Instances without claim, and nodes that are reserved: since when.
    leaked: BTreeMap<Arc<str>, Timestamp>,
    reserved: BTreeMap<Arc<str>, Timestamp>,
    /// Nodes that were closed although nobody had deleted them.
    closed: BTreeSet<Arc<str>>,
}

impl Simulation<'_> {
    /// What is broken, once it is.
    pub(super) fn broken(&mut self) -> Option<Broken> {
        self.invariants.found.take()
    }

    /// Whether the controller has this fault, and half of the time is over.
    pub(super) fn is_planted(&self, fault: Planted) -> bool {
        let half = after(self.scenario.spec.start, self.scenario.spec.time / 2);
        self.options.planted == Some(fault) && self.now >= half
    }

    fn break_rule(&mut self, rule: &'static str, text: String) {
        let at = self.now;
        self.invariants.found.get_or_insert(Broken { at, rule, text });
    }

    pub(super) fn note_invariants(&mut self, change: &Change) {
        let name = &change.subject.key.name;
        match (change.subject.kind, &change.before, &change.after) {
            ("NodeClaim", Some(claim), None) => {
                let id = text(claim, "/status/providerID");
                if self.cloud.get(id).is_some_and(super::cloud::Running::runs) {
                    self.break_rule(RUNS_ON, format!("NodeClaim {name} is gone, and {id} runs"));
                }
            }
            ("NodeClaim", None, Some(claim)) => self.check_doubled(name, claim),
            ("Node", before, Some(node)) => {
                let was_closed = before.as_ref().is_some_and(|node| has_taint(node, labels::TAINT_DISRUPTED));
                let is_closed = has_taint(node, labels::TAINT_DISRUPTED);
                if is_closed && !was_closed && !is_deleting(node) && !self.is_claim_deleting(node) {
                    self.invariants.closed.insert(name.clone());
                    let pool = text(node, &format!("/metadata/labels/{}", escaped(labels::NODEPOOL))).to_owned();
                    self.check_budget(&pool);
                } else if !is_closed {
                    self.invariants.closed.remove(name);
                }
                let is_reserved =
                    has_taint(node, labels::PLANNED) || !node["metadata"]["annotations"][labels::CORDONED_AT].is_null();
                if is_reserved {
                    self.invariants.reserved.entry(name.clone()).or_insert(self.now);
                } else {
                    self.invariants.reserved.remove(name);
                }
            }
            ("Node", _, None) => {
                self.invariants.closed.remove(name);
                self.invariants.reserved.remove(name);
            }
            _ => {}
        }
    }

    fn is_claim_deleting(&self, node: &Value) -> bool {
        let id = text(node, "/spec/providerID");
        let mut claims = self.api.all("NodeClaim").filter(|(_, claim)| text(claim, "/status/providerID") == id);
        claims.any(|(_, claim)| is_deleting(claim))
    }

    /// Of pods that have a node coming no second one is made.
    fn check_doubled(&mut self, name: &Arc<str>, claim: &Value) {
        let Some(own) = plan_of(claim).filter(|plan| !plan.pods.is_empty()) else { return };
        let is_under_way = |claim: &Value| !is_deleting(claim) && !is_true(claim, "Initialized");
        let others: BTreeSet<Arc<str>> = self
            .api
            .all("NodeClaim")
            .filter(|(key, claim)| key.name != *name && is_under_way(claim))
            .filter_map(|(_, claim)| plan_of(claim))
            .flat_map(|plan| plan.pods.into_iter().map(|pod| pod.uid))
            .collect();
        if own.pods.iter().all(|pod| others.contains(&pod.uid)) {
            self.break_rule(DOUBLED, format!("every pod of NodeClaim {name} has another claim under way"));
        }
    }

    fn check_budget(&mut self, pool: &str) {
        let Some(object) = self.api.get(&Subject::of_cluster("NodePool", pool)) else { return };
        let Ok(read) = read::<NodePool>(object).map(|read| read.object) else { return };
        let in_pool = |node: &Value| text(node, &format!("/metadata/labels/{}", escaped(labels::NODEPOOL))) == pool;
        let ending: BTreeSet<&str> = self
            .api
            .all("NodeClaim")
            .filter(|(_, claim)| is_true(claim, "InstanceTerminating"))
            .map(|(_, claim)| text(claim, "/status/providerID"))
            .collect();
        let counts = |node: &Value| in_pool(node) && !ending.contains(text(node, "/spec/providerID"));
        let here = || self.api.all("Node").filter(|(_, node)| counts(node));
        let nodes = here().count();
        let closed = here().filter(|(key, _)| self.invariants.closed.contains(&key.name)).count();
        // those that come and go with time are left out
        let always = read.spec.disruption.budgets.iter().filter(|budget| budget.schedule.is_none());
        let of = |budget: &crate::api::node_pool::Budget| match budget.nodes.strip_suffix('%') {
            Some(percent) => (nodes * percent.parse::<usize>().unwrap_or(0)).div_ceil(100),
            None => budget.nodes.parse().unwrap_or(0),
        };
        let allowed = always.filter(|budget| budget.reasons.is_empty()).map(of).min().unwrap_or(usize::MAX);
        if closed > allowed {
            self.break_rule(BUDGETS, format!("{closed} of {nodes} nodes of {pool} are closed, and {allowed} may be"));
        }
    }

    /// Before the controller ends an instance.
    pub(super) fn note_end(&mut self, id: &str) {
        let Some(running) = self.cloud.get(id).filter(|running| running.runs()) else { return };
        let node = running.node.clone();
        let Some(object) = self.api.get(&Subject::of_cluster("Node", &node)) else { return };
        if text(object, "/spec/providerID") != id {
            return;
        }
        let deadline = self.api.all("NodeClaim").find(|(_, claim)| text(claim, "/status/providerID") == id).and_then(
            |(_, claim)| {
                claim["metadata"]["annotations"][labels::TERMINATION_TIMESTAMP].as_str()?.parse::<Timestamp>().ok()
            },
        );
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            return;
        }
        let runs = |pod: &Value| {
            text(pod, "/spec/nodeName") == &*node
                && text(pod, "/status/phase") == "Running"
                && text(pod, "/metadata/ownerReferences/0/kind") != "DaemonSet"
        };
        let pods = self.api.all("Pod").filter(|(_, pod)| runs(pod)).count();
        if pods > 0 {
            self.break_rule(UNDRAINED, format!("{id} is ended while {pods} pods run on {node}"));
        }
    }

    /// Before a write of the controller is carried out.
    pub(super) fn note_write(&mut self, write: &Write) {
        let is_claim = write.subject.kind == "NodeClaim";
        if let (true, Verb::Create(claim)) = (is_claim, &write.verb)
            && self.is_planted(Planted::Doubled)
        {
            let mut again = claim.clone();
            again["metadata"]["name"] = json!(format!("{}-again", write.subject.key.name));
            let now = self.now;
            drop(self.api.create("NodeClaim", again, now));
        }
    }

    /// After a launch: what runs for claims of a pool is within its limits.
    pub(super) fn check_limits(&mut self, pool: &str) {
        let Some(object) = self.api.get(&Subject::of_cluster("NodePool", pool)) else { return };
        let Ok(read) = read::<NodePool>(object).map(|read| read.object) else { return };
        let limits = amounts(&read.spec.limits.clone());
        let claims: BTreeSet<&str> = self.api.all("NodeClaim").map(|(_, claim)| text(claim, "/metadata/uid")).collect();
        let of_pool = |running: &super::cloud::Running| {
            claims.contains(&*running.claim)
                && text(&running.user_data, &format!("/metadata/labels/{}", escaped(labels::NODEPOOL))) == pool
        };
        let mut used = Resources::new();
        for (_, running) in self.cloud.running().filter(|(_, running)| of_pool(running)) {
            used.add(&running.what.kind.capacity);
            used.add(&Resources::new().with(labels::LIMIT_NODES, 1));
        }
        let over = limits.iter().find(|(name, limit)| used.get(name) > *limit);
        if let Some((name, limit)) = over {
            let text = format!("{pool} has {} of {name}, and {limit} is its limit", used.get(name));
            self.break_rule(LIMITS, text);
        }
    }

    /// What is looked at now and then.
    pub(super) fn check_state(&mut self) {
        let claims: BTreeSet<Arc<str>> =
            self.api.all("NodeClaim").map(|(_, claim)| text(claim, "/metadata/uid").into()).collect();
        let now = self.now;
        let alone: BTreeMap<Arc<str>, Timestamp> = self
            .cloud
            .running()
            .filter(|(_, running)| !claims.contains(&running.claim))
            .map(|(id, _)| (id.clone(), self.invariants.leaked.get(id).copied().unwrap_or(now)))
            .collect();
        if let Some((id, since)) = alone.iter().find(|(_, since)| after(**since, COLLECTED) < now) {
            let text = format!("{id} has run without a claim since {since}");
            self.break_rule(LEAKED, text);
        }
        self.invariants.leaked = alone;
        let reserved = self.invariants.reserved.iter().find(|(_, since)| after(**since, LONGEST_RESERVED) < now);
        if let Some((node, since)) = reserved {
            let text = format!("{node} has been reserved since {since}");
            self.break_rule(RESERVED, text);
        }
    }

    /// A controller with a fault.
    pub(super) fn plant(&mut self) {
        let now = self.now;
        match self.options.planted {
            Some(Planted::OverLimit) => {
                let known = self.api.all("NodeClaim").map(|(_, claim)| Value::clone(claim)).next();
                let Some(mut claim) = known else { return };
                claim["status"] = Value::Null;
                claim["metadata"]["annotations"][labels::PLANNED_PODS] = json!(ClaimPlan::default().to_annotation());
                for number in 0..200 {
                    claim["metadata"]["name"] = json!(format!("more-{number}"));
                    drop(self.api.create("NodeClaim", claim.clone(), now));
                }
            }
            Some(Planted::OverBudget) => {
                let nodes: Vec<Subject> =
                    self.api.all("Node").map(|(key, _)| Subject::of_cluster("Node", &key.name)).collect();
                for node in nodes {
                    let taints = json!([{"key": labels::TAINT_DISRUPTED, "effect": "NoSchedule"}]);
                    drop(self.api.patch(&node, &json!({"spec": {"taints": taints}}), false));
                }
            }
            Some(Planted::Undrained) => {
                let ids: Vec<Arc<str>> = self.cloud.running().map(|(id, _)| id.clone()).collect();
                for id in &ids {
                    self.note_end(id);
                }
            }
            Some(Planted::Leaked) => self.cloud.leak(now),
            _ => {}
        }
    }
}

pub(super) fn is_true(claim: &Value, kind: &str) -> bool {
    let conditions = claim["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|of| of["type"] == kind && of["status"] == "True"))
}

fn plan_of(claim: &Value) -> Option<ClaimPlan> {
    ClaimPlan::from_annotation(claim["metadata"]["annotations"][labels::PLANNED_PODS].as_str()?).ok()
}

fn has_taint(node: &Value, key: &str) -> bool {
    node["spec"]["taints"].as_array().is_some_and(|taints| taints.iter().any(|taint| taint["key"] == key))
}

/// A field's name in a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
