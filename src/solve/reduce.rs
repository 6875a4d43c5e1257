//! Problem -> [`Instance`]: the packing in numbers, with what a first solution decided about rules that span nodes.
//!
//! What stays of a first solution: in which domain of a topology key each pod lands (in which zones those are that are spread
//! over them by a rule of their own is decided by price, [`cheaper_zones`]), how far its preferences are relaxed,
//! the weight of its pool, and the existing node of a pod that rules over hosts count. What is decided anew is which pods
//! share a node, which of them go to nodes that exist, and which types are bought; that is where the money is. Rules within
//! one node are caps of an item or dimensions of their own (hostname spread and anti-affinity, host ports); limits of pools,
//! reservations and existing nodes are rows that bins share; whatever is missing here is caught when the patterns are carried
//! out by the same rules that the greedy follows.

mod demand;
mod hosts;
mod markets;
mod nodes;
mod rows;
mod zones;

use std::collections::BTreeMap;

use super::Solution;
use super::columns::instance::{Bin, Class, Instance, Item, Row};
use super::greedy::Variants;
use super::sets::{RequirementSets, SetId};
use crate::model::{DomainId, KeyId, OfferingIndex, Problem};

pub use demand::Staying;
use demand::demand;
pub use demand::domain_of;
use hosts::{HostRule, host_rules, most_on_a_node, size};
use markets::Markets;
use nodes::OnNodes;
pub use rows::RowOf;
use rows::Rows;
use zones::move_to;
pub use zones::{ZoneCounts, cheaper_zones};

/// An instance with what its items and bins stand for.
#[derive(Debug)]
pub struct Reduction {
    pub instance: Instance,
    /// By item: the pods of each group that it stands for.
    pub members: Vec<Members>,
    /// By item: the domains that were chosen for it.
    pub domains: Vec<Domains>,
    /// By item: it is of the priority of which as few pods as can be are to be left.
    pub at_stake: Vec<bool>,
    /// By class and bin.
    pub sources: Vec<Vec<Source>>,
    /// By row.
    pub rows: Vec<RowOf>,
    /// Pods that stay on existing nodes.
    pub staying: Staying,
}

/// What a bin is.
#[derive(Debug, Clone)]
pub enum Source {
    /// A new node, at the price of this offering; others may have the same price and room, or be worse.
    New(OfferingIndex),
    /// One of these existing nodes.
    Nodes(Vec<usize>),
}

/// Chosen domains by topology key.
pub type Domains = Vec<(KeyId, DomainId)>;

/// Pods of an item by group.
pub type Members = Vec<(usize, u32)>;

/// What decides where an item may go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// Requirements of its pods, one of which must be met.
    alternatives: Vec<SetId>,
    /// By pool.
    tolerates: Vec<bool>,
    /// Of the pools that may launch for it.
    weight: i32,
    domains: Domains,
    /// Existing nodes that it may go to, as indices into `Problem::nodes`; none where rules over hosts count its pods.
    nodes: Vec<usize>,
}

/// Signature, size, how many one node may hold, and whether it is of the priority at stake.
type ItemKey = (usize, Vec<i64>, u32, bool);

/// What is packed anew.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    pub first: &'w Solution,
    /// By group: how far the preferences of its pods are relaxed.
    pub steps: &'w [usize],
    /// Other numbers in the zones than the first solution's.
    pub zones: &'w ZoneCounts,
    /// The priority of which as few pods as can be are to be left; pods of lower ones are not wanted.
    pub at_stake: Option<i32>,
    /// Pods that the first solution leaves, and domains for them.
    pub also: &'w [(usize, Domains)],
}

impl Reduction {
    /// Reads a first solution; `None` where there is nothing to place.
    #[must_use]
    pub fn of(problem: &Problem, wanted: Wanted<'_>) -> Option<Self> {
        let least = wanted.at_stake.unwrap_or(i32::MIN);
        let (mut demand, staying) = demand(problem, wanted.first, least, wanted.also);
        move_to(problem, &mut demand, wanted.zones);
        if demand.is_empty() {
            return None;
        }
        let mut sets = RequirementSets::default();
        let mut variants = Variants::new(problem);
        let markets: Vec<Markets> = problem.pools.iter().map(Markets::of).collect();
        let host_rules = host_rules(problem, &demand);
        let mut on_nodes = OnNodes::default();
        let mut signatures: BTreeMap<Signature, usize> = BTreeMap::new();
        let mut items: BTreeMap<ItemKey, Members> = BTreeMap::new();
        for (decided, pods) in demand {
            let group = decided.by_content.group;
            let variant = variants.at(problem, &mut sets, group, wanted.steps[group])?;
            let variant = variants.get(variant);
            let mut signature = Signature {
                alternatives: variant.alternatives.clone(),
                tolerates: variant.tolerates.clone(),
                weight: 0,
                domains: decided.domains,
                nodes: Vec::new(),
            };
            signature.nodes = on_nodes.of(problem, &sets, group, variant.soft_taints, &signature);
            signature.weight = weight(problem, &mut sets, &markets, &mut signature, decided.weight);
            let next = signatures.len();
            let signature = *signatures.entry(signature).or_insert(next);
            let model = &problem.groups[group];
            let at_stake = wanted.at_stake == Some(model.spec().priority);
            let key = (signature, size(model, &host_rules), most_on_a_node(problem, model), at_stake);
            items.entry(key).or_default().push((group, pods));
        }
        let mut by_index: Vec<&Signature> = signatures.keys().collect();
        by_index.sort_by_key(|signature| signatures[*signature]);
        let dims = problem.dims.len() + host_rules.len();
        let mut reduction = Self {
            instance: Instance { dims, items: Vec::new(), classes: Vec::new(), rows: Vec::new() },
            members: Vec::new(),
            domains: Vec::new(),
            at_stake: Vec::new(),
            sources: Vec::new(),
            rows: Vec::new(),
            staying,
        };
        let mut of_signature: Vec<Vec<usize>> = vec![Vec::new(); by_index.len()];
        for ((signature, size, most, at_stake), members) in items {
            of_signature[signature].push(reduction.instance.items.len());
            let demand = members.iter().map(|(_, pods)| pods).sum();
            reduction.instance.items.push(Item { size, demand, most });
            reduction.members.push(members);
            reduction.domains.push(by_index[signature].domains.clone());
            reduction.at_stake.push(at_stake);
        }
        reduction.add_new_nodes(problem, &mut sets, &markets, &by_index, &of_signature, &host_rules);
        reduction.add_existing_nodes(problem, &by_index, &of_signature, &host_rules);
        Some(reduction)
    }

    fn add_new_nodes(
        &mut self,
        problem: &Problem,
        sets: &mut RequirementSets,
        markets: &[Markets],
        signatures: &[&Signature],
        of_signature: &[Vec<usize>],
        host_rules: &[HostRule],
    ) {
        let mut rows = Rows::default();
        // bins by the signatures that they may hold
        let mut classes: BTreeMap<Vec<usize>, Vec<(Bin, OfferingIndex)>> = BTreeMap::new();
        for (pool, model) in problem.pools.iter().enumerate() {
            let markets = &markets[pool];
            let reached: Vec<_> =
                signatures.iter().map(|signature| markets.reached(problem, sets, pool, signature)).collect();
            for (kind, of_type) in model.types.iter().enumerate() {
                for (offering, of) in of_type.offerings.iter().enumerate() {
                    let market = markets.of_offering[kind][offering];
                    let holds: Vec<usize> = (0..signatures.len())
                        .filter(|&signature| reached[signature].get(market).is_some_and(|types| types.contains(kind)))
                        .collect();
                    if holds.is_empty() {
                        continue;
                    }
                    let Some(uses) = rows.of_offering(pool, model, kind, offering) else { continue };
                    let rules = host_rules.iter().map(|rule| i64::from(rule.room));
                    // what daemon pods request beyond what there is keeps nobody out who requests none of it
                    let room = of_type.room.iter().map(|free| (*free).max(0)).chain(rules).collect();
                    let bin = Bin { room, cost: of.price.0, uses };
                    classes.entry(holds).or_default().push((bin, OfferingIndex { pool, kind, offering }));
                }
            }
        }
        (self.instance.rows, self.rows) = (rows.all, rows.meaning);
        for (holds, mut bins) in classes {
            bins.sort_by(|(a, of_a), (b, of_b)| {
                (a.cost, &b.room, &a.uses, of_a).cmp(&(b.cost, &a.room, &b.uses, of_b))
            });
            // a bin that costs no less and holds no more than another is never needed
            let mut kept: Vec<(Bin, OfferingIndex)> = Vec::new();
            for (bin, of) in bins {
                if !kept.iter().any(|(other, _)| is_no_worse(other, &bin)) {
                    kept.push((bin, of));
                }
            }
            let (bins, of_bins): (_, Vec<OfferingIndex>) = kept.into_iter().unzip();
            let items = items_of(&holds, of_signature);
            self.instance.classes.push(Class { items, bins });
            self.sources.push(of_bins.into_iter().map(Source::New).collect());
        }
    }

    fn add_existing_nodes(
        &mut self,
        problem: &Problem,
        signatures: &[&Signature],
        of_signature: &[Vec<usize>],
        host_rules: &[HostRule],
    ) {
        let mut rooms: Vec<Vec<i64>> = problem.nodes.iter().map(|node| node.room.to_vec()).collect();
        for (&group, on_nodes) in &self.staying {
            for &(node, count) in on_nodes {
                for (room, amount) in rooms[node].iter_mut().zip(&problem.groups[group].amounts) {
                    *room -= (*amount).max(0) * i64::from(count);
                }
            }
        }
        // nodes that may hold the same and have the same room
        let mut holds: Vec<Vec<usize>> = vec![Vec::new(); problem.nodes.len()];
        for (index, signature) in signatures.iter().enumerate() {
            signature.nodes.iter().for_each(|&node| holds[node].push(index));
        }
        let mut classes: BTreeMap<Vec<usize>, BTreeMap<Vec<i64>, Vec<usize>>> = BTreeMap::new();
        for (node, (holds, room)) in holds.into_iter().zip(rooms).enumerate() {
            let room: Vec<i64> = room.iter().map(|free| (*free).max(0)).collect();
            let fits =
                |item: &usize| self.instance.items[*item].size.iter().zip(&room).all(|(size, room)| size <= room);
            if items_of(&holds, of_signature).iter().any(fits) {
                classes.entry(holds).or_default().entry(room).or_default().push(node);
            }
        }
        for (holds, by_room) in classes {
            let (mut bins, mut sources) = (Vec::new(), Vec::new());
            for (mut room, nodes) in by_room {
                room.extend(host_rules.iter().map(|rule| i64::from(rule.room)));
                let uses = vec![(self.instance.rows.len(), 1)];
                let capacity = i64::try_from(nodes.len()).unwrap_or(i64::MAX);
                self.instance.rows.push(Row { capacity, is_supply: true });
                self.rows.push(RowOf::Nodes);
                bins.push(Bin { room, cost: 0, uses });
                sources.push(Source::Nodes(nodes));
            }
            self.instance.classes.push(Class { items: items_of(&holds, of_signature), bins });
            self.sources.push(sources);
        }
    }
}

fn items_of(holds: &[usize], of_signature: &[Vec<usize>]) -> Vec<usize> {
    let mut items: Vec<usize> = holds.iter().flat_map(|&signature| of_signature[signature].clone()).collect();
    items.sort_unstable();
    items
}

/// Whether a bin holds as much as another one of its class, costs no more and uses no more of any row.
fn is_no_worse(bin: &Bin, other: &Bin) -> bool {
    let used_by_other = |row| other.uses.iter().find(|(of, _)| *of == row).map_or(0, |(_, amount)| *amount);
    bin.cost <= other.cost
        && bin.room.iter().zip(&other.room).all(|(a, b)| a >= b)
        && bin.uses.iter().all(|&(row, amount)| amount <= used_by_other(row))
}

/// The weight of the pools that may launch for the signature: of those that could, the heaviest, as only it may open a
/// node for its pods alone. A limited pool counts only where the first solution used it: it may be exhausted.
fn weight(
    problem: &Problem,
    sets: &mut RequirementSets,
    markets: &[Markets],
    signature: &mut Signature,
    decided: Option<i32>,
) -> i32 {
    // pools come heaviest first
    for (pool, model) in problem.pools.iter().enumerate() {
        let weight = model.pool.weight;
        if decided.is_some_and(|decided| decided >= weight) {
            break;
        }
        signature.weight = weight;
        let reached = markets[pool].reached(problem, sets, pool, signature);
        if (decided.is_none() || !model.is_limited()) && reached.iter().any(|types| !types.is_clear()) {
            return weight;
        }
    }
    decided.unwrap_or_default()
}
