//! The master as an integer program in micro-dollars (`models/columns.md`).

use super::instance::{Instance, Pattern};
use super::{alone, leaving, resource_prices, round};
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
    leaving(&alone(instance), &values).into_iter().map(|usd| (usd * 1e6).ceil() as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::columns::instance::{Bin, Class, Item, Row};
    use crate::solve::lp::minimum;

    /// Two items; two kinds of bins, the second of which uses a limit of 4 twice.
    fn instance() -> Instance {
        let item = |size: i64, demand| Item { size: vec![size], demand, most: u32::MAX };
        let bin = |room: i64, cost, uses| Bin { room: vec![room], cost, uses };
        Instance {
            dims: 1,
            items: vec![item(1, 3), item(2, 2)],
            classes: vec![Class {
                items: vec![0, 1],
                bins: vec![bin(2, 30_000, vec![]), bin(6, 50_000, vec![(0, 2)])],
            }],
            rows: vec![Row { capacity: 4, is_supply: false }],
        }
    }

    fn pattern(bin: usize, counts: &[(usize, u32)]) -> Pattern {
        Pattern { class: 0, bin, counts: counts.to_vec() }
    }

    #[test]
    fn rows_and_columns_have_the_names_and_numbers_of_the_formula() {
        let patterns = [pattern(0, &[(0, 2)]), pattern(1, &[(0, 2), (1, 2)])];
        let program = program(&instance(), &[7, 9], &patterns, &["limit_0".to_owned()]);
        let columns: Vec<_> =
            program.columns.iter().map(|column| (column.name.as_str(), column.cost, column.most)).collect();
        let endless = f64::INFINITY;
        let expected = [("y_0", 30_000.0, endless), ("y_1", 50_000.0, endless), ("u_0", 7.0, 3.0), ("u_1", 9.0, 2.0)];
        assert_eq!(columns, expected);
        assert!(program.columns.iter().all(|column| column.is_integer));
        let rows: Vec<_> =
            program.rows.iter().map(|row| (row.name.as_str(), row.bound, row.entries.as_slice())).collect();
        let expected = [
            ("cover_0", RowBound::AtLeast(3.0), [(0, 2.0), (1, 2.0), (2, 1.0)].as_slice()),
            ("cover_1", RowBound::AtLeast(2.0), &[(1, 2.0), (3, 1.0)]),
            ("limit_0", RowBound::AtMost(1.0), &[(1, 0.5)]),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn what_the_limit_leaves_no_room_for_is_left_out_at_its_price() {
        let mut instance = instance();
        instance.rows[0].capacity = 2;
        instance.items[1].demand = 5;
        let leaving = leaving_prices(&instance);
        // a bin of one pod's own costs 30,000 or 50,000
        assert!(leaving[0] > 30_000 && leaving[1] > 30_000, "{leaving:?}");
        let patterns = [pattern(1, &[(1, 3)])];
        let program = program(&instance, &leaving, &patterns, &["limit_0".to_owned()]);
        assert_eq!(minimum(&program), Some(vec![1.0, 3.0, 2.0]));
    }
}
