//! Log lines, in the words of the reference where it has some: for machines one JSON object each, for people text.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use tracing::{debug, error, info, warn};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::super::lease::Stand;
use crate::controller::Said;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// Everything.
    Debug,
    /// What was done.
    Info,
    /// What went wrong.
    Error,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
    /// At the end of it.
    File(PathBuf),
}

impl FromStr for Output {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            path => Self::File(path.into()),
        })
    }
}

/// An output that is open.
#[derive(Clone)]
enum Open {
    Stdout,
    Stderr,
    File(Arc<File>),
}

/// Writes a line to each of several outputs. One that takes none costs its own lines alone.
#[derive(Clone)]
struct Everywhere(Arc<Vec<Open>>);

impl Everywhere {
    fn open(outputs: &[Output]) -> io::Result<Self> {
        let open = |output: &Output| {
            Ok(match output {
                Output::Stdout => Open::Stdout,
                Output::Stderr => Open::Stderr,
                Output::File(path) => {
                    let file = File::options().create(true).append(true).open(path);
                    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                    Open::File(Arc::new(file.map_err(named)?))
                }
            })
        };
        outputs.iter().map(open).collect::<io::Result<_>>().map(|open| Self(Arc::new(open)))
    }
}

impl Write for Everywhere {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for open in &*self.0 {
            let _ = match open {
                Open::Stdout => io::stdout().write_all(line),
                Open::Stderr => io::stderr().write_all(line),
                Open::File(file) => (&**file).write_all(line),
            };
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes log lines from now on.
///
/// # Errors
/// A file cannot be opened, or something in this process writes a log already.
pub fn start_log(format: Format, level: Level, outputs: &[Output]) -> Result<(), Box<dyn std::error::Error>> {
    let everywhere = Everywhere::open(outputs)?;
    let is_terminal = *outputs == [Output::Stdout] && io::stdout().is_terminal();
    let level = match level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Error => LevelFilter::ERROR,
    };
    let ours = tracing_subscriber::filter::Targets::new().with_target("packwright", level);
    let layer = match format {
        Format::Json => {
            fmt::layer().json().flatten_event(true).with_target(false).with_writer(move || everywhere.clone()).boxed()
        }
        Format::Text => {
            fmt::layer().with_target(false).with_ansi(is_terminal).with_writer(move || everywhere.clone()).boxed()
        }
    };
    Ok(tracing_subscriber::registry().with(layer.with_filter(ours)).try_init()?)
}

pub(super) fn write_stand(stand: &Stand) {
    match stand {
        Stand::Leads { .. } => info!(controller = "lease", "successfully acquired lease"),
        Stand::Shadows => info!(controller = "lease", "a shadow: decides, and does nothing"),
        Stand::StandsBy(holder) => info!(controller = "lease", holder, "standing by"),
        Stand::Conflict { holder, namespace, name } => {
            error!(controller = "lease", holder, namespace, name, "another provisioner is running: nothing is done");
        }
        Stand::Blocked(reason) => error!(controller = "lease", "{reason}"),
        Stand::Unknown => {}
    }
}

pub(super) fn write(said: &Said) {
    match said {
        Said::Unreadable(problem) => error!(controller = "state", "{problem}"),
        Said::WriteFailed { subject, reason } => {
            error!(controller = "state", object = %subject, "failed to write: {reason}");
        }
        Said::FoundPods { pods } => info!(controller = "provisioner", pods, "found provisionable pod(s)"),
        Said::Computed { question, claims, placed, unplaced, certificate, took } => info!(
            controller = "provisioner",
            question,
            nodeclaims = claims,
            pods = placed,
            unplaced,
            duration_seconds = took.as_secs_f64(),
            usd_per_hour = certificate.objective.as_usd(),
            bound_usd_per_hour = certificate.bound.as_usd(),
            stage = ?certificate.stage,
            stop = ?certificate.stop,
            failure = certificate.failure.as_ref().map(tracing::field::display),
            "computed new nodeclaim(s) to fit pod(s)"
        ),
        Said::Creating { claim, pool, pods, instance_type } => info!(
            controller = "provisioner",
            NodeClaim = %claim,
            NodePool = %pool,
            pods,
            instance_type = %instance_type,
            "created nodeclaim"
        ),
        Said::FailedScheduling { pod, reason } => {
            error!(controller = "provisioner", Pod = %pod.key, reason = %reason, "could not schedule pod");
        }
        Said::Nominated { pod, target } => {
            debug!(controller = "provisioner", Pod = %pod.key, target = %target.key.name, "pod should schedule on");
        }
        Said::Proposed { pool, pods, instance_type, price } => info!(
            controller = "provisioner",
            NodePool = %pool,
            pods,
            instance_type = %instance_type,
            usd_per_hour = price.as_usd(),
            "would create nodeclaim"
        ),
        Said::HeldBack { valve, pool, claims } => {
            warn!(controller = "provisioner", NodePool = %pool, limit = valve.name(), claims, "{said}");
        }
        Said::Spending(_) | Said::Disruptable(_) | Said::Offered(_) => {}
        Said::Launched { claim, provider_id, instance_type, zone } => info!(
            controller = "nodeclaim.lifecycle",
            NodeClaim = %claim,
            provider_id = %provider_id,
            instance_type = %instance_type,
            zone = %zone,
            "launched nodeclaim"
        ),
        Said::LaunchFailed { claim, reason } => {
            error!(controller = "nodeclaim.lifecycle", NodeClaim = %claim, reason, "failed launching nodeclaim");
        }
        Said::GaveUp { claim, why, reason } => {
            error!(controller = "nodeclaim.lifecycle", NodeClaim = %claim, why = why.label(), reason, "gave up nodeclaim");
        }
        Said::UnregisteredTaintMissing { claim } => {
            error!(controller = "nodeclaim.lifecycle", NodeClaim = %claim, "missing required startup taint, karpenter.sh/unregistered");
        }
        Said::Registered { claim, node } => {
            info!(controller = "nodeclaim.lifecycle", NodeClaim = %claim, Node = %node, "registered nodeclaim");
        }
        Said::Initialized { claim, node } => {
            info!(controller = "nodeclaim.lifecycle", NodeClaim = %claim, Node = %node, "initialized nodeclaim");
        }
        Said::Inconsistent { claim, reason } => {
            error!(controller = "nodeclaim.consistency", NodeClaim = %claim, "consistency error: {reason}");
        }
        Said::TerminationFailed { provider_id, reason } => {
            error!(controller = "nodeclaim.lifecycle", provider_id = %provider_id, reason, "failed terminating instance");
        }
        Said::ListFailed { reason } => {
            error!(controller = "nodeclaim.garbagecollection", "failed to list instances: {reason}");
        }
        Said::InstanceGone { claim, provider_id } => info!(
            controller = "nodeclaim.garbagecollection",
            NodeClaim = %claim,
            provider_id = %provider_id,
            "garbage collecting nodeclaim with no cloudprovider representation"
        ),
        Said::RebalanceRecommended { claim, .. } => {
            debug!(controller = "interruption", NodeClaim = %claim, "spot rebalance recommendation");
        }
        Said::Interrupted { claim, provider_id, kind, .. } => info!(
            controller = "interruption",
            messageKind = kind.label(),
            NodeClaim = %claim,
            provider_id = %provider_id,
            "initiating delete from interruption message"
        ),
        Said::ZonalShift { pool, zone, id, is_active: true } => {
            warn!(controller = "zonalshift", NodePool = %pool, zone = %zone, zone_id = %id, "zonal shift detected: nothing is launched in the zone");
        }
        Said::ZonalShift { pool, zone, id, is_active: false } => {
            info!(controller = "zonalshift", NodePool = %pool, zone = %zone, zone_id = %id, "zonal shift cleared");
        }
        Said::Expired { claim } => {
            info!(controller = "nodeclaim.expiration", NodeClaim = %claim, "deleted expired nodeclaim");
        }
        Said::Unhealthy { claim, node, condition } => {
            info!(controller = "node.health", NodeClaim = %claim, Node = %node, condition, "deleted unhealthy node");
        }
        Said::RepairBlocked { node, why } => debug!(controller = "node.health", Node = %node, "{why}"),
        Said::Drifted { claim, reason: Some(reason) } => {
            debug!(controller = "nodeclaim.disruption", NodeClaim = %claim, reason, "marking drifted");
        }
        Said::Drifted { claim, reason: None } => {
            debug!(controller = "nodeclaim.disruption", NodeClaim = %claim, "removing drifted status condition");
        }
        Said::Kept { about, why, .. } => debug!(controller = "disruption", object = %about, "cannot disrupt: {why}"),
        Said::Disrupting { claim, reason } => {
            info!(controller = "disruption", NodeClaim = %claim, reason, "disrupting node(s)");
        }
        Said::Consolidating(saving) => info!(
            controller = "disruption",
            reason = saving.method.label(),
            decision = saving.decision(),
            disrupted_node_count = saving.nodes.len(),
            replacement_node_count = saving.launches,
            pod_count = saving.pods,
            saved_usd_per_hour = saving.saved.as_usd(),
            nodes = saving.nodes.join(", "),
            "disrupting node(s)"
        ),
        Said::Outlook(of) => {
            let (cost, least) = (of.cost.as_usd(), of.least.as_usd());
            debug!(controller = "disruption", usd_per_hour = cost, least_usd_per_hour = least, "{said}");
        }
        Said::Examined { nodes, oldest } => {
            debug!(controller = "disruption", nodes, oldest_seconds = oldest.as_secs(), "examined node(s)");
        }
        Said::WouldConsolidate(saving) => info!(
            controller = "disruption",
            reason = saving.method.label(),
            decision = saving.decision(),
            saved_usd_per_hour = saving.saved.as_usd(),
            nodes = saving.nodes.join(", "),
            "would disrupt node(s)"
        ),
        Said::Replacing { claim, pool, pods, instance_type, .. } => info!(
            controller = "disruption",
            NodeClaim = %claim,
            NodePool = %pool,
            pods,
            instance_type = %instance_type,
            "created nodeclaim"
        ),
        Said::AwaitingReplacement { claim } => {
            debug!(controller = "disruption.queue", NodeClaim = %claim, "waiting on replacement");
        }
        Said::NotReplaced { claim, why, .. } => {
            error!(controller = "disruption.queue", NodeClaim = %claim, "failed to disrupt node(s): {why}");
        }
        Said::Evicting { pod } => debug!(controller = "node.termination", Pod = %pod.key, "evicting pod"),
        Said::Deleting { pod, .. } => info!(controller = "node.termination", Pod = %pod.key, "{said}"),
        Said::Protected { pod, .. } => debug!(controller = "disruption", Pod = %pod.key, "{said}"),
        Said::NoCompatibleTypes { pool } => {
            error!(controller = "provisioner", NodePool = %pool, "no compatible instance types could be found");
        }
        Said::EvictionDelayed { pod, reason, .. } => {
            debug!(controller = "node.termination", Pod = %pod.key, reason, "failed draining");
        }
        Said::GracePeriodExpiring { claim, .. } => info!(controller = "node.termination", NodeClaim = %claim, "{said}"),
        Said::AwaitingVolumes { node } => debug!(controller = "node.termination", Node = %node, "{said}"),
        Said::NodeGone { node, .. } => info!(controller = "node.termination", Node = %node, "deleted node"),
        Said::ClaimGone { claim, .. } => {
            info!(controller = "nodeclaim.lifecycle", NodeClaim = %claim, "deleted nodeclaim");
        }
        Said::NotGuaranteed(loss) => warn!(controller = "placement", NodeClaim = %loss.claim, "{loss}"),
        Said::Landed(landed) => debug!(
            controller = "placement",
            NodeClaim = %landed.claim,
            as_planned = landed.as_planned,
            elsewhere = landed.elsewhere,
            unbound = landed.unbound,
            gone = landed.gone,
            "pods of nodeclaim"
        ),
    }
}
