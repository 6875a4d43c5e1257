//! Nodes that are not what their EC2NodeClass asks for any more.
//!
//! Source: karpenter-provider-aws `pkg/cloudprovider/drift.go` (karpenter-aws 1.6); reasons in its order, the first counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::labels;
use crate::catalog::InstanceType;
use crate::cloud::Machine;
use crate::cloud::ec2::images;

/// The class has changed since the node was launched.
pub const NODE_CLASS: &str = "NodeClassDrift";
/// The class means other images.
pub const AMI: &str = "AMIDrift";
/// The class means other security groups.
pub const SECURITY_GROUP: &str = "SecurityGroupDrift";
/// The class means other subnets.
pub const SUBNET: &str = "SubnetDrift";
/// The class means other capacity reservations.
pub const CAPACITY_RESERVATION: &str = "CapacityReservationDrift";

/// The class means another placement group.
pub const PLACEMENT_GROUP: &str = "PlacementGroupDrift";

/// Why a node has drifted from what was found for its class; `None` too where the class is not ready, or nothing was found yet: what
/// cannot be looked up is no reason to replace nodes.
///
/// `kind`: the type of the node as the class has it now; `image`: that of the claim's status, where the cloud has not said it.
#[must_use]
pub fn dynamic(
    class: &EC2NodeClass,
    kind: Option<&InstanceType>,
    image: Option<&str>,
    machine: Option<&Machine>,
) -> Option<&'static str> {
    let status = super::node_template::ready_status(class).ok()?;
    let image = machine.map(|machine| &*machine.image_id).or(image);
    if let (Some(kind), Some(image)) = (kind, image)
        && is_other_image(status, kind, image)
    {
        return Some(AMI);
    }
    let machine = machine?;
    let wanted: BTreeSet<&str> = status.security_groups.iter().map(|group| group.id.as_str()).collect();
    let own: BTreeSet<&str> = machine.security_groups.iter().map(|id| &**id).collect();
    if !wanted.is_empty() && !own.is_empty() && wanted != own {
        return Some(SECURITY_GROUP);
    }
    let is_in = |subnet: &Arc<str>| status.subnets.iter().any(|known| *known.id == **subnet);
    if !status.subnets.is_empty() && machine.subnet_id.as_ref().is_some_and(|subnet| !is_in(subnet)) {
        return Some(SUBNET);
    }
    let is_known = |id: &Arc<str>| status.capacity_reservations.iter().any(|known| *known.id == **id);
    if machine.reservation.as_ref().is_some_and(|id| !is_known(id)) {
        return Some(CAPACITY_RESERVATION);
    }
    // a selector that has changed is drift of the class: here its name has come to mean another group
    let meant = kind.and_then(|kind| kind.requirements.get(labels::PLACEMENT_GROUP_ID)?.single_value());
    let is_other = machine.placement_group.as_ref().zip(meant).is_some_and(|(own, meant)| own != meant);
    is_other.then_some(PLACEMENT_GROUP)
}

/// Whether an image is none of those that the type is launched with. An image that serves it beside the newest one counts as drifted,
/// as in the reference: the newest is what a launch would take.
fn is_other_image(status: &crate::api::ec2_node_class::EC2NodeClassStatus, kind: &InstanceType, image: &str) -> bool {
    images::of_type(&status.amis, kind).is_some_and(|wanted| *wanted != *image)
}

#[cfg(test)]
mod tests;
