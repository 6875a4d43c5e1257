//! From a first solution to a cheaper one: reduce it to numbers, generate columns, carry the patterns out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Solution;
use super::bound::Values;
use super::carried::Carried;
use super::columns::instance::{Duals, Packing, Pattern};
use super::columns::{self, TimeLeft, Work};
use super::greedy::guide::{Guide, Target};
use super::greedy::{self, Worked};
use super::reduce::{Domains, Reduction, RowOf, Source, Wanted, ZoneCounts, cheaper_zones};
use crate::api::labels;
use crate::model::Problem;

/// Carries a packing out under all rules: who does so has a clock.
pub type CarryOut<'n> = &'n mut dyn FnMut() -> Solution;

/// What the program has found out.
pub enum News<'n> {
    /// A packing that looks cheaper than the one before. What it comes to is for the caller to compare.
    Packing(CarryOut<'n>, Searched),
    Values(Values),
    /// The search is over: its cheapest packing with all columns.
    Columns(Searched),
}

/// A packing, with the other columns that the search had.
#[derive(Debug, Clone)]
pub struct Searched {
    pub(super) reduction: Arc<Reduction>,
    pub(super) packing: Packing,
    pub(super) others: Vec<Pattern>,
    /// What things were worth in the end.
    pub(super) duals: Duals,
    /// The ratio ([`Carried::ratio`]) that the search was content with; `None` where it went on to its end.
    pub(super) ratio: Option<f64>,
}

impl Searched {
    /// The same packing with the columns of another one of the same search.
    #[must_use]
    pub fn with_columns_of(mut self, other: Self) -> Self {
        self.duals = other.duals;
        self.ratio = other.ratio;
        self.others = other.others;
        self.others.extend(other.packing.into_iter().map(|(pattern, _)| pattern));
        self
    }
}

/// Looks for cheaper ways to pack what `first` places, from what was carried over.
pub fn improve<'p>(
    problem: &'p Problem,
    (first, worked): (&Solution, &Worked<'p>),
    carried: &Carried,
    work: Work,
    (time, all_time): (TimeLeft, Duration),
    sink: &mut dyn FnMut(News),
) -> columns::Ended {
    let Some((reduction, weights)) = reduction(problem, first, worked) else { return columns::Ended::Searched };
    let start = columns::Start { weights, all_time: Some(all_time), ..carried.start(problem, &reduction) };
    let reduction = Arc::new(reduction);
    let mut cheapest = Searched {
        reduction: reduction.clone(),
        packing: Packing::new(),
        others: Vec::new(),
        duals: Duals::default(),
        ratio: None,
    };
    columns::solve(&reduction.instance, &start, work, time, &mut |news| match news {
        columns::News::Packing(packed) => {
            cheapest.packing.clone_from(packed);
            let mut carry_out = || {
                let guide = guide(&reduction, packed, &worked.steps);
                greedy::guided(problem, guide, worked, &|| false)
            };
            sink(News::Packing(&mut carry_out, cheapest.clone()));
        }
        columns::News::Values(duals) => sink(News::Values(values(problem, &reduction, duals))),
        columns::News::Columns(columns, duals, ratio) => {
            let (others, duals) = (columns.to_vec(), duals.clone());
            sink(News::Columns(Searched { others, duals, ratio, ..cheapest.clone() }));
        }
    })
}

/// With spread pods where resources are cheapest; and what resources are worth by class and dimension.
fn reduction(problem: &Problem, first: &Solution, worked: &Worked) -> Option<(Reduction, Vec<Vec<f64>>)> {
    let zones = ZoneCounts::new();
    let wanted = Wanted { first, steps: &worked.steps, zones: &zones, at_stake: None, also: &[] };
    let reduction = Reduction::of(problem, wanted)?;
    let (values, weights) = columns::resource_values(&reduction.instance);
    let zones = cheaper_zones(problem, &reduction, &values, &weights);
    // a few pods elsewhere change little of what resources are worth
    let reduction =
        if zones.is_empty() { reduction } else { Reduction::of(problem, Wanted { zones: &zones, ..wanted })? };
    Some((reduction, weights))
}

/// What pods are worth by group and zone, and what a unit of a limit is.
#[allow(clippy::cast_precision_loss)] // floats propose
pub(super) fn values(problem: &Problem, reduction: &Reduction, duals: &Duals) -> Values {
    let zones = problem.keys.id(labels::ZONE);
    let mut pods: Vec<Vec<(Option<usize>, f64)>> = vec![Vec::new(); problem.groups.len()];
    for ((members, domains), &value) in reduction.members.iter().zip(&reduction.domains).zip(&duals.items) {
        let zone = domains.iter().find(|(key, _)| Some(*key) == zones).map(|(_, zone)| *zone);
        for &(group, _) in members {
            pods[group].push((zone, value));
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
pub(super) fn guide(reduction: &Reduction, packed: &[(Pattern, u32)], steps: &[usize]) -> Guide {
    let mut left: Vec<Vec<(usize, u32)>> = reduction.members.clone();
    let mut guide = Guide { existing: reduction.staying.clone(), steps: steps.to_vec(), ..Guide::default() };
    let mut nodes_used: HashMap<(usize, usize), usize> = HashMap::new();
    // what comes last is opened first: a node that is opened takes what is left of a reservation, meant for it or not
    let is_reserved = |pattern: &Pattern| {
        let mut uses = reduction.instance.bin(pattern).uses.iter();
        uses.any(|(row, _)| matches!(reduction.rows[*row], RowOf::Reservation(_)))
    };
    let (reserved, others): (Vec<_>, Vec<_>) = packed.iter().partition(|(pattern, _)| is_reserved(pattern));
    for (pattern, times) in others.into_iter().chain(reserved) {
        for _ in 0..*times {
            let mut dealt: Vec<(usize, u32)> = Vec::new();
            for &(item, count) in &pattern.counts {
                deal(&mut left[item], count, &mut dealt);
            }
            match &reduction.sources[pattern.class][pattern.bin] {
                Source::New(of) => {
                    let target = guide.targets.len();
                    let domains = domains(reduction, pattern);
                    guide.targets.push(Target { pool: of.pool, domains, opened: None });
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
