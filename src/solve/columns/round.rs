//! From fractions of patterns to whole bins: take the whole part, generate for what is left, fill the last bins one by one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Task;
use super::fill::{Filler, Worth};
use super::generate::{Effort, Generator};
use super::instance::{Bin, Duals, Instance, Packing, Pattern, Row};

/// Dollars an hour.
const LEAST_VALUE: f64 = 1e-7;

/// Whole bins that cover `demands` as far as the rows allow, one after another: the best value for its price.
/// `weights`: prices of room by class, bin and dimension; `rows`: what is left of each row.
pub fn one_by_one(
    instance: &Instance,
    demands: &[u32],
    duals: &Duals,
    weights: &[Vec<Vec<f64>>],
    rows: &[i64],
    stop: &dyn Fn() -> bool,
) -> Packing {
    let mut left = Left { demands: demands.to_vec(), rows: rows.to_vec() };
    // a pod must be packed though its dual be zero
    let values: Vec<f64> = duals.items.iter().map(|value| value.max(LEAST_VALUE)).collect();
    let values = values.as_slice();
    let mut packed = Packing::new();
    // what a bin can hold only shrinks with what is left: the ratios known so far are looked at in falling order, and
    // the first that still holds is the best
    let mut known: BinaryHeap<Known> = BinaryHeap::new();
    for (class, of) in instance.classes.iter().enumerate() {
        known.extend((0..of.bins.len()).map(|bin| Known { ratio: f64::INFINITY, class, bin }));
    }
    while left.is_any() && !stop() {
        let total: f64 = left.demands.iter().zip(values).map(|(n, value)| f64::from(*n) * value).sum();
        let mut best: Option<Known> = None;
        let mut looked_at = Vec::new();
        while let Some(next) = known.pop() {
            if best.is_some_and(|best| best >= next) {
                known.push(next);
                break;
            }
            let of = &instance.classes[next.class];
            let bin = &of.bins[next.bin];
            if left.times(bin) == 0 {
                continue;
            }
            let worth = Worth { values, most: &left.demands, weights: &weights[next.class][next.bin] };
            let filler = Filler { instance, class: of, worth };
            let filling = filler.fill_roughly(bin);
            if filling.counts.iter().all(|&count| count == 0) {
                continue; // nothing of what is left fits, and less will be left later
            }
            let mut ratio = filling.value / instance.price(bin, duals);
            if filling.value >= total * (1.0 - 1e-9) {
                ratio *= 1.0 + 1e-6; // it ends the packing: nothing else must be bought
            }
            let known = Known { ratio, ..next };
            if best.is_none_or(|best| known > best) {
                best = Some(known);
            }
            looked_at.push(known);
        }
        known.extend(looked_at);
        let Some(Known { class, bin, .. }) = best else { break };
        let of = &instance.classes[class];
        let worth = Worth { values, most: &left.demands, weights: &weights[class][bin] };
        let filler = Filler { instance, class: of, worth };
        let filling = filler.fill(&of.bins[bin], instance.price(&of.bins[bin], duals));
        let pattern = Pattern { class, bin, counts: filler.listed(&filling.counts) };
        // as many equal ones as the demand wants
        let times = pattern.counts.iter().map(|(item, n)| left.demands[*item] / n).min().unwrap_or(1).max(1);
        left.take(instance, &pattern, times.min(left.times(&of.bins[bin])), &mut packed);
    }
    packed
}

/// A bin and the value for its price that it had when it was last filled.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    ratio: f64,
    class: usize,
    bin: usize,
}

impl Eq for Known {}

impl PartialOrd for Known {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Known {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.ratio.total_cmp(&other.ratio);
        order.then_with(|| (other.class, other.bin).cmp(&(self.class, self.bin)))
    }
}

/// Values that follow a packing: an item is worth more where the bins that hold it are worth less than they cost.
pub fn follow(instance: &Instance, packed: &Packing, duals: &mut Duals) {
    let mut costs = vec![(0.0, 0.0); duals.items.len()];
    for (pattern, times) in packed {
        let value: f64 = pattern.counts.iter().map(|(item, n)| duals.items[*item] * f64::from(*n)).sum();
        let ratio = instance.price(instance.bin(pattern), duals) / value.max(LEAST_VALUE);
        for (item, n) in &pattern.counts {
            let pods = f64::from(n * times);
            costs[*item].0 += pods * ratio.clamp(0.5, 2.0);
            costs[*item].1 += pods;
        }
    }
    for (value, (cost, pods)) in duals.items.iter_mut().zip(costs) {
        if pods > 0.0 {
            *value *= f64::midpoint(1.0, cost / pods);
        }
    }
}

/// What is still to be packed, and what is left for it.
pub struct Left {
    pub demands: Vec<u32>,
    pub rows: Vec<i64>,
}

impl Left {
    fn is_any(&self) -> bool {
        self.demands.iter().any(|&left| left > 0)
    }

    /// How many of such a bin the rows still allow.
    pub fn times(&self, bin: &Bin) -> u32 {
        let times = bin.uses.iter().map(|&(row, amount)| self.rows[row] / amount).min();
        times.map_or(u32::MAX, |times| u32::try_from(times.max(0)).unwrap_or(u32::MAX))
    }

    pub fn take(&mut self, instance: &Instance, pattern: &Pattern, times: u32, packed: &mut Packing) {
        for (item, n) in &pattern.counts {
            self.demands[*item] = self.demands[*item].saturating_sub(n * times);
        }
        for &(row, amount) in &instance.bin(pattern).uses {
            self.rows[row] -= amount * i64::from(times);
        }
        packed.push((pattern.clone(), times));
    }
}

/// The patterns of a packing of other demands as far as these want them: as often as all of each is wanted, then once more
/// where at least half of it is. With what is left of demands and rows.
pub fn as_far_as_wanted(instance: &Instance, packing: &Packing, demands: &[u32]) -> (Packing, Vec<u32>, Vec<i64>) {
    let mut left = Left { demands: demands.to_vec(), rows: instance.capacities() };
    let mut packed = Packing::new();
    for (pattern, times) in packing {
        let wanted = pattern.counts.iter().map(|(item, n)| left.demands[*item] / n).min().unwrap_or(0);
        let whole = wanted.min(*times).min(left.times(instance.bin(pattern)));
        if whole > 0 {
            left.take(instance, pattern, whole, &mut packed);
        }
        let counts: Vec<(usize, u32)> =
            pattern.counts.iter().map(|&(item, n)| (item, n.min(left.demands[item]))).filter(|(_, n)| *n > 0).collect();
        let pods = |counts: &[(usize, u32)]| counts.iter().map(|(_, n)| u64::from(*n)).sum::<u64>();
        let is_half = !counts.is_empty() && 2 * pods(&counts) >= pods(&pattern.counts);
        if whole < *times && is_half && left.times(instance.bin(pattern)) > 0 {
            left.take(instance, &Pattern { counts, ..pattern.clone() }, 1, &mut packed);
        }
    }
    (packed, left.demands, left.rows)
}

/// What each item is worth at the prices of the class in which it is worth least.
pub fn resource_values(instance: &Instance, weights: &[Vec<f64>]) -> Vec<f64> {
    let mut values = vec![f64::INFINITY; instance.items.len()];
    for (class, weights) in instance.classes.iter().zip(weights) {
        if class.bins.iter().all(|bin| instance.supply(bin).is_some()) {
            continue;
        }
        for &item in &class.items {
            let size = &instance.items[item].size;
            let value: f64 = size.iter().zip(weights).map(|(size, weight)| *size as f64 * weight).sum();
            values[item] = values[item].min(value);
        }
    }
    values.into_iter().map(|value| if value.is_finite() { value } else { 0.0 }).collect()
}

/// Dives: the whole part of the LP is taken, then the largest fractions are rounded up, until nothing is left.
pub fn dive(task: &Task, from: &Generator, slices: usize) -> Packing {
    let mut left = Left { demands: task.instance.demands(), rows: task.instance.capacities() };
    let weights = &same_for_all_bins(task.instance, task.weights);
    let mut packed: Packing = Vec::new();
    let mut columns: Vec<Pattern> = from.columns.clone();
    let mut duals = from.duals.clone();
    while left.is_any() {
        // of rows that are used up nothing can be bought, whatever their capacity is
        let rows =
            task.instance.rows.iter().zip(&left.rows).map(|(row, left)| Row { capacity: (*left).max(1), ..*row });
        let instance = Instance { rows: rows.collect(), ..task.instance.clone() };
        let here = Task { instance: &instance, ..*task };
        let ended = one_by_one(&instance, &left.demands, &duals, weights, &left.rows, &|| false);
        if (task.stop)() {
            packed.extend(ended);
            return packed;
        }
        // cut to what is left, so that no dual is wasted on pods that are placed already
        let cut = columns.iter().filter(|pattern| left.times(instance.bin(pattern)) > 0);
        let mut start: Vec<Pattern> = cut.filter_map(|pattern| cut_to(pattern, &left.demands)).collect();
        start.extend(ended.iter().map(|(pattern, _)| pattern.clone()));
        let demands = left.demands.clone();
        let generated = Generator::new(&here, &demands, start, &duals);
        let generated =
            generated.and_then(|mut of| of.run(task.work.dive_rounds, Effort::Quick, task.stop).map(|_| of));
        let Some(generated) = generated else {
            packed.extend(ended);
            return packed;
        };
        duals.clone_from(&generated.duals);
        if !take_some(&instance, &generated, slices, &mut left, &mut packed) {
            packed.extend(ended);
            return packed;
        }
        columns = generated.columns;
    }
    packed
}

/// Takes the whole part of every column; where nothing is whole, the largest fractions, one in `slices` of them. Returns
/// whether something was taken.
fn take_some(instance: &Instance, generated: &Generator, slices: usize, left: &mut Left, packed: &mut Packing) -> bool {
    let mut taken = false;
    let amounts = &generated.optimum.amounts;
    for (pattern, amount) in generated.columns.iter().zip(amounts) {
        let whole = ((amount + 1e-6).floor() as u32).min(left.times(instance.bin(pattern)));
        if whole > 0 {
            left.take(instance, pattern, whole, packed);
            taken = true;
        }
    }
    if taken {
        return true;
    }
    let mut fractions: Vec<(f64, usize)> =
        amounts.iter().enumerate().map(|(column, amount)| (*amount, column)).filter(|(of, _)| *of > 1e-6).collect();
    fractions.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let many = (fractions.len() / slices).max(1);
    for (_, column) in fractions.into_iter().take(many) {
        let pattern = &generated.columns[column];
        let fits = pattern.counts.iter().all(|(item, n)| left.demands[*item] >= *n);
        if (!taken || fits) && left.times(instance.bin(pattern)) > 0 {
            left.take(instance, pattern, 1, packed);
            taken = true;
        }
    }
    taken
}

fn cut_to(pattern: &Pattern, left: &[u32]) -> Option<Pattern> {
    let counts: Vec<(usize, u32)> =
        pattern.counts.iter().map(|(item, n)| (*item, (*n).min(left[*item]))).filter(|(_, n)| *n > 0).collect();
    (!counts.is_empty()).then(|| Pattern { counts, ..pattern.clone() })
}

/// Prices of room by class, bin and dimension, from those by class.
pub fn same_for_all_bins(instance: &Instance, weights: &[Vec<f64>]) -> Vec<Vec<Vec<f64>>> {
    instance.classes.iter().zip(weights).map(|(class, weights)| vec![weights.clone(); class.bins.len()]).collect()
}
