//! The most that bins can hold, in integers: one table over two dimensions answers for every room up to its own.
//!
//! Room is worth `prices` a unit; beyond that an item is worth its profit. The table holds the largest total profit by
//! capacity, no item more often than it may be, sizes and capacities rounded down to the grid: a cell plus the worth of the
//! room is an upper bound of what fits. The less of the value the table holds, the less the rounding matters; the more
//! it holds, the better it sees room that nothing can use. So bounds are the least over several prices.

use super::Item;

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
    dims: [usize; 2],
    step: [i64; 2],
    rows: usize,
    columns: usize,
    /// Profits in `unit` nano-dollars, rounded up.
    cells: Vec<i32>,
    unit: i64,
}

impl Table {
    /// Answers for rooms up to `room` in every dimension.
    pub fn new(
        sizes: &[Item],
        items: &[Valued],
        room: &[i64],
        prices: Vec<i128>,
        cells: [usize; 2],
        dims: [usize; 2],
    ) -> Self {
        let step = [0, 1].map(|axis| room[dims[axis]].max(0) / i64::try_from(cells[axis]).unwrap_or(i64::MAX) + 1);
        let [rows, columns] = [0, 1].map(|axis| (room[dims[axis]].max(0) / step[axis]) as usize + 1);
        let mut profits: Vec<(usize, usize, i64, u32)> = Vec::new();
        for valued in items {
            let size = &sizes[valued.item].size;
            let profit = profit(&prices, valued.value, size);
            let most = fits(size, room).min(valued.most);
            if profit > 0 && most > 0 {
                let cells = [0, 1].map(|axis| (size[dims[axis]] / step[axis]) as usize);
                profits.push((cells[0], cells[1], profit, most));
            }
        }
        let total: i64 = profits.iter().fold(0, |sum, p| sum.saturating_add(p.2.saturating_mul(i64::from(p.3))));
        let unit = (total >> 30) + 1;
        let mut table = Self { prices, dims, step, rows, columns, cells: vec![0; rows * columns], unit };
        for (r, c, profit, most) in profits {
            table.add(r, c, (profit + unit - 1) / unit, most);
        }
        table
    }

    fn add(&mut self, r: usize, c: usize, profit: i64, most: u32) {
        let holds = |size: usize, cells: usize| (cells - 1).checked_div(size).unwrap_or(usize::MAX);
        let holds = holds(r, self.rows).min(holds(c, self.columns));
        if holds <= most as usize {
            self.add_any(r, c, profit as i32);
            return;
        }
        // pieces of 1, 2, 4, ... and the rest: every number up to `most` is a sum of some of them
        let (mut left, mut piece) = (most, 1);
        while left > 0 {
            let count = piece.min(left);
            self.add_once(r * count as usize, c * count as usize, (profit * i64::from(count)) as i32);
            left -= count;
            piece *= 2;
        }
    }

    /// Any number of an item; not of size zero.
    fn add_any(&mut self, r: usize, c: usize, profit: i32) {
        if c >= self.columns {
            return;
        }
        for row in r..self.rows {
            if r == 0 {
                // what `c` cells to the left come to is known a block of `c` cells at a time
                let mut rest = &mut self.cells[row * self.columns..(row + 1) * self.columns];
                while rest.len() > c {
                    let (from, to) = rest.split_at_mut(c);
                    raise(to, from, profit);
                    rest = to;
                }
            } else {
                self.raise(row, r, c, profit);
            }
        }
    }

    /// One more thing, at most once.
    fn add_once(&mut self, r: usize, c: usize, profit: i32) {
        if r >= self.rows || c >= self.columns {
            return;
        }
        let mut before = vec![0; self.columns - c];
        for row in (r..self.rows).rev() {
            if r == 0 {
                let here = &mut self.cells[row * self.columns..(row + 1) * self.columns];
                before.copy_from_slice(&here[..self.columns - c]);
                raise(&mut here[c..], &before, profit);
            } else {
                self.raise(row, r, c, profit);
            }
        }
    }

    /// A row by what the row `r` above it, shifted by `c`, comes to with `profit` more; `r` is not zero.
    fn raise(&mut self, row: usize, r: usize, c: usize, profit: i32) {
        if c >= self.columns {
            return;
        }
        let (above, here) = self.cells.split_at_mut(row * self.columns);
        let from = &above[(row - r) * self.columns..(row - r + 1) * self.columns - c];
        raise(&mut here[c..self.columns], from, profit);
    }

    /// The most that a bin with this room can hold, nano-dollars.
    pub fn bound(&self, room: &[i64]) -> i64 {
        let at = |axis: usize, count: usize| ((room[self.dims[axis]].max(0) / self.step[axis]) as usize).min(count - 1);
        let cell = self.cells[at(0, self.rows) * self.columns + at(1, self.columns)];
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
pub fn shared(prices: &[i128], dims: [usize; 2], permille: i128) -> Vec<i128> {
    let share = |(dim, price): (usize, &i128)| if dims.contains(&dim) { price * permille / 1000 } else { *price };
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
