//! Problem -> [`Solution`]: pure, bounded CPU; time and the wish to stop are arguments.

pub mod bound;
mod columns;
pub mod carried;
pub mod few;
pub mod greedy;
pub mod integer;
mod knapsack;
pub mod least_left;
mod levels;
pub(crate) mod lp;
pub mod models;
pub mod program;
pub mod purchase;
mod solution;
mod reduce;
mod sets;

pub use columns::{Ended, Pace, TimeLeft, Work};
pub use levels::Levels;
pub use solution::{NewNode, Place, Solution};
