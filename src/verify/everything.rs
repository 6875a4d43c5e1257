//! Few pods: that no packing costs less than what is stated, by looking for one.
//!
//! Node after node, each with the first pod that is left. What a node is not worth of its price is lost for good; where the
//! losses so far and what all pods are worth come to the stated cost, nothing cheaper can follow.

use std::collections::{BTreeMap, HashMap};

use super::knapsack::{Item, at_prices, fitting};
use super::reach::{Shape, World};

/// More pods than this are not tried.
const MOST_PODS: usize = 100;
/// Fillings that are looked at.
const MOST_STEPS: usize = 20_000_000;

/// Whether no way to put all pods on nodes costs less than `stated`, micro-dollars an hour; `false` also where that takes
/// too long to find out, or it is to stop. `values`: nano-dollars by group; any will do, good ones make it short.
pub fn nothing_is_cheaper(world: &World, values: &[i64], stated: i64, stop: &dyn Fn() -> bool) -> bool {
    let groups: Vec<usize> = (0..world.groups.len()).filter(|&group| world.is_possible(&world.groups[group])).collect();
    let pods: usize = groups.iter().map(|&group| world.groups[group].pods.len()).sum();
    if pods > MOST_PODS {
        return false;
    }
    let mut kinds: BTreeMap<_, u32> = BTreeMap::new();
    for &group in &groups {
        let of = &world.groups[group];
        *kinds.entry((-values[group], &*of.size, of.demand, of.apart)).or_insert(0) +=
            u32::try_from(of.pods.len()).unwrap_or(u32::MAX);
    }
    let kinds: Vec<Kind> = kinds
        .into_iter()
        .map(|((value, size, demand, apart), count)| Kind {
            item: Item { size: size.to_vec(), value: -value, count },
            demand,
            most: apart.map_or(u32::MAX, |(_, most)| most),
        })
        .collect();
    let mut bins = bins(world);
    // values are lowered until no node that costs something holds pods worth more than that
    let mut theta = (1_i128, 1_i128);
    let mut free: i128 = 0;
    for bin in &mut bins {
        let items: Vec<Item> =
            kinds.iter().filter(|kind| bin.holds.contains(&kind.demand)).map(|kind| kind.item.clone()).collect();
        let most = at_prices(&items, &bin.room, &vec![0; bin.room.len()]).min(best_linear(&items, &bin.room));
        if bin.left.is_some() {
            bin.charge = (most - bin.cost).max(0);
            free += bin.charge * i128::from(bin.left.unwrap_or(0));
        } else if most * theta.1 > theta.0 * bin.cost {
            theta = (most, bin.cost);
        }
    }
    if theta.1 == 0 {
        return false;
    }
    let values: Vec<i128> = kinds.iter().map(|kind| i128::from(kind.item.value) * theta.1 / theta.0).collect();
    let left: Vec<u32> = kinds.iter().map(|kind| kind.item.count).collect();
    let all: i128 = values.iter().zip(&left).map(|(value, count)| value * i128::from(*count)).sum();
    let target = i128::from(stated) * 1_000 - 1_000;
    let (steps, seen) = (MOST_STEPS, HashMap::new());
    let mut search = Search { kinds: &kinds, values, bins, left, cost: 0, target, steps, stop, seen };
    // only what is below the target matters: a packing that costs a micro-dollar less than stated
    search.none_below(all - free) == Some(true)
}

struct Kind {
    item: Item,
    demand: usize,
    most: u32,
}

struct Bin {
    holds: Vec<usize>,
    room: Vec<i64>,
    /// Nano-dollars.
    cost: i128,
    /// How many there are; `None`: any number.
    left: Option<u32>,
    /// What one that is limited is charged beyond its cost, nano-dollars.
    charge: i128,
}

fn bins(world: &World) -> Vec<Bin> {
    let mut bins: Vec<Bin> = Vec::new();
    let larger = |a: &[i64], b: &[i64]| a.iter().zip(b).all(|(a, b)| a >= b);
    let mut kept: Vec<&Shape> = Vec::new();
    for shape in &world.shapes {
        let is_beaten =
            |other: &&Shape| other.most.is_none() && other.holds == shape.holds && larger(&other.room, &shape.room);
        if !kept.iter().any(is_beaten) {
            kept.push(shape);
        }
    }
    for shape in kept {
        let cost = i128::from(shape.price.max(0)) * 1_000;
        bins.push(Bin { holds: shape.holds.clone(), room: shape.room.clone(), cost, left: shape.most, charge: 0 });
    }
    for node in &world.nodes {
        bins.push(Bin { holds: node.holds.clone(), room: node.room.clone(), cost: 0, left: Some(1), charge: 0 });
    }
    bins
}

/// The least over prices of one dimension at a time, at the densities of the items.
fn best_linear(items: &[Item], room: &[i64]) -> i128 {
    let mut best = i128::MAX;
    for axis in 0..room.len() {
        for item in items.iter().filter(|item| item.size[axis] > 0) {
            let mut prices = vec![0; room.len()];
            prices[axis] = i128::from(item.value) * 1_000_000_000 / i128::from(item.size[axis]);
            best = best.min(at_prices(items, room, &prices));
        }
    }
    best
}

struct Search<'s> {
    kinds: &'s [Kind],
    values: Vec<i128>,
    bins: Vec<Bin>,
    left: Vec<u32>,
    /// Of the nodes so far, nano-dollars.
    cost: i128,
    target: i128,
    steps: usize,
    stop: &'s dyn Fn() -> bool,
    seen: HashMap<(Vec<u32>, Vec<Option<u32>>), i128>,
}

impl Search<'_> {
    /// Whether no packing with the nodes so far, which all pods cost at least `bound`, is at or below the target; `None` where
    /// the steps do not suffice.
    fn none_below(&mut self, bound: i128) -> Option<bool> {
        if bound > self.target {
            return Some(true);
        }
        // what limited nodes that were not taken are charged is in the bound, not in the cost
        let Some(first) = self.left.iter().position(|&left| left > 0) else { return Some(self.cost > self.target) };
        let limited = self.bins.iter().map(|bin| bin.left).collect();
        let seen = self.seen.entry((self.left.clone(), limited)).or_insert(i128::MAX);
        if bound >= *seen {
            return Some(true);
        }
        *seen = bound;
        for bin in 0..self.bins.len() {
            if self.bins[bin].left == Some(0) || !self.bins[bin].holds.contains(&self.kinds[first].demand) {
                continue;
            }
            let mut room = self.bins[bin].room.clone();
            let mut counts = vec![0; self.kinds.len()];
            if !self.fill(bin, first, first, &mut room, &mut counts, 0, bound)? {
                return Some(false);
            }
        }
        Some(true)
    }

    #[allow(clippy::too_many_arguments)] // the state of a recursion
    fn fill(
        &mut self,
        bin: usize,
        first: usize,
        kind: usize,
        room: &mut Vec<i64>,
        counts: &mut Vec<u32>,
        value: i128,
        bound: i128,
    ) -> Option<bool> {
        self.steps = self.steps.checked_sub(1)?;
        if self.steps.is_multiple_of(1_024) && (self.stop)() {
            return None;
        }
        let price = self.bins[bin].cost + self.bins[bin].charge;
        // what the rest could still be worth: all of it that fits
        let rest = self.kinds.iter().enumerate().skip(kind).filter(|(_, of)| self.bins[bin].holds.contains(&of.demand));
        let rest: i128 = rest
            .map(|(index, of)| {
                self.values[index] * i128::from(fitting(&of.item, room).min(of.most).min(self.left[index]))
            })
            .sum();
        if bound + price - value - rest > self.target {
            return Some(true);
        }
        if kind == self.kinds.len() {
            let could_add = |(index, of): (usize, &Kind)| {
                self.bins[bin].holds.contains(&of.demand)
                    && counts[index] < self.left[index].min(of.most)
                    && fitting(&of.item, room) > 0
            };
            if self.kinds.iter().enumerate().any(could_add) {
                return Some(true); // with more on it the node is no worse
            }
            self.take(bin, counts, true);
            let none = self.none_below(bound + price - value);
            self.take(bin, counts, false);
            return none;
        }
        let of = &self.kinds[kind];
        let most = if self.bins[bin].holds.contains(&of.demand) {
            fitting(&of.item, room).min(of.most).min(self.left[kind])
        } else {
            0
        };
        let size = of.item.size.clone();
        for count in (u32::from(kind == first)..=most).rev() {
            room.iter_mut().zip(&size).for_each(|(room, size)| *room -= size * i64::from(count));
            counts[kind] = count;
            let value = value + self.values[kind] * i128::from(count);
            let none = self.fill(bin, first, kind + 1, room, counts, value, bound);
            counts[kind] = 0;
            room.iter_mut().zip(&size).for_each(|(room, size)| *room += size * i64::from(count));
            if !none? {
                return Some(false);
            }
        }
        Some(true)
    }

    fn take(&mut self, bin: usize, counts: &[u32], is_taken: bool) {
        for (left, count) in self.left.iter_mut().zip(counts) {
            *left = if is_taken { *left - count } else { *left + count };
        }
        let bin = &mut self.bins[bin];
        self.cost += if is_taken { bin.cost } else { -bin.cost };
        if let Some(left) = &mut bin.left {
            *left = if is_taken { *left - 1 } else { *left + 1 };
        }
    }
}
