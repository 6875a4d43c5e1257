//! The exhaustive oracle: in small worlds the decision is the best plan that there is.

mod enumerate;
mod launches;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::worlds::{SMALL, world};
use crate::host::{Limits, Search, decide};
use crate::observe::Snapshot;
use crate::solve::Work;
use enumerate::{Enumeration, vector};

const LIMITS: Limits = Limits { time: Duration::from_secs(3_600), search: Search::Integer, work: Work::LIMITED };

const WORLDS: u64 = 200;

/// What became of one world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Equal,
    Worse,
    /// The enumeration did not find a plan that is as good: a fault of it, of the checker or of the solver.
    Better,
    /// Too many plans to try them all.
    NotFinished,
}

fn compare(snapshot: &Snapshot) -> (Verdict, String) {
    let shared = Arc::new(snapshot.clone());
    let decision = decide(&shared, LIMITS);
    let ours = vector(snapshot, &decision.plan.to_draft());
    let mut search = Enumeration::new(snapshot, ours.clone());
    let is_complete = search.run();
    let (best, checks) = (search.best.clone(), search.checks);
    let bound = decision.certificate.bound.0;
    let text = format!("{ours:?} {:?} best {best:?} {checks} checks", decision.certificate.stage);
    assert!(best.0 != ours.0 || bound <= best.2, "bound {bound}: {text}");
    let verdict = match (search.found, is_complete) {
        (None, true) => Verdict::Better,
        (Some(_), _) if best < ours => Verdict::Worse,
        (Some(_), true) => Verdict::Equal,
        (_, false) => Verdict::NotFinished,
    };
    (verdict, text)
}

#[test]
fn the_decision_is_the_best_plan_of_a_small_world() {
    let found: Vec<(u64, Verdict, String)> = std::thread::scope(|scope| {
        let half = |first: u64| {
            move || {
                (first..WORLDS)
                    .step_by(2)
                    .map(|seed| {
                        let (verdict, text) = compare(&world(seed, SMALL));
                        (seed, verdict, text)
                    })
                    .collect::<Vec<_>>()
            }
        };
        let threads = [scope.spawn(half(0)), scope.spawn(half(1))];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for (seed, verdict, text) in &found {
        *counts.entry(*verdict).or_insert(0) += 1;
        if *verdict != Verdict::Equal {
            println!("world {seed}: {verdict:?} {text}");
        }
    }
    println!("{counts:?}");
    let of = |verdict| counts.get(&verdict).copied().unwrap_or(0);
    assert_eq!(of(Verdict::Better), 0);
    assert!(of(Verdict::Worse) * 20 < found.len(), "{counts:?}");
}
