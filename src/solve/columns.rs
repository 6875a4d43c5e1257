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
use instance::{Instance, Packing};

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

/// What every part of the search needs to know.
struct Task<'t> {
    instance: &'t Instance,
    /// Prices of room by class and dimension.
    weights: &'t [Vec<f64>],
    work: Work,
    stop: &'t dyn Fn() -> bool,
}

/// Bins that cover every demand, the best that was found until `stop`; `sink` gets each improvement.
pub fn solve(instance: &Instance, work: Work, stop: &dyn Fn() -> bool, sink: &mut dyn FnMut(&Packing)) {
    let weights: Vec<Vec<f64>> = (0..instance.classes.len()).map(|class| resource_prices(instance, class)).collect();
    let values = round::resource_values(instance, &weights);
    let first = round::one_by_one(instance, &instance.demands(), &values, &weights, stop);
    let mut best = cost(instance, &first);
    sink(&first);
    if stop() {
        return;
    }
    let start = first.iter().map(|(pattern, _)| pattern.clone()).collect();
    let demands = instance.demands();
    let task = Task { instance, weights: &weights, work, stop };
    let Some(generated) = generate(&task, &demands, start, work.rounds) else { return };
    let duals = &generated.optimum.duals;
    let quick = Task { work: Work { search_steps: 0, ..work }, ..task };
    let dived = round::dive(&quick, &generated.columns, duals);
    for other in [dived, round::one_by_one(instance, &demands, duals, &weights, stop)] {
        let of_other = cost(instance, &other);
        if of_other < best {
            best = of_other;
            sink(&other);
        }
    }
}

/// Micro-dollars an hour.
fn cost(instance: &Instance, packed: &Packing) -> i64 {
    packed.iter().map(|(pattern, times)| instance.cost(pattern) * i64::from(*times)).sum()
}
