//! Tables without borders, as kubectl prints them.

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};

/// How a command that prints one table prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table
}

/// The table as text, these columns aligned to the right.
pub fn align(mut table: Table, right: &[usize]) -> String {
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    // no trailing blanks: the output is pasted into tickets
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
