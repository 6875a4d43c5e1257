//! Many kinds of pods: a packing is improved part by part.
//!
//! A master with thousands of rows takes longer than there is time. Some bins of a packing with what they hold are a question
//! of their own, a small one; what it is answered with takes their place where it is cheaper. Parts are drawn anew in each sweep,
//! so that every two bins of a class meet some time. (Large neighbourhood search: Shaw 1998.)

use std::collections::{BTreeMap, BTreeSet};

use super::instance::{Bin, Class, Duals, Instance, Item, Packing, Pattern, Row};
use super::{Best, Ended, MANY_ITEMS, News, Pace, Start, Task, TimeLeft, Work, cost, search};

/// Kinds of pods in a part.
const MOST_ITEMS: usize = 250;
/// A part gets at least this share of the time: less finds nothing better.
const LEAST_SHARE: f64 = 1.0 / 16.0;
/// A packing is handed over when it costs this much less than the last one, as carrying it out takes time.
const WORTH_TELLING: f64 = 0.99;
/// Sweeps that improve nothing before the search ends.
const MOST_IDLE: usize = 2;
/// Of the rounds of column generation a part gets one in so many, where work is limited.
const ROUNDS_SHARE: usize = 8;

/// Improves a packing of everything until its time is over, or nothing is found.
pub fn improve(task: &Task, packing: Packing, time: TimeLeft, best: &mut Best) -> Ended {
    let Task { instance, weights, stop, work, .. } = *task;
    let work = match work.pace {
        Pace::Time => work,
        Pace::Work => Work { rounds: work.rounds.div_ceil(ROUNDS_SHARE), ..work },
    };
    let mut packing = packing;
    let mut told = cost(instance, &packing);
    let mut values = Duals { items: Vec::new(), rows: Vec::new() };
    let mut idle = 0;
    for sweep in 0.. {
        let before = cost(instance, &packing);
        let mut worth = Worth::new(instance);
        let mut parts = split(&packing, sweep);
        for index in 0..parts.len() {
            if stop() {
                break;
            }
            let others = parts.iter().enumerate().filter(|(other, _)| *other != index).flat_map(|(_, part)| part);
            let part = Part::of(instance, &demands_of(&parts[index]), &rows_left(instance, others));
            if part.items.len() > MANY_ITEMS {
                continue; // one node of very many kinds
            }
            let time = share_of(time, parts.len() - index);
            if let Some(better) = part.improved(&parts[index], weights, work, &time, Some(&mut worth)) {
                parts[index] = better;
                packing = parts.concat();
                if (cost(instance, &packing) as f64) < told as f64 * WORTH_TELLING {
                    told = cost(instance, &packing);
                    best.offer(&packing);
                }
            }
        }
        best.offer(&packing);
        told = cost(instance, &packing);
        if let Some(found) = worth.duals() {
            values = found;
            if sweep == 0 {
                (best.sink)(News::Values(&values));
            }
        }
        idle = if told < before { 0 } else { idle + 1 };
        if stop() || idle >= MOST_IDLE || work.pace == Pace::Work {
            break;
        }
    }
    let columns: Vec<Pattern> = packing.into_iter().map(|(pattern, _)| pattern).collect();
    if !values.items.is_empty() {
        (best.sink)(News::Columns(&columns, &values, None));
    }
    Ended::Searched
}

/// A part's own clock: an equal share of what is left.
fn share_of(time: TimeLeft<'_>, parts: usize) -> impl Fn() -> f64 + '_ {
    let from = time();
    let until = (from - f64::max(from / parts as f64, LEAST_SHARE)).max(0.0);
    move || ((time() - until) / (from - until).max(f64::EPSILON)).clamp(0.0, 1.0)
}

/// What is left of each row beside these bins.
fn rows_left<'p>(instance: &Instance, packing: impl Iterator<Item = &'p (Pattern, u32)>) -> Vec<i64> {
    let mut left = instance.capacities();
    for (pattern, times) in packing {
        for &(row, amount) in &instance.bin(pattern).uses {
            left[row] -= amount * i64::from(*times);
        }
    }
    left
}

/// The bins in parts of few kinds of pods, bins of one class together, otherwise as chance has it.
fn split(packing: &Packing, sweep: u64) -> Vec<Packing> {
    let mut order: Vec<usize> = (0..packing.len()).collect();
    order.sort_by_key(|&index| (packing[index].0.class, mixed(sweep, index)));
    let mut parts: Vec<Packing> = Vec::new();
    let mut items: BTreeSet<usize> = BTreeSet::new();
    for index in order {
        let own = packing[index].0.counts.iter().map(|(item, _)| *item);
        let more = own.clone().filter(|item| !items.contains(item)).count();
        if parts.is_empty() || items.len() + more > MOST_ITEMS {
            parts.push(Packing::new());
            items.clear();
        }
        items.extend(own);
        if let Some(part) = parts.last_mut() {
            part.push(packing[index].clone());
        }
    }
    parts
}

/// A number that looks like chance and is the same every time (SplitMix64).
fn mixed(sweep: u64, index: usize) -> u64 {
    let mut z =
        (index as u64).wrapping_add(sweep.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How many pods of each item a packing holds.
pub fn demands_of(packing: &Packing) -> BTreeMap<usize, u32> {
    let mut demands: BTreeMap<usize, u32> = BTreeMap::new();
    for (pattern, times) in packing {
        for (item, n) in &pattern.counts {
            *demands.entry(*item).or_insert(0) += n * times;
        }
    }
    demands
}

/// The question of some pods alone.
pub struct Part {
    instance: Instance,
    /// The items and bins of the whole instance that its own stand for.
    items: Vec<usize>,
    bins: Vec<(usize, Vec<usize>)>,
}

impl Part {
    /// `demands`: how many pods of each item; `rows`: what others leave of each row.
    pub fn of(whole: &Instance, demands: &BTreeMap<usize, u32>, rows: &[i64]) -> Self {
        let items: Vec<usize> = demands.keys().copied().collect();
        let is_affordable = |bin: &Bin| bin.uses.iter().all(|&(row, amount)| amount <= rows[row]);
        let (mut classes, mut bins) = (Vec::new(), Vec::new());
        for (index, class) in whole.classes.iter().enumerate() {
            let held: Vec<usize> =
                (0..items.len()).filter(|&own| class.items.binary_search(&items[own]).is_ok()).collect();
            let kept: Vec<usize> = (0..class.bins.len()).filter(|&bin| is_affordable(&class.bins[bin])).collect();
            if !held.is_empty() && !kept.is_empty() {
                classes.push(Class { items: held, bins: kept.iter().map(|&bin| class.bins[bin].clone()).collect() });
                bins.push((index, kept));
            }
        }
        let item = |(index, demand): (&usize, &u32)| Item { demand: *demand, ..whole.items[*index].clone() };
        let row = |(row, left): (&Row, &i64)| Row { capacity: (*left).max(1), ..*row };
        let instance = Instance {
            dims: whole.dims,
            items: demands.iter().map(item).collect(),
            classes,
            rows: whole.rows.iter().zip(rows).map(row).collect(),
        };
        Self { instance, items, bins }
    }

    /// Cheaper bins for all its pods, if there are any; `weights`: what resources are worth in the whole instance, by class.
    pub fn improved(
        &self,
        known: &Packing,
        weights: &[Vec<f64>],
        work: Work,
        time: TimeLeft,
        worth: Option<&mut Worth>,
    ) -> Option<Packing> {
        let own = |(pattern, _): &(Pattern, u32)| self.own(pattern);
        let weights = self.bins.iter().map(|(class, _)| weights[*class].clone()).collect();
        let start = Start { columns: known.iter().filter_map(own).collect(), weights, ..Start::default() };
        let mut least: i64 = known
            .iter()
            .filter_map(|(pattern, times)| Some(self.instance.cost(&self.own(pattern)?) * i64::from(*times)))
            .sum();
        let (mut better, mut last) = (None, None);
        search(&self.instance, &start, (work, true), time, &mut |news| match news {
            News::Packing(packing) => {
                let price = cost(&self.instance, packing);
                if price < least && self.instance.left_by(packing).iter().all(|left| *left == 0) {
                    least = price;
                    better = Some(packing.clone());
                }
            }
            News::Values(duals) => last = Some(duals.clone()),
            News::Columns(..) => {}
        });
        if let (Some(worth), Some(duals)) = (worth, last) {
            worth.learn(self, &duals);
        }
        let whole = |(pattern, times): (Pattern, u32)| (self.whole(pattern), times);
        better.map(|packing| packing.into_iter().map(whole).collect())
    }

    /// A pattern of the whole instance in the numbers of the part.
    fn own(&self, pattern: &Pattern) -> Option<Pattern> {
        let class = self.bins.iter().position(|(class, _)| *class == pattern.class)?;
        let bin = self.bins[class].1.binary_search(&pattern.bin).ok()?;
        let count = |&(item, n): &(usize, u32)| Some((self.items.binary_search(&item).ok()?, n));
        Some(Pattern { class, bin, counts: pattern.counts.iter().map(count).collect::<Option<_>>()? })
    }

    fn whole(&self, pattern: Pattern) -> Pattern {
        let (class, bins) = &self.bins[pattern.class];
        let counts = pattern.counts.into_iter().map(|(item, n)| (self.items[item], n)).collect();
        Pattern { class: *class, bin: bins[pattern.bin], counts }
    }
}

/// What the parts of one sweep say that things are worth: of an item that several have, the least.
pub struct Worth {
    items: Vec<f64>,
    /// For all of a row: the mean of the parts.
    rows: Vec<f64>,
    capacities: Vec<i64>,
    parts: usize,
}

impl Worth {
    fn new(instance: &Instance) -> Self {
        let rows = vec![0.0; instance.rows.len()];
        Self { items: vec![f64::INFINITY; instance.items.len()], rows, capacities: instance.capacities(), parts: 0 }
    }

    fn learn(&mut self, part: &Part, duals: &Duals) {
        for (item, value) in part.items.iter().zip(&duals.items) {
            self.items[*item] = self.items[*item].min(*value);
        }
        for (row, value) in duals.rows.iter().enumerate() {
            self.rows[row] += value * self.capacities[row] as f64 / part.instance.rows[row].capacity as f64;
        }
        self.parts += 1;
    }

    /// `None` where some item was in no part that came to an end.
    fn duals(self) -> Option<Duals> {
        let is_whole = self.items.iter().all(|value| value.is_finite());
        let parts = self.parts.max(1) as f64;
        is_whole.then(|| Duals { items: self.items, rows: self.rows.into_iter().map(|row| row / parts).collect() })
    }
}
