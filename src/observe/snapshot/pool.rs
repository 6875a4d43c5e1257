//! NodePools joined with their node class and instance types.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::Labels;
use crate::api::node_pool::Budget;
use crate::catalog::InstanceType;
use crate::requirements::Requirements;
use crate::resources::Resources;
use crate::units::MicroUsd;

/// A NodePool with what it can launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodePool {
    pub name: Arc<str>,
    pub uid: Arc<str>,
    /// 0 where unset.
    pub weight: i32,
    /// A static pool: keeps this many nodes and never receives planned ones.
    pub replicas: Option<i64>,
    /// Template labels with `karpenter.sh/nodepool` and the node class label.
    pub labels: Labels,
    pub annotations: Labels,
    pub taints: Vec<Taint>,
    pub startup_taints: Vec<Taint>,
    /// The template's requirements joined with its labels.
    pub requirements: Requirements,
    pub limits: Limits,
    pub node_class: NodeClassRef,
    /// Seconds; `None` is Never.
    pub expire_after_seconds: Option<u64>,
    pub termination_grace_period_seconds: Option<u64>,
    pub disruption: Disruption,
    /// Types that the node class and the cloud offer, overlays applied, before the pool's own requirements filter
    /// them; sorted by name.
    pub instance_types: Arc<Vec<InstanceType>>,
    /// Why it cannot be used now, in one sentence (not ready, being deleted, class missing, an invalid field).
    pub unusable: Option<Arc<str>>,
    /// What it sells of its types, once somebody has looked.
    #[serde(skip)]
    pub on_sale: OnSale,
}

/// Which types of a pool can be bought, and in which offerings, by index: found once, and known to all copies of the pool, of which a
/// search makes thousands. A copy with other types, requirements or labels does not use it.
#[derive(Clone, Default)]
pub struct OnSale(Arc<OnceLock<Known>>);

/// With what it was found for. The types are held, so that nobody changes them where they are.
struct Known {
    types: Arc<Vec<InstanceType>>,
    requirements: Requirements,
    labels: Labels,
    sold: Sold,
}

/// Types with their offerings, by index.
pub type Sold = Arc<Vec<(usize, Vec<usize>)>>;

impl NodePool {
    /// What `find` has found for this pool, or finds now.
    pub fn sold(&self, find: impl FnOnce() -> Vec<(usize, Vec<usize>)>) -> Sold {
        let is_same = |known: &Known| {
            Arc::ptr_eq(&known.types, &self.instance_types)
                && known.requirements == self.requirements
                && known.labels == self.labels
        };
        if let Some(known) = self.on_sale.0.get() {
            return if is_same(known) { known.sold.clone() } else { Arc::new(find()) };
        }
        let sold: Sold = Arc::new(find());
        let (types, requirements, labels) =
            (self.instance_types.clone(), self.requirements.clone(), self.labels.clone());
        drop(self.on_sale.0.set(Known { types, requirements, labels, sold: sold.clone() })); // another one was faster
        sold
    }
}

/// It says nothing that the pool does not.
impl PartialEq for OnSale {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for OnSale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "known" } else { "unknown" })
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Limits by resource, without `nodes` and the spend cap.
    pub resources: Resources,
    pub nodes: Option<i64>,
    /// `packwright.dev/usd-per-hour`, in micro-dollars.
    pub usd_per_hour: Option<MicroUsd>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeClassRef {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    pub name: Arc<str>,
}

/// The annotation `packwright.dev/consolidation` of a NodePool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsolidationRule {
    /// As much as is saved has to be worth the trouble.
    Frugal,
    /// Three times that, and one by one.
    Calm,
    /// The reference's score of what is saved beside what is disturbed.
    Balanced,
    /// Every saving.
    Any,
    /// Nothing goes because something else is cheaper.
    Off,
}

impl ConsolidationRule {
    /// Every rule and how it is written.
    pub const ALL: [(&'static str, Self); 5] = [
        ("frugal", Self::Frugal),
        ("calm", Self::Calm),
        ("balanced", Self::Balanced),
        ("any", Self::Any),
        ("off", Self::Off),
    ];
}

/// When and how nodes may be removed; durations in seconds, `None` is Never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disruption {
    pub consolidate_after_seconds: Option<u64>,
    /// `WhenEmpty`, `WhenEmptyOrUnderutilized` or `Balanced`.
    pub consolidation_policy: Arc<str>,
    /// What a saving has to be worth, where the pool says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consolidation: Option<ConsolidationRule>,
    /// How many nodes at once; none: as many as one likes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    pub key: Arc<str>,
    pub value: Arc<str>,
    pub effect: TaintEffect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}
