//! The network interfaces of instances.

use serde::Serialize;

use super::groups::Group;
use crate::api::ec2_node_class::{ConnectionTracking, InterfaceType};
use crate::cloud::ec2::{ClusterFacts, NodeTemplate};

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// `NetworkCardIndex`; `None` where there is one interface alone.
    pub card: Option<i32>,
    /// `DeviceIndex`.
    pub device: i32,
    /// `InterfaceType`: `interface`, `efa` or `efa-only`.
    pub kind: Option<&'static str>,
    /// `Groups`: ids of security groups.
    pub security_groups: Vec<String>,
    /// `AssociatePublicIpAddress`; `None`: as the subnet has it.
    pub public_ip: Option<bool>,
    /// `Ipv4PrefixCount`.
    pub ipv4_prefixes: Option<i32>,
    /// `Ipv6PrefixCount`.
    pub ipv6_prefixes: Option<i32>,
    /// `PrimaryIpv6`.
    pub primary_ipv6: Option<bool>,
    /// `Ipv6AddressCount`.
    pub ipv6_addresses: Option<i32>,
    /// `ConnectionTrackingSpecification`.
    pub connection_tracking: Option<ConnectionTrackingTimeouts>,
}

/// Idle timeouts in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionTrackingTimeouts {
    /// `TcpEstablishedTimeout`.
    pub tcp_established: Option<i32>,
    /// `UdpStreamTimeout`.
    pub udp_stream: Option<i32>,
    /// `UdpTimeout`.
    pub udp: Option<i32>,
}

impl From<&ConnectionTracking> for ConnectionTrackingTimeouts {
    fn from(of: &ConnectionTracking) -> Self {
        Self { tcp_established: of.tcp_established_timeout, udp_stream: of.udp_stream_timeout, udp: of.udp_timeout }
    }
}

/// Those that the class names, else one EFA interface on each card that is to have one, else a single one.
pub(super) fn interfaces(cluster: &ClusterFacts, template: &NodeTemplate, group: &Group) -> Vec<Interface> {
    let named = &template.class.spec.network_interfaces;
    let ordinary = ordinary(cluster, template);
    if !named.is_empty() {
        let of = |interface: &crate::api::ec2_node_class::NetworkInterface| {
            let place = (Some(interface.network_card_index), interface.device_index);
            match interface.interface_type {
                InterfaceType::Interface => {
                    Interface { card: place.0, device: place.1, kind: Some("interface"), ..ordinary.clone() }
                }
                // it has no addresses, and nothing that is tracked
                InterfaceType::EfaOnly => Interface {
                    card: place.0,
                    device: place.1,
                    kind: Some("efa-only"),
                    security_groups: ordinary.security_groups.clone(),
                    ..Interface::default()
                },
            }
        };
        return named.iter().map(of).collect();
    }
    // device 0 on one card only: that one has the instance's own address
    let efa =
        |card: i32| Interface { card: Some(card), device: i32::from(card > 0), kind: Some("efa"), ..ordinary.clone() };
    match group.efa_interfaces {
        0 => vec![ordinary],
        count => (0..count).map(efa).collect(),
    }
}

fn ordinary(cluster: &ClusterFacts, template: &NodeTemplate) -> Interface {
    let spec = &template.class.spec;
    let (prefixes, is_ipv6) = (spec.ip_prefix_count, cluster.is_ipv6());
    Interface {
        security_groups: template.status().security_groups.iter().map(|group| group.id.clone()).collect(),
        public_ip: spec.associate_public_ip_address,
        ipv4_prefixes: prefixes.filter(|_| !is_ipv6),
        ipv6_prefixes: prefixes.filter(|_| is_ipv6),
        primary_ipv6: is_ipv6.then_some(true),
        ipv6_addresses: is_ipv6.then_some(1),
        connection_tracking: spec.connection_tracking.as_ref().map(Into::into),
        ..Interface::default()
    }
}
