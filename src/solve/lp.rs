//! The only file that names a solver.
//!
//! The master of the column generation grows by columns and keeps its basis; what is built once is a [`Program`], which can
//! be written to a file and read from it. Everything here is single-threaded and seeded, so that equal models give equal
//! answers.

use std::ffi::{CString, c_char, c_int, c_void};
use std::time::Duration;

use highs::{Col, ColProblem, HighsModelStatus, HighsSolutionStatus, Model, Row, RowProblem, Sense};

use super::program::{Program, ProgramColumn, RowBound};

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

/// What a program comes to at the least.
#[derive(Debug, Clone)]
pub struct Optimal {
    /// By column.
    pub values: Vec<f64>,
    /// By row: what one more of its bound would cost; of linear programs.
    pub of_rows: Vec<f64>,
}

/// `None` where HiGHS finds no optimum.
pub fn optimal(program: &Program) -> Option<Optimal> {
    let solved = model(program).try_solve().ok()?;
    (solved.status() == HighsModelStatus::Optimal).then(|| {
        let solution = solved.get_solution();
        Optimal { values: solution.columns().to_vec(), of_rows: solution.dual_rows().to_vec() }
    })
}

/// The values of [`optimal`] alone.
pub fn minimum(program: &Program) -> Option<Vec<f64>> {
    optimal(program).map(|of| of.values)
}

/// How far an integer program is searched.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    pub nodes: i32,
    pub time: Option<Duration>,
    /// Relative; 0: until there is nothing better.
    pub gap: f64,
}

/// Better values for an integer program than `start`, which keeps its rows; `None` where none are found within the tree, or before
/// it is to stop. HiGHS asks for the latter in its simplex and between nodes; what else it does at a node ends by the time.
#[must_use]
#[allow(unsafe_code)] // the safe interface has no callbacks; what is pointed to lives until the solve is over
pub fn polish(program: &Program, start: &[f64], tree: Tree, stop: &dyn Fn() -> bool) -> Option<Vec<f64>> {
    let mut model = model(program);
    model.set_option("mip_rel_gap", tree.gap);
    model.set_option("mip_max_nodes", tree.nodes);
    if tree.gap > 0.0 {
        // what only looks for a first solution
        model.set_option("mip_heuristic_run_feasibility_jump", false);
    }
    if let Some(time) = tree.time {
        model.set_option("time_limit", time.as_secs_f64());
    }
    model.set_option("random_seed", 1);
    model.try_set_solution(Some(start), None, None, None).ok()?;
    let stop: *const &dyn Fn() -> bool = &raw const stop;
    done(unsafe { highs_sys::Highs_setCallback(model.as_mut_ptr(), Some(interrupt), stop.cast_mut().cast()) })?;
    for of in [highs_sys::kHighsCallbackSimplexInterrupt, highs_sys::kHighsCallbackMipInterrupt] {
        done(unsafe { highs_sys::Highs_startCallback(model.as_mut_ptr(), of) })?;
    }
    let solved = model.try_solve().ok()?;
    let is_found = solved.primal_solution_status() == HighsSolutionStatus::Feasible;
    let values = is_found.then(|| solved.get_solution().columns().to_vec())?;
    (program.cost(&values) < program.cost(start)).then_some(values)
}

/// Ends a solve of HiGHS when the caller of [`polish`] says so.
///
/// # Safety
/// `stop` points to a `&dyn Fn() -> bool`; `reply` to what HiGHS reads, or nowhere.
#[allow(unsafe_code)] // HiGHS calls it
unsafe extern "C" fn interrupt(
    _kind: c_int,
    _message: *const c_char,
    _state: *const highs_sys::HighsCallbackDataOut,
    reply: *mut highs_sys::HighsCallbackDataIn,
    stop: *mut c_void,
) {
    let (stop, reply) = unsafe { (stop.cast_const().cast::<&dyn Fn() -> bool>().as_ref(), reply.as_mut()) };
    if let (Some(stop), Some(reply)) = (stop, reply) {
        reply.user_interrupt = c_int::from(stop());
    }
}

fn model(program: &Program) -> Model {
    let mut problem = RowProblem::default();
    let column = |of: &ProgramColumn| problem.add_column_with_integrality(of.cost, 0.0..=of.most, of.is_integer);
    let columns: Vec<Col> = program.columns.iter().map(column).collect();
    for row in &program.rows {
        let entries = row.entries.iter().map(|&(column, factor)| (columns[column], factor));
        match row.bound {
            RowBound::AtLeast(least) => problem.add_row(least.., entries),
            RowBound::AtMost(most) => problem.add_row(..=most, entries),
        }
    }
    let mut model = problem.optimise(Sense::Minimise);
    model.make_quiet();
    model.set_option("threads", 1);
    model
}

/// Writes a program to a file, in the format that the end of its name says: `.mps` or `.lp`. Numbers have 15 digits.
///
/// HiGHS writes it: this and [`ModelFile::read`] are the only I/O of the stage, for those who ask for it.
///
/// # Errors
/// One sentence: the file cannot be written.
pub fn write(program: &Program, name: &str, path: &str) -> Result<(), String> {
    let mut model = model(program);
    let columns = program.columns.iter().map(|column| column.name.as_str());
    let rows = program.rows.iter().map(|row| row.name.as_str());
    if named(&mut model, name, columns, rows).is_some() && to_file(&mut model, path).is_some() {
        Ok(())
    } else {
        Err(format!("{path}: HiGHS failed to write the model"))
    }
}

#[allow(unsafe_code)] // the safe interface has no names; each pointer is valid during its call, and HiGHS copies the names
fn named<'n>(
    model: &mut Model,
    name: &str,
    columns: impl Iterator<Item = &'n str>,
    rows: impl Iterator<Item = &'n str>,
) -> Option<()> {
    let name = CString::new(name).ok()?;
    done(unsafe { highs_sys::Highs_passModelName(model.as_mut_ptr(), name.as_ptr()) })?;
    for (column, name) in (0..).zip(columns) {
        let name = CString::new(name).ok()?;
        done(unsafe { highs_sys::Highs_passColName(model.as_mut_ptr(), column, name.as_ptr()) })?;
    }
    for (row, name) in (0..).zip(rows) {
        let name = CString::new(name).ok()?;
        done(unsafe { highs_sys::Highs_passRowName(model.as_mut_ptr(), row, name.as_ptr()) })?;
    }
    Some(())
}

#[allow(unsafe_code)] // the safe interface writes no files; the pointers are valid during the call
fn to_file(model: &mut Model, path: &str) -> Option<()> {
    let path = CString::new(path).ok()?;
    done(unsafe { highs_sys::Highs_writeModel(model.as_mut_ptr(), path.as_ptr()) })
}

/// Whether HiGHS did what it was asked for: a warning, such as that of long names, is no failure.
fn done(status: highs_sys::HighsInt) -> Option<()> {
    (status == highs_sys::STATUS_OK || status == highs_sys::STATUS_WARNING).then_some(())
}

/// A model as a file says it.
pub struct ModelFile {
    model: Model,
    pub columns: usize,
    pub rows: usize,
    pub integers: usize,
}

/// What HiGHS makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    pub objective: f64,
    /// Nothing less is possible.
    pub bound: f64,
    /// By column.
    pub values: Vec<f64>,
}

impl ModelFile {
    /// Reads a model, in the format that the end of the file's name says.
    ///
    /// # Errors
    /// One sentence: the file cannot be read.
    #[allow(unsafe_code)] // the safe interface reads no files; the pointers are valid during their calls
    pub fn read(path: &str) -> Result<Self, String> {
        let fault = || format!("{path}: HiGHS cannot read it as a model");
        let mut model = model(&Program::default());
        let name = CString::new(path).map_err(|_| fault())?;
        done(unsafe { highs_sys::Highs_readModel(model.as_mut_ptr(), name.as_ptr()) }).ok_or_else(fault)?;
        let (columns, rows) = (model.num_cols(), model.num_rows());
        let mut integers = 0;
        for column in (0..).take(columns) {
            let mut kind = highs_sys::VAR_TYPE_CONTINUOUS;
            // fails where no column is an integer, and then says nothing of the kind
            let known = done(unsafe { highs_sys::Highs_getColIntegrality(model.as_ptr(), column, &raw mut kind) });
            integers += usize::from(known.is_some() && kind == highs_sys::VAR_TYPE_INTEGER);
        }
        Ok(Self { model, columns, rows, integers })
    }

    /// The index of a column.
    #[must_use]
    #[allow(unsafe_code)] // the safe interface knows no names; the pointers are valid during the call
    pub fn column(&self, name: &str) -> Option<usize> {
        let (name, mut column) = (CString::new(name).ok()?, -1);
        done(unsafe { highs_sys::Highs_getColByName(self.model.as_ptr(), name.as_ptr(), &raw mut column) })?;
        usize::try_from(column).ok().filter(|column| *column < self.columns)
    }

    /// What is found within the time, from a solution of which nothing has to be true; `None` where nothing is found.
    #[must_use]
    pub fn solve(mut self, start: Option<&[f64]>, time: Duration) -> Option<Minimum> {
        self.model.set_option("time_limit", time.as_secs_f64());
        self.model.set_option("mip_rel_gap", 0.0);
        if let Some(start) = start.filter(|_| self.integers > 0) {
            self.model.try_set_solution(Some(start), None, None, None).ok()?;
        }
        let solved = self.model.try_solve().ok()?;
        let is_found = if self.integers > 0 {
            solved.primal_solution_status() == HighsSolutionStatus::Feasible
        } else {
            solved.status() == HighsModelStatus::Optimal
        };
        let objective = solved.objective_value();
        let bound = if self.integers > 0 { solved.double_info_value(c"mip_dual_bound").ok()? } else { objective };
        is_found.then(|| Minimum { objective, bound, values: solved.get_solution().columns().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn column(name: String, cost: f64, most: f64, is_integer: bool) -> ProgramColumn {
        ProgramColumn { name, cost, most, is_integer }
    }

    #[test]
    fn a_better_packing_than_the_start_is_found_and_no_worse_one_is_given() {
        let mut program = Program::default();
        for (name, cost) in [("small", 3.0), ("large", 5.0)] {
            program.add_column(column(name.to_owned(), cost, f64::INFINITY, true));
        }
        program.add_row("cover".to_owned(), RowBound::AtLeast(7.0), [(0, 2.0), (1, 4.0)]);
        let polished = |start: &[f64]| polish(&program, start, Tree { nodes: 100, time: None, gap: 0.0 }, &|| false);
        assert_eq!(polished(&[4.0, 0.0]), Some(vec![0.0, 2.0]));
        assert_eq!(polished(&[0.0, 2.0]), None);
    }

    /// Subsets that come to given sums: nobody solves fifty of them in a lifetime of this test.
    #[test]
    fn it_ends_when_it_is_told_to() {
        let (subsets, sums) = (50, 6);
        let mut program = Program::default();
        for subset in 0..subsets {
            program.add_column(column(format!("x_{subset}"), 0.0, 1.0, true));
        }
        let mut start = vec![0.0; subsets];
        let mut factor = 1_u32;
        for sum in 0..sums {
            let missed = program.add_column(column(format!("s_{sum}"), 1.0, f64::INFINITY, false));
            let factors: Vec<f64> = (0..subsets)
                .map(|_| {
                    factor = factor.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from(factor >> 25)
                })
                .collect();
            let half = (factors.iter().sum::<f64>() / 2.0).floor();
            let entries = |sign: f64| factors.iter().copied().enumerate().chain([(missed, sign)]).collect::<Vec<_>>();
            program.add_row(format!("least_{sum}"), RowBound::AtLeast(half), entries(1.0));
            program.add_row(format!("most_{sum}"), RowBound::AtMost(half), entries(-1.0));
            start.push(half);
        }
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > 20
        };
        let found = polish(&program, &start, Tree { nodes: i32::MAX, time: None, gap: 0.0 }, &stop);
        assert!(asked.get() > 20, "HiGHS asked {} times", asked.get());
        assert!(found.is_none_or(|found| program.cost(&found) < program.cost(&start)));
    }
}
