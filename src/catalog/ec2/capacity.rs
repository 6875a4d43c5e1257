//! What a node of a type has (karpenter-provider-aws `computeCapacity`).

use super::Ec2Type;
use crate::catalog::NodeClassFacts;
use crate::catalog::node_class::{AmiFamily, BlockDevice};
use crate::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, NVIDIA_GPU, PODS, Resources};
use crate::settings::Settings;

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;
/// Size of the volume where neither the node class nor the AMI family says one.
const DEFAULT_VOLUME_BYTES: i64 = 20 * GIB;
/// Memory that Graviton firmware keeps for contiguous allocation.
const ARM64_RESERVED_MIB: i64 = 64;
/// kubelet's default where no ENI limit applies.
const PODS_WITHOUT_ENI_LIMIT: i64 = 110;

pub(super) fn of(ec2_type: &Ec2Type, class: &NodeClassFacts, settings: &Settings) -> Resources {
    let mut capacity = Resources::new()
        .with(CPU, ec2_type.vcpus * 1_000)
        .with(MEMORY, memory_bytes(ec2_type, settings.vm_memory_overhead_percent))
        .with(EPHEMERAL_STORAGE, ephemeral_storage_bytes(ec2_type, class))
        .with(PODS, pods(ec2_type, class, settings.reserved_enis));
    for (name, amount) in extended(ec2_type, class) {
        if amount > 0 {
            capacity.set(name, amount);
        }
    }
    capacity
}

fn extended(ec2_type: &Ec2Type, class: &NodeClassFacts) -> impl Iterator<Item = (&'static str, i64)> {
    let gpu = ec2_type.gpu.as_ref().and_then(|gpu| match &*gpu.manufacturer {
        "nvidia" => Some((NVIDIA_GPU, gpu.count)),
        "amd" => Some(("amd.com/gpu", gpu.count)),
        "habana" => Some(("habana.ai/gaudi", gpu.count)),
        _ => None,
    });
    let efa = if class.network_interfaces.is_empty() { ec2_type.efa_interfaces } else { efa_only(class, None) };
    let private_ips = if class.ami_family.is_windows() { ec2_type.ipv4_per_interface - 1 } else { 0 };
    gpu.into_iter().chain([
        ("aws.amazon.com/neuron", ec2_type.neuron_devices),
        ("aws.amazon.com/neuroncore", ec2_type.neuron_cores),
        ("vpc.amazonaws.com/efa", efa),
        ("vpc.amazonaws.com/pod-eni", ec2_type.branch_interfaces),
        ("vpc.amazonaws.com/PrivateIPv4Address", private_ips),
    ])
}

/// Memory less the hypervisor's share, which is rounded up to whole MiB.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // below 2^53 bytes; `as` saturates
fn memory_bytes(ec2_type: &Ec2Type, overhead_fraction: f64) -> i64 {
    let reserved = if &*ec2_type.arch == "arm64" { ARM64_RESERVED_MIB } else { 0 };
    let memory = (ec2_type.memory_mib - reserved) * MIB;
    // the one float of the catalogue: the reference rounds this product up, so ours must be the same product
    let overhead_mib = (memory as f64 * overhead_fraction / 1024.0 / 1024.0).ceil() as i64;
    memory.saturating_sub(overhead_mib.saturating_mul(MIB)).max(0)
}

fn ephemeral_storage_bytes(ec2_type: &Ec2Type, class: &NodeClassFacts) -> i64 {
    if let (true, Some(gb)) = (class.instance_store_raid0, ec2_type.local_nvme_gb) {
        return gb * 1_000_000_000;
    }
    let devices = &class.block_devices;
    if let Some(size) = devices.iter().find(|device| device.root).and_then(|root| root.size_bytes) {
        return size;
    }
    let Some((device, default_gib)) = class.ami_family.ephemeral_device() else {
        // a custom image: nobody knows which device holds the kubelet's files, the last one is assumed
        return devices.last().and_then(|last| last.size_bytes).unwrap_or(DEFAULT_VOLUME_BYTES);
    };
    let named = |candidate: &&BlockDevice| candidate.device_name == device;
    devices.iter().find(named).and_then(|found| found.size_bytes).unwrap_or(default_gib * GIB)
}

fn pods(ec2_type: &Ec2Type, class: &NodeClassFacts, reserved_enis: u32) -> i64 {
    let limit = match class.max_pods {
        Some(max) => i64::from(max),
        None if class.ami_family.is_windows() => PODS_WITHOUT_ENI_LIMIT,
        None => eni_limited_pods(ec2_type, i64::from(reserved_enis) + efa_only(class, Some(0))),
    };
    match class.pods_per_core {
        Some(per_core) if per_core > 0 && class.ami_family.honours_pods_per_core() => {
            limit.min(i64::from(per_core) * ec2_type.vcpus)
        }
        _ => limit,
    }
}

/// Pods with an address of their own: the VPC CNI uses the default network card, one address of each interface is the
/// interface's, and two pods (kube-proxy and the CNI) use the host's network.
pub(super) fn eni_limited_pods(ec2_type: &Ec2Type, unusable_interfaces: i64) -> i64 {
    match ec2_type.interfaces_per_card.saturating_sub(unusable_interfaces) {
        usable if usable <= 0 => 0,
        usable => usable * (ec2_type.ipv4_per_interface - 1) + 2,
    }
}

/// EFA-only interfaces of the node class, on one card or on all.
fn efa_only(class: &NodeClassFacts, card: Option<u32>) -> i64 {
    let on_card = class.network_interfaces.iter().filter(|i| i.efa_only && card.is_none_or(|card| i.card == card));
    i64::try_from(on_card.count()).unwrap_or(i64::MAX)
}

/// The number of pods that the kubelet's memory reserve is computed from.
pub(super) fn pods_for_reserve(ec2_type: &Ec2Type, family: AmiFamily, capacity: &Resources) -> i64 {
    if family.reserves_memory_for_eni_limit() { eni_limited_pods(ec2_type, 0) } else { capacity.get(PODS) }
}
