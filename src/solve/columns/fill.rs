//! Filling one bin with the most valuable pods: the pricing problem, heuristically.

use super::instance::{Bin, Class, Instance};
use crate::solve::knapsack::give;

/// What things are worth at some moment of the search.
#[derive(Debug, Clone, Copy)]
pub struct Worth<'w> {
    /// Dollars by item of the instance.
    pub values: &'w [f64],
    /// How many of each item are wanted.
    pub most: &'w [u32],
    /// Dollars for a unit of room, by dimension.
    pub weights: &'w [f64],
}

/// Fills bins of one class.
pub struct Filler<'i> {
    pub instance: &'i Instance,
    pub class: &'i Class,
    pub worth: Worth<'i>,
}

/// A filling: counts by position in the class's items, and its value.
#[derive(Debug, Clone)]
pub struct Filling {
    pub counts: Vec<u32>,
    pub value: f64,
}

/// Passes of the exchange: each takes out one item and fills anew.
const MOST_EXCHANGES: usize = 3;
/// Exchanges win a few percent: a filling that is worth less than this part of the bin's price is left as it is.
const WORTH_EXCHANGING: f64 = 0.85;

/// Counts to start from; a position may be cut to a smaller count.
type Start<'s> = (&'s [u32], Option<(usize, u32)>);

impl Filler<'_> {
    pub fn fill(&self, bin: &Bin, price: f64) -> Filling {
        let order = self.order(bin);
        let best = self.packed(bin, &order, None);
        self.exchanged(bin, price, &order, best)
    }

    /// As [`Filler::fill`], without exchanges: what it comes to, for a fraction of the time.
    pub fn fill_roughly(&self, bin: &Bin) -> Filling {
        self.packed(bin, &self.order(bin), None)
    }

    fn exchanged(&self, bin: &Bin, price: f64, order: &[usize], start: Filling) -> Filling {
        let mut best = start;
        if best.value < price * WORTH_EXCHANGING {
            return best;
        }
        for _ in 0..MOST_EXCHANGES {
            let mut better: Option<Filling> = None;
            for &position in order.iter().filter(|position| best.counts[**position] > 0) {
                // one fewer of it, or none of it: what else would go there?
                let one_fewer = best.counts[position] - 1;
                let keeps = [one_fewer, 0];
                for &keep in if one_fewer == 0 { &keeps[..1] } else { &keeps[..] } {
                    let other = self.packed(bin, order, Some((&best.counts, Some((position, keep)))));
                    if other.value > better.as_ref().map_or(best.value, |better| better.value) * (1.0 + 1e-9) {
                        better = Some(other);
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

    /// Positions of the items worth something that fit, densest first: value for weighted size.
    fn order(&self, bin: &Bin) -> Vec<usize> {
        let Worth { values, most, weights } = self.worth;
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
        order.into_iter().map(|(position, _)| position).collect()
    }

    /// Greedy in the given order, from the given counts if there are any; one position may be cut to a smaller count, and
    /// is then filled again after all others only.
    fn packed(&self, bin: &Bin, order: &[usize], from: Option<Start>) -> Filling {
        let mut counts = vec![0; self.class.items.len()];
        let mut room = bin.room.clone();
        let mut last = None;
        if let Some((start, cut)) = from {
            counts.copy_from_slice(start);
            if let Some((position, keep)) = cut {
                counts[position] = keep;
                last = Some(position);
            }
            for (position, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                give(&mut room, self.size(position), -i64::from(count));
            }
        }
        for &position in order.iter().filter(|position| Some(**position) != last).chain(&last) {
            let item = self.class.items[position];
            let mut fits = self.worth.most[item].min(self.instance.items[item].most).saturating_sub(counts[position]);
            for (room, size) in room.iter().zip(self.size(position)).filter(|(_, size)| **size > 0) {
                fits = fits.min(u32::try_from(room / size).unwrap_or(u32::MAX));
            }
            if fits > 0 {
                counts[position] += fits;
                give(&mut room, self.size(position), -i64::from(fits));
            }
        }
        let value = counts
            .iter()
            .zip(&self.class.items)
            .map(|(count, item)| f64::from(*count) * self.worth.values[*item])
            .sum();
        Filling { counts, value }
    }

    fn size(&self, position: usize) -> &[i64] {
        &self.instance.items[self.class.items[position]].size
    }

    /// The counts as a pattern writes them.
    pub fn listed(&self, counts: &[u32]) -> Vec<(usize, u32)> {
        let counted = counts.iter().zip(&self.class.items).filter(|(count, _)| **count > 0);
        counted.map(|(count, item)| (*item, *count)).collect()
    }
}
