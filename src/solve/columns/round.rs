//! From fractions of patterns to whole bins: take the whole part, generate for what is left, fill the last bins one by one.

use super::Task;
use super::fill::{Filler, Worth};
use super::generate::generate;
use super::instance::{Instance, Packing, Pattern, usd};

/// Whole bins that cover `demands`, one after another: the best value for its cost, items valued at `values`.
pub fn one_by_one(
    instance: &Instance,
    demands: &[u32],
    values: &[f64],
    weights: &[Vec<f64>],
    stop: &dyn Fn() -> bool,
) -> Packing {
    let mut left = demands.to_vec();
    let mut packed = Vec::new();
    while left.iter().any(|&left| left > 0) && !stop() {
        let mut best: Option<(f64, Pattern)> = None;
        let total: f64 = left.iter().zip(values).map(|(n, v)| f64::from(*n) * v.max(1e-9)).sum();
        for (index, class) in instance.classes.iter().enumerate() {
            let worth = Worth { values, most: &left, weights: &weights[index] };
            let filler = Filler { instance, class, worth };
            for (bin, of) in class.bins.iter().enumerate() {
                let counts = filler.listed(&filler.fill(of).counts);
                if counts.is_empty() {
                    continue;
                }
                let value: f64 = counts.iter().map(|(i, n)| values[*i].max(1e-9) * f64::from(*n)).sum();
                let mut ratio = value / usd(of.cost).max(1e-9);
                if value >= total * (1.0 - 1e-9) {
                    // it ends the packing: nothing else must be bought
                    ratio *= 1.0 + 1e-6;
                }
                if best.as_ref().is_none_or(|(r, _)| ratio > *r) {
                    best = Some((ratio, Pattern { class: index, bin, counts }));
                }
            }
        }
        let Some((_, pattern)) = best else { break };
        // as many equal ones as the demand wants
        let times = pattern.counts.iter().map(|(item, n)| left[*item] / n).min().unwrap_or(1).max(1);
        for (item, n) in &pattern.counts {
            left[*item] -= (n * times).min(left[*item]);
        }
        packed.push((pattern, times));
    }
    packed
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

/// Dives: the whole part of the LP is taken, then the largest fraction is rounded up, until nothing is left.
pub fn dive(task: &Task, columns: &[Pattern], duals: &[f64], slices: usize) -> Packing {
    let (instance, weights) = (task.instance, task.weights);
    let mut left = instance.demands();
    let mut packed: Packing = Vec::new();
    let mut pool: Vec<Pattern> = columns.to_vec();
    let mut values = duals.to_vec();
    while left.iter().any(|&n| n > 0) {
        if (task.stop)() {
            packed.extend(one_by_one(instance, &left, &values, weights, &|| false));
            return packed;
        }
        // cut to what is left, so that no dual is wasted on pods that are placed already
        let mut start: Vec<Pattern> = pool.iter().filter_map(|pattern| cut(pattern, &left)).collect();
        start.extend(one_by_one(instance, &left, &values, weights, &|| false).into_iter().map(|(pattern, _)| pattern));
        let Some(generated) = generate(task, &left, start, task.work.dive_rounds) else {
            packed.extend(one_by_one(instance, &left, &values, weights, &|| false));
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
        pool = generated.columns;
        if !taken {
            packed.extend(one_by_one(instance, &left, &values, weights, &|| false));
            return packed;
        }
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
