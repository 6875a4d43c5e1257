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

/// The two dimensions whose room is worth most, ascending.
pub fn dearest_dims(room: &[i64], weights: &[f64]) -> [usize; 2] {
    let mut dims: Vec<usize> = (0..room.len()).collect();
    let worth = |dim: usize| room[dim].max(0) as f64 * weights[dim];
    dims.sort_by(|&a, &b| worth(b).total_cmp(&worth(a)).then(a.cmp(&b)));
    [dims[0].min(dims[1]), dims[0].max(dims[1])]
}
