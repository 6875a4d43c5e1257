//! What holds of every decision.

use std::collections::BTreeMap;
use std::time::Duration;

use super::worlds::{MIXED, world};
use crate::host::{Limits, decide};

const NO_HURRY: Limits = Limits { time: Duration::from_secs(3_600) };

#[test]
fn no_draft_is_refused() {
    let mut rules: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let mut worlds = 0;
    let mut placed = 0;
    for seed in 0..5_000 {
        let snapshot = world(seed, MIXED);
        let decision = decide(&snapshot, NO_HURRY);
        worlds += usize::from(decision.refused.is_empty());
        placed += decision.plan.assignments.len();
        for violation in decision.refused {
            let entry = rules.entry(violation.rule.to_string()).or_default();
            entry.0 += 1;
            if entry.1.len() < 4 {
                entry.1.push(format!("world {seed}: {violation}"));
            }
        }
    }
    println!("{worlds} accepted, {placed} pods placed");
    assert!(rules.is_empty(), "{rules:#?}");
}
