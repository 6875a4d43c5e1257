//! The dimensions of a table: the two in which room is worth most, on a grid, and one that comes in few units, such as GPUs.

use num_integer::gcd;

/// Amounts of a dimension are told apart in steps.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    pub dim: usize,
    step: i64,
    /// How many steps there are in the room, and zero.
    pub cells: usize,
}

/// A dimension with at most so many units of room is counted by the unit.
const FEW_UNITS: i64 = 16;

impl Axis {
    /// Rounded down: what fits the room fits its cell.
    pub fn cell(&self, amount: i64) -> usize {
        (amount.max(0) / self.step) as usize
    }

    /// `cells`: how many there may be, and one more.
    fn new(dim: usize, room: i64, unit: i64, cells: usize) -> Self {
        let step = (room / i64::try_from(cells).unwrap_or(i64::MAX) + 1).max(unit.min(room.saturating_add(1)));
        Self { dim, step, cells: (room / step) as usize + 1 }
    }
}

/// The axes of a table: the first counts by the unit, and has one cell where nothing is to be counted so. `prices` are of a
/// unit of room; `cells`: of a grid, by dimension.
pub fn axes<'i>(room: &[i64], prices: &[i128], sizes: impl Iterator<Item = &'i [i64]>, cells: [usize; 2]) -> [Axis; 3] {
    let room: Vec<i64> = room.iter().map(|room| (*room).max(0)).collect();
    // every size is a multiple of the unit
    let mut units = vec![0_i64; room.len()];
    for size in sizes {
        units.iter_mut().zip(size).for_each(|(unit, size)| *unit = gcd(*unit, *size));
    }
    let worth = |dim: usize| i128::from(room[dim]).saturating_mul(prices[dim]);
    let mut dearest: Vec<usize> = (0..room.len()).collect();
    dearest.sort_by_key(|&dim| (std::cmp::Reverse(worth(dim)), dim));
    let is_counted = |dim: usize| worth(dim) > 0 && units[dim] > 0 && room[dim] / units[dim] <= FEW_UNITS;
    let counted = dearest.iter().copied().find(|&dim| is_counted(dim));
    let mut others = dearest.iter().copied().filter(|&dim| Some(dim) != counted);
    let first = others.next().unwrap_or(dearest[0]);
    let second = others.find(|&dim| counted.is_none() || worth(dim) > 0).unwrap_or(first);
    let grid = |dim: usize, cells: usize| Axis::new(dim, room[dim], units[dim], cells);
    let counted = counted.map_or(Axis { dim: first, step: i64::MAX, cells: 1 }, |dim| grid(dim, usize::MAX));
    [counted, grid(first.min(second), cells[0]), grid(first.max(second), cells[1])]
}
