//! A lower bound on cost from the resource LP, proven in integers.
//!
//! The LP prices every resource for every class of pods (`models/resource-lp.md`); its floats are only a proposal:
//! [`proof`] rounds the prices to integers and recomputes the bound over all shapes.

mod classes;
mod lp;
mod proof;

use crate::model::Problem;
use crate::units::MicroUsd;

/// No plan that the checker accepts and that leaves at most as many pods of each priority unplaced costs less, in
/// micro-dollars an hour. `unplaced` are indices into `Snapshot::pods`.
///
/// The set over which it holds is wider than what the checker accepts: topology, limits, minValues, pool weight and
/// the integrality of nodes are ignored.
#[must_use]
pub fn lower_bound(problem: &Problem, unplaced: &[usize]) -> MicroUsd {
    let classes = classes::Classes::of(problem);
    let demand = proof::Demand::of(problem, &classes, unplaced);
    let prices = lp::resource_prices(&classes, &demand);
    proof::prove(&classes, &demand, &prices)
}
