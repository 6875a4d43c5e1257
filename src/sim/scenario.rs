//! What is simulated: a folder of manifests, one of which is of the kind `Simulation`.

mod faults;
mod spans;
mod spec;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use faults::Faults;
pub use spec::{Around, Daily, Machines, ManifestChange, ScaleStep, Spec, SpotPriceChanges, Trace, Workload};

use super::api::{merge, subject_of};
use super::trace::read_trace;
use crate::controller::Subject;
use crate::observe::objects::{KINDS, Objects};
use crate::observe::{RawObject, read_paths};

/// The kind of the object that says what happens.
pub const KIND: &str = "Simulation";
/// What comes again and again comes at most so often: a simulation that never ends helps nobody.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
/// What is answered, or looked at again, takes at least so long.
const SHORTEST_ANSWER: Duration = Duration::from_millis(1);

/// A scenario as it is read.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What happens.
    pub spec: Spec,
    /// What is in the cluster from the start: kind and manifest.
    pub manifests: Vec<(&'static str, RawObject)>,
}

impl Scenario {
    /// Reads a folder.
    ///
    /// # Errors
    /// One sentence for each thing that is wrong, with file and field.
    pub fn read(folder: &Path) -> Result<Self, Vec<String>> {
        let (raw, errors) = read_paths(&[folder.to_path_buf()]);
        let mut scenario = Self::of(raw, errors.iter().map(ToString::to_string).collect())?;
        let mut errors = Vec::new();
        for workload in &mut scenario.spec.workloads {
            let Some(trace) = &mut workload.trace else { continue };
            match read_trace(&folder.join(&trace.file)) {
                Ok(arrivals) => trace.arrivals = Arc::new(arrivals),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(scenario) } else { Err(errors) }
    }

    fn of(raw: Vec<RawObject>, mut errors: Vec<String>) -> Result<Self, Vec<String>> {
        let (of_kind, others): (Vec<RawObject>, Vec<RawObject>) =
            raw.into_iter().partition(|object| object.value["kind"] == KIND);
        let mut manifests = Vec::new();
        for object in others {
            match KINDS.iter().find(|kind| object.value["kind"] == kind.name) {
                Some(kind) => manifests.push((kind.name, looked_up(kind.name, namespaced(kind.name, object)))),
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
        for (index, change) in scenario.spec.changes.iter().enumerate() {
            let faults = scenario.faults_of_change(change).into_iter();
            errors.extend(faults.map(|fault| format!("spec.changes[{index}]: {fault}")));
        }
        errors.extend(scenario.spec.faults_of_numbers());
        if errors.is_empty() { Ok(scenario) } else { Err(errors) }
    }

    /// The object that a change is about; `None` where there is no such manifest.
    pub(super) fn changed(&self, change: &ManifestChange) -> Option<(Subject, &RawObject)> {
        let namespace = change.namespace.as_deref();
        let is_it = |of: &Subject| {
            let is_in_it = namespace.unwrap_or(if is_of_cluster(of.kind) { "" } else { "default" });
            of.kind == change.kind && *of.key.name == *change.name && *of.key.namespace == *is_in_it
        };
        let mut all = self.manifests.iter().map(|(kind, object)| (subject_of(kind, &object.value), object));
        all.find(|(subject, _)| is_it(subject))
    }

    /// The object has to be there, and what becomes of it has to be readable.
    fn faults_of_change(&self, change: &ManifestChange) -> Vec<String> {
        let Some((_, object)) = self.changed(change) else {
            let named = change.namespace.iter().chain([&change.name]).cloned().collect::<Vec<_>>().join("/");
            return vec![format!("{} {named} is not among the manifests", change.kind)];
        };
        let mut changed = object.clone();
        merge(&mut changed.value, &change.patch);
        Objects::collect(vec![changed]).errors.iter().map(ToString::to_string).collect()
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
        let comes = workload.every.is_some() || workload.runs.is_some();
        match subject.kind {
            "Job" if is_scaled => Some("steps and daily are of a deployment".to_owned()),
            "Job" if workload.trace.is_some() && comes => Some("expected one of trace, and every with runs".to_owned()),
            "Job" if workload.trace.is_none() && (workload.every.is_none() || workload.runs.is_none()) => {
                Some("a job needs every and runs, or a trace".to_owned())
            }
            "Deployment" if comes || workload.trace.is_some() => Some("every, runs and trace are of a job".to_owned()),
            _ => None,
        }
    }
}

impl Spec {
    /// Numbers and durations that nothing can be done with.
    fn faults_of_numbers(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let of_faults = self.faults.chances().into_iter().map(|(name, chance)| (format!("faults.{name}"), chance));
        let of_prices = self.spot_prices.iter().map(|prices| ("spotPrices.by".to_owned(), prices.by));
        let chances = of_faults.chain(of_prices).filter(|(_, chance)| !(0.0..=1.0).contains(chance));
        errors.extend(chances.map(|(name, _)| format!("spec.{name}: expected a number from 0 to 1")));
        for (name, shortest, span) in self.spans() {
            if span < shortest {
                errors.push(format!("spec.{name}: expected at least {shortest:?}, found {span:?}"));
            }
        }
        let traces = self.workloads.iter().enumerate().filter_map(|(index, of)| Some((index, of.trace.as_ref()?)));
        let wrong = traces.filter(|(_, trace)| !(trace.speed > 0.0 && trace.speed.is_finite()));
        errors.extend(
            wrong.map(|(index, _)| {
                format!("spec.workloads[{index}].trace.speed: expected a number above 0, such as 10")
            }),
        );
        errors
    }

    /// Durations that have a least one: field, least, and what it is.
    fn spans(&self) -> Vec<(String, Duration, Duration)> {
        let of_faults =
            self.faults.periods().into_iter().filter_map(|(name, span)| Some((format!("faults.{name}"), span?)));
        let of_prices = self.spot_prices.iter().map(|prices| ("spotPrices.every".to_owned(), prices.every));
        let of_workloads = self.workloads.iter().enumerate().flat_map(|(index, workload)| {
            let every = workload.every.map(|every| (format!("workloads[{index}].every"), every));
            let daily = workload.daily.as_ref().map(|daily| (format!("workloads[{index}].daily.every"), daily.every));
            every.into_iter().chain(daily)
        });
        let periods = of_faults.chain(of_prices).chain(of_workloads);
        let answers = [("machines.answer", self.machines.answer), ("machines.pause", self.machines.pause)];
        let periods = periods.map(|(name, span)| (name, SHORTEST_PERIOD, span));
        periods.chain(answers.map(|(name, span)| (name.to_owned(), SHORTEST_ANSWER, span))).collect()
    }
}

/// The account of a simulation has whatever node classes select: one of which nothing is said is ready.
fn looked_up(kind: &str, mut object: RawObject) -> RawObject {
    let status = &mut object.value["status"];
    if kind == "EC2NodeClass" && status.is_null() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "",
            "lastTransitionTime": Timestamp::UNIX_EPOCH.to_string()});
        *status = json!({"conditions": [ready]});
    }
    object
}

fn is_of_cluster(kind: &str) -> bool {
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
    of_cluster.contains(&kind)
}

/// Objects of namespaces without one are in the default namespace.
fn namespaced(kind: &str, mut object: RawObject) -> RawObject {
    let metadata = &mut object.value["metadata"];
    if !is_of_cluster(kind) && metadata["namespace"].is_null() && metadata.is_object() {
        metadata["namespace"] = Value::from("default");
    }
    object
}
