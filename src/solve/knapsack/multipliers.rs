//! What a unit of room of one bin is worth: the duals of its fractional knapsack.
//!
//! `min over w >= 0 of  w.A + sum_i m_i max(0, v_i - w.s_i)` is the most that the bin can hold when pods may be cut, and its
//! `w` says what belongs there: items with `v_i > w.s_i`. Two dimensions are priced, room in the others is free. For a given
//! price of the second, the best price of the first is that of a fractional knapsack in one dimension; the sum is convex in
//! the price of the second, and whether that is too low shows in how much of the second is used.

/// An item as one bin sees it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Dollars.
    pub value: f64,
    /// Size in each of the two dimensions, as a part of the bin's room.
    pub size: [f64; 2],
    /// How many the bin could hold at most, by this item alone.
    pub most: f64,
}

/// Halvings of the interval in which the price of the second dimension is.
const MOST_HALVINGS: usize = 24;
/// The interval is small enough at this part of the bin's value.
const CLOSE_ENOUGH: f64 = 1e-4;

/// Dollars for the whole room in each of the two dimensions, and what the bin can then hold at most.
pub fn best(entries: &[Entry]) -> ([f64; 2], f64) {
    let mut dense = Vec::with_capacity(entries.len());
    let at_zero = fractional(entries, 0.0, &mut dense);
    let mut best = ([at_zero.price, 0.0], at_zero.value);
    if at_zero.used <= 1.0 {
        return best;
    }
    let (mut low, mut high) = (0.0, at_zero.value);
    for _ in 0..MOST_HALVINGS {
        let second = 0.5 * (low + high);
        let packed = fractional(entries, second, &mut dense);
        if packed.value + second < best.1 {
            best = ([packed.price, second], packed.value + second);
        }
        if packed.used > 1.0 {
            low = second;
        } else {
            high = second;
        }
        if high - low < CLOSE_ENOUGH * best.1 {
            break;
        }
    }
    best
}

/// The fractional knapsack in the first dimension.
struct Fractional {
    value: f64,
    /// Of the first dimension.
    price: f64,
    /// Part of the second dimension's room that is used.
    used: f64,
}

/// Items at what they are worth beyond the price of the second dimension; `dense` is scratch space.
fn fractional(entries: &[Entry], second: f64, dense: &mut Vec<(f64, usize)>) -> Fractional {
    dense.clear();
    let (mut room, mut value, mut used) = (1.0, 0.0, 0.0);
    for (index, entry) in entries.iter().enumerate() {
        let profit = entry.value - second * entry.size[1];
        if profit > 0.0 {
            dense.push((profit / entry.size[0].max(1e-12), index));
        }
    }
    dense.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for &(density, index) in dense.iter() {
        let entry = &entries[index];
        let [first, second] = entry.size.map(|size| size * entry.most);
        if first >= room {
            let part = room / first;
            return Fractional { value: value + density * room, price: density, used: used + second * part };
        }
        room -= first;
        value += density * entry.size[0].max(1e-12) * entry.most;
        used += second;
    }
    Fractional { value, price: 0.0, used }
}
