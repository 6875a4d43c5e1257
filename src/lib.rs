//! Packwright: a Kubernetes node provisioner that plans.
//!
//! ```text
//! Cluster + Cloud --observe--> Snapshot --model--> Problem --solve--> Solution --plan--> Plan --check--> Plan<Checked>
//!                   async I/O             pure         pure, bounded CPU      pure             pure
//! ```
//! Each stage is a module, owns the type it produces, and imports only the modules above it in this list.

pub mod units;
mod random;
pub mod resources;
pub mod api;
pub mod requirements;
pub mod settings;
pub mod catalog;
pub mod observe;
pub mod disruption;
pub mod model;
pub mod solve;
pub mod scheduler;
pub mod plan;
pub mod verify;
pub mod host;
pub mod consolidation;
pub mod explain;
pub mod what_if;
pub mod doctor;
pub mod placement;
pub mod cloud;
pub mod controller;
#[cfg(feature = "live")]
pub mod aws;
#[cfg(feature = "live")]
pub mod cluster;
pub mod sim;
pub mod page;
pub mod bench;
pub mod cli;
