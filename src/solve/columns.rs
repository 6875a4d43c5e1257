//! Column generation: which patterns of pods to put on which bins, and how many of each.
//!
//! The problem in numbers ([`instance`]); filling one bin ([`fill`], [`table`]); pricing all of them ([`price`]); the loop
//! with the master LP ([`generate`]); whole bins ([`round`]). Floats propose; what is called proven is integer arithmetic
//! elsewhere.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // floats are proposals

mod fill;
mod generate;
pub mod instance;
mod price;
mod round;
mod table;

use generate::{generate, resource_prices};
use instance::{Instance, Packing, Pattern};

/// How far the search goes, besides its wish to stop.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Rounds of column generation.
    pub rounds: usize,
    /// Rounds at each step of the dive.
    pub dive_rounds: usize,
    /// Cells of a pricing table by dimension (cpu, memory).
    pub cells: [usize; 2],
    /// Steps of the search for a better filling of one bin, once quick pricing finds nothing.
    pub search_steps: usize,
}

impl Default for Work {
    fn default() -> Self {
        Self { rounds: 400, dive_rounds: 3, cells: [160, 320], search_steps: 300 }
    }
}

/// Rounds of column generation before the first dive: a dive takes longer the more columns there are.
const FIRST_ROUNDS: usize = 8;

/// Of a dive, where nothing is whole: one in so many fractions is rounded up at a time.
const SLICES: [usize; 3] = [8, 24, 3];

/// What tells a search how much time is left; it has no clock of its own.
#[derive(Clone, Copy)]
pub struct Signals<'s> {
    /// No more columns: it is time to round.
    pub hurry: &'s dyn Fn() -> bool,
    pub stop: &'s dyn Fn() -> bool,
}

/// What every part of the search needs to know.
struct Task<'t> {
    instance: &'t Instance,
    /// Prices of room by class and dimension.
    weights: &'t [Vec<f64>],
    work: Work,
    stop: &'t dyn Fn() -> bool,
}

/// Bins that cover every demand, the best that was found until it is to stop; `sink` gets each improvement.
pub fn solve(instance: &Instance, work: Work, when: Signals, sink: &mut dyn FnMut(&Packing)) {
    let Signals { hurry, stop } = when;
    let weights: Vec<Vec<f64>> = (0..instance.classes.len()).map(|class| resource_prices(instance, class)).collect();
    let values = round::resource_values(instance, &weights);
    let first = round::one_by_one(instance, &instance.demands(), &values, &weights, stop);
    if stop() {
        return;
    }
    let mut best = cost(instance, &first);
    sink(&first);
    let demands = instance.demands();
    let mut columns: Vec<Pattern> = first.iter().map(|(pattern, _)| pattern.clone()).collect();
    // a few rounds and one dive first, for an answer; then as many and as thorough as the time allows
    let phases =
        [(FIRST_ROUNDS, 0, &SLICES[..1]), (work.rounds, 0, &SLICES), (work.rounds, work.search_steps, &SLICES)];
    for (rounds, search_steps, slices) in phases {
        if stop() {
            return;
        }
        let task = Task { instance, weights: &weights, work: Work { search_steps, ..work }, stop: hurry };
        let Some(generated) = generate(&task, &demands, columns, rounds.min(work.rounds)) else { return };
        let duals = &generated.optimum.duals;
        let quick = Task { work: Work { search_steps: 0, ..work }, stop, ..task };
        for &slices in slices {
            let dived = round::dive(&quick, &generated.columns, duals, slices);
            let of_dived = cost(instance, &dived);
            if of_dived < best {
                best = of_dived;
                sink(&dived);
            }
            if stop() {
                return;
            }
        }
        columns = generated.columns;
    }
}

/// Micro-dollars an hour.
fn cost(instance: &Instance, packed: &Packing) -> i64 {
    packed.iter().map(|(pattern, times)| instance.cost(pattern) * i64::from(*times)).sum()
}

#[cfg(test)]
mod tests;
