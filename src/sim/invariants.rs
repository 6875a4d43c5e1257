//! What must hold, whatever goes wrong: looked at with every change that concerns it, and what takes time every minute.
//!
//! | file | what |
//! |---|---|
//! | `ends` | instances that end, and claims and Nodes that go: pods have left before, and nothing is left behind |
//! | `voluntary` | how many nodes the controller takes away at once |
//! | `doubled` | pods that have two claims |
//! | `planted` | faults of a controller that are to be found |

mod doubled;
mod ends;
mod planted;
mod voluntary;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Simulation;
use super::api::{Change, text};
use super::queue::after;
use crate::api::labels;
use crate::api::node_pool::NodePool;
use crate::api::reading::read;
use crate::controller::{Subject, Verb, Write};
use crate::observe::amounts;
use crate::placement::ClaimPlan;
use crate::resources::Resources;

pub use planted::Planted;

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

pub(super) const RUNS_ON: &str = "an instance ends with its claim";
pub(super) const LEAKED: &str = "every instance has its claim";
pub(super) const DOUBLED: &str = "nothing is launched twice";
pub(super) const UNDRAINED: &str = "no instance ends under pods";
pub(super) const LIMITS: &str = "limits are kept";
pub(super) const BUDGETS: &str = "budgets are kept";
pub(super) const RESERVED: &str = "no node is reserved for nobody";
pub(super) const QUIET: &str = "where nothing changes no pod is evicted by choice";
pub(super) const UNHANDLED: &str = "an interruption is handled in time";
pub(super) const SETTLED: &str = "everything comes to rest";

/// Whoever collects what was left behind has so long.
const COLLECTED: Duration = Duration::from_secs(10 * 60);
/// A node is reserved for so long at most, counted from when those are gone whose pods it waits for.
const LONGEST_RESERVED: Duration = Duration::from_secs(20 * 60);
/// And those are waited for so long at most: a budget may block an eviction for ever.
const LONGEST_AWAITING: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Default)]
pub(super) struct Invariants {
    found: Option<Broken>,
    /// Instances without claim: since when.
    leaked: BTreeMap<Arc<str>, Timestamp>,
    /// Nodes that are.
    reserved: BTreeMap<Arc<str>, Reserved>,
    /// Instances that the controller takes away although nobody else wants that, by provider id.
    disrupted: BTreeSet<Arc<str>>,
    /// Those of them of which the claim was deleted, also when they are gone.
    taken_away: BTreeSet<Arc<str>>,
    /// Instances of which the claim says that they are on their way out, by provider id.
    ending: BTreeSet<Arc<str>>,
    /// The planned pods of claims that are under way: all that there are, by the claim's name, and those that the process which
    /// acts knew of when it was asked last what to do, with the claim.
    under_way: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    known: BTreeMap<Arc<str>, Arc<str>>,
    /// Claims, by name, and nodes that a process wrote that did not hold the Lease any more: nothing keeps them from exceeding what
    /// the other one has decided.
    late: BTreeSet<Arc<str>>,
    /// The write that is being carried out is one of those.
    is_late: bool,
}

/// A node that is kept for pods.
#[derive(Debug, Clone, Copy)]
struct Reserved {
    since: Timestamp,
    /// Since when no node is waited for any more whose pods it is to get.
    alone: Timestamp,
}

impl Simulation<'_> {
    /// What is broken, once it is.
    pub(super) fn broken(&mut self) -> Option<Broken> {
        self.invariants.found.take()
    }

    /// What happens next is not a late write, unless it is said.
    pub(super) fn begin_change(&mut self) {
        self.invariants.is_late = false;
    }

    fn break_rule(&mut self, rule: &'static str, text: String) {
        let at = self.now;
        self.invariants.found.get_or_insert(Broken { at, rule, text });
    }

    pub(super) fn note_invariants(&mut self, change: &Change) {
        let name = &change.subject.key.name;
        match (change.subject.kind, &change.before, &change.after) {
            ("NodeClaim", Some(claim), None) => {
                self.invariants.under_way.remove(name);
                self.invariants.ending.remove(text(claim, "/status/providerID"));
                self.check_runs_on(name, claim);
            }
            ("NodeClaim", before, Some(claim)) => {
                if before.is_none() {
                    self.check_doubled(name, claim);
                }
                self.note_under_way(name, claim);
                if is_true(claim, "InstanceTerminating") {
                    self.invariants.ending.insert(text(claim, "/status/providerID").into());
                }
            }
            ("Node", before, Some(node)) => {
                self.note_closed(before.as_deref(), node);
                let is_reserved =
                    has_taint(node, labels::PLANNED) || !node["metadata"]["annotations"][labels::CORDONED_AT].is_null();
                if is_reserved {
                    let now = Reserved { since: self.now, alone: self.now };
                    self.invariants.reserved.entry(name.clone()).or_insert(now);
                } else {
                    self.invariants.reserved.remove(name);
                }
            }
            ("Node", Some(node), None) => {
                self.invariants.reserved.remove(name);
                self.check_node_gone(node);
            }
            _ => {}
        }
    }

    /// Before a write of the controller is carried out.
    pub(super) fn note_write(&mut self, life: u64, write: &Write) {
        self.invariants.is_late = !self.acts(life);
        let is_claim = write.subject.kind == "NodeClaim";
        match &write.verb {
            Verb::Create(_) if is_claim && self.invariants.is_late => {
                self.invariants.late.insert(write.subject.key.name.clone());
            }
            Verb::Delete { uid, .. } if is_claim => self.note_disruption(&write.subject, uid),
            _ => {}
        }
    }

    /// After a launch: what runs for claims of a pool is within its limits.
    pub(super) fn check_limits(&mut self, pool: &str) {
        let Some(object) = self.api.get(&Subject::of_cluster("NodePool", pool)) else { return };
        let Ok(read) = read::<NodePool>(object).map(|read| read.object) else { return };
        let limits = amounts(&read.spec.limits);
        if limits.iter().next().is_none() {
            return;
        }
        let counts = |running: &super::cloud::Running| {
            let is_late = |(claim, _): (&Subject, _)| self.invariants.late.contains(&claim.key.name);
            pool_of(&running.user_data) == pool && self.api.of_uid(&running.claim).is_some_and(|claim| !is_late(claim))
        };
        let mut used = Resources::new();
        for (_, running) in self.cloud.running().filter(|(_, running)| counts(running)) {
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
        let now = self.now;
        let alone: BTreeMap<Arc<str>, Timestamp> = self
            .cloud
            .running()
            .filter(|(_, running)| self.api.of_uid(&running.claim).is_none())
            .map(|(id, _)| (id.clone(), self.invariants.leaked.get(id).copied().unwrap_or(now)))
            .collect();
        if let Some((id, since)) = alone.iter().find(|(_, since)| after(**since, COLLECTED) < now) {
            let text = format!("{id} has run without a claim since {since}");
            self.break_rule(LEAKED, text);
        }
        self.invariants.leaked = alone;
        let is_awaiting = |node: &str| self.awaits_others(node);
        let awaiting: Vec<Arc<str>> =
            self.invariants.reserved.keys().filter(|node| is_awaiting(node)).cloned().collect();
        for node in awaiting {
            if let Some(reserved) = self.invariants.reserved.get_mut(&node) {
                reserved.alone = now.min(after(reserved.since, LONGEST_AWAITING));
            }
        }
        let is_over = |of: &Reserved| after(of.alone, LONGEST_RESERVED) < now;
        let reserved = self.invariants.reserved.iter().find(|(_, of)| is_over(of));
        if let Some((node, Reserved { since, .. })) = reserved {
            let text = format!("{node} has been reserved since {since}");
            self.break_rule(RESERVED, text);
        }
    }
}

impl Simulation<'_> {
    /// Whether a node is to get pods of nodes that are still there.
    fn awaits_others(&self, node: &str) -> bool {
        let mut claims = self.api.all("NodeClaim").filter(|(_, claim)| text(claim, "/status/nodeName") == node);
        claims.any(|(_, claim)| {
            let written = claim["metadata"]["annotations"][labels::PLANNED_PODS].as_str();
            let plan = written.and_then(|text| ClaimPlan::from_annotation(text).ok()).unwrap_or_default();
            plan.replaces.iter().any(|from| self.api.get(&Subject::of_cluster("Node", from)).is_some())
        })
    }
}

pub(super) fn is_true(claim: &Value, kind: &str) -> bool {
    let conditions = claim["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|of| of["type"] == kind && of["status"] == "True"))
}

fn has_taint(node: &Value, key: &str) -> bool {
    node["spec"]["taints"].as_array().is_some_and(|taints| taints.iter().any(|taint| taint["key"] == key))
}

/// The NodePool that an object is labelled with.
fn pool_of(object: &Value) -> &str {
    object["metadata"]["labels"][labels::NODEPOOL].as_str().unwrap_or_default()
}
