//! The loop: solve the master, price, add the patterns that would lower its cost.

use std::collections::HashSet;

use super::Task;
use super::instance::{Bin, Instance, Packing, Pattern, usd};
use super::price::{self, IMPROVES, Rated};
use super::round::one_by_one;
use crate::solve::lp::{Master, Optimum, best_prices};

/// New columns of a round of quick pricing, and of a round of thorough pricing.
const QUICK_A_ROUND: usize = 16;
const THOROUGH_A_ROUND: usize = 6;
/// How much of the best known duals stays in those that are priced; less by a step whenever that has not helped.
const SMOOTHING: f64 = 0.8;
const SMOOTHING_STEP: f64 = 0.1;
/// The loop ends when the bound is this near to the master's cost.
const CLOSE_ENOUGH: f64 = 1.0 - 1e-4;

/// The restricted master with what is known of its dual.
pub struct Generator<'t> {
    task: &'t Task<'t>,
    demands: &'t [u32],
    known: HashSet<Pattern>,
    pub columns: Vec<Pattern>,
    master: Master,
    pub optimum: Optimum,
    /// The values of items that prove the best bound so far, and that bound, dollars an hour: what the fractional master
    /// costs at least when all patterns are there.
    pub center: Vec<f64>,
    pub bound: f64,
    smoothing: f64,
}

/// How hard a round looks for patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    Quick,
    /// Where quick pricing finds nothing, searches that may end with a proof that there is nothing.
    Thorough,
}

impl<'t> Generator<'t> {
    /// `start` must cover every demand; `center`: values of the items that overcharge no bin by much. `None` where HiGHS
    /// fails.
    pub fn new(task: &'t Task<'t>, demands: &'t [u32], start: Vec<Pattern>, center: &[f64]) -> Option<Self> {
        let mut master = Master::new(demands);
        let mut known = HashSet::new();
        let mut columns = Vec::new();
        for pattern in start {
            if known.insert(pattern.clone()) {
                master.add(usd(task.instance.cost(&pattern)), &pattern.counts);
                columns.push(pattern);
            }
        }
        let optimum = master.solve()?;
        let rated = price::rate(task.instance, center, demands);
        let bound = total(center, demands) / overcharge(task.instance, &rated);
        let center = center.to_vec();
        Some(Self { task, demands, known, columns, master, optimum, center, bound, smoothing: SMOOTHING })
    }

    /// Adds columns until none improves, or so many rounds are over, or it is to stop; `None` where HiGHS fails.
    pub fn run(&mut self, rounds: usize, effort: Effort) -> Option<()> {
        for _ in 0..rounds {
            if (self.task.stop)() || self.bound > self.optimum.cost * CLOSE_ENOUGH || self.round(effort) == 0 {
                return Some(());
            }
            self.optimum = self.master.solve()?;
        }
        Some(())
    }

    /// Packs everything at the duals that would be priced next, and adds those patterns; the master is not solved.
    pub fn pack(&mut self) -> Packing {
        let Task { instance, stop, .. } = *self.task;
        let values = self.smoothed();
        let rated = price::rate(instance, &values, self.demands);
        let packed = one_by_one(instance, self.demands, &values, &price::by_bin(instance, &rated), stop);
        for (pattern, _) in &packed {
            self.add(pattern.clone());
        }
        packed
    }

    fn add(&mut self, pattern: Pattern) -> bool {
        let is_new = self.known.insert(pattern.clone());
        if is_new {
            self.master.add(usd(self.task.instance.cost(&pattern)), &pattern.counts);
            self.columns.push(pattern);
        }
        is_new
    }

    /// Duals between the best known and the master's own, which jump from round to round.
    fn smoothed(&self) -> Vec<f64> {
        let both = self.center.iter().zip(&self.optimum.duals);
        both.map(|(center, dual)| self.smoothing * center + (1.0 - self.smoothing) * dual).collect()
    }

    /// Quick pricing at smoothed duals, at the duals themselves, then thorough pricing of both: the columns of the first
    /// that finds some. Returns how many.
    fn round(&mut self, effort: Effort) -> usize {
        let before = self.bound;
        let attempts = [
            (Effort::Quick, self.smoothed()),
            (Effort::Quick, self.optimum.duals.clone()),
            (Effort::Thorough, self.smoothed()),
            (Effort::Thorough, self.optimum.duals.clone()),
        ];
        let mut added = 0;
        for (effort, values) in attempts.into_iter().take(if effort == Effort::Quick { 2 } else { 4 }) {
            added = self.price(effort, &values);
            if added > 0 {
                break;
            }
        }
        self.smoothing = if self.bound > before { SMOOTHING } else { (self.smoothing - SMOOTHING_STEP).max(0.0) };
        added
    }

    fn price(&mut self, effort: Effort, values: &[f64]) -> usize {
        let Task { instance, stop, .. } = *self.task;
        let cost = |rated: &Rated| usd(instance.classes[rated.class].bins[rated.bin].cost).max(1e-9);
        let mut rated = price::rate(instance, values, self.demands);
        rated.sort_by(|a, b| {
            (b.most / cost(b)).total_cmp(&(a.most / cost(a))).then((a.class, a.bin).cmp(&(b.class, b.bin)))
        });
        let most_columns = if effort == Effort::Quick { QUICK_A_ROUND } else { THOROUGH_A_ROUND };
        let mut found: Vec<(f64, Pattern)> = Vec::new();
        for of in &mut rated {
            let full = effort == Effort::Thorough && found.len() >= most_columns;
            if of.most <= cost(of) * IMPROVES || full || stop() {
                break;
            }
            let pattern = match effort {
                Effort::Quick => Some(price::fill(instance, of, values, self.demands)),
                Effort::Thorough => price::search(self.task, of, values, self.demands),
            };
            let Some(pattern) = pattern else { continue };
            let value: f64 = pattern.counts.iter().map(|(i, n)| self.optimum.duals[*i] * f64::from(*n)).sum();
            if value > cost(of) * IMPROVES {
                found.push((value / cost(of), pattern));
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let added = found.into_iter().take(most_columns).filter(|(_, pattern)| self.add(pattern.clone())).count();
        let bound = total(values, self.demands) / overcharge(instance, &rated);
        if bound > self.bound {
            self.bound = bound;
            self.center = values.to_vec();
        }
        added
    }
}

fn total(values: &[f64], demands: &[u32]) -> f64 {
    values.iter().zip(demands).map(|(value, n)| value * f64::from(*n)).sum()
}

/// By how much the values overcharge a bin at most; at least 1.
fn overcharge(instance: &Instance, rated: &[Rated]) -> f64 {
    let cost = |rated: &Rated| usd(instance.classes[rated.class].bins[rated.bin].cost).max(1e-9);
    rated.iter().map(|rated| rated.most / cost(rated)).fold(1.0, f64::max)
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
