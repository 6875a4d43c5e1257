//! A request for a fleet.

use serde::Serialize;

use super::batch::Batch;
use super::subnets::{SubnetSpace, roomiest};
use super::token::Token;
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::cloud::LaunchError;
use crate::cloud::ec2::launch_template::{Group, LaunchTemplate, Reserved, groups};
use crate::cloud::ec2::tags::{self, Tags};
use crate::cloud::ec2::{ClusterFacts, user_data};

/// EC2 takes so many pools of capacity in one request (quota of EC2 Fleet).
pub const MOST_OVERRIDES: usize = 300;
/// And so many `LaunchTemplateConfigs`, each with another launch template.
pub const MOST_TEMPLATES: usize = 50;

/// CreateFleet with `Type=instant`; launch templates by name, at the version `$Latest`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetRequest {
    /// `TargetCapacitySpecification.TotalTargetCapacity`.
    pub instances: i32,
    /// `DefaultTargetCapacityType`.
    pub capacity: TargetCapacity,
    /// The strategy that goes with it.
    pub allocation: Option<Allocation>,
    /// `LaunchTemplateConfigs`.
    pub configs: Vec<TemplateConfig>,
    /// `TagSpecifications` of instance, volume and fleet; with [`labels::LAUNCH`].
    pub tags: Tags,
    /// `Context`.
    pub context: Option<String>,
    /// `ClientToken`; also the value of the tag.
    pub token: String,
}

/// What is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TargetCapacity {
    /// `spot`.
    Spot,
    /// `on-demand`, also into a capacity reservation.
    OnDemand,
    /// `capacity-block`.
    CapacityBlock,
    /// `reserved-capacity`: interruptible reservations.
    ReservedCapacity,
}

impl TargetCapacity {
    /// As EC2 writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
            Self::CapacityBlock => "capacity-block",
            Self::ReservedCapacity => "reserved-capacity",
        }
    }
}

/// How EC2 chooses among overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Allocation {
    /// `SpotOptions.AllocationStrategy=price-capacity-optimized`.
    SpotPriceCapacityOptimized,
    /// `SpotOptions.AllocationStrategy=capacity-optimized-prioritized`: by the prices that a NodeOverlay has set.
    SpotCapacityOptimizedPrioritized,
    /// `OnDemandOptions.AllocationStrategy=prioritized`: in the order of the plan.
    OnDemandPrioritized,
}

/// A launch template and what it is used for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TemplateConfig {
    /// Its name.
    pub template: String,
    /// Types and subnets.
    pub overrides: Vec<Override>,
}

/// A pool of capacity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Override {
    /// `InstanceType`.
    pub instance_type: String,
    /// `SubnetId`.
    pub subnet_id: String,
    /// `AvailabilityZone`: errors name it.
    pub zone: String,
    /// `ImageId`.
    pub image_id: String,
    /// `Priority`, the smallest first; `None` where the strategy has none.
    pub priority: Option<f64>,
    /// The place of its option in the batch.
    #[serde(skip)]
    pub option: usize,
}

/// A launch template of a batch, with the places of its options.
#[derive(Debug, Clone, PartialEq)]
pub struct Templated {
    /// What it is for.
    pub group: Group,
    /// What has to be there.
    pub template: LaunchTemplate,
    /// Of which options.
    pub options: Vec<usize>,
}

/// The launch templates of a batch: as many as a request may name, those of the options that are liked most. Where none of these can be had,
/// they are marked so, and the claim's pods are planned anew with what is left.
///
/// # Errors
/// No image serves the types, or user data cannot be made: the node class has to change first.
pub fn templates(cluster: &ClusterFacts, batch: &Batch) -> Result<Vec<Templated>, LaunchError> {
    let name = batch.template.class.metadata.name.as_deref().unwrap_or_default();
    let not_ready =
        |error: user_data::UserDataError| LaunchError::NodeClassNotReady(format!("EC2NodeClass {name}: {error}"));
    groups(&batch.template, &batch.offerings())?
        .into_iter()
        .take(MOST_TEMPLATES)
        .map(|(group, options)| {
            let template = LaunchTemplate::of(cluster, &batch.template, &group).map_err(not_ready)?;
            Ok(Templated { group, template, options })
        })
        .collect()
}

/// The request of a batch. `attempt`: 1, or one more than that of an earlier token.
///
/// # Errors
/// No subnet of the class is in a zone of the options.
pub fn request(
    cluster: &ClusterFacts,
    batch: &Batch,
    templates: &[Templated],
    subnets: &[SubnetSpace],
    attempt: u32,
) -> Result<FleetRequest, LaunchError> {
    let offerings = batch.offerings();
    let (capacity, allocation) = market(batch);
    let is_prioritized = allocation.is_some_and(|of| of != Allocation::SpotPriceCapacityOptimized);
    let roomiest = roomiest(subnets);
    let of_template = |templated: &Templated| {
        let over = |&option: &usize| {
            let (kind, offering) = offerings[option];
            let subnet = roomiest.get(&*offering.zone)?;
            let rank = match allocation {
                Some(Allocation::SpotCapacityOptimizedPrioritized) => {
                    usize::try_from(offering.price.0).unwrap_or(option)
                }
                _ => option,
            };
            Some(Override {
                instance_type: kind.name.to_string(),
                subnet_id: subnet.id.clone(),
                zone: offering.zone.to_string(),
                image_id: templated.group.image_id.clone(),
                priority: is_prioritized.then(|| u32::try_from(rank).map_or(f64::MAX, f64::from)),
                option,
            })
        };
        // options are in order of preference: what is beyond what EC2 takes is liked least
        let options = templated.options.iter().filter(|option| **option < MOST_OVERRIDES);
        TemplateConfig { template: templated.template.name.clone(), overrides: options.filter_map(over).collect() }
    };
    let mut configs: Vec<TemplateConfig> = templates.iter().map(of_template).collect();
    configs.retain(|config| !config.overrides.is_empty());
    if configs.is_empty() {
        let name = batch.template.class.metadata.name.as_deref().unwrap_or_default();
        let reason = format!("EC2NodeClass {name}: none of its subnets is in a zone that the launch asks for");
        return Err(LaunchError::NodeClassNotReady(reason));
    }
    let mut request = FleetRequest {
        instances: i32::try_from(batch.claims.len()).unwrap_or(i32::MAX),
        capacity,
        allocation,
        configs,
        tags: tags::of_launch(cluster, &batch.template.class, &batch.template.pool),
        context: batch.template.class.spec.context.clone().filter(|_| !batch.template.has_relaxed_min_values),
        token: String::new(),
    };
    let written = serde_json::to_vec(&request).expect("the request has texts as keys");
    let token = Token::of(batch.claims.iter().map(|claim| &*claim.uid), attempt, &written).to_string();
    request.tags.insert(labels::LAUNCH.to_owned(), token.clone());
    request.token = token;
    Ok(request)
}

fn market(batch: &Batch) -> (TargetCapacity, Option<Allocation>) {
    let offerings = batch.offerings();
    let Some((_, first)) = offerings.first() else { return (TargetCapacity::OnDemand, None) };
    let reserved = Reserved::of(first);
    let is_block = reserved.as_ref().is_some_and(|of| of.is_block);
    let is_interruptible = reserved.is_some_and(|of| of.is_interruptible);
    match first.capacity_type {
        CapacityType::Spot if offerings.iter().any(|(_, of)| of.price_overlay_applied) => {
            (TargetCapacity::Spot, Some(Allocation::SpotCapacityOptimizedPrioritized))
        }
        CapacityType::Spot => (TargetCapacity::Spot, Some(Allocation::SpotPriceCapacityOptimized)),
        CapacityType::Reserved if is_block => (TargetCapacity::CapacityBlock, None),
        CapacityType::Reserved if is_interruptible => (TargetCapacity::ReservedCapacity, None),
        CapacityType::OnDemand | CapacityType::Reserved => {
            (TargetCapacity::OnDemand, Some(Allocation::OnDemandPrioritized))
        }
    }
}

impl FleetRequest {
    /// The subnets that instances may land in, each once.
    pub fn subnets(&self) -> impl Iterator<Item = &str> {
        let all = self.configs.iter().flat_map(|config| &config.overrides).map(|over| over.subnet_id.as_str());
        all.collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    /// Every pool of capacity.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &Override)> {
        self.configs.iter().flat_map(|config| config.overrides.iter().map(|over| (config.template.as_str(), over)))
    }
}
