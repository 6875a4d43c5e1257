//! Costs beside each other, as bars.

use serde::Serialize;

use super::numbers::{share, usd};

/// A cost beside others.
#[derive(Serialize)]
pub(super) struct Rung {
    kind: &'static str,
    name: &'static str,
    usd: String,
    width: f64,
    note: String,
}

impl Rung {
    /// `kind`: how it is drawn; `amount` in dollars, of which the longest bar shows `most`.
    pub fn of(kind: &'static str, name: &'static str, amount: f64, most: f64, note: impl Into<String>) -> Self {
        Self { kind, name, usd: usd(amount), width: share(amount, most), note: note.into() }
    }
}
