//! Karpenter's own packing: the fallback, the incumbent, and the honest comparison.
//!
//! Source: karpenter-core 3 (`pkg/controllers/provisioning/scheduling`): first fit in a fixed queue order; existing
//! nodes by name, then open nodes by pod count, then a new node of the heaviest pool; a new node keeps every type that
//! still fits. Where Karpenter's choice depends on chance (map order, unstable sort) ours follows a written rule: the
//! cheapest domain, first in name order, earliest opened. Three deliberate differences, all needed for a plan that is right in one go:
//! a new node whose pods are counted by a required topology rule is fixed to one domain at once, where Karpenter leaves
//! it open (and then blocks every zone for zonal anti-affinity); the hourly spend cap; and what [`passes`] does about
//! limits, which Karpenter resolves over several loops of its controller.

mod claims;
pub mod guide;
mod market;
mod nodes;
mod open;
mod passes;
mod queue;
mod runs;
mod topology;
mod variant;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use crate::model::{Amounts, Problem, RemainingLimits};
use crate::solve::purchase::Book;
use crate::solve::sets::{RequirementSets, SetId};
use crate::solve::{NewNode, Place, Solution};

use claims::Claims;
use guide::Guide;
pub use market::{keep_within_limits, most_counted};
use nodes::ExistingNode;
use open::{OpenNode, Opened};
use passes::Pass;
pub use queue::Order;
use queue::Queue;
use topology::{Counts, DaemonCounts};
pub(super) use variant::Variants;

/// How often pods are packed of which some mind the daemon pods of new nodes: those that are placed first do not know what
/// nodes come after them. The second packing knows what the first one opened; one more for nodes that it opens elsewhere.
const ATTEMPTS: usize = 3;

/// Packs every group's pods in karpenter's order; stops early when `stop` says so, with what was placed until then.
#[must_use]
pub fn solve(problem: &Problem, stop: &dyn Fn() -> bool) -> Solution {
    work(problem, Order::Karpenter, stop).0
}

/// What a solver that builds on the greedy's answer learns from it.
#[derive(Debug)]
pub struct Worked<'p> {
    /// By group: how many relaxation steps its pods needed at most.
    pub steps: Vec<usize>,
    memory: RefCell<Memory<'p>>,
}

/// What every run over one Problem finds alike: requirement sets, and what pools sell under them.
#[derive(Debug, Default)]
struct Memory<'p> {
    sets: RequirementSets,
    books: HashMap<(usize, SetId), Rc<Book<'p>>>,
    bought: Bought,
    fitting: Fitting,
}

/// By group, pool and requirements: those of an empty node that holds one of its pods, with its types; `None` where there are none.
type Fitting = HashMap<(usize, usize, SetId), Option<(SetId, FixedBitSet)>>;

/// By pool, requirements and types of a node: what it would count towards the limits of its pool; `None` where it cannot be
/// bought.
type Bought = HashMap<(usize, SetId, FixedBitSet), Option<Amounts>>;

/// As [`solve`], in this order, with what was learned.
#[must_use]
pub fn work<'p>(problem: &'p Problem, order: Order, stop: &dyn Fn() -> bool) -> (Solution, Worked<'p>) {
    let mut memory = Memory::default();
    let Packed { solution, steps, .. } = work_with(problem, order, &mut memory, stop);
    (solution, Worked { steps, memory: RefCell::new(memory) })
}

/// Puts the pods where the guide says, as far as the rules allow it, and the others where the greedy would; `worked`: what an
/// earlier run over the same Problem found. Pods that mind daemon pods are none of the guide's, and come last.
#[must_use]
pub fn guided<'p>(problem: &'p Problem, guide: Guide, worked: &Worked<'p>, stop: &dyn Fn() -> bool) -> Solution {
    let greedy = Greedy { guide, ..Greedy::new(problem, DaemonCounts::new()) };
    run(greedy, Order::PriorityFirst, &mut worked.memory.borrow_mut(), stop).solution
}

/// What came of one packing.
struct Packed {
    solution: Solution,
    /// By group: how many relaxation steps its pods needed at most.
    steps: Vec<usize>,
    /// What the daemon pods of its nodes count for.
    brought: DaemonCounts,
}

/// Packs once, and again where daemon pods of nodes that were opened later count for pods that were placed before. A packing
/// that is stopped does not replace one that was not.
fn work_with<'p>(problem: &'p Problem, order: Order, memory: &mut Memory<'p>, stop: &dyn Fn() -> bool) -> Packed {
    let minds_daemons = problem.groups.iter().any(|group| group.minds_daemons);
    let mut advance = DaemonCounts::new();
    let mut packed = run(Greedy::new(problem, DaemonCounts::new()), order, memory, stop);
    for _ in 1..if minds_daemons { ATTEMPTS } else { 1 } {
        let is_known = |(of, pods): (&_, &u32)| advance.get(of).is_some_and(|known| known >= pods);
        if packed.solution.stopped || packed.brought.iter().all(is_known) {
            break;
        }
        for (of, pods) in &packed.brought {
            let known = advance.entry(*of).or_default();
            *known = (*pods).max(*known);
        }
        let next = run(Greedy::new(problem, advance.clone()), order, memory, stop);
        if next.solution.stopped {
            break;
        }
        packed = next;
    }
    packed
}

fn run<'p>(greedy: Greedy<'p, '_>, order: Order, memory: &mut Memory<'p>, stop: &dyn Fn() -> bool) -> Packed {
    let Memory { sets, books, bought, fitting } = std::mem::take(memory);
    let mut greedy = Greedy { sets, books, bought, fitting, ..greedy };
    let mut queue = Queue::new(greedy.problem, order);
    let stopped = greedy.run(&mut queue, stop);
    let solution = Solution { stopped, ..greedy.solution(queue) };
    let Greedy { sets, books, bought, fitting, steps, counts, .. } = greedy;
    *memory = Memory { sets, books, bought, fitting };
    Packed { solution, steps, brought: counts.brought }
}

struct Greedy<'p, 's> {
    problem: &'p Problem<'s>,
    sets: RequirementSets,
    variants: Variants,
    existing: Vec<ExistingNode>,
    open: Vec<OpenNode>,
    counts: Counts,
    remaining: Vec<RemainingLimits>,
    claims: Claims,
    /// Instances of each capacity reservation that are kept for open nodes.
    reserved: BTreeMap<Arc<str>, u32>,
    pass: Pass,
    guide: Guide,
    /// By group: how many relaxation steps its pods needed at most.
    steps: Vec<usize>,
    /// Some pod waits for the second pass.
    waits: bool,
    /// What pools sell under requirements that open nodes have.
    books: HashMap<(usize, SetId), Rc<Book<'p>>>,
    bought: Bought,
    fitting: Fitting,
    placements: Vec<(usize, Place)>,
    /// The first so many are where the guide wanted them.
    placed_as_chosen: usize,
}

impl<'p, 's> Greedy<'p, 's> {
    fn new(problem: &'p Problem<'s>, advance: DaemonCounts) -> Self {
        Self {
            problem,
            variants: Variants::new(problem),
            existing: problem.nodes.iter().map(ExistingNode::new).collect(),
            open: Vec::new(),
            counts: Counts::new(problem, advance),
            remaining: problem.pools.iter().map(|pool| pool.remaining.clone()).collect(),
            claims: Claims::of(problem.snapshot),
            reserved: BTreeMap::new(),
            pass: Pass::Pessimistic,
            guide: Guide::default(),
            steps: vec![0; problem.groups.len()],
            waits: false,
            books: HashMap::new(),
            bought: Bought::new(),
            fitting: Fitting::new(),
            placements: Vec::new(),
            placed_as_chosen: 0,
            sets: RequirementSets::default(),
        }
    }

    /// Places one pod of a group, relaxing its preferences one step at a time (karpenter-core 2.6).
    fn place(&mut self, group: usize) -> Option<Place> {
        let spec = self.problem.groups[group].spec();
        if !self.claims.admit(spec) {
            return None;
        }
        let mut step = 0;
        loop {
            let variant = self.variants.at(self.problem, &mut self.sets, group, step)?;
            let needs = self.counts.needs(self.problem, &self.variants, variant);
            let found = self.place_on_existing(variant, &needs).or_else(|| self.place_on_open(variant, &needs));
            let opened = found.map_or_else(|| self.open_node(variant, &needs), Opened::Yes);
            match opened {
                Opened::Yes(place) => {
                    self.claims.take(spec);
                    self.steps[group] = self.steps[group].max(step);
                    return Some(place);
                }
                Opened::Waits => {
                    self.waits = true;
                    return None;
                }
                Opened::No => step += 1,
            }
        }
    }

    fn solution(&mut self, queue: Queue) -> Solution {
        let new_nodes = std::mem::take(&mut self.open).into_iter().map(|node| NewNode {
            pool: node.pool,
            requirements: self.sets.get(node.set).clone(),
            types: node.types,
            reservations: node.reservations,
            spend_limit: node.spend_limit,
        });
        let is_guided = !self.guide.steps.is_empty();
        Solution {
            packed_after: if is_guided { self.placements.len() - self.placed_as_chosen } else { 0 },
            new_nodes: new_nodes.collect(),
            placements: std::mem::take(&mut self.placements),
            unplaced: queue.into_unplaced(),
            stopped: false,
        }
    }
}
