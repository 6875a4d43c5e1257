//! Existing nodes as targets: first fit in a fixed order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Greedy;
use super::topology::{HostVerdict, Needs};
use super::variant::VariantId;
use crate::model::{Amounts, NodeModel, admits, domain_of_node, fits, ports_conflict};
use crate::observe::snapshot::HostPort;
use crate::requirements::Undefined;
use crate::solve::Place;

/// What is left of an existing node.
#[derive(Debug)]
pub struct ExistingNode {
    pub room: Amounts,
    ports: Vec<HostPort>,
    volumes: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl ExistingNode {
    pub fn new(node: &NodeModel) -> Self {
        Self { room: node.room.clone(), ports: node.ports.clone(), volumes: node.volumes.clone() }
    }
}

impl Greedy<'_, '_> {
    pub(super) fn place_on_existing(&mut self, variant: VariantId, needs: &Needs) -> Option<Place> {
        let mut candidates = std::mem::take(&mut self.variants.get_mut(variant).nodes);
        let mut taken = None;
        let mut kept = 0;
        let mut tried = 0;
        while taken.is_none() && tried < candidates.len() {
            let node = candidates[tried];
            let verdict = self.try_existing(variant, needs, node);
            if verdict == HostVerdict::Yes {
                taken = Some(node);
            }
            if verdict != HostVerdict::Never {
                candidates[kept] = node;
                kept += 1;
            }
            tried += 1;
        }
        candidates.drain(kept..tried);
        self.variants.get_mut(variant).nodes = candidates;
        let node = taken?;
        self.commit_existing(variant, node);
        Some(Place::Existing(node))
    }

    pub(super) fn takes_existing(&self, variant: VariantId, needs: &Needs, index: usize) -> bool {
        self.try_existing(variant, needs, index) == HostVerdict::Yes
    }

    fn try_existing(&self, variant: VariantId, needs: &Needs, index: usize) -> HostVerdict {
        let variant = self.variants.get(variant);
        let group = &self.problem.groups[variant.group];
        let spec = group.spec();
        let (model, left) = (&self.problem.nodes[index], &self.existing[index]);
        if !fits(&group.amounts, &left.room)
            || !admits(spec, &model.node.taints, variant.soft_taints)
            || !variant
                .alternatives
                .iter()
                .any(|&set| model.labels.compatible(self.sets.get(set), Undefined::Refuse).is_ok())
            || ports_conflict(&spec.host_ports, &left.ports)
            || !self.volumes_attach(index, group.spec())
        {
            return HostVerdict::Never;
        }
        for need in &needs.keys {
            match domain_of_node(&self.problem.keys, need.key, index, model) {
                Some(domain) if need.allowed.contains(domain) => {}
                None if !need.labelled => {}
                Some(_) | None => return HostVerdict::NotNow,
            }
        }
        self.counts.host(needs, index)
    }

    /// CSI attach limits: volumes that the node already has count once (karpenter-core 2.4).
    fn volumes_attach(&self, index: usize, spec: &crate::observe::snapshot::PodSpec) -> bool {
        let limits = &self.problem.nodes[index].node.attach_limits;
        limits.iter().all(|(driver, &limit)| {
            let attached = self.existing[index].volumes.get(driver);
            let new: BTreeSet<&Arc<str>> = spec
                .volumes
                .iter()
                .filter(|volume| volume.driver.as_ref() == Some(driver))
                .map(|volume| &volume.claim)
                .filter(|claim| attached.is_none_or(|attached| !attached.contains(*claim)))
                .collect();
            new.is_empty() || attached.map_or(0, BTreeSet::len) + new.len() <= limit as usize
        })
    }

    pub(super) fn commit_existing(&mut self, variant: VariantId, index: usize) {
        let group = self.variants.get(variant).group;
        let group = &self.problem.groups[group];
        let left = &mut self.existing[index];
        for (room, used) in left.room.iter_mut().zip(&group.amounts) {
            *room -= used;
        }
        left.ports.extend(group.spec().host_ports.iter().cloned());
        for volume in &group.spec().volumes {
            if let Some(driver) = &volume.driver {
                left.volumes.entry(driver.clone()).or_default().insert(volume.claim.clone());
            }
        }
        let node = &self.problem.nodes[index];
        for &id in &group.counted {
            let topology = &self.problem.topologies[id];
            if topology.filter.admits_node(node)
                && let Some(domain) = domain_of_node(&self.problem.keys, topology.key, index, node)
            {
                self.counts.raise(id, domain);
            }
        }
    }
}
