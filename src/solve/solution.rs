//! What a solver answers, in terms of the Problem.

use std::collections::BTreeSet;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use crate::requirements::Requirements;

/// Nodes to open and where each pod goes.
#[derive(Debug, Clone, Default)]
pub struct Solution {
    pub new_nodes: Vec<NewNode>,
    /// (index into `Snapshot::pods`, place), in an order in which the pods can be bound.
    pub placements: Vec<(usize, Place)>,
    /// Indices into `Snapshot::pods`, ascending.
    pub unplaced: Vec<usize>,
    /// Of a packing that was carried out: pods that are not where it had put them.
    pub packed_after: usize,
    /// The search was stopped: some of the unplaced pods have not been tried.
    pub stopped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Index into `Problem::nodes`.
    Existing(usize),
    /// Index into `Solution::new_nodes`.
    New(usize),
}

/// A node to launch: every type in `types` holds its pods, in every offering that `requirements` allow.
#[derive(Debug, Clone)]
pub struct NewNode {
    /// Index into `Problem::pools`.
    pub pool: usize,
    /// The pool's requirements narrowed by the node's pods and by the domains that were fixed.
    pub requirements: Arc<Requirements>,
    /// Over the pool's types.
    pub types: FixedBitSet,
    /// Capacity reservations that are kept for it, by id.
    pub reservations: BTreeSet<Arc<str>>,
    /// The most that it may cost an hour under the pool's spend cap, in micro-dollars; `None` without a cap.
    pub spend_limit: Option<crate::units::MicroUsd>,
}
