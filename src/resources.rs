//! Resource amounts by name: what a pod requests, what a node offers.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::quantity::{Quantity, QuantityError, display_bytes, display_milli};

pub const CPU: &str = "cpu";
pub const MEMORY: &str = "memory";
pub const PODS: &str = "pods";
pub const EPHEMERAL_STORAGE: &str = "ephemeral-storage";
pub const NVIDIA_GPU: &str = "nvidia.com/gpu";

/// Integer amounts: cpu in millicores, memory, storage and hugepages in bytes, everything else in whole units.
///
/// A resource that is absent counts as zero, for requests and for capacity alike (karpenter-core 2.2: a resource absent
/// from a node's allocatable does not fit any request of it).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(BTreeMap<Arc<str>, i64>);

/// The largest amount: what is written as more counts as this.
pub const MOST: i64 = i64::MAX;

impl Resources {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one quantity in the unit of its resource: millicores for cpu, whole units rounded up for the rest; what is beyond
    /// 64 bits in that unit counts as [`MOST`].
    ///
    /// # Errors
    /// The text is not a quantity.
    pub fn parse_amount(name: &str, text: &str) -> Result<i64, QuantityError> {
        let quantity: Quantity = text.parse()?;
        Ok(if name == CPU { quantity.milli_value() } else { quantity.value() })
    }

    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn set(&mut self, name: impl Into<Arc<str>>, amount: i64) {
        self.0.insert(name.into(), amount);
    }

    #[must_use]
    pub fn with(mut self, name: impl Into<Arc<str>>, amount: i64) -> Self {
        self.set(name, amount);
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i64)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `other`, saturating.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let entry = self.0.entry(name.clone()).or_insert(0);
            *entry = entry.saturating_add(amount);
        }
    }

    /// Adds `other` so many times, saturating.
    pub fn add_times(&mut self, other: &Self, times: usize) {
        let times = i64::try_from(times).unwrap_or(i64::MAX);
        for (name, amount) in other.iter() {
            let entry = self.0.entry(name.clone()).or_insert(0);
            *entry = entry.saturating_add(amount.saturating_mul(times));
        }
    }

    /// Subtracts `other`, saturating; may go below zero.
    pub fn subtract(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let entry = self.0.entry(name.clone()).or_insert(0);
            *entry = entry.saturating_sub(amount);
        }
    }

    /// Element-wise maximum.
    pub fn raise_to(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let entry = self.0.entry(name.clone()).or_insert(amount);
            *entry = (*entry).max(amount);
        }
    }

    /// Whether every requested amount above zero is available.
    #[must_use]
    pub fn fits(&self, available: &Self) -> bool {
        self.first_excess(available).is_none()
    }

    /// The first resource, by name, whose request exceeds what is available: (name, requested, available).
    #[must_use]
    pub fn first_excess(&self, available: &Self) -> Option<(&str, i64, i64)> {
        self.iter()
            .map(|(name, requested)| (name.as_ref(), requested, available.get(name)))
            .find(|(_, requested, available)| *requested > 0 && requested > available)
    }
}

/// An amount in the notation of manifests: cpu in cores or millicores, bytes with binary suffixes, counts plain.
#[must_use]
pub fn display_amount(name: &str, amount: i64) -> String {
    match name {
        CPU => display_milli(amount),
        MEMORY | EPHEMERAL_STORAGE => display_bytes(amount),
        _ if name.starts_with("hugepages-") => display_bytes(amount),
        _ => amount.to_string(),
    }
}

/// As the API writes a resource list.
#[must_use]
pub fn quantities(resources: &Resources) -> BTreeMap<&str, String> {
    resources.iter().map(|(name, amount)| (name.as_ref(), display_amount(name, amount))).collect()
}

impl<N: Into<Arc<str>>> FromIterator<(N, i64)> for Resources {
    fn from_iter<I: IntoIterator<Item = (N, i64)>>(amounts: I) -> Self {
        Self(amounts.into_iter().map(|(name, amount)| (name.into(), amount)).collect())
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = (&'a Arc<str>, &'a i64);
    type IntoIter = btree_map::Iter<'a, Arc<str>, i64>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, amount)) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {}", display_amount(name, amount))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_resource_is_zero() {
        let node = Resources::new().with(CPU, 1_000);
        assert!(Resources::new().with(CPU, 1_000).with(NVIDIA_GPU, 0).fits(&node));
        let gpu = Resources::new().with(NVIDIA_GPU, 1);
        assert_eq!(gpu.first_excess(&node), Some((NVIDIA_GPU, 1, 0)));
    }

    #[test]
    fn amounts_read_and_show_in_their_units() {
        assert_eq!(Resources::parse_amount(CPU, "1.5").unwrap(), 1_500);
        assert_eq!(Resources::parse_amount(MEMORY, "1.5Gi").unwrap(), 3 << 29);
        let shown = Resources::new().with(CPU, 1_500).with(MEMORY, 3 << 29).to_string();
        assert_eq!(shown, "cpu 1500m, memory 1536Mi");
    }
}
