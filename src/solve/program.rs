//! A linear or integer program as data, with the names of `models/`: what is solved, written to files and explained is one
//! thing.

/// What is to be minimised, subject to rows. No column is negative.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program {
    pub columns: Vec<ProgramColumn>,
    pub rows: Vec<ProgramRow>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ProgramColumn {
    /// Unique among the columns; no blanks.
    pub name: String,
    pub cost: f64,
    /// Infinite where it has no bound.
    pub most: f64,
    pub is_integer: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ProgramRow {
    /// Unique among the rows; no blanks.
    pub name: String,
    pub bound: RowBound,
    /// (column, factor), each column once.
    pub entries: Vec<(usize, f64)>,
}

/// What a row must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowBound {
    AtLeast(f64),
    AtMost(f64),
}

impl Program {
    /// Returns the index of the column.
    pub fn add_column(&mut self, column: ProgramColumn) -> usize {
        self.columns.push(column);
        self.columns.len() - 1
    }

    /// What certain amounts of the columns cost.
    #[must_use]
    pub fn cost(&self, amounts: &[f64]) -> f64 {
        self.columns.iter().zip(amounts).map(|(column, amount)| column.cost * amount).sum()
    }

    /// Returns the index of the row; zeros are left out.
    pub fn add_row(&mut self, name: String, bound: RowBound, entries: impl IntoIterator<Item = (usize, f64)>) -> usize {
        let entries = entries.into_iter().filter(|(_, factor)| *factor != 0.0).collect();
        self.rows.push(ProgramRow { name, bound, entries });
        self.rows.len() - 1
    }
}
