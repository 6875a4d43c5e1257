//! What an API server refuses of a manifest although its types allow it: names, selectors, containers. An object of a cluster
//! has passed one.
//!
//! Source: `apimachinery/pkg/util/validation` and `pkg/apis/{core,apps}/validation` of Kubernetes. Only what would lead a plan
//! astray is looked at: a container without an image, say, is planned with. Nothing is refused that an API server takes.

mod containers;
mod names;
mod selectors;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1 as core;

pub(super) use self::names::{name, namespace};
use super::input::FieldError;

/// Nothing but its name.
pub(super) fn none<T>(_: &T) -> Vec<FieldError> {
    Vec::new()
}

pub(super) fn pod(pod: &core::Pod) -> Vec<FieldError> {
    containers::faults(pod.spec.as_ref(), "spec")
}

pub(super) fn pod_template(template: &core::PodTemplate) -> Vec<FieldError> {
    of_template(template.template.as_ref(), "template")
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
    selecting(selectors::of_labels(spec.selector.as_ref(), template), template)
}

pub(super) fn job(job: &Job) -> Vec<FieldError> {
    of_template(job.spec.as_ref().map(|spec| &spec.template), "spec.template")
}

pub(super) fn cron_job(cron_job: &CronJob) -> Vec<FieldError> {
    let job = cron_job.spec.job_template.spec.as_ref();
    of_template(job.map(|job| &job.template), "spec.jobTemplate.spec.template")
}

fn selecting(selector: Result<(), FieldError>, template: Option<&core::PodTemplateSpec>) -> Vec<FieldError> {
    selector.err().into_iter().chain(of_template(template, "spec.template")).collect()
}

fn of_template(template: Option<&core::PodTemplateSpec>, path: &str) -> Vec<FieldError> {
    containers::faults(template.and_then(|template| template.spec.as_ref()), &format!("{path}.spec"))
}
