//! What is simulated: a folder of manifests, one of which is of the kind `Simulation`.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::api::subject_of;
use crate::controller::Subject;
use crate::observe::objects::{KINDS, Objects};
use crate::observe::{RawObject, read_paths};

/// The kind of the object that says what happens.
pub const KIND: &str = "Simulation";

/// A scenario as it is read.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What happens.
    pub spec: Spec,
    /// What is in the cluster from the start: kind and manifest.
    pub manifests: Vec<(&'static str, RawObject)>,
}

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
    /// How nodes and pods behave.
    #[serde(default)]
    pub machines: Machines,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
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

/// What goes wrong: how often on average, or with what chance. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Faults {
    /// Watches lag behind by up to this.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub watch_lag: Option<Duration>,
    /// A watch is dropped so often; what happens until it lists again is not seen as it happens.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub dropped_watches: Option<Duration>,
    /// Of writes: somebody else changes the object just before.
    pub conflicts: f64,
    /// Of writes: they are not carried out.
    pub failed_writes: f64,
    /// Of writes: they are carried out, and the answer is lost.
    pub lost_answers: f64,
    /// The process is killed so often, and another one starts.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub restarts: Option<Duration>,
    /// Another process acts so often; what the one before has sent may still arrive.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub leader_changes: Option<Duration>,
    /// Of launches: the cloud fails.
    pub failed_launches: f64,
    /// Of launches: the instance runs, and the answer is lost.
    pub lost_launches: f64,
    /// Of launches: the answer takes up to two minutes.
    pub slow_launches: f64,
    /// Some offerings cannot be had for a while so often.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub insufficient_capacity: Option<Duration>,
    /// Of instances: the kubelet never registers.
    pub never_registers: f64,
    /// An instance is gone so often, without a word.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub vanishing: Option<Duration>,
    /// A spot instance is interrupted so often: it ends two minutes after the word.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub spot_interruptions: Option<Duration>,
    /// A person deletes a node so often.
    #[serde(with = "optional_span", skip_serializing_if = "Option::is_none")]
    pub deleted_nodes: Option<Duration>,
    /// Of instances: less memory is allocatable than was predicted, by up to two percent.
    pub less_allocatable: f64,
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

impl Scenario {
    /// Reads a folder.
    ///
    /// # Errors
    /// One sentence for each thing that is wrong, with file and field.
    pub fn read(folder: &Path) -> Result<Self, Vec<String>> {
        let (raw, errors) = read_paths(&[folder.to_path_buf()]);
        Self::of(raw, errors.iter().map(ToString::to_string).collect())
    }

    fn of(raw: Vec<RawObject>, mut errors: Vec<String>) -> Result<Self, Vec<String>> {
        let (of_kind, others): (Vec<RawObject>, Vec<RawObject>) =
            raw.into_iter().partition(|object| object.value["kind"] == KIND);
        let mut manifests = Vec::new();
        for object in others {
            match KINDS.iter().find(|kind| object.value["kind"] == kind.name) {
                Some(kind) => manifests.push((kind.name, namespaced(kind.name, object))),
                None => errors.push(format!("{}: {} is not simulated", object.origin, object.value["kind"])),
            }
        }
        let objects: Vec<RawObject> = manifests.iter().map(|(_, object)| object.clone()).collect();
        errors.extend(Objects::collect(objects).errors.iter().map(ToString::to_string));
        let spec = match &of_kind[..] {
            [object] => serde_path_to_error::deserialize::<_, Spec>(&object.value["spec"])
                .map_err(|error| format!("{}: {KIND} spec.{}: {}", object.origin, error.path(), error.inner())),
            [] => Err(format!("there is no object of the kind {KIND}")),
            [_, second, ..] => Err(format!("{}: a second {KIND}: expected one", second.origin)),
        };
        let spec = match spec {
            Ok(spec) => spec,
            Err(error) => {
                errors.push(error);
                return Err(errors);
            }
        };
        let scenario = Self { spec, manifests };
        for (index, workload) in scenario.spec.workloads.iter().enumerate() {
            errors.extend(scenario.fault_of(workload).map(|fault| format!("spec.workloads[{index}]: {fault}")));
        }
        errors.extend(
            scenario
                .spec
                .faults
                .out_of_range()
                .map(|name| format!("spec.faults.{name}: expected a number from 0 to 1")),
        );
        if errors.is_empty() { Ok(scenario) } else { Err(errors) }
    }

    fn fault_of(&self, workload: &Workload) -> Option<String> {
        let subject = match workload.subject() {
            Ok(subject) => subject,
            Err(error) => return Some(error),
        };
        let is_there = self.manifests.iter().any(|(kind, object)| subject_of(kind, &object.value) == subject);
        if !is_there {
            return Some(format!("{subject} is not among the manifests"));
        }
        let is_scaled = workload.daily.is_some() || !workload.steps.is_empty();
        match subject.kind {
            "Job" if is_scaled => Some("steps and daily are of a deployment".to_owned()),
            "Job" if workload.every.is_none_or(|every| every.is_zero()) || workload.runs.is_none() => {
                Some("a job needs every and runs".to_owned())
            }
            "Deployment" if workload.every.is_some() || workload.runs.is_some() => {
                Some("every and runs are of a job".to_owned())
            }
            _ => None,
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

impl Faults {
    fn chances(&self) -> [(&'static str, f64); 8] {
        [
            ("conflicts", self.conflicts),
            ("failedWrites", self.failed_writes),
            ("lostAnswers", self.lost_answers),
            ("failedLaunches", self.failed_launches),
            ("lostLaunches", self.lost_launches),
            ("slowLaunches", self.slow_launches),
            ("neverRegisters", self.never_registers),
            ("lessAllocatable", self.less_allocatable),
        ]
    }

    fn out_of_range(&self) -> impl Iterator<Item = &'static str> {
        self.chances().into_iter().filter(|(_, chance)| !(0.0..=1.0).contains(chance)).map(|(name, _)| name)
    }
}

/// Objects of namespaces without one are in the default namespace.
fn namespaced(kind: &str, mut object: RawObject) -> RawObject {
    let of_cluster = [
        "Node",
        "Namespace",
        "PersistentVolume",
        "PriorityClass",
        "StorageClass",
        "CSINode",
        "RuntimeClass",
        "NodePool",
        "NodeClaim",
        "NodeOverlay",
        "EC2NodeClass",
        "KWOKNodeClass",
    ];
    let metadata = &mut object.value["metadata"];
    if !of_cluster.contains(&kind) && metadata["namespace"].is_null() && metadata.is_object() {
        metadata["namespace"] = Value::from("default");
    }
    object
}

mod span {
    use super::{Deserializer, Duration, SignedDuration};
    use serde::de::{Deserialize as _, Error as _};
    use serde::ser::Serializer;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed: Option<SignedDuration> = text.parse().ok();
        let span = parsed.and_then(|span| Duration::try_from(span).ok());
        span.ok_or_else(|| D::Error::custom(format!("expected a duration such as 90s or 1h 30m, found {text}")))
    }

    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let span = SignedDuration::try_from(*span).unwrap_or(SignedDuration::MAX);
        serializer.collect_str(&format_args!("{span:#}"))
    }
}

mod optional_span {
    use super::{Deserializer, Duration, span};
    use serde::ser::Serializer;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        span::deserialize(deserializer).map(Some)
    }

    #[allow(clippy::ref_option)] // what serde asks for
    pub fn serialize<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => span::serialize(span, serializer),
            None => serializer.serialize_none(),
        }
    }
}
