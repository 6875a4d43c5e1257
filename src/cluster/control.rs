//! The live host of the controller: watches, steps, does what the step asks, and tells it what became of that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;
use tracing::{error, warn};

use super::decisions::Recorder;
use super::events::{Seen, events, pods_of};
use super::lease::Stand;
use super::write::write;
use crate::aws::{Ec2, Told};
use crate::cloud::{Answer, Request, kwok};
use crate::consolidation::apart::consolidate_apart;
use crate::controller::{Action, Controller, Event, Outcome, Said, Step, World};
use crate::host::recorded::Question;
use crate::host::worker::{Worker, decide_apart_from};
use crate::host::{Limits, Search};

/// How a controller is hosted.
#[derive(Debug, Clone)]
pub struct Hosting {
    /// Of every decision.
    pub limits: Limits,
    /// The process that decides.
    pub worker: Worker,
    /// Where decisions are kept, if they are.
    pub recorder: Option<Recorder>,
    /// An answer of the API server is waited for so long.
    pub answer: Duration,
    /// Writes that are on their way at once.
    pub concurrent: usize,
    /// After steps that take long there is a pause of so many times as long as they took: the share of a core that steps take.
    pub rest: u32,
}

impl Hosting {
    /// Two seconds for a decision; answers are waited for half as long as admission webhooks may take; a twentieth of a core.
    #[must_use]
    pub fn usual(worker: Worker) -> Self {
        Self {
            limits: Limits::of_time(Duration::from_secs(2), Search::Integer),
            worker,
            recorder: None,
            answer: Duration::from_secs(5),
            concurrent: 64,
            rest: 20,
        }
    }
}

/// The cloud that is asked.
#[derive(Clone)]
pub enum Cloud {
    /// Nodes without machines: it answers at once.
    Kwok,
    /// It answers through what [`Outside`] hears.
    Ec2(Arc<Ec2>),
}

/// The cloud, and what is told besides watches and answers: prices, interruptions, answers of EC2. `None`: nobody tells anything.
pub struct Outside {
    pub cloud: Cloud,
    pub told: Option<UnboundedReceiver<Told>>,
}

impl Outside {
    /// Without an account.
    #[must_use]
    pub fn kwok() -> Self {
        Self { cloud: Cloud::Kwok, told: None }
    }
}

/// Changes that come within this time are looked at together.
const PAUSE: Duration = Duration::from_millis(5);

/// Hears what happens.
pub trait Listener {
    /// What the controller says, with what it knows.
    fn said(&mut self, said: &Said, world: &World);
    /// A kind cannot be watched for now, and why.
    fn blind(&mut self, reason: &str);
    /// Whether it acts now.
    fn stands(&mut self, stand: &Stand);
    /// A step was made.
    fn stepped(&mut self, world: &World, took: Duration);
}

/// Runs a controller until its watches end, which they do not do by themselves. While it does not lead it only observes. It may
/// be stopped at any moment, by dropping the future: the next one goes on from what it finds in the cluster.
pub async fn control(
    client: Client,
    mut controller: Controller,
    hosting: Hosting,
    mut stand: watch::Receiver<Stand>,
    mut outside: Outside,
    listener: &mut impl Listener,
) {
    let (sender, mut answers) = unbounded_channel();
    let mut seen = events(&client);
    let permits = Arc::new(Semaphore::new(hosting.concurrent));
    let cloud = outside.cloud.clone();
    let doer = Doer { permits, stand: stand.clone(), client, hosting, cloud, sender };
    let mut awaited = Awaited::default();
    let mut due: Option<Timestamp> = None;
    let mut pace = Pace { rest: doer.hosting.rest, debt: Duration::ZERO, at: Instant::now() };
    loop {
        let pause = pace.pause();
        let mut batch = Vec::new();
        tokio::select! {
            goes_on = gather(&mut seen, (&mut answers, &mut outside.told), due, pause, &mut batch) => {
                if !goes_on {
                    return;
                }
            }
            changed = stand.changed() => {
                if changed.is_err() {
                    return; // nobody stands for election any more
                }
                listener.stands(&stand.borrow());
                if !stand.borrow().decides() {
                    controller.rest();
                    awaited = Awaited::default();
                }
            }
        }
        let decides = stand.borrow().decides();
        let started = Instant::now();
        let now = Timestamp::now();
        for event in batch {
            match event {
                Ok(Told { event, handled }) => {
                    let step = controller.observe(event, now);
                    doer.take(step, controller.world(), listener, decides);
                    awaited.extend(handled);
                }
                Err(reason) => listener.blind(&reason),
            }
        }
        due = None;
        if decides {
            let step = controller.step(now);
            due = step.next;
            doer.take(step, controller.world(), listener, decides);
            settle(&mut awaited, &controller);
        }
        let took = started.elapsed();
        pace.note(took);
        listener.stepped(controller.world(), took);
    }
}

/// Interruptions of which somebody wants to hear that nothing is left to do.
type Awaited = Vec<(Arc<str>, oneshot::Sender<()>)>;

/// Tells those who wait. Where nobody waits any more it comes again.
fn settle(awaited: &mut Awaited, controller: &Controller) {
    let all = std::mem::take(awaited);
    for (instance, heard) in all {
        if controller.is_handled(&instance) {
            let _ = heard.send(());
        } else if !heard.is_closed() {
            awaited.push((instance, heard));
        }
    }
}

/// However long a step takes, changes are looked at as often as this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Of the pauses that steps have earned so much is not made: where little happens, and where it begins, there is no waiting.
const CREDIT: Duration = Duration::from_secs(3);

/// How fast steps follow one another.
struct Pace {
    rest: u32,
    /// Pauses that are still to be made.
    debt: Duration,
    /// As of when.
    at: Instant,
}

impl Pace {
    fn note(&mut self, took: Duration) {
        let now = Instant::now();
        self.debt = self.debt.saturating_sub(now - self.at) + took * self.rest;
        self.at = now;
    }

    fn pause(&self) -> Duration {
        self.debt.saturating_sub(CREDIT).clamp(PAUSE, LONGEST_PAUSE)
    }
}

/// Waits for an event or the time, then for what comes shortly after it. Whether the watches go on.
async fn gather(
    seen: &mut (impl futures::Stream<Item = Seen> + Unpin),
    (answers, told): (&mut UnboundedReceiver<Event>, &mut Option<UnboundedReceiver<Told>>),
    due: Option<Timestamp>,
    pause: Duration,
    batch: &mut Vec<Result<Told, String>>,
) -> bool {
    let until = |at: Timestamp| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
    let mut end = due.map(|due| Instant::now() + until(due));
    loop {
        let time = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let plain = |event| Told { event, handled: None };
        let outside = async {
            match told.as_mut() {
                Some(told) => told.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(event) = answers.recv() => batch.push(Ok(plain(event))),
            Some(event) = outside => batch.push(Ok(event)),
            event = seen.next() => match event {
                Some(event) => batch.push(event.map(plain)),
                None => return false,
            },
            () = time => return true,
        }
        if batch.len() == 1 {
            let soon = Instant::now() + pause;
            end = Some(end.map_or(soon, |end| end.min(soon)));
        }
    }
}

/// Does what steps ask.
struct Doer {
    client: Client,
    hosting: Hosting,
    permits: Arc<Semaphore>,
    stand: watch::Receiver<Stand>,
    cloud: Cloud,
    sender: UnboundedSender<Event>,
}

/// What is not sent yet never is.
impl Drop for Doer {
    fn drop(&mut self) {
        self.permits.close();
    }
}

impl Doer {
    fn take(&self, step: Step, world: &World, listener: &mut impl Listener, decides: bool) {
        for said in &step.said {
            listener.said(said, world);
        }
        for action in step.actions.into_iter().filter(|_| decides) {
            self.act(action);
        }
    }

    /// Where nobody hears the answer, the controller is gone.
    fn act(&self, action: Action) {
        let sender = self.sender.clone();
        match action {
            Action::Write(what) => {
                let (client, permits, limit) = (self.client.clone(), self.permits.clone(), self.hosting.answer);
                let stand = self.stand.clone();
                tokio::spawn(async move {
                    let Ok(_permit) = permits.acquire().await else { return }; // the controller is gone
                    // another one may act by now
                    let leads = stand.borrow().leads();
                    let outcome = if leads { write(&client, &what, limit).await } else { Outcome::Outdated };
                    let _ = sender.send(Event::Written { subject: what.subject, outcome });
                });
            }
            Action::Look { node } => {
                let (client, limit) = (self.client.clone(), self.hosting.answer);
                tokio::spawn(async move {
                    let pods = pods_of(&client, &node, limit).await;
                    let _ = sender.send(Event::Looked { node, pods });
                });
            }
            Action::Cloud(_) if !self.stand.borrow().leads() => {}
            Action::Cloud(request) => match &self.cloud {
                Cloud::Ec2(ec2) => ec2.ask(request),
                Cloud::Kwok => {
                    let answer = match request {
                        Request::Launch(launch) => kwok::launch(&launch),
                        Request::List => Answer::Listed(Ok(Vec::new())),
                        Request::Terminate { provider_id, .. } => kwok::terminate(&provider_id),
                    };
                    let _ = sender.send(Event::Cloud(answer));
                }
            },
            Action::Consolidate { question, snapshot, policy } => {
                let (limits, worker) = (self.hosting.limits, self.hosting.worker.clone());
                tokio::task::spawn_blocking(move || {
                    let looking = || consolidate_apart(&snapshot, &policy, limits, question, &worker);
                    let found = catch_unwind(AssertUnwindSafe(looking)).ok(); // a panic has told why itself
                    let found = found
                        .and_then(|found| found.inspect_err(|error| warn!(controller = "disruption", "{error}")).ok());
                    let _ = sender.send(Event::Consolidated { question, found });
                });
            }
            Action::Decide { question, snapshot, carried, search } => {
                let (limits, worker) = (Limits { search, ..self.hosting.limits }, self.hosting.worker.clone());
                let recorder = self.hosting.recorder.clone();
                tokio::task::spawn_blocking(move || {
                    let deciding = || decide_apart_from(&snapshot, carried.clone(), limits, &worker, &mut |_| {});
                    let Ok(decision) = catch_unwind(AssertUnwindSafe(deciding)) else {
                        error!(
                            controller = "provisioner",
                            "deciding has broken down: the pods wait for the next decision"
                        );
                        let _ = sender.send(Event::Decided { question, decision: None });
                        return;
                    };
                    let recorded = recorder.map(|recorder| (recorder, decision.clone()));
                    let _ = sender.send(Event::Decided { question, decision: Some(Box::new(decision)) });
                    if let Some((recorder, decision)) = recorded {
                        recorder.record(question, Question { snapshot, carried, limits }, decision);
                    }
                });
            }
        }
    }
}
