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

/// The largest sums of what items are worth beyond their room, by capacity in two dimensions on a grid.
struct Table {
    prices: Vec<i128>,
    axes: [usize; 2],
    grid: [i64; 2],
    width: usize,
    height: usize,
    /// In `unit` nano-dollars.
    sums: Vec<u32>,
    unit: i128,
}

impl Table {
    /// Sizes and capacities are rounded down, so that whatever fits the node fits its cell.
    fn new(items: &[Item], room: &[i64], prices: Vec<i128>, axes: [usize; 2], cells: [usize; 2]) -> Self {
        let grid =
            [0, 1].map(|axis| room[axes[axis]].max(0) / i64::try_from(cells[axis].max(1)).unwrap_or(i64::MAX) + 1);
        let [height, width] = [0, 1].map(|axis| cell(room[axes[axis]], grid[axis]) + 1);
        let extras: Vec<(&Item, i128, u32)> = items
            .iter()
            .map(|item| (item, beyond(item, &prices), fitting(item, room)))
            .filter(|(_, extra, count)| *extra > 0 && *count > 0)
            .collect();
        let all: i128 = extras.iter().map(|(_, extra, count)| extra * i128::from(*count)).sum();
        let unit = all / (1 << 30) + 1;
        let mut table = Self { prices, axes, grid, width, height, sums: vec![0; width * height], unit };
        for (item, extra, count) in extras {
            let steps = [0, 1].map(|axis| cell(item.size[axes[axis]], grid[axis]));
            let extra = u32::try_from((extra + unit - 1) / unit).unwrap_or(u32::MAX / 2);
            // every number up to the count is a sum of some of 1, 2, 4, ... and the rest
            let (mut rest, mut piece) = (count, 1);
            while rest > 0 {
                let times = piece.min(rest);
                table.add(steps.map(|step| step.saturating_mul(times as usize)), extra.saturating_mul(times));
                rest -= times;
                piece = piece.saturating_mul(2);
            }
        }
        table
    }

    /// Something that is taken once or not at all.
    fn add(&mut self, [down, across]: [usize; 2], extra: u32) {
        if down >= self.height || across >= self.width {
            return;
        }
        for row in (down..self.height).rev() {
            let (to, from) = (row * self.width, (row - down) * self.width);
            if down == 0 {
                for column in (across..self.width).rev() {
                    self.sums[to + column] = self.sums[to + column].max(self.sums[to + column - across] + extra);
                }
            } else {
                let (above, here) = self.sums.split_at_mut(to);
                let above = &above[from..from + self.width - across];
                for (sum, other) in here[across..self.width].iter_mut().zip(above) {
                    *sum = (*sum).max(other + extra);
                }
            }
        }
    }

    fn most(&self, room: &[i64]) -> i128 {
        let row = cell(room[self.axes[0]], self.grid[0]).min(self.height - 1);
        let column = cell(room[self.axes[1]], self.grid[1]).min(self.width - 1);
        worth(room, &self.prices).saturating_add(i128::from(self.sums[row * self.width + column]) * self.unit)
    }
}

fn cell(amount: i64, grid: i64) -> usize {
    usize::try_from(amount.max(0) / grid).unwrap_or(usize::MAX)
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
    let mut axes: Vec<usize> = (0..room.len()).collect();
    axes.sort_by_key(|&axis| std::cmp::Reverse(i128::from(room[axis].max(0)).saturating_mul(prices[axis])));
    let axes = [axes[0].min(axes[1]), axes[0].max(axes[1])];
    let part = |permille: i128| {
        let price =
            |(axis, price): (usize, &i128)| if axes.contains(&axis) { price * permille / 1_000 } else { *price };
        prices.iter().enumerate().map(price).collect::<Vec<i128>>()
    };
    let tables: Vec<Table> = PARTS.iter().map(|&of| Table::new(items, room, part(of), axes, cells)).collect();
    let most = tables.iter().map(|table| table.most(room)).min().unwrap_or(i128::MAX);
    if most <= floor {
        return floor;
    }
    let mut order: Vec<&Item> = items.iter().filter(|item| fitting(item, room) > 0).collect();
    order.sort_by_key(|item| std::cmp::Reverse(worth(&item.size, prices)));
    let mut search = Search { items: order, prices, tables: &tables, floor, open: 0, steps };
    let mut taken = vec![0; search.items.len()];
    search.descend(&mut room.to_vec(), 0, 0, &mut taken);
    search.floor.max(search.open).min(most)
}

struct Search<'s> {
    items: Vec<&'s Item>,
    prices: &'s [i128],
    tables: &'s [Table],
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
