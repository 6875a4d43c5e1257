//! What launches need to know of the cluster: asked when the process begins, and the version of its API server again every few minutes.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use tracing::{info, warn};

use super::connect::Aws;
use super::words::reason;
use crate::cloud::ec2::{ClusterFacts, KubernetesVersion};

/// The reference's `providers.version`.
const VERSION_EVERY: Duration = Duration::from_secs(5 * 60);
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
            dns: dns(client).await.map(Into::into),
            version,
            region: aws.region.clone(),
            reserved_capacity: given.reserved_capacity,
            ..ClusterFacts::default()
        };
        match aws.eks.describe_cluster().name(&given.name).send().await {
            Ok(answer) => {
                let cluster = answer.cluster();
                if facts.endpoint.is_empty() {
                    facts.endpoint = cluster.and_then(|of| of.endpoint()).unwrap_or_default().into();
                }
                let authority = cluster.and_then(|of| of.certificate_authority()?.data()).map(Into::into);
                facts.ca_bundle = facts.ca_bundle.or(authority);
                let network = cluster.and_then(|of| of.kubernetes_network_config());
                facts.service_cidr =
                    network.and_then(|of| of.service_ipv4_cidr().or(of.service_ipv6_cidr())).map(Into::into);
            }
            Err(error) => {
                let reason = reason("DescribeCluster", &error);
                if facts.endpoint.is_empty() {
                    return Err(format!(
                        "--cluster-endpoint (CLUSTER_ENDPOINT) is not set and EKS does not say it: {reason}"
                    ));
                }
                warn!(controller = "aws", "the addresses of Services are not known, which AL2023 needs: {reason}");
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

    /// Keeps the version up to date; does not end.
    pub async fn keep(&self, client: &Client) {
        loop {
            tokio::time::sleep(VERSION_EVERY).await;
            match version(client).await {
                Ok(found) if found != self.now().version => {
                    info!(controller = "providers.version", version = %found, "discovered kubernetes version");
                    let facts = ClusterFacts { version: found, ..ClusterFacts::clone(&self.now()) };
                    *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
                }
                Ok(_) => {}
                Err(reason) => warn!(controller = "providers.version", "{reason}"),
            }
        }
    }
}

async fn version(client: &Client) -> Result<KubernetesVersion, String> {
    let found = client.apiserver_version().await.map_err(|error| format!("the version of the API server: {error}"))?;
    let text = format!("{}.{}", found.major, found.minor);
    KubernetesVersion::parse(&text)
        .ok_or_else(|| format!("the version of the API server: expected one such as 1.33, found '{text}'"))
}

/// The address of the DNS Service; without one pods use what the image says.
async fn dns(client: &Client) -> Option<String> {
    let services: Api<Service> = Api::namespaced(client.clone(), "kube-system");
    match services.get_opt("kube-dns").await {
        Ok(service) => service?.spec?.cluster_ip.filter(|address| address != "None"),
        Err(error) => {
            warn!(controller = "aws", "the Service kube-system/kube-dns cannot be read: {error}");
            None
        }
    }
}
