//! What the limits of a pool leave, and what a node counts towards them.

use std::sync::Arc;

use super::PoolModel;
use crate::api::labels;

/// One limit of a pool, by its position in [`PoolModel::limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// As `spec.limits` writes it: a resource, `nodes`, or the spend cap.
    pub name: Arc<str>,
    /// What the nodes that exist leave, in the unit of the resource, nodes, or micro-dollars an hour; may be negative.
    pub left: i64,
}

impl PoolModel<'_> {
    /// All that it sells: (type, offering), by index.
    pub fn sold(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let kinds = self.types.iter().enumerate();
        kinds.flat_map(|(kind, of)| (0..of.offerings.len()).map(move |offering| (kind, offering)))
    }

    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let resources = self.remaining.resources.iter().map(|(name, left)| (name.clone(), *left));
        let nodes = self.remaining.nodes.map(|left| (Arc::from(labels::LIMIT_NODES), left));
        let spend = self.remaining.usd_per_hour.map(|left| (Arc::from(labels::LIMIT_USD_PER_HOUR), left.0));
        resources.chain(nodes).chain(spend).map(|(name, left)| Limit { name, left }).collect()
    }

    /// What a node of the type bought through the offering counts towards each limit, by index.
    #[must_use]
    pub fn counted(&self, kind: usize, offering: usize) -> Vec<i64> {
        let of_type = &self.types[kind];
        let nodes = self.remaining.nodes.map(|_| 1);
        let spend = self.remaining.usd_per_hour.map(|_| of_type.counted_price(of_type.offerings[offering]).0);
        of_type.counts.iter().copied().chain(nodes).chain(spend).collect()
    }
}
