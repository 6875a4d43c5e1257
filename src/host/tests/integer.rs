//! The integer program over random worlds: its packings are carried out under all rules, and never make a plan worse.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::properties::NO_HURRY;
use super::worlds::{MIXED, world};
use crate::host::{Limits, Search, decide};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::{self, Checked, Plan};
use crate::solve::{Signals, Work, greedy, integer};

const WORLDS: u64 = 1_000;

/// Packings that the checker refuses; each costs only the improvement. To be lowered to none.
const MOST_REFUSED: usize = 2;

fn left(snapshot: &Snapshot, plan: &Plan<Checked>) -> BTreeMap<std::cmp::Reverse<i32>, usize> {
    let mut left = BTreeMap::new();
    for unplaced in &plan.unplaced {
        *left.entry(std::cmp::Reverse(snapshot.pods[unplaced.pod].template.spec.priority)).or_insert(0) += 1;
    }
    left
}

#[test]
fn it_never_leaves_more_pods_or_pays_more_than_the_greedy() {
    let mut cheaper = 0;
    for seed in 0..WORLDS {
        let snapshot = Arc::new(world(seed, MIXED));
        let integer = decide(&snapshot, NO_HURRY).plan;
        let greedy = decide(&snapshot, Limits { search: Search::Greedy, ..NO_HURRY }).plan;
        if left(&snapshot, &integer) == left(&snapshot, &greedy) {
            assert!(integer.cost() <= greedy.cost(), "world {seed}");
        } else {
            assert!(integer.unplaced.len() < greedy.unplaced.len(), "world {seed}");
        }
        cheaper += usize::from(integer.cost() < greedy.cost());
    }
    println!("cheaper in {cheaper} of {WORLDS} worlds");
    assert!(cheaper > 50, "cheaper in {cheaper} worlds");
}

#[test]
fn what_is_carried_out_is_accepted() {
    let (mut packings, mut refused) = (0, Vec::new());
    for seed in 0..WORLDS {
        let snapshot = world(seed, MIXED);
        let problem = Problem::new(&snapshot);
        let (first, worked) = greedy::work(&problem, &|| false);
        let when = Signals { hurry: &|| false, stop: &|| false };
        integer::improve(&problem, &first, &worked, Work::default(), when, &mut |solution| {
            packings += 1;
            if let Err(violations) = plan::check(&snapshot, plan::build(&problem, &solution)) {
                // what the greedy itself gets wrong is counted elsewhere
                if plan::check(&snapshot, plan::build(&problem, &first)).is_ok() {
                    refused.push(format!("world {seed}: {}", violations[0]));
                }
            }
        });
    }
    assert!(packings > 500, "{packings} packings");
    assert!(refused.len() <= MOST_REFUSED, "of {packings}: {refused:#?}");
}
