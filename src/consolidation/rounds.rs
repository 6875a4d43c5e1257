//! What each pod that moves has to win besides, round after round: what wins most for the least goes first, and whoever stops in between
//! has moved few pods.

use std::time::Duration;

use super::search::{Search, Sets, cost};
use crate::units::MicroUsd;

/// Of what it was in the round before, or of what some pod can win at most, in percent.
const STEP: i64 = 80;

/// Less than this part of what the cluster costs for each of its pods is as good as nothing.
const LEAST: i64 = 20;

impl Search<'_> {
    /// What wins most for each pod that moves, round after round: single nodes, as large sets and programs over the whole cluster take
    /// the time of many rounds, and move everything at once.
    pub fn rounds(&mut self) {
        let of_a_pod = self.won(cost(self.start), self.current.pods.len());
        let mut last = None;
        while let Some(hurdle) = next_hurdle(last, self.most_won(), of_a_pod).filter(|_| !self.effort.is_over()) {
            self.hurdle = hurdle;
            if hurdle == MicroUsd::ZERO {
                self.least.clear();
            }
            while !self.effort.is_over() && self.pass(Sets::Singles) {}
            last = Some(hurdle);
        }
        // what single nodes cannot, a few together may: they move few pods, too
        while !self.effort.is_over() && self.pass(Sets::Neighbours) {}
    }

    /// What each of so many pods wins where nodes of this hourly price go, and nothing comes for them.
    fn won(&self, price: MicroUsd, pods: usize) -> MicroUsd {
        let pods = i64::try_from(pods).unwrap_or(i64::MAX).max(1);
        MicroUsd(self.manner.policy.net(price, MicroUsd::ZERO, Duration::MAX).0 / pods)
    }

    /// The most of any candidate: a set of them wins no more.
    fn most_won(&mut self) -> MicroUsd {
        let all = self.underutilized();
        all.iter().map(|of| self.won(of.price.unwrap_or_default(), of.pods.len())).max().unwrap_or_default()
    }
}

/// In each round, once: the one after `before`. `most`: what each pod of some node wins if the node goes and nothing comes for it;
/// `of_a_pod`: what the cluster costs for each pod. `None`: there is none after the last, in which it is nothing.
fn next_hurdle(before: Option<MicroUsd>, most: MicroUsd, of_a_pod: MicroUsd) -> Option<MicroUsd> {
    if before == Some(MicroUsd::ZERO) {
        return None;
    }
    let next = before.map_or(most, |before| before.min(most)).saturating_mul(STEP).0 / 100;
    Some(MicroUsd(if next * LEAST < of_a_pod.0 { 0 } else { next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_begin_where_something_can_be_won_leave_out_those_in_which_nothing_can_and_end_with_nothing() {
        let mut most = [1_000, 1_000, 300, 300].into_iter();
        let (mut rounds, mut last) = (Vec::new(), None);
        while let Some(next) = next_hurdle(last, MicroUsd(most.next().unwrap_or(0)), MicroUsd(1_000)) {
            rounds.push(next.0);
            last = Some(next);
        }
        assert_eq!(rounds, [800, 640, 240, 192, 0]);
    }
}
