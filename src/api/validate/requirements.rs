//! Labels, requirements and taints, which several kinds share.

use k8s_openapi::api::core::v1::Taint;

use super::Errors;
use crate::api::labels;
use crate::api::node_class_reference::NodeClassReference;
use crate::api::node_overlay::overlay_labels;
use crate::api::requirement::{NodeSelectorRequirement, NodeSelectorRequirementWithMinValues, Operator};
use crate::api::schema::{LABEL_VALUE, QUALIFIED_NAME};

/// Who writes a label key: the rules differ in what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Pool,
    Claim,
    Overlay,
}

const NAME: &str = "a name of letters, digits, '-', '_' and '.', with an optional DNS domain and '/' before it";
const VALUE: &str = "at most 63 letters, digits, '-', '_' and '.' that start and end with a letter or digit";

impl Errors {
    pub(super) fn label_key(&mut self, field: &str, key: &str, place: Place) {
        self.qualified_name(field, key);
        let domain = key.split('/').next().unwrap_or_default();
        let restricted = if key == labels::NODEPOOL {
            place == Place::Pool
        } else {
            domain.ends_with("karpenter.sh") && key != labels::CAPACITY_TYPE
        };
        if restricted {
            self.add(field, format!("found {key}: this label of karpenter.sh is set by the controller"));
        }
        if key == labels::HOSTNAME {
            self.add(field, format!("found {key}: nodes get their names at launch, so it cannot be constrained"));
        }
        let known = match place {
            Place::Overlay => overlay_labels().any(|label| label == key),
            Place::Pool | Place::Claim => labels::provider_labels().any(|label| label == key),
        };
        if domain.ends_with("karpenter.k8s.aws") && !known {
            self.add(field, format!("found {key}: expected a label of karpenter.k8s.aws that can be used here"));
        }
    }

    /// A name as Kubernetes qualifies it; the parts have their own lengths, which the CRDs' pattern does not check.
    fn qualified_name(&mut self, field: &str, text: &str) {
        self.at_most(field, text.len(), 316, "characters");
        self.pattern(field, text, QUALIFIED_NAME, NAME);
        let (domain, name) = text.rsplit_once('/').unwrap_or(("", text));
        self.at_most(field, domain.len(), 253, "characters before the '/'");
        self.at_most(field, name.len(), 63, "characters in the name");
    }

    pub(super) fn label_value(&mut self, field: &str, value: &str) {
        self.at_most(field, value.len(), 63, "characters");
        self.pattern(field, value, LABEL_VALUE, VALUE);
    }

    pub(super) fn requirements(
        &mut self,
        field: &str,
        requirements: &[NodeSelectorRequirementWithMinValues],
        place: Place,
    ) {
        self.at_most(field, requirements.len(), 100, "requirements");
        for (i, requirement) in requirements.iter().enumerate() {
            let field = format!("{field}[{i}]");
            let NodeSelectorRequirementWithMinValues { key, operator, values, min_values } = requirement;
            self.requirement(&field, key, *operator, values, place);
            self.range(format!("{field}.minValues"), *min_values, 1, 50);
            let Some(least) = min_values.and_then(|least| usize::try_from(least).ok()) else { continue };
            if *operator == Operator::In && values.len() < least {
                self.add(
                    format!("{field}.values"),
                    format!("found {} values: expected at least minValues, which is {least}", values.len()),
                );
            } else if *operator == Operator::In && key == labels::CAPACITY_TYPE {
                let known = values.iter().filter(|value| is_capacity_type(value)).count();
                if known > 0 && known < least {
                    self.add(
                        format!("{field}.values"),
                        format!("found {known} capacity types: expected at least minValues, which is {least}"),
                    );
                }
            }
        }
    }

    pub(super) fn overlay_requirements(&mut self, field: &str, requirements: &[NodeSelectorRequirement]) {
        self.at_most(field, requirements.len(), 100, "requirements");
        for (i, requirement) in requirements.iter().enumerate() {
            let field = format!("{field}[{i}]");
            let NodeSelectorRequirement { key, operator, values } = requirement;
            self.requirement(&field, key, *operator, values, Place::Overlay);
            if *operator == Operator::NotIn && values.is_empty() {
                self.add(format!("{field}.values"), "found no values: operator NotIn expects at least one");
            }
        }
    }

    fn requirement(&mut self, field: &str, key: &str, operator: Operator, values: &[String], place: Place) {
        self.label_key(&format!("{field}.key"), labels::normalize(key), place);
        for (i, value) in values.iter().enumerate() {
            self.label_value(&format!("{field}.values[{i}]"), value);
        }
        let field = format!("{field}.values");
        match operator {
            Operator::In if values.is_empty() => self.add(field, "found no values: operator In expects at least one"),
            Operator::In if key == labels::CAPACITY_TYPE && !values.iter().any(|value| is_capacity_type(value)) => {
                self.add(
                    field,
                    format!("found {}: expected one or more of on-demand, spot and reserved", values.join(", ")),
                );
            }
            Operator::Gt | Operator::Lt | Operator::Gte | Operator::Lte => match values {
                [value] if is_non_negative(value) => {}
                [value] => self.add(
                    field,
                    format!(
                        "found '{value}': operator {operator:?} expects one non-negative integer of at most 18 digits"
                    ),
                ),
                _ => self.add(
                    field,
                    format!("found {} values: operator {operator:?} expects one non-negative integer", values.len()),
                ),
            },
            _ => {}
        }
    }

    /// Taints and startup taints together: no key and effect may occur twice in both.
    pub(super) fn taints(&mut self, field: &str, taints: &[Taint], startup_taints: &[Taint]) {
        let both = [("taints", taints), ("startupTaints", startup_taints)];
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (list, taints) in both {
            for (i, taint) in taints.iter().enumerate() {
                let field = format!("{field}.{list}[{i}]");
                self.qualified_name(&format!("{field}.key"), &taint.key);
                if let Some(value) = &taint.value {
                    self.qualified_name(&format!("{field}.value"), value);
                }
                if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&taint.effect.as_str()) {
                    self.add(
                        format!("{field}.effect"),
                        format!("found '{}': expected NoSchedule, PreferNoSchedule or NoExecute", taint.effect),
                    );
                }
                if seen.contains(&(&taint.key, &taint.effect)) {
                    self.add(field, format!("found {}:{} again: expected it once", taint.key, taint.effect));
                } else {
                    seen.push((&taint.key, &taint.effect));
                }
            }
        }
    }

    pub(super) fn node_class_ref(&mut self, field: &str, reference: &NodeClassReference) {
        self.not_empty(format!("{field}.group"), &reference.group);
        self.not_empty(format!("{field}.kind"), &reference.kind);
        self.not_empty(format!("{field}.name"), &reference.name);
        if reference.group.contains('/') {
            self.add(
                format!("{field}.group"),
                format!("found '{}': expected the group alone, without a version", reference.group),
            );
        }
    }
}

fn is_capacity_type(value: &str) -> bool {
    [labels::CAPACITY_ON_DEMAND, labels::CAPACITY_SPOT, labels::CAPACITY_RESERVED].contains(&value)
}

/// An integer that fits 64 bits whatever its digits.
fn is_non_negative(value: &str) -> bool {
    (1..=18).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
}
