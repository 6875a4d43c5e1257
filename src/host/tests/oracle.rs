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

#[test]
fn zz_one() {
    let Ok(seeds) = std::env::var("ORACLE") else { return };
    for seed in seeds.split(',') {
        let seed: u64 = seed.parse().unwrap();
        let snapshot = world(seed, SMALL);
        let problem = crate::model::Problem::new(&snapshot);
        println!("==== world {seed}");
        for pool in &snapshot.node_pools {
            println!(
                "pool {} w{} limits {:?} {} taints {:?} static {:?} unusable {:?}",
                pool.name,
                pool.weight,
                pool.limits,
                pool.requirements.iter().map(|(k, r)| format!("{k}={r:?}")).collect::<Vec<_>>().join(" "),
                pool.taints,
                pool.replicas,
                pool.unusable
            );
            for kind in pool.instance_types.iter() {
                println!(
                    "   {} {:?} {:?}",
                    kind.name,
                    kind.allocatable,
                    kind.offerings
                        .iter()
                        .map(|o| format!(
                            "{}/{:?}/{}{}",
                            o.zone,
                            o.capacity_type,
                            o.price.0,
                            if o.available { "" } else { "!" }
                        ))
                        .collect::<Vec<_>>()
                );
            }
        }
        for node in &snapshot.nodes {
            println!(
                "node {} pool {:?} {:?} {:?} taints {:?}",
                node.name,
                node.pool,
                node.allocatable,
                node.label("topology.kubernetes.io/zone"),
                node.taints
            );
        }
        for pod in &snapshot.pods {
            println!("pod {} on {:?} {:?}", pod.key, pod.node, pod.template.spec);
        }
        let ways = std::env::var("WAYS").map_or(1500, |w| w.parse().unwrap());
        let limits = Limits { work: Work { ways, ..Work::LIMITED }, ..LIMITS };
        let decision = decide(&Arc::new(snapshot.clone()), limits);
        let show = |plan: &crate::plan::Plan<crate::plan::Draft>| {
            for a in &plan.assignments {
                println!("   {} -> {:?}", snapshot.pods[a.pod].key, a.target);
            }
            for l in &plan.launches {
                println!(
                    "   launch {} {:?}",
                    l.pool,
                    l.offers
                        .iter()
                        .map(|o| format!("{} {} {}", o.instance_type, o.zone, o.price.0))
                        .collect::<Vec<_>>()
                );
            }
            for u in &plan.unplaced {
                println!("   left {} {}", snapshot.pods[u.pod].key, u.reason);
            }
        };
        let ours = decision.plan.to_draft();
        println!("ours {:?} stage {:?}", vector(&snapshot, &ours), decision.certificate.stage);
        show(&ours);
        let mut search = Enumeration::new(&snapshot, vector(&snapshot, &ours));
        println!("complete {}", search.run());
        println!("best {:?}", search.best);
        if let Some(best) = &search.found {
            show(best);
        }
        drop(problem);
    }
}
