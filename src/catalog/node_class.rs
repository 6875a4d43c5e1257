//! What the catalogue needs to know of a node class.
//!
//! A small copy of the fields of `EC2NodeClass` that change capacity, overhead or the choice of types, already checked
//! and in integers, so that the catalogue's rules depend on no API type.

mod from_api;
pub mod images;
pub mod reservations;

use std::fmt;
use std::sync::Arc;

use crate::resources::Resources;
use crate::units::quantity::{Quantity, QuantityError};

/// The operating system image, which decides defaults and which rules apply (karpenter-provider-aws `pkg/providers/amifamily`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AmiFamily {
    Al2,
    #[default]
    Al2023,
    Bottlerocket,
    Windows2019,
    Windows2022,
    Windows2025,
    Custom,
}

impl AmiFamily {
    /// Reads the value of `amiFamily`, or the family of an alias such as `al2023@latest`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "al2" => Self::Al2,
            "al2023" => Self::Al2023,
            "bottlerocket" => Self::Bottlerocket,
            "windows2019" => Self::Windows2019,
            "windows2022" => Self::Windows2022,
            "windows2025" => Self::Windows2025,
            "custom" => Self::Custom,
            _ => return None,
        })
    }

    /// The label `node.kubernetes.io/windows-build`; `None` on Linux.
    #[must_use]
    pub fn windows_build(self) -> Option<&'static str> {
        match self {
            Self::Windows2019 => Some("10.0.17763"),
            Self::Windows2022 => Some("10.0.20348"),
            Self::Windows2025 => Some("10.0.26100"),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_windows(self) -> bool {
        self.windows_build().is_some()
    }

    /// The kubelet's memory reserve follows the ENI limit even where the number of pods does not.
    pub(super) fn reserves_memory_for_eni_limit(self) -> bool {
        matches!(self, Self::Al2 | Self::Al2023 | Self::Custom)
    }

    pub(super) fn honours_pods_per_core(self) -> bool {
        self != Self::Bottlerocket
    }

    /// The device that holds the kubelet's files, and its default size in GiB; `Custom` images name none.
    pub(super) fn ephemeral_device(self) -> Option<(&'static str, i64)> {
        match self {
            Self::Al2 | Self::Al2023 => Some(("/dev/xvda", 20)),
            Self::Bottlerocket => Some(("/dev/xvdb", 20)),
            Self::Windows2019 | Self::Windows2022 | Self::Windows2025 => Some(("/dev/sda1", 50)),
            Self::Custom => None,
        }
    }
}

/// The fields of a node class that the catalogue reads; the default is AL2023 with nothing set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeClassFacts {
    pub ami_family: AmiFamily,
    /// `spec.kubelet.maxPods`. Prefix delegation raises the number of pods only through this.
    pub max_pods: Option<u32>,
    pub pods_per_core: Option<u32>,
    /// Overrides the computed reserve key by key.
    pub kube_reserved: Resources,
    pub system_reserved: Resources,
    /// `evictionHard` of `memory.available` and `nodefs.available`; `None` is the default, 100Mi and 10 %.
    pub eviction_memory: Option<Threshold>,
    pub eviction_nodefs: Option<Threshold>,
    /// In the order of the node class; empty means the defaults of the AMI family.
    pub block_devices: Vec<BlockDevice>,
    /// `instanceStorePolicy: RAID0`: local disks hold the kubelet's files.
    pub instance_store_raid0: bool,
    /// Empty means one interface, chosen at launch.
    pub network_interfaces: Vec<NetworkInterface>,
    /// `connectionTracking` is set: only Nitro types.
    pub connection_tracking: bool,
    /// `cpuOptions.nestedVirtualization: enabled`.
    pub nested_virtualization: bool,
    /// Zones of the subnets in the status; `None` means every zone of the market.
    pub zones: Option<Vec<Zone>>,
    /// Capacity reservations of the status that can still be launched into.
    pub reservations: Vec<ReservationFacts>,
    /// The placement group that its selector means, once the account has said so.
    pub placement_group: Option<PlacementGroupFacts>,
    /// The images of the status, in its order.
    pub images: Vec<images::ImageFacts>,
    /// What the class is apart from what its selectors find; empty where nobody asks.
    pub hash: Arc<str>,
}

/// An availability zone: its name in this account, and its account-independent id where known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Zone {
    pub name: Arc<str>,
    pub id: Option<Arc<str>>,
}

/// A block device mapping with the size of its EBS volume in bytes, rounded up to whole GiB when it is given in GB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockDevice {
    pub device_name: String,
    pub root: bool,
    /// `None` where only a snapshot is named.
    pub size_bytes: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkInterface {
    pub card: u32,
    pub device: u32,
    /// `interfaceType: efa-only`.
    pub efa_only: bool,
}

/// A placement group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementGroupFacts {
    /// `pg-...`.
    pub id: Arc<str>,
    /// `cluster`, `partition` or `spread`.
    pub strategy: Arc<str>,
    /// How many partitions it has in each zone; 0 where its strategy is another one.
    pub partitions: u32,
}

/// A capacity reservation: where it is, for which type, and how many instances are free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationFacts {
    pub id: Arc<str>,
    pub zone: Arc<str>,
    pub instance_type: Arc<str>,
    /// The label `karpenter.k8s.aws/capacity-reservation-type`: `default` or `capacity-block`.
    pub kind: Arc<str>,
    pub interruptible: bool,
    pub free: u32,
}

/// An eviction threshold: an amount in the resource's unit, or a share of the capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    Amount(i64),
    /// In millionths of a percent, so that `7.5%` is exact; 100 % switches the threshold off.
    MicroPercent(i64),
}

impl Threshold {
    /// Reads `5%`, `7.5%` or a quantity such as `500Mi`.
    ///
    /// # Errors
    /// The text is neither.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(|q: Quantity| Self::MicroPercent(q.micro_value())),
            None => text.parse().map(|q: Quantity| Self::Amount(q.value())),
        }
    }

    /// The amount kept free of a capacity; shares are rounded up.
    #[must_use]
    pub fn of(self, capacity: i64) -> i64 {
        const WHOLE: i64 = 100_000_000;
        match self {
            Self::Amount(amount) => amount,
            Self::MicroPercent(WHOLE) => 0,
            Self::MicroPercent(share) => {
                let product = i128::from(capacity) * i128::from(share);
                i64::try_from((product + i128::from(WHOLE) - 1).div_euclid(i128::from(WHOLE))).unwrap_or(i64::MAX)
            }
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_read_and_round_up() {
        assert_eq!(Threshold::parse("500Mi").unwrap().of(1), 500 << 20);
        assert_eq!(Threshold::parse("10%").unwrap().of(101), 11);
        assert_eq!(Threshold::parse("7.5%").unwrap().of(1_000), 75);
        assert_eq!(Threshold::parse("100%").unwrap().of(1_000), 0);
        assert!(Threshold::parse("ten").is_err());
    }
}
