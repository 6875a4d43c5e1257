//! Pods of daemonsets that are still to come: on new nodes, and on nodes that exist without them.
//!
//! kube-scheduler counts them like other pods once they are there, and they are there first. What looks at them is rare: a
//! selector of a pending pod that matches them, or anti-affinity of theirs that matches a pending pod.

use std::collections::BTreeSet;

use super::{Group, Keys, NodeModel, PoolModel, Topology, TopologyId, TopologyKind, domain_of_node};
use crate::api::labels;
use crate::observe::snapshot::DaemonSet;

/// A daemonset and what its pods have to do with topologies.
pub(super) struct Counted<'a> {
    pub daemon: &'a DaemonSet,
    /// Those that its pods count for.
    pub topologies: Vec<TopologyId>,
    /// Anti-affinity of other pods that keeps its pods away from domains where one of those is.
    pub repelled_by: Vec<TopologyId>,
}

impl Counted<'_> {
    /// Whether a bound pod keeps its pod away from some new nodes. On a host that is still to come nobody is there before.
    pub fn is_repelled_from_some(&self, keys: &Keys, topologies: &[Topology]) -> bool {
        let repels = |&&id: &&TopologyId| &**keys.name(topologies[id].key) != labels::HOSTNAME;
        self.repelled_by.iter().filter(repels).any(|&id| topologies[id].counts.iter().any(|&count| count > 0))
    }
}

/// Counts them for the topologies that some group must obey. `daemons` in the order of the Snapshot.
pub(super) fn count(
    mut daemons: Vec<Counted>,
    keys: &Keys,
    pools: &mut [PoolModel],
    nodes: &[NodeModel],
    groups: &mut [Group],
    topologies: &mut [Topology],
) {
    if daemons.iter().all(|counted| counted.topologies.is_empty()) {
        return;
    }
    // by what bound pods say: daemon pods are not counted yet
    let repelled: Vec<bool> = daemons.iter().map(|counted| counted.is_repelled_from_some(keys, topologies)).collect();
    let there = on_nodes(&daemons, keys, nodes, topologies);
    let obeyed: BTreeSet<TopologyId> = groups.iter().flat_map(Group::obeyed).collect();
    for (index, Counted { daemon, topologies: ids, .. }) in daemons.iter_mut().enumerate() {
        ids.retain(|id| obeyed.contains(id));
        for &id in ids.iter() {
            topologies[id].selects_daemons = true;
        }
        let is_awaited = || nodes.iter().any(|node| node.awaits.iter().any(|of| of.daemon == index));
        if !ids.is_empty() && !pools.iter().any(|pool| pool.may_run_somewhere(daemon)) && !is_awaited() {
            ids.clear();
        }
        for &id in ids.iter() {
            let topology = &mut topologies[id];
            let mut counting = pools.iter().filter(|pool| topology.filter.may_admit_new(pool)).peekable();
            let with_every_node =
                counting.peek().is_some() && counting.all(|pool| !repelled[index] && pool.surely_runs(daemon));
            topology.with_every_node += u32::from(with_every_node);
            topology.counts_daemons = true;
        }
    }
    for topology in topologies.iter_mut().filter(|topology| topology.counts_daemons) {
        let counting = nodes.iter().enumerate().filter(|(_, node)| topology.filter.admits_node(node));
        let inhabited = counting.filter_map(|(index, node)| domain_of_node(keys, topology.key, index, node));
        topology.inhabited = inhabited.collect();
    }
    for Awaits { daemon, topology, domain, surely } in there {
        if daemons[daemon].topologies.contains(&topology) {
            let topology = &mut topologies[topology];
            topology.counts[domain] += 1;
            *topology.doubtful.entry(domain).or_default() += u32::from(!surely);
        }
    }
    for pool in pools {
        pool.set_brought(&daemons, &repelled);
    }
    for group in groups {
        group.minds_daemons = group.obeyed().iter().any(|&id| topologies[id].counts_daemons);
    }
}

/// A daemon pod that a node awaits counts for a domain of a topology.
struct Awaits {
    daemon: usize,
    topology: TopologyId,
    domain: usize,
    surely: bool,
}

/// What nodes await. Affinity needs pods that are there for sure, the others count those that may be.
fn on_nodes(daemons: &[Counted], keys: &Keys, nodes: &[NodeModel], topologies: &[Topology]) -> Vec<Awaits> {
    let mut found = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let at = |topology: &Topology| domain_of_node(keys, topology.key, index, node);
        for &super::nodes::Awaited { daemon, surely } in &node.awaits {
            let repels = |&id: &TopologyId| at(&topologies[id]).is_some_and(|domain| topologies[id].counts[domain] > 0);
            if daemons[daemon].repelled_by.iter().any(repels) {
                continue;
            }
            for &id in &daemons[daemon].topologies {
                let topology = &topologies[id];
                if (surely || topology.kind != TopologyKind::Affinity)
                    && topology.filter.admits_node(node)
                    && let Some(domain) = at(topology)
                {
                    found.push(Awaits { daemon, topology: id, domain, surely });
                }
            }
        }
    }
    found
}
