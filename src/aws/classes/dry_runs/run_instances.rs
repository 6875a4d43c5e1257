//! RunInstances, tried out.

use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceMetadataProtocolState,
    InstanceMetadataTagsState, InstanceType, Placement as Ec2Placement, ResourceType, Tenancy,
};

use super::machine::Machine;
use crate::aws::connect::Aws;
use crate::aws::templates::{tag_specification, volume_type};
use crate::aws::words::error;
use crate::cloud::ec2::errors::AwsError;
use crate::cloud::ec2::launch_template::{ImdsOptions, LaunchTemplate, Placement, VolumeMapping};
use crate::cloud::ec2::tags;

/// One instance with what launches have from the launch template, so that policies which ask for encrypted volumes or for IMDSv2 alone
/// let it through as they do launches.
pub(super) async fn run_instances(
    aws: &Aws,
    template: &LaunchTemplate,
    machine: &Machine,
    of: &tags::Tags,
) -> Result<(), AwsError> {
    let content = &template.content;
    let profile = IamInstanceProfileSpecification::builder().name(&content.instance_profile).build();
    let groups = content.interfaces.first().map(|interface| interface.security_groups.clone());
    let mut call = aws.ec2.run_instances().dry_run(true).min_count(1).max_count(1).image_id(&machine.image_id);
    call = call
        .instance_type(InstanceType::from(machine.instance_type.as_str()))
        .subnet_id(&machine.subnet_id)
        .set_security_group_ids(groups);
    call = call.iam_instance_profile(profile).metadata_options(metadata(&content.metadata));
    call = call.placement(placement(&content.placement));
    for mapping in &content.block_devices {
        call = call.block_device_mappings(block_device(mapping));
    }
    for kind in [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface] {
        call = call.tag_specifications(tag_specification(kind, of));
    }
    call.send().await.map(drop).map_err(|failed| error("RunInstances", &failed))
}

fn metadata(of: &ImdsOptions) -> InstanceMetadataOptionsRequest {
    let tokens = if of.tokens_required { "required" } else { "optional" };
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::from(of.endpoint.name()))
        .set_http_protocol_ipv6(of.ipv6.map(|ipv6| InstanceMetadataProtocolState::from(ipv6.name())))
        .http_put_response_hop_limit(of.hops)
        .http_tokens(HttpTokensState::from(tokens))
        .instance_metadata_tags(InstanceMetadataTagsState::from(of.tags.name()))
        .build()
}

fn placement(of: &Placement) -> Ec2Placement {
    Ec2Placement::builder()
        .tenancy(Tenancy::from(of.tenancy.name()))
        .set_group_id(of.group_id.clone())
        .set_group_name(of.group_name.clone())
        .build()
}

fn block_device(mapping: &VolumeMapping) -> BlockDeviceMapping {
    let ebs = mapping.ebs.as_ref().map(|ebs| {
        EbsBlockDevice::builder()
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
    BlockDeviceMapping::builder().set_device_name(mapping.device.clone()).set_ebs(ebs).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::ec2::launch_template::{Switchable, Volume};

    #[test]
    fn what_policies_ask_about_is_what_launches_have() {
        let options = ImdsOptions {
            endpoint: Switchable::Enabled,
            ipv6: None,
            hops: 1,
            tokens_required: true,
            tags: Switchable::Disabled,
        };
        let sent = metadata(&options);
        assert_eq!(
            (sent.http_tokens(), sent.http_put_response_hop_limit()),
            (Some(&HttpTokensState::Required), Some(1))
        );
        let volume = Volume { encrypted: Some(true), size_gib: Some(20), ..Volume::default() };
        let mapping = VolumeMapping { device: Some("/dev/xvda".to_owned()), ebs: Some(volume) };
        let sent = block_device(&mapping);
        let ebs = sent.ebs().unwrap();
        assert_eq!((sent.device_name(), ebs.encrypted(), ebs.volume_size()), (Some("/dev/xvda"), Some(true), Some(20)));
    }
}
