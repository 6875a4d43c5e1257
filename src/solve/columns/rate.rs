//! How much each bin could hold if pods could be cut, without asking each bin anew every time.
//!
//! Any prices of a bin's room bound what it holds; those that were best at the last duals are nearly so at the next. So every
//! bin is bounded at the prices that it had, and only those that stand highest for their price get new ones.

use super::instance::{Bin, Duals, Instance};
use crate::solve::knapsack::multipliers::{CLOSE_ENOUGH, Relaxation};
use crate::solve::knapsack::table::fits;

/// What is known of every bin.
pub struct Rater {
    bins: Vec<Known>,
}

struct Known {
    class: usize,
    bin: usize,
    /// Items that fit, and how many of each at most.
    held: Vec<(usize, u32)>,
    /// Dollars for a unit of room, by dimension.
    weights: Vec<f64>,
    /// Dimensions whose weight is not zero.
    priced: Vec<usize>,
}

/// A bin at given values of the items.
#[derive(Debug, Clone)]
pub struct Rated {
    pub class: usize,
    pub bin: usize,
    /// No filling of the bin is worth more, dollars.
    pub most: f64,
    /// What a unit of its room is worth, dollars by dimension.
    pub weights: Vec<f64>,
}

impl Rated {
    pub fn of<'i>(&self, instance: &'i Instance) -> &'i Bin {
        &instance.classes[self.class].bins[self.bin]
    }
}

/// Which bins get new prices, and how good those are.
#[derive(Debug, Clone, Copy)]
pub struct Exact {
    /// So many that stand first.
    pub bins: usize,
    /// As [`CLOSE_ENOUGH`].
    pub close: f64,
}

impl Exact {
    pub const fn first(bins: usize) -> Self {
        Self { bins, close: CLOSE_ENOUGH }
    }
}

impl Rater {
    /// Every bin at the prices of its class (by class, then dimension).
    pub fn new(instance: &Instance, weights: &[Vec<f64>]) -> Self {
        let mut bins = Vec::new();
        for (class, of) in instance.classes.iter().enumerate() {
            for (bin, of_bin) in of.bins.iter().enumerate() {
                let count = |&item: &usize| {
                    let model = &instance.items[item];
                    let count = fits(&model.size, &of_bin.room).min(model.most).min(model.demand);
                    (count > 0).then_some((item, count))
                };
                let held = of.items.iter().filter_map(count).collect();
                let mut known = Known { class, bin, held, weights: Vec::new(), priced: Vec::new() };
                known.set(weights[class].clone());
                bins.push(known);
            }
        }
        Self { bins }
    }

    /// Every bin, those first that could hold most for their price; `most`: how many of each item are wanted. The first
    /// of them have prices that are the best at these duals, as `exact` says.
    pub fn rate(&mut self, instance: &Instance, duals: &Duals, most: &[u32], exact: Exact) -> Vec<Rated> {
        let price = |known: &Known| instance.price(&instance.classes[known.class].bins[known.bin], duals);
        // (what it holds for its price, what it holds, index, whether its prices are new)
        let mut order: Vec<(f64, f64, usize, bool)> = Vec::with_capacity(self.bins.len());
        for (index, known) in self.bins.iter().enumerate() {
            let bound = known.bound(instance, duals, most);
            order.push((bound / price(known), bound, index, false));
        }
        let by_ratio =
            |a: &(f64, f64, usize, bool), b: &(f64, f64, usize, bool)| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2));
        order.sort_unstable_by(by_ratio);
        // those that stand first get new prices, until as many as wanted stand first with new ones
        for _ in 0..MOST_ROUNDS {
            let stale: Vec<usize> = (0..order.len().min(exact.bins)).filter(|&place| !order[place].3).collect();
            if stale.is_empty() {
                break;
            }
            for place in stale {
                let (_, before, index, _) = order[place];
                let known = &mut self.bins[index];
                let found = known.refine(instance, duals, most, exact.close).min(before);
                order[place] = (found / price(known), found, index, true);
            }
            order.sort_unstable_by(by_ratio);
        }
        let rated = order.into_iter().map(|(_, most, index, _)| {
            let Known { class, bin, weights, .. } = &self.bins[index];
            Rated { class: *class, bin: *bin, most, weights: weights.clone() }
        });
        rated.collect()
    }

    /// Prices of room by class, bin and dimension.
    pub fn weights(&self, instance: &Instance) -> Vec<Vec<Vec<f64>>> {
        let mut by_bin: Vec<Vec<Vec<f64>>> =
            instance.classes.iter().map(|class| vec![Vec::new(); class.bins.len()]).collect();
        for known in &self.bins {
            by_bin[known.class][known.bin].clone_from(&known.weights);
        }
        by_bin
    }
}

/// Bins that pass others when those get new prices are given new ones themselves, so often at most.
const MOST_ROUNDS: usize = 12;

impl Known {
    fn set(&mut self, weights: Vec<f64>) {
        self.priced = (0..weights.len()).filter(|&dim| weights[dim] > 0.0).collect();
        self.weights = weights;
    }

    /// What the bin holds at most, at the prices that it has.
    fn bound(&self, instance: &Instance, duals: &Duals, most: &[u32]) -> f64 {
        let room = &instance.classes[self.class].bins[self.bin].room;
        let mut bound: f64 = self.priced.iter().map(|&dim| room[dim].max(0) as f64 * self.weights[dim]).sum();
        for &(item, count) in &self.held {
            let size = &instance.items[item].size;
            let taken: f64 = self.priced.iter().map(|&dim| size[dim] as f64 * self.weights[dim]).sum();
            let profit = duals.items[item] - taken;
            if profit > 0.0 {
                bound += profit * f64::from(count.min(most[item]));
            }
        }
        bound
    }

    /// Gives the bin new prices; returns what it holds at most.
    fn refine(&mut self, instance: &Instance, duals: &Duals, most: &[u32], close: f64) -> f64 {
        let room = &instance.classes[self.class].bins[self.bin].room;
        let held = self.held.iter().filter(|(item, _)| most[*item] > 0 && duals.items[*item] > 0.0);
        let items = held.map(|&(item, count)| (&*instance.items[item].size, duals.items[item], count.min(most[item])));
        let found = Relaxation::of(room, items).solve(close);
        self.set(found.prices);
        found.most
    }
}
