//! The integer program over random worlds: its packings are carried out under all rules, and never make a plan worse.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::worlds::{MIXED, shuffled, world};
use crate::host::{Limits, Search, decide};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::{self, Checked, Plan, preferences};
use crate::solve::Work;
use crate::solve::carried::Carried;
use crate::solve::greedy::{self, Order};
use crate::solve::integer::{self, News};

const WORLDS: u64 = 400;

const NO_HURRY: Limits = Limits::of_work(Work { ways: 15, ..Work::LIMITED }, Search::Integer);

fn left(snapshot: &Snapshot, plan: &Plan<Checked>) -> BTreeMap<Reverse<i32>, usize> {
    let mut left = BTreeMap::new();
    for unplaced in &plan.unplaced {
        *left.entry(Reverse(snapshot.pods[unplaced.pod].template.spec.priority)).or_insert(0) += 1;
    }
    left
}

#[test]
fn it_never_leaves_more_pods_gives_up_more_or_pays_more_than_the_greedy() {
    let mut cheaper = 0;
    for seed in 0..WORLDS {
        let snapshot = Arc::new(world(seed, MIXED));
        let integer = decide(&snapshot, NO_HURRY).plan;
        let greedy = decide(&snapshot, Limits { search: Search::Greedy, ..NO_HURRY }).plan;
        let (ours, theirs) = (left(&snapshot, &integer), left(&snapshot, &greedy));
        let priorities: BTreeSet<Reverse<i32>> = ours.keys().chain(theirs.keys()).copied().collect();
        let of = |plan: &BTreeMap<Reverse<i32>, usize>| -> Vec<usize> {
            priorities.iter().map(|priority| plan.get(priority).copied().unwrap_or(0)).collect()
        };
        let given_up = |plan| preferences::violated(&snapshot, plan);
        let ours = (of(&ours), given_up(&integer), integer.cost());
        let theirs = (of(&theirs), given_up(&greedy), greedy.cost());
        assert!(ours <= theirs, "world {seed}: {ours:?} {theirs:?}");
        cheaper += usize::from(integer.cost() < greedy.cost());
    }
    println!("cheaper in {cheaper} of {WORLDS} worlds");
    assert!(cheaper > 20, "cheaper in {cheaper} worlds");
}

#[test]
fn what_is_carried_out_is_accepted() {
    let (mut packings, mut refused) = (0, Vec::new());
    for seed in 0..WORLDS {
        let snapshot = world(seed, MIXED);
        let problem = Problem::new(&snapshot);
        let (first, worked) = greedy::work(&problem, Order::Karpenter, &|| false);
        integer::improve(
            &problem,
            (&first, &worked),
            &Carried::default(),
            Work::LIMITED,
            (&|| 1.0, Duration::MAX),
            &mut |news| {
                let News::Packing(carry_out, _) = news else { return };
                let solution = carry_out();
                packings += 1;
                if let Err(violations) = plan::check(&snapshot, plan::build(&problem, &solution)) {
                    // what the greedy itself gets wrong is counted elsewhere
                    if plan::check(&snapshot, plan::build(&problem, &first)).is_ok() {
                        refused.push(format!("world {seed}: {}", violations[0]));
                    }
                }
            },
        );
    }
    assert!(packings > 200, "{packings} packings");
    assert!(refused.is_empty(), "of {packings}: {refused:#?}");
}

#[test]
fn equal_questions_have_equal_answers_in_whatever_order_they_are_put() {
    for seed in 0..WORLDS / 4 {
        let sorted = world(seed, MIXED);
        let shuffled = shuffled(&sorted, seed);
        let plan = |snapshot: &Snapshot| decide(&Arc::new(snapshot.clone()), NO_HURRY).plan;
        let bytes = || serde_json::to_string(&plan(&sorted)).unwrap();
        assert_eq!(bytes(), bytes(), "world {seed}");
        let (one, other) = (plan(&sorted), plan(&shuffled));
        assert_eq!((one.cost(), one.unplaced.len()), (other.cost(), other.unplaced.len()), "world {seed}");
    }
}
