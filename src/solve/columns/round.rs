//! From fractions of patterns to whole bins: take the whole part, generate for what is left, fill the last bins one by one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Task;
use super::fill::{Filler, Worth};
use super::generate::{Effort, Generator};
use super::instance::{Instance, Packing, Pattern, usd};

/// Dollars an hour.
const LEAST_VALUE: f64 = 1e-7;

/// Whole bins that cover `demands`, one after another: the best value for its cost, items valued at `values`.
pub fn one_by_one(
    instance: &Instance,
    demands: &[u32],
    values: &[f64],
    weights: &[Vec<Vec<f64>>],
    stop: &dyn Fn() -> bool,
) -> Packing {
    let mut left = demands.to_vec();
    // a pod must be packed though its dual be zero
    let values: Vec<f64> = values.iter().map(|value| value.max(LEAST_VALUE)).collect();
    let values = values.as_slice();
    let mut packed = Packing::new();
    // what a bin can hold only shrinks with what is left: the ratios known so far are looked at in falling order, and
    // the first that still holds is the best
    let mut known: BinaryHeap<Known> = BinaryHeap::new();
    for (class, of) in instance.classes.iter().enumerate() {
        known.extend((0..of.bins.len()).map(|bin| Known { ratio: f64::INFINITY, class, bin }));
    }
    while left.iter().any(|&left| left > 0) && !stop() {
        let total: f64 = left.iter().zip(values).map(|(n, value)| f64::from(*n) * value).sum();
        let mut best: Option<Known> = None;
        let mut looked_at = Vec::new();
        while let Some(next) = known.pop() {
            if best.is_some_and(|best| best >= next) {
                known.push(next);
                break;
            }
            let of = &instance.classes[next.class];
            let worth = Worth { values, most: &left, weights: &weights[next.class][next.bin] };
            let filler = Filler { instance, class: of, worth };
            let filling = filler.fill_roughly(&of.bins[next.bin]);
            if filling.counts.iter().all(|&count| count == 0) {
                continue; // nothing of what is left fits, and less will be left later
            }
            let mut ratio = filling.value / usd(of.bins[next.bin].cost).max(1e-9);
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
        let worth = Worth { values, most: &left, weights: &weights[class][bin] };
        let filler = Filler { instance, class: of, worth };
        let pattern = Pattern { class, bin, counts: filler.listed(&filler.fill(&of.bins[bin]).counts) };
        // as many equal ones as the demand wants
        let times = pattern.counts.iter().map(|(item, n)| left[*item] / n).min().unwrap_or(1).max(1);
        take(&pattern, times, &mut left, &mut packed);
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

/// What each item is worth at the prices of the class in which it is worth least.
pub fn resource_values(instance: &Instance, weights: &[Vec<f64>]) -> Vec<f64> {
    let mut values = vec![f64::INFINITY; instance.items.len()];
    for (class, weights) in instance.classes.iter().zip(weights) {
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
    let instance = task.instance;
    let weights = &same_for_all_bins(instance, task.weights);
    let mut left = instance.demands();
    let mut packed: Packing = Vec::new();
    let mut columns: Vec<Pattern> = from.columns.clone();
    let mut values = from.optimum.duals.clone();
    while left.iter().any(|&n| n > 0) {
        let ended = one_by_one(instance, &left, &values, weights, &|| false);
        if (task.stop)() {
            packed.extend(ended);
            return packed;
        }
        // cut to what is left, so that no dual is wasted on pods that are placed already
        let mut start: Vec<Pattern> = columns.iter().filter_map(|pattern| cut(pattern, &left)).collect();
        start.extend(ended.iter().map(|(pattern, _)| pattern.clone()));
        let demands = left.clone();
        let generated = Generator::new(task, &demands, start, &values);
        let generated = generated.and_then(|mut of| of.run(task.work.dive_rounds, Effort::Quick).map(|()| of));
        let Some(generated) = generated else {
            packed.extend(ended);
            return packed;
        };
        values.clone_from(&generated.optimum.duals);
        let mut taken = false;
        let amounts = &generated.optimum.amounts;
        for (pattern, amount) in generated.columns.iter().zip(amounts) {
            let whole = (amount + 1e-6).floor() as u32;
            if whole > 0 {
                take(pattern, whole, &mut left, &mut packed);
                taken = true;
            }
        }
        // where nothing is whole, the largest fractions, one in `slices` of them at a time
        let mut fractions: Vec<(f64, usize)> = amounts
            .iter()
            .enumerate()
            .map(|(column, amount)| (amount - (amount + 1e-6).floor(), column))
            .filter(|(fraction, _)| *fraction > 1e-6)
            .collect();
        fractions.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let many = if taken { 0 } else { (fractions.len() / slices).max(1) };
        for (_, column) in fractions.into_iter().take(many) {
            let pattern = &generated.columns[column];
            if !taken || pattern.counts.iter().all(|(item, n)| left[*item] >= *n) {
                take(pattern, 1, &mut left, &mut packed);
            }
            taken = true;
        }
        if !taken {
            packed.extend(ended);
            return packed;
        }
        columns = generated.columns;
    }
    packed
}

fn cut(pattern: &Pattern, left: &[u32]) -> Option<Pattern> {
    let counts: Vec<(usize, u32)> =
        pattern.counts.iter().map(|(item, n)| (*item, (*n).min(left[*item]))).filter(|(_, n)| *n > 0).collect();
    (!counts.is_empty()).then(|| Pattern { counts, ..pattern.clone() })
}

fn take(pattern: &Pattern, times: u32, left: &mut [u32], packed: &mut Packing) {
    for (item, n) in &pattern.counts {
        left[*item] = left[*item].saturating_sub(n * times);
    }
    packed.push((pattern.clone(), times));
}

/// Prices of room by class, bin and dimension, from those by class.
pub fn same_for_all_bins(instance: &Instance, weights: &[Vec<f64>]) -> Vec<Vec<Vec<f64>>> {
    instance.classes.iter().zip(weights).map(|(class, weights)| vec![weights.clone(); class.bins.len()]).collect()
}
