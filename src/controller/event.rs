//! What comes in.

use std::fmt;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::cloud::{Answer, InterruptionKind};
use crate::consolidation::Found;
use crate::host::Decision;
use crate::observe::RawObject;
use crate::observe::objects::ObjectKey;

/// An object of the API server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// One of [`crate::observe::objects::KINDS`].
    pub kind: &'static str,
    /// Namespace, empty for objects of the cluster, and name.
    pub key: ObjectKey,
}

impl Subject {
    /// An object of the cluster.
    #[must_use]
    pub fn of_cluster(kind: &'static str, name: &str) -> Self {
        Self { kind, key: ObjectKey { namespace: Arc::from(""), name: Arc::from(name) } }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.namespace.is_empty() {
            return write!(f, "{} {}", self.kind, self.key.name);
        }
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// Something that is now known.
#[derive(Debug)]
pub enum Event {
    /// An object is there, in this state.
    Seen {
        /// Its kind.
        kind: &'static str,
        /// As the API server wrote it.
        object: RawObject,
    },
    /// An object is not there any more.
    Gone {
        /// Its kind.
        kind: &'static str,
        /// Its name, which another one may have by now.
        key: ObjectKey,
        /// The one that is gone.
        uid: Arc<str>,
    },
    /// All objects of a kind, and no others, are there.
    Listed {
        /// Which kind.
        kind: &'static str,
        /// All of them.
        objects: Vec<RawObject>,
    },
    /// What became of a write.
    Written {
        /// Of which object.
        subject: Subject,
        /// What the API server said.
        outcome: Outcome,
    },
    /// The pods that are bound to a node.
    Looked {
        /// Its name.
        node: Arc<str>,
        /// As the API server lists them now, or why it does not.
        pods: Result<Vec<RawObject>, String>,
    },
    /// What a cloud says to a request.
    Cloud(Answer),
    /// The cloud is about to take an instance away; it is told again until [`super::Controller::is_handled`].
    Interrupted {
        /// Which.
        provider_id: Arc<str>,
        /// What happens to it.
        kind: InterruptionKind,
    },
    /// What can be bought, and for how much, has changed.
    Catalog(Box<Catalog>),
    /// A decision that was asked for.
    Decided {
        /// The number of the question.
        question: u64,
        /// The answer; `None`: deciding has broken down.
        decision: Option<Box<Decision>>,
    },
    /// Nodes that may go, where that was asked.
    Consolidated {
        /// The number of the question.
        question: u64,
        /// What was found; `None`: the search has broken down.
        found: Option<Found>,
    },
}

/// What the API server made of a write.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is so; with the object as it is now, where there still is one.
    Done(Option<RawObject>),
    /// The object has changed since it was read, is gone, or is there already: a watch will say.
    Outdated,
    /// Not now: as an eviction that a disruption budget does not allow.
    Delayed(String),
    /// The API server does not take it, whenever it is sent.
    Refused(String),
    /// It may be taken later.
    Failed(String),
}
