//! One table over the two dimensions that cost most prices every bin of a class at once: an upper bound of what each capacity can hold.
//!
//! Room is worth `prices` a unit; beyond that an item is worth its profit. The table holds the best total profit by
//! capacity, sizes and capacities rounded down to the grid: a cell plus the worth of the room is an upper bound. The
//! search reads it as the completion bound of a depth-first enumeration, which makes it exact for bins of few items.

use super::fill::{Filler, Filling, Worth};
use super::instance::Instance;

pub struct Table<'i> {
    instance: &'i Instance,
    prices: Vec<f64>,
    dims: [usize; 2],
    step: [i64; 2],
    rows: usize,
    columns: usize,
    profit: Vec<f32>,
    entries: Vec<Entry>,
    /// Rows, columns, entry and profit of each item in the table.
    shapes: Vec<(usize, usize, usize, f32)>,
}

/// Which way sizes go to the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The table is an upper bound.
    Down,
    /// Errors cancel out: fillings nearly fit.
    Nearest,
}

/// An item that is worth something and fits.
struct Entry {
    position: usize,
    item: usize,
    value: f64,
}

/// What the search found, and what no filling can exceed.
pub struct Found {
    pub best: Filling,
    pub most: f64,
}

impl<'i> Table<'i> {
    /// `room`: at least that of every bin that is asked; `prices` by dimension; `None` where an item with profit is smaller
    /// than the grid in both dimensions.
    pub fn new(
        filler: &Filler<'i>,
        room: &[i64],
        prices: Vec<f64>,
        cells: [usize; 2],
        dims: [usize; 2],
        rounding: Rounding,
    ) -> Option<Self> {
        let (instance, class) = (filler.instance, filler.class);
        let Worth { values, most, .. } = filler.worth;
        let largest = dims.map(|dim| room[dim].max(0));
        let step: [i64; 2] =
            [0, 1].map(|axis| largest[axis] / i64::try_from(cells[axis]).expect("a table fits into memory") + 1);
        let [rows, columns] = [0, 1].map(|axis| (largest[axis] / step[axis]) as usize + 1);
        let mut entries: Vec<Entry> = Vec::new();
        let mut shapes = Vec::new();
        let mut steps: Vec<(usize, usize, f32)> = Vec::new();
        for (position, &item) in class.items.iter().enumerate() {
            let (size, value) = (&instance.items[item].size, values[item]);
            if value <= 0.0 || most[item] == 0 || size.iter().zip(room).any(|(size, room)| size > room) {
                continue;
            }
            entries.push(Entry { position, item, value });
            let profit = value - size.iter().zip(&prices).map(|(s, p)| *s as f64 * p).sum::<f64>();
            if profit > 1e-12 {
                let cells = |axis: usize| {
                    let (size, step) = (size[dims[axis]], step[axis]);
                    let rounded = match rounding {
                        Rounding::Down => size / step,
                        Rounding::Nearest => (size + step / 2) / step,
                    };
                    rounded as usize
                };
                let (r, c) = (cells(0), cells(1));
                if r == 0 && c == 0 {
                    return None;
                }
                shapes.push((r, c, entries.len() - 1, profit as f32));
                steps.push((r, c, profit as f32 * (1.0 + 1e-6)));
            }
        }
        // an item that is no smaller and worth no more than another is never needed
        steps.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
        let mut useful: Vec<(usize, usize, f32)> = Vec::new();
        for entry in steps {
            if !useful.iter().any(|kept| kept.0 <= entry.0 && kept.1 <= entry.1) {
                useful.push(entry);
            }
        }
        let mut table = vec![0.0_f32; rows * columns];
        for &(r, c, profit) in &useful {
            for row in r..rows {
                if r == 0 {
                    for column in c..columns {
                        let at = row * columns + column;
                        table[at] = table[at].max(table[at - c] + profit);
                    }
                } else if c < columns {
                    let (before, here) = table.split_at_mut(row * columns);
                    let from = &before[(row - r) * columns..(row - r + 1) * columns - c];
                    for (to, from) in here[c..columns].iter_mut().zip(from) {
                        *to = to.max(from + profit);
                    }
                }
            }
        }
        Some(Self { instance, prices, dims, step, rows, columns, profit: table, entries, shapes })
    }

    fn cell(&self, room: &[i64]) -> (usize, usize) {
        let at = |axis: usize, count: usize| ((room[self.dims[axis]].max(0) / self.step[axis]) as usize).min(count - 1);
        (at(0, self.rows), at(1, self.columns))
    }

    /// The most that a bin with this room can hold.
    pub fn bound(&self, room: &[i64]) -> f64 {
        let (row, column) = self.cell(room);
        let base: f64 = room.iter().zip(&self.prices).map(|(r, p)| (*r).max(0) as f64 * p).sum();
        base + f64::from(self.profit[row * self.columns + column])
    }

    /// A filling that comes near the table's value and fits, read off `slack` cells below the capacity: counts by position.
    pub fn filling(&self, filler: &Filler, room: &[i64], slack: usize) -> Vec<u32> {
        let most = filler.worth.most;
        let (row, column) = self.cell(room);
        let (mut row, mut column) = (row.saturating_sub(slack), column.saturating_sub(slack));
        let mut counts = vec![0; filler.class.items.len()];
        let mut left = room.to_vec();
        loop {
            let mut best: Option<(f32, usize, usize, usize)> = None;
            for &(r, c, index, profit) in &self.shapes {
                if r > row || c > column {
                    continue;
                }
                let value = self.profit[(row - r) * self.columns + column - c] + profit;
                if best.is_some_and(|(most, ..)| value <= most) {
                    continue;
                }
                let entry = &self.entries[index];
                let model = &self.instance.items[entry.item];
                if counts[entry.position] < most[entry.item].min(model.most)
                    && model.size.iter().zip(&left).all(|(size, left)| size <= left)
                {
                    best = Some((value, index, r, c));
                }
            }
            let Some((_, index, r, c)) = best else { return counts };
            let entry = &self.entries[index];
            counts[entry.position] += 1;
            (row, column) = (row - r, column - c);
            for (left, size) in left.iter_mut().zip(&self.instance.items[entry.item].size) {
                *left -= size;
            }
        }
    }

    /// Searches for a filling worth more than `start`, at most `most` of each item (by item), in at most so many steps.
    pub fn search(&self, room: &[i64], most: &[u32], start: Filling, steps: usize) -> Found {
        let mut search = Search {
            table: self,
            most,
            steps,
            counts: vec![0; start.counts.len()],
            best: start.counts,
            value: start.value,
            open: 0.0,
        };
        search.descend(&mut room.to_vec(), 0.0, 0);
        let most = search.value.max(search.open) * (1.0 + 1e-9);
        Found { best: Filling { counts: search.best, value: search.value }, most }
    }
}

struct Search<'t, 'i> {
    table: &'t Table<'i>,
    most: &'t [u32],
    steps: usize,
    counts: Vec<u32>,
    best: Vec<u32>,
    value: f64,
    /// The largest bound of a part that was not searched.
    open: f64,
}

impl Search<'_, '_> {
    /// Adds entries from `first` on.
    fn descend(&mut self, left: &mut [i64], value: f64, first: usize) {
        if value > self.value * (1.0 + 1e-9) {
            self.value = value;
            self.best.clone_from(&self.counts);
        }
        let table = self.table;
        let mut children: Vec<(f64, usize)> = Vec::new();
        for (index, entry) in table.entries.iter().enumerate().skip(first) {
            let model = &table.instance.items[entry.item];
            if self.counts[entry.position] >= self.most[entry.item].min(model.most)
                || model.size.iter().zip(left.iter()).any(|(size, left)| size > left)
            {
                continue;
            }
            for (left, size) in left.iter_mut().zip(&model.size) {
                *left -= size;
            }
            let bound = value + entry.value + table.bound(left);
            for (left, size) in left.iter_mut().zip(&model.size) {
                *left += size;
            }
            if bound > self.value * (1.0 + 1e-6) {
                children.push((bound, index));
            }
        }
        children.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (bound, index) in children {
            if bound <= self.value * (1.0 + 1e-6) {
                return;
            }
            if self.steps == 0 {
                self.open = self.open.max(bound);
                return;
            }
            self.steps -= 1;
            let entry = &table.entries[index];
            let size = &table.instance.items[entry.item].size;
            self.counts[entry.position] += 1;
            for (left, size) in left.iter_mut().zip(size) {
                *left -= size;
            }
            self.descend(left, value + entry.value, index);
            for (left, size) in left.iter_mut().zip(size) {
                *left += size;
            }
            self.counts[entry.position] -= 1;
        }
    }
}
