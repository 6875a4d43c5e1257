//! Which types a node class can launch at all (karpenter-provider-aws `pkg/providers/instancetype/compatibility`).

use super::Ec2Type;
use crate::catalog::NodeClassFacts;
use crate::catalog::node_class::AmiFamily;

pub(super) fn with_node_class(ec2_type: &Ec2Type, class: &NodeClassFacts) -> bool {
    image_boots(ec2_type, class.ami_family)
        && network_interfaces_fit(ec2_type, class)
        && (!class.connection_tracking || &*ec2_type.hypervisor == "nitro")
        // the data do not say which types can; none is the answer that launches nothing wrong
        && !class.nested_virtualization
        && class.placement_group.as_ref().is_none_or(|group| ec2_type.may_be_placed(&group.strategy))
}

/// AL2023 needs more than the cores of a1; Windows images are amd64 only.
fn image_boots(ec2_type: &Ec2Type, family: AmiFamily) -> bool {
    match family {
        AmiFamily::Al2023 => !ec2_type.name.starts_with("a1."),
        family if family.is_windows() => &*ec2_type.arch == "amd64",
        _ => true,
    }
}

fn network_interfaces_fit(ec2_type: &Ec2Type, class: &NodeClassFacts) -> bool {
    let interfaces = &class.network_interfaces;
    let efa_only = interfaces.iter().filter(|interface| interface.efa_only).count();
    interfaces.iter().all(|interface| {
        i64::from(interface.card) < ec2_type.network_cards && i64::from(interface.device) < ec2_type.interfaces_per_card
    }) && i64::try_from(efa_only).is_ok_and(|count| count <= ec2_type.efa_interfaces)
}
