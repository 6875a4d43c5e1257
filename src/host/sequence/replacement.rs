//! What may come for nodes that go (karpenter-core 4.5).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::labels;
use crate::catalog::{CapacityType, Offering};
use crate::disruption::Candidate;
use crate::model::{PoolModel, Problem, TypeModel};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Node, NodeDisruption, NodeStage};
use crate::requirements::{Requirement, Requirements};
use crate::settings::MinValuesPolicy;
use crate::solve::NewNode;
use crate::solve::purchase::distinct;
use crate::units::MicroUsd;

/// One spot node is replaced by another only where so many types are cheaper, of which so many are named.
const SPOT_TO_SPOT: usize = 15;

/// The node that comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    pub name: Arc<str>,
    pub pool: Arc<str>,
    /// What the launch names: the types by what they cost at worst.
    pub instance_types: Vec<Arc<str>>,
    /// The cheapest of them, which is taken to be bought.
    pub instance_type: Arc<str>,
    pub zone: Arc<str>,
    pub capacity_type: CapacityType,
    /// Of an hour.
    pub price: MicroUsd,
}

/// A type with the most that a launch of it may cost.
struct Worst<'p> {
    kind: &'p TypeModel<'p>,
    worst: MicroUsd,
}

/// What a node for these pods may be so that it is cheaper than those that go, and what it becomes; `None` where nothing is.
pub(super) fn replacement(
    problem: &Problem,
    new: &NewNode,
    (snapshot, removed): (&Snapshot, &[Candidate]),
    number: usize,
) -> Option<(Replacement, Node)> {
    let pool = &problem.pools[new.pool];
    let going = || removed.iter().map(|of| &snapshot.nodes[of.node]);
    let allows = |of: &str| new.requirements.get(labels::CAPACITY_TYPE).is_none_or(|of_new| of_new.allows(of));
    let (spot, on_demand) = (labels::CAPACITY_SPOT, labels::CAPACITY_ON_DEMAND);
    let is_spot_to_spot = allows(spot) && going().all(|node| node.label(labels::CAPACITY_TYPE) == Some(spot));
    if is_spot_to_spot && !problem.snapshot.settings.feature_gates.spot_to_spot_consolidation {
        return None;
    }
    let mut requirements = Requirements::clone(&new.requirements);
    if is_spot_to_spot {
        requirements.add(labels::CAPACITY_TYPE, Requirement::one_of([spot]));
    }
    let most: MicroUsd = removed.iter().map(|of| of.price.unwrap_or_default()).sum();
    let market = Market { pool, reservations: &new.reservations };
    let mut cheaper = market.options(new, &requirements);
    cheaper.retain(|of| of.worst < most);
    if removed.len() > 1 {
        leave_out_same(&mut cheaper, removed, snapshot);
    } else if is_spot_to_spot {
        if cheaper.len() < SPOT_TO_SPOT {
            return None;
        }
        cheaper.truncate(SPOT_TO_SPOT);
    }
    // a launch that fails is better than one that is dearer
    if allows(spot) && allows(on_demand) {
        requirements.add(labels::CAPACITY_TYPE, Requirement::one_of([spot]));
    }
    let sold: Vec<(&TypeModel, &Offering)> =
        cheaper.iter().flat_map(|of| market.sold(of.kind, &requirements).map(|offering| (of.kind, offering))).collect();
    let has_minimum = |(key, minimum): &(Arc<str>, u32)| distinct(&sold, key) >= *minimum as usize;
    let is_strict = problem.snapshot.settings.min_values_policy == MinValuesPolicy::Strict;
    if is_strict && !pool.min_values.iter().all(has_minimum) {
        return None;
    }
    let first = sold.iter().map(|(_, offering)| offering.capacity_type).min()?;
    let of_first = sold.iter().filter(|(_, offering)| offering.capacity_type == first);
    let (kind, offering) = of_first.min_by_key(|(_, offering)| offering.price)?;
    let name: Arc<str> = Arc::from(format!("{}-replacement-{number}", pool.pool.name));
    let node = node_of(pool, kind, offering, &requirements, &name);
    let replacement = Replacement {
        name,
        pool: pool.pool.name.clone(),
        instance_types: cheaper.iter().map(|of| of.kind.instance_type.name.clone()).collect(),
        instance_type: kind.instance_type.name.clone(),
        zone: offering.zone.clone(),
        capacity_type: offering.capacity_type,
        price: offering.price,
    };
    Some((replacement, node))
}

struct Market<'m, 'p> {
    pool: &'m PoolModel<'p>,
    /// That are kept for the node.
    reservations: &'m BTreeSet<Arc<str>>,
}

impl<'m, 'p> Market<'m, 'p> {
    fn sold(&self, kind: &'m TypeModel<'p>, requirements: &Requirements) -> impl Iterator<Item = &'m Offering> {
        let must_have = self.pool.labels_to_be_had(requirements);
        let is_sold = |offering: &&Offering| {
            let is_free = offering.reservation.as_ref().is_none_or(|of| self.reservations.contains(&of.id));
            is_free && kind.sells(offering, requirements, &must_have)
        };
        kind.offerings.iter().copied().filter(is_sold).collect::<Vec<_>>().into_iter()
    }

    /// The types that hold the pods, by the most that a launch may cost: the dearest offering of the capacity type that is bought.
    fn options(&self, new: &NewNode, requirements: &Requirements) -> Vec<Worst<'m>> {
        let of_type = |index: usize| {
            let kind = &self.pool.types[index];
            let sold: Vec<&Offering> = self.sold(kind, requirements).collect();
            let first = sold.iter().map(|offering| offering.capacity_type).min()?;
            let of_first = sold.iter().filter(|offering| offering.capacity_type == first);
            Some(Worst { kind, worst: of_first.map(|offering| offering.price).max()? })
        };
        let mut options: Vec<Worst<'m>> = new.types.ones().filter_map(of_type).collect();
        options.sort_by_key(|of| (of.worst, of.kind.instance_type.name.clone()));
        options
    }
}

/// Where one of the types that go would come again, only what is cheaper than the cheapest node of such a type may come: else one of
/// the nodes might as well stay.
fn leave_out_same(options: &mut Vec<Worst<'_>>, removed: &[Candidate], snapshot: &Snapshot) {
    let comes_again = |of: &&Candidate| {
        let kind = snapshot.nodes[of.node].label(labels::INSTANCE_TYPE);
        options.iter().any(|option| kind == Some(&*option.kind.instance_type.name))
    };
    let cheapest = removed.iter().filter(comes_again).map(|of| of.price.unwrap_or_default()).min();
    if let Some(cheapest) = cheapest {
        options.retain(|of| of.worst < cheapest);
    }
}

/// The node as it is once it is initialized.
fn node_of(
    pool: &PoolModel,
    kind: &TypeModel,
    offering: &Offering,
    requirements: &Requirements,
    name: &Arc<str>,
) -> Node {
    let of_type = kind.instance_type;
    let mut found: Labels = pool.pool.labels.clone();
    let single = requirements.single_values().chain(of_type.requirements.single_values());
    found.extend(single.map(|(key, value)| (key.clone(), value.clone())));
    found.extend(offering.labels.iter().cloned());
    found.insert(labels::HOSTNAME.into(), name.clone());
    found.insert(labels::ZONE.into(), offering.zone.clone());
    found.insert(labels::CAPACITY_TYPE.into(), offering.capacity_type.label().into());
    Node {
        name: name.clone(),
        claim: Some(name.clone()),
        pool: Some(pool.pool.name.clone()),
        stage: NodeStage::Initialized,
        created_at: None,
        labels: Arc::new(found),
        taints: pool.pool.taints.clone(),
        capacity: of_type.capacity.clone(),
        allocatable: of_type.allocatable.clone(),
        attach_limits: [].into(),
        deleting: false,
        price: Some(offering.price),
        disruption: NodeDisruption::default(),
    }
}
