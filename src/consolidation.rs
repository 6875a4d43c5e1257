//! Snapshot -> commands: which nodes go, what comes for them, and where their pods go, one command after another.
//!
//! ```text
//! nodes that may go --ideas--> a set of them --trial--> host: a checked plan for their pods --cut--> commands --release--> kept
//!                      ^------------------------ the cluster after them ---------------------------------------------------'
//! ```
//! A set of nodes is taken out of the Snapshot, and its pods are planned as pending ones are: by the same integer program, under
//! the same rules, checked by the same checker. So m nodes may become n, in any pools, zones and capacity types.
//!
//! | file | what |
//! |---|---|
//! | `policy` | what a saving has to be worth |
//! | `policies` | and what each NodePool asks for |
//! | `without` | the cluster while nodes go, after a command, and once waiting pods have found their nodes |
//! | `near` | the part of the cluster that pods can move to |
//! | `floor` | what they cost elsewhere at least, by counting |
//! | `trial` | what the pods of a set of nodes cost elsewhere |
//! | `cut` | a trial as commands that need not wait for one another |
//! | `release` | which commands are worth it, and what the cloud may choose for them |
//! | `means` | what they come to at the mean prices of the last 24 hours |
//! | `least` | what no choice of nodes can come to less than |
//! | `choice` | which nodes to keep, as a small integer program over the whole cluster |
//! | `ideas` | which sets are tried, the most promising first |
//! | `rounds` | what each pod that moves has to win besides |
//! | `must` | what goes whatever it saves |
//! | `fuse` | commands that move the same pods are one |
//! | `most` | as many nodes as can go with nothing coming for them |
//! | `room` | what budgets leave |
//! | `valid` | whether commands may be carried out in the cluster as it is |
//! | `allowed` | commands of another cluster, as far as they may be carried out in this one |
//! | `effort` | how much may still be done |
//! | `search` | until nothing is found |
//! | `reference` | the next command that the reference would find |
//! | `apart` | the same in a process of its own |
//! | `why` | why a node is still there |
//! | `held` | what keeps the nodes that stay |
//! | `report` | as people and programs read it |

mod allowed;
pub mod apart;
mod choice;
mod cut;
mod effort;
mod floor;
mod fuse;
mod held;
mod ideas;
mod least;
mod means;
mod must;
mod most;
mod near;
mod policies;
mod policy;
mod release;
mod reference;
pub mod report;
mod room;
mod rounds;
mod search;
mod trial;
mod valid;
pub mod why;
mod without;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disruption::Method;
use crate::observe::snapshot::PodKey;
use crate::plan::Launch;
use crate::units::MicroUsd;

pub use allowed::after_allowed;
pub use least::Outlook;
pub use policy::{EvictionLimit, Policy};
pub use reference::consolidate_as_reference;
pub use search::{Budgets, Consolidation, Found, Manner, consolidate, consolidate_now, consolidate_with_outlook};
pub use valid::are_valid;
pub use without::{launched, settled, under_way};

/// Nodes that go at once, and what comes for them before they do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub method: Method,
    pub removed: Vec<Removed>,
    pub launches: Vec<Launch>,
    pub moves: Vec<Move>,
    /// Of an hour, if the cloud chooses the dearest that the launches allow: at the prices of now, or at the means of the last 24 hours
    /// where that is less.
    pub saved: MicroUsd,
    /// Evictions, and the boots of new nodes, once.
    pub once: MicroUsd,
}

/// A node that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub node: Arc<str>,
    /// Of an hour; one that is unknown counts as nothing, so that removing it saves nothing.
    pub price: Option<MicroUsd>,
}

/// A pod that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub pod: PodKey,
    pub from: Arc<str>,
    /// A node, or the name of a launch.
    pub to: Arc<str>,
}

impl Command {
    /// What the nodes that go cost, of an hour.
    #[must_use]
    pub fn price(&self) -> MicroUsd {
        self.removed.iter().map(|removed| removed.price.unwrap_or_default()).sum()
    }
}
