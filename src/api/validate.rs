//! Validation without an API server: what the CRDs' schemas and CEL rules refuse, and what the reference's
//! runtime-validation controller refuses, as pure functions, so that offline commands give the same answers.
//!
//! Unknown enum values, wrong types and missing required fields are already errors of deserialization. Rules that
//! compare with the stored object (immutable fields) have no offline counterpart.

mod ec2_node_class;
mod kubelet;
mod node_claim;
mod node_overlay;
mod node_pool;
mod requirements;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use regex::Regex;

use super::capacity_buffer::CapacityBuffer;
use super::duration::Duration;
use super::kwok_node_class::KWOKNodeClass;

/// What is wrong with one field of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct FieldError {
    /// The path of the field, such as `spec.template.spec.requirements[2].operator`; empty for the object as a whole.
    pub field: String,
    /// One sentence: what was found and what is expected.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.field, self.message) }
    }
}

/// Objects whose fields can be wrong in ways that their types allow.
pub trait Validate {
    /// Everything that is wrong, in the order of the fields; empty if the object is valid.
    fn validate(&self) -> Vec<FieldError>;
}

impl Validate for KWOKNodeClass {
    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::default();
        if let Some(delay) = &self.spec.spec.node_registration_delay {
            errors.duration("spec.nodeRegistrationDelay", delay);
        }
        errors.found
    }
}

impl Validate for CapacityBuffer {
    fn validate(&self) -> Vec<FieldError> {
        let spec = &self.spec;
        let mut errors = Errors::default();
        if let Some(template) = &spec.pod_template_ref {
            errors.not_empty("spec.podTemplateRef.name", &template.name);
            if spec.replicas.is_none() && spec.limits.is_empty() {
                errors.add("spec.podTemplateRef", "found neither replicas nor limits: expected at least one of them");
            }
        }
        if let Some(scalable) = &spec.scalable_ref {
            errors.not_empty("spec.scalableRef.kind", &scalable.kind);
            errors.not_empty("spec.scalableRef.name", &scalable.name);
            if spec.pod_template_ref.is_some() {
                errors.add("spec.scalableRef", "found also podTemplateRef: expected only one of them");
            }
        }
        errors.at_least_zero("spec.replicas", spec.replicas.map(i64::from));
        errors.at_least_zero("spec.percentage", spec.percentage.map(i64::from));
        errors.quantities("spec.limits", &spec.limits);
        errors.found
    }
}

/// Collects errors; each method checks one kind of rule.
#[derive(Debug, Default)]
struct Errors {
    found: Vec<FieldError>,
}

impl Errors {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.found.push(FieldError { field: field.into(), message: message.into() });
    }

    fn not_empty(&mut self, field: impl Into<String>, text: &str) {
        if text.is_empty() {
            self.add(field, "found an empty text: expected at least one character");
        }
    }

    fn range(&mut self, field: impl Into<String>, value: Option<i64>, low: i64, high: i64) {
        if let Some(value) = value.filter(|v| !(low..=high).contains(v)) {
            self.add(field, format!("found {value}: expected {low} to {high}"));
        }
    }

    fn at_least_zero(&mut self, field: impl Into<String>, value: Option<i64>) {
        if let Some(value) = value.filter(|v| *v < 0) {
            self.add(field, format!("found {value}: expected 0 or more"));
        }
    }

    fn at_most(&mut self, field: impl Into<String>, len: usize, most: usize, what: &str) {
        if len > most {
            self.add(field, format!("found {len} {what}: expected at most {most}"));
        }
    }

    fn pattern(&mut self, field: impl Into<String>, text: &str, pattern: &'static str, expected: &str) {
        if !is_match(pattern, text) {
            self.add(field, format!("found '{text}': expected {expected}"));
        }
    }

    fn duration(&mut self, field: impl Into<String>, duration: &Duration) {
        if let Err(message) = duration.seconds() {
            self.add(field, message);
        }
    }

    fn quantities(&mut self, field: &str, quantities: &BTreeMap<String, Quantity>) {
        for (name, quantity) in quantities {
            if let Err(error) = quantity.0.parse::<crate::units::Quantity>() {
                self.add(format!("{field}.{name}"), error.to_string());
            }
        }
    }
}

/// Whether a text matches a pattern of a CRD.
fn is_match(pattern: &'static str, text: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<BTreeMap<&'static str, Regex>> = const { RefCell::new(BTreeMap::new()) };
    }
    COMPILED.with_borrow_mut(|compiled| {
        compiled
            .entry(pattern)
            .or_insert_with(|| Regex::new(pattern).expect("the CRDs' patterns are valid regular expressions"))
            .is_match(text)
    })
}
