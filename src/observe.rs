//! Kubernetes objects -> [`Snapshot`]: everything that one decision may know, and nothing else.

pub mod snapshot;

pub use snapshot::Snapshot;
