//! Where SSM has the ids of a family's images.

use super::{Alias, Variant};
use crate::api::ec2_node_class::AMIFamily;
use crate::cloud::ec2::KubernetesVersion;

/// A parameter of SSM that holds the id of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What the image is for: it is one image for each of them.
    pub variants: Vec<Variant>,
    /// Its value changes when AWS publishes an image.
    pub is_mutable: bool,
}

const X86: &str = "x86_64";
const ARM: &str = "arm64";

/// The parameters of an alias. Not all of them exist for every version: one that does not is skipped, and only where none
/// exists the alias has no images.
#[must_use]
pub fn parameters(alias: &Alias, version: KubernetesVersion) -> Vec<Parameter> {
    let names = match alias.family {
        AMIFamily::AL2 => al2(alias, version),
        AMIFamily::AL2023 => al2023(alias, version),
        AMIFamily::Bottlerocket => bottlerocket(alias, version),
        AMIFamily::Windows2019 => windows("2019", version),
        AMIFamily::Windows2022 => windows("2022", version),
        AMIFamily::Windows2025 => windows("2025", version),
        AMIFamily::Custom => Vec::new(),
    };
    let is_mutable = alias.is_latest();
    names.into_iter().map(|(name, variants)| Parameter { name, variants, is_mutable }).collect()
}

type Named = Vec<(String, Vec<Variant>)>;

fn al2(alias: &Alias, version: KubernetesVersion) -> Named {
    let named = |infix: &str, variants: Vec<Variant>| {
        let image = if alias.is_latest() {
            "recommended".to_owned()
        } else {
            format!("amazon-eks{infix}-node-{version}-{}", alias.version)
        };
        (format!("/aws/service/eks/optimized-ami/{version}/amazon-linux-2{infix}/{image}/image_id"), variants)
    };
    vec![
        named("", vec![Variant::Standard]),
        named("-arm64", vec![Variant::Standard]),
        // the image has the drivers of both
        named("-gpu", vec![Variant::Neuron, Variant::Nvidia]),
    ]
}

fn al2023(alias: &Alias, version: KubernetesVersion) -> Named {
    let of = [
        (X86, Variant::Standard),
        (X86, Variant::Nvidia),
        (X86, Variant::Neuron),
        (ARM, Variant::Standard),
        (ARM, Variant::Nvidia),
    ];
    let named = |(arch, variant): (&str, Variant)| {
        let image = if alias.is_latest() {
            "recommended".to_owned()
        } else {
            format!("amazon-eks-node-al2023-{arch}-{variant}-{version}-{}", alias.version)
        };
        let path = format!("amazon-linux-2023/{arch}/{variant}/{image}/image_id");
        (format!("/aws/service/eks/optimized-ami/{version}/{path}"), vec![variant])
    };
    of.into_iter().map(named).collect()
}

fn bottlerocket(alias: &Alias, version: KubernetesVersion) -> Named {
    let release = alias.version.trim_start_matches('v');
    let named = |flavour: &str, arch: &str, variants: Vec<Variant>| {
        (format!("/aws/service/bottlerocket/aws-k8s-{version}{flavour}/{arch}/{release}/image_id"), variants)
    };
    vec![
        named("", X86, vec![Variant::Standard, Variant::Neuron]),
        named("-nvidia", X86, vec![Variant::Nvidia]),
        named("", ARM, vec![Variant::Standard]),
        named("-nvidia", ARM, vec![Variant::Nvidia]),
    ]
}

fn windows(year: &str, version: KubernetesVersion) -> Named {
    let image = format!("Windows_Server-{year}-English-Core-EKS_Optimized-{version}");
    vec![(format!("/aws/service/ami-windows-latest/{image}/image_id"), vec![Variant::Standard])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(alias: &str) -> Vec<String> {
        let version = KubernetesVersion { major: 1, minor: 32 };
        parameters(&Alias::parse(alias).unwrap(), version).into_iter().map(|parameter| parameter.name).collect()
    }

    #[test]
    fn al2023_has_five_images() {
        let base = "/aws/service/eks/optimized-ami/1.32/amazon-linux-2023";
        assert_eq!(
            names("al2023@latest"),
            [
                format!("{base}/x86_64/standard/recommended/image_id"),
                format!("{base}/x86_64/nvidia/recommended/image_id"),
                format!("{base}/x86_64/neuron/recommended/image_id"),
                format!("{base}/arm64/standard/recommended/image_id"),
                format!("{base}/arm64/nvidia/recommended/image_id"),
            ]
        );
        let pinned = format!("{base}/x86_64/standard/amazon-eks-node-al2023-x86_64-standard-1.32-v20240807/image_id");
        assert_eq!(names("al2023@v20240807")[0], pinned);
    }

    #[test]
    fn al2_has_three() {
        let base = "/aws/service/eks/optimized-ami/1.32";
        assert_eq!(
            names("al2@latest"),
            [
                format!("{base}/amazon-linux-2/recommended/image_id"),
                format!("{base}/amazon-linux-2-arm64/recommended/image_id"),
                format!("{base}/amazon-linux-2-gpu/recommended/image_id"),
            ]
        );
        assert_eq!(
            names("al2@v20240807"),
            [
                format!("{base}/amazon-linux-2/amazon-eks-node-1.32-v20240807/image_id"),
                format!("{base}/amazon-linux-2-arm64/amazon-eks-arm64-node-1.32-v20240807/image_id"),
                format!("{base}/amazon-linux-2-gpu/amazon-eks-gpu-node-1.32-v20240807/image_id"),
            ]
        );
    }

    #[test]
    fn bottlerocket_versions_have_no_v_and_windows_none() {
        assert_eq!(
            names("bottlerocket@v1.20.4"),
            [
                "/aws/service/bottlerocket/aws-k8s-1.32/x86_64/1.20.4/image_id",
                "/aws/service/bottlerocket/aws-k8s-1.32-nvidia/x86_64/1.20.4/image_id",
                "/aws/service/bottlerocket/aws-k8s-1.32/arm64/1.20.4/image_id",
                "/aws/service/bottlerocket/aws-k8s-1.32-nvidia/arm64/1.20.4/image_id",
            ]
        );
        assert!(names("bottlerocket@latest")[0].ends_with("/x86_64/latest/image_id"));
        assert_eq!(
            names("windows2022@latest"),
            ["/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-EKS_Optimized-1.32/image_id"]
        );
    }

    #[test]
    fn only_latest_changes() {
        let of = |alias: &str| parameters(&Alias::parse(alias).unwrap(), KubernetesVersion { major: 1, minor: 32 });
        assert!(of("al2023@latest").iter().all(|parameter| parameter.is_mutable));
        assert!(of("al2023@v20240807").iter().all(|parameter| !parameter.is_mutable));
        assert_eq!(of("al2@latest")[2].variants, [Variant::Neuron, Variant::Nvidia]);
        assert_eq!(of("bottlerocket@latest")[0].variants, [Variant::Standard, Variant::Neuron]);
    }
}
