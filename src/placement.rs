//! Following the plan: pods bind where they are planned, although kube-scheduler decides.
//!
//! ```text
//! nodes, pods, daemonsets, claims --read--> Observed --step(mode, limits, now)--> patches, and when to look again
//! ```
//! [`step()`] decides without I/O and remembers nothing: what matters between two calls stands in the cluster, as taint,
//! cordon, annotations and tolerations, so that any process may make the next step. `docs/placement.md` has the protocol
//! with what it was measured to do.

pub mod mode;
pub mod planned;
pub mod observed;
pub mod reservation;
pub mod action;
pub mod step;
pub mod release;
pub mod landed;
pub mod signature;
mod awaited;
mod inheritance;
mod memory;
mod daemons;
mod patch;
mod read;
mod tolerations;

pub use action::{Action, ObjectPatch, Subject, What};
pub use awaited::{Successors, successors};
pub use inheritance::Inheritance;
pub use landed::{Landed, landed};
pub use memory::Memory;
pub use mode::{Limits, Mode};
pub use observed::Observed;
pub use planned::{ClaimPlan, ExpectedPods, PlannedPod};
pub use read::{Objects, Refusals, is_initialized, read};
pub use release::release;
pub use reservation::Reservation;
pub use step::{Loss, LossReason, Step, step};

#[cfg(test)]
mod tests;
