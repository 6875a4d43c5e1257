//! LimitRanges: the requests that admission gives to containers which name none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::input::{FieldError, FieldResult as _, InputError};
use super::objects::{Objects, Sourced};
use super::requests::read_resources;
use crate::resources::Resources;
use k8s_openapi::api::core::v1::LimitRange;

/// What a container of one namespace requests where it names neither request nor limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ContainerDefaults {
    pub requests: Resources,
}

/// The defaults of each namespace that has any.
pub(super) fn read_limit_ranges(
    objects: &Objects,
    errors: &mut Vec<InputError>,
) -> BTreeMap<Arc<str>, ContainerDefaults> {
    let mut namespaces: BTreeMap<Arc<str>, ContainerDefaults> = BTreeMap::new();
    for (key, Sourced { origin, object }) in &objects.limit_ranges {
        match container_defaults(object) {
            Ok(defaults) => {
                let entry = namespaces.entry(key.namespace.clone()).or_default();
                for (name, amount) in defaults.iter() {
                    if !entry.requests.contains(name) {
                        entry.requests.set(name.clone(), amount); // the first LimitRange by name wins
                    }
                }
            }
            Err(error) => errors.push(Objects::field_error("LimitRange", key, origin, error)),
        }
    }
    namespaces
}

/// `defaultRequest`, else `default`, else `max`, else `min` of the items for containers (API server defaulting).
fn container_defaults(range: &LimitRange) -> Result<Resources, FieldError> {
    let mut requests = Resources::new();
    let Some(spec) = &range.spec else { return Ok(requests) };
    for (i, item) in spec.limits.iter().enumerate().filter(|(_, item)| item.type_ == "Container") {
        for (field, list) in [
            ("defaultRequest", &item.default_request),
            ("default", &item.default),
            ("max", &item.max),
            ("min", &item.min),
        ] {
            let amounts = read_resources(list.as_ref()).within(field).within_item("spec.limits", i)?;
            for (name, amount) in amounts.iter() {
                if !requests.contains(name) {
                    requests.set(name.clone(), amount);
                }
            }
        }
    }
    Ok(requests)
}
