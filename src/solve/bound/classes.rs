//! Classes of pods by where they may run, and shapes by which classes they may hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::spread::{Spread, spreads};
use crate::api::labels;
use crate::model::{
    Amounts, Group, Keys, OfferingIndex, Placement, Problem, SoftTaints, Source, admits, affinity_alternatives, fits,
    volume_alternatives,
};
use crate::requirements::Undefined;
use crate::solve::sets::{RequirementSets, SetId};
use crate::units::MicroUsd;

/// The LP tells no more classes apart than this: the others count as one that may run wherever any of them may.
const MOST_MERGED: usize = 48;

/// Pods by where they may run; nodes and shapes by what they may hold.
#[derive(Clone)]
pub struct Classes {
    pub dims: usize,
    /// By group: its class; `None` where no shape and no node can hold it, whatever the plan.
    pub of_group: Vec<Option<usize>>,
    /// By group: how many of its pods a node may hold, whatever else is there.
    pub most_on_a_node: Vec<u32>,
    /// By class: the one of at most [`MOST_MERGED`] that it is in the LP.
    pub merged: Vec<usize>,
    /// By group: how it is spread over zones, if it is and nothing else is counted with it.
    pub spreads: Vec<Option<Spread>>,
    /// The zones that are told apart; none where no group is spread over them.
    pub zone_names: Vec<Arc<str>>,
    /// Every distinct (classes, room, uses of limits, zone): the cheapest offering that has it.
    pub shapes: Vec<Shape>,
    /// Of all pools.
    pub limits: Vec<Limit>,
    /// Existing nodes joined by the classes that they may hold.
    pub nodes: Vec<Supply>,
    /// Existing nodes that cost something and need not be kept; none of them is in `nodes`.
    pub kept: Vec<Keep>,
}

/// A kind of node that can be bought.
#[derive(Clone)]
pub struct Shape {
    /// The classes that it may hold.
    pub holds: FixedBitSet,
    /// `None` where it has none that is known.
    pub zone: Option<usize>,
    pub room: Amounts,
    pub price: MicroUsd,
    /// The offering that has this price.
    pub cheapest: OfferingIndex,
    /// How many can be bought at most; `None`: any number.
    pub most: Option<i64>,
    /// What one uses: (limit, how much), none zero.
    pub uses: Vec<(usize, i64)>,
}

/// One limit of a pool.
#[derive(Clone)]
pub struct Limit {
    /// Index into `Problem::pools`, and position in the pool's limits.
    pub pool: usize,
    pub index: usize,
    pub name: Arc<str>,
    /// Not negative.
    pub left: i64,
}

/// Free capacity that costs nothing: existing nodes that may hold the same classes.
#[derive(Clone)]
pub struct Supply {
    pub holds: FixedBitSet,
    pub zone: Option<usize>,
    /// Of each node; not negative.
    pub rooms: Vec<Amounts>,
    /// Indices into `Problem::nodes`, as in `rooms`.
    pub nodes: Vec<usize>,
}

/// A node that is there, for a price.
#[derive(Clone)]
pub struct Keep {
    pub holds: FixedBitSet,
    pub zone: Option<usize>,
    /// Not negative.
    pub room: Amounts,
    pub price: MicroUsd,
}

/// What decides where a group may run: alternatives of its node requirements, and the pools and nodes that it tolerates.
type Signature = (Vec<SetId>, Vec<bool>, Vec<bool>);

impl Classes {
    /// The same where nodes cost nothing.
    pub fn without_prices(&self) -> Self {
        let mut classes = self.clone();
        classes.shapes.iter_mut().for_each(|shape| shape.price = MicroUsd::ZERO);
        classes
    }

    /// The same where some of the nodes that are there (by index into `Problem::nodes`) cost something, and what can be bought costs
    /// more: its price times `part` of it besides.
    pub fn with_prices(mut self, prices: &BTreeMap<usize, MicroUsd>, (part, of): (u64, u64)) -> Self {
        for Supply { holds, zone, rooms, nodes } in &mut self.nodes {
            let (mut others, mut rooms_of_others) = (Vec::new(), Vec::new());
            for (node, room) in nodes.drain(..).zip(rooms.drain(..)) {
                if let Some(&price) = prices.get(&node) {
                    self.kept.push(Keep { holds: holds.clone(), zone: *zone, room, price });
                } else {
                    others.push(node);
                    rooms_of_others.push(room);
                }
            }
            (*nodes, *rooms) = (others, rooms_of_others);
        }
        self.nodes.retain(|supply| !supply.nodes.is_empty());
        for shape in &mut self.shapes {
            let more = i128::from(shape.price.0) * i128::from(part) / i128::from(of.max(1));
            shape.price = MicroUsd(shape.price.0.saturating_add(i64::try_from(more).unwrap_or(i64::MAX)));
        }
        self
    }

    /// A set of classes as the LP tells them apart, ascending.
    pub fn merged_set(&self, holds: &FixedBitSet) -> Vec<usize> {
        let set: BTreeSet<usize> = holds.ones().map(|class| self.merged[class]).collect();
        set.into_iter().collect()
    }
}

impl Shape {
    /// Its price and what it uses of limits (10^-18 dollars a unit), nano-dollars an hour, rounded down.
    pub fn cost(&self, of_limits: &[i128]) -> i128 {
        let used: i128 = self.uses.iter().map(|&(limit, amount)| of_limits[limit] * i128::from(amount)).sum();
        i128::from(self.price.0.max(0)) * 1_000 + used / 1_000_000_000
    }
}

impl Supply {
    /// The free capacity of all nodes together.
    pub fn total(&self) -> Amounts {
        let dims = self.rooms.first().map_or(0, |room| room.len());
        (0..dims).map(|dim| self.rooms.iter().fold(0_i64, |sum, room| sum.saturating_add(room[dim]))).collect()
    }
}

impl Classes {
    pub fn of(problem: &Problem) -> Self {
        let mut sets = RequirementSets::default();
        let mut signatures: BTreeMap<Signature, usize> = BTreeMap::new();
        let mut of_group = Vec::with_capacity(problem.groups.len());
        for group in &problem.groups {
            let signature = signature(problem, &mut sets, group.spec());
            let next = signatures.len();
            of_group.push(*signatures.entry(signature).or_insert(next));
        }
        let mut by_index: Vec<Signature> = vec![Signature::default(); signatures.len()];
        for (signature, index) in signatures {
            by_index[index] = signature;
        }
        let where_to = Reach::of(problem, &mut sets, &by_index);
        Self::assemble(problem, &where_to, &of_group)
    }

    fn assemble(problem: &Problem, reach: &Reach, of_group: &[usize]) -> Self {
        let class_of = reach.classes();
        let count = class_of.iter().copied().max().map_or(0, |most| most + 1);
        let (limits, of_pool) = limits(problem);
        let (key, spreads) = spreads(problem);
        let zone_names = key.map_or_else(Vec::new, |key| problem.keys.domains(key).to_vec());
        let zone_of = |label: Option<&str>| problem.keys.domain(key?, label?);
        // each reservation is a shape of its own: what two of them hold together is not what one of them holds
        let mut shapes: HashMap<ShapeKey, (MicroUsd, OfferingIndex)> = HashMap::new();
        for (index, &shape) in reach.shapes.iter().enumerate() {
            let holds = reach.holds(&class_of, count, |signature| reach.on_shape[signature].contains(index));
            let kind = &problem.pools[shape.pool].types[shape.kind];
            let offering = kind.offerings[shape.offering];
            let most = offering.reservation.as_ref().map(|reservation| (&*reservation.id, i64::from(reservation.free)));
            let counted = problem.pools[shape.pool].counted(shape.kind, shape.offering);
            let uses: Vec<(usize, i64)> = of_pool[shape.pool].clone().zip(counted).filter(|(_, n)| *n > 0).collect();
            if uses.iter().any(|&(limit, amount)| amount > limits[limit].left) {
                continue; // no plan can have one
            }
            let zone = zone_of(Some(&offering.zone));
            // what daemon pods request beyond what there is keeps nobody out who requests none of it
            let room: Amounts = kind.most_room.iter().map(|free| (*free).max(0)).collect();
            let cheapest = shapes.entry((holds, room, most, uses, zone)).or_insert((offering.price, shape));
            *cheapest = (*cheapest).min((offering.price, shape));
        }
        let shape = |((holds, room, most, uses, zone), (price, cheapest)): (ShapeKey, _)| Shape {
            holds,
            zone,
            room,
            price,
            cheapest,
            most: most.map(|(_, free)| free),
            uses,
        };
        let mut shapes: Vec<Shape> = shapes.into_iter().map(shape).collect();
        shapes.sort_by(|a, b| {
            let holds = |shape: &Shape| shape.holds.ones().collect::<Vec<_>>();
            let rest = |shape: &Shape| (holds(shape), shape.uses.clone(), shape.zone);
            (a.price, &a.room, a.most, rest(a)).cmp(&(b.price, &b.room, b.most, rest(b)))
        });
        let mut nodes: BTreeMap<(Vec<usize>, Option<usize>), Rooms> = BTreeMap::new();
        for (index, node) in problem.nodes.iter().enumerate() {
            let holds = reach.holds(&class_of, count, |signature| reach.on_node[signature].contains(index));
            let zone = zone_of(node.node.labels.get(labels::ZONE).map(AsRef::as_ref));
            let (rooms, of_holds) = nodes.entry((holds.ones().collect(), zone)).or_default();
            rooms.push(node.room.iter().map(|free| (*free).max(0)).collect());
            of_holds.push(index);
        }
        let nodes = nodes.into_iter().map(|((holds, zone), (rooms, nodes))| {
            let mut set = FixedBitSet::with_capacity(count);
            set.extend(holds);
            Supply { holds: set, zone, rooms, nodes }
        });
        let mut classes = Self {
            dims: problem.dims.len(),
            of_group: of_group.iter().map(|&signature| Some(class_of[signature])).collect(),
            most_on_a_node: problem.groups.iter().map(|group| most_on_a_node(problem, group)).collect(),
            merged: merged(count, of_group.iter().map(|&signature| class_of[signature])),
            spreads,
            zone_names,
            shapes,
            limits,
            nodes: nodes.collect(),
            kept: Vec::new(),
        };
        for (group, model) in problem.groups.iter().enumerate() {
            let class = class_of[of_group[group]];
            let on_shape =
                classes.shapes.iter().any(|shape| shape.holds.contains(class) && fits(&model.amounts, &shape.room));
            let on_node =
                reach.on_node[of_group[group]].ones().any(|node| fits(&model.amounts, &problem.nodes[node].room));
            if !on_shape && !on_node {
                classes.of_group[group] = None;
            }
        }
        classes
    }
}

/// Rooms of existing nodes, and their indices.
type Rooms = (Vec<Amounts>, Vec<usize>);

/// Id of a capacity reservation, and how many instances it has left.
type Reserved<'p> = (&'p str, i64);

/// What tells shapes apart: what they hold, their room, their reservation, what they use of limits, and their zone.
type ShapeKey<'p> = (FixedBitSet, Amounts, Option<Reserved<'p>>, Vec<(usize, i64)>, Option<usize>);

/// The limits of all pools, and which of them are those of each.
fn limits(problem: &Problem) -> (Vec<Limit>, Vec<Range<usize>>) {
    let mut limits: Vec<Limit> = Vec::new();
    let mut of_pool = Vec::with_capacity(problem.pools.len());
    for (pool, model) in problem.pools.iter().enumerate() {
        let first = limits.len();
        let of = model.limits().into_iter().enumerate();
        limits.extend(of.map(|(index, limit)| Limit { pool, index, name: limit.name, left: limit.left.max(0) }));
        of_pool.push(first..limits.len());
    }
    (limits, of_pool)
}

/// Which shapes and nodes each signature reaches.
struct Reach {
    shapes: Vec<OfferingIndex>,
    on_shape: Vec<FixedBitSet>,
    on_node: Vec<FixedBitSet>,
}

impl Reach {
    fn of(problem: &Problem, sets: &mut RequirementSets, signatures: &[Signature]) -> Self {
        let mut shapes = Vec::new();
        for (pool, model) in problem.pools.iter().enumerate() {
            shapes.extend(model.sold().map(|(kind, offering)| OfferingIndex { pool, kind, offering }));
        }
        let bases: Vec<SetId> = problem.pools.iter().map(|pool| sets.intern(pool.requirements.clone())).collect();
        let mut on_shape = Vec::with_capacity(signatures.len());
        let mut on_node = Vec::with_capacity(signatures.len());
        for (alternatives, pools, nodes) in signatures {
            let mut reached = FixedBitSet::with_capacity(shapes.len());
            for &alternative in alternatives {
                let met: Vec<Option<SetId>> =
                    (0..pools.len()).map(|pool| sets.meet(bases[pool], alternative).filter(|_| pools[pool])).collect();
                for (index, shape) in shapes.iter().enumerate() {
                    let Some(set) = met[shape.pool] else { continue };
                    if reached.contains(index) || !sets.types(problem, shape.pool, set).contains(shape.kind) {
                        continue;
                    }
                    let offering = problem.pools[shape.pool].types[shape.kind].offerings[shape.offering];
                    reached.set(index, offering.satisfies(sets.get(set)));
                }
            }
            on_shape.push(reached);
            let mut reached = FixedBitSet::with_capacity(problem.nodes.len());
            for (index, node) in problem.nodes.iter().enumerate().filter(|(index, _)| nodes[*index]) {
                let labels = &node.labels;
                reached.set(
                    index,
                    alternatives.iter().any(|&set| labels.compatible(sets.get(set), Undefined::Refuse).is_ok()),
                );
            }
            on_node.push(reached);
        }
        Self { shapes, on_shape, on_node }
    }

    /// By signature: its class. Signatures that reach the same shapes and nodes are one class.
    fn classes(&self) -> Vec<usize> {
        let mut same: HashMap<(&FixedBitSet, &FixedBitSet), usize> = HashMap::new();
        let reached = self.on_shape.iter().zip(&self.on_node);
        let class = |reached| {
            let next = same.len();
            *same.entry(reached).or_insert(next)
        };
        reached.map(class).collect()
    }

    fn holds(&self, class_of: &[usize], count: usize, reaches: impl Fn(usize) -> bool) -> FixedBitSet {
        let mut holds = FixedBitSet::with_capacity(count);
        holds.extend((0..self.on_shape.len()).filter(|&signature| reaches(signature)).map(|s| class_of[s]));
        holds
    }
}

/// By class: its number among at most [`MOST_MERGED`]; those with the fewest groups share the last one.
fn merged(count: usize, of_groups: impl Iterator<Item = usize>) -> Vec<usize> {
    if count <= MOST_MERGED {
        return (0..count).collect();
    }
    let mut groups = vec![0_usize; count];
    of_groups.for_each(|class| groups[class] += 1);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&class| (std::cmp::Reverse(groups[class]), class));
    let mut merged = vec![MOST_MERGED - 1; count];
    for (rank, &class) in order.iter().enumerate().take(MOST_MERGED - 1) {
        merged[class] = rank;
    }
    merged
}

/// One where two of the group's pods can never share a node: host ports, anti-affinity to its own kind over hosts; few where
/// it is spread over hosts.
fn most_on_a_node(problem: &Problem, group: &Group) -> u32 {
    let spec = group.spec();
    let over_hosts = group
        .carried
        .iter()
        .filter(|placement| placement.self_selects && problem.topologies[placement.topology].key == Keys::HOST);
    let caps = over_hosts.filter_map(|placement: &Placement| match placement.source {
        Source::AntiAffinity(_) => Some(1),
        // a host that lacks a daemon pod which all others have may take so many more
        Source::Spread(_) if problem.topologies[placement.topology].selects_daemons => None,
        Source::Spread(index) if placement.source.is_required(spec) => Some(spec.topology_spread[index].max_skew),
        _ => None,
    });
    caps.chain((!spec.host_ports.is_empty()).then_some(1)).min().unwrap_or(u32::MAX)
}

fn signature(problem: &Problem, sets: &mut RequirementSets, spec: &crate::observe::snapshot::PodSpec) -> Signature {
    let mut alternatives: Vec<SetId> = affinity_alternatives(spec)
        .iter()
        .flat_map(|node| volume_alternatives(spec, node))
        .map(|set| sets.intern(set))
        .collect();
    alternatives.sort_unstable();
    alternatives.dedup();
    let pools = problem.pools.iter().map(|pool| admits(spec, &pool.pool.taints, SoftTaints::Ignore)).collect();
    let nodes = problem.nodes.iter().map(|node| admits(spec, &node.node.taints, SoftTaints::Ignore)).collect();
    (alternatives, pools, nodes)
}
