//! From a first solution to a cheaper one: reduce it to numbers, generate columns, carry the patterns out.

use std::collections::HashMap;

use super::Solution;
use super::bound::Values;
use super::columns::instance::{Duals, Pattern};
use super::columns::{self, TimeLeft, Work};
use super::greedy::guide::{Guide, Target};
use super::greedy::{self, Worked};
use super::reduce::{Domains, Reduction, RowOf, Source};
use crate::model::Problem;

/// What the program has found out.
#[derive(Debug, Clone)]
pub enum News {
    /// A packing that looks cheaper than the one before, carried out under all rules. What it comes to is for the caller
    /// to compare.
    Solution(Solution),
    Values(Values),
}

/// Looks for cheaper ways to pack what `first` places.
pub fn improve(
    problem: &Problem,
    first: &Solution,
    worked: &Worked,
    work: Work,
    time: TimeLeft,
    sink: &mut dyn FnMut(News),
) {
    let Some(reduction) = Reduction::of(problem, first, worked) else { return };
    columns::solve(&reduction.instance, work, time, &mut |news| match news {
        columns::News::Packing(packed) => {
            let guide = guide(&reduction, packed, worked);
            sink(News::Solution(greedy::guided(problem, guide, &|| false)));
        }
        columns::News::Values(duals) => sink(News::Values(values(problem, &reduction, duals))),
    });
}

/// What pods are worth by group, the least over the items that they are divided into, and what a unit of a limit is.
#[allow(clippy::cast_precision_loss)] // floats propose
fn values(problem: &Problem, reduction: &Reduction, duals: &Duals) -> Values {
    let mut pods: Vec<Option<f64>> = vec![None; problem.groups.len()];
    for (members, &value) in reduction.members.iter().zip(&duals.items) {
        for &(group, _) in members {
            let known = &mut pods[group];
            *known = Some(known.map_or(value, |known| known.min(value)));
        }
    }
    let of_row = |(row, of): (&RowOf, &f64), capacity: i64| match row {
        RowOf::Limit(pool, limit) => Some(((*pool, *limit), *of / capacity as f64)),
        RowOf::Reservation(_) | RowOf::Nodes => None,
    };
    let rows = reduction.rows.iter().zip(&duals.rows).zip(&reduction.instance.rows);
    Values { pods, limits: rows.filter_map(|(of, row)| of_row(of, row.capacity)).collect() }
}

/// Deals the pods of each item over the bins of its patterns.
fn guide(reduction: &Reduction, packed: &[(Pattern, u32)], worked: &Worked) -> Guide {
    let mut left: Vec<Vec<(usize, u32)>> = reduction.members.clone();
    let mut guide = Guide { existing: reduction.staying.clone(), steps: worked.steps.clone(), ..Guide::default() };
    let mut nodes_used: HashMap<(usize, usize), usize> = HashMap::new();
    for (pattern, times) in packed {
        for _ in 0..*times {
            let mut dealt: Vec<(usize, u32)> = Vec::new();
            for &(item, count) in &pattern.counts {
                deal(&mut left[item], count, &mut dealt);
            }
            match &reduction.sources[pattern.class][pattern.bin] {
                Source::Pool(pool) => {
                    let target = guide.targets.len();
                    let domains = domains(reduction, pattern);
                    guide.targets.push(Target { pool: *pool, domains, within: None, opened: None });
                    for (group, count) in dealt {
                        guide.of_group.entry(group).or_default().push((target, count));
                    }
                }
                Source::Nodes(nodes) => {
                    let used = nodes_used.entry((pattern.class, pattern.bin)).or_default();
                    let Some(&node) = nodes.get(*used) else { continue };
                    *used += 1;
                    for (group, count) in dealt {
                        guide.existing.entry(group).or_default().push((node, count));
                    }
                }
            }
        }
    }
    guide
}

/// Takes `count` pods of an item off what is left of its groups.
fn deal(left: &mut Vec<(usize, u32)>, count: u32, dealt: &mut Vec<(usize, u32)>) {
    let mut wanted = count;
    while wanted > 0
        && let Some((group, pods)) = left.last_mut()
    {
        let taken = wanted.min(*pods);
        dealt.push((*group, taken));
        *pods -= taken;
        wanted -= taken;
        if *pods == 0 {
            left.pop();
        }
    }
}

/// The domains that were chosen for the items of a pattern.
fn domains(reduction: &Reduction, pattern: &Pattern) -> Domains {
    let mut domains = Domains::new();
    for &domain in pattern.counts.iter().flat_map(|(item, _)| &reduction.domains[*item]) {
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    domains
}
