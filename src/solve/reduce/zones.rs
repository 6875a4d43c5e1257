//! In which zones spread pods are cheapest: where the spread leaves a choice, a first solution's is by order, not by price.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // floats propose

use std::collections::HashMap;

use super::demand::{Decided, Demand};
use super::{Domains, Reduction};
use crate::api::labels;
use crate::model::{DomainId, KeyId, Problem};
use crate::solve::bound::spread::spreads;

/// By group: how many of its pods go to each zone.
pub type ZoneCounts = HashMap<usize, Vec<i64>>;

/// The groups that would be cheaper with other numbers in the zones. `values`: dollars for a pod, by item; `weights`:
/// for a unit of room, by class and dimension.
pub fn cheaper_zones(problem: &Problem, reduction: &Reduction, values: &[f64], weights: &[Vec<f64>]) -> ZoneCounts {
    let (Some(key), spreads) = spreads(problem) else { return ZoneCounts::new() };
    let zones = problem.keys.domains(key).len();
    let zone_of = |item: usize| zone_of(&reduction.domains[item], key);
    // what a unit of room is worth where only pods of one zone can be
    let mut of_zone: Vec<Vec<&[f64]>> = vec![Vec::new(); zones];
    for (class, weights) in reduction.instance.classes.iter().zip(weights) {
        let mut held = class.items.iter().map(|&item| zone_of(item));
        if let Some(Some(zone)) = held.next()
            && held.all(|other| other == Some(zone))
            && class.bins.iter().any(|bin| reduction.instance.supply(bin).is_none())
        {
            of_zone[zone].push(weights);
        }
    }
    let mut items: HashMap<usize, Vec<(usize, usize, u32)>> = HashMap::new();
    for (item, members) in reduction.members.iter().enumerate() {
        for &(group, pods) in members {
            if let Some(zone) = zone_of(item).filter(|_| spreads[group].is_some()) {
                items.entry(group).or_default().push((item, zone, pods));
            }
        }
    }
    let mut found = ZoneCounts::new();
    for (group, items) in items {
        let Some(spread) = &spreads[group] else { continue };
        let size = &reduction.instance.items[items[0].0].size;
        let in_class = |weights: &&[f64]| size.iter().zip(*weights).map(|(size, weight)| *size as f64 * weight).sum();
        let mut by_zone: Vec<f64> =
            of_zone.iter().map(|classes| classes.iter().map(in_class).fold(f64::INFINITY, f64::min)).collect();
        let mut counts = vec![0; zones];
        for (item, zone, pods) in items {
            by_zone[zone] = values[item];
            counts[zone] += i64::from(pods);
        }
        let nano: Vec<i64> = by_zone.iter().map(|usd| (usd.min(MOST) * 1e9) as i64).collect();
        let pods = usize::try_from(counts.iter().sum::<i64>()).unwrap_or(0);
        let worth = |counts: &[i64]| counts.iter().zip(&nano).map(|(n, nano)| i128::from(*n) * i128::from(*nano)).sum();
        let before: i128 = worth(&counts);
        found.extend(
            spread.cheapest_counts(&nano, pods).filter(|other| worth(other) < before).map(|counts| (group, counts)),
        );
    }
    found
}

/// Dollars: a zone in which nothing is sold.
const MOST: f64 = 1e6;

/// Puts the pods of groups into other zones, where all of a group differ in their zone alone and go to new nodes.
pub fn move_to(problem: &Problem, demand: &mut Demand, zones: &ZoneCounts) {
    let Some(key) = problem.keys.id(labels::ZONE) else { return };
    for (&group, counts) in zones {
        let own: Vec<(Decided, u32)> = demand
            .iter()
            .filter(|(decided, _)| decided.by_content.group == group)
            .map(|(decided, pods)| (decided.clone(), *pods))
            .collect();
        let elsewhere =
            |decided: &Decided| -> Domains { decided.domains.iter().copied().filter(|(of, _)| *of != key).collect() };
        let pods: i64 = own.iter().map(|(_, pods)| i64::from(*pods)).sum();
        let Some((first, _)) = own.first().cloned() else { continue };
        let differ_in_zone = own.iter().all(|(decided, _)| {
            decided.weight == first.weight
                && elsewhere(decided) == elsewhere(&first)
                && zone_of(&decided.domains, key).is_some()
        });
        if first.weight.is_none() || !differ_in_zone || pods != counts.iter().sum::<i64>() {
            continue;
        }
        demand.retain(|decided, _| decided.by_content.group != group);
        for (zone, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mut decided = first.clone();
            for domain in decided.domains.iter_mut().filter(|(of, _)| *of == key) {
                domain.1 = zone;
            }
            demand.insert(decided, u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
}

fn zone_of(domains: &Domains, key: KeyId) -> Option<DomainId> {
    domains.iter().find(|(of, _)| *of == key).map(|(_, zone)| *zone)
}
