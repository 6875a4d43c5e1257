//! One change of a manifest, as a pure function from Snapshot to Snapshot.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::facts::Change;
use super::subject::owner_of;
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{
    NodePool, PodSpec, PodTemplate, Taint, Toleration, TolerationOperator, WhenUnsatisfiable,
};
use crate::requirements::Requirement;
use crate::resources::{PODS, display_amount};
use crate::units::MicroUsd;

#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Of the pod that is asked about and every pending pod of its owner.
    Pods(PodEdit),
    /// Of the NodePool with this index in the Snapshot.
    Pool(usize, PoolEdit),
    /// One more instance of a capacity reservation.
    Reservation(Arc<str>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum PodEdit {
    DropNodeSelector(Arc<str>),
    /// The key in every term; terms that have no other go.
    DropNodeAffinityKey(Arc<str>),
    DropNodeAffinity,
    Tolerate(Taint),
    /// By position; as a preference it is not needed any more.
    SoftenSpread(usize),
    DropSpread(usize),
    DropPodAffinity(usize),
    DropPodAntiAffinity(usize),
    DropHostPorts,
    Request(Arc<str>, i64),
}

#[derive(Debug, Clone, PartialEq)]
pub enum PoolEdit {
    /// A resource, `nodes` or the spend cap, in its unit.
    Limit(Arc<str>, i64),
    DropLimit(Arc<str>),
    Allow(Arc<str>, BTreeSet<Arc<str>>),
    DropRequirement(Arc<str>),
    DropMinValues(Arc<str>),
    Label(Arc<str>, Arc<str>),
    RemoveTaint(Taint),
}

/// The pods whose manifest is that of this one: pending ones of its owner, or it alone.
#[must_use]
pub fn siblings(snapshot: &Snapshot, pod: usize) -> Vec<usize> {
    let of = &snapshot.pods[pod];
    let Some(owner) = owner_of(of) else { return vec![pod] };
    let is_sibling = |(index, other): (usize, &_)| {
        let other: &crate::observe::snapshot::Pod = other;
        (other.key.namespace == of.key.namespace && owner_of(other).as_ref() == Some(&owner)).then_some(index)
    };
    snapshot.pending().filter_map(is_sibling).collect()
}

/// The object whose manifest decides about the pod.
#[must_use]
pub fn object_of(snapshot: &Snapshot, pod: usize) -> String {
    let of = &snapshot.pods[pod];
    match owner_of(of) {
        Some((kind, name)) => format!("{kind} {}/{name}", of.key.namespace),
        None => format!("Pod {}", of.key),
    }
}

/// The Snapshot as it would be; `pods` are those whose manifest is edited.
#[must_use]
pub fn edited(snapshot: &Snapshot, pods: &[usize], edits: &[Edit]) -> Snapshot {
    let mut edited = snapshot.clone();
    for edit in edits {
        match edit {
            Edit::Pods(edit) => edit_pods(&mut edited, pods, edit),
            Edit::Pool(index, edit) => edit_pool(&mut edited.node_pools[*index], edit),
            Edit::Reservation(id) => edit_reservation(&mut edited, id),
        }
    }
    edited
}

fn edit_pods(snapshot: &mut Snapshot, pods: &[usize], edit: &PodEdit) {
    let mut made: HashMap<*const PodTemplate, Arc<PodTemplate>> = HashMap::new();
    for &pod in pods {
        let old = snapshot.pods[pod].template.clone();
        let new = made.entry(Arc::as_ptr(&old)).or_insert_with(|| {
            let mut template = (*old).clone();
            edit_spec(&mut template.spec, edit);
            Arc::new(template)
        });
        snapshot.pods[pod].template = new.clone();
    }
}

fn edit_spec(spec: &mut PodSpec, edit: &PodEdit) {
    match edit {
        PodEdit::DropNodeSelector(key) => drop(spec.node_selector.remove(key)),
        PodEdit::DropNodeAffinityKey(key) => {
            for term in &mut spec.node_affinity {
                term.0.remove(key);
            }
            if spec.node_affinity.iter().any(|term| term.0.is_empty()) {
                spec.node_affinity.clear(); // a term that asks for nothing holds everywhere
            }
        }
        PodEdit::DropNodeAffinity => spec.node_affinity.clear(),
        PodEdit::Tolerate(taint) => spec.tolerations.push(Toleration {
            key: taint.key.clone(),
            operator: TolerationOperator::Equal,
            value: taint.value.clone(),
            effect: Some(taint.effect),
        }),
        PodEdit::SoftenSpread(position) => {
            if let Some(constraint) = spec.topology_spread.get_mut(*position) {
                constraint.when_unsatisfiable = WhenUnsatisfiable::ScheduleAnyway;
                constraint.min_domains = None;
            }
        }
        PodEdit::DropSpread(position) => {
            if *position < spec.topology_spread.len() {
                spec.topology_spread.remove(*position);
            }
        }
        PodEdit::DropPodAffinity(position) => {
            if *position < spec.pod_affinity.len() {
                spec.pod_affinity.remove(*position);
            }
        }
        PodEdit::DropPodAntiAffinity(position) => {
            if *position < spec.pod_anti_affinity.len() {
                spec.pod_anti_affinity.remove(*position);
            }
        }
        PodEdit::DropHostPorts => spec.host_ports.clear(),
        PodEdit::Request(resource, amount) => spec.requests.set(resource.clone(), *amount),
    }
}

fn edit_pool(pool: &mut NodePool, edit: &PoolEdit) {
    match edit {
        PoolEdit::Limit(name, amount) => match name.as_ref() {
            labels::LIMIT_NODES => pool.limits.nodes = Some(*amount),
            labels::LIMIT_USD_PER_HOUR => pool.limits.usd_per_hour = Some(MicroUsd(*amount)),
            _ => pool.limits.resources.set(name.clone(), *amount),
        },
        PoolEdit::DropLimit(name) => match name.as_ref() {
            labels::LIMIT_NODES => pool.limits.nodes = None,
            labels::LIMIT_USD_PER_HOUR => pool.limits.usd_per_hour = None,
            _ => {
                let others = pool.limits.resources.iter().filter(|(other, _)| *other != name);
                pool.limits.resources = others.map(|(other, amount)| (other.clone(), amount)).collect();
            }
        },
        PoolEdit::Allow(key, values) => {
            let old = pool.requirements.get(key);
            let known = old.and_then(|old| old.finite_values()).into_iter().flatten();
            let mut wider = Requirement::one_of(known.chain(values).cloned().collect::<BTreeSet<_>>());
            wider.min_values = old.and_then(|old| old.min_values);
            pool.requirements.replace(key, wider);
        }
        PoolEdit::DropRequirement(key) => drop(pool.requirements.remove(key)),
        PoolEdit::DropMinValues(key) => {
            if let Some(mut kept) = pool.requirements.get(key).cloned() {
                kept.min_values = None;
                pool.requirements.replace(key, kept);
            }
        }
        PoolEdit::Label(key, value) => {
            pool.labels.insert(key.clone(), value.clone());
            pool.requirements.replace(key, Requirement::one_of([value.clone()]));
        }
        PoolEdit::RemoveTaint(taint) => pool.taints.retain(|other| other != taint),
    }
}

fn edit_reservation(snapshot: &mut Snapshot, id: &Arc<str>) {
    for pool in &mut snapshot.node_pools {
        let types = Arc::make_mut(&mut pool.instance_types);
        let reservations = types.iter_mut().flat_map(|kind| &mut kind.offerings).filter_map(|o| o.reservation.as_mut());
        for reservation in reservations.filter(|reservation| reservation.id == *id) {
            reservation.free += 1;
        }
    }
}

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
    }
}

fn describe_pod(snapshot: &Snapshot, pod: usize, edit: &PodEdit) -> Change {
    let of = &snapshot.pods[pod];
    let spec = &of.template.spec;
    let prefix = if owner_of(of).is_some() { "spec.template.spec" } else { "spec" };
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
            let key = spec.topology_spread.get(*position).map_or("", |constraint| &*constraint.topology_key);
            let hard = "DoNotSchedule".to_owned();
            if matches!(edit, PodEdit::DropSpread(_)) {
                (format!("topologySpreadConstraints[{key}]"), Some(hard), None)
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
    };
    Change { object: object_of(snapshot, pod), field: format!("{prefix}.{field}"), from, to }
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
