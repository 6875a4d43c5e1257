//! Pricing: for every bin the most valuable filling, and a bound of it.

use super::Task;
use super::fill::{Filler, Filling, Worth};
use super::instance::{Class, Pattern, usd};
use super::table::{Rounding, Table};

/// A filling of one bin.
pub struct Priced {
    pub pattern: Pattern,
    /// No filling of the bin is worth more, dollars; infinite where nothing is known.
    pub most: f64,
}

/// What part of the resource prices the table takes off; the least bound counts.
const SHARES: [f64; 6] = [0.0, 0.8, 0.95, 1.0, 1.01, 1.05];

/// By how many cells fillings are read off below a bin's capacity: sizes that were rounded down must still fit.
const SLACKS: [usize; 4] = [0, 1, 2, 4];

/// Prices every bin of a class; `values` and `most` by item. With search steps also how much each bin could hold at most.
pub fn price(task: &Task, index: usize, values: &[f64], most: &[u32], search_steps: usize) -> Vec<Priced> {
    let class = &task.instance.classes[index];
    let worth = Worth { values, most, weights: &task.weights[index] };
    let filler = Filler { instance: task.instance, class, worth };
    let mut priced = Vec::with_capacity(class.bins.len());
    for bucket in buckets(class) {
        if (task.stop)() {
            break;
        }
        let room: Vec<i64> = (0..task.instance.dims)
            .map(|dim| bucket.iter().map(|&bin| class.bins[bin].room[dim]).max().unwrap_or(0))
            .collect();
        let dims = dearest_dims(&room, worth.weights);
        let table = |share: f64, rounding| {
            let prices = worth.weights.iter().map(|weight| weight * share).collect();
            Table::new(&filler, &room, prices, task.work.cells, dims, rounding)
        };
        let near = table(0.0, Rounding::Nearest);
        let shares = if search_steps == 0 { &SHARES[..0] } else { &SHARES[..] };
        let bounds: Vec<Table> = shares.iter().filter_map(|&share| table(share, Rounding::Down)).collect();
        for &bin in &bucket {
            let of = &class.bins[bin];
            let mut best = filler.fill(of);
            for slack in SLACKS {
                let counts = near.iter().map(|table| table.filling(&filler, &of.room, slack));
                best = counts.map(|counts| filler.improve(of, &counts)).fold(best, Filling::better);
            }
            let least = bounds.iter().map(|table| (table.bound(&of.room), table)).min_by(|a, b| a.0.total_cmp(&b.0));
            let mut bound = least.map_or(f64::INFINITY, |(bound, _)| bound);
            if let Some((_, table)) = least.filter(|(bound, _)| *bound > usd(of.cost) * (1.0 + 1e-6)) {
                let found = table.search(&of.room, most, best, search_steps);
                best = found.best;
                bound = bound.min(found.most);
            }
            let counts = filler.listed(&best.counts);
            priced.push(Priced { pattern: Pattern { class: index, bin, counts }, most: bound });
        }
    }
    priced
}

/// The two dimensions whose room is worth most.
fn dearest_dims(room: &[i64], weights: &[f64]) -> [usize; 2] {
    let mut dims: Vec<usize> = (0..room.len()).collect();
    let worth = |dim: usize| room[dim].max(0) as f64 * weights[dim];
    dims.sort_by(|&a, &b| worth(b).total_cmp(&worth(a)).then(a.cmp(&b)));
    [dims[0].min(dims[1]), dims[0].max(dims[1])]
}

/// Bins by size: the grid of small ones is fine. Each is a range of the bins sorted by their first dimension.
fn buckets(class: &Class) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..class.bins.len()).collect();
    order.sort_by_key(|&bin| (class.bins[bin].room[0], bin));
    let mut buckets: Vec<Vec<usize>> = Vec::new();
    let mut most = 0;
    for bin in order {
        let room = class.bins[bin].room[0];
        if buckets.is_empty() || room > most {
            buckets.push(Vec::new());
            most = room * 5 / 2;
        }
        buckets.last_mut().expect("pushed").push(bin);
    }
    buckets
}
