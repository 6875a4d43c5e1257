//! Selectors of what owns pods: there is one, and it matches the pods of the template.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::labels::of_selector;
use crate::observe::input::{FieldError, FieldResult as _};
use crate::observe::pod::read_labels;
use crate::observe::selectors::label_selector;

/// What is wrong with a selector that must match the labels of the template, if there is one.
pub(super) fn required(selector: &LabelSelector, template: Option<&PodTemplateSpec>) -> Vec<FieldError> {
    let is_empty = selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty);
    if is_empty {
        let message = "expected a selector that matches the labels of spec.template, found an empty one or none";
        return vec![FieldError::new("spec.selector", message)];
    }
    let read = match label_selector(Some(selector)).within("spec.selector") {
        Ok(read) => read,
        Err(error) => return vec![error],
    };
    let own = template.and_then(labels_of);
    let is_mismatch = template.is_some() && !read.matches(&read_labels(own));
    let mut found = of_selector("spec.selector", selector);
    found.extend(is_mismatch.then(|| mismatch(own)));
    found
}

/// The selector of a ReplicationController; the labels of the template stand for one that is missing.
pub(super) fn of_labels(
    selector: Option<&BTreeMap<String, String>>,
    template: Option<&PodTemplateSpec>,
) -> Result<(), FieldError> {
    let selector = selector.filter(|selector| !selector.is_empty());
    let own = template.and_then(labels_of).filter(|labels| !labels.is_empty());
    match (selector, own) {
        (None, None) => {
            let message = "expected a selector, as spec.template has no labels to stand for it; found none";
            Err(FieldError::new("spec.selector", message))
        }
        (Some(selector), own) if template.is_some() => {
            let matches = selector.iter().all(|(key, value)| own.and_then(|own| own.get(key)) == Some(value));
            if matches { Ok(()) } else { Err(mismatch(own)) }
        }
        _ => Ok(()),
    }
}

fn labels_of(template: &PodTemplateSpec) -> Option<&BTreeMap<String, String>> {
    template.metadata.as_ref()?.labels.as_ref()
}

fn mismatch(found: Option<&BTreeMap<String, String>>) -> FieldError {
    let found: Vec<String> = found.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    FieldError::new(
        "spec.template.metadata.labels",
        format!("expected labels that spec.selector matches, found {found}"),
    )
}
