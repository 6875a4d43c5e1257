//! CapacityBuffers -> virtual pods that keep room free (karpenter-core 1.4, 2.5).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

use super::cluster::Cluster;
use super::input::{FieldError, FieldResult as _, InputError};
use super::objects::{ObjectKey, Objects, Sourced};
use super::pod::{PodSource, read_template};
use super::requests::read_resources;
use super::snapshot::{Pod, PodDisruption, PodKey, PodTemplate};
use crate::api::capacity_buffer::{ACTIVE_CAPACITY, CapacityBuffer};
use crate::api::labels;
use crate::api::validate::Validate as _;
use crate::settings::Settings;

/// The virtual pods of every buffer whose template is in the input; the others are noted.
pub(super) fn expand_buffers(
    objects: &Objects,
    cluster: &mut Cluster,
    errors: &mut Vec<InputError>,
    notes: &mut Vec<String>,
) -> Vec<Pod> {
    let mut pods = Vec::new();
    for (key, Sourced { origin, object }) in &objects.buffers {
        let mut refuse = |error| errors.push(Objects::field_error("CapacityBuffer", key, origin, error));
        let invalid = object.validate();
        if !invalid.is_empty() {
            for error in invalid {
                refuse(FieldError::new(error.field, error.message));
            }
            continue;
        }
        match resolve(key, object, objects, cluster) {
            Ok(Ok(shape)) => pods.extend(virtual_pods(key, object, &shape)),
            Ok(Err(problem)) => notes.push(format!("CapacityBuffer {key} is left out: {problem}")),
            Err(error) => refuse(error),
        }
    }
    pods
}

/// What a buffer comes to.
struct Shape {
    template: Arc<PodTemplate>,
    replicas: usize,
    refusal: Option<Arc<str>>,
    pod_template: Option<Named>,
}

/// A PodTemplate, and its generation where it has one.
type Named = (String, Option<i64>);

/// Why a buffer has no pods now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BufferProblem {
    /// The PodTemplate is not there.
    #[error("{0}")]
    PodTemplateNotFound(String),
    /// The object that is scaled is not there.
    #[error("{0}")]
    ScalableRefNotFound(String),
    /// Something else.
    #[error("{0}")]
    ResolutionFailed(String),
    /// It is kept in a way that is not ours.
    #[error("{0}")]
    OtherStrategy(String),
}

/// What a buffer comes to, for its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferState {
    /// The PodTemplate in use, if it is one, and its generation.
    pub pod_template: Option<(String, Option<i64>)>,
    /// Virtual pods.
    pub replicas: usize,
}

/// What every buffer that can be read comes to.
#[must_use]
pub fn buffer_states(
    objects: &Objects,
    settings: &Settings,
) -> BTreeMap<ObjectKey, Result<BufferState, BufferProblem>> {
    let mut cluster = Cluster::read(objects, settings, &mut Vec::new());
    let state = |(key, buffer): (&ObjectKey, &Sourced<CapacityBuffer>)| {
        let failed = |why: String| BufferProblem::ResolutionFailed(why);
        let state = match buffer.object.validate().into_iter().next() {
            Some(error) => Err(failed(error.to_string())),
            None => resolve(key, &buffer.object, objects, &mut cluster)
                .unwrap_or_else(|error| Err(failed(format!("{}: {}", error.path, error.message))))
                .map(|shape| BufferState { pod_template: shape.pod_template, replicas: shape.replicas }),
        };
        (key.clone(), state)
    };
    objects.buffers.iter().map(state).collect()
}

fn resolve(
    key: &ObjectKey,
    buffer: &CapacityBuffer,
    objects: &Objects,
    cluster: &mut Cluster,
) -> Result<Result<Shape, BufferProblem>, FieldError> {
    if !buffer.spec.provisioning_strategy.is_empty() && buffer.spec.provisioning_strategy != ACTIVE_CAPACITY {
        let why = format!("its strategy {} is not supported", buffer.spec.provisioning_strategy);
        return Ok(Err(BufferProblem::OtherStrategy(why)));
    }
    let (template, scale, pod_template) = match find_template(key, buffer, objects) {
        Ok(found) => found,
        Err(reason) => return Ok(Err(reason)),
    };
    let Some(spec) = &template.spec else {
        return Ok(Err(BufferProblem::ResolutionFailed("its pod template has no spec".to_owned())));
    };
    let mut spec = spec.clone();
    if let Some(volumes) = &mut spec.volumes {
        volumes.retain(|volume| volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none());
    }
    let meta = template.metadata.as_ref();
    let mut annotations: BTreeMap<String, String> = meta.and_then(|meta| meta.annotations.clone()).unwrap_or_default();
    annotations.insert(labels::BUFFER_FAKE_POD.to_owned(), "true".to_owned());
    annotations.insert(labels::BUFFER_NAME.to_owned(), key.name.to_string());
    annotations.insert(labels::BUFFER_NAMESPACE.to_owned(), key.namespace.to_string());
    let source = PodSource {
        namespace: &key.namespace,
        name: "",
        labels: meta.and_then(|meta| meta.labels.as_ref()),
        annotations: Some(&annotations),
        spec: &spec,
        status: None,
        admitted: false,
    };
    let (mut read, refusal) = read_template(source, cluster).within("template.spec")?;
    read.spec.priority = i32::MIN;
    cluster.spreading.apply(&key.namespace, &mut read, None)?;
    let limits = read_resources(Some(&buffer.spec.limits)).within("spec.limits")?;
    let by_limits = limits
        .iter()
        .filter_map(|(name, limit)| limit.checked_div(read.spec.requests.get(name)))
        .min()
        .map(|count| usize::try_from(count).unwrap_or(0));
    let replicas = replicas(buffer, scale, by_limits).min(MOST_REPLICAS);
    Ok(Ok(Shape { template: Arc::new(read), replicas, refusal, pod_template }))
}

fn virtual_pods(key: &ObjectKey, buffer: &CapacityBuffer, shape: &Shape) -> impl Iterator<Item = Pod> {
    (0..shape.replicas).map(move |i| {
        let name: Arc<str> = Arc::from(format!("capacity-buffer-{}-{i}", key.name));
        Pod {
            uid: Arc::from(format!("capacitybuffer/{key}/{i}")),
            key: PodKey { namespace: key.namespace.clone(), name },
            created_at: buffer.metadata.creation_timestamp.as_ref().map(|time| time.0),
            template: shape.template.clone(),
            owner: None,
            node: None,
            terminating: false,
            displaced: false,
            buffer: true,
            refused: shape.refusal.clone(),
            disruption: PodDisruption::default(),
        }
    })
}

/// A buffer of more pods than any cluster has is a mistyped number (Kubernetes supports 150,000 pods).
const MOST_REPLICAS: usize = 1_000_000;

/// The larger of `replicas` and the percentage of the scaled object (at least 1), within what the limits hold; the
/// limits alone where neither is given.
fn replicas(buffer: &CapacityBuffer, scale: Option<usize>, by_limits: Option<usize>) -> usize {
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    let fixed = buffer.spec.replicas.map(count);
    let share = buffer.spec.percentage.zip(scale);
    let share = share.map(|(percentage, scale)| scale.saturating_mul(count(percentage)).div_ceil(100).max(1));
    let wanted = fixed.max(share);
    match (wanted, by_limits) {
        (Some(wanted), Some(limit)) => wanted.min(limit),
        (wanted, limit) => wanted.or(limit).unwrap_or(0),
    }
}

/// The pod template, the replicas of the object that is scaled, and which PodTemplate it is.
fn find_template(
    key: &ObjectKey,
    buffer: &CapacityBuffer,
    objects: &Objects,
) -> Result<(core::PodTemplateSpec, Option<usize>, Option<Named>), BufferProblem> {
    let named = |name: &str| ObjectKey { namespace: key.namespace.clone(), name: Arc::from(name) };
    if let Some(reference) = &buffer.spec.pod_template_ref {
        let found = objects.pod_templates.get(&named(&reference.name)).map(|found| &found.object);
        let missing = || BufferProblem::PodTemplateNotFound(format!("there is no PodTemplate {}", reference.name));
        let found = found.ok_or_else(missing)?;
        let template = found.template.clone().ok_or_else(missing)?;
        return Ok((template, None, Some((reference.name.clone(), found.metadata.generation))));
    }
    let Some(scalable) = &buffer.spec.scalable_ref else {
        let why = "it names neither a pod template nor an object to scale".to_owned();
        return Err(BufferProblem::ResolutionFailed(why));
    };
    let at = named(&scalable.name);
    let found = match scalable.kind.as_str() {
        "Deployment" => {
            objects.deployments.get(&at).map(|d| (Some(d.object.spec.template.clone()), d.object.spec.replicas))
        }
        "StatefulSet" => {
            objects.stateful_sets.get(&at).map(|s| (Some(s.object.spec.template.clone()), s.object.spec.replicas))
        }
        "ReplicaSet" => objects.replica_sets.get(&at).map(|r| (r.object.spec.template.clone(), r.object.spec.replicas)),
        kind => {
            let why = format!("it scales a {kind}: expected a Deployment, StatefulSet or ReplicaSet");
            return Err(BufferProblem::ResolutionFailed(why));
        }
    };
    let missing = || BufferProblem::ScalableRefNotFound(format!("there is no {} {}", scalable.kind, scalable.name));
    let (template, replicas) = found.ok_or_else(missing)?;
    Ok((template.ok_or_else(missing)?, Some(usize::try_from(replicas.unwrap_or(1)).unwrap_or(0)), None))
}
