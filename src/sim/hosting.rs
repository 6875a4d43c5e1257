//! The host of the controller: what it sees, late and with gaps, and what becomes of what it asks for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::api::{Change, Refusal, text};
use super::queue::after;
use super::{Happening, Planted, Seen, Simulation};
use crate::api::labels;
use crate::cloud::{Answer, LaunchError, Request};
use crate::controller::{Action, Controller, Event, Outcome, Step, Subject, Verb, Write};
use crate::host::{Limits, Search, decide_from};
use crate::observe::objects::KINDS;
use crate::observe::{Origin, RawObject};

impl Simulation<'_> {
    /// A controller that knows nothing lists everything.
    pub(super) fn start_controller(&mut self, down: Duration) {
        for kind in KINDS {
            let span = self.random_span(Duration::from_millis(200)).min(Duration::from_secs(2));
            self.drop_watch(kind.name, down + span);
        }
    }

    /// Nothing of a kind is seen until it is listed again.
    pub(super) fn drop_watch(&mut self, kind: &'static str, span: Duration) {
        let until = after(self.now, span);
        *self.watches.entry(kind).or_default() += 1;
        let known = self.blind.get(kind).copied().unwrap_or(Timestamp::MIN);
        self.blind.insert(kind, until.max(known));
        self.queue.put(until.max(known), Happening::Listed(self.life, kind));
    }

    /// The process ends, and another one acts after a while: what was sent has arrived by then, or never does.
    pub(super) fn restart(&mut self, down: Duration) {
        self.report.restarts += 1;
        self.life += 1;
        self.controller = Controller::new(self.options.settings.clone(), self.options.catalog.clone());
        self.step_at = None;
        self.blind.clear();
        self.start_controller(down);
    }

    /// Tells the controller's watch of a change.
    pub(super) fn show(&mut self, change: Change) {
        let kind = change.subject.kind;
        if self.blind.get(kind).is_some_and(|until| *until >= self.now) || !KINDS.iter().any(|known| known.name == kind)
        {
            return;
        }
        let lag = match self.scenario.spec.faults.watch_lag.filter(|_| !self.is_settling) {
            Some(longest) => self.random_span(longest / 4).min(longest),
            None => Duration::from_millis(5),
        };
        let at = after(self.now, lag).max(self.told.get(kind).copied().unwrap_or(Timestamp::MIN));
        self.told.insert(kind, at);
        let watch = self.watches.get(kind).copied().unwrap_or(0);
        self.queue.put(at, Happening::Seen(self.life, Box::new(Seen { kind, change, watch })));
    }

    pub(super) fn see(&mut self, life: u64, seen: Seen) {
        let Seen { kind, change, watch } = seen;
        let event = match (change.after, change.before) {
            (Some(object), _) => Event::Seen { kind, object: raw(&object) },
            (None, Some(object)) => {
                Event::Gone { kind, key: change.subject.key, uid: text(&object, "/metadata/uid").into() }
            }
            (None, None) => return,
        };
        if self.watches.get(kind).copied().unwrap_or(0) == watch {
            self.hear(life, event);
        }
    }

    pub(super) fn list(&mut self, life: u64, kind: &'static str) {
        if self.blind.get(kind).is_some_and(|until| *until > self.now) || life != self.life {
            return; // it was dropped again
        }
        self.blind.remove(kind);
        let objects = self.api.all(kind).map(|(_, object)| raw(object)).collect();
        self.hear(life, Event::Listed { kind, objects });
    }

    pub(super) fn hear(&mut self, life: u64, event: Event) {
        if life != self.life {
            return;
        }
        let step = self.controller.observe(event, self.now);
        self.carry_out(step);
        self.plan_step(after(self.now, self.scenario.spec.machines.pause));
    }

    fn plan_step(&mut self, at: Timestamp) {
        if self.step_at.is_none_or(|known| at < known) {
            self.step_at = Some(at);
            self.queue.put(at, Happening::Step(self.life));
        }
    }

    pub(super) fn step(&mut self, life: u64) {
        if life != self.life || self.step_at != Some(self.now) {
            return; // an earlier one has come
        }
        self.step_at = None;
        self.report.steps += 1;
        let started = std::time::Instant::now();
        let step = self.controller.step(self.now);
        self.report.stepping += started.elapsed();
        if let Some(next) = step.next {
            // what cannot be done now is not tried again at once
            self.plan_step(next.max(after(self.now, Duration::from_millis(1))));
        }
        self.carry_out(step);
    }

    fn carry_out(&mut self, step: Step) {
        for said in &step.said {
            self.report.note(said);
            if std::env::var_os("PACKWRIGHT_SIMULATION_LOG").is_some() {
                eprintln!("{} {said}", self.now);
            }
        }
        for action in step.actions {
            let answer = self.scenario.spec.machines.answer;
            let at = after(self.now, answer / 2 + self.random_span(answer / 2));
            match action {
                Action::Write(write) => self.queue.put(at, Happening::Arrives(self.life, Box::new(write))),
                Action::Cloud(request) => self.queue.put(at, Happening::Asked(self.life, Box::new(request))),
                Action::Look { node } => self.queue.put(at, Happening::Looked(self.life, node)),
                Action::Decide { .. } if self.is_planted(Planted::Undecided) => {}
                Action::Decide { question, snapshot, carried, search } => {
                    let started = std::time::Instant::now();
                    let limits = match search {
                        Search::Greedy => Limits { search, ..self.options.limits },
                        Search::Integer => self.options.limits,
                    };
                    let decision = decide_from(&snapshot, carried, limits);
                    self.report.deciding += started.elapsed();
                    self.report.decisions += 1;
                    let at = after(self.now, self.scenario.spec.machines.decision);
                    let event = Event::Decided { question, decision: Box::new(decision) };
                    self.queue.put(at, Happening::Heard(self.life, Box::new(event)));
                }
            }
        }
    }

    /// A write arrives at the API server.
    pub(super) fn arrive(&mut self, life: u64, write: &Write) {
        if life != self.life && self.random.next().is_multiple_of(2) {
            return; // it was not sent before the process ended
        }
        self.report.writes += 1;
        let faults = &self.scenario.spec.faults;
        let (conflicts, failed, lost) = (faults.conflicts, faults.failed_writes, faults.lost_answers);
        if self.happens(conflicts) {
            self.meddle(&write.subject);
        }
        if self.happens(failed) {
            return self.answer(life, write, Outcome::Failed("the server is not reachable".to_owned()));
        }
        let outcome = match self.write(write) {
            Ok(object) => Outcome::Done(object.map(|object| raw(&object))),
            Err(Refusal::Outdated) => Outcome::Outdated,
            Err(Refusal::Budget(reason)) => Outcome::Delayed(reason),
        };
        if self.happens(lost) {
            return self.answer(life, write, Outcome::Failed("no answer".to_owned()));
        }
        self.answer(life, write, outcome);
    }

    fn answer(&mut self, life: u64, write: &Write, outcome: Outcome) {
        let at = after(self.now, self.scenario.spec.machines.answer / 2);
        let event = Event::Written { subject: write.subject.clone(), outcome };
        self.queue.put(at, Happening::Heard(life, Box::new(event)));
    }

    fn write(&mut self, write: &Write) -> Result<Option<Arc<Value>>, Refusal> {
        let Write { subject, verb } = write;
        let now = self.now;
        self.note_write(write);
        match verb {
            Verb::Create(object) => self.api.create(subject.kind, object.clone(), now).map(Some),
            Verb::Patch(body) if self.is_planted(Planted::NeverFreed) && self.frees(subject, body) => {
                Ok(self.api.get(subject).cloned())
            }
            Verb::Patch(body) => self.api.patch(subject, body, false).map(Some),
            Verb::PatchStatus(body) => self.api.patch(subject, body, true).map(Some),
            Verb::Delete { uid, grace } => self.api.delete(subject, Some(uid), *grace, now),
            Verb::Evict { uid } => self.evict(subject, uid),
        }
    }

    /// The controller lists the pods of a node.
    pub(super) fn look(&mut self, life: u64, node: Arc<str>) {
        let failed = self.scenario.spec.faults.failed_writes;
        let pods = if self.happens(failed) {
            Err("the server is not reachable".to_owned())
        } else {
            let here = self.api.all("Pod").filter(|(_, pod)| text(pod, "/spec/nodeName") == &*node);
            Ok(here.map(|(_, pod)| raw(pod)).collect())
        };
        let at = after(self.now, self.scenario.spec.machines.answer / 2);
        self.queue.put(at, Happening::Heard(life, Box::new(Event::Looked { node, pods })));
    }

    /// A request arrives at the cloud.
    pub(super) fn ask(&mut self, life: u64, request: Request) {
        if life != self.life && self.random.next().is_multiple_of(2) {
            return;
        }
        let faults = self.scenario.spec.faults.clone();
        let mut delay = self.scenario.spec.machines.answer / 2;
        let answer = match request {
            Request::Terminate { provider_id, .. } => {
                self.note_end(&provider_id);
                if self.is_planted(Planted::Unended) {
                    let answer = Answer::Terminated { provider_id, result: Ok(true) };
                    return self.queue.put(self.now, Happening::Heard(life, Box::new(Event::Cloud(answer))));
                }
                self.cloud.terminate(&provider_id, self.now)
            }
            Request::List => self.cloud.list(),
            Request::Launch(launch) => {
                if self.happens(faults.slow_launches) {
                    delay = self.random_span(Duration::from_secs(30)).min(Duration::from_secs(120));
                }
                let claim = self.api.get(&Subject::of_cluster("NodeClaim", &launch.claim)).cloned();
                let claim = claim.filter(|claim| claim["metadata"]["uid"] == *launch.uid);
                let failed = |reason: &str| Answer::Launched {
                    claim: launch.uid.clone(),
                    result: Err(LaunchError::Other(reason.to_owned())),
                };
                match claim {
                    // the claim is in the request: there is no instance for one that was never there
                    None => failed("the claim is gone"),
                    Some(_) if self.happens(faults.failed_launches) => failed("internal error"),
                    Some(claim) => {
                        let (answer, started) = self.cloud.launch(&launch, claim, self.now);
                        if let Some(id) = started {
                            self.boot(&id);
                        }
                        if self.happens(faults.lost_launches) { failed("no answer") } else { answer }
                    }
                }
            }
        };
        self.queue.put(after(self.now, delay), Happening::Heard(life, Box::new(Event::Cloud(answer))));
    }

    /// Whether a patch takes the reservation off a node.
    fn frees(&self, subject: &Subject, body: &Value) -> bool {
        let is_planned = |object: &Value| {
            let taints = object["spec"]["taints"].as_array();
            taints.map(|all| all.iter().any(|taint| taint["key"] == labels::PLANNED))
        };
        let before = self.api.get(subject).filter(|_| subject.kind == "Node");
        before.is_some_and(|node| is_planned(node) == Some(true)) && is_planned(body) == Some(false)
    }

    fn boot(&mut self, id: &Arc<str>) {
        self.report.launches += 1;
        let pool = self.cloud.get(id).map(|running| running.user_data["metadata"]["labels"][labels::NODEPOOL].clone());
        if let Some(pool) = pool.as_ref().and_then(Value::as_str) {
            self.check_limits(pool);
        }
        let faults = &self.scenario.spec.faults;
        let (never, less) = (faults.never_registers, faults.less_allocatable);
        if self.happens(less) {
            let missing = i64::try_from(self.random.between(1, 20)).unwrap_or(0);
            if let Some(running) = self.cloud.get_mut(id) {
                running.missing = missing;
            }
        }
        if !self.happens(never) {
            let boot = self.scenario.spec.machines.boot;
            let span = boot / 2 + self.random_span(boot / 2);
            self.queue.put(after(self.now, span), Happening::Registers(id.clone()));
        }
    }
}

fn raw(object: &Value) -> RawObject {
    RawObject { origin: Origin::default(), value: object.clone() }
}
