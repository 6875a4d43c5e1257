//! Host ports, as kube-scheduler's NodePorts filter reads them: two pods of a node clash on equal protocol and port where
//! the addresses are equal or one of them is the wildcard.
//!
//! The ports of daemonsets that run on a node, or will, are taken.

use std::collections::HashMap;
use std::sync::Arc;

use super::cluster::{Cluster, Slot};
use super::daemons;
use super::violation::{Report, Rule, Violation};
use crate::observe::snapshot::HostPort;

pub(super) fn check(cluster: &Cluster<'_>, report: &mut Report) {
    let pods = &cluster.snapshot.pods;
    let ports_of = |pod: usize| &pods[pod].template.spec.host_ports;
    for slot in cluster.slots.iter().filter(|slot| slot.assigned.iter().any(|&pod| !ports_of(pod).is_empty())) {
        let mut taken = Taken::default();
        for port in slot.residents.iter().flat_map(|&pod| ports_of(pod)).chain(daemon_ports(cluster, slot)) {
            taken.take(port);
        }
        for &pod in &slot.assigned {
            if let Some(port) = ports_of(pod).iter().find(|port| taken.clashes(port)) {
                let text = format!("the host port {}:{}/{} is taken", port.ip, port.port, port.protocol);
                report.push(Violation::new(Rule::HostPorts, text).pod(&pods[pod].key).node(slot.name));
            }
            for port in ports_of(pod) {
                taken.take(port);
            }
        }
    }
}

/// Ports of the daemonsets that have no pod on the node yet, for any of its shapes.
fn daemon_ports<'a>(cluster: &Cluster<'a>, slot: &Slot<'a>) -> Vec<&'a HostPort> {
    let snapshot = cluster.snapshot;
    if snapshot.daemon_sets.iter().all(|daemon| daemon.template.spec.host_ports.is_empty()) {
        return Vec::new();
    }
    let mut ports = Vec::new();
    for &shape in slot.shapes.iter() {
        for daemon in daemons::on_shape(&snapshot.daemon_sets, &cluster.shapes[shape], slot.taints) {
            if daemons::is_missing(daemon, &slot.residents, &snapshot.pods) {
                ports.extend(&daemon.template.spec.host_ports);
            }
        }
    }
    ports
}

/// Whether a pod with these ports clashes with others.
pub(super) fn clash<'a>(own: &'a [HostPort], others: impl Iterator<Item = &'a HostPort>) -> bool {
    let mut taken = Taken::default();
    others.for_each(|port| taken.take(port));
    own.iter().any(|port| taken.clashes(port))
}

/// Addresses in use for each protocol and port.
#[derive(Default)]
struct Taken<'a>(HashMap<(&'a Arc<str>, u16), Vec<&'a str>>);

impl<'a> Taken<'a> {
    fn take(&mut self, port: &'a HostPort) {
        self.0.entry((&port.protocol, port.port)).or_default().push(&port.ip);
    }

    fn clashes(&self, port: &'a HostPort) -> bool {
        let in_use = self.0.get(&(&port.protocol, port.port));
        in_use
            .is_some_and(|ips| ips.iter().any(|ip| is_wildcard(ip) || is_wildcard(&port.ip) || *ip == port.ip.as_ref()))
    }
}

fn is_wildcard(ip: &str) -> bool {
    matches!(ip, "" | "0.0.0.0" | "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, port: u16, protocol: &str) -> HostPort {
        HostPort { ip: ip.into(), port, protocol: protocol.into() }
    }

    #[test]
    fn equal_address_or_wildcard_clashes() {
        let cases = [
            (port("10.0.0.1", 80, "TCP"), port("10.0.0.1", 80, "TCP"), true),
            (port("10.0.0.1", 80, "TCP"), port("10.0.0.2", 80, "TCP"), false),
            (port("0.0.0.0", 80, "TCP"), port("10.0.0.2", 80, "TCP"), true),
            (port("10.0.0.1", 80, "TCP"), port("0.0.0.0", 80, "TCP"), true),
            (port("0.0.0.0", 80, "TCP"), port("0.0.0.0", 80, "UDP"), false),
            (port("0.0.0.0", 80, "TCP"), port("0.0.0.0", 81, "TCP"), false),
        ];
        for (first, second, expected) in cases {
            let mut taken = Taken::default();
            taken.take(&first);
            assert_eq!(taken.clashes(&second), expected, "{first:?} {second:?}");
        }
    }
}
