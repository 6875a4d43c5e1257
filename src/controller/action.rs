//! What is to be done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::event::Subject;
use crate::cloud::Request;
use crate::consolidation::Policy;
use crate::host::Search;
use crate::observe::Snapshot;
use crate::solve::carried::Carried;

/// Something for the host to do. It answers each with one [`super::Event`].
#[derive(Debug)]
pub enum Action {
    /// For the API server: [`super::Event::Written`].
    Write(Write),
    /// For the cloud: [`super::Event::Cloud`].
    Cloud(Request),
    /// To list the pods of a node, as they are now: [`super::Event::Looked`].
    Look {
        /// Its name.
        node: Arc<str>,
    },
    /// To decide what to launch: [`super::Event::Decided`].
    Decide {
        /// Its number.
        question: u64,
        /// What is known.
        snapshot: Arc<Snapshot>,
        /// What the last decision left.
        carried: Arc<Carried>,
        /// By what.
        search: Search,
    },
    /// To look for nodes whose pods fit elsewhere, or for less: [`super::Event::Consolidated`].
    Consolidate {
        /// Its number.
        question: u64,
        /// What is known.
        snapshot: Arc<Snapshot>,
        /// What a saving has to be worth.
        policy: Policy,
    },
}

impl Action {
    /// The name of a NodeClaim that it creates.
    #[must_use]
    pub fn created_claim(&self) -> Option<Arc<str>> {
        match self {
            Self::Write(Write { subject, verb: Verb::Create(_) }) if subject.kind == "NodeClaim" => {
                Some(subject.key.name.clone())
            }
            _ => None,
        }
    }
}

/// One change of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Which.
    pub subject: Subject,
    /// What to do to it.
    pub verb: Verb,
}

/// How an object is changed. Patches are JSON merge patches with uid and `resourceVersion` of what was read, so that the API
/// server refuses them where anybody has changed the object since.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Makes it.
    Create(Value),
    /// Changes it.
    Patch(Value),
    /// Changes its status.
    PatchStatus(Value),
    /// Deletes it, if it still is this one.
    Delete {
        /// Which one.
        uid: Arc<str>,
        /// As it was read, where what is decided about it may change; `None`: it goes whatever has changed.
        version: Option<Arc<str>>,
        /// How long a pod may take to end; `None`: as it says itself.
        grace: Option<Duration>,
    },
    /// Evicts a pod, if it still is this one.
    Evict {
        /// Which one.
        uid: Arc<str>,
    },
}
