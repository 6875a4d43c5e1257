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

/// The two dimensions whose room is worth most, ascending; `prices` are of a unit.
pub fn dearest_dims(room: &[i64], prices: &[f64]) -> [usize; 2] {
    let mut dims: Vec<usize> = (0..room.len()).collect();
    let worth = |dim: usize| room[dim].max(0) as f64 * prices[dim];
    dims.sort_by(|&a, &b| worth(b).total_cmp(&worth(a)).then(a.cmp(&b)));
    let [a, b] = [dims[0], *dims.get(1).unwrap_or(&dims[0])];
    [a.min(b), a.max(b)]
}

/// Gives `times` of a size to the room; negative: takes them.
pub fn give(room: &mut [i64], size: &[i64], times: i64) {
    for (room, size) in room.iter_mut().zip(size) {
        *room += size * times;
    }
}
