//! EC2 instance types: bundled facts, and what a node class makes of them.
//!
//! Follows karpenter-provider-aws `pkg/providers/instancetype`: labels, capacity and overhead are computed from the same
//! facts by the same rules. `data/README.md` says where the facts come from and what they lack.

mod capacity;
mod compatible;
mod described;
mod facts;
mod labels;
mod offerings;
mod overhead;

pub use described::{DescribedDevice, DescribedType};
pub use facts::{Ec2Facts, Ec2Type, FactsError, PriceTable};

use super::allocatable::{allocatable, subtract_estimate_margin};
use super::learned::NodeKind;
use super::market::Market;
use super::node_class::images;
use super::{InstanceType, NodeClassFacts};
use crate::settings::Settings;

/// Well-known labels that no type carries because the data do not say: they match only `NotIn` and `DoesNotExist`.
/// `zone-id` is present where the status of the node class names it.
pub const ABSENT_LABELS: [&str; 2] = [crate::api::labels::NITRO_SANDBOX, crate::api::labels::ZONE_ID];

/// The instance types that a node class can launch in a market, sorted by name. Types without a price are included, with
/// offerings that are not available: a NodeOverlay may price them.
#[must_use]
pub fn instance_types(
    facts: &Ec2Facts,
    class: &NodeClassFacts,
    market: &Market,
    settings: &Settings,
) -> Vec<InstanceType> {
    let label_values = labels::NodeClassLabels::new(class, market);
    let zones = class.zones.as_ref().unwrap_or(&market.zones);
    let compatible = facts.types().iter().filter(|ec2_type| compatible::with_node_class(ec2_type, class));
    compatible
        .map(|ec2_type| {
            let capacity = capacity::of(ec2_type, class, settings);
            let overhead = overhead::of(ec2_type, class, &capacity);
            let allocatable = allocatable(&capacity, &overhead.total());
            let offerings = offerings::of(ec2_type, class, zones, market);
            let mut kind = InstanceType {
                name: ec2_type.name.clone(),
                requirements: label_values.requirements(ec2_type, &offerings),
                capacity,
                overhead,
                offerings,
                allocatable,
                capacity_overlay_applied: false,
            };
            if !learn(class, market, &mut kind) {
                subtract_estimate_margin(&mut kind.allocatable, settings.estimate_margin_permille);
            }
            kind
        })
        .collect()
}

/// Makes a type what its nodes really are. Whether one of them was seen.
fn learn(class: &NodeClassFacts, market: &Market, kind: &mut InstanceType) -> bool {
    if market.learned.is_empty() {
        return false;
    }
    let Some(image) = images::of_type(&class.images, &kind.requirements) else { return false };
    let of = NodeKind { instance_type: kind.name.clone(), image_id: image.id.clone(), class_hash: class.hash.clone() };
    market.learned.apply(&of, kind)
}

#[cfg(test)]
mod tests;
