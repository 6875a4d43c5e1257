//! The resource LP in its dual form (`models/resource-lp.md`), built with good_lp and solved by HiGHS.

use std::collections::BTreeMap;

use super::classes::{Classes, Shape, Supply};
use super::proof::Demand;
use crate::model::Amounts;
use crate::solve::lp::{Expression, Solution as _, SolverModel as _, Variable, highs, variable, variables};

/// Prices of resources in 10^-18 dollars an hour and unit: by merged class, then by dimension.
pub struct Prices(pub Vec<Vec<i128>>);

/// Prices of resources that maximise the bound; zero prices where HiGHS finds none, which prove a bound of zero.
pub fn resource_prices(classes: &Classes, demand: &Demand) -> Prices {
    let scale = scale(classes);
    let prices = solve(classes, demand, &scale).unwrap_or_else(|| vec![vec![0.0; classes.dims]; merged(classes)]);
    let rounded = |price: f64, scale: f64| to_atto(price / scale);
    Prices(prices.iter().map(|of_class| of_class.iter().zip(&scale).map(|(p, s)| rounded(*p, *s)).collect()).collect())
}

/// Dollars to 10^-18 dollars, rounded down.
#[allow(clippy::cast_possible_truncation)] // saturating, and any price is only a proposal
fn to_atto(usd: f64) -> i128 {
    if usd.is_finite() && usd > 0.0 { (usd * 1e18) as i128 } else { 0 }
}

/// The largest room of any shape or node by dimension: the unit in which the LP measures.
#[allow(clippy::cast_precision_loss)] // floats are for HiGHS only; the proof recomputes in integers
fn scale(classes: &Classes) -> Vec<f64> {
    let totals: Vec<Amounts> = classes.nodes.iter().map(Supply::total).collect();
    let rooms = || classes.shapes.iter().map(|shape| &shape.room).chain(&totals);
    (0..classes.dims).map(|dim| rooms().map(|room| room[dim]).max().unwrap_or(1).max(1) as f64).collect()
}

/// How many classes the LP tells apart.
fn merged(classes: &Classes) -> usize {
    classes.merged.iter().map(|class| class + 1).max().unwrap_or(0)
}

fn solve(classes: &Classes, demand: &Demand, scale: &[f64]) -> Option<Vec<Vec<f64>>> {
    let mut vars = variables!();
    // price of a resource for a class, dollars an hour for one scale unit; no resource is dearer than every shape
    let price: Vec<Vec<Variable>> = (0..merged(classes))
        .map(|k| (0..classes.dims).map(|r| vars.add(variable().min(0).max(1e4).name(format!("p_{k}_{r}")))).collect())
        .collect();
    // the dearest price over the classes that one set of shapes or nodes may hold
    let mut dearest: BTreeMap<Vec<usize>, Vec<Variable>> = BTreeMap::new();
    let sets = classes.shapes.iter().map(|shape| &shape.holds).chain(classes.nodes.iter().map(|node| &node.holds));
    for holds in sets {
        let holds = classes.merged_set(holds);
        let next = dearest.len();
        dearest.entry(holds).or_insert_with_key(|holds| match holds.as_slice() {
            [only] => price[*only].clone(),
            _ => {
                (0..classes.dims).map(|r| vars.add(variable().min(0).max(1e4).name(format!("m_{next}_{r}")))).collect()
            }
        });
    }
    let of = |holds: &fixedbitset::FixedBitSet| &dearest[&classes.merged_set(holds)];

    let mut objective = Expression::default();
    let mut totals = vec![vec![0.0; classes.dims]; merged(classes)];
    for group in &demand.groups {
        for (total, part) in totals[classes.merged[group.class]].iter_mut().zip(scaled(&group.amounts, scale)) {
            *total += part * float(group.placed);
        }
    }
    for (prices, totals) in price.iter().zip(&totals) {
        for (variable, total) in prices.iter().zip(totals) {
            objective.add_mul(*total, *variable);
        }
    }
    for node in &classes.nodes {
        for (variable, room) in of(&node.holds).iter().zip(scaled(&node.total(), scale)) {
            objective.add_mul(-room, *variable);
        }
    }
    let mut model = vars.maximise(objective).using(highs);
    model.set_verbose(false);
    let mut model = model.set_threads(1);
    for (holds, variables) in dearest.iter().filter(|(holds, _)| holds.len() > 1) {
        for &class in holds {
            for (most, of_class) in variables.iter().zip(&price[class]) {
                model.add_constraint((Expression::from(*of_class) - *most).leq(0));
            }
        }
    }
    for shape in undominated(&classes.shapes) {
        let mut value = Expression::default();
        for (variable, room) in of(&shape.holds).iter().zip(scaled(&shape.room, scale)) {
            value.add_mul(room, *variable);
        }
        model.add_constraint(value.leq(shape.price.as_usd()));
    }
    let solution = model.solve().ok()?;
    Some(price.iter().map(|of_class| of_class.iter().map(|v| solution.value(*v)).collect()).collect())
}

/// The shapes without those that another one of the same classes beats in price and every room. Only the LP leaves them
/// out; the proof looks at all shapes.
fn undominated(shapes: &[Shape]) -> Vec<&Shape> {
    // sorted by price: only an earlier shape can dominate a later one
    let mut kept: Vec<&Shape> = Vec::new();
    for shape in shapes.iter().filter(|shape| shape.most.is_none()) {
        let beaten = kept.iter().any(|other| {
            other.holds == shape.holds && other.room.iter().zip(&shape.room).all(|(better, worse)| better >= worse)
        });
        if !beaten {
            kept.push(shape);
        }
    }
    kept
}

#[allow(clippy::cast_precision_loss)] // floats are for HiGHS only; the proof recomputes in integers
fn scaled(amounts: &Amounts, scale: &[f64]) -> Vec<f64> {
    amounts.iter().zip(scale).map(|(amount, scale)| (*amount).max(0) as f64 / scale).collect()
}

#[allow(clippy::cast_precision_loss)] // as above
fn float(count: usize) -> f64 {
    count as f64
}
