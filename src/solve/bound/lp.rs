//! The resource LP in its dual form (`models/resource-lp.md`), built with good_lp and solved by HiGHS.

use std::collections::BTreeMap;

use super::classes::{Classes, Limit, Shape, Supply};
use super::proof::Demand;
use crate::model::Amounts;
use crate::solve::lp::{Expression, Solution as _, SolverModel as _, Variable, highs, variable, variables};

/// 10^-18 dollars an hour and unit.
pub struct Prices {
    /// Of resources: by merged class, then by dimension.
    pub of_classes: Vec<Vec<i128>>,
    /// By limit.
    pub of_limits: Vec<i128>,
}

/// Dollars an hour: no limit is worth more than that.
const MOST_OF_A_LIMIT: f64 = 1e6;

/// Prices of resources that maximise the bound; zero prices where HiGHS finds none, which prove a bound of zero.
pub fn resource_prices(classes: &Classes, demand: &Demand) -> Prices {
    let scale = scale(classes);
    let nothing = || (vec![vec![0.0; classes.dims]; merged(classes)], vec![0.0; classes.limits.len()]);
    let (of_classes, of_limits) = solve(classes, demand, &scale).unwrap_or_else(nothing);
    let of_class = |prices: &Vec<f64>| prices.iter().zip(&scale).map(|(price, scale)| to_atto(price / scale)).collect();
    let of_limit = |(limit, price): (&Limit, &f64)| to_atto(price / unit(limit));
    Prices {
        of_classes: of_classes.iter().map(of_class).collect(),
        of_limits: classes.limits.iter().zip(&of_limits).map(of_limit).collect(),
    }
}

/// All that a limit leaves: the unit in which the LP measures it.
#[allow(clippy::cast_precision_loss)] // floats are for HiGHS only; the proof recomputes in integers
fn unit(limit: &Limit) -> f64 {
    limit.left.max(1) as f64
}

/// Dollars to 10^-18 dollars, rounded down; no unit of anything is worth more than a thousand dollars.
#[allow(clippy::cast_possible_truncation)] // saturating, and any price is only a proposal
pub fn to_atto(usd: f64) -> i128 {
    if usd.is_finite() && usd > 0.0 { ((usd * 1e18) as i128).min(1 << 70) } else { 0 }
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

/// Prices of resources by merged class and dimension, of limits by limit; in the units of the LP.
#[allow(clippy::cast_precision_loss)] // as above
fn solve(classes: &Classes, demand: &Demand, scale: &[f64]) -> Option<(Vec<Vec<f64>>, Vec<f64>)> {
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

    // what all of a limit is worth, dollars an hour
    let of_limits: Vec<Variable> = (0..classes.limits.len())
        .map(|limit| vars.add(variable().min(0).max(MOST_OF_A_LIMIT).name(format!("q_{limit}"))))
        .collect();

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
    for variable in &of_limits {
        objective.add_mul(-1.0, *variable);
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
        for &(limit, amount) in &shape.uses {
            value.add_mul(-(amount as f64) / unit(&classes.limits[limit]), of_limits[limit]);
        }
        model.add_constraint(value.leq(shape.price.as_usd()));
    }
    let solution = model.solve().ok()?;
    let values = |variables: &Vec<Variable>| variables.iter().map(|variable| solution.value(*variable)).collect();
    Some((price.iter().map(values).collect(), values(&of_limits)))
}

/// The shapes without those that another one of the same classes beats in price, every room and every limit. Only the LP
/// leaves them out; the proof looks at all shapes.
fn undominated(shapes: &[Shape]) -> Vec<&Shape> {
    // sorted by price: only an earlier shape can dominate a later one
    let mut kept: Vec<&Shape> = Vec::new();
    for shape in shapes.iter().filter(|shape| shape.most.is_none()) {
        let beaten = kept.iter().any(|other| {
            let used = |limit| shape.uses.iter().find(|(of, _)| *of == limit).map_or(0, |(_, amount)| *amount);
            other.holds == shape.holds
                && other.room.iter().zip(&shape.room).all(|(better, worse)| better >= worse)
                && other.uses.iter().all(|&(limit, amount)| amount <= used(limit))
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
