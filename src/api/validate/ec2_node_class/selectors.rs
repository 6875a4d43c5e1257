//! How an EC2NodeClass selects subnets, security groups, capacity reservations and machine images.

use std::collections::BTreeMap;

use super::Errors;
use crate::api::ec2_node_class::{AMIFamily, AMISelectorTerm, EC2NodeClassSpec};

const MOST_TERMS: usize = 30;

/// Whether every term of a non-empty list sets fields that exclude each other. The reference refuses only such lists.
fn all_break<T>(terms: &[T], breaks: impl Fn(&T) -> bool) -> bool {
    !terms.is_empty() && terms.iter().all(breaks)
}

impl Errors {
    pub(super) fn subnets(&mut self, spec: &EC2NodeClassSpec) {
        let field = "spec.subnetSelectorTerms";
        let terms = &spec.subnet_selector_terms;
        self.required_terms(field, terms.len());
        for (i, term) in terms.iter().enumerate() {
            let field = format!("{field}[{i}]");
            if term.id.is_none() && term.tags.is_empty() {
                self.add(&field, "found neither tags nor id: expected at least one of them");
            }
            self.selector_tags(&field, &term.tags);
            if let Some(id) = &term.id {
                self.pattern(format!("{field}.id"), id, "subnet-[0-9a-z]+", "an ID such as subnet-0123456789abcdef0");
            }
        }
        if all_break(terms, |term| term.id.is_some() && !term.tags.is_empty()) {
            self.add(field, "found id together with tags: expected a term to have one of them");
        }
    }

    pub(super) fn security_groups(&mut self, spec: &EC2NodeClassSpec) {
        let field = "spec.securityGroupSelectorTerms";
        let terms = &spec.security_group_selector_terms;
        self.required_terms(field, terms.len());
        for (i, term) in terms.iter().enumerate() {
            let field = format!("{field}[{i}]");
            if term.id.is_none() && term.name.is_none() && term.tags.is_empty() {
                self.add(&field, "found none of tags, id and name: expected at least one of them");
            }
            self.selector_tags(&field, &term.tags);
            if let Some(id) = &term.id {
                self.pattern(format!("{field}.id"), id, "sg-[0-9a-z]+", "an ID such as sg-0123456789abcdef0");
            }
        }
        if all_break(terms, |term| term.id.is_some() && (term.name.is_some() || !term.tags.is_empty())) {
            self.add(field, "found id together with other fields: expected a term with id to have nothing else");
        }
        if all_break(terms, |term| term.name.is_some() && (term.id.is_some() || !term.tags.is_empty())) {
            self.add(field, "found name together with other fields: expected a term with name to have nothing else");
        }
    }

    pub(super) fn capacity_reservations(&mut self, spec: &EC2NodeClassSpec) {
        let field = "spec.capacityReservationSelectorTerms";
        let terms = &spec.capacity_reservation_selector_terms;
        self.at_most(field, terms.len(), MOST_TERMS, "terms");
        for (i, term) in terms.iter().enumerate() {
            let field = format!("{field}[{i}]");
            if term.id.is_none() && term.instance_match_criteria.is_none() && term.tags.is_empty() {
                self.add(&field, "found none of tags, id and instanceMatchCriteria: expected at least one of them");
            }
            self.selector_tags(&field, &term.tags);
            if let Some(id) = &term.id {
                self.pattern(format!("{field}.id"), id, "^cr-[0-9a-z]+$", "an ID such as cr-0123456789abcdef0");
            }
            if let Some(owner) = &term.owner_id {
                self.pattern(format!("{field}.ownerID"), owner, "^[0-9]{12}$", "an account of 12 digits");
            }
        }
        if all_break(terms, |term| {
            term.id.is_some()
                && (term.owner_id.is_some() || term.instance_match_criteria.is_some() || !term.tags.is_empty())
        }) {
            self.add(field, "found id together with other fields: expected a term with id to have nothing else");
        }
    }

    fn required_terms(&mut self, field: &str, len: usize) {
        if len == 0 {
            self.add(field, "found no terms: expected at least one");
        }
        self.at_most(field, len, MOST_TERMS, "terms");
    }

    fn selector_tags(&mut self, field: &str, tags: &BTreeMap<String, String>) {
        let field = format!("{field}.tags");
        self.at_most(&field, tags.len(), 20, "tags");
        for (key, value) in tags {
            if key.is_empty() || value.is_empty() {
                self.add(&field, format!("found the tag '{key}={value}': expected a key and a value (* for any)"));
            }
        }
    }

    pub(super) fn images(&mut self, spec: &EC2NodeClassSpec) {
        let field = "spec.amiSelectorTerms";
        let terms = &spec.ami_selector_terms;
        self.at_most(field, terms.len(), MOST_TERMS, "terms");
        for (i, term) in terms.iter().enumerate() {
            self.image(&format!("{field}[{i}]"), term);
        }
        let alias = terms.iter().find_map(|term| term.alias.as_deref());
        if alias.is_some() && terms.len() != 1 {
            self.add(field, "found an alias among other terms: expected it to be the only term");
        }
        match (spec.ami_family, alias) {
            (None, None) => self.add("spec.amiFamily", "found no family and no alias: expected one of them"),
            (Some(AMIFamily::Custom), _) if terms.is_empty() => {
                self.add(field, "found no terms: amiFamily Custom has no default image, so at least one is expected");
            }
            (Some(AMIFamily::Custom), _) => {}
            (Some(family), Some(alias)) => {
                if let Some(expected) = AMIFamily::from_alias(alias).filter(|expected| *expected != family) {
                    self.add(
                        "spec.amiFamily",
                        format!("found {family:?} with the alias {alias}: expected {expected:?} or Custom"),
                    );
                }
            }
            _ => {}
        }
    }

    fn image(&mut self, field: &str, term: &AMISelectorTerm) {
        let set = [
            ("alias", term.alias.is_some()),
            ("tags", !term.tags.is_empty()),
            ("id", term.id.is_some()),
            ("name", term.name.is_some()),
            ("ssmParameter", term.ssm_parameter.is_some()),
            ("owner", term.owner.is_some()),
        ];
        if !set[..5].iter().any(|(_, set)| *set) {
            self.add(field, "found none of tags, id, name, alias and ssmParameter: expected at least one of them");
        }
        for alone in ["alias", "id"] {
            if set.contains(&(alone, true)) && set.iter().filter(|(_, set)| *set).count() > 1 {
                self.add(
                    field,
                    format!(
                        "found {alone} together with other fields: expected a term with {alone} to have nothing else"
                    ),
                );
            }
        }
        self.selector_tags(field, &term.tags);
        if let Some(id) = &term.id {
            self.pattern(format!("{field}.id"), id, "ami-[0-9a-z]+", "an ID such as ami-0123456789abcdef0");
        }
        if let Some(alias) = &term.alias {
            let field = format!("{field}.alias");
            self.at_most(&field, alias.len(), 30, "characters");
            self.pattern(&field, alias, "^[a-zA-Z0-9]+@.+$", "a family and a version such as al2023@latest");
            if AMIFamily::from_alias(alias).is_none() {
                self.add(
                    &field,
                    format!(
                        "found '{alias}': expected the family al2, al2023, bottlerocket, \
                         windows2019, windows2022 or windows2025"
                    ),
                );
            }
            if alias.starts_with("windows") && !alias.ends_with("@latest") {
                self.add(
                    &field,
                    format!("found '{alias}': expected the version latest, the only one of Windows images"),
                );
            }
        }
    }
}
