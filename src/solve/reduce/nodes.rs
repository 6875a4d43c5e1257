//! Which existing nodes may hold which pods.

use std::collections::HashMap;

use fixedbitset::FixedBitSet;

use super::Signature;
use super::demand::ties;
use crate::model::{Keys, NodeModel, Problem, SoftTaints, admits, domain_of_node};
use crate::requirements::Undefined;
use crate::solve::sets::{RequirementSets, SetId};

/// Which existing nodes meet requirements.
#[derive(Default)]
pub struct OnNodes(HashMap<SetId, FixedBitSet>);

impl OnNodes {
    /// Existing nodes that may hold pods of the group, if they have the room.
    pub fn of(
        &mut self,
        problem: &Problem,
        sets: &RequirementSets,
        group: usize,
        soft_taints: SoftTaints,
        signature: &Signature,
    ) -> Vec<usize> {
        let model = &problem.groups[group];
        if ties(problem, model).contains(&Keys::HOST) {
            return Vec::new();
        }
        let mut meets = FixedBitSet::with_capacity(problem.nodes.len());
        for &set in &signature.alternatives {
            let compatible = |node: &NodeModel| node.labels.compatible(sets.get(set), Undefined::Refuse).is_ok();
            meets.union_with(self.0.entry(set).or_insert_with(|| {
                let compatible = problem.nodes.iter().enumerate().filter(|(_, node)| compatible(node));
                let mut found = FixedBitSet::with_capacity(problem.nodes.len());
                found.extend(compatible.map(|(index, _)| index));
                found
            }));
        }
        let may_hold = |&index: &usize| {
            let node = &problem.nodes[index];
            let is_there = |&(key, domain)| domain_of_node(&problem.keys, key, index, node) == Some(domain);
            signature.domains.iter().all(is_there) && admits(model.spec(), &node.node.taints, soft_taints)
        };
        meets.ones().filter(may_hold).collect()
    }
}
