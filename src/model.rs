//! Snapshot -> [`Problem`]: pods as groups, pools as types and offerings, rules as rows that a solver can read.

mod daemons;
mod dims;
mod domains;
mod groups;
mod identity;
mod limits;
mod node_filter;
mod nodes;
mod places;
mod pools;
pub mod rules;
mod topology;

pub use dims::{Amounts, Dims, fits};
pub use domains::{DomainId, KeyId, Keys};
pub use groups::{Group, ports_conflict};
pub use limits::Limit;
pub use nodes::NodeModel;
pub use pools::{Brought, BroughtCount, OfferingIndex, PoolModel, RemainingLimits, TypeModel, types_on_sale};
pub use rules::{SoftTaints, admits};
pub use topology::{
    NodeFilter, Placement, Source, Topology, TopologyId, TopologyKind, affinity_alternatives, domain_of_node,
    volume_alternatives,
};

use crate::observe::Snapshot;

/// Everything a solver needs, by index; all orders are written rules, so equal Snapshots give equal Problems.
#[derive(Debug)]
pub struct Problem<'a> {
    pub snapshot: &'a Snapshot,
    pub dims: Dims,
    pub keys: Keys,
    /// Identical pods; sorted by the first pod of each in Snapshot order.
    pub groups: Vec<Group<'a>>,
    /// Usable dynamic pools, heaviest first, then by name descending (karpenter-core 2.5).
    pub pools: Vec<PoolModel<'a>>,
    /// Nodes that take pods: initialized first, then by name (karpenter-core 2.5).
    pub nodes: Vec<NodeModel<'a>>,
    pub topologies: Vec<Topology>,
}

impl<'a> Problem<'a> {
    /// Formulates the decision of a Snapshot.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let grouping = groups::group(snapshot);
        let dims = Dims::of(&grouping);
        let mut pools = pools::build(snapshot, &dims);
        let nodes = nodes::build(snapshot, &dims);
        let keys = Keys::of(snapshot, &pools);
        let mut groups = grouping;
        for group in &mut groups {
            group.amounts = dims.amounts(&group.spec().requests);
        }
        let topologies = topology::build(snapshot, &keys, &mut pools, &nodes, &mut groups);
        Self { snapshot, dims, keys, groups, pools, nodes, topologies }
    }
}
