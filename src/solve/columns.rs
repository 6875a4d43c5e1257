//! Column generation: which patterns of pods to put on which bins, and how many of each.
//!
//! The problem in numbers ([`instance`]); filling one bin ([`fill`], [`table`]); pricing all of them ([`price`]); the loop
//! with the master LP ([`generate`]); whole bins ([`round`]). Floats propose; what is called proven is integer arithmetic
//! elsewhere.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // floats are proposals

pub mod fill;
pub mod generate;
pub mod instance;
pub mod price;
pub mod round;
pub mod table;

use generate::{generate, resource_prices};
use instance::{Instance, Pattern};
use price::Effort;

/// How far the search goes, besides its wish to stop.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Rounds of column generation.
    pub rounds: usize,
    /// Rounds at each step of the dive.
    pub dive_rounds: usize,
    pub effort: Effort,
}

impl Default for Work {
    fn default() -> Self {
        Self { rounds: 400, dive_rounds: 3, effort: Effort { cells: [160, 320], nodes: 0 } }
    }
}

/// Bins that cover every demand, the best that was found until `stop`; `sink` gets each improvement.
pub fn solve(instance: &Instance, work: Work, stop: &dyn Fn() -> bool, sink: &mut dyn FnMut(&[(Pattern, u32)])) {
    let weights: Vec<Vec<f64>> = (0..instance.classes.len()).map(|class| resource_prices(instance, class)).collect();
    let values = round::resource_values(instance, &weights);
    let first = round::one_by_one(instance, &instance.demands(), &values, &weights, stop);
    let mut best = cost(instance, &first);
    sink(&first);
    if stop() {
        return;
    }
    let start = first.iter().map(|(pattern, _)| pattern.clone()).collect();
    let Some(generated) = generate(instance, &instance.demands(), start, &weights, work.rounds, work.effort, stop)
    else {
        return;
    };
    let duals = &generated.optimum.duals;
    let dived = round::dive(instance, &generated.columns, &weights, duals, work.dive_rounds, work.effort, stop);
    for other in [dived, round::one_by_one(instance, &instance.demands(), duals, &weights, stop)] {
        let of_other = cost(instance, &other);
        if of_other < best {
            best = of_other;
            sink(&other);
        }
    }
}

/// Micro-dollars an hour.
fn cost(instance: &Instance, packed: &[(Pattern, u32)]) -> i64 {
    packed.iter().map(|(pattern, times)| instance.cost(pattern) * i64::from(*times)).sum()
}
