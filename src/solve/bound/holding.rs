//! How much the pods that a node can hold are worth at most, nano-dollars.
//!
//! Every price of room gives a bound: the room at that price, and what items are worth beyond it. Good prices are those of
//! the resource LP and the duals of the node's own fractional knapsack; where these are not enough to show that a shape
//! holds no more than it costs, tables and a search that counts whole pods follow.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use fixedbitset::FixedBitSet;
use serde::{Deserialize, Serialize};

use super::classes::{Classes, Keep, Shape, Supply};
use super::lp::Prices;
use super::proof::{Demand, Worth};
use crate::model::Amounts;
use crate::solve::knapsack::multipliers::{CLOSE_ENOUGH, Relaxation};
use crate::solve::knapsack::table::{self, Table, Valued, fits, whole, worth};
use crate::solve::knapsack::{Item, axes, search};
use crate::solve::lp;

/// How far the proof goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Shapes that are looked at with tables and search.
    pub searched: usize,
    /// Cells of a table by dimension.
    pub cells: [usize; 2],
    /// Steps of the search of one shape.
    pub steps: usize,
}

/// What part of a shape's own prices of room its tables take off, in thousandths; the least bound counts.
const SHARES_PERMILLE: [i128; 4] = [1000, 900, 700, 0];

/// An existing node (index into `Problem::nodes`) with prices of its room.
pub type NodePrices = (usize, Vec<i128>);

/// An item smaller than this part of a node's price is filled in, not searched for.
const SMALL: f64 = 0.05;

pub struct Holding<'h> {
    classes: &'h Classes,
    demand: &'h Demand,
    values: &'h [Worth],
    prices: &'h Prices,
    /// By the classes that a node may hold, and its zone.
    held: HashMap<(FixedBitSet, Option<usize>), Rc<Held>>,
    /// Prices that showed how little something holds.
    used: BTreeSet<Vec<i128>>,
    used_on_nodes: Vec<(usize, Vec<i128>)>,
}

/// What may run on some nodes.
struct Held {
    /// Of the groups that are equal in size and in how many a node may hold.
    items: Vec<Item>,
    /// Nano-dollars, by item; the most over its groups.
    values: Vec<i64>,
    /// Prices of room by dimension, 10^-18 dollars a unit: the dearest of the resource LP over these classes.
    prices: Vec<i128>,
}

/// A bound of what a shape holds, and how it was come by.
struct Rated {
    shape: usize,
    most: i64,
    /// Prices of its room that showed it last.
    prices: Vec<i128>,
    refined: u8,
}

impl<'h> Holding<'h> {
    pub fn new(classes: &'h Classes, demand: &'h Demand, values: &'h [Worth], prices: &'h Prices) -> Self {
        Self { classes, demand, values, prices, held: HashMap::new(), used: BTreeSet::new(), used_on_nodes: Vec::new() }
    }

    /// All nodes of a supply: together, as if pods could be cut and spread over them, or node by node.
    pub fn of_supply(&mut self, supply: &Supply) -> i64 {
        let held = self.held(&supply.holds, supply.zone);
        let each: Vec<(i64, Vec<i128>)> = supply.rooms.iter().map(|room| held.at_a_glance(room)).collect();
        let one_by_one = each.iter().map(|(most, _)| *most).fold(0, i64::saturating_add);
        let (together, prices) = held.together(&supply.rooms);
        if together <= one_by_one {
            self.used.insert(prices);
            return together;
        }
        self.used_on_nodes.extend(supply.nodes.iter().copied().zip(each.into_iter().map(|(_, prices)| prices)));
        one_by_one
    }

    pub fn of_shape(&mut self, shape: &Shape) -> i64 {
        let (most, prices) = self.held(&shape.holds, shape.zone).at_a_glance(&shape.room);
        self.used.insert(prices);
        most
    }

    pub fn of_kept(&mut self, kept: &Keep) -> i64 {
        let (most, prices) = self.held(&kept.holds, kept.zone).at_a_glance(&kept.room);
        self.used.insert(prices);
        most
    }

    /// What was used, of shapes and of existing nodes.
    pub fn into_prices(self) -> (Vec<Vec<i128>>, Vec<NodePrices>) {
        (self.used.into_iter().collect(), self.used_on_nodes)
    }

    /// The most that a shape holds for what it costs, as a fraction (nano-dollars, nano-dollars), at least 1; the second is
    /// zero where a shape that costs nothing holds something. `of_limits`: what limits are worth.
    pub fn overcharge(&mut self, of_limits: &[i128], limits: Limits) -> (i128, i128) {
        let costs: Vec<i128> = self.classes.shapes.iter().map(|shape| shape.cost(of_limits)).collect();
        let mut by_cost: Vec<usize> = (0..costs.len()).collect();
        by_cost.sort_by_key(|&shape| costs[shape]);
        let mut rated: Vec<Rated> = Vec::new();
        let shapes = by_cost.into_iter().map(|index| (index, &self.classes.shapes[index]));
        for (index, shape) in shapes.filter(|(_, shape)| shape.most.is_none()) {
            // what is no larger than a cheaper one for the same classes holds no more
            let cheaper = rated.iter().map(|rated| &self.classes.shapes[rated.shape]);
            let mut larger = cheaper.filter(|other| other.holds == shape.holds && other.zone == shape.zone);
            if !larger.any(|other| other.room.iter().zip(&shape.room).all(|(larger, room)| larger >= room)) {
                let (most, prices) = self.held(&shape.holds, shape.zone).at_a_glance(&shape.room);
                self.used.insert(prices.clone());
                rated.push(Rated { shape: index, most, prices, refined: 0 });
            }
        }
        rated.retain(|rated| rated.most > 0);
        let price = |rated: &Rated| costs[rated.shape];
        let mut searched = 0;
        loop {
            let highest = rated.iter_mut().max_by(|a, b| {
                let (a_side, b_side) = (i128::from(a.most) * price(b), i128::from(b.most) * price(a));
                // two that cost nothing: the one that holds more
                a_side.cmp(&b_side).then(a.most.cmp(&b.most)).then(b.shape.cmp(&a.shape))
            });
            let Some(highest) = highest else { return (1, 1) };
            let cost = price(highest);
            if i128::from(highest.most) <= cost {
                return (1, 1);
            }
            if cost == 0 || highest.refined == 2 || (highest.refined == 1 && searched >= limits.searched) {
                return (i128::from(highest.most), cost);
            }
            let shape = &self.classes.shapes[highest.shape];
            let held = &self.held[&(shape.holds.clone(), shape.zone)];
            if highest.refined == 0 {
                let (most, prices) = held.relaxed(&shape.room);
                self.used.insert(prices.clone());
                highest.most = highest.most.min(most);
                highest.prices = prices;
            } else {
                searched += 1;
                let floor = i64::try_from(cost).unwrap_or(i64::MAX);
                highest.most = highest.most.min(held.searched(&shape.room, &highest.prices, floor, limits));
            }
            highest.refined += 1;
        }
    }

    fn held(&mut self, holds: &FixedBitSet, zone: Option<usize>) -> Rc<Held> {
        let key = (holds.clone(), zone);
        if let Some(known) = self.held.get(&key) {
            return known.clone();
        }
        let mut known: HashMap<(&[i64], u32), usize> = HashMap::new();
        let (mut items, mut values): (Vec<Item>, Vec<i64>) = Default::default();
        for (group, worth) in self.demand.groups.iter().zip(self.values) {
            let value = worth.at(zone);
            if value <= 0 || !holds.contains(group.class) {
                continue;
            }
            let index = *known.entry((&group.amounts, group.most)).or_insert_with(|| {
                let size = group.amounts.iter().map(|amount| (*amount).max(0)).collect();
                items.push(Item { size, demand: 0, most: 0 });
                values.push(0);
                items.len() - 1
            });
            // pods of one group may exclude each other, those of two groups do not
            items[index].most = items[index].most.saturating_add(group.most);
            items[index].demand = items[index].demand.saturating_add(u32::try_from(group.pods).unwrap_or(u32::MAX));
            values[index] = values[index].max(value);
        }
        let merged = self.classes.merged_set(holds);
        let dearest = |dim: usize| merged.iter().map(|&class| self.prices.of_classes[class][dim]).max().unwrap_or(0);
        let prices = (0..self.classes.dims).map(dearest).collect();
        let held = Rc::new(Held { items, values, prices });
        self.held.insert(key, held.clone());
        held
    }
}

impl Held {
    /// Room at these prices, and what so many of each item are worth beyond it.
    fn linear(&self, room: &[i64], prices: &[i128], counts: &[u32]) -> i64 {
        table::at_prices(room, prices, self.counted(counts))
    }

    /// Size, value and number of the items of which there are some.
    fn counted<'c>(&'c self, counts: &'c [u32]) -> impl Iterator<Item = (&'c [i64], i64, u32)> {
        let all = self.items.iter().zip(&self.values).zip(counts).filter(|(_, count)| **count > 0);
        all.map(|((item, value), count)| (&*item.size, *value, *count))
    }

    /// Nodes with these rooms, as if they were one; no item more often than they could hold it one by one.
    fn together(&self, rooms: &[Amounts]) -> (i64, Vec<i128>) {
        let mut room = vec![0_i64; self.prices.len()];
        let mut counts = vec![0_u32; self.items.len()];
        for of_node in rooms {
            let mut is_useful = false;
            for (count, item) in counts.iter_mut().zip(&self.items) {
                let fits = fits(&item.size, of_node).min(item.most);
                *count = count.saturating_add(fits);
                is_useful |= fits > 0;
            }
            if is_useful {
                room.iter_mut().zip(of_node).for_each(|(total, free)| *total = total.saturating_add(*free));
            }
        }
        let counts: Vec<u32> = counts.iter().zip(&self.items).map(|(count, item)| (*count).min(item.demand)).collect();
        let at = |prices: &Vec<i128>| (self.linear(&room, prices, &counts), prices.clone());
        let relaxed = self.knapsack_prices(&room, &counts);
        [Some(at(&self.prices)), relaxed.as_ref().map(at)].into_iter().flatten().min().unwrap_or_default()
    }

    fn counts(&self, room: &[i64]) -> Vec<u32> {
        self.items.iter().map(|item| fits(&item.size, room).min(item.most).min(item.demand)).collect()
    }

    /// At the prices of the resource LP, or at those of a fractional knapsack; with the prices.
    fn at_a_glance(&self, room: &[i64]) -> (i64, Vec<i128>) {
        let counts = self.counts(room);
        let items = self.counted(&counts).map(|(size, value, count)| (size, value as f64, count));
        let prices =
            Relaxation::of(room, items).solve(CLOSE_ENOUGH).prices.into_iter().map(|price| whole(price, 1e9)).collect();
        let at = |prices: &Vec<i128>| (self.linear(room, prices, &counts), prices.clone());
        at(&self.prices).min(at(&prices))
    }

    /// At the duals of the fractional knapsack in all dimensions.
    fn relaxed(&self, room: &[i64]) -> (i64, Vec<i128>) {
        let counts = self.counts(room);
        let prices = self.knapsack_prices(room, &counts).unwrap_or_else(|| self.prices.clone());
        (self.linear(room, &prices, &counts), prices)
    }

    fn knapsack_prices(&self, room: &[i64], counts: &[u32]) -> Option<Vec<i128>> {
        let items: Vec<(&[i64], i64, u32)> = self.counted(counts).collect();
        let part = |dim: usize| 1.0 / room[dim].max(1) as f64;
        let row = |dim: usize| items.iter().map(|(size, ..)| size[dim] as f64 * part(dim)).collect();
        let rows: Vec<Vec<f64>> = (0..room.len()).map(row).collect();
        let values: Vec<f64> = items.iter().map(|(_, value, _)| *value as f64 / 1e9).collect();
        let most: Vec<f64> = items.iter().map(|(.., count)| f64::from(*count)).collect();
        let duals = lp::knapsack_duals(&values, &most, &rows)?;
        Some(duals.iter().enumerate().map(|(dim, dual)| whole(dual * part(dim), 1e18)).collect())
    }

    /// With whole pods: tables and search; nothing below `floor` is of interest.
    fn searched(&self, room: &[i64], prices: &[i128], floor: i64, limits: Limits) -> i64 {
        let counts = self.counts(room);
        let mut items: Vec<(i64, Valued)> = (0..self.items.len())
            .filter(|&item| counts[item] > 0)
            .map(|item| {
                let size = worth(prices, &self.items[item].size);
                let density = self.values[item] as f64 / size.max(1) as f64;
                let is_small = (size as f64) < floor as f64 * SMALL;
                (size, Valued { item, value: self.values[item], most: counts[item], density, is_small })
            })
            .collect();
        items.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.item.cmp(&b.1.item)));
        let items: Vec<Valued> = items.into_iter().map(|(_, valued)| valued).collect();
        let sizes = items.iter().map(|valued| &*self.items[valued.item].size);
        let axes = axes::axes(room, prices, sizes, limits.cells);
        let table = |share: i128| {
            let prices = table::shared(prices, &axes, share);
            Table::new(&self.items, &items, room, prices, axes)
        };
        let tables: Vec<Table> = SHARES_PERMILLE.into_iter().map(table).collect();
        let most = tables.iter().map(|table| table.bound(room)).min().unwrap_or(i64::MAX);
        if most <= floor {
            return most;
        }
        most.min(search::search(&self.items, &items, &tables, room, floor, limits.steps).most)
    }
}
