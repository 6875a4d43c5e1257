//! `packwright controller`

mod account;
mod limits;
mod process;

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use tokio::sync::watch;

use super::catalog::{CatalogArgs, Region};
use super::cluster::{ClusterArgs, Waiting};
use super::consolidation::Consolidation;
use super::exit;
use super::settings::{SettingsArgs, count};
use super::words::{boolean, duration};
use crate::catalog::Catalog;
use crate::cloud::Provider;
use crate::cluster::decisions::{Kept, Recorder};
use crate::cluster::serve::{serve_health, serve_metrics};
use crate::cluster::telling::{Scope, Telling, start_log, start_metrics};
use crate::cluster::{Connection, Hosting, Outside, Stand, control, is_inside, resign, stand};
use crate::controller::{Controller, ControllerSettings};
use crate::host::worker::Worker;
use crate::host::{Limits, Search};
use crate::placement::Mode;
use account::AccountArgs;
use limits::LimitArgs;
use process::ProcessArgs;

const EXIT_CODES: &str = "\
Exit codes, the first that applies:
  1  internal failure, or a port that cannot be listened on
  2  a refused option, no cluster, or outside a pod none that is named
  0  it was told to stop (INT or TERM)";

/// Provision nodes for the pods of a cluster: plan, launch, follow the plan, and take nodes away that nobody needs.
///
/// Flags and variables of the reference have the same names here. With a cluster name nodes are instances of EC2 (docs/aws.md); else
/// they are those of the kwok provider: objects without machines, whatever node class they are of; in a cluster that has real nodes only
/// with --kwok. There the annotations
/// packwright.dev/kwok-unavailable and packwright.dev/kwok-launch-error of a node class make launches fail (docs/controller.md).
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Pods that come within this time of one another are planned together.
    #[arg(long, env = "BATCH_IDLE_DURATION", default_value = "1s", value_parser = duration, value_name = "DURATION")]
    batch_idle_duration: Duration,
    /// A batch waits at most so long for more pods.
    #[arg(long, env = "BATCH_MAX_DURATION", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    batch_max_duration: Duration,
    /// What is done so that pods bind where they are planned (docs/placement.md).
    #[arg(long, env = "PLACEMENT", value_enum, ignore_case = true, default_value_t = Placement::Reserve)]
    placement: Placement,
    /// A decision is made within this time.
    #[arg(long, env = "PACKWRIGHT_TIME_LIMIT", default_value = "2s", value_parser = duration, value_name = "DURATION")]
    time_limit: Duration,
    /// What the process that decides may allocate [default: as much as there is].
    #[arg(long, env = "PACKWRIGHT_SOLVER_MEMORY", value_parser = super::plan::bytes, value_name = "QUANTITY")]
    solver_memory: Option<u64>,
    /// Decide and say what would be done, and do nothing: it needs rights to read alone, writes nothing into the cluster, and may run
    /// beside another provisioner.
    #[arg(long, env = "SHADOW", default_value = "false", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    shadow: bool,
    /// When nodes that are used go because their pods fit elsewhere or for less: frugal asks for 2 % of the price of the nodes that go,
    /// and for evictions and boots to be paid back within a day; calm asks for three times as much, leaves nodes alone in their
    /// first hour, and removes or replaces one by one; any takes every saving; off replaces drifted nodes alone, beside empty ones
    /// that go.
    #[arg(long, env = "PACKWRIGHT_CONSOLIDATION", value_enum, ignore_case = true, default_value_t = Consolidation::Frugal,
        value_name = "POLICY")]
    consolidation: Consolidation,
    /// Keep the last decisions in this folder, to verify and replay them.
    #[arg(long, env = "PACKWRIGHT_DECISIONS", value_name = "DIR")]
    decisions: Option<PathBuf>,
    /// How many are kept.
    #[arg(long, env = "PACKWRIGHT_DECISIONS_KEPT", default_value_t = 100, value_parser = count, value_name = "N")]
    decisions_kept: usize,
    /// And in how many bytes, as long as the last one alone has no more.
    #[arg(long, env = "PACKWRIGHT_DECISIONS_SIZE", default_value = "1Gi", value_parser = super::plan::bytes, value_name = "QUANTITY")]
    decisions_size: u64,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(super) enum Placement {
    /// New nodes are reserved for their planned pods.
    Reserve,
    /// Planned pods are nominated for their node.
    Nominate,
    /// Nothing is done but to open the node.
    Observe,
}

impl Placement {
    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Reserve => Mode::Reserve,
            Self::Nominate => Mode::Nominate,
            Self::Observe => Mode::Observe,
        }
    }
}

/// Runs until it is told to stop.
///
/// # Errors
/// The system does not say which program this is, there is no runtime, or a port cannot be listened on.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let refuse = |sentence: &str| {
        eprintln!("error: {sentence}");
        Ok(ExitCode::from(exit::INVALID_INPUT))
    };
    let decision = match args.settings.settings() {
        Ok((settings, _)) => settings,
        Err(sentence) => return refuse(&sentence),
    };
    if let Err(sentence) = args.account.check() {
        return refuse(&sentence);
    }
    if !args.cluster.is_given() && !args.shadow && !is_inside() {
        return refuse(
            "outside a pod the controller does not guess the cluster: --context NAME, or --kubeconfig for the current context",
        );
    }
    let provider = args.account.provider();
    if provider == Provider::Ec2 && args.catalog.catalog.is_some() {
        return refuse("--catalog: the types of EC2 are those of the account");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (aws, region) = match provider {
        Provider::Ec2 => match runtime.block_on(args.account.connect(args.catalog.given_region(), args.shadow)) {
            Ok(aws) => {
                let region = Region::of_account(&aws.region);
                (Some(aws), region)
            }
            Err(error) => return refuse(&error.to_string()),
        },
        Provider::Kwok => (None, args.catalog.region(None)),
    };
    let catalog = match super::plan::catalog(&args.catalog, &region) {
        Ok((catalog, _)) if provider == Provider::Ec2 => catalog.awaiting_account(),
        Ok((catalog, _)) => catalog,
        Err(sentence) => return refuse(&sentence),
    };
    let settings = ControllerSettings {
        decision,
        provider,
        region: Arc::from(region.name),
        batch_idle: args.batch_idle_duration,
        batch_max: args.batch_max_duration,
        placement: args.placement.mode(),
        shadow: args.shadow,
        consolidation: args.consolidation.policy(),
        valves: args.limits.valves(),
        ..ControllerSettings::default()
    };
    let worker = Worker { program: env::current_exe()?, memory_limit: args.solver_memory };
    let hosting = Hosting { limits: Limits::of_time(args.time_limit, Search::Integer), ..Hosting::usual(worker) };
    start_log(args.process.log_format, args.process.log_level, &args.process.log_output_paths)?;
    let recorder = match &args.decisions {
        Some(folder) => {
            match Recorder::start(folder.clone(), Kept { decisions: args.decisions_kept, bytes: args.decisions_size }) {
                Ok(recorder) => Some(recorder),
                Err(error) => return refuse(&format!("--decisions {}: {error}", folder.display())),
            }
        }
        None => None,
    };
    let hosting = Hosting { recorder, ..hosting };
    runtime.block_on(async {
        let waiting = Waiting::default();
        let connection = args.cluster.target().connect_to_stay(&|progress| waiting.show(&progress)).await;
        waiting.end();
        match connection {
            Ok(connection) => {
                if !args.shadow
                    && let Err(sentence) = args.account.check_nodes(&connection.client).await
                {
                    return refuse(&sentence);
                }
                let (said, stands) = watch::channel(Stand::Unknown);
                let outside = match (aws, &catalog) {
                    (Some(aws), Catalog::Ec2(market)) => {
                        args.account.outside(aws, &settings, market, &connection.client, &stands).await
                    }
                    _ => Ok(Outside::kwok()),
                };
                match outside {
                    Ok(outside) => {
                        let controller = Controller::new(settings, catalog);
                        Box::pin(host(connection, (controller, outside), hosting, (said, stands), args)).await
                    }
                    Err(sentence) => refuse(&sentence),
                }
            }
            Err(error) => refuse(&error.to_string()),
        }
    })
}

/// What takes longer is left to the end of the Lease.
const RESIGN_WITHIN: Duration = Duration::from_secs(5);

/// Everything that runs beside one another, until the first of it ends.
async fn host(
    connection: Connection,
    (controller, outside): (Controller, Outside),
    hosting: Hosting,
    (said, stands): (watch::Sender<Stand>, watch::Receiver<Stand>),
    args: &Args,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let client = connection.client;
    let (shadow, args) = (args.shadow, &args.process);
    let metrics = start_metrics(if shadow { Scope::OwnNames } else { Scope::All })?;
    let election = args.election();
    let telling = Telling::new(metrics.clone(), !args.disable_cluster_state_observability);
    let mut telling = if shadow { telling } else { telling.with_events(client.clone(), election.identity.clone()) };
    let is_synced = telling.is_synced();
    let at = |port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let health = async {
        match args.health_probe_port {
            0 => std::future::pending().await,
            port => serve_health(at(port), stands.clone(), is_synced).await,
        }
    };
    let counted = async {
        match args.metrics_port {
            0 => std::future::pending().await,
            port => serve_metrics(at(port), metrics).await,
        }
    };
    let standing = async {
        if shadow || args.disable_leader_election {
            said.send_replace(if shadow { Stand::Shadows } else { Stand::Leads { until: None } });
            std::future::pending::<()>().await;
        } else {
            stand(client.clone(), election.clone(), said.clone()).await;
        }
    };
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let on_port = |port: u16, ended: std::io::Result<()>| match ended {
        Ok(()) => format!("port {port}: nothing is served any more"),
        Err(error) => format!("port {port}: {error}"),
    };
    let failure = tokio::select! {
        () = control(client.clone(), controller, hosting, stands.clone(), outside, &mut telling) => {
            Some("the watches have ended".to_owned())
        }
        () = standing => Some("the election has ended".to_owned()),
        ended = health => Some(on_port(args.health_probe_port, ended)),
        ended = counted => Some(on_port(args.metrics_port, ended)),
        _ = tokio::signal::ctrl_c() => None,
        _ = terminated.recv() => None,
    };
    if !shadow && !args.disable_leader_election {
        let given_back = tokio::time::timeout(RESIGN_WITHIN, resign(client, &election)).await;
        if !matches!(given_back, Ok(Ok(()))) {
            tracing::warn!(controller = "lease", "the lease was not given back: others wait until it is over");
        }
    }
    failure.map_or(Ok(ExitCode::from(exit::SUCCESS)), |reason| Err(reason.into()))
}
