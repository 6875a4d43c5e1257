//! Which nodes may be taken away, why not, and what that costs: what the Snapshot says, before anything is optimised.
//!
//! ```text
//! Snapshot, now, method --candidates--> Standing of each managed node: a Candidate, or every Hold
//!                       --allowance---> how many nodes of a pool may go for a reason
//!           evictions   --fit---------> whether PodDisruptionBudgets have room for them
//! ```
//! Source: the reference's `disruption` controllers (karpenter-core 4.2 to 4.4, 4.7).

pub mod budget;
mod cost;
mod headroom;
mod hold;
mod standing;
#[cfg(test)]
pub(crate) mod tests;

pub use budget::{Allowance, allowance};
pub use cost::{RescheduleCost, by_savings, eviction_price};
pub use headroom::Evictions;
pub use hold::Hold;
pub use standing::{Candidate, Standing, candidates, if_free};

use serde::{Deserialize, Serialize};

use crate::api::node_pool::DisruptionReason;

/// The ways in which nodes are taken away with budgets; each has candidates of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Nodes that nobody would miss.
    Empty,
    /// Nodes that are not what their pool asks for any more.
    Drifted,
    /// Nodes whose pods fit elsewhere, or for less.
    Underutilized,
}

impl Method {
    /// As metrics call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Drifted => "drifted",
            Self::Underutilized => "underutilized",
        }
    }

    /// As conditions and events call the reason.
    #[must_use]
    pub fn label_of_reason(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Drifted => "Drifted",
            Self::Underutilized => "Underutilized",
        }
    }

    /// Whose budgets hold.
    #[must_use]
    pub fn reason(self) -> DisruptionReason {
        match self {
            Self::Empty => DisruptionReason::Empty,
            Self::Drifted => DisruptionReason::Drifted,
            Self::Underutilized => DisruptionReason::Underutilized,
        }
    }
}
