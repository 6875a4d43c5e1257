//! The order in which pods are tried.

use std::cmp::Reverse;
use std::collections::VecDeque;

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
    /// By pod: the length after it was last pushed; 0 where it was not.
    pushed_at: Vec<usize>,
    unplaced: Vec<usize>,
}

impl Queue {
    pub fn new(problem: &Problem, order: Order) -> Self {
        let pods = &problem.snapshot.pods;
        let rank = |group: usize| {
            let of = &problem.groups[group];
            let by_priority = order != Order::Karpenter;
            let (cpu, memory) = of.queue_key();
            let size = if order == Order::SmallestFirst { (-cpu, -memory) } else { (cpu, memory) };
            (by_priority.then(|| (Reverse(of.spec().priority), of.minds_daemons)), size)
        };
        let mut groups: Vec<_> = (0..problem.groups.len()).map(|group| (rank(group), group)).collect();
        groups.sort_unstable();
        let mut waiting: Vec<(usize, usize)> = Vec::new();
        for equals in groups.chunk_by(|(one, _), (other, _)| one == other) {
            let first = waiting.len();
            for &(_, group) in equals {
                waiting.extend(problem.groups[group].pods.iter().map(|&pod| (group, pod)));
            }
            let age = |pod: usize| (pods[pod].created_at, &pods[pod].uid, pod);
            waiting[first..].sort_by(|(_, a), (_, b)| age(*a).cmp(&age(*b)));
        }
        Self { waiting: waiting.into(), pushed_at: vec![0; pods.len()], unplaced: Vec::new() }
    }

    pub fn pop(&mut self) -> Option<(usize, usize)> {
        let &(_, pod) = self.waiting.front()?;
        if self.pushed_at[pod] == self.waiting.len() {
            return None;
        }
        self.waiting.pop_front()
    }

    /// How many of those that come next are of the group, as far as so many.
    pub fn next_of(&self, group: usize, most: usize) -> usize {
        self.waiting.iter().take(most).take_while(|(next, _)| *next == group).count()
    }

    /// Takes so many out that come next, after one that was placed: the queue does not end before them.
    pub fn take(&mut self, pods: usize) -> impl Iterator<Item = usize> + '_ {
        self.waiting.drain(..pods).map(|(_, pod)| pod)
    }

    pub fn push_back(&mut self, group: usize, pod: usize) {
        self.waiting.push_back((group, pod));
        self.pushed_at[pod] = self.waiting.len();
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// One more cycle over what waits.
    pub fn start_over(&mut self) {
        self.pushed_at.fill(0);
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
