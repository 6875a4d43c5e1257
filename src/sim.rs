//! A simulated cluster around the controller: the other host of the same state machine, with time that costs nothing.
//!
//! ```text
//! Scenario --Simulation--> API server, kube-scheduler, kubelets, cloud <--writes, requests-- Controller
//!                               \--watches, answers, with lag and losses--> /
//! ```
//! | file | what |
//! |---|---|
//! | `scenario` | what is simulated, and what goes wrong |
//! | `queue` | what is to happen, by time |
//! | `api` | objects, versions, finalizers |
//! | `mirror` | pods and nodes as kube-scheduler sees them |
//! | `machines` | kubelets: instances become nodes, pods start and end |
//! | `workloads` | Deployments, DaemonSets and Jobs |
//! | `cloud` | instances and what they cost |
//! | `hosting` | what the controller sees, and what becomes of what it asks for |
//! | `faults` | what goes wrong, when |
//! | `evictions` | as disruption budgets allow them |
//! | `invariants`, `settled` | what must hold after every step, and when everything has come to rest |
//! | `report`, `plot` | what came of it |
//! | `shrink` | which faults a failure needs |

mod api;
mod bound;
mod cloud;
mod evictions;
mod faults;
mod hosting;
mod invariants;
mod machines;
mod mirror;
mod plot;
mod queue;
mod report;
pub mod scenario;
mod settled;
mod shrink;
mod workloads;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use invariants::{Broken, Planted};
pub use plot::plot;
pub use report::{Report, Sample};
pub use scenario::Scenario;
pub use shrink::shrink;

use crate::catalog::Catalog;
use crate::cloud::Request;
use crate::controller::{Controller, ControllerSettings, Event, Subject, Write};
use crate::host::Limits;
use crate::random::SplitMix64;
use api::{Api, Change};
use cloud::Cloud;
use faults::Fault;
use invariants::Invariants;
use mirror::Mirror;
use queue::{Queue, after};
use workloads::Workloads;

/// How a scenario is simulated.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the controller.
    pub settings: ControllerSettings,
    /// What can be bought.
    pub catalog: Catalog,
    /// Of every decision; by work, or the simulation is not the same every time.
    pub limits: Limits,
    /// Where chance begins.
    pub seed: u64,
    /// A fault of the controller that is to be found.
    pub planted: Option<Planted>,
    /// Whether it is asked what everything would cost at least.
    pub with_bound: bool,
}

/// Something that is to happen. The number is the life of the controller that it concerns.
#[derive(Debug)]
enum Happening {
    Seen(u64, Box<Seen>),
    Listed(u64, &'static str),
    Heard(u64, Box<Event>),
    Step(u64),
    Arrives(u64, Box<Write>),
    Asked(u64, Box<Request>),
    Looked(u64, Arc<str>),
    Schedule,
    Control,
    Registers(Arc<str>),
    Ready(Subject),
    Started(Subject),
    Starts(Subject, Arc<str>),
    Stops(Subject, Arc<str>),
    Succeeds(Subject, Arc<str>),
    Collected(Subject, Arc<str>),
    Again(Arc<serde_json::Value>),
    Orphaned(Arc<str>),
    Silent(Arc<str>),
    Missed(Arc<str>),
    Ends(Arc<str>),
    Scale(usize, u64),
    Daily(usize),
    Comes(usize),
    Fault(Fault),
    Planted,
    Sample,
}

/// What a watch says of a change.
#[derive(Debug)]
struct Seen {
    kind: &'static str,
    change: Change,
    /// Which watch: what one that was dropped had still to say does not come.
    watch: u64,
}

/// A pod that waits, the most important first, then the oldest.
type Waiting = (std::cmp::Reverse<i32>, (Timestamp, Arc<str>));

/// How often the state of things is noted.
const SAMPLES: Duration = Duration::from_secs(60);

/// A scenario under way.
struct Simulation<'s> {
    scenario: &'s Scenario,
    options: &'s Options,
    now: Timestamp,
    random: SplitMix64,
    queue: Queue<Happening>,
    api: Api,
    mirror: Mirror,
    cloud: Cloud,
    workloads: Workloads,
    controller: Controller,
    /// Which controller acts.
    life: u64,
    /// When the next step is due.
    step_at: Option<Timestamp>,
    /// Kinds whose watch is not there, until the time; and when each watch has said its last.
    blind: BTreeMap<&'static str, Timestamp>,
    told: BTreeMap<&'static str, Timestamp>,
    /// How often each watch was dropped.
    watches: BTreeMap<&'static str, u64>,
    is_scheduling: bool,
    /// Nothing goes wrong any more, and nothing new comes.
    is_settling: bool,
    meddled: u64,
    invariants: Invariants,
    report: Report,
}

/// How long everything has to come to rest.
const SETTLES: Duration = Duration::from_secs(45 * 60);

/// Simulates a scenario, tells `progress` how far it is (of 1), and says what came of it.
#[must_use]
pub fn simulate(scenario: &Scenario, options: &Options, progress: &mut dyn FnMut(f64)) -> Report {
    let started = std::time::Instant::now();
    let mut simulation = Simulation::new(scenario, options);
    simulation.begin();
    let (start, end) = (simulation.now, after(simulation.now, scenario.spec.time));
    let whole = end.duration_since(start).as_secs_f64().max(1.0);
    simulation.run_until(end, &mut |now| progress(now.duration_since(start).as_secs_f64() / whole));
    simulation.report.end(end, simulation.cloud.spent(end));
    if simulation.report.broken.is_none() {
        simulation.is_settling = true;
        simulation.cloud.end_scarcity();
        let rest = after(end, SETTLES);
        simulation.run_until(rest, &mut |_| {});
        if simulation.report.broken.is_none() {
            simulation.report.broken = simulation.unsettled();
        }
    }
    let mut report = simulation.report;
    report.wall = started.elapsed();
    report
}

impl<'s> Simulation<'s> {
    fn new(scenario: &'s Scenario, options: &'s Options) -> Self {
        Self {
            scenario,
            options,
            now: scenario.spec.start,
            random: SplitMix64(options.seed),
            queue: Queue::default(),
            api: Api::default(),
            mirror: Mirror::default(),
            cloud: Cloud::default(),
            workloads: Workloads::default(),
            controller: Controller::new(options.settings.clone(), options.catalog.clone()),
            life: 0,
            step_at: None,
            blind: BTreeMap::new(),
            told: BTreeMap::new(),
            watches: BTreeMap::new(),
            is_scheduling: false,
            is_settling: false,
            meddled: 0,
            invariants: Invariants::default(),
            report: Report::new(options.seed, scenario.spec.start),
        }
    }

    fn begin(&mut self) {
        for (kind, object) in &self.scenario.manifests {
            let now = self.now;
            drop(self.api.create(kind, object.value.clone(), now));
        }
        self.spread_word();
        self.start_controller(Duration::ZERO);
        self.begin_workloads();
        self.begin_faults();
        self.queue.put(self.now, Happening::Sample);
        if self.options.planted.is_some() {
            let half = after(self.now, self.scenario.spec.time / 2);
            self.queue.put(half, Happening::Planted);
        }
    }

    fn run_until(&mut self, end: Timestamp, progress: &mut dyn FnMut(Timestamp)) {
        while let Some((at, what)) = self.queue.take_before(end) {
            self.now = at;
            if matches!(what, Happening::Sample) {
                progress(at);
            }
            self.happen(what);
            self.spread_word();
            if let Some(broken) = self.broken() {
                self.report.broken = Some(broken);
                return;
            }
        }
        self.now = end;
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Seen(life, seen) => self.see(life, *seen),
            Happening::Listed(life, kind) => self.list(life, kind),
            Happening::Heard(life, event) => self.hear(life, *event),
            Happening::Step(life) => self.step(life),
            Happening::Arrives(life, write) => self.arrive(life, &write),
            Happening::Asked(life, request) => self.ask(life, *request),
            Happening::Looked(life, node) => self.look(life, node),
            Happening::Schedule => self.schedule(),
            Happening::Control => self.control_workloads(),
            Happening::Registers(id) => self.register(&id),
            Happening::Ready(node) => self.become_ready(&node),
            Happening::Started(node) => self.end_startup(&node),
            Happening::Starts(pod, uid) => self.start_pod(&pod, &uid),
            Happening::Stops(pod, uid) => self.stop_pod(&pod, &uid),
            Happening::Succeeds(pod, uid) => self.succeed(&pod, &uid),
            Happening::Collected(pod, uid) => self.collect(&pod, &uid),
            Happening::Again(pod) => self.come_again(&pod),
            Happening::Orphaned(node) => self.collect_pods(&node),
            Happening::Silent(id) => self.note_silence(&id),
            Happening::Missed(id) => self.miss(&id),
            Happening::Ends(id) => self.lose_instance(&id),
            Happening::Scale(..) | Happening::Daily(_) | Happening::Comes(_) if self.is_settling => {}
            Happening::Scale(index, replicas) => self.scale(index, replicas),
            Happening::Daily(index) => self.scale_daily(index),
            Happening::Comes(index) => self.come(index),
            Happening::Fault(fault) => self.go_wrong(fault),
            Happening::Planted => self.plant(),
            Happening::Sample => self.sample(),
        }
    }

    /// Tells everybody what has changed, until nobody changes anything any more.
    fn spread_word(&mut self) {
        loop {
            let changes = self.api.take_changes();
            if changes.is_empty() {
                return;
            }
            for change in changes {
                self.mirror.note(&change, &self.api);
                self.note_machines(&change);
                self.note_workloads(&change);
                self.note_owner(&change);
                self.note_invariants(&change);
                self.wake_scheduler(&change);
                self.show(change);
            }
        }
    }

    /// Objects whose owner is gone go.
    fn note_owner(&mut self, change: &Change) {
        let owners = ["NodeClaim", "NodePool", "Deployment", "ReplicaSet", "DaemonSet"];
        let (Some(before), None) = (&change.before, &change.after) else { return };
        if !owners.contains(&change.subject.kind) {
            return;
        }
        let uid = &before["metadata"]["uid"];
        let mut owned = Vec::new();
        for kind in ["Node", "NodeClaim", "ReplicaSet", "Pod"] {
            let is_owned = |object: &serde_json::Value| {
                object["metadata"]["ownerReferences"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|of| of["uid"] == *uid))
            };
            owned.extend(
                self.api
                    .all(kind)
                    .filter(|(_, object)| is_owned(object))
                    .map(|(_, object)| api::subject_of(kind, object)),
            );
        }
        let now = self.now;
        for subject in owned {
            drop(self.api.delete(&subject, None, None, now));
        }
    }

    fn wake_scheduler(&mut self, change: &Change) {
        if ["Pod", "Node"].contains(&change.subject.kind) && !self.is_scheduling && !self.mirror.unbound.is_empty() {
            self.is_scheduling = true;
            self.queue.put(after(self.now, Duration::from_millis(100)), Happening::Schedule);
        }
    }

    /// kube-scheduler looks at the pods that wait, the most important first, and binds those that fit.
    fn schedule(&mut self) {
        self.is_scheduling = false;
        let mut waiting: Vec<Waiting> = self
            .mirror
            .unbound
            .iter()
            .filter(|(_, pod)| !pod.is_gated && pod.tried_at != Some(self.mirror.changes))
            .map(|(key, pod)| (std::cmp::Reverse(pod.template.spec.priority), key.clone()))
            .collect();
        waiting.sort();
        let mut hopeless = Vec::new();
        for (_, key) in waiting {
            let Some(pod) = self.mirror.unbound.get(&key) else { continue };
            let candidate = pod.candidate();
            let class = (pod.template.clone(), pod.tolerations.clone(), pod.subject.key.namespace.clone());
            let changes = self.mirror.changes;
            let node = if pod.nominated.is_none() && hopeless.contains(&class) {
                None
            } else {
                self.mirror.cluster.place(&candidate, &mut || self.random.next())
            };
            let (subject, is_marked) = (pod.subject.clone(), pod.is_marked);
            let body = match &node {
                Some(node) => serde_json::json!({"spec": {"nodeName": node}}),
                None if is_marked => {
                    hopeless.push(class);
                    if let Some(pod) = self.mirror.unbound.get_mut(&key) {
                        pod.tried_at = Some(changes);
                    }
                    continue;
                }
                None => {
                    hopeless.push(class);
                    serde_json::json!({"status": {"conditions": [
                        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node fits"},
                    ]}})
                }
            };
            drop(self.api.patch(&subject, &body, node.is_none()));
            // later pods see that one more is bound
            for change in self.api.take_changes() {
                self.mirror.note(&change, &self.api);
                self.note_machines(&change);
                self.note_workloads(&change);
                self.note_invariants(&change);
                self.show(change);
            }
        }
    }

    fn sample(&mut self) {
        let pending = self.mirror.unbound.values().filter(|pod| !pod.is_gated).count();
        let nodes = self.api.all("Node").count();
        self.report.samples.push(Sample { at: self.now, nodes, pending, usd_hour: self.cloud.rate() });
        self.queue.put(after(self.now, SAMPLES), Happening::Sample);
        self.check_state();
        self.state_budgets();
        self.note_bound();
    }
}
