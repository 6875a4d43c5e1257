//! A simulated cluster around the controller: the other host of the same state machine, with time that costs nothing.
//!
//! ```text
//! Scenario --Simulation--> API server, kube-scheduler, kubelets, cloud <--writes, requests-- Controller
//!                               \--watches, answers, with lag and losses--> /
//! ```
//! | file | what |
//! |---|---|
//! | `scenario`, `trace` | what is simulated, and what goes wrong |
//! | `queue`, `chance` | what is to happen, by time, and what chance decides of it |
//! | `api`, `index` | objects, versions, finalizers, and how they are found |
//! | `mirror` | pods and nodes as kube-scheduler sees them |
//! | `machines`, `contact` | kubelets: instances become nodes, pods start and end; those that cannot be reached |
//! | `workloads` | Deployments, DaemonSets and Jobs |
//! | `cloud`, `prices`, `interruptions` | instances, what they cost, and that they are taken back |
//! | `process`, `hosting` | which process of the controller acts, what it sees, and what becomes of what it asks for |
//! | `faults` | what goes wrong, when |
//! | `evictions` | as disruption budgets allow them |
//! | `invariants` | what must hold while it runs |
//! | `settled`, `places` | what must hold when everything has come to rest |
//! | `report`, `plot`, `bound`, `alerts` | what came of it |
//! | `shrink` | which faults a failure needs |

mod alerts;
mod api;
mod bound;
mod chance;
mod cloud;
mod contact;
mod evictions;
mod faults;
mod hosting;
mod index;
mod interruptions;
mod invariants;
mod machines;
mod mirror;
mod places;
mod plot;
mod prices;
mod process;
mod queue;
mod report;
pub mod scenario;
mod settled;
mod shrink;
mod trace;
mod workloads;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use alerts::{Alerts, EXPENSIVE, Fired, MANY_NODES};
pub use invariants::{Broken, Planted};
pub use plot::plot;
pub use report::{BoundAt, Report, Sample};
pub use scenario::Scenario;
pub use shrink::shrink;

use crate::catalog::Catalog;
use crate::cloud::Request;
use crate::controller::{ControllerSettings, Event, Subject, Write};
use crate::host::Limits;
use crate::observe::COPIED_FROM_NODES;
use crate::units::MicroUsd;
use api::{Api, Change};
use chance::{Chance, Draw, Purpose};
use cloud::Cloud;
use faults::Fault;
use index::By;
use interruptions::Interruption;
use invariants::Invariants;
use mirror::Mirror;
use process::Process;
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
    /// Whether standard error gets what the controller says, with the time and the number of its process.
    pub log: bool,
}

/// Something that is to happen. The number is that of the process that it concerns.
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
    InReach(Arc<str>),
    Told(Arc<str>),
    Ends(Arc<str>),
    Unblocked(Subject),
    Changed(usize),
    Scale(usize, u64),
    Daily(usize),
    Comes(usize, Draw),
    Arrival(Subject, u64),
    Prices(u64),
    Fault(Fault, Draw),
    TakesOver(u64),
    Resumes(u64),
    Deposed(u64),
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
    chance: Chance,
    /// What can be bought now, and for how much.
    catalog: Catalog,
    queue: Queue<Happening>,
    api: Api,
    mirror: Mirror,
    cloud: Cloud,
    workloads: Workloads,
    /// The process that acts, and the one that waits for its Lease, if there is one.
    processes: Vec<Process>,
    /// Which one holds the Lease, and how many there have been.
    acting: u64,
    lives: u64,
    /// Instances that are about to be taken back, and kubelets that cannot be reached.
    interrupted: BTreeMap<Arc<str>, Interruption>,
    out_of_reach: BTreeSet<Arc<str>>,
    /// Disruption budgets that let nobody go, and how they were before.
    blocked: BTreeMap<Subject, serde_json::Value>,
    no_faults: scenario::Faults,
    is_scheduling: bool,
    /// Nothing goes wrong any more, and nothing new comes.
    is_settling: bool,
    meddled: u64,
    invariants: Invariants,
    report: Report,
}

/// How long everything has to come to rest.
const SETTLES: Duration = Duration::from_secs(45 * 60);

/// Then it has to be at rest in one of so many minutes.
const LATER: u32 = 15;

/// Simulates a scenario, tells `progress` how far it is (of 1), and says what came of it.
#[must_use]
pub fn simulate(scenario: &Scenario, options: &Options, progress: &mut dyn FnMut(f64)) -> Report {
    let started = std::time::Instant::now();
    let mut simulation = Simulation::new(scenario, options);
    simulation.begin();
    let (start, end) = (simulation.now, after(simulation.now, scenario.spec.time));
    let whole = end.duration_since(start).as_secs_f64().max(1.0);
    simulation.run_until(end, &mut |now| progress(now.duration_since(start).as_secs_f64() / whole));
    simulation.note_sample();
    simulation.report.end(end, MicroUsd(simulation.cloud.spent(end)));
    if simulation.report.broken.is_none() {
        simulation.come_to_rest();
        let rest = after(end, SETTLES);
        // what still runs may end just now, and its node with it
        for minute in 0..=LATER {
            simulation.run_until(after(rest, minute * SAMPLES), &mut |_| {});
            if simulation.report.broken.is_some() {
                break;
            }
            let unsettled = simulation.unsettled();
            if unsettled.is_none() || minute == LATER {
                simulation.report.broken = unsettled;
                break;
            }
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
            chance: Chance::new(options.seed),
            catalog: options.catalog.clone(),
            queue: Queue::default(),
            api: Api::default(),
            mirror: Mirror::default(),
            cloud: Cloud::default(),
            workloads: Workloads::default(),
            processes: Vec::new(),
            acting: 0,
            lives: 0,
            interrupted: BTreeMap::new(),
            out_of_reach: BTreeSet::new(),
            blocked: BTreeMap::new(),
            no_faults: scenario::Faults::default(),
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
        self.start_leader(Duration::ZERO);
        self.begin_workloads();
        self.begin_changes();
        self.begin_faults();
        self.begin_prices();
        self.queue.put(self.now, Happening::Sample);
        if self.options.planted.is_some() {
            let half = after(self.now, self.scenario.spec.time / 2);
            self.queue.put(half, Happening::Planted);
        }
    }

    /// Plans what a person changes.
    fn begin_changes(&mut self) {
        for (index, change) in self.scenario.spec.changes.iter().enumerate() {
            self.queue.put(after(self.now, change.at), Happening::Changed(index));
        }
    }

    fn change_manifest(&mut self, index: usize) {
        let scenario = self.scenario;
        let change = &scenario.spec.changes[index];
        if let Some((subject, _)) = scenario.changed(change) {
            drop(self.api.patch(&subject, &change.patch, false)); // it may be gone by now
        }
    }

    /// Nothing goes wrong any more, and nothing new comes.
    fn come_to_rest(&mut self) {
        self.is_settling = true;
        self.cloud.end_scarcity();
        for budget in self.blocked.keys().cloned().collect::<Vec<_>>() {
            self.unblock_budget(&budget);
        }
        self.spread_word();
    }

    fn run_until(&mut self, end: Timestamp, progress: &mut dyn FnMut(Timestamp)) {
        while let Some((at, what)) = self.queue.take_before(end) {
            self.report.pending +=
                self.mirror.waiting as u128 * u128::try_from(at.duration_since(self.now).as_nanos()).unwrap_or(0);
            self.now = at;
            if matches!(what, Happening::Sample) {
                progress(at);
            }
            self.happen(what);
            self.spread_word();
            if !self.is_settling {
                self.report.see(self.mirror.nodes, self.mirror.waiting);
            }
            if let Some(broken) = self.broken() {
                self.report.broken = Some(broken);
                return;
            }
        }
        self.now = end;
    }

    fn happen(&mut self, what: Happening) {
        let Some(what) = self.hold(what) else { return };
        self.begin_change();
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
            Happening::InReach(id) => self.regain_contact(&id),
            Happening::Told(id) => self.tell(&id),
            Happening::Ends(id) => self.take_back(&id),
            Happening::Unblocked(budget) => self.unblock_budget(&budget),
            Happening::TakesOver(life) => self.take_over(life),
            Happening::Resumes(life) => self.resume(life),
            Happening::Deposed(life) => self.depose(life),
            Happening::Prices(number) => self.change_prices(number),
            Happening::Changed(_)
            | Happening::Scale(..)
            | Happening::Daily(_)
            | Happening::Comes(..)
            | Happening::Arrival(..)
                if self.is_settling => {}
            Happening::Changed(index) => self.change_manifest(index),
            Happening::Scale(index, replicas) => self.scale(index, replicas),
            Happening::Daily(index) => self.scale_daily(index),
            Happening::Comes(index, draw) => self.come(index, draw),
            Happening::Arrival(job, runs) => self.make_job_pod(&job, runs),
            Happening::Fault(fault, draw) => self.go_wrong(fault, draw),
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
                self.show(&change);
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
        let owner = By::Owner(api::text(before, "/metadata/uid").into());
        let owned: Vec<Subject> = self.api.find(&owner).map(|(subject, _)| subject.clone()).collect();
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
        let mut ties = self.chance.draw(Purpose::Ties);
        for (_, key) in waiting {
            let Some(pod) = self.mirror.unbound.get(&key) else { continue };
            let candidate = pod.candidate();
            let class = (pod.template.clone(), pod.tolerations.clone(), pod.subject.key.namespace.clone());
            let changes = self.mirror.changes;
            let is_hopeless = hopeless.contains(&class);
            let node = if is_hopeless && pod.nominated.is_none() {
                None
            } else {
                self.mirror.cluster.place(&candidate, &mut || ties.next())
            };
            if node.is_none() && !is_hopeless {
                hopeless.push(class);
            }
            let (subject, is_marked) = (pod.subject.clone(), pod.is_marked);
            let body = match &node {
                Some(node) => self.binding(node),
                None if is_marked => {
                    if let Some(pod) = self.mirror.unbound.get_mut(&key) {
                        pod.tried_at = Some(changes);
                    }
                    continue;
                }
                None => {
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
                self.show(&change);
            }
        }
    }

    /// What binding makes of a pod: the API server copies labels of the node.
    fn binding(&self, node: &str) -> serde_json::Value {
        let object = self.api.get(&Subject::of_cluster("Node", node));
        let labels = object.and_then(|object| object["metadata"]["labels"].as_object());
        let copied = labels.into_iter().flatten().filter(|(key, _)| COPIED_FROM_NODES.contains(&key.as_str()));
        let copied: serde_json::Map<_, _> = copied.map(|(key, value)| (key.clone(), value.clone())).collect();
        serde_json::json!({"metadata": {"labels": copied}, "spec": {"nodeName": node}})
    }

    fn note_sample(&mut self) {
        let usd_hour = MicroUsd(self.cloud.rate());
        self.report.sample(self.now, self.mirror.nodes, self.mirror.waiting, usd_hour);
    }

    fn sample(&mut self) {
        if !self.is_settling {
            self.note_sample();
        }
        self.queue.put(after(self.now, SAMPLES), Happening::Sample);
        self.check_state();
        self.state_budgets();
        self.note_bound();
    }
}
