//! The first level: fewer pods left, before anything is made cheaper.

use std::time::Duration;

use super::{Best, SEARCHED};
use crate::plan::Stage;
use crate::solve::greedy::{self, Order, Worked};
use crate::solve::least_left::{self, AtStake, News};
use crate::solve::{Pace, Solution, TimeLeft, Work, bound};

/// Of the time left, what a priority gets of which pods are left; of the rounds, one in so many.
const LEVEL_SHARE: f64 = 0.25;
const LEVEL_ROUNDS: usize = 4;
/// Where less of the time is left after the first answer, what follows places pods that are left as it can.
const ENOUGH: f64 = 0.8;
/// What is kept for the levels below.
const FOR_COST: f64 = 0.4;
/// With more groups than this packings take too long for two searches.
const MOST_GROUPS: usize = 600;

impl<'b> Best<'b, '_> {
    /// Where more pods are left than every plan leaves: other orders of the greedy, then the first level of the master, one
    /// priority after another. What is better takes the place of the solution.
    pub fn leave_fewer<'p>(
        &mut self,
        solution: &mut Solution,
        worked: &mut Worked<'p>,
        work: Work,
        (time, all_time): (TimeLeft, Duration),
    ) where
        'b: 'p,
    {
        let all = || if time() > 0.0 { 1.0 } else { 0.0 };
        let time: TimeLeft = if work.pace == Pace::Work { &all } else { time };
        if self.incumbent.priorities().len() > 1 {
            self.pack_in_order(Order::PriorityFirst, solution, worked, time);
        }
        if self.problem.groups.len() > MOST_GROUPS || self.in_question().is_empty() {
            return;
        }
        if time() <= ENOUGH {
            self.is_cut = true;
            return;
        }
        self.pack_in_order(Order::SmallestFirst, solution, worked, time);
        for priority in self.in_question() {
            let from = time();
            if from <= FOR_COST {
                self.is_cut = true;
                return;
            }
            let share = || match work.pace {
                Pace::Work => time(),
                Pace::Time => 1.0 - (from - time()) / (from * LEVEL_SHARE),
            };
            let share_time = all_time.mul_f64(from * LEVEL_SHARE);
            self.leave_fewer_of(priority, solution, worked, work, (&share, share_time));
            self.is_cut |= share() <= 0.0;
        }
    }

    /// The priorities of which it is not proven that every plan leaves as many, highest first.
    fn in_question(&self) -> Vec<i32> {
        let left = self.incumbent.decision.certificate.left.iter();
        left.filter(|left| left.pods > left.at_least).map(|left| left.priority).collect()
    }

    fn pack_in_order<'p>(&mut self, order: Order, solution: &mut Solution, worked: &mut Worked<'p>, time: TimeLeft)
    where
        'b: 'p,
    {
        let stop = || time() <= 0.0;
        if self.in_question().is_empty() || stop() {
            return;
        }
        let (other, learned) = greedy::work(self.problem, order, &stop);
        if !other.stopped && self.offer(&other, Stage::PriorityGreedy, None) {
            (*solution, *worked) = (other, learned);
        }
    }

    fn leave_fewer_of<'p>(
        &mut self,
        priority: i32,
        solution: &mut Solution,
        worked: &mut Worked<'p>,
        work: Work,
        time: (TimeLeft, Duration),
    ) where
        'b: 'p,
    {
        let (problem, bounds) = (self.problem, self.bounds);
        let known = self.incumbent.decision.certificate.objective;
        let at_stake = AtStake { priority, known, is_hopeless: &|group| bounds.is_hopeless(group) };
        let limits = bound::Limits { searched: SEARCHED, cells: work.cells, steps: work.search_steps };
        let work = Work { rounds: work.rounds / LEVEL_ROUNDS, ..work };
        let mut better = None;
        let mut tell = |news: News| match news {
            News::Packing(carry_out, steps) => {
                let other = self.reserve.packing(carry_out);
                if self.offer(&other, Stage::Columns, None) {
                    better = Some((other, steps.to_vec()));
                }
            }
            News::Values(values) => {
                let left = self.incumbent.left();
                self.incumbent.state_left(bounds.least_left(&left, priority, Some(&values), limits));
            }
        };
        least_left::search(problem, (solution, worked), at_stake, work, time, &mut tell);
        if let Some((other, steps)) = better {
            *solution = other;
            worked.steps = steps;
        }
    }
}
