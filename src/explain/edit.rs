//! One change of a manifest, as a pure function from Snapshot to Snapshot.

mod describe;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use describe::{describe, limit_of, shown_limit, shown_taint};

use super::subject::owner_of;
use crate::api::labels;
use crate::api::node_pool::ConsolidationPolicy;
use crate::observe::Snapshot;
use crate::observe::snapshot::{
    NodePool, PodSpec, PodTemplate, Taint, Toleration, TolerationOperator, WhenUnsatisfiable,
};
use crate::requirements::Requirement;
use crate::units::MicroUsd;

#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Of the pod that is asked about and every pending pod of its owner.
    Pods(PodEdit),
    /// Of the NodePool with this index in the Snapshot.
    Pool(usize, PoolEdit),
    /// One more instance of a capacity reservation.
    Reservation(Arc<str>),
    /// The PodDisruptionBudget with this index in the Snapshot goes.
    DropBudget(usize),
    /// The node with this index in the Snapshot may be disrupted.
    AllowDisruption(usize),
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
    /// Without `karpenter.sh/do-not-disrupt`.
    AllowDisruption,
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
    /// By position.
    DropDisruptionBudget(usize),
    /// `consolidateAfter: 0s`.
    ConsolidateAtOnce,
    /// `consolidationPolicy: WhenEmptyOrUnderutilized`.
    ConsolidateUsed,
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
            Edit::DropBudget(index) => {
                for pod in edited.pods.iter_mut().filter(|pod| pod.disruption.budgets.contains(index)) {
                    pod.disruption.budgets.retain(|of| of != index);
                }
            }
            Edit::AllowDisruption(index) => edited.nodes[*index].disruption.do_not_disrupt = false,
        }
    }
    edited
}

fn edit_pods(snapshot: &mut Snapshot, pods: &[usize], edit: &PodEdit) {
    let mut made: HashMap<*const PodTemplate, Arc<PodTemplate>> = HashMap::new();
    for &pod in pods {
        if *edit == PodEdit::AllowDisruption {
            snapshot.pods[pod].disruption.do_not_disrupt = None;
            continue;
        }
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
        PodEdit::AllowDisruption => {} // of each pod, and of no template
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
        PoolEdit::DropDisruptionBudget(position) => {
            if *position < pool.disruption.budgets.len() {
                pool.disruption.budgets.remove(*position);
            }
        }
        PoolEdit::ConsolidateAtOnce => pool.disruption.consolidate_after_seconds = Some(0),
        PoolEdit::ConsolidateUsed => {
            pool.disruption.consolidation_policy = ConsolidationPolicy::WhenEmptyOrUnderutilized.as_str().into();
        }
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
