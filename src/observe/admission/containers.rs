//! Containers of a pod: that there are any, their names and images, and that no limit is below its request.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::names;
use crate::observe::input::FieldError;
use crate::units;

/// What is wrong with the containers of a pod spec at `path`.
pub(super) fn faults(spec: &PodSpec, path: &str) -> Vec<FieldError> {
    let mut found = Vec::new();
    if spec.containers.is_empty() {
        let field = format!("{path}.containers");
        found.push(FieldError::new(field, "expected at least one container, found none"));
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (field, container) in listed(spec, path) {
        found.extend(name(&field, container, &mut names));
        if container.image.as_deref().is_none_or(str::is_empty) {
            found.push(FieldError::new(format!("{field}.image"), "expected a container image, found nothing"));
        }
        found.extend(resources(&format!("{field}.resources"), container.resources.as_ref()));
    }
    found.extend(resources(&format!("{path}.resources"), spec.resources.as_ref()));
    found
}

/// What of a pod is wrong and of the template of one is not: tools that fill templates in leave blanks.
pub(super) fn of_pod_alone(spec: &PodSpec, path: &str) -> Vec<FieldError> {
    let fault = |(field, container): (String, &Container)| {
        let image = container.image.as_deref().filter(|image| image.trim() != *image)?;
        let message = format!("expected a container image without spaces around it, found '{image}'");
        Some(FieldError::new(format!("{field}.image"), message))
    };
    listed(spec, path).filter_map(fault).collect()
}

/// Containers, then init containers, with where they stand.
fn listed<'s>(spec: &'s PodSpec, path: &str) -> impl Iterator<Item = (String, &'s Container)> {
    let of =
        move |list: &'static str, (i, container): (usize, &'s Container)| (format!("{path}.{list}[{i}]"), container);
    let init = spec.init_containers.iter().flatten().enumerate();
    spec.containers
        .iter()
        .enumerate()
        .map(move |at| of("containers", at))
        .chain(init.map(move |at| of("initContainers", at)))
}

fn name<'c>(field: &str, container: &'c Container, names: &mut BTreeSet<&'c str>) -> Option<FieldError> {
    let message = names::label(&container.name).or_else(|| {
        let is_new = names.insert(&container.name);
        (!is_new).then(|| format!("expected a name that no other container has, found '{}' again", container.name))
    })?;
    Some(FieldError::new(format!("{field}.name"), message))
}

/// Limits are at least the requests; of what cannot be overcommitted they are the requests.
fn resources(field: &str, resources: Option<&ResourceRequirements>) -> Vec<FieldError> {
    let Some(resources) = resources else { return Vec::new() };
    let none = BTreeMap::new();
    let limits = resources.limits.as_ref().unwrap_or(&none);
    let requests = resources.requests.iter().flatten();
    let fault = |(name, request): (&String, &Quantity)| {
        let Some(limit) = limits.get(name) else {
            let message = format!("expected {}, as {name} is not overcommitted, found nothing", request.0);
            return (!is_overcommitted(name)).then(|| FieldError::new(format!("{field}.limits.{name}"), message));
        };
        // what is no quantity is said where it is read
        let (asked, most) = (amount(request)?, amount(limit)?);
        let message = if asked > most {
            format!("expected at most the limit {}, found {}", limit.0, request.0)
        } else if asked < most && !is_overcommitted(name) {
            format!("expected the limit {}, as {name} is not overcommitted, found {}", limit.0, request.0)
        } else {
            return None;
        };
        Some(FieldError::new(format!("{field}.requests.{name}"), message))
    };
    requests.filter_map(fault).collect()
}

fn amount(quantity: &Quantity) -> Option<units::Quantity> {
    quantity.0.parse().ok()
}

/// Of Kubernetes' own resources, but for huge pages, more may be allowed than there is.
fn is_overcommitted(name: &str) -> bool {
    let is_native = name.split_once('/').is_none_or(|(domain, _)| format!("{domain}/").contains("kubernetes.io/"));
    is_native && !name.starts_with("hugepages-")
}
