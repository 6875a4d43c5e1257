//! Nodes that exist, in every stage.

use std::sync::Arc;

use super::pools::taint;
use super::{DRIVER, Size, TEAM, TEAMS, ZONES};
use crate::api::labels;
use crate::catalog::InstanceType;
use crate::host::tests::dice::Dice;
use crate::observe::snapshot::{Labels, Node, NodeDisruption, NodePool, NodeStage, Taint, TaintEffect};

pub fn nodes(dice: &mut Dice, size: Size, pools: &[NodePool]) -> Vec<Node> {
    (0..dice.below(size.nodes + 1)).map(|i| node(dice, &format!("node-{i}"), size, pools)).collect()
}

fn node(dice: &mut Dice, name: &str, size: Size, pools: &[NodePool]) -> Node {
    let pool = dice.pick(pools);
    let pool = Some(pool).filter(|_| dice.percent(75));
    let types: &[InstanceType] = &pools[0].instance_types;
    let kind = dice.pick(types);
    let offering = dice.pick(&kind.offerings);
    let stage = match pool {
        Some(_) => {
            *dice.pick(&[NodeStage::Initialized, NodeStage::Initialized, NodeStage::Registered, NodeStage::InFlight])
        }
        None => NodeStage::Initialized,
    };
    let mut of_node: Labels = kind.requirements.single_values().map(|(k, v)| (k.clone(), v.clone())).collect();
    if stage != NodeStage::InFlight {
        of_node.insert(labels::HOSTNAME.into(), name.into());
        let zone = if dice.percent(90) { &*offering.zone } else { *dice.pick(&ZONES[..size.zones]) };
        of_node.insert(labels::ZONE.into(), zone.into());
        of_node.insert(labels::CAPACITY_TYPE.into(), offering.capacity_type.label().into());
    } else if dice.percent(70) {
        of_node.insert(labels::ZONE.into(), offering.zone.clone());
        of_node.insert(labels::CAPACITY_TYPE.into(), offering.capacity_type.label().into());
    }
    if pool.is_none() && dice.percent(20) {
        of_node.remove(labels::ZONE);
    }
    if let Some(pool) = pool {
        of_node.extend(pool.labels.clone());
    }
    if dice.percent(30) && !of_node.contains_key(TEAM) {
        of_node.insert(TEAM.into(), (*dice.pick(&TEAMS)).into());
    }
    let mut taints: Vec<Taint> = pool.map(|pool| pool.taints.clone()).unwrap_or_default();
    if dice.percent(10) {
        let cordon = labels::TAINT_UNSCHEDULABLE;
        taints.push(Taint { key: cordon.into(), value: "".into(), effect: TaintEffect::NoSchedule });
    }
    if taints.is_empty() && dice.percent(15) {
        taints.push(taint(*dice.pick(&[TaintEffect::NoSchedule, TaintEffect::PreferNoSchedule])));
    }
    Node {
        name: name.into(),
        claim: pool.map(|_| Arc::from(format!("claim-{name}"))),
        pool: pool.map(|pool| pool.name.clone()),
        stage,
        created_at: None,
        labels: of_node.into(),
        taints,
        capacity: kind.capacity.clone(),
        allocatable: kind.allocatable.clone(),
        attach_limits: if dice.percent(30) { [(DRIVER.into(), 1)].into() } else { [].into() },
        deleting: dice.percent(15),
        price: pool.map(|_| offering.price),
        disruption: NodeDisruption::default(),
    }
}
