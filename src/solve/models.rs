//! The models of a decision as programs, with what their rows and columns mean in terms of the cluster.

mod columns;
mod meaning;
mod resources;

pub use meaning::{ColumnMeaning, FORMAT, Meaning, Models, OfferingOf, PodsOf, RowMeaning, Stored, Unit};

pub use super::lp::{Minimum, ModelFile, write};

use super::bound::Bounds;
use super::integer::Searched;
use super::program::Program;
use crate::model::Problem;

/// A model of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// As its file in `models/` is called.
    pub name: &'static str,
    pub program: Program,
    pub meaning: Meaning,
}

/// The models of a decision that leaves these pods (indices into `Snapshot::pods`, ascending): the resource LP, unless
/// nothing can be bought for anything, and the columns where the integer program came to some.
#[must_use]
pub fn of(problem: &Problem, unplaced: &[usize], searched: Option<&Searched>) -> Vec<Model> {
    let bounds = Bounds::new(problem);
    let resources = resources::model(problem, &bounds, unplaced);
    resources.into_iter().chain(searched.map(|searched| columns::model(problem, searched))).collect()
}

#[cfg(test)]
mod tests;
