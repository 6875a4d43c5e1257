//! `packwright controller`

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::catalog::CatalogArgs;
use super::exit;
use super::settings::SettingsArgs;
use crate::cluster::{Hosting, Target, Told, control};
use crate::controller::{Controller, ControllerSettings};
use crate::host::worker::Worker;
use crate::host::{Limits, Search};
use crate::placement::Mode;

/// Provision nodes for the pods of a cluster: plan, launch, follow the plan, and take nodes away that nobody needs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kubeconfig [default: that of KUBECONFIG, or ~/.kube/config].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
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
    /// What the process that decides may allocate.
    #[arg(long, env = "PACKWRIGHT_SOLVER_MEMORY", value_parser = super::plan::bytes, value_name = "QUANTITY")]
    solver_memory: Option<u64>,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    settings: SettingsArgs,
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

/// Runs until it is told to stop.
///
/// # Errors
/// The system does not say which program this is, or there is no runtime.
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
    let hosting = Hosting {
        limits: Limits::of_time(args.time_limit, Search::Integer),
        worker: Worker { program: env::current_exe()?, memory_limit: args.solver_memory },
        answer: Duration::from_secs(5),
        concurrent: 64,
        rest: 10,
    };
    let target = Target { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = match target.connect().await {
            Ok(connection) => connection,
            Err(error) => return refuse(&error.to_string()),
        };
        let controller = Controller::new(settings, catalog);
        let say = |told: Told| match told {
            Told::Said(said) => eprintln!("{} {said}", jiff::Timestamp::now()),
            Told::Blind(reason) => eprintln!("{} {reason}", jiff::Timestamp::now()),
        };
        tokio::select! {
            () = control(connection.client, controller, hosting, say) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(ExitCode::from(exit::SUCCESS))
    })
}
