//! CreateFleet as the SDK sends it, and its answer.

use aws_sdk_ec2::types::{
    CreateFleetError, CreateFleetInstance, DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest,
    FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy,
    FleetType, InstanceType, LaunchTemplateAndOverridesResponse, OnDemandOptionsRequest, ResourceType,
    SpotAllocationStrategy, SpotOptionsRequest, TargetCapacitySpecificationRequest,
};

use super::connect::Aws;
use super::templates::tag_specification;
use super::words::error;
use crate::cloud::ec2::errors::AwsError;
use crate::cloud::ec2::fleet::{
    Allocation, Created, Failure, FleetRequest, FleetResponse, Override, TargetCapacity, TemplateConfig,
};

/// Sends a request, and where no answer comes sends it again with the same token, to which EC2 gives the same answer, until the client gives up.
///
/// # Errors
/// What EC2 says, where the call as a whole has failed.
pub(super) async fn create(aws: &Aws, request: &FleetRequest) -> Result<FleetResponse, AwsError> {
    if request.capacity == TargetCapacity::ReservedCapacity {
        let message = "interruptible capacity reservations cannot be asked for yet";
        return Err(AwsError::new("Unsupported", message)); // its pods are planned anew
    }
    let capacity = TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(request.instances)
        .default_target_capacity_type(DefaultTargetCapacityType::from(request.capacity.name()))
        .build();
    let mut call = aws
        .ec2
        .create_fleet()
        .r#type(FleetType::Instant)
        .client_token(&request.token)
        .target_capacity_specification(capacity)
        .set_context(request.context.clone())
        .set_launch_template_configs(Some(request.configs.iter().map(config).collect()));
    for kind in [ResourceType::Instance, ResourceType::Volume, ResourceType::Fleet] {
        call = call.tag_specifications(tag_specification(kind, &request.tags));
    }
    let spot = |strategy| SpotOptionsRequest::builder().allocation_strategy(strategy).build();
    call = match request.allocation {
        Some(Allocation::SpotPriceCapacityOptimized) => {
            call.spot_options(spot(SpotAllocationStrategy::PriceCapacityOptimized))
        }
        Some(Allocation::SpotCapacityOptimizedPrioritized) => {
            call.spot_options(spot(SpotAllocationStrategy::CapacityOptimizedPrioritized))
        }
        Some(Allocation::OnDemandPrioritized) => {
            let strategy = FleetOnDemandAllocationStrategy::Prioritized;
            call.on_demand_options(OnDemandOptionsRequest::builder().allocation_strategy(strategy).build())
        }
        None => call,
    };
    let answer = call.send().await.map_err(|failed| error("CreateFleet", &failed))?;
    Ok(FleetResponse {
        instances: answer.instances().iter().map(created).collect(),
        errors: answer.errors().iter().map(failure).collect(),
    })
}

fn config(of: &TemplateConfig) -> FleetLaunchTemplateConfigRequest {
    let template = FleetLaunchTemplateSpecificationRequest::builder()
        .launch_template_name(&of.template)
        .version("$Latest")
        .build();
    FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(template)
        .set_overrides(Some(of.overrides.iter().map(over).collect()))
        .build()
}

fn over(of: &Override) -> FleetLaunchTemplateOverridesRequest {
    FleetLaunchTemplateOverridesRequest::builder()
        .instance_type(InstanceType::from(of.instance_type.as_str()))
        .subnet_id(&of.subnet_id)
        .availability_zone(&of.zone)
        .image_id(&of.image_id)
        .set_priority(of.priority)
        .build()
}

fn created(of: &CreateFleetInstance) -> Created {
    let pool = Pool::of(of.launch_template_and_overrides());
    Created {
        ids: of.instance_ids().to_vec(),
        instance_type: of
            .instance_type()
            .map(|kind| kind.as_str().to_owned())
            .or(pool.instance_type)
            .unwrap_or_default(),
        subnet_id: pool.subnet_id,
        zone: pool.zone,
        template: pool.template,
    }
}

fn failure(of: &CreateFleetError) -> Failure {
    let Pool { instance_type, subnet_id, zone, template } = Pool::of(of.launch_template_and_overrides());
    let error = AwsError::new(of.error_code().unwrap_or_default(), of.error_message().unwrap_or_default());
    Failure { error, instance_type, subnet_id, zone, template }
}

/// As far as an answer names one.
#[derive(Default)]
struct Pool {
    instance_type: Option<String>,
    subnet_id: Option<String>,
    zone: Option<String>,
    template: Option<String>,
}

impl Pool {
    fn of(said: Option<&LaunchTemplateAndOverridesResponse>) -> Self {
        let Some(said) = said else { return Self::default() };
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let over = said.overrides();
        Self {
            instance_type: over.and_then(|of| of.instance_type()).map(|kind| kind.as_str().to_owned()),
            subnet_id: text(over.and_then(|of| of.subnet_id())),
            zone: text(over.and_then(|of| of.availability_zone())),
            template: text(said.launch_template_specification().and_then(|of| of.launch_template_name())),
        }
    }
}
