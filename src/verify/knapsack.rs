//! The most that one node can hold, nano-dollars, in integers: at prices of room, by a table, by a search.

/// 10^-18 dollars in a nano-dollar.
const ATTO: i128 = 1_000_000_000;

/// Pods that are worth something.
#[derive(Debug, Clone)]
pub struct Item {
    pub size: Vec<i64>,
    /// Nano-dollars, positive.
    pub value: i64,
    /// How many a node may hold.
    pub count: u32,
}

pub fn fitting(item: &Item, room: &[i64]) -> u32 {
    let by_dimension =
        item.size.iter().zip(room).filter(|(size, _)| **size > 0).map(|(size, room)| (room / size).max(0));
    let most = by_dimension.min().map_or(u32::MAX, |count| u32::try_from(count).unwrap_or(u32::MAX));
    most.min(item.count)
}

/// Room at `prices`, rounded up.
pub fn worth(room: &[i64], prices: &[i128]) -> i128 {
    rounded_up(sum(room.iter().zip(prices).map(|(room, price)| i128::from((*room).max(0)).saturating_mul(*price))))
}

/// What an item is worth beyond the room that it takes, rounded up; at least zero.
pub fn beyond(item: &Item, prices: &[i128]) -> i128 {
    let taken = sum(item.size.iter().zip(prices).map(|(size, price)| i128::from(*size).saturating_mul(*price)));
    rounded_up((i128::from(item.value) * ATTO).saturating_sub(taken).max(0))
}

/// Nano-dollars.
fn rounded_up(atto: i128) -> i128 {
    atto.saturating_add(ATTO - 1).div_euclid(ATTO)
}

/// A certificate may say anything: sums stop at the largest number, which proves nothing.
pub fn sum(of: impl Iterator<Item = i128>) -> i128 {
    of.fold(0, i128::saturating_add)
}

/// Room at `prices`, and all that fits and is worth more than its room: whatever the node holds is worth no more.
pub fn at_prices(items: &[Item], room: &[i64], prices: &[i128]) -> i128 {
    let extra = items.iter().map(|item| beyond(item, prices).saturating_mul(i128::from(fitting(item, room))));
    worth(room, prices).saturating_add(sum(extra))
}

/// A dimension of a table, in steps.
#[derive(Debug, Clone, Copy)]
struct Axis {
    dimension: usize,
    step: i64,
    length: usize,
}

impl Axis {
    /// At most `cells` steps, of no less than the largest amount that divides the sizes of all items.
    fn new(dimension: usize, items: &[&Item], room: &[i64], cells: usize) -> Self {
        let room = room[dimension].max(0);
        let divisor = divisor_of_all(items, dimension).min(room.saturating_add(1));
        let step = divisor.max(room / i64::try_from(cells.max(1)).unwrap_or(i64::MAX) + 1);
        Self { dimension, step, length: cell(room, step) + 1 }
    }

    fn cell(self, amounts: &[i64]) -> usize {
        cell(amounts[self.dimension], self.step)
    }
}

fn divisor_of_all(items: &[&Item], dimension: usize) -> i64 {
    items.iter().fold(0, |divisor, item| num_integer::gcd(divisor, item.size[dimension]))
}

/// Where room is counted by the unit: at most so many units.
const COUNTED: i64 = 16;

/// At most three dimensions in which room is worth most: two on a grid, and before them one of which there are few units, if
/// there is such.
fn dearest_axes(items: &[&Item], room: &[i64], prices: &[i128], cells: [usize; 2]) -> Vec<Axis> {
    let worth = |&dimension: &usize| i128::from(room[dimension].max(0)).saturating_mul(prices[dimension]);
    let mut order: Vec<usize> = (0..room.len()).collect();
    order.sort_by_key(|dimension| std::cmp::Reverse(worth(dimension)));
    let by_unit = order.iter().copied().find(|dimension| {
        let divisor = divisor_of_all(items, *dimension);
        worth(dimension) > 0 && divisor > 0 && room[*dimension].max(0) / divisor <= COUNTED
    });
    let is_useful = |dimension: &usize| by_unit.is_none_or(|unit| *dimension != unit && worth(dimension) > 0);
    let mut on_grid: Vec<usize> = order.into_iter().filter(is_useful).take(2).collect();
    on_grid.sort_unstable();
    let grid = on_grid.into_iter().zip(cells).map(|(dimension, cells)| Axis::new(dimension, items, room, cells));
    by_unit.map(|dimension| Axis::new(dimension, items, room, usize::MAX)).into_iter().chain(grid).collect()
}

/// The largest sums of what items are worth beyond their room, by capacity along the axes.
struct Table<'t> {
    prices: Vec<i128>,
    axes: &'t [Axis],
    /// Cells of a unit of each axis.
    strides: Vec<usize>,
    /// In `unit` nano-dollars.
    sums: Vec<u32>,
    unit: i128,
}

impl<'t> Table<'t> {
    /// Sizes and capacities are rounded down, so that whatever fits the node fits its cell.
    fn new(items: &[&'t Item], room: &[i64], prices: Vec<i128>, axes: &'t [Axis]) -> Self {
        let mut strides = vec![1; axes.len()];
        for axis in (1..axes.len()).rev() {
            strides[axis - 1] = strides[axis] * axes[axis].length;
        }
        let extras: Vec<(&Item, i128, u32)> = items
            .iter()
            .map(|&item| (item, beyond(item, &prices), fitting(item, room)))
            .filter(|(_, extra, count)| *extra > 0 && *count > 0)
            .collect();
        let all: i128 = extras.iter().map(|(_, extra, count)| extra * i128::from(*count)).sum();
        let unit = all / (1 << 30) + 1;
        let sums = vec![0; axes.iter().map(|axis| axis.length).product()];
        let mut table = Self { prices, axes, strides, sums, unit };
        for (item, extra, count) in extras {
            let steps: Vec<usize> = axes.iter().map(|axis| axis.cell(&item.size)).collect();
            let extra = u32::try_from((extra + unit - 1) / unit).unwrap_or(u32::MAX / 2);
            // every number up to the count is a sum of some of 1, 2, 4, ... and the rest
            let (mut rest, mut piece) = (count, 1);
            while rest > 0 {
                let times = piece.min(rest);
                let steps: Vec<usize> = steps.iter().map(|step| step.saturating_mul(times as usize)).collect();
                if steps.iter().zip(axes).all(|(step, axis)| *step < axis.length) {
                    let before = steps.iter().zip(&table.strides).map(|(step, stride)| step * stride).sum();
                    table.add(0, 0, &steps, before, extra.saturating_mul(times));
                }
                rest -= times;
                piece = piece.saturating_mul(2);
            }
        }
        table
    }

    /// Something that is taken once or not at all, in all cells from `start` on along `axis` and those after it: what is
    /// `before` cells earlier is its room less `steps`. From the last cell to the first, so that none counts it twice.
    fn add(&mut self, axis: usize, start: usize, steps: &[usize], before: usize, extra: u32) {
        let (from, to) =
            (start + steps[axis] * self.strides[axis], start + self.axes[axis].length * self.strides[axis]);
        if axis + 1 < self.axes.len() {
            for cell in (from..to).step_by(self.strides[axis]).rev() {
                self.add(axis + 1, cell, steps, before, extra);
            }
        } else {
            let earlier = self.sums[from - before..to - before].to_vec();
            for (sum, other) in self.sums[from..to].iter_mut().zip(earlier) {
                *sum = (*sum).max(other + extra);
            }
        }
    }

    fn most(&self, room: &[i64]) -> i128 {
        let places = self.axes.iter().map(|axis| axis.cell(room).min(axis.length - 1));
        let place: usize = places.zip(&self.strides).map(|(place, stride)| place * stride).sum();
        worth(room, &self.prices).saturating_add(i128::from(self.sums[place]) * self.unit)
    }
}

fn cell(amount: i64, step: i64) -> usize {
    usize::try_from(amount.max(0) / step).unwrap_or(usize::MAX)
}

/// Which parts of the prices tables take off, in thousandths.
const PARTS: [i128; 4] = [1_000, 900, 700, 0];
/// A search takes an item one by one where it is worth at least one in so many of the floor.
const SEARCHED: i128 = 20;

/// The most that the node can hold with whole pods, as far as cells and steps show; at least `floor`, below which nothing is
/// of interest.
pub fn with_whole_pods(
    items: &[Item],
    room: &[i64],
    prices: &[i128],
    floor: i128,
    cells: [usize; 2],
    steps: usize,
) -> i128 {
    let mut items: Vec<&Item> = items.iter().filter(|item| fitting(item, room) > 0).collect();
    let axes = dearest_axes(&items, room, prices, cells);
    let part = |permille: i128| {
        let is_seen = |dimension: usize| axes.iter().any(|axis| axis.dimension == dimension);
        let price =
            |(dimension, price): (usize, &i128)| if is_seen(dimension) { price * permille / 1_000 } else { *price };
        prices.iter().enumerate().map(price).collect::<Vec<i128>>()
    };
    let tables: Vec<Table> = PARTS.iter().map(|&of| Table::new(&items, room, part(of), &axes)).collect();
    let most = tables.iter().map(|table| table.most(room)).min().unwrap_or(i128::MAX);
    if most <= floor {
        return floor;
    }
    items.sort_by_key(|item| std::cmp::Reverse(worth(&item.size, prices)));
    let mut search = Search { items, prices, tables: &tables, floor, open: 0, steps };
    let mut taken = vec![0; search.items.len()];
    search.descend(&mut room.to_vec(), 0, 0, &mut taken);
    search.floor.max(search.open).min(most)
}

struct Search<'s> {
    items: Vec<&'s Item>,
    prices: &'s [i128],
    tables: &'s [Table<'s>],
    /// The most that was found, or what is of interest.
    floor: i128,
    /// The largest bound of what was not searched.
    open: i128,
    steps: usize,
}

impl Search<'_> {
    fn descend(&mut self, room: &mut [i64], value: i128, first: usize, taken: &mut [u32]) {
        self.floor = self.floor.max(value);
        let mut branches: Vec<(i128, usize)> = Vec::new();
        for (index, &item) in self.items.iter().enumerate().skip(first) {
            if taken[index] >= item.count || item.size.iter().zip(room.iter()).any(|(size, room)| size > room) {
                continue;
            }
            room.iter_mut().zip(&item.size).for_each(|(room, size)| *room -= size);
            let rest = self.tables.iter().map(|table| table.most(room)).min().unwrap_or(i128::MAX / 2);
            room.iter_mut().zip(&item.size).for_each(|(room, size)| *room += size);
            let bound = rest.saturating_add(value + i128::from(item.value));
            if bound > self.floor {
                if worth(&item.size, self.prices).saturating_mul(SEARCHED) < self.floor {
                    self.open = self.open.max(bound);
                } else {
                    branches.push((bound, index));
                }
            }
        }
        branches.sort_by_key(|&(bound, index)| (std::cmp::Reverse(bound), index));
        for (bound, index) in branches {
            if bound <= self.floor.max(self.open) {
                return;
            }
            if self.steps == 0 {
                self.open = self.open.max(bound);
                return;
            }
            self.steps -= 1;
            let item = self.items[index];
            taken[index] += 1;
            room.iter_mut().zip(&item.size).for_each(|(room, size)| *room -= size);
            self.descend(room, value + i128::from(item.value), index, taken);
            room.iter_mut().zip(&item.size).for_each(|(room, size)| *room += size);
            taken[index] -= 1;
        }
    }
}
