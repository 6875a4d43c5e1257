//! A workload from a trace: a CSV with one line for each arrival of equal pods.
//!
//! | column | what |
//! |---|---|
//! | `arrival` | when they come, in seconds |
//! | `duration` | how many seconds each of them runs; empty: until the end |
//! | `cpu`, `memory`, `gpu` | what each of them asks for, as Kubernetes writes quantities; empty: nothing |
//! | `replicas` | how many come; 1 without this column |
//!
//! Other columns are left alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::subject_of;
use super::queue::after;
use super::scenario::Workload;
use super::{Happening, Simulation};
use crate::controller::Subject;
use crate::resources::{CPU, MEMORY, NVIDIA_GPU, Resources};

/// What a pod of a trace runs for that never ends.
const FOR_EVER: u64 = 10 * 365 * 86_400;
const COLUMNS: [&str; 6] = ["arrival", "duration", "cpu", "memory", "gpu", "replicas"];

/// Pods that come at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// In seconds.
    pub at: u64,
    /// So many seconds each.
    pub runs: u64,
    pub replicas: u64,
    /// By resource, as they are written.
    pub requests: BTreeMap<&'static str, String>,
}

/// Reads a trace, by arrival.
///
/// # Errors
/// One sentence: file, line, column and what is expected there.
pub fn read_trace(path: &Path) -> Result<Vec<Arrival>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    parse(&text).map_err(|error| format!("{shown}: {error}"))
}

fn parse(text: &str) -> Result<Vec<Arrival>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, header) = lines.next().ok_or("line 1: expected the names of columns, found nothing")?;
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    let place = |column: &str| names.iter().position(|name| *name == column);
    let missing = COLUMNS[..2].iter().find(|column| place(column).is_none());
    if let Some(column) = missing {
        return Err(format!("line 1: expected a column {column}, found {header}"));
    }
    let mut arrivals = Vec::new();
    for (number, line) in lines {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if fields.len() != names.len() {
            return Err(format!("line {}: expected {} fields, found {}", number + 1, names.len(), fields.len()));
        }
        let field = |column: &str| place(column).map_or("", |place| fields[place]);
        arrivals.push(arrival(field).map_err(|error| format!("line {}: {error}", number + 1))?);
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    Ok(arrivals)
}

fn arrival<'f>(field: impl Fn(&str) -> &'f str) -> Result<Arrival, String> {
    let number = |column: &str, missing: Option<u64>| {
        let text = field(column);
        let parsed = if text.is_empty() { missing } else { text.parse().ok() };
        parsed.ok_or_else(|| format!("{column}: expected a whole number, found '{text}'"))
    };
    let mut requests = BTreeMap::new();
    for (column, resource) in [("cpu", CPU), ("memory", MEMORY), ("gpu", NVIDIA_GPU)] {
        let text = field(column);
        if text.is_empty() || text == "0" {
            continue;
        }
        Resources::parse_amount(resource, text)
            .map_err(|_| format!("{column}: expected a quantity such as 500m or 2Gi, found '{text}'"))?;
        requests.insert(resource, text.to_owned());
    }
    let runs = number("duration", Some(FOR_EVER))?;
    Ok(Arrival { at: number("arrival", None)?, runs, replicas: number("replicas", Some(1))?, requests })
}

impl Workload {
    /// When pods come after the start, and how long they run: `from` and `speed` applied to arrivals alone.
    #[allow(clippy::cast_precision_loss)] // seconds of a trace
    fn arrives_after(&self, arrival: &Arrival) -> Option<Duration> {
        let seconds = arrival.at.checked_sub(self.trace.as_ref()?.from.as_secs())?;
        Some(Duration::from_secs(seconds).div_f64(self.trace.as_ref()?.speed))
    }
}

impl Simulation<'_> {
    /// Each size of pods has a Job of its own: that of the manifests with other requests.
    pub(super) fn begin_trace(&mut self, index: usize) {
        let workload = &self.scenario.spec.workloads[index];
        let (Some(trace), Ok(job)) = (&workload.trace, workload.subject()) else { return };
        let mut jobs: BTreeMap<&BTreeMap<&'static str, String>, Subject> = BTreeMap::new();
        for arrival in trace.arrivals.iter() {
            let Some(at) = workload.arrives_after(arrival) else { continue };
            if !jobs.contains_key(&arrival.requests) {
                let Some(job) = self.job_like(&job, jobs.len(), &arrival.requests) else { return };
                jobs.insert(&arrival.requests, job);
            }
            let Some(job) = jobs.get(&arrival.requests) else { continue };
            for _ in 0..arrival.replicas {
                self.queue.put(after(self.now, at), Happening::Arrival(job.clone(), arrival.runs));
            }
        }
    }

    fn job_like(&mut self, job: &Subject, number: usize, requests: &BTreeMap<&'static str, String>) -> Option<Subject> {
        let mut object = Value::clone(self.api.get(job)?);
        object["metadata"]["name"] = json!(format!("{}-{number}", job.key.name));
        let limits: BTreeMap<_, _> = requests.iter().filter(|(name, _)| **name == NVIDIA_GPU).collect();
        let resources = json!({"requests": requests, "limits": limits});
        *object.pointer_mut("/spec/template/spec/containers/0/resources")? = resources;
        let (subject, now) = (subject_of("Job", &object), self.now);
        self.api.create("Job", object, now).ok()?;
        Some(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_what_is_wrong_is_said() {
        let arrivals = parse("name,cpu,arrival,duration,replicas\nb,2,60,,3\na,500m,5,10,\n").unwrap();
        let requests = |cpu: &str| BTreeMap::from([(CPU, cpu.to_owned())]);
        let first = Arrival { at: 5, runs: 10, replicas: 1, requests: requests("500m") };
        let second = Arrival { at: 60, runs: FOR_EVER, replicas: 3, requests: requests("2") };
        assert_eq!(arrivals, [first, second]);
        for (text, expected) in [
            ("", "line 1: expected the names of columns"),
            ("arrival,cpu\n1,2\n", "line 1: expected a column duration"),
            ("arrival,duration\n1\n", "line 2: expected 2 fields, found 1"),
            ("arrival,duration\nsoon,2\n", "line 2: arrival: expected a whole number, found 'soon'"),
            ("arrival,duration,cpu\n1,2,much\n", "line 2: cpu: expected a quantity such as 500m or 2Gi, found 'much'"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
