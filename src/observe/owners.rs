//! Owners expand only the replicas that are missing among the objects they own, so that a Deployment alone is a valid
//! question and the output of `kubectl get all` counts nothing twice.
//!
//! Deployment -> ReplicaSets -> pods; ReplicaSet, ReplicationController, StatefulSet and Job -> pods. Pods made up here have names and uids that
//! depend on nothing but their owner, and share one template.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::cluster::Cluster;
use super::has_ended;
use super::input::{FieldError, FieldResult as _, InputError};
use super::live_pods::{GATED, LeftOut, NOT_OURS, OfPods, Unplanned, gated, not_ours};
use super::objects::{ObjectKey, Objects, Sourced, Table, object_name};
use super::pod::{PodSource, avoids_node_pools, is_gated, read_template};
use super::snapshot::{OwnerRef, Pod, PodDisruption, PodKey};
use super::spreading::{selector_of_controller, selector_of_revision};
use crate::api::labels;

/// An owner with what it still needs.
struct Owner<'a> {
    kind: &'static str,
    key: &'a ObjectKey,
    meta: &'a ObjectMeta,
    template: Option<&'a core::PodTemplateSpec>,
    claim_templates: &'a [core::PersistentVolumeClaim],
    /// Labels that the controller adds to its pods.
    extra_labels: Vec<(&'static str, String)>,
    /// Of the ReplicaSet, ReplicationController or StatefulSet, for default topology spread.
    selector: Option<LabelSelector>,
    missing: Missing,
    /// As the object says.
    replicas: Option<i32>,
}

enum Missing {
    /// This many, with any free names.
    Count(usize),
    /// These ordinals of a StatefulSet.
    Ordinals(Vec<i64>),
}

/// Makes up the missing pods of every owner; those that are left out on purpose stand apart, and `notes` says how many.
pub(super) fn expand_owners(
    objects: &Objects,
    cluster: &mut Cluster,
    errors: &mut Vec<InputError>,
    notes: &mut Vec<String>,
) -> (Vec<Pod>, LeftOut) {
    let children = Children::index(objects);
    let (mut pods, mut left_out) = (Vec::new(), LeftOut::new());
    let mut expand = |owner: Owner<'_>, origin| match pods_of(&owner, objects, cluster) {
        Ok(Expanded::Pods(made_up)) => pods.extend(made_up),
        Ok(Expanded::LeftOut(pods, what)) => {
            notes.push(format!("{}: {}", object_name(owner.kind, owner.key), what.of(pods.len())));
            left_out.extend(pods);
        }
        Err(error) => errors.push(Objects::field_error(owner.kind, owner.key, origin, error)),
    };
    for (key, Sourced { origin, object }) in &objects.deployments {
        let wanted = replicas(&object.metadata, object.spec.replicas);
        let revision = revision(key);
        expand(
            Owner {
                kind: "Deployment",
                replicas: object.spec.replicas,
                key,
                meta: &object.metadata,
                template: Some(&object.spec.template),
                claim_templates: &[],
                selector: Some(selector_of_revision(object, &revision)),
                extra_labels: vec![(labels::POD_TEMPLATE_HASH, revision)],
                missing: Missing::Count(wanted.saturating_sub(children.of_deployment(key, &object.metadata, objects))),
            },
            origin,
        );
    }
    for (key, Sourced { origin, object }) in &objects.replica_sets {
        let wanted = replicas(&object.metadata, object.spec.replicas);
        expand(
            Owner {
                kind: "ReplicaSet",
                replicas: object.spec.replicas,
                key,
                meta: &object.metadata,
                template: object.spec.template.as_ref(),
                claim_templates: &[],
                extra_labels: Vec::new(),
                selector: Some(object.spec.selector.clone()),
                missing: Missing::Count(wanted.saturating_sub(children.pods("ReplicaSet", key, &object.metadata))),
            },
            origin,
        );
    }
    for (key, Sourced { origin, object }) in &objects.replication_controllers {
        let spec = object.spec.as_ref();
        let wanted = replicas(&object.metadata, spec.and_then(|spec| spec.replicas));
        expand(
            Owner {
                kind: "ReplicationController",
                replicas: spec.and_then(|spec| spec.replicas),
                key,
                meta: &object.metadata,
                template: spec.and_then(|spec| spec.template.as_ref()),
                claim_templates: &[],
                extra_labels: Vec::new(),
                selector: Some(selector_of_controller(object)),
                missing: Missing::Count(wanted.saturating_sub(children.pods(
                    "ReplicationController",
                    key,
                    &object.metadata,
                ))),
            },
            origin,
        );
    }
    for (key, Sourced { origin, object }) in &objects.stateful_sets {
        let spec = &object.spec;
        let wanted = replicas(&object.metadata, spec.replicas);
        let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
        let ordinals = (0..).map(|i: i64| i + i64::from(start)).take(wanted);
        let taken = |ordinal: &i64| {
            let name = Arc::from(format!("{}-{ordinal}", key.name));
            let existing = objects.pods.get(&PodKey { namespace: key.namespace.clone(), name });
            existing.is_some_and(|pod| !has_ended(&pod.object)) // its name is free again once it has ended
        };
        expand(
            Owner {
                kind: "StatefulSet",
                replicas: spec.replicas,
                key,
                meta: &object.metadata,
                template: Some(&spec.template),
                claim_templates: spec.volume_claim_templates.as_deref().unwrap_or_default(),
                extra_labels: Vec::new(),
                selector: Some(spec.selector.clone()),
                missing: Missing::Ordinals(ordinals.filter(|ordinal| !taken(ordinal)).collect()),
            },
            origin,
        );
    }
    for (key, Sourced { origin, object }) in &objects.jobs {
        let active = children.pods("Job", key, &object.metadata);
        expand(
            Owner {
                kind: "Job",
                replicas: object.spec.as_ref().and_then(|spec| spec.parallelism),
                key,
                meta: &object.metadata,
                template: object.spec.as_ref().map(|spec| &spec.template),
                claim_templates: &[],
                extra_labels: vec![
                    ("batch.kubernetes.io/job-name", key.name.to_string()),
                    ("job-name", key.name.to_string()),
                ],
                selector: None,
                missing: Missing::Count(wanted_by_job(object, active).saturating_sub(active)),
            },
            origin,
        );
    }
    (pods, left_out)
}

/// More replicas of one owner than any cluster has pods (Kubernetes supports 150,000): what is beyond is a mistyped number,
/// and must not cost the memory of a machine.
const MOST_REPLICAS: usize = 1_000_000;

fn replicas(meta: &ObjectMeta, replicas: Option<i32>) -> usize {
    if meta.deletion_timestamp.is_some() {
        return 0;
    }
    // a number out of range is an error of its own; until then it must not make up pods
    usize::try_from(replicas.unwrap_or(1)).ok().filter(|replicas| *replicas <= MOST_REPLICAS).unwrap_or(0)
}

/// Pods that a Job runs at once: `parallelism`, at most the completions still to come. Without `completions` the first
/// success ends the work, and no pod is started after it.
fn wanted_by_job(job: &k8s_openapi::api::batch::v1::Job, active: usize) -> usize {
    let Some(spec) = &job.spec else { return 0 };
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let over = conditions.filter(|c| c.status == "True").any(|c| c.type_ == "Complete" || c.type_ == "Failed");
    if spec.suspend == Some(true) || over || job.metadata.deletion_timestamp.is_some() {
        return 0;
    }
    let count = |number: Option<i32>| number.map(|number| usize::try_from(number).unwrap_or(0));
    let parallelism = count(spec.parallelism).unwrap_or(1);
    let succeeded = count(job.status.as_ref().and_then(|status| status.succeeded)).unwrap_or(0);
    // a Job without either field runs one pod to completion (API server defaulting)
    let completions = count(spec.completions).or(spec.parallelism.is_none().then_some(1));
    match completions {
        Some(completions) => parallelism.min(completions.saturating_sub(succeeded)),
        None if succeeded > 0 => active.min(parallelism),
        None => parallelism,
    }
}

/// The reference that says who controls an object; a manifest with a single owner may leave the flag out.
pub(super) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let flagged = owners.iter().find(|owner| owner.controller == Some(true));
    flagged.or(match owners {
        [only] if only.controller.is_none() => Some(only),
        _ => None,
    })
}

/// Active pods by kind, namespace and name of their controller: one (controller's uid, `pod-template-hash`) for each.
struct Children<'a> {
    pods: BTreeMap<ControllerName<'a>, Vec<(&'a str, Option<&'a str>)>>,
}

/// Kind, namespace and name.
type ControllerName<'a> = (&'a str, &'a str, &'a str);

impl<'a> Children<'a> {
    fn index(objects: &'a Objects) -> Self {
        let mut pods: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, Sourced { object, .. }) in &objects.pods {
            if has_ended(object) || object.metadata.deletion_timestamp.is_some() {
                continue; // its controller has replaced it, or will
            }
            if let Some(owner) = controller(&object.metadata) {
                let hash = object.metadata.labels.as_ref().and_then(|l| l.get(labels::POD_TEMPLATE_HASH));
                pods.entry((owner.kind.as_str(), key.namespace.as_ref(), owner.name.as_str()))
                    .or_default()
                    .push((owner.uid.as_str(), hash.map(String::as_str)));
            }
        }
        Self { pods }
    }

    fn pods(&self, kind: &str, key: &ObjectKey, meta: &ObjectMeta) -> usize {
        let own = self.pods.get(&(kind, key.namespace.as_ref(), key.name.as_ref()));
        own.map_or(0, |pods| pods.iter().filter(|(uid, _)| same_uid(Some(uid), meta.uid.as_deref())).count())
    }

    /// Replicas that a Deployment has handed to its ReplicaSets, and pods of such ReplicaSets as are not in the input,
    /// which are named `<deployment>-<pod-template-hash>`.
    fn of_deployment(&self, key: &ObjectKey, meta: &ObjectMeta, objects: &Objects) -> usize {
        let in_namespace = of_namespace(&objects.replica_sets, &key.namespace);
        let owned = in_namespace.filter(|(_, set)| {
            controller(&set.object.metadata).is_some_and(|owner| {
                owner.kind == "Deployment"
                    && *owner.name == *key.name
                    && same_uid(Some(&owner.uid), meta.uid.as_deref())
            })
        });
        let handed_out: usize = owned.map(|(_, set)| replicas(&set.object.metadata, set.object.spec.replicas)).sum();
        let prefix = format!("{}-", key.name);
        let from = ("ReplicaSet", key.namespace.as_ref(), prefix.as_str());
        let sets = self.pods.range(from..).take_while(|((kind, namespace, name), _)| {
            *kind == "ReplicaSet" && *namespace == key.namespace.as_ref() && name.starts_with(&prefix)
        });
        let orphaned = sets.filter(|((_, _, name), _)| {
            let set = ObjectKey { namespace: key.namespace.clone(), name: Arc::from(*name) };
            !objects.replica_sets.contains_key(&set)
        });
        let orphans: usize = orphaned
            .map(|((_, _, name), pods)| {
                let hash = &name[prefix.len()..];
                pods.iter().filter(|(_, label)| *label == Some(hash)).count()
            })
            .sum();
        handed_out + orphans
    }
}

fn of_namespace<'t, T>(
    table: &'t Table<T>,
    namespace: &Arc<str>,
) -> impl Iterator<Item = (&'t ObjectKey, &'t Sourced<T>)> {
    let first = ObjectKey { namespace: namespace.clone(), name: Arc::from("") };
    let namespace = namespace.clone();
    table.range(first..).take_while(move |(key, _)| key.namespace == namespace)
}

/// Uids decide only where both sides have one: manifests have none.
fn same_uid(a: Option<&str>, b: Option<&str>) -> bool {
    match (a.filter(|uid| !uid.is_empty()), b.filter(|uid| !uid.is_empty())) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// Stands for the hash of a Deployment's revision, which only the API server can know: FNV-1a of its name.
fn revision(key: &ObjectKey) -> String {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    format!("{:08x}", key.to_string().bytes().fold(2_166_136_261, fold))
}

enum Expanded {
    Pods(Vec<Pod>),
    /// Pods that are not to be placed.
    LeftOut(LeftOut, OfPods),
}

fn pods_of(owner: &Owner<'_>, objects: &Objects, cluster: &mut Cluster) -> Result<Expanded, FieldError> {
    if let Some(wrong) = owner.replicas.filter(|replicas| !usize::try_from(*replicas).is_ok_and(|n| n <= MOST_REPLICAS))
    {
        let field = if owner.kind == "Job" { "spec.parallelism" } else { "spec.replicas" };
        return Err(FieldError::new(field, format!("expected a number from 0 to {MOST_REPLICAS}, found {wrong}")));
    }
    let count = match &owner.missing {
        Missing::Count(count) => *count,
        Missing::Ordinals(ordinals) => ordinals.len(),
    };
    if count == 0 {
        return Ok(Expanded::Pods(Vec::new()));
    }
    let template = owner.template.ok_or_else(|| FieldError::new("spec.template", "expected a pod template"))?;
    let spec = template.spec.as_ref().ok_or_else(|| FieldError::new("spec.template.spec", "expected a pod spec"))?;
    let meta = template.metadata.as_ref();
    let mut pod_labels = meta.and_then(|meta| meta.labels.clone()).unwrap_or_default();
    for (key, value) in &owner.extra_labels {
        pod_labels.entry((*key).to_owned()).or_insert_with(|| value.clone());
    }
    let source = PodSource {
        namespace: &owner.key.namespace,
        name: "",
        labels: Some(&pod_labels),
        annotations: meta.and_then(|meta| meta.annotations.as_ref()),
        spec,
        status: None,
        admitted: false,
    };
    let own_volumes = !owner.claim_templates.is_empty() || has_ephemeral_volumes(spec);
    let shared_spec = own_volumes.then(|| core::PodSpec { volumes: None, ..spec.clone() });
    let source = PodSource { spec: shared_spec.as_ref().unwrap_or(spec), ..source };
    let (mut template, refusal) = read_template(source, cluster).within("spec.template.spec")?;
    cluster.spreading.apply(&owner.key.namespace, &mut template, owner.selector.as_ref())?;
    let uid = owner.meta.uid.clone().unwrap_or_else(|| format!("{}/{}", owner.kind.to_lowercase(), owner.key));
    let owner_ref =
        OwnerRef { kind: Arc::from(owner.kind), name: owner.key.name.clone(), uid: Arc::from(uid.as_str()) };
    let left_out = |what: OfPods, why: String| {
        let unplanned = Unplanned { why, owner: Some(owner_ref.clone()), revision: None };
        let key = |suffix: String| PodKey {
            namespace: owner.key.namespace.clone(),
            name: Arc::from(format!("{}-{suffix}", owner.key.name)),
        };
        let pods = suffixes(owner, objects, count).into_iter().map(|suffix| (key(suffix), unplanned.clone()));
        Expanded::LeftOut(pods.collect(), what)
    };
    if is_gated(spec) {
        return Ok(left_out(GATED, gated(spec)));
    }
    if avoids_node_pools(&template) {
        return Ok(left_out(NOT_OURS, not_ours()));
    }

    cluster.note_scheduler(spec);
    let template = Arc::new(template);
    let created_at = owner.meta.creation_timestamp.as_ref().map(|time| time.0);
    let mut pods = Vec::with_capacity(count);
    for suffix in suffixes(owner, objects, count) {
        let name: Arc<str> = Arc::from(format!("{}-{suffix}", owner.key.name));
        let ordinal = matches!(owner.missing, Missing::Ordinals(_));
        let mut template = template.clone();
        if ordinal {
            let own = &mut Arc::make_mut(&mut template).labels;
            own.insert(Arc::from(labels::STATEFUL_SET_POD_NAME), name.clone());
            own.insert(Arc::from(labels::POD_INDEX), Arc::from(suffix.as_str()));
        }
        let mut refused = refusal.clone();
        if own_volumes {
            let (volumes, lacking) = cluster
                .storage
                .of_pod(&owner.key.namespace, &name, spec, owner.claim_templates)
                .within("spec.template.spec")?;
            Arc::make_mut(&mut template).spec.volumes = volumes;
            refused = refused.or(lacking);
        }
        pods.push(Pod {
            uid: Arc::from(format!("{uid}/{suffix}")),
            key: PodKey { namespace: owner.key.namespace.clone(), name },
            created_at,
            template,
            owner: Some(owner_ref.clone()),
            node: None,
            terminating: false,
            displaced: false,
            buffer: false,
            refused,
            disruption: PodDisruption::default(),
        });
    }
    Ok(Expanded::Pods(pods))
}

fn has_ephemeral_volumes(spec: &core::PodSpec) -> bool {
    spec.volumes.iter().flatten().any(|volume| volume.ephemeral.is_some())
}

/// Ordinals as they are; counted pods are numbered from 1, all with as many digits as the last, past names that exist.
fn suffixes(owner: &Owner<'_>, objects: &Objects, count: usize) -> Vec<String> {
    let existing: BTreeSet<&str> =
        of_namespace(&objects.pods, &owner.key.namespace).map(|(key, _)| key.name.as_ref()).collect();
    match &owner.missing {
        Missing::Ordinals(ordinals) => ordinals.iter().map(ToString::to_string).collect(),
        Missing::Count(_) => {
            let width = count.to_string().len();
            let names = (1..).map(|n: usize| format!("{n:0width$}"));
            let free = |suffix: &String| {
                existing.is_empty() || !existing.contains(format!("{}-{suffix}", owner.key.name).as_str())
            };
            names.filter(free).take(count).collect()
        }
    }
}

#[cfg(test)]
mod tests;
