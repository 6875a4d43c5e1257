//! What an API server refuses of a manifest although its types allow it: names, labels, selectors, containers. An object of a
//! cluster has passed one.
//!
//! Source: `apimachinery/pkg/util/validation` and `pkg/apis/{core,apps,batch}/validation` of Kubernetes. Only what decides whether
//! there will be such pods, and which, is looked at: of a probe, say, nothing. Nothing is refused that an API server takes.

mod containers;
mod labels;
mod names;
mod selectors;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1 as core;

pub(super) use self::names::{name, namespace};
use super::input::FieldError;

/// After which ends the containers of a pod are started again.
const ANY_RESTART: &[&str] = &["Always", "OnFailure", "Never"];
/// Of pods that are replaced for ever.
const ALWAYS: &[&str] = &["Always"];
/// Of pods that come to an end.
const UNTIL_DONE: &[&str] = &["OnFailure", "Never"];

/// Nothing but its name.
pub(super) fn none<T>(_: &T) -> Vec<FieldError> {
    Vec::new()
}

/// What is wrong with the labels of an object, of whatever kind.
pub(super) fn labels(labels: Option<&serde_json::Value>) -> Vec<FieldError> {
    labels::faults("metadata.labels", &labels::of_object(labels))
}

pub(super) fn pod(pod: &core::Pod) -> Vec<FieldError> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    of_spec(spec, "spec", ANY_RESTART).into_iter().chain(containers::of_pod_alone(spec, "spec")).collect()
}

pub(super) fn pod_template(template: &core::PodTemplate) -> Vec<FieldError> {
    of_template(template.template.as_ref(), "template", ANY_RESTART)
}

pub(super) fn deployment(deployment: &Deployment) -> Vec<FieldError> {
    let spec = &deployment.spec;
    selecting(selectors::required(&spec.selector, Some(&spec.template)), Some(&spec.template))
}

pub(super) fn replica_set(replica_set: &ReplicaSet) -> Vec<FieldError> {
    let template = replica_set.spec.template.as_ref();
    selecting(selectors::required(&replica_set.spec.selector, template), template)
}

pub(super) fn stateful_set(stateful_set: &StatefulSet) -> Vec<FieldError> {
    let spec = &stateful_set.spec;
    selecting(selectors::required(&spec.selector, Some(&spec.template)), Some(&spec.template))
}

pub(super) fn daemon_set(daemon_set: &DaemonSet) -> Vec<FieldError> {
    let spec = &daemon_set.spec;
    selecting(selectors::required(&spec.selector, Some(&spec.template)), Some(&spec.template))
}

pub(super) fn replication_controller(controller: &core::ReplicationController) -> Vec<FieldError> {
    let Some(spec) = &controller.spec else { return Vec::new() };
    let template = spec.template.as_ref();
    selecting(selectors::of_labels(spec.selector.as_ref(), template).err().into_iter().collect(), template)
}

pub(super) fn job(job: &Job) -> Vec<FieldError> {
    of_template(job.spec.as_ref().map(|spec| &spec.template), "spec.template", UNTIL_DONE)
}

pub(super) fn cron_job(cron_job: &CronJob) -> Vec<FieldError> {
    let job = cron_job.spec.job_template.spec.as_ref();
    of_template(job.map(|job| &job.template), "spec.jobTemplate.spec.template", UNTIL_DONE)
}

fn selecting(of_selector: Vec<FieldError>, template: Option<&core::PodTemplateSpec>) -> Vec<FieldError> {
    of_selector.into_iter().chain(of_template(template, "spec.template", ALWAYS)).collect()
}

fn of_template(template: Option<&core::PodTemplateSpec>, path: &str, restart: &[&str]) -> Vec<FieldError> {
    let Some(template) = template else { return Vec::new() };
    let own = template.metadata.iter().filter_map(|meta| meta.labels.as_ref()).flatten();
    let mut found = labels::faults(&format!("{path}.metadata.labels"), own);
    if let Some(spec) = &template.spec {
        found.extend(of_spec(spec, &format!("{path}.spec"), restart));
    }
    found
}

/// `restart`: the policies that it may have; where none is written it has `Always`.
fn of_spec(spec: &core::PodSpec, path: &str, restart: &[&str]) -> Vec<FieldError> {
    let mut found = containers::faults(spec, path);
    let written = spec.restart_policy.as_deref().filter(|policy| !policy.is_empty());
    if !restart.contains(&written.unwrap_or("Always")) {
        let written = written.map_or("nothing, which is Always".to_owned(), |policy| format!("'{policy}'"));
        let message = format!("expected {}, found {written}", restart.join(" or "));
        found.push(FieldError::new(format!("{path}.restartPolicy"), message));
    }
    found.extend(labels::faults(&format!("{path}.nodeSelector"), spec.node_selector.iter().flatten()));
    found
}
