//! What is to be done, as data: patches for the API server, in the order in which they are to be sent.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::observed::Version;

/// One change of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// For people.
    pub what: What,
    /// Within its phase, first the lower ones: of pods the round of their controller, and their turn.
    pub order: (usize, usize),
    /// For the API server.
    pub patch: ObjectPatch,
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A node, by name.
    Node(Arc<str>),
    /// A pod, by namespace and name.
    Pod(Arc<str>, Arc<str>),
    /// The status of a pod.
    PodStatus(Arc<str>, Arc<str>),
}

/// A JSON merge patch. It carries uid and `resourceVersion` of what was read, so that the API server refuses it (409) where
/// anybody has changed the object since: no change is lost, and the next step sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectPatch {
    /// Where it goes.
    pub subject: Subject,
    /// What was read.
    pub version: Version,
    /// The patch.
    pub body: Value,
}

/// What an action is for. The order is the one of sending: nodes are freed before anything else, pods are nominated before their
/// node opens, and let in when it has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Takes taint, cordon and annotations of ours off a node.
    Free {
        /// Which.
        node: Arc<str>,
        /// Why now.
        why: FreeReason,
    },
    /// Lets a pod on the node of a claim.
    Tolerate {
        /// Namespace and name.
        pod: String,
        /// The value of the toleration.
        value: String,
    },
    /// Tells kube-scheduler to prefer a node.
    Nominate {
        /// Namespace and name.
        pod: String,
        /// Which.
        node: Arc<str>,
    },
    /// Takes the taint off that a node was born with.
    Register {
        /// Which.
        node: Arc<str>,
        /// Whether it is cordoned in the same patch, for its planned pods.
        cordon: bool,
    },
    /// Notes that the nodes are gone whose pods a node waits for.
    NoteDrained {
        /// Which.
        node: Arc<str>,
    },
    /// Uncordons a node.
    Open {
        /// Which.
        node: Arc<str>,
        /// The value of the taint that is added in the same patch; `None` where no planned pod is left that could use it.
        taint: Option<String>,
    },
}

/// Why a node is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FreeReason {
    /// The claim is gone, or it has no plan.
    NoPlan,
    /// The mode reserves no nodes.
    Mode,
    /// Somebody took away cordon or taint: only annotations were left.
    Leftover,
    /// Every planned pod is bound or gone.
    Settled,
    /// The time is over.
    Late,
    /// Nobody can read since when it is cordoned.
    Unreadable,
    /// A person asked for it.
    Asked,
}

impl Action {
    /// The node that it frees.
    pub(super) fn freed_node(&self) -> Option<&Arc<str>> {
        match &self.what {
            What::Free { node, .. } => Some(node),
            _ => None,
        }
    }
}

impl What {
    /// When it is sent: first the lower ones, those of one number together.
    #[must_use]
    pub fn phase(&self) -> usize {
        match self {
            Self::Free { .. } => 0,
            Self::Nominate { .. } => 1,
            Self::Register { .. } | Self::NoteDrained { .. } | Self::Open { .. } => 2,
            Self::Tolerate { .. } => 3,
        }
    }
}

impl fmt::Display for FreeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPlan => "its claim has no plan",
            Self::Mode => "the mode reserves no nodes",
            Self::Leftover => "cordon or taint are gone",
            Self::Settled => "every planned pod is bound or gone",
            Self::Late => "the time is over",
            Self::Unreadable => "nobody can read since when it is cordoned",
            Self::Asked => "a person asked for it",
        })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free { node, why } => write!(f, "free node {node}: {why}"),
            Self::Tolerate { pod, value } => write!(f, "let pod {pod} on the node of {value}"),
            Self::Nominate { pod, node } => write!(f, "nominate node {node} for pod {pod}"),
            Self::Register { node, cordon: true } => write!(f, "register and cordon node {node}"),
            Self::Register { node, cordon: false } => write!(f, "register node {node}"),
            Self::NoteDrained { node } => write!(f, "node {node}: what it replaces is gone"),
            Self::Open { node, taint: Some(value) } => write!(f, "reserve node {node} for the pods of {value}"),
            Self::Open { node, taint: None } => write!(f, "uncordon node {node}"),
        }
    }
}
