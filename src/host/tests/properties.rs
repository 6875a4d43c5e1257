//! What holds of every decision, whatever the world.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dice::Dice;
use super::features::Features;
use super::worlds::{MIXED, TINY, world};
use crate::host::{Decision, Limits, accepts, decide};
use crate::observe::Snapshot;

pub const NO_HURRY: Limits = Limits { time: Duration::from_secs(3_600) };

/// How many worlds each property sees.
const WORLDS: u64 = 3_000;

#[test]
fn no_draft_is_refused_and_every_pod_is_accounted_for() {
    let mut rules: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let mut features = Features::default();
    for seed in 0..WORLDS {
        let snapshot = world(seed, MIXED);
        let decision = decide(&snapshot, NO_HURRY);
        features.count(&snapshot, &decision.plan);
        let (plan, certificate) = (&decision.plan, &decision.certificate);
        assert_eq!(plan.assignments.len() + plan.unplaced.len(), snapshot.pending().count(), "world {seed}");
        assert!(certificate.bound <= plan.cost(), "world {seed}: {certificate:?}");
        assert!(plan.unplaced.iter().all(|unplaced| !unplaced.reason.is_empty()), "world {seed}");
        for violation in decision.refused {
            let entry = rules.entry(violation.rule.to_string()).or_default();
            entry.0 += 1;
            if entry.1.len() < 5 && entry.1.last().is_none_or(|last| !last.starts_with(&format!("world {seed}:"))) {
                entry.1.push(format!("world {seed}: {violation}"));
            }
        }
    }
    println!("{features:#?}");
    assert!(rules.is_empty(), "{rules:#?}");
    features.assert_all();
}

#[test]
fn equal_snapshots_give_equal_plans() {
    for seed in 0..WORLDS / 10 {
        let bytes = || {
            let decision = decide(&world(seed, MIXED), NO_HURRY);
            serde_json::to_string(&(decision.plan, decision.certificate)).unwrap()
        };
        assert_eq!(bytes(), bytes(), "world {seed}");
    }
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    for seed in 0..WORLDS / 3 {
        let sorted = world(seed, MIXED);
        let mut shuffled = sorted.clone();
        let dice = &mut Dice::new(seed);
        dice.shuffle(&mut shuffled.pods);
        dice.shuffle(&mut shuffled.nodes);
        dice.shuffle(&mut shuffled.node_pools);
        dice.shuffle(&mut shuffled.daemon_sets);
        let counts = |snapshot: &Snapshot| {
            let Decision { plan, certificate, .. } = decide(snapshot, NO_HURRY);
            (plan.cost(), plan.launches.len(), plan.assignments.len(), plan.unplaced.len(), certificate.bound)
        };
        assert_eq!(counts(&sorted), counts(&shuffled), "world {seed}");
    }
}

#[test]
fn a_checked_plan_stays_accepted() {
    for seed in 0..WORLDS / 10 {
        let snapshot = world(seed, TINY);
        let plan = decide(&snapshot, NO_HURRY).plan;
        assert_eq!(accepts(&snapshot, &plan), Ok(()), "world {seed}");
    }
}
