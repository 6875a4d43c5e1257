//! What a limit or a rule costs: planned again without it, and what both plans and their bounds prove.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alternatives::limits_left;
use super::edit::{Edit, PodEdit, PoolEdit, describe, edited, limit_of, siblings};
use super::facts::{Dual, Interval, WhatIf};
use super::places::Places;
use super::rules::affinity_keys;
use super::{Asked, Question};
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::host::{self, Decision, Limits};
use crate::model::{PoolModel, Problem};
use crate::observe::Snapshot;
use crate::observe::snapshot::{PodSpec, WhenUnsatisfiable};
use crate::plan::{Launch, Target, preferences};
use crate::resources::MEMORY;
use crate::units::MicroUsd;

/// Plans that are made at most; they share twice the time limit.
const MOST_PLANS: u32 = 4;

/// The limits and rules that touch what is asked about, each planned again.
pub(super) fn what_if(question: &Question, problem: &Problem, asked: &Asked) -> Vec<WhatIf> {
    let mut edits: Vec<(&'static str, Edit, Option<Dual>)> = Vec::new();
    if let Some(launch) = asked.launch {
        edits.extend(limits(question, problem, launch).into_iter().map(|(edit, dual)| ("limit", edit, dual)));
    }
    if let Some(pod) = asked.pod {
        let spec = &problem.snapshot.pods[pod].template.spec;
        edits.extend(hard_rules(spec).into_iter().map(|edit| ("rule", Edit::Pods(edit), None)));
    }
    edits.truncate(MOST_PLANS as usize);
    let count = u32::try_from(edits.len()).unwrap_or(MOST_PLANS).max(1);
    let time = question.limits.time.min(question.limits.time * 2 / count);
    let pods = asked.pod.map(|pod| siblings(problem.snapshot, pod)).unwrap_or_default();
    let mut answers = Vec::new();
    for (kind, edit, dual) in edits {
        let change = describe(problem.snapshot, asked.pod, &edit);
        (question.progress)(&format!("planning with another {} of {}", change.field, change.object));
        let snapshot = Arc::new(edited(problem.snapshot, &pods, &[edit]));
        let decision = host::decide(&snapshot, Limits { time, ..question.limits });
        let (saving_usd_hour, note) = match saving(problem.snapshot, question.decision, &snapshot, &decision) {
            Ok(interval) => (Some(interval), None),
            Err(why) => (None, Some(why)),
        };
        answers.push(WhatIf { kind, change, dual, saving_usd_hour, note });
    }
    answers
}

/// What the better question saves: at least what its plan costs less than anything could before, at most what the plan
/// costs more than anything can then. The old plan is an answer to the new question, so that it saves no less than nothing.
pub(crate) fn saving(before: &Snapshot, old: &Decision, after: &Snapshot, new: &Decision) -> Result<Interval, String> {
    let (left_before, left_after) = (left_by_priority(before, old), left_by_priority(after, new));
    if left_before != left_after {
        let (old, new) = (old.plan.unplaced.len(), new.plan.unplaced.len());
        return Err(if new < old {
            let more = if old - new == 1 { "one more pod".to_owned() } else { format!("{} more pods", old - new) };
            format!("the plan then places {more}, so that the costs cannot be compared")
        } else {
            "planned again, other pods are left, so that the costs cannot be compared".to_owned()
        });
    }
    if preferences::violated(before, &old.plan) != preferences::violated(after, &new.plan) {
        return Err("the plan then meets other preferences, so that the costs cannot be compared".to_owned());
    }
    if host::accepts(after, &old.plan).is_err() {
        return Err("the plan as it is would not be allowed then, so that the costs cannot be compared".to_owned());
    }
    let new_cost = new.plan.cost().min(old.plan.cost());
    let at_least = (old.certificate.bound - new_cost).max(MicroUsd::ZERO);
    let at_most = (old.plan.cost() - new.certificate.bound).max(at_least);
    Ok(Interval { at_least: at_least.as_usd(), at_most: at_most.as_usd() })
}

pub(crate) fn left_by_priority(snapshot: &Snapshot, decision: &Decision) -> BTreeMap<i32, usize> {
    let mut left = BTreeMap::new();
    for unplaced in &decision.plan.unplaced {
        *left.entry(snapshot.pods[unplaced.pod].template.spec.priority).or_insert(0) += 1;
    }
    left
}

/// The limits of the launch's pool that leave no room for some type which they admit, raised by one more such node; the
/// reservations that the plan uses up, by one instance.
fn limits(question: &Question, problem: &Problem, launch: usize) -> Vec<(Edit, Option<Dual>)> {
    const MOST: usize = 2;
    let (plan, launch) = (&question.decision.plan, &question.decision.plan.launches[launch]);
    let Some(pool) = problem.pools.iter().find(|pool| pool.index == launch.pool) else { return Vec::new() };
    let left = limits_left(pool, plan, None);
    let one_more = counted(pool, launch);
    let mut found: Vec<(Edit, Option<Dual>)> = Vec::new();
    for (position, ((limit, left), one_more)) in pool.limits().iter().zip(left).zip(one_more).enumerate() {
        let used = || pool.sold().map(|(kind, offering)| pool.counted(kind, offering)[position]);
        // the bound leaves out what is too large for the limit: what one more unit lets in, its price does not know
        let dual = dual(question, pool.index, &limit.name)
            .filter(|dual| !used().any(|used| used > limit.left && used <= limit.left.saturating_add(dual.amount)));
        let shut_out = used().any(|used| used <= limit.left && used > left);
        if (shut_out || dual.is_some()) && one_more > 0 {
            let raised = limit_of(pool.pool, &limit.name).unwrap_or(0).saturating_add(one_more);
            found.push((Edit::Pool(pool.index, PoolEdit::Limit(limit.name.clone(), raised)), dual));
        }
    }
    found.sort_by_key(|(_, dual)| dual.is_none());
    if let Some(id) = launch.offers.first().and_then(|offer| offer.reservation.clone()) {
        let used = plan.launches.iter().filter(|other| {
            other.capacity_type == CapacityType::Reserved
                && other.offers.first().is_some_and(|offer| offer.reservation.as_ref() == Some(&id))
        });
        let offerings = pool.types.iter().flat_map(|kind| &kind.offerings).filter_map(|o| o.reservation.as_ref());
        let free = offerings.filter(|of| of.id == id).map(|of| of.free).max().unwrap_or(0);
        if used.count() >= free as usize {
            found.insert(0, (Edit::Reservation(id), None));
        }
    }
    found.truncate(MOST);
    found
}

/// What one more such node counts.
fn counted(pool: &PoolModel, launch: &Launch) -> Vec<i64> {
    let chosen = launch.offers.first();
    let is_it = |&(kind, offering): &(usize, usize)| {
        let (model, offering) = (&pool.types[kind], pool.types[kind].offerings[offering]);
        chosen.is_some_and(|offer| {
            offer.instance_type == model.instance_type.name
                && offer.zone == offering.zone
                && launch.capacity_type == offering.capacity_type
        })
    };
    let found = pool.sold().find(is_it);
    found.map_or_else(|| vec![0; pool.limits().len()], |(kind, offering)| pool.counted(kind, offering))
}

/// In a unit that people think in; `None` where the bound gives nothing for it.
#[allow(clippy::cast_precision_loss)] // for people
fn dual(question: &Question, pool: usize, limit: &str) -> Option<Dual> {
    let price = question.decision.proof.limit_prices.iter().find(|of| of.pool == pool && &*of.limit == limit)?.price;
    let (unit, amount) = match limit {
        "cpu" => ("1 cpu".to_owned(), 1_000),
        MEMORY => ("1Gi memory".to_owned(), 1 << 30),
        labels::LIMIT_USD_PER_HOUR => ("1 dollar an hour".to_owned(), 1_000_000),
        labels::LIMIT_NODES => ("1 node".to_owned(), 1),
        other => (format!("1 {other}"), 1),
    };
    Some(Dual { at_most_usd_hour: price as f64 * amount as f64 / 1e18, unit, amount })
}

/// What the pod's own hard rules are without one of them.
fn hard_rules(spec: &PodSpec) -> Vec<PodEdit> {
    let spreads = spec.topology_spread.iter().enumerate();
    let hard = spreads.filter(|(_, constraint)| constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    let mut edits: Vec<PodEdit> = hard.map(|(position, _)| PodEdit::DropSpread(position)).collect();
    edits.extend((0..spec.pod_anti_affinity.len()).map(PodEdit::DropPodAntiAffinity));
    edits.extend((0..spec.pod_affinity.len()).map(PodEdit::DropPodAffinity));
    edits.extend(spec.node_selector.keys().cloned().map(PodEdit::DropNodeSelector));
    match (spec.node_affinity.len(), affinity_keys(spec)) {
        (0, _) => {}
        (1, keys) => edits.extend(keys.into_iter().map(|(key, _)| PodEdit::DropNodeAffinityKey(key))),
        _ => edits.push(PodEdit::DropNodeAffinity),
    }
    edits
}

/// What the bound counts for a pod, dollars an hour: nano-dollars over theta, rounded down.
#[allow(clippy::cast_precision_loss)] // for people
pub(super) fn worth(question: &Question, problem: &Problem, places: &Places, pod: usize) -> Option<f64> {
    let proof = &question.decision.proof;
    let group = problem.groups.iter().find(|group| group.pods.binary_search(&pod).is_ok())?;
    let first = group.pods[0];
    let zone = places.target(pod).and_then(|target: Target| places.label(target, labels::ZONE));
    let of_zone = |of: &Option<Arc<str>>| of.is_none() || zone.is_none() || of.as_deref() == zone;
    let values = proof.values.iter().filter(|worth| worth.pod == first && of_zone(&worth.zone));
    let value = values.map(|worth| i128::from(worth.value)).min()?;
    let (most, price) = proof.theta;
    (most > 0).then(|| (value * price / most / 1_000) as f64 / 1e6)
}
