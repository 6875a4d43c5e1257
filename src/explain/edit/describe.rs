//! Edits in the words of the manifests.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::facts::Change;
use super::super::subject::owner_of;
use super::{Edit, PodEdit, PoolEdit, object_of};
use crate::api::labels;
use crate::api::node_pool::{Budget, ConsolidationPolicy};
use crate::observe::Snapshot;
use crate::observe::snapshot::{NodePool, Taint};
use crate::requirements::Requirement;
use crate::resources::{PODS, display_amount};
use crate::units::MicroUsd;

/// The edit in the words of the manifests; `pod` is the one that is asked about.
#[must_use]
pub fn describe(snapshot: &Snapshot, pod: Option<usize>, edit: &Edit) -> Change {
    match edit {
        Edit::Pods(edit) => match pod {
            Some(pod) => describe_pod(snapshot, pod, edit),
            None => Change { object: "Pod".to_owned(), field: String::new(), from: None, to: None },
        },
        Edit::Pool(index, edit) => describe_pool(&snapshot.node_pools[*index], edit),
        Edit::Reservation(id) => Change {
            object: format!("capacity reservation {id}"),
            field: "instances".to_owned(),
            from: None,
            to: Some("one more".to_owned()),
        },
        Edit::DropBudget(index) => {
            let budget = &snapshot.disruption_budgets[*index];
            let from = Some(format!("{} allowed", budget.disruptions_allowed));
            let object = format!("PodDisruptionBudget {}", budget.key);
            Change { object, field: "disruptions".to_owned(), from, to: None }
        }
        Edit::AllowDisruption(index) => Change {
            object: format!("Node {}", snapshot.nodes[*index].name),
            field: format!("metadata.annotations[{}]", labels::DO_NOT_DISRUPT),
            from: Some("true".to_owned()),
            to: None,
        },
    }
}

fn describe_pod(snapshot: &Snapshot, pod: usize, edit: &PodEdit) -> Change {
    let of = &snapshot.pods[pod];
    let spec = &of.template.spec;
    let root = if owner_of(of).is_some() { "spec.template." } else { "" };
    let section = if *edit == PodEdit::AllowDisruption { "metadata" } else { "spec" };
    let term = "requiredDuringSchedulingIgnoredDuringExecution";
    let (field, from, to) = match edit {
        PodEdit::DropNodeSelector(key) => {
            (format!("nodeSelector[{key}]"), spec.node_selector.get(key).map(ToString::to_string), None)
        }
        PodEdit::DropNodeAffinityKey(key) => {
            let wanted: BTreeSet<String> =
                spec.node_affinity.iter().filter_map(|term| term.0.get(key)).map(ToString::to_string).collect();
            let from = wanted.into_iter().collect::<Vec<_>>().join(" or ");
            (format!("affinity.nodeAffinity.{term}[{key}]"), Some(from), None)
        }
        PodEdit::DropNodeAffinity => {
            let terms: Vec<String> = spec.node_affinity.iter().map(|term| term.0.to_string()).collect();
            (format!("affinity.nodeAffinity.{term}"), Some(terms.join(" or ")), None)
        }
        PodEdit::Tolerate(taint) => ("tolerations".to_owned(), None, Some(shown_taint(taint))),
        PodEdit::SoftenSpread(position) | PodEdit::DropSpread(position) => {
            let constraint = spec.topology_spread.get(*position);
            let key = constraint.map_or("", |constraint| &*constraint.topology_key);
            let hard = "DoNotSchedule".to_owned();
            if matches!(edit, PodEdit::DropSpread(_)) {
                let skew = constraint.map(|constraint| format!("maxSkew {}, {hard}", constraint.max_skew));
                (format!("topologySpreadConstraints[{key}]"), skew, None)
            } else {
                let field = format!("topologySpreadConstraints[{key}].whenUnsatisfiable");
                (field, Some(hard), Some("ScheduleAnyway".to_owned()))
            }
        }
        PodEdit::DropPodAffinity(position) => {
            let key = spec.pod_affinity.get(*position).map_or("", |term| &*term.topology_key);
            (format!("affinity.podAffinity.{term}[{position}]"), Some(format!("over {key}")), None)
        }
        PodEdit::DropPodAntiAffinity(position) => {
            let key = spec.pod_anti_affinity.get(*position).map_or("", |term| &*term.topology_key);
            (format!("affinity.podAntiAffinity.{term}[{position}]"), Some(format!("over {key}")), None)
        }
        PodEdit::DropHostPorts => {
            let ports: Vec<String> =
                spec.host_ports.iter().map(|port| format!("{}/{}", port.port, port.protocol)).collect();
            ("containers[].ports[].hostPort".to_owned(), Some(ports.join(", ")), None)
        }
        PodEdit::Request(resource, amount) => (
            format!("requests of {resource}, all containers together"),
            Some(display_amount(resource, spec.requests.get(resource))),
            (*amount > 0).then(|| display_amount(resource, *amount)),
        ),
        PodEdit::AllowDisruption => (format!("annotations[{}]", labels::DO_NOT_DISRUPT), Some("true".to_owned()), None),
    };
    Change { object: object_of(snapshot, pod), field: format!("{root}{section}.{field}"), from, to }
}

fn describe_pool(pool: &NodePool, edit: &PoolEdit) -> Change {
    let requirement = |key: &str| pool.requirements.get(key).map(ToString::to_string);
    let (field, from, to) = match edit {
        PoolEdit::Limit(name, amount) => (
            format!("spec.limits[{name}]"),
            limit_of(pool, name).map(|old| shown_limit(name, old)),
            Some(shown_limit(name, *amount)),
        ),
        PoolEdit::DropLimit(name) => {
            (format!("spec.limits[{name}]"), limit_of(pool, name).map(|old| shown_limit(name, old)), None)
        }
        PoolEdit::Allow(key, values) => {
            let known = pool.requirements.get(key).and_then(|old| old.finite_values()).into_iter().flatten();
            let all: BTreeSet<Arc<str>> = known.chain(values).cloned().collect();
            (
                format!("spec.template.spec.requirements[{key}]"),
                requirement(key),
                Some(Requirement::one_of(all).to_string()),
            )
        }
        PoolEdit::DropRequirement(key) => (format!("spec.template.spec.requirements[{key}]"), requirement(key), None),
        PoolEdit::DropMinValues(key) => {
            let old = pool.requirements.get(key).and_then(|old| old.min_values).map(|least| least.to_string());
            (format!("spec.template.spec.requirements[{key}].minValues"), old, None)
        }
        PoolEdit::Label(key, value) => (
            format!("spec.template.metadata.labels[{key}]"),
            pool.labels.get(key).map(ToString::to_string),
            Some(value.to_string()),
        ),
        PoolEdit::RemoveTaint(taint) => ("spec.template.spec.taints".to_owned(), Some(shown_taint(taint)), None),
        PoolEdit::DropDisruptionBudget(position) => {
            let from = pool.disruption.budgets.get(*position).map(shown_budget);
            (format!("spec.disruption.budgets[{position}]"), from, None)
        }
        PoolEdit::ConsolidateAtOnce => {
            let seconds = pool.disruption.consolidate_after_seconds;
            let from = seconds.map_or_else(|| "Never".to_owned(), |seconds| format!("{seconds}s"));
            ("spec.disruption.consolidateAfter".to_owned(), Some(from), Some("0s".to_owned()))
        }
        PoolEdit::ConsolidateUsed => (
            "spec.disruption.consolidationPolicy".to_owned(),
            Some(pool.disruption.consolidation_policy.to_string()),
            Some(ConsolidationPolicy::WhenEmptyOrUnderutilized.as_str().to_owned()),
        ),
    };
    Change { object: format!("NodePool {}", pool.name), field, from, to }
}

/// What a pool is limited to, in the unit of the limit.
#[must_use]
pub fn limit_of(pool: &NodePool, name: &str) -> Option<i64> {
    match name {
        labels::LIMIT_NODES => pool.limits.nodes,
        labels::LIMIT_USD_PER_HOUR => pool.limits.usd_per_hour.map(|cap| cap.0),
        _ => pool.limits.resources.contains(name).then(|| pool.limits.resources.get(name)),
    }
}

/// An amount of a limit as the manifest writes it.
#[must_use]
pub fn shown_limit(name: &str, amount: i64) -> String {
    if name == labels::LIMIT_USD_PER_HOUR {
        return MicroUsd(amount).as_usd().to_string();
    }
    display_amount(if name == labels::LIMIT_NODES { PODS } else { name }, amount)
}

/// `key=value:Effect`.
#[must_use]
pub fn shown_taint(taint: &Taint) -> String {
    let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
    format!("{}{value}:{:?}", taint.key, taint.effect)
}

/// `10% of nodes for Empty, Drifted`, with its schedule.
fn shown_budget(budget: &Budget) -> String {
    let reasons: Vec<String> = budget.reasons.iter().map(|reason| format!("{reason:?}")).collect();
    let of_reasons = if reasons.is_empty() { String::new() } else { format!(" for {}", reasons.join(", ")) };
    let schedule = budget.schedule.as_ref().map_or_else(String::new, |schedule| format!(", at {schedule}"));
    format!("nodes {}{of_reasons}{schedule}", budget.nodes)
}
