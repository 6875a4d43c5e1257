//! The cheapest packing of few pods, by trying all that could be cheaper than the best one known.
//!
//! Node after node: one holds the first pod that is left, and whatever else; only fillings to which nothing can be added are
//! tried. Duals say what the rest costs at least: every node taken costs what its filling is not worth, and where the sum
//! of these reaches the best packing known, the branch ends. A search that was not cut short proves its answer.

use std::collections::HashMap;

use super::instance::{Bin, Duals, Instance, Packing, Pattern};
use crate::solve::knapsack::give;
use crate::solve::knapsack::multipliers::{CLOSE_ENOUGH, Relaxation};
use crate::solve::knapsack::table::{at_prices, fits, profit, whole, worth};

/// Of what was left before so many numbers are remembered: some 32 MiB.
const MOST_SEEN: usize = 4_000_000;
/// Fillings of one node that are told apart: more take longer to make than anybody has time to try them.
const MOST_FILLINGS: usize = 100_000;

/// Nano-dollars in a micro-dollar.
const NANO: i64 = 1_000;

/// What a search came to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Cheaper than what was known; micro-dollars an hour.
    pub better: Option<(i64, Packing)>,
    /// Nothing is cheaper than the better one, or than what was known.
    pub is_proven: bool,
}

/// Looks for packings of all pods that cost less than `known` (micro-dollars an hour), in at most so many steps.
pub fn search(instance: &Instance, duals: &Duals, known: i64, steps: usize, stop: &dyn Fn() -> bool) -> Answer {
    let Some(mut search) = Exact::new(instance, duals, known, steps, stop) else {
        return Answer { better: None, is_proven: false };
    };
    let lower = search.lower();
    let done = search.descend(lower);
    let better = search.found.map(|packing| (search.best, packing));
    Answer { better, is_proven: done }
}

struct Exact<'e> {
    instance: &'e Instance,
    stop: &'e dyn Fn() -> bool,
    /// Nano-dollars a pod, by item: no bin holds more than it costs with what it uses.
    values: Vec<i64>,
    /// Nano-dollars a unit, by row.
    charges: Vec<i64>,
    /// Items, the dearest first.
    order: Vec<usize>,
    /// By class and bin.
    bins: Vec<Vec<Priced>>,
    steps: usize,
    left: Vec<u32>,
    rows: Vec<i64>,
    taken: Packing,
    /// Micro-dollars an hour.
    best: i64,
    found: Option<Packing>,
    /// The least bound with which the same pods were left before.
    seen: HashMap<Vec<u32>, i64>,
}

/// A bin with what helps to fill it.
struct Priced {
    /// Cost with what it uses of rows, nano-dollars.
    price: i64,
    /// Prices of room, 10^-18 dollars a unit.
    prices: Vec<i128>,
    /// By position in the order of items: what all from there on are worth beyond the room that they take.
    profits: Vec<i64>,
}

/// A filling that is being made.
struct Filling<'f> {
    class: usize,
    bin: usize,
    room: Vec<i64>,
    counts: Vec<(usize, u32)>,
    value: i64,
    /// Fillings worth less are of no use.
    least: i64,
    found: &'f mut Vec<(i64, Pattern)>,
}

impl<'e> Exact<'e> {
    /// `None` where the duals overcharge a bin that costs nothing.
    fn new(
        instance: &'e Instance,
        duals: &Duals,
        known: i64,
        steps: usize,
        stop: &'e dyn Fn() -> bool,
    ) -> Option<Self> {
        // any charge that is not negative gives a bound; where the unit is a byte, a nano-dollar is far more than it is worth
        let charge = |(row, of_row): (usize, &f64)| (of_row * 1e9 / instance.rows[row].capacity as f64).round() as i64;
        let mut charges: Vec<i64> = duals.rows.iter().enumerate().map(charge).collect();
        let mut values: Vec<i64> = duals.items.iter().map(|value| (value * 1e9) as i64).collect();
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| {
            let size = |item: usize| &instance.items[item].size;
            values[b].cmp(&values[a]).then_with(|| size(b).cmp(size(a))).then(a.cmp(&b))
        });
        let mut search = Self {
            instance,
            stop,
            values: Vec::new(),
            charges: Vec::new(),
            order,
            bins: Vec::new(),
            steps,
            left: instance.demands(),
            rows: instance.capacities(),
            taken: Packing::new(),
            best: known,
            found: None,
            seen: HashMap::new(),
        };
        // a supply is charged what its bins hold; then values are lowered until no other bin holds more than it costs
        let mut theta = (1_i128, 1_i128);
        for supplies in [true, false] {
            for (class, bin) in search.all_bins() {
                let of = &instance.classes[class].bins[bin];
                let supply = instance.supply(of);
                if supply.is_some() != supplies {
                    continue;
                }
                let most = search.most(class, of, &values);
                let price =
                    of.cost * NANO + of.uses.iter().map(|&(row, n)| charges[row].saturating_mul(n)).sum::<i64>();
                match supply {
                    Some((row, amount)) if most > price => charges[row] += (most - price + amount - 1) / amount,
                    None if i128::from(most) * theta.1 > theta.0 * i128::from(price) => {
                        theta = (i128::from(most), i128::from(price));
                    }
                    _ => {}
                }
            }
        }
        if theta.1 == 0 {
            return None;
        }
        for value in &mut values {
            *value = i64::try_from(i128::from(*value) * theta.1 / theta.0).ok()?;
        }
        let bins = instance
            .classes
            .iter()
            .enumerate()
            .map(|(class, of)| of.bins.iter().map(|bin| search.priced(class, bin, &values, &charges)).collect());
        search.bins = bins.collect();
        (search.values, search.charges) = (values, charges);
        Some(search)
    }

    fn all_bins(&self) -> Vec<(usize, usize)> {
        let classes = self.instance.classes.iter().enumerate();
        classes.flat_map(|(class, of)| (0..of.bins.len()).map(move |bin| (class, bin))).collect()
    }

    /// Prices of the bin's room, and items of its class that fit: position in the order, how many.
    fn relaxed(&self, class: usize, bin: &Bin, values: &[i64]) -> (Vec<i128>, Vec<(usize, u32)>) {
        let items = &self.instance.classes[class].items;
        let held: Vec<(usize, u32)> = self
            .order
            .iter()
            .enumerate()
            .filter(|(_, item)| items.binary_search(item).is_ok())
            .map(|(position, &item)| {
                let of = &self.instance.items[item];
                (position, fits(&of.size, &bin.room).min(of.most).min(of.demand))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        let items = held.iter().map(|&(position, count)| {
            let item = self.order[position];
            (&*self.instance.items[item].size, values[item] as f64, count)
        });
        let prices = Relaxation::of(&bin.room, items).solve(CLOSE_ENOUGH).prices;
        (prices.into_iter().map(|price| whole(price, 1e9)).collect(), held)
    }

    /// The most that the bin can hold, nano-dollars.
    fn most(&self, class: usize, bin: &Bin, values: &[i64]) -> i64 {
        let (prices, held) = self.relaxed(class, bin, values);
        let items = held.iter().map(|&(position, count)| {
            let item = self.order[position];
            (&*self.instance.items[item].size, values[item], count)
        });
        at_prices(&bin.room, &prices, items)
    }

    fn priced(&self, class: usize, bin: &Bin, values: &[i64], charges: &[i64]) -> Priced {
        let (prices, held) = self.relaxed(class, bin, values);
        let mut profits = vec![0_i64; self.order.len() + 1];
        for (position, count) in held {
            let item = self.order[position];
            profits[position] = profit(&prices, values[item], &self.instance.items[item].size) * i64::from(count);
        }
        for position in (0..self.order.len()).rev() {
            profits[position] += profits[position + 1];
        }
        let of_rows: i64 = bin.uses.iter().map(|&(row, amount)| charges[row].saturating_mul(amount)).sum();
        Priced { price: bin.cost * NANO + of_rows, prices, profits }
    }

    /// What all pods cost at least, nano-dollars.
    fn lower(&self) -> i64 {
        let pods: i64 = self.values.iter().zip(&self.left).map(|(value, left)| value * i64::from(*left)).sum();
        let rows: i64 = self.charges.iter().zip(&self.rows).map(|(charge, left)| charge.saturating_mul(*left)).sum();
        pods - rows
    }

    /// `bound`: what any packing with the nodes taken so far costs at least, nano-dollars. Returns whether all was tried.
    fn descend(&mut self, bound: i64) -> bool {
        let Some(position) = self.order.iter().position(|&item| self.left[item] > 0) else {
            let cost = self.taken.iter().map(|(pattern, _)| self.instance.cost(pattern)).sum();
            if cost < self.best {
                (self.best, self.found) = (cost, Some(self.taken.clone()));
            }
            return true;
        };
        if self.rows.is_empty() {
            // where bins share nothing, the pods that are left say all
            let has_room = self.seen.len() * self.order.len() < MOST_SEEN;
            match self.seen.get_mut(&self.left) {
                Some(seen) if bound >= *seen => return true,
                Some(seen) => *seen = bound,
                None if has_room => _ = self.seen.insert(self.left.clone(), bound),
                None => {}
            }
        }
        let mut found: Vec<(i64, Pattern)> = Vec::new();
        let mut is_complete = true;
        for (class, bin) in self.all_bins() {
            let of = &self.instance.classes[class].bins[bin];
            if of.uses.iter().any(|&(row, amount)| amount > self.rows[row]) {
                continue;
            }
            // a node may waste so much that the bound stays a micro-dollar below the best
            let waste = (self.best - 1) * NANO - bound;
            let least = self.bins[class][bin].price - waste;
            let mut filling =
                Filling { class, bin, room: of.room.clone(), counts: Vec::new(), value: 0, least, found: &mut found };
            is_complete &= self.fill(position, position, &mut filling);
        }
        found.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        for (waste, pattern) in found {
            if bound + waste > (self.best - 1) * NANO {
                break;
            }
            self.take(&pattern, true);
            self.taken.push((pattern.clone(), 1));
            is_complete &= self.descend(bound + waste);
            self.taken.pop();
            self.take(&pattern, false);
        }
        is_complete
    }

    fn take(&mut self, pattern: &Pattern, is_taken: bool) {
        for &(item, count) in &pattern.counts {
            self.left[item] = if is_taken { self.left[item] - count } else { self.left[item] + count };
        }
        for &(row, amount) in &self.instance.bin(pattern).uses {
            self.rows[row] += if is_taken { -amount } else { amount };
        }
    }

    /// Adds items from `position` on, at least one of the `first`. Returns whether all was tried.
    fn fill(&mut self, first: usize, position: usize, filling: &mut Filling) -> bool {
        if self.steps == 0 || (self.steps.is_multiple_of(256) && (self.stop)()) {
            self.steps = 0;
            return false;
        }
        self.steps -= 1;
        let (class, bin) = (filling.class, filling.bin);
        let priced = &self.bins[class][bin];
        let rest = worth(&priced.prices, &filling.room).saturating_add(priced.profits[position]);
        if filling.value.saturating_add(rest) < filling.least {
            return true;
        }
        let instance = self.instance;
        let items = &instance.classes[class].items;
        let Some(&item) = self.order.get(position) else {
            let adds = |&item: &usize| {
                let of = &instance.items[item];
                let count = filling.counts.iter().find(|(of, _)| *of == item).map_or(0, |(_, count)| *count);
                count < self.left[item].min(of.most) && fits(&of.size, &filling.room) > 0
            };
            if !items.iter().any(adds) {
                if filling.found.len() >= MOST_FILLINGS {
                    return false;
                }
                let mut counts = filling.counts.clone();
                counts.sort_unstable();
                let waste = self.bins[class][bin].price - filling.value;
                filling.found.push((waste, Pattern { class, bin, counts }));
            }
            return true;
        };
        let of = &instance.items[item];
        let most = match items.binary_search(&item) {
            Ok(_) => fits(&of.size, &filling.room).min(of.most).min(self.left[item]),
            Err(_) => 0,
        };
        let mut is_complete = true;
        for count in (u32::from(position == first)..=most).rev() {
            give(&mut filling.room, &of.size, -i64::from(count));
            filling.value += self.values[item] * i64::from(count);
            if count > 0 {
                filling.counts.push((item, count));
            }
            is_complete &= self.fill(first, position + 1, filling);
            if count > 0 {
                filling.counts.pop();
            }
            filling.value -= self.values[item] * i64::from(count);
            give(&mut filling.room, &of.size, i64::from(count));
        }
        is_complete
    }
}
