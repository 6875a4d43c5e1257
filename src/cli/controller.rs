//! `packwright controller`

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use tokio::sync::watch;

use super::catalog::CatalogArgs;
use super::cluster::{ClusterArgs, Waiting};
use super::exit;
use super::settings::SettingsArgs;
use crate::cluster::lease::MARK;
use crate::cluster::serve::{serve_health, serve_metrics};
use crate::cluster::telling::{Format, Level, Telling, start_log, start_metrics};
use crate::cluster::{Connection, Election, Hosting, Stand, control, resign, stand};
use crate::controller::{Controller, ControllerSettings};
use crate::host::worker::Worker;
use crate::host::{Limits, Search};
use crate::placement::Mode;

const EXIT_CODES: &str = "\
Exit codes, the first that applies:
  1  internal failure, or a port that cannot be listened on
  2  a refused option, or no cluster
  0  it was told to stop (INT or TERM)";

/// Provision nodes for the pods of a cluster: plan, launch, follow the plan, and take nodes away that nobody needs.
///
/// Flags and variables of the reference have the same names here. Nodes are those of the kwok provider: objects without machines,
/// whatever node class they are of. The annotations packwright.dev/kwok-unavailable and packwright.dev/kwok-launch-error of a node
/// class make launches fail (docs/controller.md).
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Pods that come within this time of one another are planned together.
    #[arg(long, env = "BATCH_IDLE_DURATION", default_value = "1s", value_parser = super::plan::duration, value_name = "DURATION")]
    batch_idle_duration: Duration,
    /// A batch waits at most so long for more pods.
    #[arg(long, env = "BATCH_MAX_DURATION", default_value = "10s", value_parser = super::plan::duration, value_name = "DURATION")]
    batch_max_duration: Duration,
    /// What is done so that pods bind where they are planned (docs/placement.md).
    #[arg(long, env = "PLACEMENT", value_enum, ignore_case = true, default_value_t = Placement::Reserve)]
    placement: Placement,
    /// A decision is made within this time.
    #[arg(long, env = "PACKWRIGHT_TIME_LIMIT", default_value = "2s", value_parser = super::plan::duration, value_name = "DURATION")]
    time_limit: Duration,
    /// What the process that decides may allocate [default: as much as there is].
    #[arg(long, env = "PACKWRIGHT_SOLVER_MEMORY", value_parser = super::plan::bytes, value_name = "QUANTITY")]
    solver_memory: Option<u64>,
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// How the process behaves.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings of the process")]
struct ProcessArgs {
    /// Where metrics are served, at /metrics; 0 serves none.
    #[arg(long, env = "METRICS_PORT", default_value_t = 8_080, value_name = "PORT")]
    metrics_port: u16,
    /// Where /healthz and /readyz are served; 0 serves none.
    #[arg(long, env = "HEALTH_PROBE_PORT", default_value_t = 8_081, value_name = "PORT")]
    health_probe_port: u16,
    /// Act without asking whether another controller does.
    #[arg(long, env = "DISABLE_LEADER_ELECTION", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_name = "BOOL")]
    disable_leader_election: bool,
    /// The Lease by which controllers agree on which of them acts.
    #[arg(long, env = "LEADER_ELECTION_NAME", default_value = "karpenter-leader-election", value_name = "NAME")]
    leader_election_name: String,
    /// The namespace of the Lease where there is no installation of Karpenter [default: that of the pod, or kube-system].
    #[arg(long, env = "LEADER_ELECTION_NAMESPACE", default_value = "", value_name = "NAMESPACE")]
    leader_election_namespace: String,
    /// What is worth a line of the log.
    #[arg(long, env = "LOG_LEVEL", value_enum, ignore_case = true, default_value_t = Level::Info)]
    log_level: Level,
    /// How lines of the log look.
    #[arg(long, env = "PACKWRIGHT_LOG_FORMAT", value_enum, ignore_case = true, default_value_t = Format::Json)]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Placement {
    /// New nodes are reserved for their planned pods.
    Reserve,
    /// Planned pods are nominated for their node.
    Nominate,
    /// Nothing is done but to open the node.
    Observe,
}

impl Placement {
    fn mode(self) -> Mode {
        match self {
            Self::Reserve => Mode::Reserve,
            Self::Nominate => Mode::Nominate,
            Self::Observe => Mode::Observe,
        }
    }
}

impl ProcessArgs {
    fn election(&self) -> Election {
        let of_pod = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
        let namespace = match self.leader_election_namespace.as_str() {
            "" => {
                std::fs::read_to_string(of_pod).map_or_else(|_| "kube-system".to_owned(), |text| text.trim().to_owned())
            }
            named => named.to_owned(),
        };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // a name that no other process of the host had or will have
        let identity = format!("{host}{MARK}{}-{}", std::process::id(), jiff::Timestamp::now().as_microsecond());
        Election { name: self.leader_election_name.clone(), namespace, identity }
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
    let region = args.catalog.region(None);
    let (catalog, _) = match super::plan::catalog(&args.catalog, &region) {
        Ok(catalog) => catalog,
        Err(sentence) => return refuse(&sentence),
    };
    let settings = ControllerSettings {
        decision,
        region: Arc::from(region.name),
        batch_idle: args.batch_idle_duration,
        batch_max: args.batch_max_duration,
        placement: args.placement.mode(),
        ..ControllerSettings::default()
    };
    let worker = Worker { program: env::current_exe()?, memory_limit: args.solver_memory };
    let hosting = Hosting { limits: Limits::of_time(args.time_limit, Search::Integer), ..Hosting::usual(worker) };
    start_log(args.process.log_format, args.process.log_level)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let waiting = Waiting::default();
        let connection = args.cluster.target().connect_to_stay(&|progress| waiting.show(&progress)).await;
        waiting.end();
        match connection {
            Ok(connection) => host(connection, Controller::new(settings, catalog), hosting, &args.process).await,
            Err(error) => refuse(&error.to_string()),
        }
    })
}

/// What takes longer is left to the end of the Lease.
const RESIGN_WITHIN: Duration = Duration::from_secs(5);

/// Everything that runs beside one another, until the first of it ends.
async fn host(
    connection: Connection,
    controller: Controller,
    hosting: Hosting,
    args: &ProcessArgs,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let client = connection.client;
    let metrics = start_metrics()?;
    let election = args.election();
    let (said, stands) = watch::channel(Stand::Unknown);
    let mut telling = Telling::new(client.clone(), election.identity.clone());
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
        if args.disable_leader_election {
            said.send_replace(Stand::Leads);
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
        () = control(client.clone(), controller, hosting, stands.clone(), &mut telling) => {
            Some("the watches have ended".to_owned())
        }
        () = standing => Some("the election has ended".to_owned()),
        ended = health => Some(on_port(args.health_probe_port, ended)),
        ended = counted => Some(on_port(args.metrics_port, ended)),
        _ = tokio::signal::ctrl_c() => None,
        _ = terminated.recv() => None,
    };
    if !args.disable_leader_election {
        let given_back = tokio::time::timeout(RESIGN_WITHIN, resign(client, &election)).await;
        if !matches!(given_back, Ok(Ok(()))) {
            tracing::warn!(controller = "lease", "the lease was not given back: others wait until it is over");
        }
    }
    failure.map_or(Ok(ExitCode::from(exit::SUCCESS)), |reason| Err(reason.into()))
}
