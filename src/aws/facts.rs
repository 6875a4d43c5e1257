//! What launches need to know of the cluster: asked when the process begins, what EKS has not said then until it does, and the version
//! of the API server again every few minutes.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_eks::types::{Certificate, Cluster};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::connect::Aws;
use super::words::reason;
use crate::cloud::ec2::{ClusterFacts, KubernetesVersion};

/// The reference's `providers.version`.
const VERSION_EVERY: Duration = Duration::from_secs(5 * 60);
/// Until EKS, or who was asked for the DNS Service, has answered: credentials of a pod that has just begun may not be there yet.
const MISSING_EVERY: Duration = Duration::from_secs(10);
/// The certificate authority of the API server, as pods have it.
const CA_OF_POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// What settings say of the cluster; what they leave out is looked up.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `CLUSTER_NAME`.
    pub name: String,
    /// `CLUSTER_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `CLUSTER_CA_BUNDLE`: PEM in base64.
    pub ca_bundle: Option<String>,
    /// The gate ReservedCapacity.
    pub reserved_capacity: bool,
}

/// The facts, as they are now.
#[derive(Debug, Clone)]
pub struct Facts(Arc<RwLock<Arc<ClusterFacts>>>);

impl Facts {
    /// Asks Kubernetes and, for what is not given, EKS.
    ///
    /// # Errors
    /// What is missing, and what has to be given because it cannot be looked up.
    pub async fn find(aws: &Aws, client: &Client, given: Given) -> Result<Self, String> {
        let version = version(client).await?;
        let mut facts = ClusterFacts {
            name: given.name.as_str().into(),
            endpoint: given.endpoint.unwrap_or_default().into(),
            ca_bundle: given.ca_bundle.map(Into::into),
            version,
            region: aws.region.clone(),
            reserved_capacity: given.reserved_capacity,
            ..ClusterFacts::default()
        };
        match dns(client).await {
            Ok(found) => facts.dns = found.map(Into::into),
            Err(reason) => warn!(controller = "aws", "{reason}"),
        }
        match describe(aws, &given.name).await {
            Ok(cluster) => learn(&mut facts, &cluster),
            Err(reason) if facts.endpoint.is_empty() => {
                let sentence = "--cluster-endpoint (CLUSTER_ENDPOINT) is not set and EKS does not say it";
                return Err(format!("{sentence}: {reason}"));
            }
            Err(reason) => {
                warn!(controller = "aws", "the addresses of Services are not known yet, which AL2023 needs: {reason}");
            }
        }
        facts.ca_bundle =
            facts.ca_bundle.or_else(|| std::fs::read(CA_OF_POD).ok().map(|pem| STANDARD.encode(pem).into()));
        Ok(Self(Arc::new(RwLock::new(Arc::new(facts)))))
    }

    /// As they are now.
    #[must_use]
    pub fn now(&self) -> Arc<ClusterFacts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the version up to date, and asks for what nobody has said yet; does not end.
    pub async fn keep(&self, aws: &Aws, client: &Client) {
        let mut version_due = Instant::now() + VERSION_EVERY;
        let mut dns_due = Instant::now() + MISSING_EVERY;
        loop {
            let before = self.now();
            let mut next = version_due;
            if before.service_cidr.is_none() {
                next = next.min(Instant::now() + MISSING_EVERY);
            }
            if before.dns.is_none() {
                next = next.min(dns_due);
            }
            tokio::time::sleep_until(next).await;
            let mut facts = ClusterFacts::clone(&before);
            if facts.service_cidr.is_none() {
                match describe(aws, &facts.name).await {
                    Ok(cluster) => learn(&mut facts, &cluster),
                    Err(reason) => debug!(controller = "aws", "the addresses of Services are not known yet: {reason}"),
                }
            }
            if facts.dns.is_none() && dns_due <= Instant::now() {
                let pause = match dns(client).await {
                    Ok(found) => {
                        facts.dns = found.map(Into::into);
                        VERSION_EVERY // there is none yet
                    }
                    Err(reason) => {
                        debug!(controller = "aws", "{reason}");
                        MISSING_EVERY
                    }
                };
                dns_due = Instant::now() + pause;
            }
            if version_due <= Instant::now() {
                version_due = Instant::now() + VERSION_EVERY;
                match version(client).await {
                    Ok(found) => facts.version = found,
                    Err(reason) => warn!(controller = "providers.version", "{reason}"),
                }
            }
            if facts.version != before.version {
                info!(controller = "providers.version", version = %facts.version, "discovered kubernetes version");
            }
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
        }
    }
}

/// The cluster as EKS has it.
pub(super) async fn describe(aws: &Aws, name: &str) -> Result<Cluster, String> {
    let answer = aws.eks.describe_cluster().name(name).send().await;
    let answer = answer.map_err(|error| reason("DescribeCluster", &error))?;
    answer.cluster.ok_or_else(|| "DescribeCluster: expected a cluster, found none".to_owned())
}

/// What was not given is as EKS says.
fn learn(facts: &mut ClusterFacts, cluster: &Cluster) {
    if facts.endpoint.is_empty() {
        facts.endpoint = cluster.endpoint().unwrap_or_default().into();
    }
    if facts.ca_bundle.is_none() {
        facts.ca_bundle = cluster.certificate_authority().and_then(Certificate::data).map(Into::into);
    }
    let network = cluster.kubernetes_network_config();
    facts.service_cidr = network.and_then(|of| of.service_ipv4_cidr().or(of.service_ipv6_cidr())).map(Into::into);
}

async fn version(client: &Client) -> Result<KubernetesVersion, String> {
    let found = client.apiserver_version().await.map_err(|error| format!("the version of the API server: {error}"))?;
    let text = format!("{}.{}", found.major, found.minor);
    KubernetesVersion::parse(&text)
        .ok_or_else(|| format!("the version of the API server: expected one such as 1.33, found '{text}'"))
}

/// The address of the DNS Service; without one pods use what the image says.
async fn dns(client: &Client) -> Result<Option<String>, String> {
    let services: Api<Service> = Api::namespaced(client.clone(), "kube-system");
    let found = services.get_opt("kube-dns").await;
    let service = found.map_err(|error| format!("the Service kube-system/kube-dns cannot be read: {error}"))?;
    let address = service.and_then(|service| service.spec?.cluster_ip);
    Ok(address.filter(|address| address != "None"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_eks::types::KubernetesNetworkConfigResponse;

    #[test]
    fn eks_says_what_is_not_given() {
        let cluster = Cluster::builder()
            .endpoint("https://eks")
            .certificate_authority(Certificate::builder().data("Y2E=").build())
            .kubernetes_network_config(
                KubernetesNetworkConfigResponse::builder().service_ipv4_cidr("10.100.0.0/16").build(),
            )
            .build();
        let mut facts = ClusterFacts { endpoint: "https://given".into(), ..ClusterFacts::default() };
        learn(&mut facts, &cluster);
        let found = (&*facts.endpoint, facts.ca_bundle.as_deref(), facts.service_cidr.as_deref());
        assert_eq!(found, ("https://given", Some("Y2E="), Some("10.100.0.0/16")));
        let mut nothing = ClusterFacts::default();
        learn(&mut nothing, &cluster);
        assert_eq!(&*nothing.endpoint, "https://eks");
    }
}
