//! What one decision carries over helps the next, and never harms it.

use std::sync::Arc;

use super::worlds::{MIXED, world};
use crate::bench::instances;
use crate::host::standing::Yardstick;
use crate::host::{Decision, Limits, Search, decide, decide_from};
use crate::observe::Snapshot;
use crate::plan::Stop;
use crate::solve::Work;
use crate::solve::carried::Carried;

/// Few rounds: what is asked is not how good the answers are.
const SHORT: Limits = Limits::of_work(
    Work { rounds: 12, search_steps: 100, exact_steps: 1_000, ways: 10, ..Work::LIMITED },
    Search::Integer,
);

fn read_back(carried: &Carried) -> Arc<Carried> {
    let text = serde_json::to_string(carried).expect("JSON");
    Arc::new(serde_json::from_str(&text).expect("what was written is read"))
}

fn better(snapshot: &Snapshot, a: &Decision, b: &Decision) -> bool {
    let yardstick = Yardstick::new(snapshot);
    yardstick.measure(&a.plan) < yardstick.measure(&b.plan)
}

/// 1,000 pods of the wide scenario, and one more of each of the first few kinds.
fn grown(snapshot: &Snapshot, more: usize) -> Snapshot {
    let mut grown = snapshot.clone();
    for index in 0..more {
        let mut pod = grown.pods[index * 40].clone();
        pod.key.name = format!("one-more-{index}").into();
        grown.pods.push(pod);
    }
    grown
}

#[test]
fn one_more_pod_is_answered_from_what_was_carried_over() {
    let instance = instances::all().into_iter().find(|instance| instance.name == "wide-kwok").expect("an instance");
    let snapshot = instance.snapshot(0).expect("a snapshot");
    let before = decide(&snapshot, SHORT);
    let carried = read_back(&before.carried(&snapshot));
    assert!(carried.ratio > 0.0 && carried.patterns.len() > 20, "{} {}", carried.ratio, carried.patterns.len());
    let again = decide_from(&snapshot, carried.clone(), SHORT);
    assert_eq!(again.certificate.stop, Stop::AsNear, "{:?}", again.certificate);
    assert!(again.plan.cost() <= before.plan.cost(), "{} {}", again.plan.cost(), before.plan.cost());
    let more = Arc::new(grown(&snapshot, 1));
    let after = decide_from(&more, carried.clone(), SHORT);
    assert!(after.plan.unplaced.is_empty() && after.plan.cost().0 <= before.plan.cost().0 * 101 / 100);
    let twice = decide_from(&more, carried, SHORT);
    assert_eq!(format!("{:?}", twice.plan), format!("{:?}", after.plan), "equal input, equal plan");
}

/// Worlds that have little to do with each other, and a file that somebody wrote.
#[test]
fn whatever_is_carried_over_the_answer_is_no_worse_than_the_greedy() {
    let mut foreign: Arc<Carried> = Arc::default();
    let mut used = 0;
    for seed in 0..150 {
        let snapshot = Arc::new(world(seed, MIXED));
        let greedy = decide(&snapshot, Limits { search: Search::Greedy, ..SHORT });
        let first = decide_from(&snapshot, foreign.clone(), SHORT);
        let mut own = first.carried(&snapshot);
        for decision in [&first, &decide_from(&snapshot, read_back(&own), SHORT)] {
            assert!(!better(&snapshot, &greedy, decision), "world {seed}");
            assert!(decision.certificate.bound <= decision.plan.cost(), "world {seed}");
            assert!(decision.refused.len() <= greedy.refused.len(), "world {seed}");
        }
        used += usize::from(!own.patterns.is_empty());
        // as a file that was written by hand
        for (index, pattern) in own.patterns.iter_mut().enumerate() {
            pattern.counts.push((index * 7, u32::MAX - 1));
            pattern.times = u32::MAX;
        }
        own.items.iter_mut().for_each(|item| item.usd_hour = -1e300);
        own.ratio = 1e300;
        let odd = decide_from(&snapshot, Arc::new(own.clone()), SHORT);
        assert!(!better(&snapshot, &greedy, &odd), "world {seed}");
        foreign = Arc::new(own);
    }
    assert!(used > 50, "{used}");
}
