//! What the bins of new nodes share: limits of pools, and reservations.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::PoolModel;
use crate::solve::columns::instance::Row;

/// What the bins of new nodes share.
#[derive(Default)]
pub struct Rows {
    pub rows: Vec<Row>,
    known: HashMap<RowOf, usize>,
}

/// What a row limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum RowOf {
    /// A resource of a pool, by position in its limits.
    Resource(usize, usize),
    Nodes(usize),
    Spend(usize),
    Reservation(Arc<str>),
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
        let of_type = &model.types[kind];
        let offering = of_type.offerings[offering];
        let limits = &model.remaining;
        let mut uses: Vec<(RowOf, i64, i64)> = Vec::new();
        let resources = limits.resources.values().zip(&of_type.counts).enumerate();
        uses.extend(resources.map(|(index, (left, count))| (RowOf::Resource(pool, index), *left, *count)));
        uses.extend(limits.nodes.map(|left| (RowOf::Nodes(pool), left, 1)));
        uses.extend(limits.usd_per_hour.map(|left| (RowOf::Spend(pool), left.0, of_type.counted_price(offering).0)));
        let reservation = offering.reservation.as_ref();
        uses.extend(reservation.map(|of| (RowOf::Reservation(of.id.clone()), i64::from(of.free), 1)));
        uses.retain(|(_, _, amount)| *amount > 0);
        if uses.iter().any(|(_, left, amount)| amount > left) {
            return None;
        }
        let row = |(of, left, amount): (RowOf, i64, i64)| {
            let next = self.rows.len();
            let row = *self.known.entry(of.clone()).or_insert(next);
            if row == next {
                self.rows.push(Row { capacity: left, is_supply: matches!(of, RowOf::Reservation(_)) });
            }
            (row, amount)
        };
        Some(uses.into_iter().map(row).collect())
    }
}
