//! The content of a launch template as the SDK sends it.

use aws_sdk_ec2::types::{
    CapacityReservationPreference, CapacityReservationTarget, ConnectionTrackingSpecificationRequest,
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateCapacityReservationSpecificationRequest,
    LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateEnclaveOptionsRequest, LaunchTemplateHttpTokensState,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMarketOptionsRequest,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateInstanceMetadataProtocolIpv6, LaunchTemplateInstanceMetadataTagsState,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, LaunchTemplatePlacementRequest,
    LaunchTemplateTagSpecificationRequest, LaunchTemplatesMonitoringRequest, MarketType, RequestLaunchTemplateData,
    ResourceType, Tag, TagSpecification, Tenancy, VolumeType as Ec2VolumeType,
};

use crate::api::ec2_node_class::VolumeType;
use crate::cloud::ec2::launch_template::{
    CapacityReservation, Content, ImdsOptions, Interface, Placement, VolumeMapping,
};
use crate::cloud::ec2::tags::Tags;

/// As EC2 takes tags.
pub(in crate::aws) fn tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Tags of one kind of resource.
pub(in crate::aws) fn tag_specification(resource_type: ResourceType, of: &Tags) -> TagSpecification {
    TagSpecification::builder().resource_type(resource_type).set_tags(Some(tags(of))).build()
}

/// Everything that the content has. Nested virtualization is not among what this SDK can send.
pub(in crate::aws) fn data(content: &Content) -> RequestLaunchTemplateData {
    let profile =
        LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name(&content.instance_profile).build();
    let monitoring = LaunchTemplatesMonitoringRequest::builder().enabled(content.detailed_monitoring).build();
    let mut data = RequestLaunchTemplateData::builder()
        .image_id(&content.image_id)
        .iam_instance_profile(profile)
        .set_user_data(content.user_data.clone())
        .monitoring(monitoring)
        .metadata_options(metadata(&content.metadata))
        .placement(placement(&content.placement))
        .set_capacity_reservation_specification(reservation(&content.capacity_reservation));
    for mapping in &content.block_devices {
        data = data.block_device_mappings(block_device(mapping));
    }
    for interface in &content.interfaces {
        data = data.network_interfaces(network_interface(interface));
    }
    for specification in &content.tags {
        data = data.tag_specifications(
            LaunchTemplateTagSpecificationRequest::builder()
                .resource_type(ResourceType::from(specification.resource_type))
                .set_tags(Some(tags(&specification.tags)))
                .build(),
        );
    }
    if content.enclaves {
        data = data.enclave_options(LaunchTemplateEnclaveOptionsRequest::builder().enabled(true).build());
    }
    if let Some(market) = content.market {
        let kind = MarketType::from(market.name());
        data = data
            .instance_market_options(LaunchTemplateInstanceMarketOptionsRequest::builder().market_type(kind).build());
    }
    data.build()
}

fn metadata(of: &ImdsOptions) -> LaunchTemplateInstanceMetadataOptionsRequest {
    let tokens = if of.tokens_required { "required" } else { "optional" };
    LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::from(of.endpoint.name()))
        .set_http_protocol_ipv6(of.ipv6.map(|ipv6| LaunchTemplateInstanceMetadataProtocolIpv6::from(ipv6.name())))
        .http_put_response_hop_limit(of.hops)
        .http_tokens(LaunchTemplateHttpTokensState::from(tokens))
        .instance_metadata_tags(LaunchTemplateInstanceMetadataTagsState::from(of.tags.name()))
        .build()
}

fn placement(of: &Placement) -> LaunchTemplatePlacementRequest {
    LaunchTemplatePlacementRequest::builder()
        .tenancy(Tenancy::from(of.tenancy.name()))
        .set_group_id(of.group_id.clone())
        .set_group_name(of.group_name.clone())
        .set_partition_number(of.partition)
        .build()
}

fn reservation(of: &CapacityReservation) -> Option<LaunchTemplateCapacityReservationSpecificationRequest> {
    let builder = LaunchTemplateCapacityReservationSpecificationRequest::builder();
    Some(match of {
        CapacityReservation::Open => return None,
        CapacityReservation::None => {
            builder.capacity_reservation_preference(CapacityReservationPreference::None).build()
        }
        CapacityReservation::Only(id) => builder
            .capacity_reservation_preference(CapacityReservationPreference::CapacityReservationsOnly)
            .capacity_reservation_target(CapacityReservationTarget::builder().capacity_reservation_id(id).build())
            .build(),
    })
}

fn block_device(mapping: &VolumeMapping) -> LaunchTemplateBlockDeviceMappingRequest {
    let ebs = mapping.ebs.as_ref().map(|ebs| {
        LaunchTemplateEbsBlockDeviceRequest::builder()
            .set_delete_on_termination(ebs.delete_on_termination)
            .set_encrypted(ebs.encrypted)
            .set_iops(ebs.iops)
            .set_kms_key_id(ebs.kms_key_id.clone())
            .set_snapshot_id(ebs.snapshot_id.clone())
            .set_throughput(ebs.throughput)
            .set_volume_initialization_rate(ebs.initialization_rate)
            .set_volume_size(ebs.size_gib)
            .set_volume_type(ebs.kind.map(volume_type))
            .build()
    });
    LaunchTemplateBlockDeviceMappingRequest::builder().set_device_name(mapping.device.clone()).set_ebs(ebs).build()
}

/// As EC2 names it.
pub(in crate::aws) fn volume_type(of: VolumeType) -> Ec2VolumeType {
    match of {
        VolumeType::Standard => Ec2VolumeType::Standard,
        VolumeType::Io1 => Ec2VolumeType::Io1,
        VolumeType::Io2 => Ec2VolumeType::Io2,
        VolumeType::Gp2 => Ec2VolumeType::Gp2,
        VolumeType::Gp3 => Ec2VolumeType::Gp3,
        VolumeType::Sc1 => Ec2VolumeType::Sc1,
        VolumeType::St1 => Ec2VolumeType::St1,
    }
}

fn network_interface(of: &Interface) -> LaunchTemplateInstanceNetworkInterfaceSpecificationRequest {
    let tracking = of.connection_tracking.map(|timeouts| {
        ConnectionTrackingSpecificationRequest::builder()
            .set_tcp_established_timeout(timeouts.tcp_established)
            .set_udp_stream_timeout(timeouts.udp_stream)
            .set_udp_timeout(timeouts.udp)
            .build()
    });
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .set_network_card_index(of.card)
        .device_index(of.device)
        .set_interface_type(of.kind.map(str::to_owned))
        .set_groups(Some(of.security_groups.clone()))
        .set_associate_public_ip_address(of.public_ip)
        .set_ipv4_prefix_count(of.ipv4_prefixes)
        .set_ipv6_prefix_count(of.ipv6_prefixes)
        .set_primary_ipv6(of.primary_ipv6)
        .set_ipv6_address_count(of.ipv6_addresses)
        .set_connection_tracking_specification(tracking)
        .build()
}
