//! The most that bins can hold, in integers: one table over few dimensions ([`super::axes`]) answers for every room up to its own.
//!
//! Room is worth `prices` a unit; beyond that an item is worth its profit. The table holds the largest total profit by
//! capacity, no item more often than it may be, sizes and capacities rounded down to the grid: a cell plus the worth of the
//! room is an upper bound of what fits. The less of the value the table holds, the less the rounding matters; the more
//! it holds, the better it sees room that nothing can use. So bounds are the least over several prices.

use super::Item;
use super::axes::Axis;

/// 10^-18 dollars, the unit of prices of room, in a nano-dollar.
const ATTO_PER_NANO: i128 = 1_000_000_000;

/// An item that is worth something and fits.
#[derive(Debug, Clone)]
pub struct Valued {
    pub item: usize,
    /// Nano-dollars.
    pub value: i64,
    /// How many a bin may hold.
    pub most: u32,
    /// Value for weighted size: in which order room is filled up.
    pub density: f64,
    /// It is not searched for, only filled in.
    pub is_small: bool,
}

/// Upper bounds of what rooms can hold, nano-dollars.
pub struct Table {
    /// 10^-18 dollars for a unit of room, by dimension.
    prices: Vec<i128>,
    axes: [Axis; 3],
    /// Profits in `unit` nano-dollars, rounded up.
    cells: Vec<i32>,
    unit: i64,
}

impl Table {
    /// Answers for rooms up to `room` in every dimension.
    pub fn new(sizes: &[Item], items: &[Valued], room: &[i64], prices: Vec<i128>, axes: [Axis; 3]) -> Self {
        let mut profits: Vec<([usize; 3], i64, u32)> = Vec::new();
        for valued in items {
            let size = &sizes[valued.item].size;
            let profit = profit(&prices, valued.value, size);
            let most = fits(size, room).min(valued.most);
            if profit > 0 && most > 0 {
                profits.push((axes.map(|axis| axis.cell(size[axis.dim])), profit, most));
            }
        }
        let total: i64 = profits.iter().fold(0, |sum, p| sum.saturating_add(p.1.saturating_mul(i64::from(p.2))));
        let unit = (total >> 30) + 1;
        let cells = vec![0; axes.iter().map(|axis| axis.cells).product()];
        let mut table = Self { prices, axes, cells, unit };
        for (size, profit, most) in profits {
            table.add(size, (profit + unit - 1) / unit, most);
        }
        table
    }

    fn add(&mut self, size: [usize; 3], profit: i64, most: u32) {
        let holds =
            self.axes.iter().zip(size).map(|(axis, size)| (axis.cells - 1).checked_div(size).unwrap_or(usize::MAX));
        if holds.min().is_some_and(|holds| holds <= most as usize) {
            self.add_any(size, profit as i32);
            return;
        }
        // pieces of 1, 2, 4, ... and the rest: every number up to `most` is a sum of some of them
        let (mut left, mut piece) = (most, 1);
        while left > 0 {
            let count = piece.min(left);
            self.add_once(size.map(|size| size * count as usize), (profit * i64::from(count)) as i32);
            left -= count;
            piece *= 2;
        }
    }

    /// Any number of an item; not of size zero.
    fn add_any(&mut self, [layers, rows, columns]: [usize; 3], profit: i32) {
        if columns >= self.axes[2].cells {
            return;
        }
        let above = layers * self.axes[1].cells + rows;
        for row in self.rows_from(layers, rows) {
            if above == 0 {
                // what `columns` cells to the left come to is known a block of so many cells at a time
                let mut rest = self.row(row);
                while rest.len() > columns {
                    let (from, to) = rest.split_at_mut(columns);
                    raise(to, from, profit);
                    rest = to;
                }
            } else {
                self.raise(row, above, columns, profit);
            }
        }
    }

    /// One more thing, at most once.
    fn add_once(&mut self, [layers, rows, columns]: [usize; 3], profit: i32) {
        if columns >= self.axes[2].cells {
            return;
        }
        let mut before = vec![0; self.axes[2].cells - columns];
        let above = layers * self.axes[1].cells + rows;
        for row in self.rows_from(layers, rows).rev() {
            if above == 0 {
                let here = self.row(row);
                before.copy_from_slice(&here[..here.len() - columns]);
                raise(&mut here[columns..], &before, profit);
            } else {
                self.raise(row, above, columns, profit);
            }
        }
    }

    /// Rows that have one above them by so much.
    fn rows_from(&self, layers: usize, rows: usize) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let [of_layers, of_rows, _] = self.axes.map(|axis| axis.cells);
        (layers..of_layers).flat_map(move |layer| (rows..of_rows).map(move |row| layer * of_rows + row))
    }

    fn row(&mut self, row: usize) -> &mut [i32] {
        let columns = self.axes[2].cells;
        &mut self.cells[row * columns..(row + 1) * columns]
    }

    /// A row by what another `above` it, shifted by `shift` columns, comes to with `profit` more; `above` is not zero.
    fn raise(&mut self, row: usize, above: usize, shift: usize, profit: i32) {
        let columns = self.axes[2].cells;
        let (before, here) = self.cells.split_at_mut(row * columns);
        let from = &before[(row - above) * columns..(row - above + 1) * columns - shift];
        raise(&mut here[shift..columns], from, profit);
    }

    /// The most that a bin with this room can hold, nano-dollars.
    pub fn bound(&self, room: &[i64]) -> i64 {
        let [layer, row, column] = self.axes.map(|axis| axis.cell(room[axis.dim]).min(axis.cells - 1));
        let cell = self.cells[(layer * self.axes[1].cells + row) * self.axes[2].cells + column];
        worth(&self.prices, room).saturating_add(i64::from(cell).saturating_mul(self.unit))
    }
}

/// Cells by what others come to with `profit` more. No sum of profits is above 2^30 units: it never wraps, and without a check
/// eight cells are raised at once.
fn raise(cells: &mut [i32], from: &[i32], profit: i32) {
    for (to, from) in cells.iter_mut().zip(from) {
        *to = (*to).max(from.wrapping_add(profit));
    }
}

/// Prices of room of which `permille` thousandths are taken off in the table's own dimensions; in the others, which it does
/// not see, all.
pub fn shared(prices: &[i128], axes: &[Axis; 3], permille: i128) -> Vec<i128> {
    let share = |(dim, price): (usize, &i128)| {
        if axes.iter().any(|axis| axis.dim == dim) { price * permille / 1000 } else { *price }
    };
    prices.iter().enumerate().map(share).collect()
}

/// What an item is worth beyond the room that it takes, nano-dollars, rounded up; zero where it is not worth that.
pub fn profit(prices: &[i128], value: i64, size: &[i64]) -> i64 {
    let taken: i128 = size.iter().zip(prices).map(|(size, price)| i128::from(*size) * price).sum();
    let atto = i128::from(value) * ATTO_PER_NANO - taken;
    if atto <= 0 { 0 } else { i64::try_from((atto + ATTO_PER_NANO - 1) / ATTO_PER_NANO).unwrap_or(i64::MAX) }
}

/// What room is worth, nano-dollars, rounded up.
pub fn worth(prices: &[i128], room: &[i64]) -> i64 {
    let atto: i128 = room.iter().zip(prices).map(|(room, price)| i128::from((*room).max(0)) * price).sum();
    i64::try_from((atto + ATTO_PER_NANO - 1) / ATTO_PER_NANO).unwrap_or(i64::MAX)
}

/// Room at these prices, and what so many of each (size, value, how many) are worth beyond the room that they take: no
/// filling is worth more, nano-dollars.
pub fn at_prices<'i>(room: &[i64], prices: &[i128], items: impl Iterator<Item = (&'i [i64], i64, u32)>) -> i64 {
    let beyond = items.map(|(size, value, count)| profit(prices, value, size).saturating_mul(i64::from(count)));
    beyond.fold(worth(prices, room), i64::saturating_add)
}

/// Dollars, or nano-dollars, a unit as integers of `scale` for one; any price is only a proposal.
pub fn whole(price: f64, scale: f64) -> i128 {
    if price.is_finite() && price > 0.0 { (price * scale) as i128 } else { 0 }
}

/// How many of a size fit.
pub fn fits(size: &[i64], room: &[i64]) -> u32 {
    let counts = size.iter().zip(room).filter(|(size, _)| **size > 0).map(|(size, room)| (room / size).max(0));
    counts.min().map_or(u32::MAX, |count| u32::try_from(count).unwrap_or(u32::MAX))
}
