//! Filling one bin with the most valuable pods: the pricing problem, heuristically.

use super::instance::{Bin, Class, Instance};

/// Sizes of the items of a class in one matrix, and what fills a bin well.
pub struct Filler<'i> {
    instance: &'i Instance,
    class: &'i Class,
}

/// A filling: counts by position in the class's items, and its value.
#[derive(Debug, Clone)]
pub struct Filling {
    pub counts: Vec<u32>,
    pub value: f64,
}

/// Passes of the exchange: each takes out one item and fills anew.
const MOST_EXCHANGES: usize = 3;

impl<'i> Filler<'i> {
    pub fn new(instance: &'i Instance, class: &'i Class) -> Self {
        Self { instance, class }
    }

    /// `values` and `most` by item of the instance; `weights` by dimension: what a unit of room is worth.
    pub fn fill(&self, bin: &Bin, values: &[f64], most: &[u32], weights: &[f64]) -> Filling {
        let order = self.order(bin, values, most, weights);
        let best = self.packed(bin, values, most, &order, None);
        self.exchanged(bin, values, most, &order, best)
    }

    /// Fills up what the counts leave, and exchanges.
    pub fn improve(&self, bin: &Bin, values: &[f64], most: &[u32], weights: &[f64], counts: &Vec<u32>) -> Filling {
        let order = self.order(bin, values, most, weights);
        let best = self.packed(bin, values, most, &order, Some((counts, usize::MAX, 0)));
        self.exchanged(bin, values, most, &order, best)
    }

    fn exchanged(&self, bin: &Bin, values: &[f64], most: &[u32], order: &[(usize, f64)], start: Filling) -> Filling {
        let mut best = start;
        for _ in 0..MOST_EXCHANGES {
            let mut better: Option<Filling> = None;
            for &(position, _) in order.iter().filter(|(position, _)| best.counts[*position] > 0) {
                // one fewer of it, or none of it: what else would go there?
                for keep in [best.counts[position] - 1, 0] {
                    let other = self.packed(bin, values, most, order, Some((&best.counts, position, keep)));
                    if other.value > better.as_ref().map_or(best.value, |b| b.value) * (1.0 + 1e-9) {
                        better = Some(other);
                    }
                    if keep == 0 {
                        break;
                    }
                }
            }
            match better {
                Some(found) => best = found,
                None => break,
            }
        }
        best
    }

    /// Items worth something that fit, densest first: value for weighted size.
    fn order(&self, bin: &Bin, values: &[f64], most: &[u32], weights: &[f64]) -> Vec<(usize, f64)> {
        let mut order: Vec<(usize, f64)> = Vec::with_capacity(self.class.items.len());
        for (position, &item) in self.class.items.iter().enumerate() {
            let size = &self.instance.items[item].size;
            if values[item] <= 0.0 || most[item] == 0 || size.iter().zip(&bin.room).any(|(s, r)| s > r) {
                continue;
            }
            let weight: f64 = size.iter().zip(weights).map(|(s, w)| *s as f64 * w).sum();
            order.push((position, values[item] / weight.max(1e-12)));
        }
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        order
    }

    /// Greedy in the given order; with `from`, starting from counts in which one position is cut to `keep` and not filled
    /// again before all others.
    fn packed(
        &self,
        bin: &Bin,
        values: &[f64],
        most: &[u32],
        order: &[(usize, f64)],
        from: Option<(&Vec<u32>, usize, u32)>,
    ) -> Filling {
        let mut counts = vec![0; self.class.items.len()];
        let mut room = bin.room.clone();
        let mut last = None;
        if let Some((start, position, keep)) = from {
            counts.clone_from(start);
            if position < counts.len() {
                counts[position] = keep;
                last = Some(position);
            }
            for (position, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let size = &self.instance.items[self.class.items[position]].size;
                for (room, size) in room.iter_mut().zip(size) {
                    *room -= size * i64::from(count);
                }
            }
        }
        let mut add = |position: usize, counts: &mut Vec<u32>| {
            let item = self.class.items[position];
            let model = &self.instance.items[item];
            let mut fits = most[item].min(model.most).saturating_sub(counts[position]);
            for (room, size) in room.iter().zip(&model.size) {
                if *size > 0 {
                    fits = fits.min(u32::try_from(room / size).unwrap_or(u32::MAX));
                }
            }
            if fits > 0 {
                counts[position] += fits;
                for (room, size) in room.iter_mut().zip(&model.size) {
                    *room -= size * i64::from(fits);
                }
            }
        };
        for &(position, _) in order.iter().filter(|(position, _)| Some(*position) != last) {
            add(position, &mut counts);
        }
        if let Some(position) = last {
            add(position, &mut counts);
        }
        let value = counts.iter().zip(&self.class.items).map(|(count, item)| f64::from(*count) * values[*item]).sum();
        Filling { counts, value }
    }

    /// The counts as a pattern writes them.
    pub fn listed(&self, filling: &Filling) -> Vec<(usize, u32)> {
        let counted = filling.counts.iter().zip(&self.class.items).filter(|(count, _)| **count > 0);
        counted.map(|(count, item)| (*item, *count)).collect()
    }
}
