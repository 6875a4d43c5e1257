//! The settings of EC2: the reference's, under its names.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;

use crate::aws::{
    Aws, ClassSettings, ConnectError, Ec2, Ec2Settings, Facts, Given, Keeper, Leads, MarketSettings, Mode, environment,
};
use crate::catalog::Market;
use crate::cli::words::{boolean, duration};
use crate::cloud::Provider;
use crate::cluster::read::a_machine;
use crate::cluster::{Cloud, Outside, Stand};
use crate::controller::ControllerSettings;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings of EC2")]
#[allow(clippy::struct_excessive_bools)] // each is a flag
pub struct AccountArgs {
    /// The name of the cluster, by which everything in the account is tagged. With it nodes are instances of EC2.
    #[arg(long, env = "CLUSTER_NAME", default_value = "", value_name = "NAME")]
    cluster_name: String,
    /// Without a cluster name: play nodes, which are objects without machines, also in a cluster that has real ones. It binds pods of the
    /// cluster to them, so it is for clusters that are there to try it.
    #[arg(long, env = "PACKWRIGHT_KWOK", default_value = "false", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    kwok: bool,
    /// The URL of the API server for nodes [default: EKS says it].
    #[arg(long, env = "CLUSTER_ENDPOINT", default_value = "", value_name = "URL")]
    cluster_endpoint: String,
    /// The certificate authority of the API server for nodes, PEM in base64 [default: EKS says it, or that of the pod].
    #[arg(long, env = "CLUSTER_CA_BUNDLE", default_value = "", value_name = "BASE64", hide_env_values = true)]
    cluster_ca_bundle: String,
    /// The queue of SQS where EventBridge tells of interruptions; none is read without it.
    #[arg(long, env = "INTERRUPTION_QUEUE", default_value = "", value_name = "NAME")]
    interruption_queue: String,
    /// Neither IAM nor the Pricing API can be reached: bundled on-demand prices count, and node classes name their instance profiles.
    #[arg(long, env = "ISOLATED_VPC", default_value = "false", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    isolated_vpc: bool,
    /// Launch nothing in zones that ARC has shifted the cluster away from, and take nothing away there.
    #[arg(long, env = "ENABLE_ZONAL_SHIFT", default_value = "false", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    enable_zonal_shift: bool,
    /// Do not try whether node classes may be launched before they are ready.
    #[arg(long, env = "DISABLE_DRY_RUN", default_value = "false", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    disable_dry_run: bool,
    /// How often the images of node classes are looked up, a minute at least.
    #[arg(long, env = "AMI_REFRESH_INTERVAL", default_value = "1m", value_parser = refresh, value_name = "DURATION")]
    ami_refresh_interval: Duration,
    /// How often the subnets of node classes are looked up, a minute at least.
    #[arg(long, env = "SUBNET_REFRESH_INTERVAL", default_value = "1m", value_parser = refresh, value_name = "DURATION")]
    subnet_refresh_interval: Duration,
    /// How often spot prices are asked for.
    #[arg(long, env = "PACKWRIGHT_SPOT_PRICE_INTERVAL", default_value = "10m", value_parser = refresh, value_name = "DURATION")]
    spot_price_interval: Duration,
}

/// The reference refuses less than a minute, too.
fn refresh(text: &str) -> Result<Duration, String> {
    let read = duration(text)?;
    if read < Duration::from_secs(60) {
        return Err("expected a minute or more, such as 5m".to_owned());
    }
    Ok(read)
}

impl AccountArgs {
    /// Where nodes are.
    pub fn provider(&self) -> Provider {
        if self.cluster_name.is_empty() { Provider::Kwok } else { Provider::Ec2 }
    }

    /// What contradicts itself.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<(), String> {
        let is_named = !self.cluster_name.is_empty();
        if self.kwok && is_named {
            return Err(
                "--kwok (PACKWRIGHT_KWOK): with --cluster-name nodes are instances of EC2, expected one of the two"
                    .to_owned(),
            );
        }
        if !self.interruption_queue.is_empty() && !is_named {
            return Err("--interruption-queue (INTERRUPTION_QUEUE): expected --cluster-name (CLUSTER_NAME) beside it, without which \
                nodes are played by kwok"
                .to_owned());
        }
        Ok(())
    }

    /// Nodes are not played where there are real ones, unless somebody says so: a forgotten cluster name would bind pods to nodes
    /// without machines.
    ///
    /// # Errors
    /// One sentence: which node is there, or why they cannot be listed.
    pub async fn check_nodes(&self, client: &Client) -> Result<(), String> {
        if self.kwok || self.provider() != Provider::Kwok {
            return Ok(());
        }
        match a_machine(client).await? {
            Some(machine) => Err(format!(
                "without --cluster-name (CLUSTER_NAME) nodes are played by kwok, but this cluster has real ones: {machine}. Give the \
                 name of the cluster, or --kwok (PACKWRIGHT_KWOK=true) where this is meant"
            )),
            None => Ok(()),
        }
    }

    /// The clients: of the region that is given, else of the one that variables, profile or instance say.
    ///
    /// # Errors
    /// Nothing says which region it is.
    pub async fn connect(&self, region: Option<&str>, shadow: bool) -> Result<Aws, ConnectError> {
        let mode = if shadow { Mode::ReadsOnly } else { Mode::Acts };
        Aws::connect(environment(), region, mode).await
    }

    /// Begins what goes on by itself: in a shadow the prices alone.
    ///
    /// # Errors
    /// One sentence: what is not known of the cluster.
    pub async fn outside(
        &self,
        aws: Aws,
        settings: &ControllerSettings,
        market: &Market,
        client: &Client,
        stands: &watch::Receiver<Stand>,
    ) -> Result<Outside, String> {
        let (teller, told) = unbounded_channel();
        let of_market = MarketSettings {
            spot_every: self.spot_price_interval,
            is_isolated: self.isolated_vpc,
            shifts_of: self.enable_zonal_shift.then(|| self.cluster_name.as_str().into()),
        };
        let keeper = Arc::new(Keeper::new(aws.clone(), market.clone(), teller.clone()));
        if settings.shadow {
            tokio::spawn(async move { keeper.run(of_market).await });
            return Ok(Outside { cloud: Cloud::Kwok, told: Some(told) });
        }
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let facts = Facts::find(
            &aws,
            client,
            Given {
                name: self.cluster_name.clone(),
                endpoint: given(&self.cluster_endpoint),
                ca_bundle: given(&self.cluster_ca_bundle),
                reserved_capacity: settings.decision.feature_gates.reserved_capacity,
            },
        )
        .await?;
        let settings = Ec2Settings {
            classes: ClassSettings {
                images_every: self.ami_refresh_interval,
                subnets_every: self.subnet_refresh_interval,
                no_dry_runs: self.disable_dry_run,
                is_isolated: self.isolated_vpc,
            },
            market: of_market,
            queue: given(&self.interruption_queue),
        };
        let stands = stands.clone();
        let leads: Leads = Arc::new(move || stands.borrow().leads());
        let ec2 = Ec2::start((aws, client.clone(), facts), keeper, settings, teller, leads);
        Ok(Outside { cloud: Cloud::Ec2(Arc::new(ec2)), told: Some(told) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        account: AccountArgs,
    }

    fn read(args: &[&str]) -> Result<AccountArgs, String> {
        let all = ["test"].iter().chain(args);
        <Alone as clap::Parser>::try_parse_from(all).map(|alone| alone.account).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cluster_name_asks_for_ec2() {
        assert_eq!(read(&[]).unwrap().provider(), Provider::Kwok);
        assert_eq!(read(&["--cluster-name", "prod"]).unwrap().provider(), Provider::Ec2);
    }

    #[test]
    fn nodes_are_played_or_instances_not_both() {
        assert_eq!(read(&["--kwok"]).unwrap().check(), Ok(()));
        for (args, expected) in [
            (&["--kwok", "--cluster-name", "prod"][..], "--kwok"),
            (&["--interruption-queue", "q"], "expected --cluster-name"),
            (&["--interruption-queue", "q", "--kwok"], "expected --cluster-name"),
        ] {
            assert!(read(args).unwrap().check().unwrap_err().contains(expected), "{args:?}");
        }
        assert_eq!(read(&["--interruption-queue", "q", "--cluster-name", "prod"]).unwrap().check(), Ok(()));
    }

    #[test]
    fn intervals_are_a_minute_or_more() {
        assert_eq!(read(&["--ami-refresh-interval", "90s"]).unwrap().ami_refresh_interval, Duration::from_secs(90));
        assert!(read(&["--subnet-refresh-interval", "30s"]).unwrap_err().contains("a minute or more"));
    }
}
