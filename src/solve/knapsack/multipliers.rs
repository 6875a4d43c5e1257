//! What a unit of room of one bin is worth: the duals of its fractional knapsack.
//!
//! `min over w >= 0 of  w.A + sum_i m_i max(0, v_i - w.s_i)` is the most that the bin can hold when pods may be cut, and its
//! `w` says what belongs there: items with `v_i > w.s_i`. Room in one dimension alone has the price of a fractional knapsack
//! in one dimension. Of a further dimension, the least is convex in its price, and whether that is too low shows in how
//! much of it is used: it is halved in on. Dimensions are added one by one as they turn out to be overused, at most three.

/// Items as one bin sees them.
#[derive(Debug, Clone, Default)]
pub struct Relaxation {
    dims: usize,
    /// Any unit, by item.
    values: Vec<f64>,
    /// How many the bin could hold at most, by this item alone.
    most: Vec<f64>,
    /// By item, then dimension: parts of the bin's room.
    sizes: Vec<f64>,
    /// By dimension: what part of the room a unit is.
    parts: Vec<f64>,
}

/// Prices of room that are the least in sum, or nearly so.
#[derive(Debug, Clone)]
pub struct Multipliers {
    /// Of a unit, by dimension.
    pub prices: Vec<f64>,
    /// What the bin can hold at most.
    pub most: f64,
}

/// Dimensions that are priced.
const MOST_PRICED: usize = 3;
/// Halvings of the interval in which a price is: of the last dimension, and of those outside of it.
const HALVINGS: [usize; MOST_PRICED] = [0, 20, 10];
/// The interval is small enough at this part of the bin's value.
pub const CLOSE_ENOUGH: f64 = 1e-4;
/// Of room: what takes none of it is not infinitely dense.
const LEAST_SIZE: f64 = 1e-12;
/// A dimension is overused beyond this part of its room.
const OVERUSED: f64 = 1.001;

impl Relaxation {
    /// Items as a bin with this room sees them: size, value, how many it could hold.
    pub fn of<'i>(room: &[i64], items: impl Iterator<Item = (&'i [i64], f64, u32)>) -> Self {
        let parts: Vec<f64> = room.iter().map(|room| 1.0 / (*room).max(1) as f64).collect();
        let mut relaxation = Self { dims: room.len(), parts, ..Self::default() };
        for (size, value, most) in items {
            relaxation.values.push(value);
            relaxation.most.push(f64::from(most));
            relaxation.sizes.extend(size.iter().zip(&relaxation.parts).map(|(size, part)| *size as f64 * part));
        }
        relaxation
    }

    /// `close`: as [`CLOSE_ENOUGH`], which is the usual; prices that are further from the best bound what the bin holds, too.
    pub fn solve(&self, close: f64) -> Multipliers {
        let mut scratch = Scratch { close, ..Scratch::default() };
        let free = vec![0.0; self.dims];
        // the one dimension that bounds the most
        let alone = (0..self.dims).map(|dim| (self.fractional(dim, &free, &mut scratch), dim));
        let Some((_, first)) = alone.map(|(found, dim)| (found.most, dim)).min_by(|a, b| a.0.total_cmp(&b.0)) else {
            return Multipliers { prices: free, most: 0.0 };
        };
        let mut priced = vec![first];
        let mut prices = free.clone();
        let mut best = self.least(&priced, &mut prices, &mut scratch);
        while priced.len() < MOST_PRICED {
            self.fractional(first, &prices, &mut scratch);
            let used: Vec<f64> = (0..self.dims).map(|dim| self.used_of(dim, &scratch)).collect();
            let overused =
                (0..self.dims).filter(|dim| !priced.contains(dim)).max_by(|&a, &b| used[a].total_cmp(&used[b]));
            let Some(next) = overused.filter(|&dim| used[dim] > OVERUSED) else { break };
            priced.push(next);
            let mut with_next = free.clone();
            let most = self.least(&priced, &mut with_next, &mut scratch);
            if most < best {
                (best, prices) = (most, with_next);
            }
        }
        let prices = prices.iter().zip(&self.parts).map(|(price, part)| price * part).collect();
        Multipliers { prices, most: best }
    }

    /// The least over prices of these dimensions, which are written into `prices`; those of others stay.
    fn least(&self, priced: &[usize], prices: &mut [f64], scratch: &mut Scratch) -> f64 {
        let [first] = *priced else {
            let [rest @ .., dim] = priced else { return f64::INFINITY };
            let mut best = f64::INFINITY;
            let mut best_prices = prices.to_vec();
            let (mut low, mut high) = (0.0, f64::NAN);
            for step in 0..=HALVINGS[rest.len()] {
                // the first is at price zero: all room together is worth no more than what it holds then
                let price = if step == 0 { 0.0 } else { 0.5 * (low + high) };
                prices[*dim] = price;
                let most = self.least(rest, prices, scratch);
                if step == 0 {
                    high = most;
                }
                if most < best {
                    best = most;
                    best_prices.copy_from_slice(prices);
                }
                if rest.len() > 1 {
                    self.fractional(priced[0], prices, scratch); // at the best prices of the others
                }
                if self.used_of(*dim, scratch) > 1.0 {
                    low = price;
                } else {
                    high = price;
                }
                if high - low < scratch.close * best {
                    break;
                }
            }
            prices.copy_from_slice(&best_prices);
            return best;
        };
        let found = self.fractional(first, prices, scratch);
        prices[first] = found.price;
        found.most
    }

    /// The fractional knapsack in one dimension, items at what they are worth beyond the prices of the others.
    fn fractional(&self, dim: usize, prices: &[f64], scratch: &mut Scratch) -> Fractional {
        let dense = &mut scratch.dense;
        dense.clear();
        scratch.priced.clear();
        scratch.priced.extend((0..self.dims).filter(|&other| other != dim && prices[other] > 0.0));
        for (item, sizes) in self.sizes.chunks_exact(self.dims).enumerate() {
            let others: f64 = scratch.priced.iter().map(|&other| sizes[other] * prices[other]).sum();
            let profit = self.values[item] - others;
            if profit > 0.0 {
                dense.push((profit / sizes[dim].max(LEAST_SIZE), item));
            }
        }
        let others = prices.iter().sum::<f64>() - prices[dim];
        let (mut room, mut value) = (1.0, 0.0);
        scratch.taken.clear();
        // the densest half is taken, or it is too large and the split lies in it
        let mut rest = dense.as_mut_slice();
        while !rest.is_empty() {
            let half = rest.len() / 2;
            rest.select_nth_unstable_by(half, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let size = |item: usize| self.sizes[item * self.dims + dim].max(LEAST_SIZE);
            let upper: f64 = rest[..=half].iter().map(|&(_, item)| size(item) * self.most[item]).sum();
            if upper > room {
                if half == 0 {
                    let (density, item) = rest[0];
                    scratch.taken.push((item, room / size(item)));
                    return Fractional { price: density, most: others + value + density * room };
                }
                let before: f64 = upper - size(rest[half].1) * self.most[rest[half].1];
                if before <= room {
                    // the split is the middle itself
                    let (density, item) = rest[half];
                    value += self.take_all(&rest[..half], dim, &mut scratch.taken);
                    scratch.taken.push((item, (room - before) / size(item)));
                    return Fractional { price: density, most: others + value + density * (room - before) };
                }
                rest = &mut rest[..half];
            } else {
                value += self.take_all(&rest[..=half], dim, &mut scratch.taken);
                room -= upper;
                rest = &mut rest[half + 1..];
            }
        }
        Fractional { price: 0.0, most: others + value }
    }

    fn take_all(&self, dense: &[(f64, usize)], dim: usize, taken: &mut Vec<(usize, f64)>) -> f64 {
        taken.extend(dense.iter().map(|&(_, item)| (item, self.most[item])));
        let value = |&(density, item): &(f64, usize)| {
            density * self.sizes[item * self.dims + dim].max(LEAST_SIZE) * self.most[item]
        };
        dense.iter().map(value).sum()
    }

    /// What part of a dimension's room the last knapsack uses.
    fn used_of(&self, dim: usize, scratch: &Scratch) -> f64 {
        scratch.taken.iter().map(|&(item, taken)| self.sizes[item * self.dims + dim] * taken).sum()
    }
}

/// A fractional knapsack in one dimension.
struct Fractional {
    /// Of its dimension's room.
    price: f64,
    /// With the room of the other dimensions at their prices.
    most: f64,
}

#[derive(Default)]
struct Scratch {
    close: f64,
    /// (density, item).
    dense: Vec<(f64, usize)>,
    /// Other dimensions that have a price.
    priced: Vec<usize>,
    /// (item, how many) of the last knapsack.
    taken: Vec<(usize, f64)>,
}
