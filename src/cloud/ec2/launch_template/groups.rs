//! Which types of a launch can share a launch template.

use std::collections::BTreeMap;

use crate::api::labels;
use crate::catalog::node_class::images::{self, ImageFacts};
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::cloud::LaunchError;
use crate::cloud::ec2::NodeTemplate;
use crate::cloud::ec2::launch_template::Market;
use crate::resources::PODS;

const EFA: &str = "vpc.amazonaws.com/efa";
const CAPACITY_BLOCK: &str = "capacity-block";

/// What types that share a launch template have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The machine image.
    pub image_id: String,
    /// How many pods the kubelet takes.
    pub max_pods: i64,
    /// EFA interfaces, one on each network card; 0 where no pod asks for one.
    pub efa_interfaces: i32,
    /// How instances are bought.
    pub capacity_type: CapacityType,
    /// The capacity reservation that instances are launched into.
    pub reserved: Option<Reserved>,
}

/// A capacity reservation as a launch template names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reserved {
    /// `cr-...`.
    pub id: String,
    /// It is a capacity block.
    pub is_block: bool,
    /// EC2 may take its instances back.
    pub is_interruptible: bool,
}

impl Reserved {
    /// That of an offering.
    #[must_use]
    pub fn of(offering: &Offering) -> Option<Self> {
        let id = offering.reservation.as_ref()?.id.to_string();
        Some(Self {
            id,
            is_block: offering.label(labels::CAPACITY_RESERVATION_TYPE) == Some(CAPACITY_BLOCK),
            is_interruptible: offering.label(labels::CAPACITY_RESERVATION_INTERRUPTIBLE) == Some("true"),
        })
    }

    pub(super) fn market(&self) -> Option<Market> {
        match self {
            Self { is_block: true, .. } => Some(Market::CapacityBlock),
            Self { is_interruptible: true, .. } => Some(Market::InterruptibleCapacityReservation),
            _ => None,
        }
    }
}

/// The groups of the options of a launch in the order of their first options: for each the places of its options.
///
/// # Errors
/// No image of the class serves any of the types.
pub fn groups(
    template: &NodeTemplate,
    options: &[(&InstanceType, &Offering)],
) -> Result<Vec<(Group, Vec<usize>)>, LaunchError> {
    let images: Vec<ImageFacts> = template.status().amis.iter().map(ImageFacts::from).collect();
    let mut of_types: BTreeMap<&str, Option<&ImageFacts>> = BTreeMap::new();
    let mut found: Vec<(Group, Vec<usize>)> = Vec::new();
    for (place, &(kind, offering)) in options.iter().enumerate() {
        let image = *of_types.entry(&kind.name).or_insert_with(|| images::of_type(&images, &kind.requirements));
        let Some(image) = image else { continue };
        let group = Group {
            image_id: image.id.to_string(),
            max_pods: kind.capacity.get(PODS),
            efa_interfaces: efa_interfaces(template, kind),
            capacity_type: offering.capacity_type,
            reserved: Reserved::of(offering),
        };
        match found.iter_mut().find(|(known, _)| *known == group) {
            Some((_, places)) => places.push(place),
            None => found.push((group, vec![place])),
        }
    }
    if found.is_empty() {
        let name = template.class.metadata.name.as_deref().unwrap_or_default();
        let reason =
            format!("EC2NodeClass {name}: no image in its status serves any of the instance types that are asked for");
        return Err(LaunchError::NodeClassNotReady(reason));
    }
    Ok(found)
}

fn efa_interfaces(template: &NodeTemplate, kind: &InstanceType) -> i32 {
    let is_automatic = template.wants_efa && template.class.spec.network_interfaces.is_empty();
    if is_automatic { i32::try_from(kind.capacity.get(EFA)).unwrap_or(0) } else { 0 }
}
