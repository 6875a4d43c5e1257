//! From capacity and overhead to what pods may use.

use crate::resources::{MEMORY, Resources};

const MARGIN_FLOOR_BYTES: i64 = 64 << 20;

/// `capacity - overhead`, floored at zero; hugepages are taken from memory (karpenter core, `InstanceType.Allocatable`).
/// Resources that only the overhead names (`pid`) are left out.
#[must_use]
pub fn allocatable(capacity: &Resources, overhead: &Resources) -> Resources {
    let mut left: Resources = capacity
        .iter()
        .map(|(name, amount)| (name.clone(), amount.saturating_sub(overhead.get(name)).max(0)))
        .collect();
    let hugepages: i64 = capacity.iter().filter(|(name, _)| is_hugepages(name)).map(|(_, amount)| amount).sum();
    if hugepages > 0 {
        left.set(MEMORY, (left.get(MEMORY) - hugepages).max(0));
    }
    left
}

/// Keeps back the share of predicted memory that the estimate may be wrong by: `permille` of it, at least 64 MiB; nothing
/// when `permille` is 0.
pub fn subtract_estimate_margin(allocatable: &mut Resources, permille: i64) {
    if permille > 0 {
        let memory = allocatable.get(MEMORY);
        let share = i64::try_from(i128::from(memory) * i128::from(permille) / 1_000).unwrap_or(i64::MAX);
        allocatable.set(MEMORY, memory.saturating_sub(share.max(MARGIN_FLOOR_BYTES)).max(0));
    }
}

#[must_use]
pub fn is_hugepages(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hugepages_come_out_of_memory_and_nothing_goes_below_zero() {
        let capacity = Resources::new().with(MEMORY, 10 << 30).with("hugepages-2Mi", 4 << 30).with("cpu", 50);
        let overhead = Resources::new().with(MEMORY, 1 << 30).with("cpu", 100).with("pid", 1_000);
        let left = allocatable(&capacity, &overhead);
        assert_eq!(left, Resources::new().with(MEMORY, 5 << 30).with("hugepages-2Mi", 4 << 30).with("cpu", 0));
    }

    #[test]
    fn the_margin_is_a_share_of_at_least_64_mib() {
        for (memory, permille, left) in [
            (10_000 << 20, 0, 10_000 << 20),
            (10_000 << 20, 5, (10_000 - 64) << 20),
            (100_000 << 20, 5, (100_000 - 500) << 20),
            (32 << 20, 5, 0),
        ] {
            let mut resources = Resources::new().with(MEMORY, memory);
            subtract_estimate_margin(&mut resources, permille);
            assert_eq!(resources.get(MEMORY), left, "{memory} at {permille}");
        }
    }
}
