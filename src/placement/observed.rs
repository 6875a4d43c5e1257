//! What a step may know: nodes, the pods that some claim waits for, and the plans of the claims.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::inheritance::Inheritance;
use super::planned::ClaimPlan;
use super::reservation::Reservation;
use crate::observe::snapshot::PodKey;
use crate::resources::Resources;

/// One moment of the cluster, as far as following the plan needs it.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Sorted by name.
    pub nodes: Vec<NodeState>,
    /// Those that have a plan, be it an empty one, by name.
    pub claims: BTreeMap<Arc<str>, ClaimState>,
    /// Pods that claims plan or expect, by uid.
    pub pods: BTreeMap<Arc<str>, Arc<PodState>>,
}

/// What an update of an object names, so that it is refused when somebody else was faster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The object, and not a later one of its name.
    pub uid: Arc<str>,
    /// Its state that was read.
    pub resource: Arc<str>,
}

/// A node.
#[derive(Debug, Clone)]
pub struct NodeState {
    /// Its name.
    pub name: Arc<str>,
    /// For updates.
    pub version: Version,
    /// The claim that it was bought for, if its NodeClaim is there.
    pub claim: Option<Arc<str>>,
    /// What its claim hands on to it at its registration; `None` once it is registered, or where the claim is another provisioner's.
    pub inheritance: Option<Inheritance>,
    /// What we make of it.
    pub reservation: Reservation,
    /// All of them, as written.
    pub taints: Vec<Taint>,
    /// Cordoned, by whomever.
    pub unschedulable: bool,
    /// What keeps daemon pods without tolerations away for now: the node is not ready, or starts up.
    pub starting: Option<String>,
    /// Since when the kubelet says that it is ready.
    pub ready_since: Option<Timestamp>,
    /// Daemonsets whose pod is not bound here although it will be.
    pub lacking_daemons: Vec<String>,
    /// What the pods that are bound there leave of it.
    pub room: Resources,
    /// Extended resources that the plan counts on and the node does not have yet.
    pub lacking_resources: Vec<Arc<str>>,
}

/// A NodeClaim of ours.
#[derive(Debug, Clone, Default)]
pub struct ClaimState {
    /// Empty where it cannot be read.
    pub plan: Arc<ClaimPlan>,
    /// Nodes of `plan.replaces` that still are there.
    pub draining: BTreeSet<Arc<str>>,
    /// Its node has been initialized and open for a while: of its pods only those that are not bound are still looked at.
    pub is_settled: bool,
    /// Why the plan cannot be read.
    pub unreadable: Option<String>,
}

/// A pod that is neither terminal nor terminating.
#[derive(Debug, Clone)]
pub struct PodState {
    /// Namespace and name.
    pub key: PodKey,
    /// For updates.
    pub version: Version,
    /// Where it is bound.
    pub node: Option<Arc<str>>,
    /// All of them, as written.
    pub tolerations: Vec<Toleration>,
    /// What it takes of its node.
    pub requests: Resources,
    /// The node that kube-scheduler is told to prefer.
    pub nominated: Option<Arc<str>>,
    /// The uid of its controller, where a required spread or affinity makes what others of it do matter: it can bind only once those
    /// of lower turns have.
    pub in_turn_with: Option<Arc<str>>,
    /// Its controller's uid, and its signature where a claim expects pods of that controller.
    pub likeness: Option<(Arc<str>, Arc<str>)>,
    /// For the order among pods that are alike.
    pub created_at: Option<Timestamp>,
    /// Why it must not or cannot be changed.
    pub unchangeable: Option<Unchangeable>,
}

/// Why a pod gets no toleration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unchangeable {
    /// Its annotation or that of its namespace says so.
    OptedOut,
    /// The API server refused, and why.
    Refused(String),
    /// It has as many of our tolerations as a pod may get.
    Full,
}

impl fmt::Display for Unchangeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OptedOut => f.write_str("it opted out of being changed"),
            Self::Refused(reason) => write!(f, "the API server refused to change it: {reason}"),
            Self::Full => write!(f, "it has {} of our tolerations already", super::tolerations::MOST),
        }
    }
}
