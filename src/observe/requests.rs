//! Effective requests of a pod, as `PodRequests` of k8s.io/component-helpers computes them with status resources on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Node, Pod, PodSpec, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::input::{FieldError, FieldResult as _};
use super::limit_ranges::ContainerDefaults;
use crate::resources::{CPU, MEMORY, PODS, Resources};
use crate::units;

/// Reads a resource list in the units of [`Resources`].
pub(super) fn read_resources(list: Option<&BTreeMap<String, Quantity>>) -> Result<Resources, FieldError> {
    let mut resources = Resources::new();
    for (name, quantity) in list.into_iter().flatten() {
        let amount = Resources::parse_amount(name, &quantity.0).map_err(|error| FieldError::new(name, error))?;
        if amount < 0 {
            return Err(FieldError::new(name, format!("expected no negative amount, found {}", quantity.0)));
        }
        resources.set(name.as_str(), amount);
    }
    Ok(resources)
}

/// A resource list of an object that went through the API server; amounts that cannot be read are left out.
#[must_use]
pub fn amounts(list: &BTreeMap<String, Quantity>) -> Resources {
    list.iter()
        .filter_map(|(name, quantity)| Some((name.as_str(), Resources::parse_amount(name, &quantity.0).ok()?)))
        .collect()
}

/// What a pod that went through the API server requests, with `pods: 1`. `None` where Kubernetes would not take it.
#[must_use]
pub fn pod_requests(pod: &Pod) -> Option<Resources> {
    effective_requests(pod.spec.as_ref()?, pod.status.as_ref(), None).ok()
}

/// What pods may use of a node. `None` where it says nothing that can be read.
#[must_use]
pub fn node_allocatable(node: &Node) -> Option<Resources> {
    read_resources(node.status.as_ref()?.allocatable.as_ref()).ok()
}

/// The requests that scheduling counts, with `pods: 1`.
///
/// Containers and sidecars (restartable init containers) run together; a plain init container runs beside the sidecars
/// declared before it; the pod needs the larger of both. Requests of the pod itself replace the sum for cpu, memory and
/// hugepages; the overhead of its runtime class comes on top. A container that is being resized counts with the larger
/// of what it asks for and what it was given. `defaults` are those of admission, for a pod that has not been admitted.
pub(super) fn effective_requests(
    spec: &PodSpec,
    status: Option<&PodStatus>,
    defaults: Option<&ContainerDefaults>,
) -> Result<Resources, FieldError> {
    let resize_infeasible = status.is_some_and(|status| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|c| c.type_ == "PodResizePending" && c.reason.as_deref() == Some("Infeasible"))
    });
    let of_container = |container: &Container, statuses: Option<&Vec<ContainerStatus>>| {
        let spec = container_requests(container.resources.as_ref(), defaults).within("resources")?;
        match statuses.into_iter().flatten().find(|status| status.name == container.name) {
            Some(status) if status.resources.is_some() => {
                resized(spec, resize_infeasible, status.resources.as_ref(), status.allocated_resources.as_ref())
            }
            _ => Ok(spec),
        }
    };

    let mut running = Resources::new();
    for (i, container) in spec.containers.iter().enumerate() {
        let statuses = status.and_then(|status| status.container_statuses.as_ref());
        running.add(&of_container(container, statuses).within_item("containers", i)?);
    }
    let mut sidecars = Resources::new();
    let mut starting = Resources::new();
    for (i, container) in spec.init_containers.iter().flatten().enumerate() {
        let policy = container.restart_policy.as_deref();
        if let Some(unknown) = policy.filter(|policy| !["Always", "OnFailure", "Never"].contains(policy)) {
            let field =
                FieldError::new("restartPolicy", format!("expected Always, OnFailure or Never, found {unknown}"));
            return Err(field).within_item("initContainers", i);
        }
        let sidecar = policy == Some("Always");
        let statuses = status.and_then(|s| s.init_container_statuses.as_ref()).filter(|_| sidecar);
        let mut requests = of_container(container, statuses).within_item("initContainers", i)?;
        if sidecar {
            running.add(&requests);
            sidecars.add(&requests);
            requests = sidecars.clone();
        } else {
            requests.add(&sidecars);
        }
        starting.raise_to(&requests);
    }
    let mut total = running;
    total.raise_to(&starting);

    for (name, amount) in pod_level(spec, status, resize_infeasible, &total)?.iter() {
        total.set(name.clone(), amount);
    }
    total.add(&read_resources(spec.overhead.as_ref()).within("overhead")?);
    total.set(PODS, 1);
    Ok(total)
}

/// Requests of one container; what it limits and does not request, it requests (API server defaulting), and then the
/// namespace's LimitRanges fill what is still open.
fn container_requests(
    resources: Option<&ResourceRequirements>,
    defaults: Option<&ContainerDefaults>,
) -> Result<Resources, FieldError> {
    let (limits, requests) = (resources.and_then(|r| r.limits.as_ref()), resources.and_then(|r| r.requests.as_ref()));
    whole_extended(limits).within("limits")?;
    whole_extended(requests).within("requests")?;
    let (mut requests, own) = (read_resources(limits).within("limits")?, read_resources(requests).within("requests")?);
    for (name, amount) in own.iter() {
        requests.set(name.clone(), amount);
    }
    for (name, amount) in defaults.into_iter().flat_map(|defaults| defaults.requests.iter()) {
        if !requests.contains(name) {
            requests.set(name.clone(), amount);
        }
    }
    Ok(requests)
}

/// Extended resources (of a domain that is not Kubernetes' own) come in whole numbers.
fn whole_extended(list: Option<&BTreeMap<String, Quantity>>) -> Result<(), FieldError> {
    let is_extended = |name: &str| name.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"));
    for (name, quantity) in list.into_iter().flatten().filter(|(name, _)| is_extended(name)) {
        if quantity.0.parse::<units::Quantity>().is_ok_and(|amount| !amount.is_whole()) {
            return Err(FieldError::new(name, format!("expected a whole number, found {}", quantity.0)));
        }
    }
    Ok(())
}

/// The larger of what is asked for and what was given; what is asked for does not count while it is infeasible.
fn resized(
    spec: Resources,
    infeasible: bool,
    actual: Option<&ResourceRequirements>,
    allocated: Option<&BTreeMap<String, Quantity>>,
) -> Result<Resources, FieldError> {
    let mut requests = if infeasible { Resources::new() } else { spec };
    requests.raise_to(&read_resources(actual.and_then(|r| r.requests.as_ref())).within("status.resources.requests")?);
    requests.raise_to(&read_resources(allocated).within("status.allocatedResources")?);
    Ok(requests)
}

/// Requests of the pod itself for the resources that may be given there; a limit without request counts as one, or as
/// the sum of the containers where they request that resource.
fn pod_level(
    spec: &PodSpec,
    status: Option<&PodStatus>,
    resize_infeasible: bool,
    containers: &Resources,
) -> Result<Resources, FieldError> {
    let Some(resources) = &spec.resources else { return Ok(Resources::new()) };
    let mut requests = read_resources(resources.requests.as_ref()).within("resources.requests")?;
    for (name, limit) in read_resources(resources.limits.as_ref()).within("resources.limits")?.iter() {
        if !requests.contains(name) {
            requests.set(name.clone(), if containers.contains(name) { containers.get(name) } else { limit });
        }
    }
    if let Some(status) = status.filter(|status| status.resources.is_some()) {
        requests =
            resized(requests, resize_infeasible, status.resources.as_ref(), status.allocated_resources.as_ref())?;
    }
    let allowed = |name: &str| name == CPU || name == MEMORY || name.starts_with("hugepages-");
    Ok(requests.iter().filter(|(name, _)| allowed(name)).map(|(name, amount)| (name.clone(), amount)).collect())
}

#[cfg(test)]
mod tests;
