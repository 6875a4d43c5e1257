//! Rules within one node: how many pods of a group, or of several together, it may hold.

use std::collections::BTreeMap;

use super::demand::Demand;
use crate::model::{Group, Keys, Problem, TopologyId, TopologyKind};

/// More anti-affinities between groups than this are left to the carrying out.
const MOST_HOST_RULES: usize = 8;

/// An anti-affinity or spread over hosts that several groups share: a dimension.
pub struct HostRule {
    topology: TopologyId,
    /// How many counted pods a node may hold.
    pub room: u32,
}

pub fn host_rules(problem: &Problem, demand: &Demand) -> Vec<HostRule> {
    let mut groups: BTreeMap<TopologyId, (u32, u32)> = BTreeMap::new();
    for (of, pods) in demand {
        for placement in problem.groups[of.by_content.group].carried.iter().filter(|placement| placement.self_selects) {
            if problem.topologies[placement.topology].key == Keys::HOST {
                let of = groups.entry(placement.topology).or_default();
                *of = (of.0 + 1, of.1 + pods);
            }
        }
    }
    let mut shared: Vec<(u32, HostRule)> = groups
        .into_iter()
        .filter(|(_, (groups, _))| *groups > 1)
        .filter_map(|(topology, (_, pods))| {
            Some((pods, HostRule { topology, room: host_cap(&problem.topologies[topology].kind)? }))
        })
        .collect();
    shared.sort_by_key(|(pods, rule)| (std::cmp::Reverse(*pods), rule.topology));
    shared.into_iter().map(|(_, rule)| rule).take(MOST_HOST_RULES).collect()
}

/// How many pods that carry such a rule over hosts and count for it may share a host.
fn host_cap(kind: &TopologyKind) -> Option<u32> {
    match kind {
        TopologyKind::Spread { max_skew, .. } => Some(*max_skew),
        TopologyKind::AntiAffinity => Some(1),
        TopologyKind::Affinity | TopologyKind::InverseAntiAffinity => None,
    }
}

pub fn size(group: &Group, host_rules: &[HostRule]) -> Vec<i64> {
    let counts = host_rules.iter().map(|rule| i64::from(group.counted.contains(&rule.topology)));
    group.amounts.iter().map(|amount| (*amount).max(0)).chain(counts).collect()
}

/// How many pods of the group one node may hold by its own rules.
pub fn most_on_a_node(problem: &Problem, group: &Group) -> u32 {
    let caps = group.carried.iter().filter(|placement| placement.self_selects).filter_map(|placement| {
        let topology = &problem.topologies[placement.topology];
        host_cap(&topology.kind).filter(|_| topology.key == Keys::HOST)
    });
    let ports = (!group.spec().host_ports.is_empty()).then_some(1);
    caps.chain(ports).min().unwrap_or(u32::MAX)
}
