//! EC2NodeClasses.

use std::collections::{BTreeMap, BTreeSet};

use super::{Errors, FieldError, Validate};
use crate::api::ec2_node_class::{
    AMIFamily, AMISelectorTerm, BlockDevice, BlockDeviceMapping, EC2NodeClass, EC2NodeClassSpec, InterfaceType,
    NetworkInterface, RESTRICTED_TAG_PREFIX, RESTRICTED_TAGS, VOLUME_SIZE,
};

impl Validate for EC2NodeClass {
    fn validate(&self) -> Vec<FieldError> {
        let spec = &self.spec;
        let mut errors = Errors::default();
        errors.subnets(spec);
        errors.security_groups(spec);
        errors.capacity_reservations(spec);
        if let Some(group) = &spec.placement_group_selector {
            let field = "spec.placementGroupSelector";
            if group.name.is_some() == group.id.is_some() {
                let found = if group.id.is_some() { "both name and id" } else { "neither name nor id" };
                errors.add(field, format!("found {found}: expected exactly one of them"));
            }
            if let Some(name) = &group.name {
                errors.not_empty(format!("{field}.name"), name);
            }
            if let Some(id) = &group.id {
                errors.pattern(format!("{field}.id"), id, r"^pg-[0-9a-z]+$", "an ID such as pg-0123456789abcdef0");
            }
        }
        errors.at_least_zero("spec.ipPrefixCount", spec.ip_prefix_count.map(i64::from));
        errors.images(spec);
        errors.identity(spec);
        errors.tags(&spec.tags);
        if let Some(kubelet) = &spec.kubelet {
            errors.kubelet("spec.kubelet", kubelet, spec.resolved_ami_family());
        }
        errors.block_devices(&spec.block_device_mappings);
        errors.network_interfaces(&spec.network_interfaces);
        let hops = spec.metadata_options.http_put_response_hop_limit;
        errors.range("spec.metadataOptions.httpPutResponseHopLimit", Some(hops), 1, 64);
        if let Some(tracking) = &spec.connection_tracking {
            let field = "spec.connectionTracking";
            let tcp = tracking.tcp_established_timeout.map(i64::from);
            let stream = tracking.udp_stream_timeout.map(i64::from);
            let udp = tracking.udp_timeout.map(i64::from);
            if (tcp, stream, udp) == (None, None, None) {
                errors.add(field, "found no timeout: expected at least one");
            }
            errors.range(format!("{field}.tcpEstablishedTimeout"), tcp, 60, 432_000);
            errors.range(format!("{field}.udpStreamTimeout"), stream, 60, 180);
            errors.range(format!("{field}.udpTimeout"), udp, 30, 60);
        }
        errors.found
    }
}

const MOST_TERMS: usize = 30;

/// Whether every term of a non-empty list sets fields that exclude each other. The reference refuses only such lists.
fn all_break<T>(terms: &[T], breaks: impl Fn(&T) -> bool) -> bool {
    !terms.is_empty() && terms.iter().all(breaks)
}

impl Errors {
    fn subnets(&mut self, spec: &EC2NodeClassSpec) {
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

    fn security_groups(&mut self, spec: &EC2NodeClassSpec) {
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

    fn capacity_reservations(&mut self, spec: &EC2NodeClassSpec) {
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

    fn images(&mut self, spec: &EC2NodeClassSpec) {
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
                    format!("found '{alias}': expected the family al2, al2023, bottlerocket, windows2019, windows2022 or windows2025"),
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

    fn identity(&mut self, spec: &EC2NodeClassSpec) {
        match (&spec.role, &spec.instance_profile) {
            (None, None) => self.add("spec.role", "found neither role nor instanceProfile: expected one of them"),
            (Some(_), Some(_)) => {
                self.add("spec.instanceProfile", "found both role and instanceProfile: expected only one of them");
            }
            _ => {}
        }
        if let Some(role) = &spec.role {
            self.not_empty("spec.role", role);
        }
        if let Some(profile) = &spec.instance_profile {
            self.not_empty("spec.instanceProfile", profile);
        }
    }

    fn tags(&mut self, tags: &BTreeMap<String, String>) {
        for key in tags.keys() {
            if key.is_empty() {
                self.add("spec.tags", "found an empty key: expected at least one character");
            }
            if RESTRICTED_TAGS.contains(&key.as_str()) || key.starts_with(RESTRICTED_TAG_PREFIX) {
                self.add(format!("spec.tags.{key}"), "found a tag that the controller sets: expected other keys");
            }
        }
    }

    fn block_devices(&mut self, mappings: &[BlockDeviceMapping]) {
        let field = "spec.blockDeviceMappings";
        self.at_most(field, mappings.len(), 50, "block devices");
        let roots = mappings.iter().filter(|mapping| mapping.root_volume == Some(true)).count();
        if roots > 1 {
            self.add(field, format!("found {roots} root volumes: expected at most one"));
        }
        for (i, mapping) in mappings.iter().enumerate() {
            if let Some(ebs) = &mapping.ebs {
                self.volume(&format!("{field}[{i}].ebs"), ebs);
            }
        }
    }

    fn volume(&mut self, field: &str, ebs: &BlockDevice) {
        if ebs.snapshot_id.is_none() && ebs.volume_size.is_none() {
            self.add(field, "found neither snapshotID nor volumeSize: expected at least one of them");
        }
        let rate = format!("{field}.volumeInitializationRate");
        self.range(&rate, ebs.volume_initialization_rate.map(i64::from), 100, 300);
        if ebs.volume_initialization_rate.is_some() && ebs.snapshot_id.as_deref().unwrap_or_default().is_empty() {
            self.add(rate, "found a rate without snapshotID: expected it only for a volume made from a snapshot");
        }
        if let Some(size) = &ebs.volume_size {
            let expected = "a whole number of Gi (up to 59000), G (64000), Ti (58) or T (64)";
            self.pattern(format!("{field}.volumeSize"), size, VOLUME_SIZE, expected);
        }
    }

    fn network_interfaces(&mut self, interfaces: &[NetworkInterface]) {
        let field = "spec.networkInterfaces";
        self.at_most(field, interfaces.len(), 150, "network interfaces");
        let first = (0, 0, InterfaceType::Interface);
        let place = |i: &NetworkInterface| (i.network_card_index, i.device_index, i.interface_type);
        if !interfaces.is_empty() && !interfaces.iter().any(|i| place(i) == first) {
            self.add(field, "found no ordinary interface with networkCardIndex 0 and deviceIndex 0: expected one");
        }
        let mut places = BTreeSet::new();
        let mut efa_cards = BTreeSet::new();
        for (i, interface) in interfaces.iter().enumerate() {
            let field = format!("{field}[{i}]");
            let (card, device, kind) = place(interface);
            self.at_least_zero(format!("{field}.networkCardIndex"), Some(card.into()));
            self.at_least_zero(format!("{field}.deviceIndex"), Some(device.into()));
            if !places.insert((card, device)) {
                self.add(&field, format!("found network card {card}, device {device} again: expected it once"));
            }
            if kind == InterfaceType::EfaOnly && !efa_cards.insert(card) {
                self.add(&field, format!("found a second efa-only interface on network card {card}: expected one"));
            }
        }
    }
}
