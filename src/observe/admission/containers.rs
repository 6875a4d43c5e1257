//! Containers of a pod: that there are any, their names, and that no limit is below its request.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::names;
use crate::observe::input::FieldError;
use crate::units;

/// What is wrong with the containers of a pod spec at `path`. A spec that is not there is said where it is used.
pub(super) fn faults(spec: Option<&PodSpec>, path: &str) -> Vec<FieldError> {
    let Some(spec) = spec else { return Vec::new() };
    let mut found = Vec::new();
    if spec.containers.is_empty() {
        let field = format!("{path}.containers");
        found.push(FieldError::new(field, "expected at least one container, found none"));
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let containers = spec.containers.iter().enumerate().map(|(i, container)| ("containers", i, container));
    let init = spec.init_containers.iter().flatten().enumerate();
    let init = init.map(|(i, container)| ("initContainers", i, container));
    for (list, i, container) in containers.chain(init) {
        let field = format!("{path}.{list}[{i}]");
        found.extend(name(&field, container, &mut names));
        found.extend(resources(&format!("{field}.resources"), container.resources.as_ref()));
    }
    found.extend(resources(&format!("{path}.resources"), spec.resources.as_ref()));
    found
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
