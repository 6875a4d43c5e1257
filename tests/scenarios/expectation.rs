//! What a scenario expects, and whether a decision is it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};

use packwright::catalog::InstanceType;
use packwright::host::Decision;
use packwright::observe::LoadOutcome;
use packwright::observe::snapshot::Snapshot;
use packwright::plan::{Launch, Target};
use serde::Deserialize;

/// Names of pods are those of the manifests, without the namespace; `web-*` stands for all that begin so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    placed: usize,
    #[serde(default)]
    unplaced: usize,
    /// Nodes to launch.
    nodes: Option<usize>,
    /// Of the launches, dollars an hour.
    cost: Option<f64>,
    #[serde(default)]
    pods: BTreeMap<String, PodExpectation>,
    /// Pods of each set are on one node.
    #[serde(default)]
    together: Vec<Vec<String>>,
    /// Pods of each set are on different nodes.
    #[serde(default)]
    apart: Vec<Vec<String>>,
    #[serde(default)]
    spread: Vec<SpreadExpectation>,
    /// Whole messages.
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    skipped: BTreeMap<String, usize>,
    /// Each is part of some note or assumption.
    #[serde(default)]
    said: Vec<String>,
    /// None is part of any note or assumption.
    #[serde(default)]
    not_said: Vec<String>,
}

/// How many of the pods are in each domain of a key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpreadExpectation {
    key: String,
    pods: String,
    /// Sorted, largest first; domains without pods are left out.
    counts: Vec<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PodExpectation {
    /// Part of the reason for which it is left.
    unplaced: Option<String>,
    /// An existing node or claim.
    node: Option<String>,
    /// It goes to a launch: everything below is about it.
    pool: Option<String>,
    /// The type that the launch prefers.
    r#type: Option<String>,
    /// Every type that it names, sorted.
    types: Option<Vec<String>>,
    /// Every zone that it leaves open, sorted.
    zones: Option<Vec<String>>,
    /// The zones that it leaves open are some of these.
    zones_within: Option<Vec<String>>,
    capacity_type: Option<String>,
    /// Labels that every offer's node carries; `null`: none carries it.
    labels: BTreeMap<String, Option<String>>,
    /// Keys that the node carries with some value.
    has_labels: Vec<String>,
    /// As `key=value:Effect`; all of them.
    taints: Option<Vec<String>>,
    startup_taints: Option<Vec<String>>,
    /// Those of the claim, in the units of the program: millicores, bytes, numbers.
    requests: BTreeMap<String, i64>,
    /// Dollars an hour.
    price: Option<f64>,
}

pub struct Answer<'a> {
    pub loaded: &'a LoadOutcome,
    pub decision: &'a Decision,
}

impl Answer<'_> {
    fn snapshot(&self) -> &Snapshot {
        &self.loaded.snapshot
    }

    /// What every decision must keep.
    pub fn broken_promises(&self) -> Vec<String> {
        let Decision { plan, certificate, refused, .. } = self.decision;
        let mut faults: Vec<String> =
            refused.iter().map(|violation| format!("the checker refused: {violation}")).collect();
        if certificate.bound > certificate.objective {
            faults.push(format!("the bound {} is above the cost {}", certificate.bound, certificate.objective));
        }
        let settings = &self.snapshot().settings;
        for launch in &plan.launches {
            let types: BTreeSet<_> = launch.offers.iter().map(|offer| &offer.instance_type).collect();
            let dearest = launch.price().permille(1_000 + settings.price_flexibility_permille);
            let has_minimum =
                self.snapshot().node_pools[launch.pool].requirements.iter().any(|(_, r)| r.min_values.is_some());
            if !has_minimum && (types.len() > settings.max_instance_types || launch.worst_price() > dearest) {
                faults.push(format!("{}: {} types up to {}", launch.name, types.len(), launch.worst_price()));
            }
        }
        faults
    }

    pub fn faults(&self, expect: &Expectation) -> Vec<String> {
        let plan = &self.decision.plan;
        let mut faults = Faults::default();
        faults.equal("placed", &plan.assignments.len(), &expect.placed);
        faults.equal("unplaced", &plan.unplaced.len(), &expect.unplaced);
        faults.equal_if("nodes", &plan.launches.len(), expect.nodes.as_ref());
        if let Some(cost) = expect.cost {
            faults.price("cost", plan.cost().as_usd(), cost);
        }
        let errors: Vec<String> = self.loaded.errors.iter().map(ToString::to_string).collect();
        faults.equal("errors", &errors, &expect.errors);
        faults.equal("skipped", &self.loaded.skipped, &expect.skipped);
        let said: Vec<&String> = self.loaded.notes.iter().chain(&self.snapshot().assumptions).collect();
        for part in &expect.said {
            faults.check(said.iter().any(|note| note.contains(part)), || format!("'{part}' is not said, but {said:?}"));
        }
        for part in &expect.not_said {
            faults.check(!said.iter().any(|note| note.contains(part)), || format!("'{part}' is said: {said:?}"));
        }
        for (pattern, of_pod) in &expect.pods {
            let pods = self.matching(pattern);
            faults.check(!pods.is_empty(), || format!("no pending pod is called {pattern}"));
            for pod in pods {
                self.pod(pod, of_pod, &mut faults);
            }
        }
        for set in &expect.together {
            let places: BTreeSet<Option<Target>> = self.all_matching(set).map(|pod| self.target(pod)).collect();
            faults.check(places.len() == 1 && !places.contains(&None), || format!("{set:?} are not together"));
        }
        for set in &expect.apart {
            let pods: Vec<usize> = self.all_matching(set).collect();
            let places: BTreeSet<Target> = pods.iter().filter_map(|&pod| self.target(pod)).collect();
            faults.check(places.len() == pods.len(), || format!("{set:?} are not apart"));
        }
        for spread in &expect.spread {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for pod in self.matching(&spread.pods) {
                let Some(target) = self.target(pod) else { continue };
                *counts.entry(self.domain(target, &spread.key)).or_default() += 1;
            }
            let mut found: Vec<usize> = counts.values().copied().collect();
            found.sort_unstable_by(|a, b| b.cmp(a));
            faults.check(found == spread.counts, || format!("{} over {}: {counts:?}", spread.pods, spread.key));
        }
        faults.0
    }

    fn pod(&self, pod: usize, expect: &PodExpectation, faults: &mut Faults) {
        let name = &self.snapshot().pods[pod].key.name;
        let Some(target) = self.target(pod) else {
            let left = self.decision.plan.unplaced.iter().find(|unplaced| unplaced.pod == pod);
            let reason = left.map_or_else(|| "it is nowhere".to_owned(), |left| left.reason.to_string());
            match &expect.unplaced {
                Some(part) => faults.check(reason.contains(part), || format!("{name} is left because '{reason}'")),
                None => faults.check(false, || format!("{name} is not placed: {reason}")),
            }
            return;
        };
        faults.check(expect.unplaced.is_none(), || format!("{name} is placed"));
        let launch = match target {
            Target::Existing(node) => {
                let found = self.snapshot().nodes[node].name.to_string();
                faults.equal(&format!("{name}: node"), &Some(found), &expect.node);
                return;
            }
            Target::Launch(launch) => &self.decision.plan.launches[launch],
        };
        faults.check(expect.node.is_none(), || format!("{name} goes to a new node"));
        self.launch(name, launch, expect, faults);
    }

    fn launch(&self, name: &str, launch: &Launch, expect: &PodExpectation, faults: &mut Faults) {
        let pool = &self.snapshot().node_pools[launch.pool];
        let types: BTreeSet<String> = launch.offers.iter().map(|offer| offer.instance_type.to_string()).collect();
        let zones: BTreeSet<String> = launch.offers.iter().map(|offer| offer.zone.to_string()).collect();
        let label = |field: &str| format!("{name}: {field}");
        faults.equal_if(&label("pool"), &pool.name.to_string(), expect.pool.as_ref());
        faults.equal_if(&label("type"), &launch.offers[0].instance_type.to_string(), expect.r#type.as_ref());
        faults.equal_if(&label("types"), &types.into_iter().collect(), expect.types.as_ref());
        if let Some(within) = &expect.zones_within {
            faults.check(zones.iter().all(|zone| within.contains(zone)), || format!("{name}: zones {zones:?}"));
        }
        faults.equal_if(&label("zones"), &zones.into_iter().collect(), expect.zones.as_ref());
        faults.equal_if(&label("capacity_type"), &launch.capacity_type.to_string(), expect.capacity_type.as_ref());
        for (key, wanted) in &expect.labels {
            for kind in self.types(launch) {
                let found = launch_label(launch, kind, key);
                faults.equal(&label(key), &found, wanted);
            }
        }
        for key in &expect.has_labels {
            let all = self.types(launch).all(|kind| launch_label(launch, kind, key).is_some());
            faults.check(all, || format!("{name}: the node has no label {key}"));
        }
        let shown = |taints: &[packwright::observe::snapshot::Taint]| -> Vec<String> {
            taints.iter().map(|t| format!("{}={}:{:?}", t.key, t.value, t.effect)).collect()
        };
        faults.equal_if(&label("taints"), &shown(&launch.taints), expect.taints.as_ref());
        faults.equal_if(&label("startup_taints"), &shown(&launch.startup_taints), expect.startup_taints.as_ref());
        for (resource, amount) in &expect.requests {
            faults.equal(&label(resource), &launch.requests.get(resource), amount);
        }
        if let Some(price) = expect.price {
            faults.price(&label("price"), launch.price().as_usd(), price);
        }
    }

    fn types<'a>(&'a self, launch: &'a Launch) -> impl Iterator<Item = &'a InstanceType> {
        let types = &self.snapshot().node_pools[launch.pool].instance_types;
        types.iter().filter(|kind| launch.offers.iter().any(|offer| offer.instance_type == kind.name))
    }

    /// Pending pods by name; `prefix-*` matches several.
    fn matching(&self, pattern: &str) -> Vec<usize> {
        let matches = |name: &str| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        };
        self.snapshot().pending().filter(|(_, pod)| matches(&pod.key.name)).map(|(pod, _)| pod).collect()
    }

    fn all_matching<'a>(&'a self, patterns: &'a [String]) -> impl Iterator<Item = usize> + 'a {
        patterns.iter().flat_map(|pattern| {
            let pods = self.matching(pattern);
            assert!(!pods.is_empty(), "no pending pod is called {pattern}");
            pods
        })
    }

    fn target(&self, pod: usize) -> Option<Target> {
        self.decision.plan.assignments.iter().find(|assignment| assignment.pod == pod).map(|found| found.target)
    }

    /// The value of a label on the node that a target becomes; the values that are left open, joined.
    fn domain(&self, target: Target, key: &str) -> String {
        match target {
            Target::Existing(node) => {
                let node = &self.snapshot().nodes[node];
                node.label(key).unwrap_or(&node.name).to_owned()
            }
            Target::Launch(launch) => {
                let launch = &self.decision.plan.launches[launch];
                let zones: BTreeSet<&str> = launch.offers.iter().map(|offer| offer.zone.as_ref()).collect();
                match key {
                    "kubernetes.io/hostname" => launch.name.to_string(),
                    "topology.kubernetes.io/zone" => zones.into_iter().collect::<Vec<_>>().join(" or "),
                    "karpenter.sh/capacity-type" => launch.capacity_type.to_string(),
                    _ => {
                        let values: BTreeSet<_> = self.types(launch).map(|t| launch_label(launch, t, key)).collect();
                        values.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(" or ")
                    }
                }
            }
        }
    }

    /// The plan on one line a launch.
    pub fn summary(&self) -> String {
        let plan = &self.decision.plan;
        let mut text = String::new();
        for (index, launch) in plan.launches.iter().enumerate() {
            let pods: Vec<&str> = plan
                .assignments
                .iter()
                .filter(|a| a.target == Target::Launch(index))
                .map(|a| self.snapshot().pods[a.pod].key.name.as_ref())
                .collect();
            let offers: Vec<String> = launch.offers.iter().map(|o| format!("{}/{}", o.instance_type, o.zone)).collect();
            let _ = write!(text, "\n    {} {} {}: {pods:?}", launch.name, launch.capacity_type, offers.join(" "));
        }
        for assignment in &plan.assignments {
            if let Target::Existing(node) = assignment.target {
                let pod = &self.snapshot().pods[assignment.pod].key.name;
                let _ = write!(text, "\n    {pod} on {}", self.snapshot().nodes[node].name);
            }
        }
        for left in &plan.unplaced {
            let _ = write!(text, "\n    {} left: {}", self.snapshot().pods[left.pod].key.name, left.reason);
        }
        text
    }
}

/// A label of the node that a launch becomes when it is of a type.
fn launch_label(launch: &Launch, kind: &InstanceType, key: &str) -> Option<String> {
    let of_launch = launch.labels.get(key).map(ToString::to_string);
    of_launch.or_else(|| Some(kind.requirements.get(key)?.single_value()?.to_string()))
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }

    fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: &T, expected: &T) {
        self.check(found == expected, || format!("{what}: expected {expected:?}, found {found:?}"));
    }

    fn equal_if<T: PartialEq + Debug>(&mut self, what: &str, found: &T, expected: Option<&T>) {
        if let Some(expected) = expected {
            self.equal(what, found, expected);
        }
    }

    /// Prices of the catalogue have at most six decimals.
    fn price(&mut self, what: &str, found: f64, expected: f64) {
        self.check((found - expected).abs() < 5e-7, || format!("{what}: expected ${expected}, found ${found}"));
    }
}
