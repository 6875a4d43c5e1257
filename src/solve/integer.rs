//! From a first solution to a cheaper one: reduce it to numbers, generate columns, carry the patterns out.

use std::collections::HashMap;

use super::columns::instance::Pattern;
use super::columns::{self, Signals, Work};
use super::greedy::guide::{Guide, Target};
use super::greedy::{self, Worked};
use super::reduce::Reduction;
use super::{Place, Solution};
use crate::model::Problem;

/// What the program has found out.
#[derive(Debug, Clone)]
pub enum News {
    /// A packing that looks cheaper than the one before, carried out under all rules. What it comes to is for the caller
    /// to compare.
    Solution(Solution),
    /// What a pod is worth, dollars an hour, by group of the Problem; `None` where the program does not know.
    Values(Vec<Option<f64>>),
}

/// Looks for cheaper ways to pack what `first` places on new nodes.
pub fn improve(
    problem: &Problem,
    first: &Solution,
    worked: &Worked,
    work: Work,
    when: Signals,
    sink: &mut dyn FnMut(News),
) {
    let Some(reduction) = Reduction::of(problem, first, worked) else { return };
    let existing = on_existing_nodes(problem, first);
    columns::solve(&reduction.instance, work, when, &mut |news| match news {
        columns::News::Packing(packed) => {
            let guide = guide(&reduction, packed, &existing, worked);
            sink(News::Solution(greedy::guided(problem, guide, &|| false)));
        }
        columns::News::Values(values) => sink(News::Values(by_group(problem, &reduction, values))),
    });
}

/// What pods are worth by group: the least over the items that they are divided into.
fn by_group(problem: &Problem, reduction: &Reduction, values: &[f64]) -> Vec<Option<f64>> {
    let mut by_group: Vec<Option<f64>> = vec![None; problem.groups.len()];
    for (members, &value) in reduction.members.iter().zip(values) {
        for &(group, _) in members {
            let known = &mut by_group[group];
            *known = Some(known.map_or(value, |known| known.min(value)));
        }
    }
    by_group
}

/// By group: how many of its pods the solution puts on each existing node.
fn on_existing_nodes(problem: &Problem, first: &Solution) -> HashMap<usize, Vec<(usize, u32)>> {
    let group_of: HashMap<usize, usize> = problem
        .groups
        .iter()
        .enumerate()
        .flat_map(|(group, model)| model.pods.iter().map(move |&pod| (pod, group)))
        .collect();
    let mut existing: HashMap<usize, Vec<(usize, u32)>> = HashMap::new();
    for (pod, place) in &first.placements {
        let Place::Existing(node) = place else { continue };
        let of_group = existing.entry(group_of[pod]).or_default();
        match of_group.iter_mut().find(|(of, _)| of == node) {
            Some((_, count)) => *count += 1,
            None => of_group.push((*node, 1)),
        }
    }
    existing
}

/// Deals the pods of each item over the bins of its patterns.
fn guide(
    reduction: &Reduction,
    packed: &[(Pattern, u32)],
    existing: &HashMap<usize, Vec<(usize, u32)>>,
    worked: &Worked,
) -> Guide {
    let mut left: Vec<Vec<(usize, u32)>> = reduction.members.clone();
    let mut guide = Guide { existing: existing.clone(), steps: worked.steps.clone(), ..Guide::default() };
    for (pattern, times) in packed {
        for _ in 0..*times {
            let target = guide.targets.len();
            let mut domains = Vec::new();
            for &(item, count) in &pattern.counts {
                for &domain in &reduction.domains[item] {
                    if !domains.contains(&domain) {
                        domains.push(domain);
                    }
                }
                let mut wanted = count;
                while wanted > 0
                    && let Some((group, pods)) = left[item].last_mut()
                {
                    let taken = wanted.min(*pods);
                    guide.of_group.entry(*group).or_default().push((target, taken));
                    *pods -= taken;
                    wanted -= taken;
                    if *pods == 0 {
                        left[item].pop();
                    }
                }
            }
            let pool = reduction.shapes[pattern.class][pattern.bin].pool;
            guide.targets.push(Target { pool, domains, opened: None });
        }
    }
    guide
}
