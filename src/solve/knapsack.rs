//! The most that one bin can hold: relaxed ([`multipliers`]), bounded by a table ([`table`]), searched ([`search`]).

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // grid cells; floats propose

pub mod multipliers;
pub mod search;
pub mod table;

/// Equal pods.
#[derive(Debug, Clone)]
pub struct Item {
    /// By dimension; not negative.
    pub size: Vec<i64>,
    pub demand: u32,
    /// How many one bin may hold.
    pub most: u32,
}
