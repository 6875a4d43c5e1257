//! How the process of a controller behaves: the reference's flags and variables, and ours.

use crate::cli::words::boolean;
use crate::cluster::Election;
use crate::cluster::lease::MARK;
use crate::cluster::telling::{Format, Level, Output};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings of the process")]
pub struct ProcessArgs {
    /// Where metrics are served, at /metrics; 0 serves none.
    #[arg(long, env = "METRICS_PORT", default_value_t = 8_080, value_name = "PORT")]
    pub metrics_port: u16,
    /// Where /healthz and /readyz are served; 0 serves none.
    #[arg(long, env = "HEALTH_PROBE_PORT", default_value_t = 8_081, value_name = "PORT")]
    pub health_probe_port: u16,
    /// Act without asking whether another controller does.
    #[arg(long, env = "DISABLE_LEADER_ELECTION", default_value = "false", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    pub disable_leader_election: bool,
    /// The Lease by which controllers agree on which of them acts.
    #[arg(long, env = "LEADER_ELECTION_NAME", default_value = "karpenter-leader-election", value_name = "NAME")]
    leader_election_name: String,
    /// The namespace of the Lease where there is no installation of Karpenter [default: that of the pod, or kube-system].
    #[arg(long, env = "LEADER_ELECTION_NAMESPACE", default_value = "", value_name = "NAMESPACE")]
    leader_election_namespace: String,
    /// Serve no metrics of single nodes and pods.
    #[arg(long, env = "DISABLE_CLUSTER_STATE_OBSERVABILITY", default_value = "false", action = clap::ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    pub disable_cluster_state_observability: bool,
    /// What is worth a line of the log.
    #[arg(long, env = "LOG_LEVEL", value_enum, ignore_case = true, default_value_t = Level::Info)]
    pub log_level: Level,
    /// Where lines of the log go: stdout, stderr or files, separated by commas.
    #[arg(long, env = "LOG_OUTPUT_PATHS", value_delimiter = ',', default_value = "stdout", value_name = "PATHS")]
    pub log_output_paths: Vec<Output>,
    /// How lines of the log look.
    #[arg(long, env = "PACKWRIGHT_LOG_FORMAT", value_enum, ignore_case = true, default_value_t = Format::Json)]
    pub log_format: Format,
    #[command(flatten)]
    without_meaning: WithoutMeaning,
}

/// Settings of the reference that change nothing here; what is written in a Deployment of it may stay.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings of the reference that are accepted and change nothing")]
struct WithoutMeaning {
    /// The reference's webhooks had it; there are none.
    #[arg(long, env = "KARPENTER_SERVICE", default_value = "", value_name = "NAME")]
    karpenter_service: String,
    /// Requests a second: what is on its way at once is limited instead.
    #[arg(long, env = "KUBE_CLIENT_QPS", default_value_t = 200, value_name = "N")]
    kube_client_qps: u32,
    /// Requests at once, see KUBE_CLIENT_QPS.
    #[arg(long, env = "KUBE_CLIENT_BURST", default_value_t = 300, value_name = "N")]
    kube_client_burst: u32,
    /// Profiles of Go's runtime at the port of the metrics: this program is not written in Go.
    #[arg(long, env = "ENABLE_PROFILING", default_value = "false", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    enable_profiling: bool,
    /// Who stands by always reads along.
    #[arg(long, env = "DISABLE_CONTROLLER_WARMUP", default_value = "true", action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    disable_controller_warmup: bool,
    /// When Go collects garbage, bytes: there is no collector. What deciding may take is --solver-memory.
    #[arg(long, env = "MEMORY_LIMIT", default_value_t = -1, allow_hyphen_values = true, value_name = "BYTES")]
    memory_limit: i64,
    /// How much is done at once, in thousandths of a core: decisions take one core, and everything else waits for answers.
    #[arg(long, env = "CPU_REQUESTS", default_value_t = 1_000, value_name = "MILLICORES")]
    cpu_requests: u32,
    /// Where a logger says what is wrong with itself.
    #[arg(long, env = "LOG_ERROR_OUTPUT_PATHS", default_value = "stderr", value_name = "PATHS")]
    log_error_output_paths: String,
}

impl ProcessArgs {
    pub fn election(&self) -> Election {
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
