//! The resource LP in terms of the cluster.

use std::sync::Arc;

use super::Model;
use super::meaning::{Class, ColumnMeaning, Meaning, ModelColumn, ModelRow, RowMeaning, Unit, group_of, offering_of};
use crate::model::Problem;
use crate::solve::bound::Bounds;
use crate::solve::bound::lp::ResourceLp;

/// The model of plans that leave these pods; `None` where nothing can be bought for anything.
pub fn model(problem: &Problem, bounds: &Bounds, unplaced: &[usize]) -> Option<Model> {
    let lp = bounds.resource_lp(unplaced);
    if lp.program.columns.is_empty() || lp.program.rows.is_empty() {
        return None;
    }
    let meaning = Meaning {
        unit: Unit::MinusUsd,
        classes: classes(problem, bounds),
        columns: columns(problem, bounds, &lp),
        rows: rows(problem, &lp),
    };
    Some(Model { name: "resource-lp", program: lp.program, meaning })
}

fn classes(problem: &Problem, bounds: &Bounds) -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    for (group, class) in problem.groups.iter().zip(&bounds.classes.of_group) {
        let Some(class) = class.map(|class| bounds.classes.merged[class]) else { continue };
        let pods = u32::try_from(group.pods.len()).unwrap_or(u32::MAX);
        let of = group_of(problem, group, pods);
        match classes.iter_mut().find(|known| known.class == class) {
            Some(known) => known.groups.push(of),
            None => classes.push(Class { class, groups: vec![of] }),
        }
    }
    classes.sort_by_key(|class| class.class);
    for class in &mut classes {
        class.groups.sort_by(|a, b| a.example.cmp(&b.example));
    }
    classes
}

/// In the order in which the LP has them.
fn columns(problem: &Problem, bounds: &Bounds, lp: &ResourceLp) -> Vec<ModelColumn> {
    let resources = || problem.dims.names().iter().zip(&lp.scale);
    let mut meanings: Vec<ColumnMeaning> = Vec::with_capacity(lp.program.columns.len());
    for class in 0..lp.prices.len() {
        let price = |(resource, per): (&_, &i64)| ColumnMeaning::ResourcePrice {
            class,
            resource: Arc::clone(resource),
            per: *per,
        };
        meanings.extend(resources().map(price));
    }
    for classes in lp.dearest.keys() {
        let price = |(resource, per): (&Arc<str>, &i64)| ColumnMeaning::DearestPrice {
            classes: classes.clone(),
            resource: resource.clone(),
            per: *per,
        };
        meanings.extend(resources().map(price));
    }
    meanings.extend(bounds.classes.limits.iter().map(|limit| ColumnMeaning::LimitPrice {
        node_pool: problem.pools[limit.pool].pool.name.clone(),
        limit: limit.name.clone(),
        left: limit.left,
    }));
    let names = lp.program.columns.iter().map(|column| column.name.clone());
    names.zip(meanings).map(|(name, meaning)| ModelColumn { name, meaning }).collect()
}

/// In the order in which the LP has them.
fn rows(problem: &Problem, lp: &ResourceLp) -> Vec<ModelRow> {
    let mut meanings: Vec<RowMeaning> = Vec::with_capacity(lp.program.rows.len());
    for classes in lp.dearest.keys() {
        for &class in classes {
            let order =
                |resource: &Arc<str>| RowMeaning::Order { class, classes: classes.clone(), resource: resource.clone() };
            meanings.extend(problem.dims.names().iter().map(order));
        }
    }
    meanings.extend(lp.shapes.iter().map(|shape| {
        let (offering, price) = offering_of(problem, shape.cheapest);
        RowMeaning::Shape { offering, price_micro_usd: price.0 }
    }));
    let names = lp.program.rows.iter().map(|row| row.name.clone());
    names.zip(meanings).map(|(name, meaning)| ModelRow { name, meaning }).collect()
}
