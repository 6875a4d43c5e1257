//! The exhaustive oracle: in small worlds the decision is the best plan that there is.
//!
//! Plans are enumerated through the checker alone ([`enumerate`]); a fault of the checker, of the solver or of its bound is a
//! difference between the two.

mod enumerate;
mod launches;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::worlds::{DRIVER, SMALL, without_memory, world};
use crate::host::stored::stored_proof;
use crate::host::{Decision, Limits, Search, decide};
use crate::observe::Snapshot;
use crate::plan::Stop;
use crate::plan::check::Rule;
use crate::solve::Work;
use crate::verify::{Verifier, proven_cost};
use enumerate::{Enumeration, vector};

const LIMITS: Limits =
    Limits { time: Duration::from_secs(3_600), search: Search::Integer, work: Work::LIMITED, worth: None };

/// `make oracle` asks for 10,000 by this variable, and looks at each for longer.
const WORLDS: &str = "PACKWRIGHT_ORACLE_WORLDS";
/// Where to begin.
const FIRST_WORLD: &str = "PACKWRIGHT_ORACLE_FIRST";
const FEW_WORLDS: (u64, usize) = (100, 3_000);
const CHECKS: usize = 20_000;

/// Of the first worlds so many are worse than the best, and so many have too many plans to try them all. Worse are worlds in
/// which the work limit ends the search before every way was tried, and launches that `minValues` tie to several types.
const WORSE_OF_FEW: usize = 0;
const UNFINISHED_OF_FEW: usize = 8;
/// Of 10,000: one in so many.
const ONE_IN: usize = 20;

/// What became of one world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Equal,
    Worse,
    /// Worse, although every way was said to have been tried.
    Refuted,
    /// The enumeration did not find a plan that is as good: a fault of it, of the checker or of the solver.
    Better,
    /// Too many plans to try them all; none of those tried is better.
    Unfinished,
}

/// Without the margin within which a launch names dearer offers: the best plan has none.
fn small_world(seed: u64) -> Snapshot {
    let mut snapshot = world(seed, SMALL);
    snapshot.settings.price_flexibility_permille = 0;
    snapshot
}

fn decided(snapshot: &Snapshot) -> Decision {
    decide(&Arc::new(snapshot.clone()), LIMITS)
}

/// Of the pending pods, highest first.
fn priorities(snapshot: &Snapshot) -> Vec<i32> {
    let all: BTreeSet<i32> = snapshot.pending().map(|(_, pod)| pod.template.spec.priority).collect();
    all.into_iter().rev().collect()
}

/// `forgotten`: a rule that the enumeration does not know.
fn compare(snapshot: &Snapshot, decision: &Decision, checks: usize, forgotten: Option<Rule>) -> (Verdict, String) {
    let ours = vector(snapshot, &decision.plan.to_draft());
    let mut search = Enumeration::new(snapshot, ours.clone(), checks, forgotten);
    let is_complete = search.run();
    let text = format!("{ours:?} {:?}, best {:?}", decision.certificate.stage, search.best);
    // bounds are of plans that leave at most the same pods
    if forgotten.is_none() && search.best.0 == ours.0 {
        let best = search.best.2;
        let stated = decision.certificate.bound.0;
        assert!(stated <= best, "bound {stated}: {text}");
        // what the verifier would believe, asked for more than there is
        let proof = stored_proof(snapshot, &decision.proof);
        let verified = proven_cost(snapshot, &decision.plan, &proof, stated);
        assert!(stated <= verified, "{stated} stated, {verified} verified: {text}");
        for asked in [best + 1, i64::MAX] {
            let verified = proven_cost(snapshot, &decision.plan, &proof, asked);
            assert!(verified <= best, "{verified} verified: {text}");
        }
    }
    // nor of pods left, where all levels above are as low
    let is_level = |level: usize| search.best.0[..level].iter().zip(&ours.0).all(|(best, ours)| best <= ours);
    if forgotten.is_none() {
        let verifier = Verifier::of(snapshot);
        for of in &decision.left_proofs {
            let level = priorities(snapshot).iter().position(|priority| *priority == of.priority).expect("a priority");
            let stored = stored_proof(snapshot, &of.proof);
            let verified = verifier.bound_of_left(&decision.plan.unplaced, of.priority, &stored);
            let verified = verifier.hopeless(of.priority) + verified;
            let stated = i64::try_from(of.at_least).expect("a number of pods");
            assert!(stated <= verified, "{stated} stated, {verified} verified: {text}");
            let best = i64::try_from(search.best.0[level]).expect("a number of pods");
            assert!(!is_level(level) || verified <= best, "{verified} of level {level} verified: {text}");
        }
    }
    // never worse than karpenter's packing
    let greedy = decide(&Arc::new(snapshot.clone()), Limits { search: Search::Greedy, ..LIMITS });
    assert!(ours <= vector(snapshot, &greedy.plan.to_draft()), "karpenter's packing is better: {text}");
    let tried_all = matches!(decision.certificate.stop, Stop::EveryWay | Stop::Optimal);
    let verdict = match (&search.found, is_complete) {
        (None, true) => Verdict::Better,
        (Some(_), _) if search.best < ours && tried_all && forgotten.is_none() => Verdict::Refuted,
        (Some(_), _) if search.best < ours => Verdict::Worse,
        (Some(_), true) => Verdict::Equal,
        (_, false) => Verdict::Unfinished,
    };
    (verdict, text)
}

/// Says in which world something broke down.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("world {}: it broke down", self.0);
        }
    }
}

#[test]
fn the_decision_is_the_best_plan_of_a_small_world() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let (asked, start) = (number(WORLDS), number(FIRST_WORLD).unwrap_or(0));
    let (worlds, checks) = asked.map_or(FEW_WORLDS, |worlds| (worlds, CHECKS));
    let half = |first: u64| {
        let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
        for seed in (start + first..worlds).step_by(2) {
            let _named = Named(seed);
            let snapshot = small_world(seed);
            let (verdict, text) = compare(&snapshot, &decided(&snapshot), checks, None);
            *counts.entry(verdict).or_insert(0) += 1;
            if verdict != Verdict::Equal {
                println!("world {seed}: {verdict:?} {text}");
            }
            if seed % 500 < 2 {
                println!("world {seed} of {worlds}: {counts:?}");
            }
        }
        counts
    };
    let halves = std::thread::scope(|scope| {
        let threads = [0, 1].map(|first| scope.spawn(move || half(first)));
        threads.map(|thread| thread.join().expect("a half"))
    });
    let of = |verdict| halves.iter().filter_map(|counts| counts.get(&verdict)).sum::<usize>();
    let one_in = usize::try_from(worlds).expect("a number of worlds") / ONE_IN;
    let (most_worse, most_unfinished) = asked.map_or((WORSE_OF_FEW, UNFINISHED_OF_FEW), |_| (one_in, one_in));
    let (equal, worse, unfinished) = (of(Verdict::Equal), of(Verdict::Worse), of(Verdict::Unfinished));
    println!("{equal} equal, {worse} worse, {unfinished} unfinished");
    assert_eq!(
        (of(Verdict::Better), of(Verdict::Refuted)),
        (0, 0),
        "better than the best, and not the best of every way"
    );
    assert!(worse <= most_worse && unfinished <= most_unfinished, "{worse} worse, {unfinished} unfinished");
}

#[test]
fn nothing_is_proven_that_is_not_so_where_daemon_pods_request_more_than_types_have() {
    for seed in 0..60 {
        let snapshot = without_memory(small_world(seed));
        let (verdict, text) = compare(&snapshot, &decided(&snapshot), FEW_WORLDS.1, None);
        assert!(!matches!(verdict, Verdict::Better | Verdict::Refuted), "world {seed}: {text}");
    }
}

/// Where a spread selects daemon pods that can run nowhere, more was stated than the verifier believes.
#[test]
fn what_is_stated_is_verified_where_daemon_pods_that_run_nowhere_would_count() {
    for seed in [2_872, 8_895] {
        let snapshot = small_world(seed);
        let (verdict, text) = compare(&snapshot, &decided(&snapshot), FEW_WORLDS.1, None);
        assert_eq!(verdict, Verdict::Equal, "world {seed}: {text}");
    }
}

/// Worlds in which forgetting a rule changes what is best.
const NOTICED: &[(Rule, u64)] = &[
    (Rule::Resources, 11),
    (Rule::Taints, 15),
    (Rule::NodeAffinity, 13),
    (Rule::HostPorts, 84),
    (Rule::VolumeTopology, 5),
    (Rule::VolumeLimits, 275),
    (Rule::ReadWriteOncePod, 11),
    (Rule::PodAffinity, 10),
    (Rule::PodAntiAffinity, 3),
    (Rule::TopologySpread, 83),
    (Rule::OpenableSpread, 104),
    (Rule::OpenDomain, 483),
    (Rule::PoolState, 18),
    (Rule::PoolRequirements, 9),
    (Rule::TooManyTypes, 151),
    (Rule::MinValues, 6),
    (Rule::Reservation, 78),
    (Rule::Limits, 57),
    (Rule::NodeLimit, 3),
    (Rule::SpendCap, 75),
    (Rule::PoolWeight, 120),
];

/// Rules about how a plan is written: the enumeration writes none that breaks them. That the checker notices each is tested
/// with plans that are broken on purpose (`plan/check/tests/breaks.rs`).
const WRITTEN: &[Rule] = &[
    Rule::PodAccounting,
    Rule::RefusedPod,
    Rule::Target,
    Rule::LaunchName,
    Rule::LaunchLabels,
    Rule::LaunchTaints,
    Rule::LaunchRequirements,
    Rule::LaunchRequests,
    Rule::EmptyLaunch,
    Rule::UnknownOffer,
    Rule::UnavailableOffer,
    Rule::Price,
    Rule::PriceFlexibility,
];

/// A world in which the rule may decide: few nodes have so few places for volumes that it matters.
fn world_for(rule: Rule, seed: u64) -> Snapshot {
    let mut snapshot = small_world(seed);
    if rule == Rule::VolumeLimits {
        for node in &mut snapshot.nodes {
            node.attach_limits.insert(DRIVER.into(), 1);
        }
    }
    snapshot
}

#[test]
fn a_rule_that_the_checker_forgets_is_noticed() {
    let named: BTreeSet<Rule> = NOTICED.iter().map(|(rule, _)| *rule).collect();
    let known: BTreeSet<Rule> = named.iter().chain(WRITTEN).copied().collect();
    assert_eq!(known, Rule::ALL.iter().copied().collect());
    for &(rule, seed) in NOTICED {
        let snapshot = world_for(rule, seed);
        let decision = decided(&snapshot);
        let (as_it_is, text) = compare(&snapshot, &decision, CHECKS, None);
        assert_eq!(as_it_is, Verdict::Equal, "{rule} in world {seed}: {text}");
        let (without, text) = compare(&snapshot, &decision, CHECKS, Some(rule));
        assert_eq!(without, Verdict::Worse, "{rule} in world {seed}: {text}");
    }
}
