//! What is to be dealt with before Packwright is installed in a cluster, and what to do about it. Nothing is changed.
//!
//! | file | what is looked at |
//! |---|---|
//! | `server` | versions, kinds and whose they are, rights, who provisions, the queue of interruptions |
//! | `pools` | NodePools, node classes and NodeClaims |
//! | `pods` | disruption budgets, pods that stay, requests, daemonsets |
//! | `back` | what Karpenter would ignore or not do after moving back |

mod back;
mod pods;
mod pools;
pub mod server;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::observe::{InputError, Objects, Snapshot, UNKNOWN_KIND, notes_of_pools};
use server::Server;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It does not work like this.
    Error,
    /// It works, and somebody will be surprised.
    Warning,
    /// To know.
    Note,
    /// Looked at, and well.
    Ok,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    pub level: Level,
    /// Which check.
    pub check: &'static str,
    /// `NodePool general`; empty where it is about the cluster.
    pub object: String,
    pub says: String,
    /// What helps; empty where nothing has to be done.
    pub remedy: String,
}

/// The cluster as it is.
pub struct Cluster<'c> {
    pub objects: &'c Objects,
    pub snapshot: &'c Snapshot,
    /// What of the input could not be used.
    pub errors: &'c [InputError],
    /// What plans note of it.
    pub notes: &'c [String],
    /// Where it is a live one.
    pub server: Option<&'c Server>,
}

/// Findings of one check.
struct Check<'f> {
    name: &'static str,
    findings: &'f mut Vec<Finding>,
    found: usize,
}

impl Check<'_> {
    fn find(&mut self, level: Level, object: impl Into<String>, says: impl Into<String>, remedy: impl Into<String>) {
        let (object, says, remedy) = (object.into(), says.into(), remedy.into());
        self.findings.push(Finding { level, check: self.name, object, says, remedy });
        self.found += 1;
    }

    /// Said where nothing has been found.
    fn or_well(self, says: impl Into<String>) {
        if self.found == 0 {
            let (object, remedy) = (String::new(), String::new());
            self.findings.push(Finding { level: Level::Ok, check: self.name, object, says: says.into(), remedy });
        }
    }
}

/// Looks at everything; the worst first.
#[must_use]
pub fn examine(cluster: &Cluster) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut check = |name: &'static str, of: &dyn Fn(&Cluster, Check)| {
        of(cluster, Check { name, findings: &mut findings, found: 0 });
    };
    check("input", &input);
    check("versions", &server::versions);
    if cluster.server.is_some() {
        check("kinds", &server::kinds);
        check("rights", &server::rights);
        check("provisioner", &server::provisioner);
    }
    check("queue", &server::queue);
    check("nodepools", &pools::usable);
    check("nodeclaims", &pools::claims);
    check("limits", &pools::limits);
    check("pool-budgets", &pools::budgets);
    check("selection", &pools::selection);
    check("budgets", &pods::budgets);
    check("do-not-disrupt", &pods::do_not_disrupt);
    check("requests", &pods::requests);
    check("daemonsets", &pods::daemon_sets);
    check("moving-back", &back::back);
    findings.sort_by_key(|of| of.level); // stable
    findings
}

fn input(cluster: &Cluster, mut check: Check) {
    // which kinds a live cluster has is looked at by itself
    let is_of_kind = |error: &InputError| cluster.server.is_some() && error.message.contains(UNKNOWN_KIND);
    for error in cluster.errors.iter().filter(|error| !is_of_kind(error)) {
        let says = error.to_string();
        let is_used = says.contains("until then"); // it says itself what becomes of the object
        let remedy = if is_used { "put it right" } else { "put it right: until then plans do without it" };
        check.find(Level::Error, "", says, remedy);
    }
    // what the other checks say
    let of_pools = notes_of_pools(&cluster.snapshot.node_pools);
    let is_said = |assumption: &String| {
        let mut missing = pools::missing_classes(cluster);
        missing.any(|class| assumption.starts_with(&format!("{class} is not in the input")))
    };
    for note in cluster.notes.iter().filter(|note| !of_pools.contains(note)) {
        check.find(Level::Note, "", note, "");
    }
    for assumption in cluster.snapshot.assumptions.iter().filter(|assumption| !is_said(assumption)) {
        check.find(Level::Note, "", format!("assumed: {assumption}"), "");
    }
    check.or_well("every object that plans look at can be read");
}

/// Equal things once, with their number: `Deployment shop/web (12 pods)`.
fn joined(names: impl Iterator<Item = String>, noun: &str) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().map(|(name, count)| format!("{name} ({})", counted(count, noun))).collect()
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The first few, and how many there are beyond.
fn some(names: &[String]) -> String {
    const MOST: usize = 5;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}
