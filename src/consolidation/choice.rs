//! Which nodes to keep, as an integer program over what they and their pods have of each resource: it sees the whole cluster at once, and
//! no single pod. What it proposes is tried like any other set.
//!
//! ```text
//! min  sum_j f_j k_j + sum_j (e_j / H) (1 - k_j) + sum_s c_s y_s
//! room_gr    sum_j free_jr k_j + sum_s A_sr y_s + fixed_gr >= (1 + m) sum_j used_jr (1 - k_j)      of the nodes j and types s of g
//! budget_p   sum_j (1 - k_j) <= allowed_p                                                          of the nodes j of a pool
//! ```
//! `g` are nodes that take the same pods at first sight: of one architecture, operating system and set of taints. `m` is a margin for
//! what whole pods leave free.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use super::effort::Effort;
use super::without::takes_moved;
use crate::api::labels;
use crate::disruption::Candidate;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Node, NodePool, Taint};
use crate::requirements::Requirements;
use crate::resources::Resources;
use crate::solve::lp::{Tree, polish};
use crate::solve::program::{Program, ProgramColumn, RowBound};
use crate::units::MicroUsd;

/// What whole pods leave free, permille, and whether new nodes may come: each is a proposal of its own.
const VARIANTS: [(u32, bool); 4] = [(50, false), (150, false), (0, true), (100, true)];

/// Nodes of the tree, and how much better than what is found something may be: it is a proposal.
const NODES: i32 = 100;
const GAP: f64 = 0.002;

/// Architecture, operating system and taints.
type Kind = (String, String, Vec<Taint>);

/// Sets of candidates that may go together, by index: those first for which nothing is bought. `allowed`: how many nodes of each
/// pool; `time`: for each program, where it is limited.
pub(super) fn choices(
    snapshot: &Snapshot,
    candidates: &[Candidate],
    policy: &Policy,
    allowed: &BTreeMap<Arc<str>, usize>,
    (time, effort): (Option<Duration>, &Effort<'_>),
) -> Vec<Vec<usize>> {
    if candidates.len() < 2 {
        return Vec::new();
    }
    let scene = Scene::of(snapshot, candidates);
    let mut found: Vec<Vec<usize>> = Vec::new();
    let tree = Tree { nodes: NODES, time, gap: GAP };
    for variant in VARIANTS {
        if effort.is_over() {
            break;
        }
        effort.spend();
        let program = scene.program(policy, variant, allowed);
        let keeps_all: Vec<f64> = (0..program.columns.len()).map(|of| f64::from(of < candidates.len())).collect();
        if let Some(kept) = polish(&program, &keeps_all, tree, &|| effort.is_late()) {
            let gone = kept[..candidates.len()].iter().enumerate().filter(|(_, keep)| **keep < 0.5);
            found.push(gone.map(|(index, _)| index).collect());
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|set| set.len() > 1 && seen.insert(set.clone()));
    found
}

/// A node that may go.
struct Keep<'s> {
    kind: usize,
    pool: Option<&'s Arc<str>>,
    price: MicroUsd,
    evictions: MicroUsd,
    pods: usize,
    free: Resources,
    used: Resources,
}

/// A type that can be bought.
struct Buy<'s> {
    kind: usize,
    price: MicroUsd,
    room: &'s Resources,
}

struct Scene<'s> {
    keeps: Vec<Keep<'s>>,
    buys: Vec<Buy<'s>>,
    /// By kind: what is free on nodes that stay.
    fixed: Vec<Resources>,
    resources: BTreeSet<Arc<str>>,
}

impl<'s> Scene<'s> {
    fn of(snapshot: &'s Snapshot, candidates: &[Candidate]) -> Self {
        let mut used: HashMap<&str, Resources> = HashMap::new(); // looked up only
        for pod in &snapshot.pods {
            if let Some(node) = &pod.node {
                used.entry(node).or_default().add(&pod.template.spec.requests);
            }
        }
        let free = |node: &Node| {
            let mut free = node.allocatable.clone();
            if let Some(used) = used.get(&*node.name) {
                free.subtract(used);
            }
            free
        };
        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut number = |kind: Kind| {
            let next = kinds.len();
            *kinds.entry(kind).or_insert(next)
        };
        let going: BTreeSet<usize> = candidates.iter().map(|of| of.node).collect();
        let mut resources = BTreeSet::new();
        let keeps: Vec<Keep> = candidates
            .iter()
            .map(|of| {
                let node = &snapshot.nodes[of.node];
                let mut used = Resources::new();
                of.pods.iter().for_each(|&pod| used.add(&snapshot.pods[pod].template.spec.requests));
                resources.extend(used.iter().map(|(name, _)| name.clone()));
                let (price, evictions) = (of.price.unwrap_or_default(), of.eviction_price);
                Keep {
                    kind: number(kind_of(node)),
                    pool: node.pool.as_ref(),
                    price,
                    evictions,
                    pods: of.pods.len(),
                    free: free(node),
                    used,
                }
            })
            .collect();
        let mut fixed: BTreeMap<usize, Resources> = BTreeMap::new();
        for (_, node) in snapshot.nodes.iter().enumerate().filter(|(index, _)| !going.contains(index)) {
            if takes_moved(node) {
                fixed.entry(number(kind_of(node))).or_default().add(&free(node));
            }
        }
        let mut buys = Vec::new();
        for pool in snapshot.node_pools.iter().filter(|pool| pool.replicas.is_none() && pool.unusable.is_none()) {
            for kind in pool.instance_types.iter() {
                let cheapest = kind.offerings.iter().filter(|of| of.available).map(|of| of.price).min();
                if let Some(price) = cheapest {
                    let kind_of = kind_of_type(pool, &kind.requirements);
                    buys.push(Buy { kind: number(kind_of), price, room: &kind.allocatable });
                }
            }
        }
        let fixed = (0..kinds.len()).map(|kind| fixed.remove(&kind).unwrap_or_default()).collect();
        Self { keeps, buys: best_for_the_price(buys, &resources), fixed, resources }
    }

    #[allow(clippy::cast_precision_loss)] // floats propose
    fn program(&self, policy: &Policy, (margin, may_buy): (u32, bool), allowed: &BTreeMap<Arc<str>, usize>) -> Program {
        let mut program = Program::default();
        let margin = 1.0 + f64::from(margin) / 1e3;
        let hours = policy.horizon.as_secs_f64() / 3_600.0;
        for (index, keep) in self.keeps.iter().enumerate() {
            let evictions = (policy.evictions(keep.evictions) + policy.hurdles(keep.pods)).as_usd() / hours;
            let cost = keep.price.as_usd() - evictions;
            program.add_column(ProgramColumn { name: format!("keep_{index}"), cost, most: 1.0, is_integer: true });
        }
        for (index, buy) in self.buys.iter().enumerate() {
            let cost = buy.price.as_usd() * (1.0 + policy.boot.as_secs_f64() / 3_600.0 / hours);
            let name = format!("buy_{index}");
            let most = if may_buy { f64::INFINITY } else { 0.0 };
            program.add_column(ProgramColumn { name, cost, most, is_integer: false });
        }
        for (kind, fixed) in self.fixed.iter().enumerate() {
            for resource in &self.resources {
                let of_kind = || self.keeps.iter().enumerate().filter(move |(_, keep)| keep.kind == kind);
                let used: f64 = of_kind().map(|(_, keep)| keep.used.get(resource) as f64).sum();
                if used <= 0.0 {
                    continue;
                }
                // of the order of one
                let scale = 1.0 / used;
                let room =
                    |keep: &Keep| keep.free.get(resource).max(0) as f64 + margin * keep.used.get(resource) as f64;
                let kept = of_kind().map(|(column, keep)| (column, scale * room(keep)));
                let bought = self.buys.iter().enumerate().filter(|(_, buy)| buy.kind == kind);
                let bought =
                    bought.map(|(index, buy)| (self.keeps.len() + index, scale * buy.room.get(resource) as f64));
                let least = margin - scale * fixed.get(resource).max(0) as f64;
                let name = format!("room_{kind}_{resource}");
                program.add_row(name, RowBound::AtLeast(least), kept.chain(bought).collect::<Vec<_>>());
            }
        }
        for (pool, most) in allowed {
            let of_pool: Vec<usize> = (0..self.keeps.len()).filter(|of| self.keeps[*of].pool == Some(pool)).collect();
            if of_pool.len() > *most {
                let least = (of_pool.len() - most) as f64;
                let entries = of_pool.into_iter().map(|column| (column, 1.0)).collect::<Vec<_>>();
                program.add_row(format!("budget_{pool}"), RowBound::AtLeast(least), entries);
            }
        }
        program
    }
}

/// Parts of nodes are bought here: of a kind only those that no other one has more for its price of, whatever the resource. Of hundreds
/// of types a few are left.
#[allow(clippy::cast_precision_loss)] // floats propose
fn best_for_the_price<'s>(buys: Vec<Buy<'s>>, resources: &BTreeSet<Arc<str>>) -> Vec<Buy<'s>> {
    let mut best: BTreeMap<usize, Vec<(Vec<f64>, Buy<'s>)>> = BTreeMap::new();
    for buy in buys {
        let price = buy.price.0.max(1) as f64;
        let worth: Vec<f64> = resources.iter().map(|name| buy.room.get(name) as f64 / price).collect();
        let no_more = |one: &[f64], other: &[f64]| one.iter().zip(other).all(|(one, other)| one <= other);
        let of_kind = best.entry(buy.kind).or_default();
        if !of_kind.iter().any(|(other, _)| no_more(&worth, other)) {
            of_kind.retain(|(other, _)| !no_more(other, &worth));
            of_kind.push((worth, buy));
        }
    }
    best.into_values().flatten().map(|(_, buy)| buy).collect()
}

fn kind_of(node: &Node) -> Kind {
    let text = |key| node.label(key).unwrap_or_default().to_owned();
    (text(labels::ARCH), text(labels::OS), sorted(&node.taints))
}

fn kind_of_type(pool: &NodePool, of_type: &Requirements) -> Kind {
    let found: Labels = of_type.single_values().map(|(key, value)| (key.clone(), value.clone())).collect();
    let text = |key: &str| found.get(key).map_or_else(String::new, ToString::to_string);
    (text(labels::ARCH), text(labels::OS), sorted(&pool.taints))
}

fn sorted(taints: &[Taint]) -> Vec<Taint> {
    let mut taints = taints.to_vec();
    taints.sort_by(|a, b| (&a.key, &a.value).cmp(&(&b.key, &b.value)));
    taints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_give_less_for_their_price_are_no_columns() {
        let room = |cpu: i64, memory: i64| Resources::new().with("cpu", cpu).with("memory", memory);
        let types = [(2, room(2, 4)), (4, room(4, 8)), (2, room(1, 8)), (3, room(1, 4)), (9, room(1, 1))];
        let kinds = [0, 0, 0, 0, 1];
        let buys = types.iter().zip(kinds).map(|((price, room), kind)| Buy { kind, price: MicroUsd(*price), room });
        let best = best_for_the_price(buys.collect(), &["cpu", "memory"].map(Arc::from).into());
        let left: Vec<(usize, i64)> = best.iter().map(|buy| (buy.kind, buy.price.0)).collect();
        assert_eq!(left, [(0, 2), (0, 2), (1, 9)], "of each kind what some resource is cheapest on");
    }
}
