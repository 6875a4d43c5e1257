//! Classes of pods by where they may run, and shapes by which classes they may hold.

use std::collections::{BTreeMap, HashMap};

use fixedbitset::FixedBitSet;

use crate::model::{Amounts, Problem, SoftTaints, admits, affinity_alternatives, volume_alternatives};
use crate::requirements::Undefined;
use crate::solve::sets::{RequirementSets, SetId};
use crate::units::MicroUsd;

/// More classes than this are merged into one that may run wherever any of them may: the LP stays small.
const MOST_CLASSES: usize = 48;

/// Pods by where they may run; nodes and shapes by what they may hold.
pub struct Classes {
    pub dims: usize,
    /// By group: its class; `None` where no shape and no node can hold it, whatever the plan.
    pub of_group: Vec<Option<usize>>,
    pub count: usize,
    /// Every distinct (classes, room): the cheapest offering that has it.
    pub shapes: Vec<Shape>,
    /// Existing nodes joined by the classes that they may hold.
    pub nodes: Vec<Supply>,
}

/// A kind of node that can be bought.
pub struct Shape {
    /// The classes that it may hold.
    pub holds: FixedBitSet,
    pub room: Amounts,
    pub price: MicroUsd,
    /// How many can be bought at most; `None`: any number.
    pub most: Option<i64>,
}

/// Free capacity that costs nothing.
pub struct Supply {
    pub holds: FixedBitSet,
    pub room: Amounts,
}

/// What decides where a group may run: alternatives of its node requirements, and the pools and nodes that it tolerates.
type Signature = (Vec<SetId>, Vec<bool>, Vec<bool>);

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
        let merged = where_to.merged(&of_group);
        Self::assemble(problem, &where_to, &merged, &of_group)
    }

    fn assemble(problem: &Problem, reach: &Reach, merged: &[usize], of_group: &[usize]) -> Self {
        let count = merged.iter().copied().max().map_or(0, |most| most + 1);
        // each reservation is a shape of its own: what two of them hold together is not what one of them holds
        let mut shapes: HashMap<(FixedBitSet, Amounts, Option<Reserved>), MicroUsd> = HashMap::new();
        for (index, shape) in reach.shapes.iter().enumerate() {
            let holds = reach.holds(merged, count, |signature| reach.on_shape[signature].contains(index));
            let kind = &problem.pools[shape.pool].types[shape.kind];
            let offering = kind.offerings[shape.offering];
            let most = offering.reservation.as_ref().map(|reservation| (&*reservation.id, i64::from(reservation.free)));
            let price = shapes.entry((holds, kind.most_room.clone(), most)).or_insert(offering.price);
            *price = (*price).min(offering.price);
        }
        let shape = |((holds, room, most), price): ((_, _, Option<Reserved>), _)| Shape {
            holds,
            room,
            price,
            most: most.map(|(_, free)| free),
        };
        let mut shapes: Vec<Shape> = shapes.into_iter().map(shape).collect();
        shapes.sort_by(|a, b| {
            let holds = |shape: &Shape| shape.holds.ones().collect::<Vec<_>>();
            (a.price, &a.room, a.most, holds(a)).cmp(&(b.price, &b.room, b.most, holds(b)))
        });
        let mut nodes: BTreeMap<Vec<usize>, Amounts> = BTreeMap::new();
        for (index, node) in problem.nodes.iter().enumerate() {
            let holds = reach.holds(merged, count, |signature| reach.on_node[signature].contains(index));
            let room = nodes.entry(holds.ones().collect()).or_insert_with(|| problem.dims.zero());
            for (total, free) in room.iter_mut().zip(&node.room) {
                *total = total.saturating_add((*free).max(0));
            }
        }
        let nodes = nodes.into_iter().map(|(holds, room)| {
            let mut set = FixedBitSet::with_capacity(count);
            set.extend(holds);
            Supply { holds: set, room }
        });
        let mut classes = Self {
            dims: problem.dims.len(),
            of_group: of_group.iter().map(|&signature| Some(merged[signature])).collect(),
            count,
            shapes,
            nodes: nodes.collect(),
        };
        for (group, model) in problem.groups.iter().enumerate() {
            let class = merged[of_group[group]];
            let fits = |room: &Amounts| model.amounts.iter().zip(room).all(|(want, have)| *want <= 0 || want <= have);
            let on_shape = classes.shapes.iter().any(|shape| shape.holds.contains(class) && fits(&shape.room));
            let on_node = reach.on_node[of_group[group]].ones().any(|node| fits(&problem.nodes[node].room));
            if !on_shape && !on_node {
                classes.of_group[group] = None;
            }
        }
        classes
    }
}

/// Id of a capacity reservation, and how many instances it has left.
type Reserved<'p> = (&'p str, i64);

/// One offering of one type of one pool, by index.
struct ShapeIndex {
    pool: usize,
    kind: usize,
    offering: usize,
}

/// Which shapes and nodes each signature reaches.
struct Reach {
    shapes: Vec<ShapeIndex>,
    on_shape: Vec<FixedBitSet>,
    on_node: Vec<FixedBitSet>,
}

impl Reach {
    fn of(problem: &Problem, sets: &mut RequirementSets, signatures: &[Signature]) -> Self {
        let mut shapes = Vec::new();
        for (pool, model) in problem.pools.iter().enumerate() {
            for (kind, of_type) in model.types.iter().enumerate() {
                shapes.extend((0..of_type.offerings.len()).map(|offering| ShapeIndex { pool, kind, offering }));
            }
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

    /// By signature: its class. Signatures that reach the same shapes and nodes are one class; where there are too
    /// many, those with the fewest groups share the last one.
    fn merged(&self, of_group: &[usize]) -> Vec<usize> {
        let mut same: HashMap<(&FixedBitSet, &FixedBitSet), usize> = HashMap::new();
        let mut class_of: Vec<usize> = Vec::with_capacity(self.on_shape.len());
        for reached in self.on_shape.iter().zip(&self.on_node) {
            let next = same.len();
            class_of.push(*same.entry(reached).or_insert(next));
        }
        let count = same.len();
        if count <= MOST_CLASSES {
            return class_of;
        }
        let mut groups = vec![0_usize; count];
        for &signature in of_group {
            groups[class_of[signature]] += 1;
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|&class| (std::cmp::Reverse(groups[class]), class));
        let mut renumbered = vec![MOST_CLASSES - 1; count];
        for (rank, &class) in order.iter().enumerate().take(MOST_CLASSES - 1) {
            renumbered[class] = rank;
        }
        class_of.into_iter().map(|class| renumbered[class]).collect()
    }

    fn holds(&self, merged: &[usize], count: usize, reaches: impl Fn(usize) -> bool) -> FixedBitSet {
        let mut holds = FixedBitSet::with_capacity(count);
        holds.extend((0..self.on_shape.len()).filter(|&signature| reaches(signature)).map(|s| merged[s]));
        holds
    }
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
