//! CapacityBuffers -> virtual pods that keep room free (karpenter-core 1.4, 2.5).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

use super::cluster::Cluster;
use super::input::{FieldError, FieldResult as _, InputError};
use super::objects::{ObjectKey, Objects, Sourced};
use super::pod::{PodSource, read_template};
use super::requests::read_resources;
use super::snapshot::{Pod, PodKey};
use crate::api::capacity_buffer::{ACTIVE_CAPACITY, CapacityBuffer};
use crate::api::labels;
use crate::api::validate::Validate as _;

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
        match virtual_pods(key, object, objects, cluster) {
            Ok(Ok(made_up)) => pods.extend(made_up),
            Ok(Err(reason)) => notes.push(format!("CapacityBuffer {key} is left out: {reason}")),
            Err(error) => refuse(error),
        }
    }
    pods
}

/// The inner error says why the buffer has no pods now.
fn virtual_pods(
    key: &ObjectKey,
    buffer: &CapacityBuffer,
    objects: &Objects,
    cluster: &mut Cluster,
) -> Result<Result<Vec<Pod>, String>, FieldError> {
    if !buffer.spec.provisioning_strategy.is_empty() && buffer.spec.provisioning_strategy != ACTIVE_CAPACITY {
        return Ok(Err(format!("its strategy {} is not supported", buffer.spec.provisioning_strategy)));
    }
    let (template, scale) = match find_template(key, buffer, objects) {
        Ok(found) => found,
        Err(reason) => return Ok(Err(reason)),
    };
    let Some(spec) = &template.spec else { return Ok(Err("its pod template has no spec".to_owned())) };
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
    let template = Arc::new(read);
    let pods = (0..replicas(buffer, scale, by_limits).min(MOST_REPLICAS)).map(|i| {
        let name: Arc<str> = Arc::from(format!("capacity-buffer-{}-{i}", key.name));
        Pod {
            uid: Arc::from(format!("capacitybuffer/{key}/{i}")),
            key: PodKey { namespace: key.namespace.clone(), name },
            created_at: buffer.metadata.creation_timestamp.as_ref().map(|time| time.0),
            template: template.clone(),
            owner: None,
            node: None,
            terminating: false,
            displaced: false,
            buffer: true,
            refused: refusal.clone(),
        }
    });
    Ok(Ok(pods.collect()))
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

/// The pod template, and the replicas of the object that is scaled.
fn find_template(
    key: &ObjectKey,
    buffer: &CapacityBuffer,
    objects: &Objects,
) -> Result<(core::PodTemplateSpec, Option<usize>), String> {
    let named = |name: &str| ObjectKey { namespace: key.namespace.clone(), name: Arc::from(name) };
    if let Some(reference) = &buffer.spec.pod_template_ref {
        let template = objects.pod_templates.get(&named(&reference.name)).and_then(|t| t.object.template.clone());
        return template
            .map(|t| (t, None))
            .ok_or_else(|| format!("PodTemplate {} is not in the input", reference.name));
    }
    let Some(scalable) = &buffer.spec.scalable_ref else {
        return Err("it names neither a pod template nor an object to scale".to_owned());
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
        kind => return Err(format!("it scales a {kind}: expected a Deployment, StatefulSet or ReplicaSet")),
    };
    let missing = || format!("{} {} is not in the input", scalable.kind, scalable.name);
    let (template, replicas) = found.ok_or_else(missing)?;
    Ok((template.ok_or_else(missing)?, Some(usize::try_from(replicas.unwrap_or(1)).unwrap_or(0))))
}
