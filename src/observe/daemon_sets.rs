//! DaemonSets: the pods that every node of a kind carries.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;

use super::cluster::Cluster;
use super::has_ended;
use super::input::{FieldError, FieldResult as _, InputError};
use super::objects::{ObjectKey, Objects, Sourced};
use super::owners::controller;
use super::pod::{PodSource, TemplateAndRefusal, read_labels, read_node_affinity, read_template, read_tolerations};
use super::snapshot::{DaemonSet, PodSpec, TaintEffect, Toleration, TolerationOperator};
use crate::api::labels;

/// Every DaemonSet that wants pods, sorted by namespace and name. One whose pods need a resource claim is left out, as
/// its pods are never placed.
pub(super) fn read_daemon_sets(
    objects: &Objects,
    cluster: &mut Cluster,
    errors: &mut Vec<InputError>,
    notes: &mut Vec<String>,
) -> Vec<DaemonSet> {
    let live = live_pods(objects);
    let mut daemon_sets = Vec::new();
    for (key, Sourced { origin, object }) in &objects.daemon_sets {
        if object.metadata.deletion_timestamp.is_some() {
            continue;
        }
        match read_daemon_set(key, object, live.get(key).copied(), cluster) {
            Ok((_, Some(refusal))) => notes.push(format!("DaemonSet {key} is not counted: {refusal}")),
            Ok((template, None)) => daemon_sets.push(DaemonSet {
                key: key.clone(),
                uid: Arc::from(object.metadata.uid.clone().unwrap_or_else(|| format!("daemonset/{key}"))),
                template: Arc::new(template),
            }),
            Err(error) => errors.push(Objects::field_error("DaemonSet", key, origin, error)),
        }
    }
    daemon_sets
}

/// Where the pods of a daemonset run: its node selector, required node affinity and tolerations alone. `None` where the
/// template has something that Kubernetes would not take.
#[must_use]
pub fn daemon_rules(daemon_set: &apps::DaemonSet) -> Option<PodSpec> {
    let spec = daemon_set.spec.template.spec.as_ref()?;
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let (node_affinity, _) = read_node_affinity(affinity).ok()?;
    let mut tolerations = read_tolerations(spec.tolerations.as_deref().unwrap_or_default()).ok()?;
    tolerations.extend(daemon_tolerations(spec.host_network == Some(true)));
    let node_selector = read_labels(spec.node_selector.as_ref());
    Some(PodSpec { tolerations, node_selector, node_affinity, ..PodSpec::default() })
}

/// The newest live pod of each DaemonSet: it shows what admission made of the template.
fn live_pods(objects: &Objects) -> BTreeMap<ObjectKey, &core::Pod> {
    let mut live: BTreeMap<ObjectKey, &core::Pod> = BTreeMap::new();
    for (key, Sourced { object: pod, .. }) in &objects.pods {
        let owner = controller(&pod.metadata).filter(|owner| owner.kind == "DaemonSet");
        let Some(owner) = owner.filter(|_| !has_ended(pod)) else { continue };
        let set = ObjectKey { namespace: key.namespace.clone(), name: Arc::from(owner.name.as_str()) };
        let age = |pod: &core::Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let newest = live.entry(set).or_insert(pod);
        if age(pod) > age(newest) {
            *newest = pod;
        }
    }
    live
}

fn read_daemon_set(
    key: &ObjectKey,
    daemon_set: &apps::DaemonSet,
    live: Option<&core::Pod>,
    cluster: &mut Cluster,
) -> Result<TemplateAndRefusal, FieldError> {
    let template = &daemon_set.spec.template;
    let template_spec = template.spec.as_ref();
    let template_spec = template_spec.ok_or_else(|| FieldError::new("spec.template.spec", "expected a pod spec"))?;
    let (mut meta, mut spec) = (template.metadata.as_ref(), template_spec.clone());
    let live_spec = live.and_then(|pod| Some((pod, pod.spec.as_ref()?)));
    if let Some((pod, live_spec)) = live_spec {
        meta = Some(&pod.metadata);
        spec = live_spec.clone();
        // each live pod is tied to its own node; the template says where the others may run
        let required = template_spec.affinity.as_ref().and_then(|affinity| {
            affinity.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.clone()
        });
        let node_affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
        node_affinity.required_during_scheduling_ignored_during_execution = required;
    }
    let source = PodSource {
        namespace: &key.namespace,
        name: "",
        labels: meta.and_then(|meta| meta.labels.as_ref()),
        annotations: meta.and_then(|meta| meta.annotations.as_ref()),
        spec: &spec,
        status: live.and_then(|pod| pod.status.as_ref()),
        admitted: live.is_some(),
    };
    let (mut read, refusal) = read_template(source, cluster).within("spec.template.spec")?;
    read.spec.volumes.clear(); // daemon pods carry no claims that could keep them from a node
    for toleration in daemon_tolerations(spec.host_network == Some(true)) {
        if !read.spec.tolerations.contains(&toleration) {
            read.spec.tolerations.push(toleration);
        }
    }
    let claims = spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty());
    Ok((read, refusal.filter(|_| claims)))
}

/// What the DaemonSet controller lets its pods tolerate.
fn daemon_tolerations(host_network: bool) -> impl Iterator<Item = Toleration> {
    use TaintEffect::{NoExecute, NoSchedule};
    let always = [
        (labels::TAINT_NOT_READY, NoExecute),
        (labels::TAINT_UNREACHABLE, NoExecute),
        ("node.kubernetes.io/disk-pressure", NoSchedule),
        ("node.kubernetes.io/memory-pressure", NoSchedule),
        ("node.kubernetes.io/pid-pressure", NoSchedule),
        (labels::TAINT_UNSCHEDULABLE, NoSchedule),
    ];
    let network = host_network.then_some((labels::TAINT_NETWORK_UNAVAILABLE, NoSchedule));
    always.into_iter().chain(network).map(|(key, effect)| Toleration {
        key: Arc::from(key),
        operator: TolerationOperator::Exists,
        value: Arc::from(""),
        effect: Some(effect),
    })
}
