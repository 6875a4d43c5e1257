//! The loop: solve the master, price, add the patterns that would lower its cost.

use std::collections::HashSet;

use super::instance::{Bin, Instance, Pattern, usd};
use super::price::{Effort, Priced, price};
use crate::solve::lp::{Master, Optimum, best_prices};

/// What the loop found.
pub struct Generated {
    pub columns: Vec<Pattern>,
    pub optimum: Optimum,
    pub rounds: usize,
    /// No packing costs less, dollars an hour.
    pub bound: f64,
}

/// New columns of a class and round.
const COLUMNS_A_ROUND: usize = 8;
/// A pattern is worth adding when its value beats its cost by this factor.
const IMPROVES: f64 = 1.0 + 1e-6;

/// Generates columns from `start`, which must cover every demand, until none improves, or `stop`.
pub fn generate(
    instance: &Instance,
    demands: &[u32],
    start: Vec<Pattern>,
    weights: &[Vec<f64>],
    most_rounds: usize,
    effort: Effort,
    stop: &dyn Fn() -> bool,
) -> Option<Generated> {
    let mut known: HashSet<Pattern> = HashSet::new();
    let mut columns: Vec<Pattern> = Vec::new();
    let mut master = Master::new(demands);
    for pattern in start {
        if known.insert(pattern.clone()) {
            master.add(usd(instance.cost(&pattern)), &pattern.counts);
            columns.push(pattern);
        }
    }
    let mut optimum = master.solve()?;
    let mut rounds = 0;
    let mut bound: f64 = 0.0;
    let mut smoothed = optimum.duals.clone();
    while rounds < most_rounds && !stop() {
        rounds += 1;
        for (smooth, dual) in smoothed.iter_mut().zip(&optimum.duals) {
            *smooth = 0.6 * *smooth + 0.4 * dual;
        }
        let mut added = 0;
        let quick = Effort { nodes: 0, ..effort };
        for (prices, effort) in [
            (smoothed.clone(), quick),
            (optimum.duals.clone(), quick),
            (smoothed.clone(), effort),
            (optimum.duals.clone(), effort),
        ] {
            if effort.nodes == 0 && added > 0 {
                break;
            }
            let mut overcharge: f64 = 1.0;
            for index in 0..instance.classes.len() {
                let priced = price(instance, index, &prices, demands, &weights[index], effort);
                let mut found: Vec<(f64, Pattern)> = Vec::new();
                for Priced { pattern, most, .. } in priced {
                    let cost = usd(instance.cost(&pattern));
                    overcharge = overcharge.max(most / cost);
                    let value: f64 = pattern.counts.iter().map(|(i, n)| optimum.duals[*i] * f64::from(*n)).sum();
                    if value / cost > IMPROVES {
                        found.push((value / cost, pattern));
                    }
                }
                found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
                for (_, pattern) in found.into_iter().take(COLUMNS_A_ROUND) {
                    if known.insert(pattern.clone()) {
                        master.add(usd(instance.cost(&pattern)), &pattern.counts);
                        columns.push(pattern);
                        added += 1;
                    }
                }
            }
            let total: f64 = prices.iter().zip(demands).map(|(p, n)| *p * f64::from(*n)).sum();
            if total / overcharge > bound {
                bound = total / overcharge;
                smoothed.clone_from(&prices);
            }
            if added > 0 || (most_rounds < 10 && effort.nodes == 0) {
                break;
            }
        }
        if added == 0 || bound > optimum.cost * (1.0 - 1e-4) {
            break;
        }
        optimum = master.solve()?;
    }
    Some(Generated { columns, optimum, rounds, bound })
}

/// Prices of the resources of one class, dollars a unit: the dual of buying its bins by the fraction.
#[must_use]
pub fn resource_prices(instance: &Instance, class: usize) -> Vec<f64> {
    let of = &instance.classes[class];
    let scale: Vec<f64> = (0..instance.dims)
        .map(|dim| of.bins.iter().map(|bin| bin.room[dim]).max().unwrap_or(1).max(1) as f64)
        .collect();
    let total = |dim: usize| -> f64 {
        let items = of.items.iter().map(|&item| &instance.items[item]);
        items.map(|item| item.size[dim] as f64 * f64::from(item.demand)).sum()
    };
    let totals: Vec<f64> = scale.iter().enumerate().map(|(dim, scale)| total(dim) / scale).collect();
    let row = |bin: &Bin| -> (Vec<f64>, f64) {
        (bin.room.iter().zip(&scale).map(|(room, scale)| (*room).max(0) as f64 / scale).collect(), usd(bin.cost))
    };
    let rows: Vec<(Vec<f64>, f64)> = of.bins.iter().map(row).collect();
    let prices = best_prices(&totals, &rows).unwrap_or_else(|| vec![1.0; instance.dims]);
    prices.iter().zip(&scale).map(|(price, scale)| price / scale).collect()
}
