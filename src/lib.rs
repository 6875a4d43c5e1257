//! Packwright: a Kubernetes node provisioner that plans.

pub mod api;
pub mod catalog;
pub mod cli;
pub mod observe;
pub mod plan;
pub mod requirements;
pub mod resources;
pub mod settings;
pub mod units;
