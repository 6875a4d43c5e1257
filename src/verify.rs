//! Re-checks a stored decision: the plan by the checker, its bound by arithmetic of its own.
//!
//! It shares no code with what solved it: pods, shapes and free room are read from the Snapshot anew ([`reach`]), what a shape can
//! hold at most is shown anew ([`knapsack`]), and the bound is added up anew ([`bound`]; `models/bound.md` is the mathematics). Only
//! what stands after that is called proven. The checker, the count of preferences given up and the domains over which pods are
//! spread ([`crate::plan`]) are the ones by which the search was judged as well.

pub mod decision;
mod alike;
mod bound;
mod everything;
mod knapsack;
mod reach;
mod spread;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::observe::Snapshot;
use crate::plan::{Plan, Stop, Unplaced, check, preferences};
use decision::{Decision, Kind, Level, StoredLeftProof, StoredProof};
use reach::World;

/// What became of each statement of a decision.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub levels: Vec<Verified>,
    /// Rules that the plan breaks, and what else is wrong; empty where all is well.
    pub faults: Vec<String>,
}

/// A level with what is proven of it.
#[derive(Debug, Serialize)]
pub struct Verified {
    #[serde(flatten)]
    pub stated: Level,
    /// What this program's own arithmetic shows, in the unit of the level.
    pub proven_bound: i64,
    pub is_proven: bool,
}

impl Verdict {
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.levels.iter().all(|level| level.is_proven)
    }
}

/// Proves bounds of one Snapshot.
pub struct Verifier<'s> {
    snapshot: &'s Snapshot,
    world: World<'s>,
}

impl<'s> Verifier<'s> {
    #[must_use]
    pub fn of(snapshot: &'s Snapshot) -> Self {
        Self { snapshot, world: World::of(snapshot) }
    }

    /// As [`bound::of_cost`].
    #[must_use]
    pub fn bound_of_cost(
        &self,
        left: &[Unplaced],
        (proof, stated): (&StoredProof, i64),
        stop: &dyn Fn() -> bool,
    ) -> i64 {
        bound::of_cost(&self.world, self.snapshot, left, (proof, stated), stop)
    }

    /// As [`bound::of_left`].
    #[must_use]
    pub fn bound_of_left(&self, left: &[Unplaced], priority: i32, proof: &StoredProof) -> i64 {
        bound::of_left(&self.world, self.snapshot, left, priority, proof)
    }

    /// How many pods of a priority no node of any kind can hold.
    #[must_use]
    pub fn hopeless(&self, priority: i32) -> i64 {
        hopeless(&self.world, self.snapshot).get(&priority).copied().unwrap_or(0)
    }
}

/// What a proof shows: no plan that the checker accepts, and that leaves at most as many pods of each priority as this one,
/// costs less, micro-dollars an hour. More than is `stated` is not looked for.
#[must_use]
pub fn proven_cost<State>(snapshot: &Snapshot, plan: &Plan<State>, proof: &StoredProof, stated: i64) -> i64 {
    Verifier::of(snapshot).bound_of_cost(&plan.unplaced, (proof, stated), &|| false)
}

/// Checks everything that a decision states about a Snapshot.
#[must_use]
pub fn verify(snapshot: &Snapshot, decision: &Decision) -> Verdict {
    let mut faults = Vec::new();
    let draft = decision.draft();
    if let Err(violations) = check(snapshot, draft) {
        faults.extend(violations.iter().map(|violation| format!("the plan breaks a rule: {violation}")));
        // what a plan that names pods and pools that are not there comes to cannot be counted
        return Verdict { levels: Vec::new(), faults };
    }
    let plan = decision.draft();
    let world = World::of(snapshot);
    let objectives = objectives_in(&world, snapshot, &plan);
    let stated = &decision.certificate.levels;
    let kinds = |levels: &[Level]| levels.iter().map(|level| level.kind.clone()).collect::<Vec<_>>();
    if kinds(&objectives) != kinds(stated) {
        faults.push("the levels of the certificate are not those of the plan".to_owned());
        return Verdict { levels: Vec::new(), faults };
    }
    for (found, stated) in objectives.iter().zip(stated) {
        if found.objective != stated.objective {
            faults.push(format!("{}: stated {}, the plan comes to {}", stated.kind, stated.objective, found.objective));
        }
    }
    if decision.certificate.stop == Stop::Optimal && stated.iter().any(|level| level.bound < level.objective) {
        faults.push(
            "the search is said to have ended with an optimal plan, but a bound is below its objective".to_owned(),
        );
    }
    let levels = objectives.into_iter().zip(stated).map(|(own, stated)| {
        let proven_bound = match own.kind {
            Kind::Preferences => own.bound,
            Kind::Unplaced { priority } => {
                let stated = decision.certificate.left_proofs.iter().find(|of| of.priority == priority);
                let shown =
                    |of: &StoredLeftProof| bound::of_left(&world, snapshot, &plan.unplaced, priority, &of.proof);
                own.bound + stated.map_or(0, shown)
            }
            Kind::Cost => {
                let proof = (&decision.certificate.proof, stated.bound);
                bound::of_cost(&world, snapshot, &plan.unplaced, proof, &|| false)
            }
        };
        let is_proven = proven_bound >= stated.bound && stated.bound <= stated.objective;
        Verified { stated: stated.clone(), proven_bound, is_proven }
    });
    Verdict { levels: levels.collect(), faults }
}

/// The levels by which plans are compared, with what this plan comes to, and bounds that need no proof: pods that no node
/// of any kind can hold, no preferences given up, no cost.
#[must_use]
pub fn objectives<State>(snapshot: &Snapshot, plan: &Plan<State>) -> Vec<Level> {
    objectives_in(&World::of(snapshot), snapshot, plan)
}

/// By priority of the pending pods: those that no node of any kind can hold.
fn hopeless(world: &World, snapshot: &Snapshot) -> BTreeMap<i32, i64> {
    let mut hopeless = BTreeMap::new();
    let possible = world.possible();
    for (pod, of) in snapshot.pending() {
        let count = hopeless.entry(of.template.spec.priority).or_insert(0);
        *count += i64::from(of.refused.is_some() || !possible.contains(&pod));
    }
    hopeless
}

fn objectives_in<State>(world: &World, snapshot: &Snapshot, plan: &Plan<State>) -> Vec<Level> {
    let mut left: BTreeMap<std::cmp::Reverse<i32>, (i64, i64)> = BTreeMap::new();
    for (priority, pods) in hopeless(world, snapshot) {
        left.entry(std::cmp::Reverse(priority)).or_default().1 = pods;
    }
    for unplaced in &plan.unplaced {
        let priority = snapshot.pods[unplaced.pod].template.spec.priority;
        left.entry(std::cmp::Reverse(priority)).or_default().0 += 1;
    }
    let level = |kind, objective, bound| Level { kind, objective, bound };
    let mut levels: Vec<Level> = left
        .into_iter()
        .map(|(std::cmp::Reverse(priority), (objective, bound))| level(Kind::Unplaced { priority }, objective, bound))
        .collect();
    levels.push(level(Kind::Preferences, preferences::violated(snapshot, plan), 0));
    levels.push(level(Kind::Cost, plan.cost().0, 0));
    levels
}
