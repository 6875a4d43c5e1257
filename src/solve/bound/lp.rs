//! The resource LP in its dual form (`models/resource-lp.md`), solved by HiGHS.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use super::classes::{Classes, Limit, Shape, Supply};
use super::proof::Demand;
use crate::model::Amounts;
use crate::solve::lp::minimum;
use crate::solve::program::{Program, ProgramColumn, RowBound};

/// 10^-18 dollars an hour and unit.
pub struct Prices {
    /// Of resources: by merged class, then by dimension.
    pub of_classes: Vec<Vec<i128>>,
    /// By limit.
    pub of_limits: Vec<i128>,
}

impl Prices {
    /// Everything for nothing.
    pub fn none(classes: &Classes) -> Self {
        Self { of_classes: vec![vec![0; classes.dims]; merged(classes)], of_limits: vec![0; classes.limits.len()] }
    }
}

/// Dollars an hour: no resource is dearer than every shape, no limit is worth more than all that it could save.
const MOST_OF_A_RESOURCE: f64 = 1e4;
const MOST_OF_A_LIMIT: f64 = 1e6;

/// Prices of resources that maximise the bound; zero prices where HiGHS finds none, which prove a bound of zero.
pub fn resource_prices(classes: &Classes, demand: &Demand) -> Prices {
    let lp = ResourceLp::of(classes, demand);
    let values = minimum(&lp.program).unwrap_or_else(|| vec![0.0; lp.program.columns.len()]);
    let of_class = |prices: &Vec<usize>| {
        prices.iter().zip(&lp.scale).map(|(column, scale)| to_atto(values[*column] / float(*scale))).collect()
    };
    let of_limit = |(limit, column): (&Limit, &usize)| to_atto(values[*column] / float(unit(limit)));
    Prices {
        of_classes: lp.prices.iter().map(of_class).collect(),
        of_limits: classes.limits.iter().zip(&lp.of_limits).map(of_limit).collect(),
    }
}

/// The LP with where things are in it.
pub struct ResourceLp<'c> {
    pub program: Program,
    /// By dimension: how much of the resource is one in the LP, the largest room of any shape or of all nodes alike.
    pub scale: Vec<i64>,
    /// Columns `p_k_r`, by merged class and dimension.
    pub prices: Vec<Vec<usize>>,
    /// Sets of several merged classes, with the columns `m_n_r` by dimension.
    pub dearest: BTreeMap<Vec<usize>, Vec<usize>>,
    /// Columns `q_l`, by limit.
    pub of_limits: Vec<usize>,
    /// Rows `shape_o`, in this order after all others.
    pub shapes: Vec<&'c Shape>,
}

/// All that a limit leaves: the unit in which the LP measures it.
pub fn unit(limit: &Limit) -> i64 {
    limit.left.max(1)
}

/// Dollars to 10^-18 dollars, rounded down; no unit of anything is worth more than a thousand dollars.
#[allow(clippy::cast_possible_truncation)] // saturating, and any price is only a proposal
pub fn to_atto(usd: f64) -> i128 {
    if usd.is_finite() && usd > 0.0 { ((usd * 1e18) as i128).min(1 << 70) } else { 0 }
}

/// The largest room of any shape or node by dimension: the unit in which the LP measures.
fn scale(classes: &Classes) -> Vec<i64> {
    let totals: Vec<Amounts> = classes.nodes.iter().map(Supply::total).collect();
    let of_nodes = || classes.kept.iter().map(|kept| &kept.room).chain(&totals);
    let rooms = || classes.shapes.iter().map(|shape| &shape.room).chain(of_nodes());
    (0..classes.dims).map(|dim| rooms().map(|room| room[dim]).max().unwrap_or(1).max(1)).collect()
}

/// How many classes the LP tells apart.
fn merged(classes: &Classes) -> usize {
    classes.merged.iter().map(|class| class + 1).max().unwrap_or(0)
}

impl<'c> ResourceLp<'c> {
    /// ```text
    /// minimise   sum_m sum_r F_mr m_mr + sum_l b_l q_l + sum_j w_j - sum_i (d_i - left_i) sum_r s_ir p_k(i)r
    /// order_n_k_r   p_kr <= m_mr                                 for every class k of the set m with number n
    /// shape_o       sum_r A_or m_H(o)r <= c_o + sum_l a_ol q_l   for every shape o
    /// keep_j        sum_r B_jr m_H(j)r <= f_j + w_j              for every node j that is there for a price
    /// ```
    /// What the dual maximises is the negative of it: not every solver reads a file that maximises.
    pub fn of(classes: &'c Classes, demand: &Demand) -> Self {
        let scale = scale(classes);
        let mut lp = Self {
            program: Program::default(),
            prices: Vec::new(),
            dearest: BTreeMap::new(),
            of_limits: Vec::new(),
            shapes: undominated(&classes.shapes),
            scale,
        };
        lp.add_prices(classes, demand);
        lp.add_dearest(classes);
        for limit in 0..classes.limits.len() {
            let column = lp.program.add_column(price(format!("q_{limit}"), 1.0, MOST_OF_A_LIMIT));
            lp.of_limits.push(column);
        }
        lp.add_order();
        lp.add_shapes(classes);
        lp.add_kept(classes);
        lp
    }

    /// `p_k_r`: what a resource is worth for a class, dollars an hour for one scale unit; no resource is dearer than every
    /// shape.
    fn add_prices(&mut self, classes: &Classes, demand: &Demand) {
        let mut totals = vec![vec![0.0; classes.dims]; merged(classes)];
        for group in &demand.groups {
            let parts = scaled(&group.amounts, &self.scale);
            for (total, part) in totals[classes.merged[group.class]].iter_mut().zip(parts) {
                *total += part * count(group.placed);
            }
        }
        for (k, totals) in totals.into_iter().enumerate() {
            let of_class = totals.into_iter().enumerate();
            let column = |(r, total): (usize, f64)| price(format!("p_{k}_{r}"), -total, MOST_OF_A_RESOURCE);
            let columns = of_class.map(|of| self.program.add_column(column(of))).collect();
            self.prices.push(columns);
        }
    }

    /// `m_n_r`: the dearest price over the classes that one set of shapes or nodes may hold.
    fn add_dearest(&mut self, classes: &Classes) {
        let of_shapes = classes.shapes.iter().map(|shape| &shape.holds);
        let of_nodes = classes.nodes.iter().map(|node| &node.holds).chain(classes.kept.iter().map(|kept| &kept.holds));
        let all = of_shapes.chain(of_nodes);
        let sets: BTreeSet<Vec<usize>> = all.map(|holds| classes.merged_set(holds)).collect();
        for (n, holds) in sets.into_iter().filter(|holds| holds.len() > 1).enumerate() {
            let column = |r: usize| price(format!("m_{n}_{r}"), 0.0, MOST_OF_A_RESOURCE);
            let columns = (0..classes.dims).map(|r| self.program.add_column(column(r))).collect();
            self.dearest.insert(holds, columns);
        }
        for node in &classes.nodes {
            let room = scaled(&node.total(), &self.scale);
            let columns = self.columns_of(classes, &node.holds).to_vec();
            for (column, room) in columns.into_iter().zip(room) {
                self.program.columns[column].cost += room;
            }
        }
    }

    fn add_order(&mut self) {
        for (n, (holds, columns)) in self.dearest.iter().enumerate() {
            for &k in holds {
                for (r, (most, of_class)) in columns.iter().zip(&self.prices[k]).enumerate() {
                    let entries = [(*of_class, 1.0), (*most, -1.0)];
                    self.program.add_row(format!("order_{n}_{k}_{r}"), RowBound::AtMost(0.0), entries);
                }
            }
        }
    }

    fn add_shapes(&mut self, classes: &Classes) {
        for (o, shape) in self.shapes.iter().enumerate() {
            let columns = self.columns_of(classes, &shape.holds).iter().copied();
            let rooms = columns.zip(scaled(&shape.room, &self.scale));
            let used = |&(limit, amount): &(usize, i64)| {
                (self.of_limits[limit], -float(amount) / float(unit(&classes.limits[limit])))
            };
            let entries: Vec<(usize, f64)> = rooms.chain(shape.uses.iter().map(used)).collect();
            self.program.add_row(format!("shape_{o}"), RowBound::AtMost(shape.price.as_usd()), entries);
        }
    }

    /// `w_j`: what a node that is there is worth beyond its price.
    fn add_kept(&mut self, classes: &Classes) {
        for (j, kept) in classes.kept.iter().enumerate() {
            let beyond = self.program.add_column(price(format!("w_{j}"), 1.0, f64::INFINITY));
            let columns = self.columns_of(classes, &kept.holds).iter().copied();
            let entries: Vec<_> = columns.zip(scaled(&kept.room, &self.scale)).chain([(beyond, -1.0)]).collect();
            self.program.add_row(format!("keep_{j}"), RowBound::AtMost(kept.price.as_usd()), entries);
        }
    }

    /// The prices that count for what may hold these classes.
    fn columns_of(&self, classes: &Classes, holds: &FixedBitSet) -> &[usize] {
        let holds = classes.merged_set(holds);
        match holds.as_slice() {
            [only] => &self.prices[*only],
            _ => self.dearest.get(&holds).map_or(&[], Vec::as_slice), // none where no class is held
        }
    }
}

fn price(name: String, cost: f64, most: f64) -> ProgramColumn {
    ProgramColumn { name, cost, most, is_integer: false }
}

/// The shapes without those that another one of the same classes beats in price, every room and every limit. Only the LP
/// leaves them out; the proof looks at all shapes.
fn undominated(shapes: &[Shape]) -> Vec<&Shape> {
    // sorted by price: only an earlier shape can dominate a later one
    let mut kept: Vec<&Shape> = Vec::new();
    for shape in shapes.iter().filter(|shape| shape.most.is_none()) {
        let beaten = kept.iter().any(|other| {
            let used = |limit| shape.uses.iter().find(|(of, _)| *of == limit).map_or(0, |(_, amount)| *amount);
            other.holds == shape.holds
                && other.room.iter().zip(&shape.room).all(|(better, worse)| better >= worse)
                && other.uses.iter().all(|&(limit, amount)| amount <= used(limit))
        });
        if !beaten {
            kept.push(shape);
        }
    }
    kept
}

fn scaled(amounts: &Amounts, scale: &[i64]) -> Vec<f64> {
    amounts.iter().zip(scale).map(|(amount, scale)| float((*amount).max(0)) / float(*scale)).collect()
}

#[allow(clippy::cast_precision_loss)] // floats are for HiGHS only; the proof recomputes in integers
fn float(amount: i64) -> f64 {
    amount as f64
}

#[allow(clippy::cast_precision_loss)] // as above
fn count(pods: usize) -> f64 {
    pods as f64
}
