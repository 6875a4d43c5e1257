//! Zones that ARC has shifted away from: said on the pools that nodes would come from there.
//!
//! Source: the reference's `arczonalshift` (karpenter-aws 5). What is offered there cannot be had, which the catalogue says, and nodes there are
//! no candidates ([`crate::disruption::Hold::ZoneShifted`]), are not repaired, and are not given up because the cloud does not list them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::Claimed;
use super::market::Market;
use super::said::Said;
use super::turn::Turn;
use crate::api::labels;
use crate::observe::snapshot::NodePool;

/// What was said last: of which pool which zone, with its id. Another process says it again.
#[derive(Debug, Default)]
pub(super) struct ZonalShifts(BTreeMap<(Arc<str>, Arc<str>), Arc<str>>);

impl ZonalShifts {
    /// Says what has begun and what is over.
    pub fn step(&mut self, market: &Market, turn: &mut Turn<'_>) {
        let pools = || market.pools().iter();
        let mut now = BTreeMap::new();
        for (zone, id) in market.shifted() {
            let concerned = pools().filter(|pool| is_offered(pool, zone));
            now.extend(concerned.map(|pool| ((pool.name.clone(), zone.clone()), id.clone())));
        }
        let said = |(pool, zone): &(Arc<str>, Arc<str>), id: &Arc<str>, is_active| Said::ZonalShift {
            pool: pool.clone(),
            zone: zone.clone(),
            id: id.clone(),
            is_active,
        };
        for (key, id) in now.iter().filter(|(key, _)| !self.0.contains_key(*key)) {
            turn.say(said(key, id, true));
        }
        let is_there = |name: &Arc<str>| pools().any(|pool| pool.name == *name);
        for (key, id) in self.0.iter().filter(|(key, _)| !now.contains_key(*key) && is_there(&key.0)) {
            turn.say(said(key, id, false));
        }
        self.0 = now;
    }
}

/// Whether nodes of a pool may be in a zone, shifted away from or not.
fn is_offered(pool: &NodePool, zone: &str) -> bool {
    let offerings = pool.instance_types.iter().flat_map(|kind| &kind.offerings);
    offerings.filter(|of| *of.zone == *zone).any(|of| of.satisfies(&pool.requirements))
}

/// Whether the node of a claim is in a zone that ARC has shifted away from.
pub(super) fn is_shifted(claimed: &Claimed<'_>, market: &Market) -> bool {
    let zone = claimed.claim.metadata.labels.as_ref().and_then(|of| of.get(labels::ZONE));
    zone.is_some_and(|zone| market.shifted().contains_key(zone.as_str()))
}
