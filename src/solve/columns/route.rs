//! Many kinds of pods: a small linear program says which of them go to which kinds of bins.
//!
//! To a linear program, pods that may go to the same bins are alike when their sizes have about the same proportions, and so
//! are bins of one class whose rooms have: it is small however many kinds of pods there are. What it sends to a kind of bin is
//! packed into whole bins; the full ones are kept, the rest is routed again, and what remains in the end is a small question of
//! its own. (Relax and fix.)

mod program;

use std::collections::BTreeMap;

use program::{Kind, Routes, counting};

use super::instance::{Bin, Duals, Instance, Packing, Pattern};
use super::parts::{Part, demands_of};
use super::round::{Left, one_by_one, same_for_all_bins};
use super::{Best, MANY_ITEMS, News, Pace, Task, TimeLeft, resource_values};
use crate::solve::lp::{self, Optimal};

/// A bin is full when so much of its room is used, by what the room is worth.
const FULL: f64 = 0.95;
/// Times that pods are routed before the rest is a question of its own; at least so much must be packed each time to go on.
const ROUNDS: usize = 6;
const LEAST_PROGRESS: f64 = 0.02;
/// The rest gets this share of the time.
const SHARE_OF_REST: f64 = 0.25;

/// Offers packings of everything, and tells what things are worth by the first program. Whether there was one.
pub fn routed(task: &Task, time: TimeLeft, best: &mut Best) -> bool {
    let Task { instance, stop, .. } = *task;
    let dims = counting(task);
    let mut left = Left { demands: instance.demands(), rows: instance.capacities() };
    let mut packed = Packing::new();
    let mut worth = None;
    for _ in 0..ROUNDS {
        let pods = pods(&left.demands);
        if stop() || pods == 0 {
            break;
        }
        let routes = Routes::of(task, &left, &dims);
        let Some(optimal) = lp::optimal(&routes.program) else { break };
        let _ = worth.get_or_insert_with(|| routes.worth(instance, &optimal));
        routes.pack(instance, &optimal, &mut left, &mut packed);
        let rest = self::pods(&left.demands);
        if (pods - rest) as f64 <= pods as f64 * LEAST_PROGRESS {
            break;
        }
    }
    if packed.is_empty() || stop() {
        return false;
    }
    let (values, _) = resource_values(instance);
    let duals = Duals { items: values, rows: vec![0.0; instance.rows.len()] };
    let weights = same_for_all_bins(instance, task.weights);
    let rest = one_by_one(instance, &left.demands, &duals, &weights, &left.rows, stop);
    if stop() {
        return false;
    }
    let whole = |rest: Packing| packed.iter().cloned().chain(rest).collect::<Packing>();
    best.offer(&whole(rest.clone()));
    // after the packing: a bound is of plans that leave the same pods, and the one before may have left some
    if let Some(worth) = worth {
        (best.sink)(News::Values(&worth));
    }
    if let Some(better) = better_rest(task, &left, &rest, time) {
        best.offer(&whole(better));
    }
    true
}

fn pods(demands: &[u32]) -> u64 {
    demands.iter().map(|of| u64::from(*of)).sum()
}

/// What is left is a small question of its own, if it is small.
fn better_rest(task: &Task, left: &Left, packed: &Packing, time: TimeLeft) -> Option<Packing> {
    let Task { instance, weights, work, .. } = *task;
    let demands = demands_of(packed);
    if demands.is_empty() || demands.len() > MANY_ITEMS {
        return None;
    }
    let from = time();
    let share = || ((time() - from * (1.0 - SHARE_OF_REST)) / (from * SHARE_OF_REST).max(f64::EPSILON)).clamp(0.0, 1.0);
    let all = || 1.0;
    let share: TimeLeft = if work.pace == Pace::Work { &all } else { &share };
    Part::of(instance, &demands, &left.rows).improved(packed, weights, work, share, None)
}

impl Routes<'_> {
    /// Packs what is sent to each kind into its bins, as far as they become full: first into those that are there.
    fn pack(&self, instance: &Instance, optimal: &Optimal, left: &mut Left, packed: &mut Packing) {
        let mut order: Vec<&Kind> = self.kinds.iter().collect();
        order.sort_by_key(|kind| kind.bought.is_some());
        for kind in order {
            let mut sent = self.sent(kind, optimal, left);
            let weights = self.weights(instance, kind, optimal);
            let worth = |amounts: &[i64]| -> f64 {
                self.dims.iter().map(|dim| amounts[*dim].max(0) as f64 * weights[*dim]).sum()
            };
            for &index in &kind.bins {
                let bin = &instance.classes[kind.class].bins[index];
                while left.times(bin) > 0 && !sent.is_empty() {
                    let (counts, room) = self.filled(instance, bin, &sent);
                    let unused = worth(&room);
                    if counts.is_empty() || unused > worth(&bin.room) * (1.0 - FULL) {
                        break;
                    }
                    for (item, n) in &counts {
                        if let Some(of) = sent.get_mut(item) {
                            *of -= n;
                        }
                    }
                    sent.retain(|_, pods| *pods > 0);
                    let pattern = Pattern { class: kind.class, bin: index, counts: counts.into_iter().collect() };
                    left.take(instance, &pattern, 1, packed);
                }
            }
        }
    }

    /// How many pods of each item go to the kind: of those that are alike the same part of each, rounded so that the sum is.
    fn sent(&self, kind: &Kind, optimal: &Optimal, left: &Left) -> BTreeMap<usize, u32> {
        let mut sent = BTreeMap::new();
        for &(a, column) in &kind.sent {
            let part = optimal.values[column];
            let mut owed = 0.0;
            for &item in self.alike[a].items.iter().filter(|_| part > 1e-9) {
                owed += f64::from(self.demands[item]) * part;
                let pods = (owed.round().max(0.0) as u32).min(left.demands[item]);
                owed -= f64::from(pods);
                if pods > 0 {
                    sent.insert(item, pods);
                }
            }
        }
        sent
    }

    /// Fills a bin evenly: each time with the largest pod whose proportions are those of the room that is left. Returns counts
    /// and what is left of the room.
    fn filled(&self, instance: &Instance, bin: &Bin, sent: &BTreeMap<usize, u32>) -> (BTreeMap<usize, u32>, Vec<i64>) {
        let mut room = bin.room.clone();
        let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
        let mut open: Vec<usize> = sent.keys().copied().collect();
        loop {
            open.retain(|item| {
                let (of, count) = (&instance.items[*item], counts.get(item).copied().unwrap_or(0));
                count < sent[item].min(of.most) && of.size.iter().zip(&room).all(|(size, room)| size <= room)
            });
            let score = |item: &usize| {
                let parts =
                    self.dims.iter().map(|&dim| instance.items[*item].size[dim] as f64 / room[dim].max(1) as f64);
                let (least, most) =
                    parts.fold((f64::INFINITY, 0.0_f64), |(least, most), part| (least.min(part), most.max(part)));
                2.0 * least - most
            };
            let Some(best) = open.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)).then(b.cmp(a))) else {
                return (counts, room);
            };
            for (room, size) in room.iter_mut().zip(&instance.items[best].size) {
                *room -= size;
            }
            *counts.entry(best).or_insert(0) += 1;
        }
    }
}
