//! The only file that names a solver.
//!
//! Models that are built once are written with good_lp; the master of the column generation grows by columns and keeps its
//! basis, which takes HiGHS itself. Everything here is single-threaded and seeded, so that equal models give equal answers.

pub use good_lp::{Expression, Solution, SolverModel, Variable, highs, variable, variables};

use ::highs::{ColProblem, HighsModelStatus, Model, Row, RowProblem, Sense};

/// The restricted master: how many of each column, at the least cost that covers every demand and stays within the limits.
pub struct Master {
    model: Option<Model>,
    demands: Vec<Row>,
    limits: Vec<Row>,
}

/// A column of the master.
pub struct Column<'c> {
    /// Dollars.
    pub cost: f64,
    /// How many it covers of each demand.
    pub covers: &'c [(usize, u32)],
    /// What part it uses of each limit.
    pub uses: &'c [(usize, f64)],
}

/// Its optimum.
#[derive(Debug, Clone)]
pub struct Optimum {
    pub cost: f64,
    /// By column, in the order in which they were added.
    pub amounts: Vec<f64>,
    /// By demand: what one more of it would cost.
    pub of_demands: Vec<f64>,
    /// By limit: what twice as much of it would save at most.
    pub of_limits: Vec<f64>,
}

impl Master {
    /// One row for each demand, with what it costs to leave one of it out, dollars, and so many limits of 1.
    pub fn new(demands: &[(u32, f64)], limits: usize) -> Self {
        let mut problem = ColProblem::default();
        let rows: Vec<Row> = demands.iter().map(|(demand, _)| problem.add_row(f64::from(*demand)..)).collect();
        let limits: Vec<Row> = (0..limits).map(|_| problem.add_row(..1.0)).collect();
        for (row, (_, cost)) in rows.iter().zip(demands) {
            problem.add_column(*cost, 0.0.., [(*row, 1.0)]);
        }
        let mut model = problem.optimise(Sense::Minimise);
        model.make_quiet();
        model.set_option("threads", 1);
        model.set_option("random_seed", 1);
        model.set_option("presolve", "off");
        model.set_option("solver", "simplex");
        Self { model: Some(model), demands: rows, limits }
    }

    pub fn add(&mut self, column: &Column) {
        let covers = column.covers.iter().map(|(row, count)| (self.demands[*row], f64::from(*count)));
        let uses = column.uses.iter().map(|(row, part)| (self.limits[*row], *part));
        self.model.as_mut().expect("a model between solves").add_col(column.cost, 0.0.., covers.chain(uses));
    }

    /// `None` where HiGHS finds no optimum: a numerical failure.
    pub fn solve(&mut self) -> Option<Optimum> {
        let solved = self.model.take()?.try_solve().ok()?;
        let optimum = (solved.status() == HighsModelStatus::Optimal).then(|| {
            let solution = solved.get_solution();
            let amounts = &solution.columns()[self.demands.len()..]; // after those that leave demand out
            let (of_demands, of_limits) = solution.dual_rows().split_at(self.demands.len());
            Optimum {
                cost: solved.objective_value(),
                amounts: amounts.to_vec(),
                of_demands: of_demands.iter().map(|dual| dual.max(0.0)).collect(),
                of_limits: of_limits.iter().map(|dual| (-dual).max(0.0)).collect(),
            }
        });
        self.model = Some(solved.into());
        optimum
    }
}

/// What room is worth in a fractional knapsack: duals by row, each row's room being 1. `rows` are sizes by row and item.
/// `None` where HiGHS finds no optimum.
pub fn knapsack_duals(values: &[f64], most: &[f64], rows: &[Vec<f64>]) -> Option<Vec<f64>> {
    let mut problem = RowProblem::default();
    let amounts: Vec<_> = values.iter().zip(most).map(|(value, most)| problem.add_column(-value, 0.0..*most)).collect();
    for sizes in rows {
        problem.add_row(..1.0, amounts.iter().copied().zip(sizes.iter().copied()));
    }
    let mut model = problem.optimise(Sense::Minimise);
    model.make_quiet();
    model.set_option("threads", 1);
    let solved = model.try_solve().ok()?;
    let is_optimal = solved.status() == HighsModelStatus::Optimal;
    is_optimal.then(|| solved.get_solution().dual_rows().iter().map(|dual| dual.abs()).collect())
}

/// The prices that are worth the most for `totals` without making any of `rows` worth more than its bound; `None` where
/// HiGHS finds no optimum. Not negative; by column.
pub fn best_prices(totals: &[f64], rows: &[(Vec<f64>, f64)]) -> Option<Vec<f64>> {
    let mut problem = RowProblem::default();
    let prices: Vec<_> = totals.iter().map(|total| problem.add_column(-total, 0.0..)).collect();
    for (factors, most) in rows {
        problem.add_row(..*most, prices.iter().copied().zip(factors.iter().copied()));
    }
    let mut model = problem.optimise(Sense::Minimise);
    model.make_quiet();
    model.set_option("threads", 1);
    let solved = model.try_solve().ok()?;
    (solved.status() == HighsModelStatus::Optimal).then(|| solved.get_solution().columns().to_vec())
}
