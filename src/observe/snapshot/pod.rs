//! Pods and daemonsets as scheduling sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::settings::{NodeInclusionPolicy, WhenUnsatisfiable};

use super::disruption::{EvictionCost, PodDisruption, is_default};
use super::{Labels, TaintEffect};
use crate::api::labels;
use crate::requirements::{Requirement, Requirements};
use crate::resources::Resources;

/// Namespace and name, unique in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodKey {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One pod. Pods of the same owner share one [`PodTemplate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    pub key: PodKey,
    pub uid: Arc<str>,
    pub created_at: Option<Timestamp>,
    pub template: Arc<PodTemplate>,
    pub owner: Option<OwnerRef>,
    /// The node it is bound to; `None` for a pending pod.
    pub node: Option<Arc<str>>,
    /// It has a deletion timestamp: its resources still count, topology no longer counts it, and it is not placed.
    pub terminating: bool,
    /// It is bound to a node marked for deletion and will need another: it is placed like a pending pod, and topology
    /// does not count it where it is (karpenter-core 2.1).
    pub displaced: bool,
    /// A virtual pod of a CapacityBuffer: it is placed like any other and never bound.
    pub buffer: bool,
    /// Why this pod is not for us to place, in one sentence (an invalid selector, a lost volume claim, a DRA claim ...);
    /// it is reported as unplaced with this reason.
    pub refused: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub disruption: PodDisruption,
}

impl Pod {
    /// Whether a plan must place it, or say why it cannot.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.displaced || (self.node.is_none() && !self.terminating)
    }

    /// Whether a DaemonSet made it.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| &*owner.kind == "DaemonSet")
    }

    /// Whether its node runs it by itself: the API server only shows it.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.template.annotations.contains_key(labels::MIRROR_POD)
            || self.owner.as_ref().is_some_and(|owner| &*owner.kind == "Node")
    }

    /// Whether it needs another node when its own goes: it belongs to none, and is active, or a StatefulSet's on its way out,
    /// which comes back (karpenter-core 2.1).
    #[must_use]
    pub fn is_reschedulable(&self) -> bool {
        let comes_back = || self.owner.as_ref().is_some_and(|owner| &*owner.kind == "StatefulSet");
        !self.is_daemon() && !self.is_mirror() && (!self.terminating || comes_back())
    }

    #[must_use]
    pub fn eviction_cost(&self) -> EvictionCost {
        EvictionCost::of(self.template.spec.priority, self.disruption.deletion_cost)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OwnerRef {
    pub kind: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
}

/// What identical pods share: labels and everything that decides where they may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodTemplate {
    pub labels: Labels,
    pub annotations: Labels,
    pub spec: PodSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodSpec {
    /// Effective requests (init containers, sidecars, overhead, pod-level resources) with `pods: 1`.
    pub requests: Resources,
    pub priority: i32,
    pub priority_class: Option<Arc<str>>,
    pub tolerations: Vec<Toleration>,
    pub node_selector: Labels,
    /// Required node affinity: terms are ORed; empty means none was given.
    pub node_affinity: Vec<NodeAffinityTerm>,
    /// Preferred node affinity: (weight 1..=100, term), in the order of the manifest.
    pub preferred_node_affinity: Vec<(i32, NodeAffinityTerm)>,
    pub pod_affinity: Vec<PodAffinityTerm>,
    pub pod_anti_affinity: Vec<PodAffinityTerm>,
    pub preferred_pod_affinity: Vec<(i32, PodAffinityTerm)>,
    pub preferred_pod_anti_affinity: Vec<(i32, PodAffinityTerm)>,
    pub topology_spread: Vec<TopologySpreadConstraint>,
    pub host_ports: Vec<HostPort>,
    pub volumes: Vec<Volume>,
}

/// The label expressions of one node selector term, ANDed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeAffinityTerm(pub Requirements);

/// Namespaces, selector and topology key of one (anti-)affinity term. `matchLabelKeys` and `mismatchLabelKeys` are
/// already part of the selector.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodAffinityTerm {
    pub topology_key: Arc<str>,
    pub selector: LabelSelector,
    /// The namespaces by name, the pod's own where the term gives neither list nor selector.
    pub namespaces: Vec<Arc<str>>,
    /// Selects further namespaces by their labels; `None` selects none, an empty selector all.
    pub namespace_selector: Option<LabelSelector>,
}

/// A label selector: all requirements hold. `Nothing` is the nil selector of Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LabelSelector {
    #[default]
    Nothing,
    /// Empty: matches everything. Sorted by key.
    Matching(Vec<SelectorRequirement>),
}

/// One key of a selector; `In`, `NotIn`, `Exists`, `DoesNotExist` only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SelectorRequirement {
    pub key: Arc<str>,
    pub requirement: Requirement,
}

impl LabelSelector {
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::Nothing => false,
            Self::Matching(requirements) => requirements.iter().all(|r| match labels.get(&r.key) {
                Some(value) => r.requirement.allows(value),
                None => r.requirement.allows_absence(),
            }),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopologySpreadConstraint {
    pub topology_key: Arc<str>,
    /// At least 1.
    pub max_skew: u32,
    pub min_domains: Option<u32>,
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// With `matchLabelKeys` merged in.
    pub selector: LabelSelector,
    pub node_affinity_policy: NodeInclusionPolicy,
    pub node_taints_policy: NodeInclusionPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Toleration {
    /// Empty with `Exists`: every key.
    pub key: Arc<str>,
    pub operator: TolerationOperator,
    pub value: Arc<str>,
    /// `None`: every effect.
    pub effect: Option<TaintEffect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TolerationOperator {
    Equal,
    Exists,
    /// The taint's value is an integer below ours (Kubernetes 1.35).
    Lt,
    /// The taint's value is an integer above ours.
    Gt,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// `0.0.0.0` where none was given: conflicts with every address.
    pub ip: Arc<str>,
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

/// One persistent volume of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Volume {
    /// `namespace/claim`, to count a volume once that several pods of a node share.
    pub claim: Arc<str>,
    /// The CSI driver that attaches it, if one does.
    pub driver: Option<Arc<str>>,
    /// Where it can be used: node selector terms, ORed (of the bound volume, or of the StorageClass's allowed
    /// topologies); empty means anywhere.
    pub topology: Vec<NodeAffinityTerm>,
    /// `ReadWriteOncePod`: at most one pod of the cluster may use it.
    pub single_pod: bool,
    /// Not bound yet, by a driver whose volumes are in one zone: it comes to be where its first user goes.
    #[serde(default)]
    pub follows_first_user: bool,
}

/// A DaemonSet: its pods run on every node that they fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonSet {
    pub key: PodKey,
    pub uid: Arc<str>,
    /// Of a live pod where there is one, else of the template with LimitRange defaults and limits as requests.
    pub template: Arc<PodTemplate>,
}

/// Driver name -> how many volumes a node can attach.
pub type AttachLimits = BTreeMap<Arc<str>, u32>;
