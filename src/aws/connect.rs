//! From the environment to clients: region and credentials by the SDK's default chain (variables, profile, web identity as IRSA and
//! Pod Identity give it, instance role), endpoints by `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`, proxies by `HTTPS_PROXY`, `HTTP_PROXY`
//! and `NO_PROXY`.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::calls::{Gate, Limited, Watch};
use super::limits::Limits;

/// What calls may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Anything.
    Acts,
    /// A shadow changes nothing.
    ReadsOnly,
}

/// Clients of one account in one region.
#[derive(Debug, Clone)]
pub struct Aws {
    pub region: Arc<str>,
    pub arc_zonal_shift: aws_sdk_arczonalshift::Client,
    pub ec2: aws_sdk_ec2::Client,
    pub eks: aws_sdk_eks::Client,
    pub iam: aws_sdk_iam::Client,
    pub pricing: aws_sdk_pricing::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub ssm: aws_sdk_ssm::Client,
    /// Of all of them.
    pub(super) gate: Arc<Gate>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no AWS region: expected AWS_REGION, a profile with a region, or an instance of EC2 to run on")]
    Region,
}

const CONNECT: Duration = Duration::from_secs(3);
/// The reference's client waits 4 minutes; an answer that takes a minute does not come.
const ATTEMPT: Duration = Duration::from_secs(60);
/// Shorter than the controller waits for a launch before it asks again.
const CALL: Duration = Duration::from_secs(150);
/// Of a call, with pauses that double from half a second to 20 s, each shortened at random.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// What variables, profiles and the instance say.
#[must_use]
pub fn environment() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
}

impl Aws {
    /// Clients with what `from` says ([`environment`]) and, where one is given, another region. No service is called but what
    /// credentials need.
    ///
    /// # Errors
    /// Nothing says which region it is.
    pub async fn connect(from: ConfigLoader, region: Option<&str>, mode: Mode) -> Result<Self, ConnectError> {
        let gate = Arc::new(Gate::default());
        let limits = Arc::new(Limits::default());
        let client = Limited { inner: http_client(), limits: limits.clone(), gate: gate.clone() };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .read_timeout(ATTEMPT) // counts from the sending: the wait for its turn is none of it
            .operation_timeout(CALL)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let name =
            AppName::new(concat!("packwright-", env!("CARGO_PKG_VERSION"))).expect("it has no forbidden characters");
        let mut loader = from.http_client(client).timeout_config(timeouts).retry_config(retries).app_name(name);
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let config = loader.load().await;
        let region = config.region().ok_or(ConnectError::Region)?.to_string();
        Ok(Self::of(&config, &region, &Watch { mode, limits }, gate))
    }

    fn of(config: &SdkConfig, region: &str, watch: &Watch, gate: Arc<Gate>) -> Self {
        use aws_sdk_arczonalshift::config::Builder as ArcZonalShift;
        use aws_sdk_ec2::config::Builder as Ec2;
        use aws_sdk_eks::config::Builder as Eks;
        use aws_sdk_iam::config::Builder as Iam;
        use aws_sdk_pricing::config::Builder as Pricing;
        use aws_sdk_sqs::config::Builder as Sqs;
        use aws_sdk_ssm::config::Builder as Ssm;
        let watch = || watch.clone();
        let prices = Region::new(pricing_region(region));
        Self {
            region: Arc::from(region),
            arc_zonal_shift: aws_sdk_arczonalshift::Client::from_conf(
                ArcZonalShift::from(config).interceptor(watch()).build(),
            ),
            ec2: aws_sdk_ec2::Client::from_conf(Ec2::from(config).interceptor(watch()).build()),
            eks: aws_sdk_eks::Client::from_conf(Eks::from(config).interceptor(watch()).build()),
            iam: aws_sdk_iam::Client::from_conf(Iam::from(config).interceptor(watch()).build()),
            pricing: aws_sdk_pricing::Client::from_conf(
                Pricing::from(config).region(prices).interceptor(watch()).build(),
            ),
            sqs: aws_sdk_sqs::Client::from_conf(Sqs::from(config).interceptor(watch()).build()),
            ssm: aws_sdk_ssm::Client::from_conf(Ssm::from(config).interceptor(watch()).build()),
            gate,
        }
    }
}

/// A client that goes through the proxies that variables name, as that of the reference does: the crate's own default uses none.
fn http_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

/// The Pricing API has endpoints in few regions (the reference's choice among them).
fn pricing_region(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("ap") => "ap-south-1",
        Some("eu") => "eu-central-1",
        Some("cn") => "cn-northwest-1",
        _ => "us-east-1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_asked_for_where_they_are_served() {
        for (region, expected) in [
            ("eu-west-3", "eu-central-1"),
            ("ap-northeast-1", "ap-south-1"),
            ("sa-east-1", "us-east-1"),
            ("cn-north-1", "cn-northwest-1"),
        ] {
            assert_eq!(pricing_region(region), expected);
        }
    }
}
