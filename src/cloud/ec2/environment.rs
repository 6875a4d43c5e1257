//! The cluster that nodes join.

use std::fmt;
use std::sync::Arc;

/// What settings and control plane say of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterFacts {
    /// `CLUSTER_NAME`.
    pub name: Arc<str>,
    /// `CLUSTER_ENDPOINT`: the URL of the API server.
    pub endpoint: Arc<str>,
    /// The certificate authority of the API server: PEM in base64, as a kubeconfig has it.
    pub ca_bundle: Option<Arc<str>>,
    /// The addresses of Services, which AL2023 needs (`eks:DescribeCluster`).
    pub service_cidr: Option<Arc<str>>,
    /// The address of the Service `kube-system/kube-dns`.
    pub dns: Option<Arc<str>>,
    /// Of the API server.
    pub version: KubernetesVersion,
    /// Where the cluster is.
    pub region: Arc<str>,
    /// The feature gate ReservedCapacity.
    pub reserved_capacity: bool,
}

impl ClusterFacts {
    /// Whether pods and Services have IPv6 addresses, as that of the DNS Service shows, or the range that they are from.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.dns.as_deref().or(self.service_cidr.as_deref()).is_some_and(is_ipv6)
    }

    /// Regions where the metadata service has no IPv6 option.
    #[must_use]
    pub fn is_isolated_region(&self) -> bool {
        ["us-iso-", "us-isob-", "us-isof-"].iter().any(|prefix| self.region.starts_with(prefix))
    }
}

/// Whether a text is an IPv6 address, or a range of them, rather than an IPv4 one.
#[must_use]
pub fn is_ipv6(address: &str) -> bool {
    address.contains(':')
}

/// A minor version of Kubernetes, such as 1.33.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KubernetesVersion {
    /// 1.
    pub major: u32,
    /// 33 of 1.33.
    pub minor: u32,
}

impl KubernetesVersion {
    /// Reads `1.33`, `v1.33.2`, `1.33+` or `v1.33.2-eks-1234567`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (major, rest) = text.trim().trim_start_matches('v').split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major: major.parse().ok()?, minor: rest[..digits].parse().ok()? })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_of_which_family_a_cluster_is() {
        let of = |dns: Option<&str>, cidr: Option<&str>| {
            let (dns, service_cidr) = (dns.map(Into::into), cidr.map(Into::into));
            ClusterFacts { service_cidr, dns, ..ClusterFacts::default() }.is_ipv6()
        };
        assert!(of(Some("fd00::a"), None));
        assert!(of(None, Some("fd00::/108")), "nobody has read the DNS Service yet");
        assert!(!of(None, Some("10.100.0.0/16")));
        assert!(!of(None, None));
    }

    #[test]
    fn versions_are_read_as_api_servers_and_eks_write_them() {
        let version = |minor| Some(KubernetesVersion { major: 1, minor });
        for (text, expected) in [
            ("1.33", version(33)),
            ("v1.29.2", version(29)),
            ("1.30+", version(30)),
            ("v1.31.4-eks-2d5f260", version(31)),
            ("1", None),
            ("one.two", None),
        ] {
            assert_eq!(KubernetesVersion::parse(text), expected, "{text}");
        }
    }
}
