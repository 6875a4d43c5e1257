//! The order in which pods are tried.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use crate::model::Problem;

/// Which pods are tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The largest.
    Karpenter,
    /// Those of the highest priority, among them the largest: for when not all pods can be placed.
    PriorityFirst,
    /// Those of the highest priority, among them the smallest: where room is short, many small ones for a large one.
    SmallestFirst,
}

/// Pods by cpu descending, memory descending, creation time, uid; a pod that fails goes to the back, and the queue ends
/// when the head was last pushed at the same length: a full cycle without progress (karpenter-core 3). By priority, those that
/// mind the daemon pods of new nodes come after the others of theirs, when it is known what those open.
pub struct Queue {
    /// (group, pod).
    waiting: VecDeque<(usize, usize)>,
    pushed_at: HashMap<usize, usize>,
    unplaced: Vec<usize>,
}

impl Queue {
    pub fn new(problem: &Problem, order: Order) -> Self {
        let pods = &problem.snapshot.pods;
        let mut waiting: Vec<(usize, usize)> = Vec::new();
        for (group, members) in problem.groups.iter().enumerate() {
            waiting.extend(members.pods.iter().map(|&pod| (group, pod)));
        }
        waiting.sort_by(|&(a_group, a), &(b_group, b)| {
            let (a_of, b_of) = (problem.groups[a_group].spec(), problem.groups[b_group].spec());
            let minds = |group: usize| problem.groups[group].minds_daemons;
            let rank = match order {
                Order::Karpenter => Ordering::Equal,
                Order::PriorityFirst | Order::SmallestFirst => {
                    b_of.priority.cmp(&a_of.priority).then(minds(a_group).cmp(&minds(b_group)))
                }
            };
            let size = problem.groups[a_group].queue_key().cmp(&problem.groups[b_group].queue_key());
            rank.then(if order == Order::SmallestFirst { size.reverse() } else { size })
                .then_with(|| pods[a].created_at.cmp(&pods[b].created_at))
                .then_with(|| pods[a].uid.cmp(&pods[b].uid))
                .then(a.cmp(&b))
        });
        Self { waiting: waiting.into(), pushed_at: HashMap::new(), unplaced: Vec::new() }
    }

    pub fn pop(&mut self) -> Option<(usize, usize)> {
        let &(_, pod) = self.waiting.front()?;
        if self.pushed_at.get(&pod) == Some(&self.waiting.len()) {
            return None;
        }
        self.waiting.pop_front()
    }

    pub fn push_back(&mut self, group: usize, pod: usize) {
        self.waiting.push_back((group, pod));
        self.pushed_at.insert(pod, self.waiting.len());
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// One more cycle over what waits.
    pub fn start_over(&mut self) {
        self.pushed_at.clear();
    }

    /// A popped pod that is not tried any more.
    pub fn unplaced(&mut self, pod: usize) {
        self.unplaced.push(pod);
    }

    pub fn into_unplaced(mut self) -> Vec<usize> {
        self.unplaced.extend(self.waiting.into_iter().map(|(_, pod)| pod));
        self.unplaced.sort_unstable();
        self.unplaced
    }
}
