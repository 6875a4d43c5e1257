//! The host of the controller: what its processes see, late and with gaps, and what becomes of what they ask for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::api::{Change, Refusal, text};
use super::chance::{Draw, Purpose};
use super::queue::after;
use super::{Happening, Planted, Seen, Simulation};
use crate::api::labels;
use crate::cloud::{Answer, Launch, LaunchError, Request};
use crate::consolidation::{Found, consolidate_as_reference, consolidate_now};
use crate::controller::{Action, Event, Outcome, Step, Subject, Verb, Write};
use crate::disruption::Method;
use crate::host::{Limits, Search, decide_from};
use crate::observe::objects::KINDS;
use crate::observe::{Origin, RawObject};

/// The reference looks at a command once more after so long, before it is carried out.
const VALIDATION: Duration = Duration::from_secs(15);

impl Simulation<'_> {
    /// Nothing of a kind is seen until it is listed again.
    pub(super) fn drop_watch(&mut self, life: u64, kind: &'static str, span: Duration) {
        let until = after(self.now, span);
        let Some(process) = self.process(life) else { return };
        let watch = process.watches.entry(kind).or_default();
        watch.number += 1;
        let until = watch.blind.map_or(until, |known| known.max(until));
        watch.blind = Some(until);
        self.queue.put(until, Happening::Listed(life, kind));
    }

    /// Tells the watches of all processes of a change.
    pub(super) fn show(&mut self, change: &Change) {
        let Some(kind) = KINDS.iter().find(|kind| kind.name == change.subject.kind).map(|kind| kind.name) else {
            return;
        };
        let longest = self.faults().watch_lag;
        let Self { processes, chance, queue, now, .. } = self;
        for process in processes {
            let watch = process.watches.entry(kind).or_default();
            if watch.blind.is_some_and(|until| until >= *now) {
                continue;
            }
            let lag = match longest {
                Some(longest) => chance.draw(Purpose::Watches).span(longest / 4).min(longest),
                None => Duration::from_millis(5),
            };
            let at = after(*now, lag).max(watch.told.unwrap_or(Timestamp::MIN));
            watch.told = Some(at);
            let seen = Seen { kind, change: change.clone(), watch: watch.number };
            queue.put(at, Happening::Seen(process.life, Box::new(seen)));
        }
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
        let known = self.process(life).and_then(|process| process.watches.get(kind));
        if known.is_some_and(|known| known.number == watch) {
            self.hear(life, event);
        }
    }

    pub(super) fn list(&mut self, life: u64, kind: &'static str) {
        let now = self.now;
        let Some(watch) = self.process(life).and_then(|process| process.watches.get_mut(kind)) else { return };
        if watch.blind.is_some_and(|until| until > now) {
            return; // it was dropped again
        }
        watch.blind = None;
        let objects = self.api.all(kind).map(|(_, object)| raw(object)).collect();
        self.hear(life, Event::Listed { kind, objects });
    }

    pub(super) fn hear(&mut self, life: u64, event: Event) {
        let now = self.now;
        let Some(process) = self.process(life) else { return };
        let started = std::time::Instant::now();
        let step = process.controller.observe(event, now);
        self.report.observing += started.elapsed();
        self.carry_out(life, step);
        self.plan_step(life, after(now, self.scenario.spec.machines.pause));
    }

    pub(super) fn plan_step(&mut self, life: u64, at: Timestamp) {
        let Some(process) = self.process(life).filter(|process| process.leads) else { return };
        if process.step_at.is_none_or(|known| at < known) {
            process.step_at = Some(at);
            self.queue.put(at, Happening::Step(life));
        }
    }

    pub(super) fn step(&mut self, life: u64) {
        let now = self.now;
        let Some(process) = self.process(life).filter(|process| process.step_at == Some(now)) else {
            return; // an earlier one has come
        };
        process.step_at = None;
        if !process.leads {
            return;
        }
        let started = std::time::Instant::now();
        let step = process.controller.step(now);
        self.report.stepping += started.elapsed();
        self.report.steps += 1;
        if let Some(next) = step.next {
            // what cannot be done now is not tried again at once
            self.plan_step(life, next.max(after(now, Duration::from_millis(1))));
        }
        self.carry_out(life, step);
    }

    fn carry_out(&mut self, life: u64, step: Step) {
        for said in &step.said {
            self.report.note(said);
            if self.options.log {
                eprintln!("{} {life} {said}", self.now);
            }
        }
        if !self.process(life).is_some_and(|process| process.leads) {
            return;
        }
        for action in step.actions {
            let answer = self.scenario.spec.machines.answer;
            let at = after(self.now, answer / 2 + self.chance.draw(Purpose::Answers).span(answer / 2));
            match action {
                Action::Write(write) => self.queue.put(at, Happening::Arrives(life, Box::new(write))),
                Action::Cloud(request) => self.queue.put(at, Happening::Asked(life, Box::new(request))),
                Action::Look { node } => self.queue.put(at, Happening::Looked(life, node)),
                Action::Decide { .. } if self.is_planted(Planted::Undecided) => {}
                Action::Consolidate { question, snapshot, policy } => {
                    let started = std::time::Instant::now();
                    let limits = self.options.limits;
                    let (found, wait) = match limits.search {
                        Search::Integer => (consolidate_now(&snapshot, &policy, limits, question), Duration::ZERO),
                        Search::Greedy => {
                            let found = consolidate_as_reference(&snapshot, &policy, limits, question);
                            let is_optional = found.commands.iter().any(|of| of.method == Method::Underutilized);
                            (found, if is_optional { VALIDATION } else { Duration::ZERO })
                        }
                    };
                    self.report.deciding += started.elapsed();
                    let at = after(self.now, self.scenario.spec.machines.decision + wait);
                    let event = Event::Consolidated { question, found: Some(Found::of(found)) };
                    self.queue.put(at, Happening::Heard(life, Box::new(event)));
                }
                Action::Decide { question, snapshot, carried, search } => {
                    self.note_question(life);
                    let started = std::time::Instant::now();
                    let limits = match search {
                        Search::Greedy => Limits { search, ..self.options.limits },
                        Search::Integer => self.options.limits,
                    };
                    let decision = decide_from(&snapshot, carried, limits);
                    self.report.deciding += started.elapsed();
                    self.report.decisions += 1;
                    let at = after(self.now, self.scenario.spec.machines.decision);
                    let event = Event::Decided { question, decision: Some(Box::new(decision)) };
                    self.queue.put(at, Happening::Heard(life, Box::new(event)));
                }
            }
        }
    }

    /// Whether something of a process that is gone was not sent before it ended.
    fn was_not_sent(&mut self, life: u64, draw: &mut Draw) -> bool {
        let is_gone = self.process(life).is_none();
        is_gone && draw.happens(0.5)
    }

    /// A write arrives at the API server.
    pub(super) fn arrive(&mut self, life: u64, write: &Write) {
        let mut draw = self.chance.draw(Purpose::Writes);
        if self.was_not_sent(life, &mut draw) {
            return;
        }
        self.report.writes += 1;
        let faults = self.faults();
        let conflicts = draw.happens(faults.conflicts);
        let (failed, refused) = (draw.happens(faults.failed_writes), draw.happens(faults.refused_writes));
        let lost = draw.happens(faults.lost_answers);
        if conflicts {
            self.meddle(&write.subject);
        }
        if failed {
            return self.answer(life, write, Outcome::Failed("the server is not reachable".to_owned()));
        }
        if refused {
            return self.answer(life, write, Outcome::Refused("an admission webhook denied it".to_owned()));
        }
        let outcome = match self.write(life, write) {
            Ok(object) => Outcome::Done(object.map(|object| raw(&object))),
            Err(Refusal::Outdated) => Outcome::Outdated,
            Err(Refusal::Budget(reason)) => Outcome::Delayed(reason),
        };
        if lost {
            return self.answer(life, write, Outcome::Failed("no answer".to_owned()));
        }
        self.answer(life, write, outcome);
    }

    fn answer(&mut self, life: u64, write: &Write, outcome: Outcome) {
        let at = after(self.now, self.scenario.spec.machines.answer / 2);
        let event = Event::Written { subject: write.subject.clone(), outcome };
        self.queue.put(at, Happening::Heard(life, Box::new(event)));
    }

    /// Carries out a write of the controller.
    pub(super) fn write(&mut self, life: u64, write: &Write) -> Result<Option<Arc<Value>>, Refusal> {
        let Write { subject, verb } = write;
        let now = self.now;
        self.note_write(life, write);
        match verb {
            Verb::Create(object) => {
                let object = self.planted_claim(subject, object.clone());
                self.api.create(subject.kind, object, now).map(Some)
            }
            Verb::Patch(body) if self.is_planted(Planted::NeverFreed) && self.frees(subject, body) => {
                Ok(self.api.get(subject).cloned())
            }
            Verb::Patch(body) => self.api.patch(subject, body, false).map(Some),
            Verb::PatchStatus(body) => self.api.patch(subject, body, true).map(Some),
            Verb::Delete { uid, version, grace } => {
                self.api.expect_version(subject, version.as_deref())?;
                self.api.delete(subject, Some(uid), *grace, now)
            }
            Verb::Evict { uid } => self.evict(subject, uid),
        }
    }

    /// The controller lists the pods of a node.
    pub(super) fn look(&mut self, life: u64, node: Arc<str>) {
        let pods = if self.chance.draw(Purpose::Requests).happens(self.faults().failed_writes) {
            Err("the server is not reachable".to_owned())
        } else {
            Ok(self.api.pods_on(&node).map(|(_, pod)| raw(pod)).collect())
        };
        let at = after(self.now, self.scenario.spec.machines.answer / 2);
        self.queue.put(at, Happening::Heard(life, Box::new(Event::Looked { node, pods })));
    }

    /// A request arrives at the cloud.
    pub(super) fn ask(&mut self, life: u64, request: Request) {
        let mut draw = self.chance.draw(Purpose::Requests);
        if self.was_not_sent(life, &mut draw) {
            return;
        }
        let mut delay = self.scenario.spec.machines.answer / 2;
        let answer = match request {
            Request::Terminate { provider_id, .. } => {
                self.note_end(&provider_id);
                if self.is_planted(Planted::Unended) {
                    Answer::Terminated { provider_id, result: Ok(true) }
                } else {
                    self.report.ends +=
                        u64::from(self.cloud.get(&provider_id).is_some_and(super::cloud::Running::runs));
                    self.cloud.terminate(&provider_id, self.now)
                }
            }
            Request::List => self.cloud.list(),
            Request::Launch(launch) => {
                if draw.happens(self.faults().slow_launches) {
                    delay = draw.span(Duration::from_secs(30)).min(Duration::from_secs(120));
                }
                self.launch(life, &launch, &mut draw)
            }
        };
        self.queue.put(after(self.now, delay), Happening::Heard(life, Box::new(Event::Cloud(answer))));
    }

    fn launch(&mut self, life: u64, launch: &Launch, draw: &mut Draw) -> Answer {
        let failed = |reason: &str| Answer::Launched {
            claim: launch.uid.clone(),
            result: Err(LaunchError::Other(reason.to_owned())),
        };
        let claim = self.api.get(&Subject::of_cluster("NodeClaim", &launch.claim)).cloned();
        // the claim is in the request: there is no instance for one that was never there
        let Some(claim) = claim.filter(|claim| claim["metadata"]["uid"] == *launch.uid) else {
            return failed("the claim is gone");
        };
        let faults = self.faults();
        let (fails, is_lost) = (draw.happens(faults.failed_launches), draw.happens(faults.lost_launches));
        if fails {
            return failed("internal error");
        }
        let is_late = !self.acts(life) && super::api::is_deleting(&claim);
        let (answer, started) = self.cloud.launch(launch, claim, self.now);
        if let Some(id) = started {
            if let Some(running) = self.cloud.get_mut(&id) {
                running.is_late = is_late;
            }
            self.boot(&id);
        }
        if is_lost { failed("no answer") } else { answer }
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
        let mut draw = self.chance.draw(Purpose::Instances);
        let boot = self.scenario.spec.machines.boot;
        let span = boot / 2 + draw.span(boot / 2);
        let faults = self.faults();
        let (never, less) = (draw.happens(faults.never_registers), draw.happens(faults.less_allocatable));
        let missing = i64::try_from(draw.between(1, 20)).unwrap_or(0);
        if let Some(running) = self.cloud.get_mut(id).filter(|_| less) {
            running.missing = missing;
        }
        if !never {
            self.queue.put(after(self.now, span), Happening::Registers(id.clone()));
        }
    }
}

pub(super) fn raw(object: &Value) -> RawObject {
    RawObject { origin: Origin::default(), value: object.clone() }
}
