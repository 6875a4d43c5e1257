//! EC2NodeClasses.

mod selectors;

use std::collections::{BTreeMap, BTreeSet};

use super::{Errors, FieldError, Validate};
use crate::api::ec2_node_class::{
    BlockDevice, BlockDeviceMapping, EC2NodeClass, EC2NodeClassSpec, InterfaceType, NetworkInterface,
    RESTRICTED_TAG_PREFIX, RESTRICTED_TAGS, VOLUME_SIZE,
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

impl Errors {
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
