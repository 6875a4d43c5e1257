//! Depth-first search for the most valuable filling of one bin, cut off by tables: exact where its steps suffice.

use super::table::{Table, Valued, fits};
use super::{Item, give};

/// What the search found, and what no filling can exceed; nano-dollars.
pub struct Found {
    /// By position in the items of the search; `None` where nothing worth more than the floor was found.
    pub counts: Option<Vec<u32>>,
    /// No filling is worth more; at least the floor.
    pub most: i64,
}

/// Looks for fillings of `room` worth more than `floor`, in at most so many steps. Items are tried in the order given,
/// which should be from large to small.
pub fn search(sizes: &[Item], items: &[Valued], tables: &[Table], room: &[i64], floor: i64, steps: usize) -> Found {
    let mut dense: Vec<usize> = (0..items.len()).collect();
    dense.sort_by(|&a, &b| items[b].density.total_cmp(&items[a].density).then(a.cmp(&b)));
    let counts = vec![0; items.len()];
    let mut search = Search { sizes, items, dense, tables, steps, counts, best: None, value: floor, open: 0 };
    search.descend(&mut room.to_vec(), 0, 0);
    Found { most: search.value.max(search.open), counts: search.best }
}

struct Search<'s> {
    sizes: &'s [Item],
    items: &'s [Valued],
    /// Indices of the items, densest first.
    dense: Vec<usize>,
    tables: &'s [Table],
    steps: usize,
    counts: Vec<u32>,
    best: Option<Vec<u32>>,
    value: i64,
    /// The largest bound of a part that was not searched.
    open: i64,
}

impl<'s> Search<'s> {
    /// Adds items from `first` on.
    fn descend(&mut self, left: &mut [i64], value: i64, first: usize) {
        self.fill_up(left, value);
        let mut children: Vec<(i64, usize)> = Vec::new();
        for (index, valued) in self.items.iter().enumerate().skip(first) {
            let size = self.size(index);
            if self.counts[index] >= valued.most || size.iter().zip(left.iter()).any(|(size, left)| size > left) {
                continue;
            }
            give(left, size, -1);
            let rest = self.tables.iter().map(|table| table.bound(left)).min().unwrap_or(i64::MAX / 2);
            give(left, size, 1);
            let bound = value.saturating_add(valued.value).saturating_add(rest);
            match bound > self.value {
                true if valued.is_small => self.open = self.open.max(bound),
                true => children.push((bound, index)),
                false => {}
            }
        }
        children.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for (bound, index) in children {
            if bound <= self.value {
                return;
            }
            if self.steps == 0 {
                self.open = self.open.max(bound);
                return;
            }
            self.steps -= 1;
            let size = self.size(index);
            self.counts[index] += 1;
            give(left, size, -1);
            self.descend(left, value + self.items[index].value, index);
            give(left, size, 1);
            self.counts[index] -= 1;
        }
    }

    /// Fills up with what is worth most for its size.
    fn fill_up(&mut self, left: &[i64], value: i64) {
        let mut room = left.to_vec();
        let mut added: Vec<(usize, u32)> = Vec::new();
        let mut total = value;
        for &index in &self.dense {
            let valued = &self.items[index];
            let count = fits(self.size(index), &room).min(valued.most - self.counts[index]);
            if count > 0 {
                total += valued.value * i64::from(count);
                give(&mut room, self.size(index), -i64::from(count));
                added.push((index, count));
            }
        }
        if total > self.value {
            self.value = total;
            let mut counts = self.counts.clone();
            for (index, count) in added {
                counts[index] += count;
            }
            self.best = Some(counts);
        }
    }

    fn size(&self, index: usize) -> &'s [i64] {
        &self.sizes[self.items[index].item].size
    }
}
