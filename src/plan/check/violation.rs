//! What the checker found: which rule, whom it concerns, and one sentence.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::observe::snapshot::PodKey;

/// The rules as one list, so that none can be left out of [`Rule::ALL`].
macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// The rules of the checker; each is named in kebab-case in reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Rule {
            $($(#[$meta])* $name,)+
        }

        impl Rule {
            /// In the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

rules! {
    // ---- accounting
    /// Every pending pod is in exactly one of assignments and unplaced; no other pod appears.
    PodAccounting,
    /// A pod that is not ours to place is not placed.
    RefusedPod,
    /// A target exists and takes pods.
    Target,
    // ---- one pod on one node
    Resources,
    Taints,
    NodeAffinity,
    HostPorts,
    VolumeTopology,
    VolumeLimits,
    ReadWriteOncePod,
    PodAffinity,
    PodAntiAffinity,
    TopologySpread,
    /// A hard spread counts the domains that pools could still open, as karpenter does.
    OpenableSpread,
    /// A topology key that matters to a launch's pods has one value, whatever is bought.
    OpenDomain,
    // ---- one launch
    PoolState,
    LaunchName,
    LaunchLabels,
    LaunchTaints,
    LaunchRequirements,
    LaunchRequests,
    EmptyLaunch,
    /// The offer is one that the pool's catalogue has, once.
    UnknownOffer,
    UnavailableOffer,
    Price,
    PoolRequirements,
    TooManyTypes,
    PriceFlexibility,
    MinValues,
    // ---- the plan as a whole
    Reservation,
    Limits,
    NodeLimit,
    SpendCap,
    PoolWeight,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub rule: Rule,
    pub pod: Option<PodKey>,
    /// Name of the launch or of the existing node.
    pub node: Option<Arc<str>>,
    pub pool: Option<Arc<str>>,
    pub sentence: String,
}

impl Violation {
    /// Of one plan no more than this are told.
    pub const MOST: usize = 100;

    pub(super) fn new(rule: Rule, sentence: String) -> Self {
        Self { rule, pod: None, node: None, pool: None, sentence }
    }

    pub(super) fn pod(mut self, pod: &PodKey) -> Self {
        self.pod = Some(pod.clone());
        self
    }

    pub(super) fn node(mut self, node: &Arc<str>) -> Self {
        self.node = Some(node.clone());
        self
    }

    pub(super) fn pool(mut self, pool: &Arc<str>) -> Self {
        self.pool = Some(pool.clone());
        self
    }
}

/// The violations found so far, at most [`Violation::MOST`]: a plan broken everywhere needs no longer list.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Violation>);

impl Report {
    pub(super) fn push(&mut self, violation: Violation) {
        if self.0.len() < Violation::MOST {
            self.0.push(violation);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.0
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(c.to_ascii_lowercase());
        }
        f.pad(&name)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.rule)?;
        for (kind, name) in [
            ("pod", self.pod.as_ref().map(ToString::to_string)),
            ("node", self.node.as_ref().map(ToString::to_string)),
            ("pool", self.pool.as_ref().map(ToString::to_string)),
        ] {
            if let Some(name) = name {
                write!(f, "{kind} {name}: ")?;
            }
        }
        f.write_str(&self.sentence)
    }
}
