//! A draft that the checker refuses loses the pods concerned, until it is accepted.
//!
//! The checker is the judge of our own solvers: what it refuses is a bug of theirs, and must cost the pods that it
//! concerns, never the plan.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::observe::Snapshot;
use crate::plan::check::{Violation, review};
use crate::plan::{Assignment, Checked, Draft, Plan, Target, Unplaced};

/// The draft, or what is left of it, checked; `refused` gets every violation that was found on the way.
pub(super) fn checked(snapshot: &Snapshot, draft: Plan<Draft>, refused: &mut Vec<Violation>) -> Plan<Checked> {
    let mut draft = draft;
    let mut launches_of_a_pool = 1;
    loop {
        match review(snapshot, draft) {
            Ok(plan) => return plan,
            Err((plan, violations)) => {
                let placed = plan.assignments.len();
                draft = without_offenders(snapshot, plan, &violations, launches_of_a_pool);
                refused.extend(violations);
                if draft.assignments.len() == placed {
                    return Plan::nothing(snapshot, "the plan was refused by its own check");
                }
                launches_of_a_pool *= 2;
            }
        }
    }
}

/// The plan without the pods, and all pods of the nodes, that the violations name; without the last launches of a pool that
/// is named alone (`launches_of_a_pool` of them), and without the last launch of all where nothing is named. Where there are more
/// violations than are told, pods equal to those named go as well.
fn without_offenders(
    snapshot: &Snapshot,
    plan: Plan<Draft>,
    violations: &[Violation],
    launches_of_a_pool: usize,
) -> Plan<Draft> {
    let mut launches: BTreeSet<usize> = BTreeSet::new();
    let mut pods: BTreeSet<usize> = BTreeSet::new();
    for violation in violations {
        if let Some(key) = &violation.pod {
            pods.extend(plan.assignments.iter().map(|a| a.pod).filter(|&pod| snapshot.pods[pod].key == *key));
        }
        if violation.pod.is_none()
            && let Some(name) = &violation.node
        {
            launches.extend((0..plan.launches.len()).filter(|&launch| plan.launches[launch].name == *name));
            let on_node =
                |target: Target| matches!(target, Target::Existing(node) if snapshot.nodes[node].name == *name);
            pods.extend(plan.assignments.iter().filter(|a| on_node(a.target)).map(|a| a.pod));
        }
        if violation.pod.is_none()
            && violation.node.is_none()
            && let Some(name) = &violation.pool
        {
            let of_pool = |&launch: &usize| snapshot.node_pools[plan.launches[launch].pool].name == *name;
            launches.extend((0..plan.launches.len()).rev().filter(of_pool).take(launches_of_a_pool));
        }
    }
    if violations.len() >= Violation::MOST {
        let template = |pod: usize| Arc::as_ptr(&snapshot.pods[pod].template);
        let named: HashSet<_> = pods.iter().map(|&pod| template(pod)).collect();
        pods.extend(plan.assignments.iter().map(|a| a.pod).filter(|&pod| named.contains(&template(pod))));
    }
    if launches.is_empty() && pods.is_empty() && !plan.launches.is_empty() {
        launches.insert(plan.launches.len() - 1);
    }
    let stays = |assignment: &Assignment| {
        !pods.contains(&assignment.pod)
            && !matches!(assignment.target, Target::Launch(launch) if launches.contains(&launch))
    };
    let (kept, dropped): (Vec<Assignment>, Vec<Assignment>) = plan.assignments.iter().copied().partition(stays);
    let used: BTreeSet<usize> = kept
        .iter()
        .filter_map(|assignment: &Assignment| match assignment.target {
            Target::Launch(launch) => Some(launch),
            Target::Existing(_) => None,
        })
        .collect();
    let renumbered = |target: Target| match target {
        Target::Launch(launch) => Target::Launch(used.range(..launch).count()),
        existing @ Target::Existing(_) => existing,
    };
    let reason: Arc<str> = format!(
        "the plan's own check refused its place: {}",
        violations.first().map_or_else(String::new, ToString::to_string)
    )
    .into();
    let mut unplaced = plan.unplaced;
    unplaced.extend(dropped.iter().map(|assignment| Unplaced { pod: assignment.pod, reason: reason.clone() }));
    unplaced.sort_by_key(|unplaced| unplaced.pod);
    let launches = plan.launches.into_iter().enumerate().filter(|(index, _)| used.contains(index));
    Plan::draft(
        launches.map(|(_, launch)| launch).collect(),
        kept.into_iter().map(|a| Assignment { pod: a.pod, target: renumbered(a.target) }).collect(),
        unplaced,
    )
}
