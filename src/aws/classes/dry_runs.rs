//! Whether AWS would let nodes of a class be launched: a launch template is made, and a fleet with it and an instance are dry runs. Rights on
//! launch templates depend on the tags of one that is there.
//!
//! Source: karpenter-provider-aws `pkg/controllers/nodeclass/validation.go`.

mod machine;
mod run_instances;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetType, InstanceType, ResourceType, TargetCapacitySpecificationRequest,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use metrics::gauge;
use tracing::warn;

use super::observed::Need;
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::node_pool::NodePool;
use crate::aws::connect::Aws;
use crate::aws::templates::tag_specification;
use crate::aws::words::error;
use crate::catalog::CapacityType;
use crate::cloud::ec2::class_status::{DryRun, Validation, ValidationFailure};
use crate::cloud::ec2::errors::AwsError;
use crate::cloud::ec2::launch_template::{Group, LaunchTemplate};
use crate::cloud::ec2::node_template::Tenancy;
use crate::cloud::ec2::user_data::MOST_BYTES;
use crate::cloud::ec2::{NodeTemplate, tags};
use machine::{Machine, choose};
use run_instances::run_instances;

/// kubelet's default: which number it is makes no difference to rights.
const PODS: i64 = 110;

/// Tries them for a class with the status that it is about to have, one after the other.
pub(super) async fn validate(
    Need { aws, cluster, client, market, templates, .. }: Need<'_>,
    class: &Arc<EC2NodeClass>,
) -> Validation {
    let pools = match Api::<NodePool>::all(client.clone()).list(&ListParams::default()).await {
        Ok(listed) => listed.items,
        Err(error) => return Validation::Unknown(format!("NodePools cannot be listed: {error}")),
    };
    let Some(machine) = choose(class, pools, &market.catalog()) else { return Validation::Pending };
    let template = NodeTemplate {
        class: class.clone(),
        pool: Arc::from("packwright-validation"),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        wants_efa: false,
        wants_enclaves: false,
        tenancy: Tenancy::Default,
        partition: None,
        has_relaxed_min_values: false,
    };
    let group = Group {
        image_id: machine.image_id.clone(),
        max_pods: PODS,
        efa_interfaces: 0,
        capacity_type: CapacityType::OnDemand,
        reserved: None,
    };
    let launch_template = match LaunchTemplate::of(cluster, &template, &group) {
        Ok(found) => found,
        Err(error) => {
            let reason = "UserDataSizeLimitExceeded";
            return Validation::Failed(ValidationFailure { reason, message: error.to_string() });
        }
    };
    tell_size(class, &launch_template);
    let launched = tags::of_launch(cluster, class, &template.pool);
    for call in [DryRun::CreateLaunchTemplate, DryRun::CreateFleet, DryRun::RunInstances] {
        let told = match call {
            DryRun::CreateLaunchTemplate => templates.ensure(aws, &launch_template, Timestamp::now()).await,
            DryRun::CreateFleet => create_fleet(aws, &launch_template.name, &machine, &launched).await,
            DryRun::RunInstances => run_instances(aws, &launch_template, &machine, &launched).await,
        };
        let Err(error) = told else { continue };
        if error.is_launch_template_missing() {
            templates.forget(&launch_template.name); // it is made again
        }
        let failed = Validation::of_dry_run(call, class, &error);
        if let Some(failed) = failed {
            return failed;
        }
    }
    Validation::Succeeded
}

/// How much user data there is: EC2 takes no more than [`MOST_BYTES`].
fn tell_size(class: &EC2NodeClass, template: &LaunchTemplate) {
    let encoded = template.content.user_data.as_deref().unwrap_or_default();
    let bytes = STANDARD.decode(encoded).map_or(0, |text| text.len());
    let name = class.name_any();
    let told = u32::try_from(bytes).unwrap_or(u32::MAX);
    gauge!("karpenter_ec2nodeclasses_userdata_bytes", "nodeclass" => name.clone()).set(f64::from(told));
    if bytes * 10 > MOST_BYTES * 9 {
        warn!(controller = "nodeclass", EC2NodeClass = name, "user data have {bytes} of at most {MOST_BYTES} bytes");
    }
}

/// As a launch asks for one.
async fn create_fleet(aws: &Aws, template: &str, machine: &Machine, of: &tags::Tags) -> Result<(), AwsError> {
    let template =
        FleetLaunchTemplateSpecificationRequest::builder().launch_template_name(template).version("$Latest").build();
    let over = FleetLaunchTemplateOverridesRequest::builder()
        .instance_type(InstanceType::from(machine.instance_type.as_str()))
        .subnet_id(&machine.subnet_id)
        .image_id(&machine.image_id)
        .build();
    let config =
        FleetLaunchTemplateConfigRequest::builder().launch_template_specification(template).overrides(over).build();
    let capacity = TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(1)
        .default_target_capacity_type(DefaultTargetCapacityType::OnDemand)
        .build();
    let mut call = aws.ec2.create_fleet().dry_run(true).r#type(FleetType::Instant);
    call = call.launch_template_configs(config).target_capacity_specification(capacity);
    for kind in [ResourceType::Instance, ResourceType::Volume, ResourceType::Fleet] {
        call = call.tag_specifications(tag_specification(kind, of));
    }
    call.send().await.map(drop).map_err(|failed| error("CreateFleet", &failed))
}
