//! Two passes over the queue, so that limits stand in the way of no pod that they need not stop.
//!
//! Karpenter counts a new node towards its pool's limits with the largest type that it could still become, gives nothing
//! back within one loop of its controller, and sends a pod that finds the limits exhausted to a lighter pool; later loops
//! see what was really bought. Here the first pass is Karpenter's loop, in which a pod that only limits (or a spend cap,
//! or reservations that are taken) keep out of a heavier pool waits. The second pass counts every node with the types
//! that its launch names, and what the limits still refuse goes to lighter pools.

use super::Greedy;
use super::queue::Queue;

/// How nodes count towards the resource limits of their pools, and what becomes of a pod that limits refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// With the largest type that they could become when they were opened; the pod waits for the second pass.
    Pessimistic,
    /// With the largest type that they name; the pod goes to a lighter pool.
    AsNamed,
}

/// Which node takes a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One that the guide has chosen for it.
    AsChosen,
    /// The first that can.
    FirstFit,
}

impl Greedy<'_, '_> {
    /// Places what can be placed; returns whether it was stopped.
    pub(super) fn run(&mut self, queue: &mut Queue, stop: &dyn Fn() -> bool) -> bool {
        if !self.guide.steps.is_empty() {
            // the targets are what will be bought: a limit must not be spent on what they could become
            self.pass = Pass::AsNamed;
            let is_stopped = self.cycle(queue, stop, Way::AsChosen);
            self.placed_as_chosen = self.placements.len();
            if is_stopped {
                return true;
            }
            self.variants.forget_refusals(self.problem);
            queue.start_over();
        }
        if self.cycle(queue, stop, Way::FirstFit) {
            return true;
        }
        if queue.is_empty() || !self.waits || self.pass == Pass::AsNamed {
            return false;
        }
        self.pass = Pass::AsNamed;
        self.count_as_named();
        self.variants.forget_refusals(self.problem);
        queue.start_over();
        self.cycle(queue, stop, Way::FirstFit)
    }

    /// Tries every pod until a whole cycle places none; returns whether it was stopped.
    pub(super) fn cycle(&mut self, queue: &mut Queue, stop: &dyn Fn() -> bool, way: Way) -> bool {
        while let Some((group, pod)) = queue.pop() {
            if stop() {
                queue.unplaced(pod);
                return true;
            }
            let place = match way {
                Way::AsChosen => self.place_guided(group),
                Way::FirstFit => self.place(group),
            };
            if let Some(place) = place {
                self.placements.push((pod, place));
                let followers = queue.next_of(group, self.followers(group, place, way));
                if followers > 0 {
                    self.put_followers(group, place, followers, way);
                    self.placements.extend(queue.take(followers).map(|pod| (pod, place)));
                }
                continue;
            }
            queue.push_back(group, pod);
            // what nothing could be done for, nothing can be done for the next of
            while self.is_free(group)
                && queue.next_of(group, 1) > 0
                && let Some((_, pod)) = queue.pop()
            {
                queue.push_back(group, pod);
            }
        }
        false
    }

    /// Gives back what the open nodes of limited pools do not name. Nodes of pools without resource limits count nothing.
    fn count_as_named(&mut self) {
        for index in 0..self.open.len() {
            let node = &self.open[index];
            if let Some(counted) = self.counted_as_named(node.pool, node.set, node.wish()) {
                for ((left, old), new) in
                    self.remaining[node.pool].resources.values_mut().zip(&node.counted).zip(&counted)
                {
                    *left += old - new;
                }
                self.open[index].counted = counted;
            }
        }
    }
}
