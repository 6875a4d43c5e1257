//! The packing problem in numbers: items of several dimensions, and classes of bins that may hold the same items.

pub use crate::solve::knapsack::Item;

/// What must be packed, and into what.
#[derive(Debug, Clone)]
pub struct Instance {
    pub dims: usize,
    pub items: Vec<Item>,
    pub classes: Vec<Class>,
    /// What bins share.
    pub rows: Vec<Row>,
}

/// Something of which all bins together may only use so much.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Positive.
    pub capacity: i64,
    /// It is there whether it is used or not: existing nodes and reservations, whose bins cost nothing or next to it. A
    /// limit is none.
    pub is_supply: bool,
}

/// Bins that may hold the same items.
#[derive(Debug, Clone)]
pub struct Class {
    /// Ascending.
    pub items: Vec<usize>,
    pub bins: Vec<Bin>,
}

/// A bin that can be bought as often as the rows allow.
#[derive(Debug, Clone)]
pub struct Bin {
    pub room: Vec<i64>,
    /// Micro-dollars an hour; a bin that costs nothing uses some row.
    pub cost: i64,
    /// What one bin uses: (row, how much), none zero.
    pub uses: Vec<(usize, i64)>,
}

/// What things are worth at some moment of the search.
#[derive(Debug, Clone, Default)]
pub struct Duals {
    /// By item: dollars for a pod.
    pub items: Vec<f64>,
    /// By row: dollars for all of it.
    pub rows: Vec<f64>,
}

impl Duals {
    /// What so many pods are worth together, less what the rows are, dollars.
    pub fn worth(&self, demands: &[u32]) -> f64 {
        let pods: f64 = self.items.iter().zip(demands).map(|(value, n)| value * f64::from(*n)).sum();
        pods - self.rows.iter().sum::<f64>()
    }

    /// `share` of these and the rest of the others.
    pub fn mixed(&self, share: f64, others: &Self) -> Self {
        let mix = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| share * a + (1.0 - share) * b).collect();
        Self { items: mix(&self.items, &others.items), rows: mix(&self.rows, &others.rows) }
    }
}

/// One bin with what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    pub class: usize,
    pub bin: usize,
    /// (item, how many), ascending by item, none zero.
    pub counts: Vec<(usize, u32)>,
}

/// Bins with what they hold, and how many of each.
pub type Packing = Vec<(Pattern, u32)>;

impl Instance {
    pub fn bin(&self, pattern: &Pattern) -> &Bin {
        &self.classes[pattern.class].bins[pattern.bin]
    }

    /// What a bin costs with what it uses of the rows, dollars; positive.
    pub fn price(&self, bin: &Bin, duals: &Duals) -> f64 {
        let of_rows: f64 = bin.uses.iter().map(|&(row, n)| duals.rows[row] * self.part(row, n)).sum();
        (usd(bin.cost) + of_rows).max(LEAST_PRICE)
    }

    /// What part of a row an amount is.
    pub fn part(&self, row: usize, amount: i64) -> f64 {
        amount as f64 / self.rows[row].capacity as f64
    }

    pub fn cost(&self, pattern: &Pattern) -> i64 {
        self.classes[pattern.class].bins[pattern.bin].cost
    }

    /// The row that makes a bin cheap.
    pub fn supply(&self, bin: &Bin) -> Option<(usize, i64)> {
        bin.uses.iter().copied().find(|(row, _)| self.rows[*row].is_supply)
    }

    pub fn capacities(&self) -> Vec<i64> {
        self.rows.iter().map(|row| row.capacity).collect()
    }

    /// How many pods of each item a packing leaves.
    pub fn left_by(&self, packing: &Packing) -> Vec<u32> {
        let mut left = self.demands();
        for (pattern, times) in packing {
            for (item, n) in &pattern.counts {
                left[*item] = left[*item].saturating_sub(n * times);
            }
        }
        left
    }

    pub fn demands(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.demand).collect()
    }
}

/// Dollars an hour.
const LEAST_PRICE: f64 = 1e-9;

/// Micro-dollars as dollars, for HiGHS.
pub fn usd(micro: i64) -> f64 {
    micro as f64 / 1e6
}
