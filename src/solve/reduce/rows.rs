//! What the bins of new nodes share: limits of pools, and reservations.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::PoolModel;
use crate::solve::columns::instance::Row;

/// What the bins of new nodes share.
#[derive(Default)]
pub struct Rows {
    pub all: Vec<Row>,
    /// By row.
    pub meaning: Vec<RowOf>,
    known: HashMap<RowOf, usize>,
}

/// What a row limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RowOf {
    /// (pool, index into its limits)
    Limit(usize, usize),
    Reservation(Arc<str>),
    /// Existing nodes with the same room.
    Nodes,
}

impl Rows {
    /// What a node bought through the offering uses; `None` where something of it is used up.
    pub fn of_offering(
        &mut self,
        pool: usize,
        model: &PoolModel,
        kind: usize,
        offering: usize,
    ) -> Option<Vec<(usize, i64)>> {
        let counted = model.limits().into_iter().zip(model.counted(kind, offering)).enumerate();
        let mut uses: Vec<(RowOf, i64, i64)> =
            counted.map(|(index, (limit, amount))| (RowOf::Limit(pool, index), limit.left, amount)).collect();
        let reservation = model.types[kind].offerings[offering].reservation.as_ref();
        uses.extend(reservation.map(|of| (RowOf::Reservation(of.id.clone()), i64::from(of.free), 1)));
        uses.retain(|(_, _, amount)| *amount > 0);
        if uses.iter().any(|(_, left, amount)| amount > left) {
            return None;
        }
        let row = |(of, left, amount): (RowOf, i64, i64)| {
            let next = self.all.len();
            let row = *self.known.entry(of.clone()).or_insert(next);
            if row == next {
                self.all.push(Row { capacity: left, is_supply: matches!(of, RowOf::Reservation(_)) });
                self.meaning.push(of);
            }
            (row, amount)
        };
        Some(uses.into_iter().map(row).collect())
    }
}
