//! The master as an integer program in micro-dollars (`models/columns.md`).

use super::instance::{Instance, Pattern};
use super::{leaving, resource_prices, round};
use crate::solve::program::{Program, ProgramColumn, RowBound};

/// The master over certain columns.
///
/// ```text
/// minimise   sum_p c_o(p) y_p + sum_i f_i u_i        y_p, u_i >= 0 and whole
/// cover_i    sum_p x_ip y_p + u_i >= d_i             for every item i
/// row r      sum_p (a_rp / b_r) y_p <= 1             for every row r that bins share
/// ```
/// Columns are first `y_p`, in the order of `patterns`, then `u_i`; rows are first `cover_i`, then those that bins share,
/// with the names that are given. `f_i`: [`leaving_prices`].
pub fn program(instance: &Instance, leaving: &[i64], patterns: &[Pattern], shared: &[String]) -> Program {
    let mut program = Program::default();
    let whole = |name, cost: i64, most| ProgramColumn { name, cost: cost as f64, most, is_integer: true };
    let mut covered: Vec<Vec<(usize, f64)>> = vec![Vec::new(); instance.items.len()];
    let mut used: Vec<Vec<(usize, f64)>> = vec![Vec::new(); instance.rows.len()];
    for (p, pattern) in patterns.iter().enumerate() {
        let column = program.add_column(whole(format!("y_{p}"), instance.cost(pattern), f64::INFINITY));
        for &(item, count) in &pattern.counts {
            covered[item].push((column, f64::from(count)));
        }
        for &(row, amount) in &instance.bin(pattern).uses {
            used[row].push((column, instance.part(row, amount)));
        }
    }
    for (i, (item, leaving)) in instance.items.iter().zip(leaving).enumerate() {
        let column = program.add_column(whole(format!("u_{i}"), *leaving, f64::from(item.demand)));
        covered[i].push((column, 1.0));
    }
    for (i, (item, entries)) in instance.items.iter().zip(covered).enumerate() {
        program.add_row(format!("cover_{i}"), RowBound::AtLeast(f64::from(item.demand)), entries);
    }
    for (name, entries) in shared.iter().zip(used) {
        program.add_row(name.clone(), RowBound::AtMost(1.0), entries);
    }
    program
}

/// What it costs to leave a pod of each item out, as the search has it, rounded up to micro-dollars an hour.
pub fn leaving_prices(instance: &Instance) -> Vec<i64> {
    let weights: Vec<Vec<f64>> = (0..instance.classes.len()).map(|class| resource_prices(instance, class)).collect();
    let values = round::resource_values(instance, &weights);
    leaving(instance, &values).into_iter().map(|usd| (usd * 1e6).ceil() as i64).collect()
}
