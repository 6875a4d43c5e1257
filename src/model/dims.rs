//! Resources as dense vectors: the dimensions that pending pods request.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Group;
use crate::resources::{CPU, MEMORY, PODS, Resources};

/// Amounts by dimension, in the units of [`Resources`].
pub type Amounts = Box<[i64]>;

/// Whether there is room for what is wanted; a dimension of which nothing is wanted may be overdrawn.
#[must_use]
pub fn fits(wanted: &[i64], room: &[i64]) -> bool {
    wanted.iter().zip(room).all(|(want, room)| *want <= 0 || want <= room)
}

/// The names of the dimensions: cpu, memory, pods, then every other requested resource by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dims(Vec<Arc<str>>);

impl Dims {
    pub const CPU: usize = 0;
    pub const MEMORY: usize = 1;
    pub const PODS: usize = 2;

    #[must_use]
    pub fn of(groups: &[Group]) -> Self {
        let base = [CPU, MEMORY, PODS];
        let others: BTreeSet<Arc<str>> = groups
            .iter()
            .flat_map(|group| group.spec().requests.iter())
            .filter(|(name, amount)| *amount > 0 && !base.contains(&name.as_ref()))
            .map(|(name, _)| name.clone())
            .collect();
        Self(base.into_iter().map(Arc::from).chain(others).collect())
    }

    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        &self.0
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn amounts(&self, resources: &Resources) -> Amounts {
        self.0.iter().map(|name| resources.get(name)).collect()
    }

    /// What is left of `all` once `taken` is gone; overdrawn where that is more.
    #[must_use]
    pub fn left(&self, all: &Resources, taken: &Resources) -> Amounts {
        self.0.iter().map(|name| all.get(name).saturating_sub(taken.get(name))).collect()
    }

    #[must_use]
    pub fn zero(&self) -> Amounts {
        vec![0; self.len()].into_boxed_slice()
    }
}
