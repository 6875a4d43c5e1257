//! The loop: solve the master, price, add the patterns that would lower its cost.

use std::collections::HashSet;

use super::Task;
use super::instance::{Bin, Duals, Instance, Packing, Pattern, usd};
use super::price::{self, IMPROVES};
use super::rate::{Exact, Rated};
use super::round::one_by_one;
use crate::solve::lp::{Column, Master, Optimum, best_prices};

/// New columns of a round of quick pricing, and of a round of thorough pricing.
const QUICK_A_ROUND: usize = 16;
const THOROUGH_A_ROUND: usize = 6;
/// Bins that get the best prices of their room at each duals.
const EXACT: usize = 24;
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
    /// The master's own duals.
    pub duals: Duals,
    /// The duals that prove the best bound so far, and that bound, dollars an hour: what the fractional master costs at least
    /// when all patterns are there.
    pub center: Duals,
    pub bound: f64,
    smoothing: f64,
    /// How many are over.
    pub rounds: usize,
}

/// How hard a round looks for patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    Quick,
    /// Where quick pricing finds nothing, searches that may end with a proof that there is nothing.
    Thorough,
}

/// Why column generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Converged,
    Rounds,
    Paused,
}

impl<'t> Generator<'t> {
    /// `rows`: how much of each row is left; `center`: duals that overcharge no bin by much. `None` where HiGHS fails.
    pub fn new(
        task: &'t Task<'t>,
        demands: &'t [u32],
        start: impl IntoIterator<Item = Pattern>,
        center: &Duals,
    ) -> Option<Self> {
        let costs = demands.iter().copied().zip(task.leaving.iter().copied());
        let master = Master::new(&costs.collect::<Vec<_>>(), task.instance.rows.len());
        let optimum = Optimum { cost: 0.0, amounts: vec![], of_demands: vec![], of_limits: vec![] };
        let mut generator = Self {
            task,
            demands,
            known: HashSet::new(),
            columns: Vec::new(),
            master,
            optimum,
            duals: Duals::default(),
            center: center.clone(),
            bound: 0.0,
            smoothing: SMOOTHING,
            rounds: 0,
        };
        for pattern in start {
            generator.add(pattern);
        }
        generator.solve()?;
        let rated = generator.rate(center);
        generator.learn(center, &rated);
        Some(generator)
    }

    fn solve(&mut self) -> Option<()> {
        self.optimum = self.master.solve()?;
        self.duals = Duals { items: self.optimum.of_demands.clone(), rows: self.optimum.of_limits.clone() };
        Some(())
    }

    /// Adds columns until none improves, or so many rounds are over, or it is to pause; `None` where HiGHS fails.
    pub fn run(&mut self, rounds: usize, effort: Effort, pause: &dyn Fn() -> bool) -> Option<End> {
        for _ in 0..rounds {
            if pause() {
                return Some(End::Paused);
            }
            if self.bound > self.optimum.cost * CLOSE_ENOUGH || self.round(effort) == 0 {
                return Some(if (self.task.stop)() { End::Paused } else { End::Converged });
            }
            self.rounds += 1;
            self.solve()?;
        }
        Some(End::Rounds)
    }

    /// Packs everything at the duals that would be priced next, and adds those patterns; the master is not solved.
    pub fn pack(&mut self) -> Packing {
        let Task { instance, stop, .. } = *self.task;
        let duals = self.smoothed();
        drop(self.rate(&duals));
        let weights = self.task.rater.borrow().weights(instance);
        let packed = one_by_one(instance, self.demands, &duals, &weights, &instance.capacities(), stop);
        for (pattern, _) in &packed {
            self.add(pattern.clone());
        }
        packed
    }

    fn rate(&self, duals: &Duals) -> Vec<Rated> {
        self.task.rater.borrow_mut().rate(self.task.instance, duals, self.demands, Exact::first(EXACT))
    }

    fn add(&mut self, pattern: Pattern) -> bool {
        let is_new = self.known.insert(pattern.clone());
        if is_new {
            let instance = self.task.instance;
            let bin = instance.bin(&pattern);
            let uses: Vec<(usize, f64)> = bin.uses.iter().map(|&(row, n)| (row, instance.part(row, n))).collect();
            self.master.add(&Column { cost: usd(bin.cost), covers: &pattern.counts, uses: &uses });
            self.columns.push(pattern);
        }
        is_new
    }

    /// Duals between the best known and the master's own, which jump from round to round.
    fn smoothed(&self) -> Duals {
        self.center.mixed(self.smoothing, &self.duals)
    }

    /// Quick pricing at smoothed duals, at the duals themselves, then thorough pricing of both: the columns of the first
    /// that finds some. Returns how many.
    fn round(&mut self, effort: Effort) -> usize {
        let before = self.bound;
        let attempts = [
            (Effort::Quick, self.smoothed()),
            (Effort::Quick, self.duals.clone()),
            (Effort::Thorough, self.smoothed()),
            (Effort::Thorough, self.duals.clone()),
        ];
        let mut added = 0;
        for (effort, duals) in attempts.into_iter().take(if effort == Effort::Quick { 2 } else { 4 }) {
            added = self.price(effort, &duals);
            if added > 0 {
                break;
            }
        }
        self.smoothing = if self.bound > before { SMOOTHING } else { (self.smoothing - SMOOTHING_STEP).max(0.0) };
        added
    }

    fn price(&mut self, effort: Effort, duals: &Duals) -> usize {
        let Task { instance, stop, .. } = *self.task;
        let price = |rated: &Rated| instance.price(rated.of(instance), duals);
        let mut rated = self.rate(duals);
        let most_columns = if effort == Effort::Quick { QUICK_A_ROUND } else { THOROUGH_A_ROUND };
        let mut found: Vec<(f64, Pattern)> = Vec::new();
        for of in &mut rated {
            let full = effort == Effort::Thorough && found.len() >= most_columns;
            if of.most <= price(of) * IMPROVES || full || stop() {
                break;
            }
            let pattern = match effort {
                Effort::Quick => Some(price::fill(instance, of, duals, self.demands)),
                Effort::Thorough => price::search(self.task, of, duals, self.demands),
            };
            let Some(pattern) = pattern else { continue };
            let value: f64 = pattern.counts.iter().map(|(i, n)| self.duals.items[*i] * f64::from(*n)).sum();
            let cost = instance.price(of.of(instance), &self.duals);
            if value > cost * IMPROVES {
                found.push((value / cost, pattern));
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let added = found.into_iter().take(most_columns).filter(|(_, pattern)| self.add(pattern.clone())).count();
        self.learn(duals, &rated);
        added
    }

    /// The bound that these duals prove, if it is better: pods are worth no more than theta times what the bins that hold
    /// them cost with what they use of the rows; a supply is charged what its bins can hold.
    fn learn(&mut self, duals: &Duals, rated: &[Rated]) {
        let instance = self.task.instance;
        let mut rows = duals.rows.clone();
        let supply = |rated: &&Rated| instance.supply(rated.of(instance)).is_some();
        for (row, _) in rated.iter().filter(supply).filter_map(|rated| instance.supply(rated.of(instance))) {
            rows[row] = 0.0;
        }
        for rated in rated.iter().filter(supply) {
            let bin = rated.of(instance);
            let Some((row, amount)) = instance.supply(bin) else { continue };
            let others: f64 =
                bin.uses.iter().filter(|(of, _)| *of != row).map(|&(of, n)| rows[of] * instance.part(of, n)).sum();
            let gain = rated.most - usd(bin.cost) - others;
            rows[row] = rows[row].max(gain / instance.part(row, amount));
        }
        let duals = Duals { items: duals.items.clone(), rows };
        let ratios = rated.iter().map(|rated| rated.most / instance.price(rated.of(instance), &duals));
        let theta = ratios.fold(1.0, f64::max);
        let total: f64 = duals.items.iter().zip(self.demands).map(|(value, n)| value * f64::from(*n)).sum();
        let bound = total / theta - duals.rows.iter().sum::<f64>();
        if bound > self.bound || self.bound == 0.0 {
            self.bound = bound.max(0.0);
            self.center = duals;
        }
    }
}

/// Prices of the resources of one class, dollars a unit: the dual of buying its bins by the fraction.
#[must_use]
pub fn resource_prices(instance: &Instance, class: usize) -> Vec<f64> {
    let of = &instance.classes[class];
    let bought = || of.bins.iter().filter(|bin| instance.supply(bin).is_none());
    let scale: Vec<f64> =
        (0..instance.dims).map(|dim| bought().map(|bin| bin.room[dim]).max().unwrap_or(1).max(1) as f64).collect();
    let total = |dim: usize| -> f64 {
        let items = of.items.iter().map(|&item| &instance.items[item]);
        items.map(|item| item.size[dim] as f64 * f64::from(item.demand)).sum()
    };
    let totals: Vec<f64> = scale.iter().enumerate().map(|(dim, scale)| total(dim) / scale).collect();
    let row = |bin: &Bin| -> (Vec<f64>, f64) {
        (bin.room.iter().zip(&scale).map(|(room, scale)| (*room).max(0) as f64 / scale).collect(), usd(bin.cost))
    };
    let rows: Vec<(Vec<f64>, f64)> = bought().map(row).collect();
    if rows.is_empty() {
        return vec![0.0; instance.dims];
    }
    let prices = best_prices(&totals, &rows).unwrap_or_else(|| vec![1.0; instance.dims]);
    prices.iter().zip(&scale).map(|(price, scale)| price / scale).collect()
}
