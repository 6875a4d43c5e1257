//! The program of the routes (`models/routes.md`): pods that are alike, bins that are alike, and what stands for what.

use std::collections::BTreeMap;

use super::super::Task;
use super::super::instance::{Bin, Duals, Instance, usd};
use super::super::round::Left;
use crate::solve::lp::Optimal;
use crate::solve::program::{Program, ProgramColumn, RowBound};

/// Proportions are told apart in steps of this power of two, and not at all below this one.
const STEP: f64 = 0.33;
const LEAST_POWER: f64 = -4.0;
/// A resource counts where it makes out this part of what all pods are worth.
const COUNTS: f64 = 0.01;
/// New bins of a kind that cost no more than this for their room beside the cheapest.
const AS_CHEAP: f64 = 1.02;

/// Dimensions that make out a part of what pods are worth; the first where none does.
pub fn counting(task: &Task) -> Vec<usize> {
    let Task { instance, weights, .. } = *task;
    let mut worth = vec![0.0; instance.dims];
    for (class, weights) in instance.classes.iter().zip(weights) {
        for item in class.items.iter().map(|item| &instance.items[*item]) {
            for (worth, (size, weight)) in worth.iter_mut().zip(item.size.iter().zip(weights)) {
                *worth += *size as f64 * weight * f64::from(item.demand);
            }
        }
    }
    let all: f64 = worth.iter().sum();
    let counting: Vec<usize> = (0..instance.dims).filter(|dim| worth[*dim] > all * COUNTS).collect();
    if counting.is_empty() { vec![0] } else { counting }
}

/// Pods that are alike.
pub struct Alike {
    pub items: Vec<usize>,
    /// Of all of them, by dimension, in [`Routes::scale`].
    total: Vec<f64>,
    leaving: f64,
}

/// Bins that are alike.
pub struct Kind {
    pub class: usize,
    /// Those that are filled, in this order.
    pub bins: Vec<usize>,
    /// Of new bins the one that stands for all in the program.
    pub bought: Option<usize>,
    /// By dimension: its rows' numbers.
    rows: Vec<usize>,
    /// What goes to it: (alike, column).
    pub sent: Vec<(usize, usize)>,
}

/// Columns of a row with their factors.
type Entries = Vec<(usize, f64)>;

/// The program with what stands for what.
pub struct Routes<'r> {
    pub dims: &'r [usize],
    /// One unit of each dimension that counts.
    scale: Vec<f64>,
    pub alike: Vec<Alike>,
    pub kinds: Vec<Kind>,
    pub program: Program,
    /// By row of the instance: its number, where it is a limit.
    limits: Vec<Option<usize>>,
    /// What there is to route, by item.
    pub demands: Vec<u32>,
}

impl<'r> Routes<'r> {
    /// ```text
    /// minimise  sum_k c_k y_k + sum_a f_a u_a
    /// all_a     sum_k x_ak + u_a >= 1                               for pods a that are alike
    /// room_kr   sum_a S_ar x_ak - R_kr y_k <= 0, or <= R_kr         for bins k that are bought, or are there
    /// limit_l   sum_k n_lk y_k <= left_l
    /// ```
    /// `S_ar`: what all of them request; `x_ak` is at most the part of them that fits.
    pub fn of(task: &Task, left: &Left, dims: &'r [usize]) -> Self {
        let instance = task.instance;
        let demand = |item: usize| f64::from(left.demands[item]);
        let scale: Vec<f64> = dims
            .iter()
            .map(|&dim| {
                let total: f64 =
                    (0..instance.items.len()).map(|item| instance.items[item].size[dim] as f64 * demand(item)).sum();
                total.max(1.0)
            })
            .collect();
        let mut routes = Self {
            dims,
            scale,
            alike: Vec::new(),
            kinds: Vec::new(),
            program: Program::default(),
            limits: vec![None; instance.rows.len()],
            demands: left.demands.clone(),
        };
        routes.add_alike(task);
        routes.add_kinds(task, left);
        routes.add_rows(instance, left);
        routes
    }

    fn scaled(&self, amounts: &[i64]) -> Vec<f64> {
        scaled(self.dims, &self.scale, amounts)
    }

    /// The proportions of an amount, in steps.
    fn proportions(&self, amounts: &[i64]) -> Vec<i32> {
        let parts = self.scaled(amounts);
        let most = parts.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        parts.iter().map(|part| ((part / most).log2().max(LEAST_POWER) / STEP).round() as i32).collect()
    }

    fn add_alike(&mut self, task: &Task) {
        let instance = task.instance;
        let mut classes: Vec<Vec<usize>> = vec![Vec::new(); instance.items.len()];
        for (class, of) in instance.classes.iter().enumerate() {
            of.items.iter().for_each(|item| classes[*item].push(class));
        }
        let mut alike: BTreeMap<(&[usize], Vec<i32>), Vec<usize>> = BTreeMap::new();
        for (item, of) in instance.items.iter().enumerate().filter(|(item, _)| self.demands[*item] > 0) {
            alike.entry((&classes[item], self.proportions(&of.size))).or_default().push(item);
        }
        for items in alike.into_values() {
            let mut total = vec![0.0; self.dims.len()];
            let mut leaving = 0.0;
            for &item in &items {
                let pods = f64::from(self.demands[item]);
                let size = self.scaled(&instance.items[item].size);
                total.iter_mut().zip(size).for_each(|(total, size)| *total += size * pods);
                leaving += task.leaving[item] * pods;
            }
            self.alike.push(Alike { items, total, leaving });
        }
    }

    fn add_kinds(&mut self, task: &Task, left: &Left) {
        let Task { instance, weights, .. } = *task;
        for (class, of) in instance.classes.iter().enumerate() {
            let mut kinds: BTreeMap<(Vec<usize>, Vec<i32>), Vec<usize>> = BTreeMap::new();
            for (bin, model) in of.bins.iter().enumerate().filter(|(_, bin)| left.times(bin) > 0) {
                let rows = if instance.supply(model).is_some() {
                    vec![usize::MAX] // each has a row of its own
                } else {
                    model.uses.iter().map(|(row, _)| *row).collect()
                };
                kinds.entry((rows, self.proportions(&model.room))).or_default().push(bin);
            }
            let room =
                |bin: &Bin| -> f64 { bin.room.iter().zip(&weights[class]).map(|(room, w)| *room as f64 * w).sum() };
            for mut bins in kinds.into_values() {
                let is_supply = instance.supply(&of.bins[bins[0]]).is_some();
                let mut bought = None;
                if !is_supply {
                    let dearness = |bin: &usize| usd(of.bins[*bin].cost) / room(&of.bins[*bin]).max(1e-12);
                    let Some(cheapest) = bins.iter().copied().min_by(|a, b| dearness(a).total_cmp(&dearness(b))) else {
                        continue;
                    };
                    let most = dearness(&cheapest) * AS_CHEAP;
                    bins.retain(|bin| dearness(bin) <= most);
                    bought = Some(cheapest);
                }
                // of new nodes the largest first; of those that are there the smallest, which few pods fit
                let size = |bin: &usize| self.scaled(&of.bins[*bin].room).iter().sum::<f64>();
                bins.sort_by(|a, b| size(a).total_cmp(&size(b)).then(a.cmp(b)));
                if !is_supply {
                    bins.reverse();
                }
                self.kinds.push(Kind { class, bins, bought, rows: Vec::new(), sent: Vec::new() });
            }
        }
    }

    fn add_rows(&mut self, instance: &Instance, left: &Left) {
        let endless = f64::INFINITY;
        let column = |name: String, cost: f64, most: f64| ProgramColumn { name, cost, most, is_integer: false };
        let mut all: Vec<Entries> = Vec::new();
        for (a, alike) in self.alike.iter().enumerate() {
            all.push(vec![(self.program.add_column(column(format!("u_{a}"), alike.leaving, endless)), 1.0)]);
        }
        let mut limits: BTreeMap<usize, Entries> = BTreeMap::new();
        for (k, kind) in self.kinds.iter_mut().enumerate() {
            let of = &instance.classes[kind.class];
            let mut entries: Vec<Entries> = vec![Vec::new(); self.dims.len()];
            let scaled = |amounts: &[i64]| scaled(self.dims, &self.scale, amounts);
            let mut there = vec![0.0; self.dims.len()];
            if let Some(bin) = kind.bought.map(|bin| &of.bins[bin]) {
                let y = self.program.add_column(column(format!("y_{k}"), usd(bin.cost), endless));
                entries.iter_mut().zip(scaled(&bin.room)).for_each(|(entries, room)| entries.push((y, -room)));
                for &(row, amount) in &bin.uses {
                    limits.entry(row).or_default().push((y, instance.part(row, amount)));
                }
            } else {
                for bin in kind.bins.iter().map(|bin| &of.bins[*bin]) {
                    let times = f64::from(left.times(bin));
                    there.iter_mut().zip(scaled(&bin.room)).for_each(|(there, room)| *there += room * times);
                }
            }
            let Some(largest) = kind.bins.iter().map(|bin| &of.bins[*bin]).reduce(larger) else { continue };
            for (a, alike) in self.alike.iter().enumerate() {
                // alike items are of the same classes
                if of.items.binary_search(&alike.items[0]).is_err() {
                    continue;
                }
                let fits = fitting(instance, &self.demands, alike, largest);
                if fits > 0.0 {
                    let x = self.program.add_column(column(format!("x_{a}_{k}"), 0.0, fits));
                    all[a].push((x, 1.0));
                    entries.iter_mut().zip(&alike.total).for_each(|(entries, total)| entries.push((x, *total)));
                    kind.sent.push((a, x));
                }
            }
            for (r, (entries, there)) in entries.into_iter().zip(there).enumerate() {
                kind.rows.push(self.program.add_row(format!("room_{k}_{r}"), RowBound::AtMost(there), entries));
            }
        }
        for (a, entries) in all.into_iter().enumerate() {
            self.program.add_row(format!("all_{a}"), RowBound::AtLeast(1.0), entries);
        }
        for (limit, entries) in limits {
            let left = left.rows[limit] as f64 / instance.rows[limit].capacity as f64;
            let row = self.program.add_row(format!("limit_{limit}"), RowBound::AtMost(left.max(0.0)), entries);
            self.limits[limit] = Some(row);
        }
    }

    /// What a unit of room of a kind is worth, dollars by dimension of the instance.
    pub fn weights(&self, instance: &Instance, kind: &Kind, optimal: &Optimal) -> Vec<f64> {
        let mut weights = vec![0.0; instance.dims];
        for ((dim, scale), row) in self.dims.iter().zip(&self.scale).zip(&kind.rows) {
            weights[*dim] = optimal.of_rows[*row].abs() / scale;
        }
        weights
    }

    /// What the dual of the program says: a pod is worth what its room is where that is least.
    pub fn worth(&self, instance: &Instance, optimal: &Optimal) -> Duals {
        let mut duals =
            Duals { items: vec![f64::INFINITY; instance.items.len()], rows: vec![0.0; instance.rows.len()] };
        for kind in &self.kinds {
            let weights = self.weights(instance, kind, optimal);
            let worth = |amounts: &[i64]| -> f64 {
                amounts.iter().zip(&weights).map(|(amount, weight)| (*amount).max(0) as f64 * weight).sum()
            };
            let of = &instance.classes[kind.class];
            for &(a, _) in &kind.sent {
                for &item in &self.alike[a].items {
                    duals.items[item] = duals.items[item].min(worth(&instance.items[item].size));
                }
            }
            for bin in kind.bins.iter().map(|bin| &of.bins[*bin]) {
                if let Some((row, amount)) = instance.supply(bin) {
                    duals.rows[row] = duals.rows[row].max(worth(&bin.room) / instance.part(row, amount));
                }
            }
        }
        for (value, limit) in duals.rows.iter_mut().zip(&self.limits) {
            if let Some(row) = limit {
                *value = optimal.of_rows[*row].abs();
            }
        }
        duals.items.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
        duals
    }
}

fn larger<'b>(one: &'b Bin, other: &'b Bin) -> &'b Bin {
    if one.room.iter().zip(&other.room).all(|(one, other)| one >= other) { one } else { other }
}

/// Which part of pods that are alike fits into the bin.
fn fitting(instance: &Instance, demands: &[u32], alike: &Alike, bin: &Bin) -> f64 {
    let fits = |item: &usize| instance.items[*item].size.iter().zip(&bin.room).all(|(size, room)| size <= room);
    let pods = |item: &usize| f64::from(demands[*item]);
    let all: f64 = alike.items.iter().map(pods).sum();
    alike.items.iter().filter(|item| fits(item)).map(pods).sum::<f64>() / all.max(1.0)
}

/// Amounts of the dimensions that count, in their units.
fn scaled(dims: &[usize], scale: &[f64], amounts: &[i64]) -> Vec<f64> {
    dims.iter().zip(scale).map(|(dim, scale)| amounts[*dim].max(0) as f64 / scale).collect()
}
