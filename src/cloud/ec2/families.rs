//! The families of machine images: aliases, where SSM has their ids, default volumes, and what their user data is.
//!
//! Source: karpenter-provider-aws `pkg/providers/amifamily` (karpenter-aws 1.2, 1.5).

mod alias;
mod parameters;

pub use alias::{Alias, AliasError};
pub use parameters::{Parameter, parameters};

use std::fmt;

use k8s_openapi::api::core::v1::NodeSelectorRequirement;

use crate::api::ec2_node_class::{AMIFamily, BlockDevice, BlockDeviceMapping, VolumeType};
use crate::api::labels;

/// What an image of a family is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// Types without GPU and accelerator.
    Standard,
    /// Types with GPU.
    Nvidia,
    /// Types with AWS Neuron devices.
    Neuron,
}

impl Variant {
    /// What types the image serves, its architecture aside.
    #[must_use]
    pub fn requirements(self) -> Vec<NodeSelectorRequirement> {
        match self {
            Self::Standard => vec![
                require(labels::INSTANCE_ACCELERATOR_COUNT, "DoesNotExist", &[]),
                require(labels::INSTANCE_GPU_COUNT, "DoesNotExist", &[]),
            ],
            Self::Nvidia => vec![require(labels::INSTANCE_GPU_COUNT, "Exists", &[])],
            Self::Neuron => vec![require(labels::INSTANCE_ACCELERATOR_COUNT, "Exists", &[])],
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Nvidia => "nvidia",
            Self::Neuron => "neuron",
        })
    }
}

/// One requirement, as the status of a node class writes it.
#[must_use]
pub fn require(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: (!values.is_empty()).then(|| values.iter().map(|value| (*value).to_owned()).collect()),
    }
}

/// Whether a family's images are of Windows.
#[must_use]
pub fn is_windows(family: AMIFamily) -> bool {
    matches!(family, AMIFamily::Windows2019 | AMIFamily::Windows2022 | AMIFamily::Windows2025)
}

/// The volumes of a class that names none; Custom images say themselves what they have.
#[must_use]
pub fn default_block_devices(family: AMIFamily) -> Vec<BlockDeviceMapping> {
    let volume = |device: &str, gib: u32| BlockDeviceMapping {
        device_name: Some(device.to_owned()),
        root_volume: None,
        ebs: Some(BlockDevice {
            encrypted: Some(true),
            volume_type: Some(VolumeType::Gp3),
            volume_size: Some(format!("{gib}Gi")),
            ..BlockDevice::default()
        }),
    };
    match family {
        AMIFamily::AL2 | AMIFamily::AL2023 => vec![volume("/dev/xvda", 20)],
        AMIFamily::Bottlerocket => vec![volume("/dev/xvda", 4), volume("/dev/xvdb", 20)],
        AMIFamily::Windows2019 | AMIFamily::Windows2022 | AMIFamily::Windows2025 => vec![volume("/dev/sda1", 50)],
        AMIFamily::Custom => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_volumes_are_encrypted_gp3_of_the_size_of_the_family() {
        let sizes = |family| -> Vec<(String, String)> {
            let devices = default_block_devices(family).into_iter();
            devices
                .map(|device| {
                    let ebs = device.ebs.unwrap();
                    assert_eq!((ebs.encrypted, ebs.volume_type), (Some(true), Some(VolumeType::Gp3)));
                    (device.device_name.unwrap(), ebs.volume_size.unwrap())
                })
                .collect()
        };
        let pair = |device: &str, size: &str| (device.to_owned(), size.to_owned());
        assert_eq!(sizes(AMIFamily::AL2023), [pair("/dev/xvda", "20Gi")]);
        assert_eq!(sizes(AMIFamily::AL2), [pair("/dev/xvda", "20Gi")]);
        assert_eq!(sizes(AMIFamily::Bottlerocket), [pair("/dev/xvda", "4Gi"), pair("/dev/xvdb", "20Gi")]);
        assert_eq!(sizes(AMIFamily::Windows2022), [pair("/dev/sda1", "50Gi")]);
        assert_eq!(sizes(AMIFamily::Custom), []);
    }
}
