//! Pricing: for every bin the most valuable filling, and a bound of it.

use super::fill::Filler;
use super::instance::{Class, Instance, Pattern, usd};
use super::table::{Rounding, Table};

/// How hard to look.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub cells: [usize; 2],
    /// Steps of the search a bin.
    pub nodes: usize,
}

/// A filling of one bin.
pub struct Priced {
    pub pattern: Pattern,
    /// Dollars an hour.
    pub value: f64,
    /// No filling of the bin is worth more.
    pub most: f64,
}

/// What part of the resource prices the table takes off; the least bound counts.
const SHARES: [f64; 6] = [0.0, 0.8, 0.95, 1.0, 1.01, 1.05];

/// Prices every bin of a class; `values` and `most` by item, `weights` the prices of room of the class.
pub fn price(
    instance: &Instance,
    index: usize,
    values: &[f64],
    most: &[u32],
    weights: &[f64],
    effort: Effort,
) -> Vec<Priced> {
    let class = &instance.classes[index];
    let filler = Filler::new(instance, class);
    let mut priced = Vec::with_capacity(class.bins.len());
    for bucket in buckets(class) {
        let room: Vec<i64> = (0..instance.dims)
            .map(|dim| bucket.iter().map(|&bin| class.bins[bin].room[dim]).max().unwrap_or(0))
            .collect();
        let up =
            Table::new(instance, class, &room, values, most, vec![0.0; instance.dims], effort.cells, Rounding::Nearest);
        let tables: Vec<Table> = if effort.nodes == 0 {
            Vec::new()
        } else {
            SHARES
                .iter()
                .filter_map(|share| {
                    let prices = weights.iter().map(|weight| weight * share).collect();
                    Table::new(instance, class, &room, values, most, prices, effort.cells, Rounding::Down)
                })
                .collect()
        };
        for &bin in &bucket {
            let of = &class.bins[bin];
            let mut best = filler.fill(of, values, most, weights);
            if let Some(table) = &up {
                for slack in [0, 1, 2, 4] {
                    let counts = table.filling(class.items.len(), &of.room, most, slack);
                    let other = filler.improve(of, values, most, weights, &counts);
                    if other.value > best.value {
                        best = other;
                    }
                }
            }
            let (mut counts, mut value) = (best.counts, best.value);
            let bounds = tables.iter().map(|table| (table.bound(&of.room), table));
            let (mut bound, table) =
                bounds.min_by(|a, b| a.0.total_cmp(&b.0)).map_or((f64::INFINITY, None), |(b, t)| (b, Some(t)));
            if let Some(table) = table.filter(|_| bound > usd(of.cost) * (1.0 + 1e-6)) {
                let found = table.search(&of.room, most, (counts, value), effort.nodes);
                (counts, value) = (found.counts, found.value);
                bound = bound.min(found.most);
            }
            let counted = counts.iter().zip(&class.items).filter(|(count, _)| **count > 0);
            let counts = counted.map(|(count, item)| (*item, *count)).collect();
            priced.push(Priced { pattern: Pattern { class: index, bin, counts }, value, most: bound });
        }
    }
    priced
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
