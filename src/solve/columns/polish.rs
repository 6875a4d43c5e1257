//! The master as an integer program, from the best packing: what diving rounded badly, exchanged for other columns.

use std::collections::BTreeMap;
use std::time::Duration;

use super::generate::Generator;
use super::instance::{Instance, Packing, Pattern};
use super::program::program;
use super::{Pace, Task, usd};
use crate::solve::lp::{self, Tree};
use crate::solve::program::Program;

/// Nodes of the tree, in as much time as is left and by work alone.
const NODES: i32 = 2_000;
const NODES_BY_WORK: i32 = 50;
/// By work alone no more columns: one node of several thousand takes seconds, and nothing but the clock would end it.
const MOST_COLUMNS_BY_WORK: usize = 1_000;

/// A cheaper packing over the columns of the search and those of `best`; columns that no better one can have are left out.
/// `time`: how much is left, where it is known.
pub fn polish(
    task: &Task,
    from: &Generator,
    (best, price): (&Packing, f64),
    time: Option<Duration>,
) -> Option<Packing> {
    let instance = task.instance;
    let (patterns, start) = columns(instance, from, best, price);
    if task.work.pace == Pace::Work && patterns.len() > MOST_COLUMNS_BY_WORK {
        return None;
    }
    let leaving: Vec<i64> = task.leaving.iter().map(|usd| (usd * 1e6).ceil() as i64).collect();
    let names: Vec<String> = (0..instance.rows.len()).map(|row| format!("row_{row}")).collect();
    let program = program(instance, &leaving, &patterns, &names);
    let left = instance.left_by(best).into_iter().map(f64::from);
    let start: Vec<f64> = start.into_iter().map(f64::from).chain(left).collect();
    let nodes = match task.work.pace {
        Pace::Time => NODES,
        Pace::Work => NODES_BY_WORK,
    };
    let found = lp::polish(&in_dollars(program), &start, Tree { nodes, time, gap: 0.0 }, task.stop)?;
    let times = found.iter().zip(patterns).map(|(times, pattern)| (pattern, times.round().max(0.0) as u32));
    Some(times.filter(|(_, times)| *times > 0).collect())
}

/// Those of the packing with how many there are of each, then the others whose reduced cost leaves a chance.
fn columns(instance: &Instance, from: &Generator, best: &Packing, price: f64) -> (Vec<Pattern>, Vec<u32>) {
    let mut known: BTreeMap<&Pattern, u32> = BTreeMap::new();
    for (pattern, times) in best {
        *known.entry(pattern).or_default() += times;
    }
    let gain = price - from.optimum.cost;
    let may_help = |pattern: &&Pattern| {
        let value: f64 = pattern.counts.iter().map(|(item, n)| from.duals.items[*item] * f64::from(*n)).sum();
        !known.contains_key(pattern) && instance.price(instance.bin(pattern), &from.duals) - value < gain
    };
    let others = from.columns.iter().filter(may_help).map(|pattern| (pattern, 0));
    known.iter().map(|(pattern, times)| (*pattern, *times)).chain(others).map(|(p, times)| (p.clone(), times)).unzip()
}

fn in_dollars(mut program: Program) -> Program {
    program.columns.iter_mut().for_each(|column| column.cost = usd(column.cost as i64));
    program
}
