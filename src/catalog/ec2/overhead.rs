//! What a node keeps back from pods (karpenter-provider-aws `computeOverhead`).

use super::Ec2Type;
use super::capacity::pods_for_reserve;
use crate::catalog::node_class::Threshold;
use crate::catalog::{NodeClassFacts, Overhead};
use crate::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, Resources};

const MIB: i64 = 1 << 20;
/// kubelet's default `evictionHard`: 100Mi of memory, 10 % of the file system.
const EVICTION_MEMORY: Threshold = Threshold::Amount(100 * MIB);
const EVICTION_NODEFS: Threshold = Threshold::MicroPercent(10_000_000);
/// Shares of the CPU that are reserved: up to this many cores in all, this share (in 1/10,000) of those above the line
/// before; each tier is rounded down to millicores.
const CPU_TIERS: [(i64, i64); 4] = [(1, 600), (2, 100), (4, 50), (i64::MAX, 25)];

pub(super) fn of(ec2_type: &Ec2Type, class: &NodeClassFacts, capacity: &Resources) -> Overhead {
    let mut kube_reserved = Resources::new()
        .with(CPU, reserved_millicores(ec2_type.vcpus))
        .with(MEMORY, (255 + 11 * pods_for_reserve(ec2_type, class.ami_family, capacity)) * MIB)
        .with(EPHEMERAL_STORAGE, 1 << 30);
    for (name, amount) in class.kube_reserved.iter() {
        kube_reserved.set(name.clone(), amount);
    }
    let memory = class.eviction_memory.unwrap_or(EVICTION_MEMORY);
    let nodefs = class.eviction_nodefs.unwrap_or(EVICTION_NODEFS);
    Overhead {
        kube_reserved,
        system_reserved: class.system_reserved.clone(),
        eviction_threshold: Resources::new()
            .with(MEMORY, memory.of(capacity.get(MEMORY)))
            .with(EPHEMERAL_STORAGE, nodefs.of(capacity.get(EPHEMERAL_STORAGE))),
    }
}

fn reserved_millicores(vcpus: i64) -> i64 {
    let mut lower = 0;
    CPU_TIERS
        .iter()
        .map(|&(upper, share)| {
            let cores = (vcpus.min(upper) - lower).max(0);
            lower = upper;
            cores * 1_000 * share / 10_000
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::reserved_millicores;

    #[test]
    fn cpu_reserve_follows_the_tiers() {
        for (vcpus, millicores) in [(1, 60), (2, 70), (4, 80), (8, 90), (36, 160), (192, 550)] {
            assert_eq!(reserved_millicores(vcpus), millicores, "{vcpus} vCPU");
        }
    }
}
