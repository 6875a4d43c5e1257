//! What a search learned that helps the next one, in the words of the cluster.
//!
//! Pods are named by what they are, bins by their pool and room: both are looked up in the next question, which has other pods,
//! nodes and prices. Nothing in it is trusted: patterns are proposals that must fit, values are proposals that prove little
//! where they are wrong. An empty one is always valid.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::columns::Start;
use super::columns::instance::{Duals, Instance, Pattern, usd};
use super::integer::Searched;
use super::reduce::{Reduction, RowOf, Source};
use crate::model::{Group, Problem};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    pub items: Vec<Item>,
    pub patterns: Vec<Carry>,
    pub limits: Vec<Limit>,
    /// Cost of the best packing for what its pods were worth, when the last whole search ended; zero where there was none. What
    /// ended as near as that keeps it: a hundred small changes may not add up.
    pub ratio: f64,
}

/// Pods that a pattern counts alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// SHA-256 of the namespace and the template of each kind of pod.
    pub pods: Vec<String>,
    /// Topology key and domain.
    pub domains: Vec<(String, String)>,
    /// What a pod is worth, dollars an hour.
    pub usd_hour: f64,
}

/// A pattern, and how often the best packing has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carry {
    /// The pool of a new node; none: an existing one.
    pub node_pool: Option<String>,
    /// By dimension.
    pub room: Vec<i64>,
    /// (item, how many)
    pub counts: Vec<(usize, u32)>,
    pub times: u32,
}

/// What all that a limit leaves is worth, dollars an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub node_pool: String,
    pub limit: String,
    pub usd_hour: f64,
}

impl Carried {
    /// What a search of the problem learned.
    #[must_use]
    pub fn of(problem: &Problem, searched: &Searched) -> Self {
        let Searched { reduction, packing, others, duals, ratio } = searched;
        let names = Names::of(problem, reduction);
        let domain = |&(key, domain): &(usize, usize)| {
            (problem.keys.name(key).to_string(), problem.keys.domains(key)[domain].to_string())
        };
        let items = (0..reduction.members.len()).map(|item| Item {
            pods: names.of_item(reduction, item),
            domains: reduction.domains[item].iter().map(domain).collect(),
            usd_hour: duals.items.get(item).copied().unwrap_or(0.0),
        });
        let carry = |pattern: &Pattern, times: u32| Carry {
            node_pool: match &reduction.sources[pattern.class][pattern.bin] {
                Source::New(of) => Some(problem.pools[of.pool].pool.name.to_string()),
                Source::Nodes(_) => None,
            },
            room: reduction.instance.bin(pattern).room.clone(),
            counts: pattern.counts.clone(),
            times,
        };
        let packed = packing.iter().map(|(pattern, times)| carry(pattern, *times));
        let limit = |(row, usd_hour): (&RowOf, &f64)| match row {
            RowOf::Limit(pool, index) => Some(Limit {
                node_pool: problem.pools[*pool].pool.name.to_string(),
                limit: problem.pools[*pool].limits()[*index].name.to_string(),
                usd_hour: *usd_hour,
            }),
            RowOf::Reservation(_) | RowOf::Nodes => None,
        };
        let cost: i64 = packing.iter().map(|(of, times)| reduction.instance.cost(of) * i64::from(*times)).sum();
        let worth = duals.worth(&reduction.instance.demands());
        Self {
            items: items.collect(),
            patterns: packed.chain(others.iter().map(|pattern| carry(pattern, 0))).collect(),
            limits: reduction.rows.iter().zip(&duals.rows).filter_map(limit).collect(),
            ratio: ratio.unwrap_or(if worth > 0.0 { usd(cost) / worth } else { 0.0 }),
        }
    }

    /// Whether all of its numbers can be written down.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let worth = self.items.iter().map(|item| item.usd_hour).chain(self.limits.iter().map(|limit| limit.usd_hour));
        worth.chain([self.ratio]).all(f64::is_finite)
    }

    /// What of it the next question can use.
    #[must_use]
    pub fn start(&self, problem: &Problem, reduction: &Reduction) -> Start {
        if self.items.is_empty() {
            return Start::default();
        }
        let names = Names::of(problem, reduction);
        let items: Vec<Option<usize>> = self.items.iter().map(|item| names.find(problem, reduction, item)).collect();
        let mut duals = Duals { items: vec![f64::NAN; reduction.members.len()], rows: vec![0.0; reduction.rows.len()] };
        for (item, of) in items.iter().zip(&self.items) {
            if let Some(item) = item.filter(|_| of.usd_hour.is_finite()) {
                duals.items[item] = of.usd_hour.max(0.0);
            }
        }
        for (dual, row) in duals.rows.iter_mut().zip(&reduction.rows) {
            let RowOf::Limit(pool, index) = row else { continue };
            let pool = &problem.pools[*pool];
            let name = &pool.limits()[*index].name;
            let known = self.limits.iter().find(|of| *of.node_pool == *pool.pool.name && *of.limit == **name);
            *dual = known.map_or(0.0, |known| known.usd_hour.max(0.0));
        }
        let mut start = Start { duals, ratio: self.ratio, ..Start::default() };
        for carry in &self.patterns {
            let Some(pattern) = pattern(problem, reduction, &items, carry) else { continue };
            if carry.times > 0 {
                start.packing.push((pattern.clone(), carry.times));
            }
            start.columns.push(pattern);
        }
        start
    }
}

/// The pattern on the bin of the same room and pool, or else on the cheapest that holds it.
fn pattern(problem: &Problem, reduction: &Reduction, items: &[Option<usize>], carry: &Carry) -> Option<Pattern> {
    let instance = &reduction.instance;
    let mut counts: Vec<(usize, u32)> = Vec::with_capacity(carry.counts.len());
    for &(item, count) in &carry.counts {
        counts.push(((*items.get(item)?)?, count));
    }
    counts.sort_unstable();
    let apart = counts.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let size = size(instance, &counts)?;
    if counts.is_empty() || !apart {
        return None;
    }
    let is_same = |source: &Source, room: &[i64]| match (source, &carry.node_pool) {
        (Source::New(of), Some(pool)) => *problem.pools[of.pool].pool.name == **pool && *room == *carry.room,
        (Source::Nodes(_), None) => *room == *carry.room,
        _ => false,
    };
    let mut best: Option<(bool, i64, usize, usize)> = None;
    for (class, of) in instance.classes.iter().enumerate() {
        if !counts.iter().all(|(item, _)| of.items.binary_search(item).is_ok()) {
            continue;
        }
        for (bin, model) in of.bins.iter().enumerate() {
            let source = &reduction.sources[class][bin];
            let is_new = matches!(source, Source::New(_));
            if is_new == carry.node_pool.is_some() && size.iter().zip(&model.room).all(|(size, room)| size <= room) {
                let found = (!is_same(source, &model.room), model.cost, class, bin);
                best = Some(best.map_or(found, |best| best.min(found)));
            }
        }
    }
    let (_, _, class, bin) = best?;
    Some(Pattern { class, bin, counts })
}

/// `None` where a node may not hold so many.
fn size(instance: &Instance, counts: &[(usize, u32)]) -> Option<Vec<i64>> {
    let mut size = vec![0_i64; instance.dims];
    for &(item, count) in counts {
        let of = &instance.items[item];
        if count == 0 || count > of.most {
            return None;
        }
        for (size, one) in size.iter_mut().zip(&of.size) {
            *size = size.checked_add(one.checked_mul(i64::from(count))?)?;
        }
    }
    Some(size)
}

/// Kinds of pods by name.
struct Names {
    by_group: Vec<String>,
    /// (kind of pod, item)
    items: HashMap<String, Vec<usize>>,
}

impl Names {
    fn of(problem: &Problem, reduction: &Reduction) -> Self {
        let by_group: Vec<String> = problem.groups.iter().map(name).collect();
        let mut items: HashMap<String, Vec<usize>> = HashMap::new();
        for (item, members) in reduction.members.iter().enumerate() {
            for (group, _) in members {
                items.entry(by_group[*group].clone()).or_default().push(item);
            }
        }
        Self { by_group, items }
    }

    fn of_item(&self, reduction: &Reduction, item: usize) -> Vec<String> {
        reduction.members[item].iter().map(|(group, _)| self.by_group[*group].clone()).collect()
    }

    /// The item of the same pods in the same domains.
    fn find(&self, problem: &Problem, reduction: &Reduction, item: &Item) -> Option<usize> {
        let is_there = |&(key, domain): &(usize, usize)| {
            let is = |(of, value): &(String, String)| {
                **of == **problem.keys.name(key) && **value == *problem.keys.domains(key)[domain]
            };
            item.domains.iter().any(is)
        };
        let candidates = item.pods.iter().filter_map(|name| self.items.get(name)).flatten();
        let mut same = candidates.filter(|&&of| {
            reduction.domains[of].len() == item.domains.len() && reduction.domains[of].iter().all(is_there)
        });
        same.next().copied()
    }
}

fn name(group: &Group) -> String {
    let template = serde_json::to_string(group.template.as_ref()).unwrap_or_default();
    format!(
        "{:x}",
        Sha256::new().chain_update(group.namespace.as_bytes()).chain_update([0]).chain_update(template).finalize()
    )
}
