//! The most that one bin can hold: relaxed ([`multipliers`]), bounded by a table ([`table`], over some
//! dimensions: [`axes`]), searched ([`search`]).

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // grid cells; floats propose

pub mod axes;
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

/// Gives `times` of a size to the room; negative: takes them.
pub fn give(room: &mut [i64], size: &[i64], times: i64) {
    for (room, size) in room.iter_mut().zip(size) {
        *room += size * times;
    }
}
