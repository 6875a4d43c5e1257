//! The fields of a scenario.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::api::subject_of;
use super::super::trace::Arrival;
use super::faults::Faults;
use super::spans::{optional_span, span};
use crate::controller::Subject;

/// What happens. Durations are written as `90s` or `1h 30m`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// How long is simulated.
    #[serde(rename = "for", with = "span", default = "two_hours")]
    pub time: Duration,
    /// When it begins.
    #[serde(default = "a_monday")]
    pub start: Timestamp,
    /// What comes and goes.
    #[serde(default)]
    pub workloads: Vec<Workload>,
    /// What a person changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ManifestChange>,
    /// How nodes and pods behave.
    #[serde(default)]
    pub machines: Machines,
    /// How spot prices change; they do not without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_prices: Option<SpotPriceChanges>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
    /// So long after the start no pod is evicted any more because its node is taken away by choice; that may be at any time without it.
    #[serde(default, with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub quiet_after: Option<Duration>,
}

/// A workload of the manifests, and how it changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// A Deployment, as `namespace/name`, that is scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// A Job, as `namespace/name`, whose pod comes again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Scale it to so many replicas at these times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ScaleStep>,
    /// Scale it with the time of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<Daily>,
    /// A pod of the Job comes so often, on average.
    #[serde(default, with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// And runs for so long, on average.
    #[serde(default, with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub runs: Option<Duration>,
    /// Pods of the Job come as a trace says, with its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

/// Pods that come when they once did: a CSV of the scenario's folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trace {
    /// Its name in the folder.
    pub file: PathBuf,
    /// What came earlier is left out; what comes at this time comes at the start.
    #[serde(with = "span", default)]
    pub from: Duration,
    /// Arrivals follow one another so many times as fast; pods run for as long as they did.
    #[serde(default = "one")]
    pub speed: f64,
    /// What is in the file, by arrival.
    #[serde(skip)]
    pub arrivals: Arc<Vec<Arrival>>,
}

/// Spot prices of every type and zone that change by chance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpotPriceChanges {
    /// So often.
    #[serde(with = "span")]
    pub every: Duration,
    /// By up to this part, up or down.
    pub by: f64,
    /// Of what.
    #[serde(default)]
    pub around: Around,
}

/// What changes of prices are parts of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Around {
    /// What they were before: they may go anywhere with time.
    #[default]
    Last,
    /// What they were at the start: it is noise.
    Start,
}

/// A change of an object of the manifests, as `kubectl patch --type=merge` makes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestChange {
    /// After the start.
    #[serde(with = "span")]
    pub at: Duration,
    /// Of the object.
    pub kind: String,
    /// `default` where it is not given, for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Of the object.
    pub name: String,
    /// RFC 7386.
    pub patch: Value,
}

/// A change of replicas.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleStep {
    /// After the start.
    #[serde(with = "span")]
    pub at: Duration,
    /// So many from then on.
    pub replicas: u64,
}

/// Replicas between two numbers, once around in 24 hours.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Daily {
    /// Twelve hours from the peak.
    pub low: u64,
    /// At the peak.
    pub high: u64,
    /// Time of the day, in UTC.
    #[serde(with = "span")]
    pub peak: Duration,
    /// How often replicas are set.
    #[serde(with = "span", default = "five_minutes")]
    pub every: Duration,
}

/// How long things take where nothing goes wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Machines {
    /// From a launch to the Node.
    #[serde(with = "span")]
    pub boot: Duration,
    /// From the Node to its readiness.
    #[serde(with = "span")]
    pub ready: Duration,
    /// Until whoever owns startup taints takes them off.
    #[serde(with = "span")]
    pub startup: Duration,
    /// From binding to running.
    #[serde(with = "span")]
    pub pod_start: Duration,
    /// From the word to end to the end, if its grace allows.
    #[serde(with = "span")]
    pub pod_stop: Duration,
    /// A decision takes so long.
    #[serde(with = "span")]
    pub decision: Duration,
    /// An answer of the API server or the cloud takes so long.
    #[serde(with = "span")]
    pub answer: Duration,
    /// What happens within this time is looked at together.
    #[serde(with = "span")]
    pub pause: Duration,
}

impl Default for Machines {
    fn default() -> Self {
        let (seconds, millis) = (Duration::from_secs, Duration::from_millis);
        Self {
            boot: seconds(30),
            ready: seconds(10),
            startup: seconds(5),
            pod_start: seconds(2),
            pod_stop: seconds(2),
            decision: millis(500),
            answer: millis(10),
            pause: millis(100),
        }
    }
}

impl Workload {
    /// The object that it is about.
    ///
    /// # Errors
    /// Not exactly one is named, or not as `namespace/name`.
    pub fn subject(&self) -> Result<Subject, String> {
        let (kind, named) = match (&self.deployment, &self.job) {
            (Some(named), None) => ("Deployment", named),
            (None, Some(named)) => ("Job", named),
            _ => return Err("expected one of deployment and job".to_owned()),
        };
        let (namespace, name) =
            named.split_once('/').ok_or_else(|| format!("expected namespace/name, found {named}"))?;
        Ok(subject_of(kind, &serde_json::json!({"metadata": {"namespace": namespace, "name": name}})))
    }
}

fn two_hours() -> Duration {
    Duration::from_secs(2 * 3_600)
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

fn a_monday() -> Timestamp {
    Timestamp::from_second(1_767_571_200).unwrap_or_default() // 2026-01-05T00:00:00Z
}

fn one() -> f64 {
    1.0
}
