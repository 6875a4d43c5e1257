//! Problem -> [`Solution`]: pure, bounded CPU; time and the wish to stop are arguments.

pub mod bound;
pub mod greedy;
pub mod purchase;
mod solution;
mod sets;

pub use solution::{NewNode, Place, Solution};
