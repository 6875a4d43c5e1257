//! Few pods: the least cost of the relaxation itself, with whole pods on whole nodes, by trying everything.

use std::collections::{BTreeMap, HashMap};

use super::classes::Classes;
use super::proof::Demand;
use crate::model::Amounts;
use crate::solve::columns::FEW_PODS;
use crate::solve::columns::exact;
use crate::solve::columns::instance::{Bin, Class, Duals, Instance, Item, Row};
use crate::units::MicroUsd;

/// What every plan that leaves no pod costs at least, `known` being the cost of one; `None` where there are too many pods, or
/// the search does not come to its end. `values`: what pods are worth, nano-dollars, by group of the demand.
pub fn least_cost(
    classes: &Classes,
    demand: &Demand,
    values: &[i64],
    known: MicroUsd,
    steps: usize,
    stop: &dyn Fn() -> bool,
) -> Option<MicroUsd> {
    let pods: usize = demand.groups.iter().map(|group| group.pods).sum();
    if !demand.left.is_empty() || pods == 0 || pods > FEW_PODS as usize {
        return None;
    }
    let (instance, duals) = instance(classes, demand, values);
    let answer = exact::search(&instance, &duals, known.0, steps, stop);
    answer.is_proven.then(|| answer.better.map_or(known, |(cost, _)| MicroUsd(cost)))
}

fn instance(classes: &Classes, demand: &Demand, values: &[i64]) -> (Instance, Duals) {
    let mut instance = Instance { dims: classes.dims, items: Vec::new(), classes: Vec::new(), rows: Vec::new() };
    let mut items: HashMap<(usize, &Amounts, Option<usize>), usize> = HashMap::new();
    let mut of_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut worth: Vec<i64> = Vec::new();
    for (group, &value) in demand.groups.iter().zip(values) {
        // pods of one group may exclude each other, those of two groups do not
        let alone = (group.most < u32::MAX).then_some(group.group);
        let item = *items.entry((group.class, &group.amounts, alone)).or_insert_with(|| {
            let size = group.amounts.iter().map(|amount| (*amount).max(0)).collect();
            instance.items.push(Item { size, demand: 0, most: group.most });
            of_class.entry(group.class).or_default().push(instance.items.len() - 1);
            worth.push(i64::MAX);
            instance.items.len() - 1
        });
        instance.items[item].demand += u32::try_from(group.pods).unwrap_or(u32::MAX);
        worth[item] = worth[item].min(value);
    }
    let mut bins: BTreeMap<Vec<usize>, Vec<Bin>> = BTreeMap::new();
    let supply = |instance: &mut Instance, capacity: i64| {
        instance.rows.push(Row { capacity, is_supply: true });
        vec![(instance.rows.len() - 1, 1)]
    };
    for shape in &classes.shapes {
        let uses = match shape.most {
            Some(0) => continue,
            Some(most) => supply(&mut instance, most),
            None => Vec::new(),
        };
        let bin = Bin { room: shape.room.to_vec(), cost: shape.price.0, uses };
        // shapes come by price
        let kept = bins.entry(shape.holds.ones().collect()).or_default();
        let is_larger = |other: &Bin| other.room.iter().zip(&bin.room).all(|(larger, room)| larger >= room);
        if !kept.iter().any(|other| other.uses.is_empty() && is_larger(other)) {
            kept.push(bin);
        }
    }
    for of_supply in &classes.nodes {
        for room in &of_supply.rooms {
            let uses = supply(&mut instance, 1);
            bins.entry(of_supply.holds.ones().collect()).or_default().push(Bin { room: room.to_vec(), cost: 0, uses });
        }
    }
    for (holds, bins) in bins {
        let mut items: Vec<usize> =
            holds.iter().flat_map(|class| of_class.get(class).cloned().unwrap_or_default()).collect();
        items.sort_unstable();
        if !items.is_empty() {
            instance.classes.push(Class { items, bins });
        }
    }
    let items = worth.iter().map(|nano| *nano as f64 / 1e9).collect();
    let rows = vec![0.0; instance.rows.len()];
    (instance, Duals { items, rows })
}
