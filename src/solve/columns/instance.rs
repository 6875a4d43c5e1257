//! The packing problem in numbers: items of several dimensions, and classes of bins that may hold the same items.

pub use crate::solve::knapsack::Item;

/// What must be packed, and into what.
#[derive(Debug, Clone)]
pub struct Instance {
    pub dims: usize,
    pub items: Vec<Item>,
    pub classes: Vec<Class>,
}

/// Bins that may hold the same items.
#[derive(Debug, Clone)]
pub struct Class {
    /// Ascending.
    pub items: Vec<usize>,
    pub bins: Vec<Bin>,
}

/// A bin that can be bought any number of times.
#[derive(Debug, Clone)]
pub struct Bin {
    pub room: Vec<i64>,
    /// Micro-dollars an hour.
    pub cost: i64,
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
    pub fn cost(&self, pattern: &Pattern) -> i64 {
        self.classes[pattern.class].bins[pattern.bin].cost
    }

    pub fn demands(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.demand).collect()
    }
}

/// Micro-dollars as dollars, for HiGHS.
pub fn usd(micro: i64) -> f64 {
    micro as f64 / 1e6
}
