//! What the solver states of random worlds, another program text proves.

use std::sync::Arc;

use crate::host::tests::worlds::{MIXED, Size, TINY, without_memory, world};
use crate::host::{Limits, Search, decide};
use crate::observe::Snapshot;
use crate::solve::Work;
use crate::verify::{Verdict, decision, verify};

/// The verdict on what is stored of a world, read as `packwright verify` reads it.
fn verdict(snapshot: Snapshot) -> Verdict {
    let snapshot = Arc::new(snapshot);
    let limits = Limits::of_work(Work { ways: 15, ..Work::LIMITED }, Search::Integer);
    let decided = decide(&snapshot, limits);
    let stored = super::stored_decision(&snapshot, &decided, String::new(), limits);
    let text = serde_json::to_string(&stored).expect("a decision is JSON");
    let read: decision::Decision = serde_json::from_str(&text).expect("what was written is read");
    let snapshot: Snapshot = serde_json::from_str(&serde_json::to_string(&*snapshot).expect("JSON")).expect("read");
    verify(&snapshot, &read)
}

fn unsound(worlds: u64, size: Size, change: impl Fn(Snapshot) -> Snapshot) -> Vec<String> {
    let verdicts = (0..worlds).map(|seed| (seed, verdict(change(world(seed, size)))));
    let unsound = verdicts.filter(|(_, verdict)| !verdict.is_sound());
    unsound.map(|(seed, verdict)| format!("{size:?} world {seed}: {verdict:?}")).collect()
}

#[test]
fn what_is_stated_of_random_worlds_is_proven() {
    let as_they_are = |snapshot| snapshot;
    let unsound = [
        unsound(300, MIXED, as_they_are),
        unsound(300, TINY, as_they_are),
        unsound(100, MIXED, without_memory),
        unsound(100, TINY, without_memory),
    ]
    .concat();
    assert!(unsound.is_empty(), "{} unsound:\n{}", unsound.len(), unsound.join("\n"));
}
