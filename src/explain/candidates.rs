//! The changes that could help a pod which the plan leaves: of its own rules first, then of the NodePools.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::alternatives::limits_left;
use super::edit::{Edit, PodEdit, PoolEdit, limit_of};
use super::rules::affinity_keys;
use crate::api::labels;
use crate::model::{Dims, Problem, rules};
use crate::observe::Snapshot;
use crate::observe::snapshot::{NodePool, PodSpec, Taint, TaintEffect, WhenUnsatisfiable};
use crate::plan::{Checked, Launch, Plan};
use crate::requirements::Requirement;
use crate::resources::PODS;

/// In the order in which they are tried, each once.
pub(super) fn candidates(problem: &Problem, plan: &Plan<Checked>, pod: usize) -> Vec<Edit> {
    let snapshot = problem.snapshot;
    let spec = &snapshot.pods[pod].template.spec;
    let mut edits: Vec<Edit> = of_pod(spec).into_iter().map(Edit::Pods).collect();
    edits.extend(taints(snapshot, spec).into_iter().map(|taint| Edit::Pods(PodEdit::Tolerate(taint))));
    edits.extend(smaller(problem, spec).into_iter().map(Edit::Pods));
    for (index, pool) in snapshot.node_pools.iter().enumerate() {
        if pool.unusable.is_none() && pool.replicas.is_none() {
            edits.extend(of_pool(pool, spec).into_iter().map(|edit| Edit::Pool(index, edit)));
        }
    }
    // of limits that leave less than some type counts
    edits.retain(|edit| match edit {
        Edit::Pool(index, PoolEdit::DropLimit(name)) => {
            let model = problem.pools.iter().find(|model| model.index == *index);
            model.is_none_or(|model| {
                let left = limits_left(model, plan, None);
                let position = model.limits().iter().position(|limit| limit.name == *name);
                position.is_none_or(|position| {
                    model.sold().any(|(kind, offering)| model.counted(kind, offering)[position] > left[position])
                })
            })
        }
        _ => true,
    });
    edits
}

fn of_pod(spec: &PodSpec) -> Vec<PodEdit> {
    let mut edits: Vec<PodEdit> = spec.node_selector.keys().cloned().map(PodEdit::DropNodeSelector).collect();
    let keys = affinity_keys(spec);
    if keys.len() > 1 || spec.node_affinity.len() > 1 {
        edits.extend(keys.iter().map(|(key, _)| PodEdit::DropNodeAffinityKey(key.clone())));
        if keys.len() > 1 {
            edits.push(PodEdit::DropNodeAffinity);
        }
    } else {
        edits.extend(keys.into_iter().map(|(key, _)| PodEdit::DropNodeAffinityKey(key)));
    }
    let spreads = spec.topology_spread.iter().enumerate();
    let hard = spreads.filter(|(_, constraint)| constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    edits.extend(hard.map(|(position, _)| PodEdit::SoftenSpread(position)));
    edits.extend((0..spec.pod_affinity.len()).map(PodEdit::DropPodAffinity));
    edits.extend((0..spec.pod_anti_affinity.len()).map(PodEdit::DropPodAntiAffinity));
    if !spec.host_ports.is_empty() {
        edits.push(PodEdit::DropHostPorts);
    }
    edits
}

/// The hard taints of pools and nodes that the pod does not tolerate.
fn taints(snapshot: &Snapshot, spec: &PodSpec) -> BTreeSet<Taint> {
    const MOST: usize = 8;
    let of_pools = snapshot.node_pools.iter().flat_map(|pool| &pool.taints);
    let of_nodes = snapshot.nodes.iter().filter(|node| !node.deleting).flat_map(|node| &node.taints);
    let hard = of_pools.chain(of_nodes).filter(|taint| taint.effect != TaintEffect::PreferNoSchedule);
    let of_operators = |taint: &&Taint| !taint.key.starts_with("node.kubernetes.io/");
    let kept_out = hard
        .filter(of_operators)
        .filter(|taint| !rules::tolerates_all(&spec.tolerations, std::slice::from_ref(*taint)));
    kept_out.take(MOST).cloned().collect()
}

/// Each request at the most below it that some node has room for beside the pod's others, or at all.
fn smaller(problem: &Problem, spec: &PodSpec) -> Vec<PodEdit> {
    let names = problem.dims.names();
    let wanted = problem.dims.amounts(&spec.requests);
    let rooms: Vec<&[i64]> = {
        let types = problem.pools.iter().flat_map(|pool| &pool.types).map(|kind| &*kind.room);
        types.chain(problem.nodes.iter().map(|node| &*node.room)).collect()
    };
    let mut edits = Vec::new();
    for (dim, name) in names.iter().enumerate().filter(|(_, name)| name.as_ref() != PODS) {
        let others_fit = |room: &&&[i64]| (0..wanted.len()).all(|d| d == dim || wanted[d] <= room[d].max(0));
        let smaller = |room: &i64| *room < wanted[dim];
        let beside = rooms.iter().filter(others_fit).map(|room| room[dim]).filter(smaller).max();
        let most = rooms.iter().map(|room| room[dim]).max().unwrap_or(0);
        let alone = (most < wanted[dim]).then_some(most);
        // a pod without cpu or memory is no answer; one without an accelerator may be
        let is_base = dim == Dims::CPU || dim == Dims::MEMORY;
        let amount = beside.or(alone).map(|amount| rounded(name, amount.max(0)));
        edits.extend(
            amount.filter(|amount| *amount > 0 || !is_base).map(|amount| PodEdit::Request(name.clone(), amount)),
        );
    }
    edits
}

/// Down to what people write: 10m of cpu, 1Mi.
fn rounded(name: &str, amount: i64) -> i64 {
    let step = match name {
        "cpu" => 10,
        "memory" | "ephemeral-storage" => 1 << 20,
        _ => 1,
    };
    amount / step * step
}

fn of_pool(pool: &NodePool, spec: &PodSpec) -> Vec<PoolEdit> {
    let mut edits = Vec::new();
    let limits = pool.limits.resources.iter().map(|(name, _)| name.clone());
    let nodes = pool.limits.nodes.map(|_| Arc::from(labels::LIMIT_NODES));
    let spend = pool.limits.usd_per_hour.map(|_| Arc::from(labels::LIMIT_USD_PER_HOUR));
    edits.extend(limits.chain(nodes).chain(spend).map(PoolEdit::DropLimit));
    let hard = pool.taints.iter().filter(|taint| taint.effect != TaintEffect::PreferNoSchedule);
    let kept_out = hard.filter(|taint| !rules::tolerates_all(&spec.tolerations, std::slice::from_ref(*taint)));
    edits.extend(kept_out.cloned().map(PoolEdit::RemoveTaint));
    let selected = spec
        .node_selector
        .iter()
        .map(|(key, value)| (Arc::from(labels::normalize(key)), Requirement::one_of([value.clone()])));
    let wanted: Vec<(Arc<str>, Requirement)> = selected.chain(affinity_keys(spec)).collect();
    for (key, wanted) in &wanted {
        let has = pool.requirements.get(key);
        let values = wanted.finite_values().filter(|values| !values.is_empty());
        if has.is_some_and(|has| has.intersects(wanted)) {
            continue;
        }
        match values {
            Some(values) if !labels::is_well_known(key) && has.is_none_or(|_| pool.labels.contains_key(key)) => {
                edits.extend(values.first().map(|value| PoolEdit::Label(key.clone(), value.clone())));
            }
            Some(values) if has.is_some_and(|has| has.finite_values().is_some()) => {
                edits.push(PoolEdit::Allow(key.clone(), values.clone()));
            }
            _ if has.is_some() => edits.push(PoolEdit::DropRequirement(key.clone())),
            _ => {}
        }
    }
    for (key, requirement) in &pool.requirements {
        if requirement.min_values.is_some() {
            edits.push(PoolEdit::DropMinValues(key.clone()));
        }
        let is_asked = wanted.iter().any(|(other, _)| other == key);
        if labels::is_well_known(key) && !pool.labels.contains_key(key) && !is_asked && **key != *labels::OS {
            edits.push(PoolEdit::DropRequirement(key.clone()));
        }
    }
    edits
}

/// Instead of a limit or a requirement that is removed, the least that the plan without it needs: the amount that the
/// pool then uses, or the value of the node on which the pod then is.
pub(super) fn refined(
    after: &Snapshot,
    before: &Snapshot,
    plan: &Plan<Checked>,
    launch: Option<&Launch>,
    edit: &Edit,
) -> Edit {
    match edit {
        Edit::Pool(index, PoolEdit::DropLimit(name)) => {
            let amount = used(after, plan, *index, name).max(limit_of(&before.node_pools[*index], name).unwrap_or(0));
            Edit::Pool(*index, PoolEdit::Limit(name.clone(), amount))
        }
        Edit::Pool(index, PoolEdit::DropRequirement(key)) => {
            let known = before.node_pools[*index].requirements.get(key).and_then(|r| r.finite_values());
            let value = launch.filter(|launch| launch.pool == *index).and_then(|launch| value_of(after, launch, key));
            match (known, value) {
                (Some(_), Some(value)) => Edit::Pool(*index, PoolEdit::Allow(key.clone(), [value].into())),
                _ => edit.clone(),
            }
        }
        _ => edit.clone(),
    }
}

/// What the pool uses of a limit once the plan is carried out, at worst.
fn used(snapshot: &Snapshot, plan: &Plan<Checked>, pool: usize, name: &str) -> i64 {
    // with a limit that nothing reaches, what it leaves says what is used
    const ENOUGH: i64 = i64::MAX / 4;
    let mut limited = snapshot.clone();
    let of_pool = &mut limited.node_pools[pool];
    match name {
        labels::LIMIT_NODES => of_pool.limits.nodes = Some(ENOUGH),
        labels::LIMIT_USD_PER_HOUR => of_pool.limits.usd_per_hour = Some(crate::units::MicroUsd(ENOUGH)),
        _ => of_pool.limits.resources.set(name, ENOUGH),
    }
    let problem = Problem::new(&limited);
    let Some(model) = problem.pools.iter().find(|model| model.index == pool) else { return 0 };
    let position = model.limits().iter().position(|limit| &*limit.name == name).unwrap_or(0);
    ENOUGH - limits_left(model, plan, None)[position]
}

fn value_of(snapshot: &Snapshot, launch: &Launch, key: &str) -> Option<Arc<str>> {
    let offer = launch.offers.first()?;
    match key {
        labels::ZONE => return Some(offer.zone.clone()),
        labels::CAPACITY_TYPE => return Some(Arc::from(launch.capacity_type.label())),
        _ => {}
    }
    let types = &snapshot.node_pools[launch.pool].instance_types;
    let kind = types.iter().find(|kind| kind.name == offer.instance_type)?;
    kind.requirements.get(key)?.single_value().cloned()
}
