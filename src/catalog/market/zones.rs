//! The zones of each region, from a committed table.

use std::sync::Arc;

use crate::catalog::node_class::Zone;

/// Region, tab, letters of its zones. Zone names are per account; ids (`use1-az1`) come only from a live account.
const TABLE: &str = include_str!("../data/zones.tsv");

pub(super) fn of_region(region: &str) -> Option<Vec<Zone>> {
    let mut rows = TABLE.lines().filter_map(|line| line.split_once('\t'));
    rows.find(|(name, _)| *name == region).map(|(_, letters)| lettered(region, letters))
}

/// The region that has a zone of this name.
#[must_use]
pub fn region_of_zone(zone: &str) -> Option<&'static str> {
    let mut rows = TABLE.lines().filter_map(|line| line.split_once('\t'));
    let has = |&(region, letters): &(&str, &str)| {
        zone.strip_prefix(region).is_some_and(|letter| letter.len() == 1 && letters.contains(letter))
    };
    rows.find(has).map(|(region, _)| region)
}

pub(super) fn lettered(region: &str, letters: &str) -> Vec<Zone> {
    letters.chars().map(|letter| Zone { name: Arc::from(format!("{region}{letter}")), id: None }).collect()
}
