//! The loop: solve the master, price, add the patterns that would lower its cost.

use std::collections::HashSet;

use super::Task;
use super::instance::{Bin, Instance, Pattern, usd};
use super::price::{Priced, price};
use crate::solve::lp::{Master, Optimum, best_prices};

/// What the loop found.
pub struct Generated {
    pub columns: Vec<Pattern>,
    pub optimum: Optimum,
}

/// New columns of a class and round.
const COLUMNS_A_ROUND: usize = 8;
/// A pattern is worth adding when its value beats its cost by this factor.
const IMPROVES: f64 = 1.0 + 1e-6;
/// How much of the smoothed duals stays from round to round.
const SMOOTHING: f64 = 0.6;
/// The loop ends when the bound is this near to the master's cost.
const CLOSE_ENOUGH: f64 = 1.0 - 1e-4;

/// Generates columns from `start`, which must cover every demand, until none improves, or it is to stop.
///
/// Quick pricing at smoothed duals, at the duals themselves, then the thorough pricing of both; a round adds the columns of
/// the first that finds some. Smoothing keeps the duals from jumping: they start from the best bound known so far.
pub fn generate(task: &Task, demands: &[u32], start: Vec<Pattern>, most_rounds: usize) -> Option<Generated> {
    let instance = task.instance;
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
    let mut bound: f64 = 0.0;
    let mut smoothed = optimum.duals.clone();
    for _ in 0..most_rounds {
        if (task.stop)() {
            break;
        }
        for (smooth, dual) in smoothed.iter_mut().zip(&optimum.duals) {
            *smooth = SMOOTHING * *smooth + (1.0 - SMOOTHING) * dual;
        }
        let steps = task.work.search_steps;
        let attempts = [(0, true), (0, false), (steps, true), (steps, false)];
        let mut added = 0;
        for (steps, at_smoothed) in attempts.into_iter().take(if steps == 0 { 2 } else { 4 }) {
            let prices = if at_smoothed { smoothed.clone() } else { optimum.duals.clone() };
            let mut overcharge: f64 = 1.0;
            for class in 0..instance.classes.len() {
                let priced = price(task, class, &prices, demands, steps);
                if priced.len() < instance.classes[class].bins.len() {
                    overcharge = f64::INFINITY; // it was told to stop
                }
                let mut found: Vec<(f64, Pattern)> = Vec::new();
                for Priced { pattern, most } in priced {
                    let cost = usd(instance.cost(&pattern)).max(1e-9);
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
            let total: f64 = prices.iter().zip(demands).map(|(price, n)| price * f64::from(*n)).sum();
            if total / overcharge > bound {
                bound = total / overcharge;
                smoothed = prices;
            }
            if added > 0 {
                break;
            }
        }
        if added == 0 || bound > optimum.cost * CLOSE_ENOUGH {
            break;
        }
        optimum = master.solve()?;
    }
    Some(Generated { columns, optimum })
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
