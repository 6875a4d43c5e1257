//! Pods of daemonsets that are still to come: on new nodes, and on nodes that exist without them.
//!
//! kube-scheduler counts them like other pods once they are there, and they are there first. What looks at them is rare: a
//! selector of a pending pod that matches them, or anti-affinity of theirs that matches a pending pod.

use std::collections::BTreeSet;

use super::{Group, Keys, NodeModel, PoolModel, Topology, TopologyId, TopologyKind, domain_of_node};
use crate::observe::snapshot::DaemonSet;

/// A daemonset, and the topologies that its pods count for.
pub(super) type Counted<'a> = (&'a DaemonSet, Vec<TopologyId>);

/// Counts them for the topologies that some group must obey. `daemons` in the order of the Snapshot.
pub(super) fn count(
    mut daemons: Vec<Counted>,
    keys: &Keys,
    pools: &mut [PoolModel],
    nodes: &[NodeModel],
    groups: &mut [Group],
    topologies: &mut [Topology],
) {
    if daemons.iter().all(|(_, ids)| ids.is_empty()) {
        return;
    }
    let obeyed: BTreeSet<TopologyId> = groups.iter().flat_map(Group::obeyed).collect();
    for (index, (daemon, ids)) in daemons.iter_mut().enumerate() {
        ids.retain(|id| obeyed.contains(id));
        let is_awaited = || nodes.iter().any(|node| node.awaits.iter().any(|of| of.daemon == index));
        if !ids.is_empty() && !pools.iter().any(|pool| pool.may_run_somewhere(daemon)) && !is_awaited() {
            ids.clear();
        }
        for &id in ids.iter() {
            let topology = &mut topologies[id];
            let mut counting = pools.iter().filter(|pool| topology.filter.may_admit_new(pool)).peekable();
            let with_every_node = counting.peek().is_some() && counting.all(|pool| pool.surely_runs(daemon));
            topology.with_every_node += u32::from(with_every_node);
            topology.counts_daemons = true;
        }
    }
    for topology in topologies.iter_mut().filter(|topology| topology.counts_daemons) {
        let counting = nodes.iter().enumerate().filter(|(_, node)| topology.filter.admits_node(node));
        let inhabited = counting.filter_map(|(index, node)| domain_of_node(keys, topology.key, index, node));
        topology.inhabited = inhabited.collect();
    }
    on_nodes(&daemons, keys, nodes, topologies);
    for pool in pools {
        pool.set_brought(&daemons);
    }
    for group in groups {
        group.minds_daemons = group.obeyed().iter().any(|&id| topologies[id].counts_daemons);
    }
}

/// Those that nodes await. Affinity needs pods that are there for sure, the others count those that may be.
fn on_nodes(daemons: &[Counted], keys: &Keys, nodes: &[NodeModel], topologies: &mut [Topology]) {
    for (index, node) in nodes.iter().enumerate() {
        for awaited in &node.awaits {
            for &id in &daemons[awaited.daemon].1 {
                let topology = &mut topologies[id];
                if (awaited.surely || topology.kind != TopologyKind::Affinity)
                    && topology.filter.admits_node(node)
                    && let Some(domain) = domain_of_node(keys, topology.key, index, node)
                {
                    topology.counts[domain] += 1;
                    *topology.doubtful.entry(domain).or_default() += u32::from(!awaited.surely);
                }
            }
        }
    }
}
