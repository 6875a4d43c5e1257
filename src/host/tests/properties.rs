//! What holds of every decision, whatever the world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::features::Features;
use super::worlds::{MIXED, TINY, shuffled, world};
use crate::api::labels;
use crate::host::{Decision, Limits, Search, accepts, decide};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Node, NodeDisruption, NodeStage};
use crate::plan::{Checked, Plan, Target};

pub const NO_HURRY: Limits = Limits::of_time(Duration::from_secs(3_600), Search::Greedy);

/// How many worlds each property sees.
const WORLDS: u64 = 3_000;

/// Worlds in which a draft loses pods to its own check; to be lowered to none. What is left: pools that the solver thinks
/// too small (6), and a spread that counts a node whose tenancy its type leaves open (1; not counting it refuses 3).
const MOST_REFUSED: usize = 7;

#[test]
fn no_draft_is_refused_and_every_pod_is_accounted_for() {
    let mut rules: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let mut features = Features::default();
    let mut refused = 0;
    for seed in 0..WORLDS {
        let snapshot = world(seed, MIXED);
        let decision = decide(&Arc::new(snapshot.clone()), NO_HURRY);
        features.count(&snapshot, &decision.plan);
        let (plan, certificate) = (&decision.plan, &decision.certificate);
        assert_eq!(plan.assignments.len() + plan.unplaced.len(), snapshot.pending().count(), "world {seed}");
        assert!(certificate.bound <= plan.cost(), "world {seed}: {certificate:?}");
        assert!(plan.unplaced.iter().all(|unplaced| !unplaced.reason.is_empty()), "world {seed}");
        refused += usize::from(!decision.refused.is_empty());
        for violation in decision.refused {
            let entry = rules.entry(violation.rule.to_string()).or_default();
            entry.0 += 1;
            if entry.1.len() < 5 && entry.1.last().is_none_or(|last| !last.starts_with(&format!("world {seed}:"))) {
                entry.1.push(format!("world {seed}: {violation}"));
            }
        }
    }
    println!("{refused} worlds refused: {rules:#?}");
    assert!(refused <= MOST_REFUSED, "{refused} worlds: {rules:#?}");
    features.assert_all();
}

#[test]
fn equal_snapshots_give_equal_plans() {
    for seed in 0..WORLDS / 10 {
        let bytes = || {
            let decision = decide(&Arc::new(world(seed, MIXED)), NO_HURRY);
            serde_json::to_string(&(decision.plan, decision.certificate)).unwrap()
        };
        assert_eq!(bytes(), bytes(), "world {seed}");
    }
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    for seed in 0..WORLDS / 3 {
        let sorted = world(seed, MIXED);
        let shuffled = shuffled(&sorted, seed);
        let counts = |snapshot: &Snapshot| {
            let Decision { plan, certificate, .. } = decide(&Arc::new(snapshot.clone()), NO_HURRY);
            (plan.cost(), plan.launches.len(), plan.assignments.len(), plan.unplaced.len(), certificate.bound)
        };
        assert_eq!(counts(&sorted), counts(&shuffled), "world {seed}");
    }
}

#[test]
fn a_checked_plan_stays_accepted() {
    for seed in 0..WORLDS / 10 {
        let snapshot = world(seed, TINY);
        let plan = decide(&Arc::new(snapshot.clone()), NO_HURRY).plan;
        assert_eq!(accepts(&snapshot, &plan), Ok(()), "world {seed}");
    }
}

/// The Snapshot once the plan is carried out: launches are ready nodes, placed pods are bound.
fn applied(snapshot: &Snapshot, plan: &Plan<Checked>) -> Snapshot {
    let mut after = snapshot.clone();
    for launch in &plan.launches {
        let pool = &snapshot.node_pools[launch.pool];
        let chosen = &launch.offers[0];
        let kind = pool.instance_types.iter().find(|kind| kind.name == chosen.instance_type).unwrap();
        let mut labels = Labels::clone(&launch.labels);
        labels.extend(kind.requirements.single_values().map(|(key, value)| (key.clone(), value.clone())));
        labels.insert(labels::HOSTNAME.into(), launch.name.clone());
        labels.insert(labels::ZONE.into(), chosen.zone.clone());
        labels.insert(labels::CAPACITY_TYPE.into(), launch.capacity_type.label().into());
        after.nodes.push(Node {
            name: launch.name.clone(),
            claim: None,
            pool: Some(pool.name.clone()),
            stage: NodeStage::Initialized,
            created_at: None,
            labels: Arc::new(labels),
            taints: launch.taints.clone(),
            capacity: kind.capacity.clone(),
            allocatable: kind.allocatable.clone(),
            attach_limits: [].into(),
            deleting: false,
            price: Some(chosen.price),
            disruption: NodeDisruption::default(),
        });
    }
    for assignment in &plan.assignments {
        let pod = &mut after.pods[assignment.pod];
        pod.displaced = false;
        pod.node = Some(match assignment.target {
            Target::Existing(node) => snapshot.nodes[node].name.clone(),
            Target::Launch(launch) => plan.launches[launch].name.clone(),
        });
    }
    after.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    after
}

#[test]
fn a_plan_that_was_carried_out_leaves_nothing_to_launch() {
    let mut launched = 0;
    for seed in 0..WORLDS / 3 {
        let snapshot = world(seed, MIXED);
        let first = decide(&Arc::new(snapshot.clone()), NO_HURRY);
        let second = decide(&Arc::new(applied(&snapshot, &first.plan)), NO_HURRY);
        let pending: BTreeSet<usize> = first.plan.unplaced.iter().map(|unplaced| unplaced.pod).collect();
        assert!(second.plan.assignments.iter().all(|a| pending.contains(&a.pod)), "world {seed}");
        if pending.is_empty() {
            assert!(second.plan.launches.is_empty(), "world {seed}");
            launched += first.plan.launches.len();
        }
    }
    assert!(launched > 0);
}
