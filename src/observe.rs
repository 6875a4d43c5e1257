//! Kubernetes objects -> [`Snapshot`]: everything that one decision may know, and nothing else.
//!
//! ```text
//! paths --read--> RawObject --objects--> Objects (typed, by kind) --build--> Snapshot + what went wrong
//! ```
//! Only `read` does I/O. A malformed object is one [`InputError`] that names file, object and field, and the rest goes on.

pub mod snapshot;
pub mod read;
pub mod pruned;
pub mod anonymous;
pub mod objects;
pub mod build;
pub mod input;
pub mod not_read;
mod admission;
mod beyond;
mod budgets;
mod closed;
mod pod;
mod requests;
mod selectors;
mod volumes;
mod cluster;
mod limit_ranges;
mod live_pods;
mod memory;
mod owners;
mod daemon_sets;
mod disruption;
mod nodes;
mod pools;
mod idle_limits;
mod launchable;
mod market;
mod gates;
mod spreading;
mod buffers;
mod single_pod;
mod not_expanded;
mod region;
mod runtime_classes;

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;

pub use budgets::{LetsGo, WhenAllRun, when_all_run};
pub use buffers::{BufferProblem, BufferState, buffer_states};
pub use build::{LoadOptions, LoadOutcome, Moment, build, build_observed};
pub use daemon_sets::daemon_rules;
pub use disruption::{
    Protection, belongs_to_node, eviction_cost, is_daemon_pod, is_do_not_disrupt, is_mirror_pod, is_protection,
    protection,
};
pub use gates::GatesByInput;
pub use idle_limits::idle_limits;
pub use input::{InputError, Origin};
pub use launchable::{OverlayState, is_launchable, notes_of_pools, serves, types_of_class, unmet_requirements};
pub use live_pods::{LeftOut, Unplanned};
pub use market::{Offered, market};
pub use memory::{Memo, Memory};
pub use nodes::{is_ephemeral_key, node_taints, requirements_of, taints};
pub use not_read::{NotRead, UNKNOWN_KIND};
pub use objects::Objects;
pub use pod::{COPIED_FROM_NODES, read_labels, tolerations};
pub use read::{RawObject, read_paths, read_text};
pub use region::region_of;
pub use requests::{amounts, node_allocatable, pod_requests};
pub use selectors::label_selector_of;
pub(crate) use single_pod::refuse_second_users;
pub use snapshot::Snapshot;

/// Whether a pod has run to its end, well or badly: it needs no node any more.
#[must_use]
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Reads files, directories and stdin (`-`) into a Snapshot; see [`read_paths`] and [`build()`].
#[must_use]
pub fn load(paths: &[PathBuf], options: LoadOptions) -> LoadOutcome {
    let (raw, unreadable) = read_paths(paths);
    of_read(raw, unreadable, options)
}

/// What was read as a Snapshot; `unreadable` joins what else is wrong.
#[must_use]
pub fn of_read(raw: Vec<RawObject>, mut unreadable: Vec<InputError>, options: LoadOptions) -> LoadOutcome {
    let mut outcome = build(Objects::collect(raw), options);
    outcome.errors.append(&mut unreadable);
    outcome.errors.sort();
    outcome
}
