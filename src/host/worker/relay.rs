//! This side of the pipe: asks, packs as Karpenter does meanwhile, and keeps what comes and holds.

use std::io::{BufReader, Write as _};
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::MOST_WAITING;
use super::message::{self, Hello, Told, ToldPlan};
use super::process::Link;
use super::prover::{Bounded, Claim, Prover};
use crate::host::clock::Clock;
use crate::host::incumbent::{Incumbent, Offered};
use crate::host::stages::First;
use crate::host::{Decision, Limits, Readings, STACK, Search, spawn};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::plan::Stop;
use crate::plan::failure::{Cause, Failure};
use crate::solve;
use crate::solve::bound::LeftProof;
use crate::solve::carried::Carried;

/// A first line is a few words.
const MOST_OF_HELLO: u64 = 4 << 10;

/// What this side waits for.
pub enum Event {
    Told(Box<Told>),
    /// What a claim came to, and the plan that it was stated of.
    Proven(Box<Bounded>, usize),
    /// Nothing more will come.
    Gone(Cause),
}

/// What is asked.
pub struct Question<'q> {
    pub snapshot: &'q Arc<Snapshot>,
    /// What the search starts from.
    pub carried: Arc<Carried>,
    pub limits: Limits,
}

/// Decides with what comes over the link; `came` counts the answers.
pub fn run(
    question: &Question<'_>,
    clock: &Clock,
    link: Result<Link, Cause>,
    came: &Arc<AtomicUsize>,
    sink: &dyn Fn(Decision),
) {
    let Question { snapshot, limits, .. } = *question;
    let (events, inbox) = sync_channel(MOST_WAITING);
    let opened = link.and_then(|link| open(link, question, clock, events.clone(), came.clone()));
    let problem = Problem::new(snapshot);
    let First { decision, .. } = First::of(&problem, clock);
    if decision.certificate.stop != Stop::Unfinished {
        return sink(decision);
    }
    let first = clock.readings(Search::Greedy);
    let incumbent = Incumbent::new(snapshot, decision, sink);
    let prover = Prover::start(snapshot.clone(), limits.work, clock.cancelled.clone(), events);
    let mut relay = Relay { incumbent, prover, of_plan: 0, came, last: None, first: Some(first), ended: None };
    if let Err(cause) = opened {
        relay.fail(cause);
    }
    while relay.ended.is_none() || relay.prover.is_busy() {
        match inbox.recv() {
            Ok(Event::Proven(proof, of_plan)) => relay.proven(*proof, of_plan),
            Ok(_) if relay.ended.is_some() => {}
            Ok(Event::Told(told)) => relay.told(*told),
            Ok(Event::Gone(cause)) => relay.fail(cause),
            // the listener says why it ends, and the prover answers for every claim: not reached
            Err(_) => break,
        }
    }
    let Ended { how, is_late, every_way } =
        relay.ended.unwrap_or(Ended { how: solve::Ended::Searched, is_late: true, every_way: false });
    relay.incumbent.finish(how, is_late, every_way);
}

struct Relay<'r> {
    incumbent: Incumbent<'r>,
    prover: Prover,
    /// How often the incumbent has come to leave other pods: what was proven before is of another plan.
    of_plan: usize,
    came: &'r AtomicUsize,
    /// The last plan that came, whatever became of it.
    last: Option<ToldPlan>,
    /// What Karpenter's packing here has read of its clock, as long as it is the incumbent.
    first: Option<Readings>,
    ended: Option<Ended>,
}

/// Nothing more will come.
struct Ended {
    how: solve::Ended,
    /// There was more to try.
    is_late: bool,
    /// As the solver's process says.
    every_way: bool,
}

impl Relay<'_> {
    fn told(&mut self, Told { plan, proof, left_proofs, stop, learned, clock }: Told) {
        if let Some(plan) = plan {
            let (stage, packed_after) = (plan.stage, plan.packed_after);
            self.last = Some(plan.clone());
            match self.incumbent.offer(plan.into_draft(), stage, packed_after) {
                Ok(Offered::Better) => {
                    self.first = None;
                    self.incumbent.tell();
                }
                Ok(Offered::LeavesOthers) => {
                    self.first = None;
                    self.of_plan += 1;
                    self.incumbent.tell();
                }
                Ok(Offered::Worse) => {}
                Err(violations) => {
                    let violation = violations.first().map(ToString::to_string).unwrap_or_default();
                    return self.fail(Cause::Refused { violation });
                }
            }
        }
        if let Some(proof) = proof.filter(|proof| proof.bound > self.incumbent.decision.proof.bound) {
            self.claim(Bounded::Cost(proof));
        }
        for proof in left_proofs {
            self.claim_left(proof);
        }
        if stop != Stop::Unfinished {
            self.incumbent.decision.learned = learned.map(Arc::new);
            // where none that came was better than Karpenter's packing here, the plan is not of that search
            let clock = clock.filter(|_| self.is_last()).or_else(|| self.first.clone());
            self.incumbent.decision.clock = clock.map(Arc::new);
            let how = if stop == Stop::AsNear { solve::Ended::AsNear } else { solve::Ended::Searched };
            self.ended = Some(Ended { how, is_late: stop == Stop::Deadline, every_way: stop == Stop::EveryWay });
        }
    }

    /// Whether the incumbent is the last plan that came.
    fn is_last(&self) -> bool {
        let plan = &self.incumbent.decision.plan;
        self.last.as_ref().is_some_and(|last| {
            (&last.launches, &last.assignments, &last.unplaced) == (&plan.launches, &plan.assignments, &plan.unplaced)
        })
    }

    /// Of priorities that nobody has, and what is known already, nothing is proven.
    fn claim_left(&mut self, proof: LeftProof) {
        let known = self.incumbent.decision.certificate.left.iter().find(|left| left.priority == proof.priority);
        if known.is_some_and(|known| known.at_least < proof.at_least) {
            self.claim(Bounded::Left(proof));
        }
    }

    fn claim(&mut self, bounded: Bounded) {
        let left = self.incumbent.decision.plan.unplaced.clone();
        self.prover.prove(Claim { bounded, left, of_plan: self.of_plan });
    }

    fn proven(&mut self, bounded: Bounded, of_plan: usize) {
        match bounded {
            // the plan that it was stated of is gone, what it says of pods left may hold of the one that came
            Bounded::Left(proof) if of_plan != self.of_plan => self.claim_left(proof),
            Bounded::Left(proof) => self.incumbent.state_left(proof),
            Bounded::Cost(proof) => {
                if of_plan == self.of_plan && proof.bound > self.incumbent.decision.proof.bound {
                    self.incumbent.state(proof);
                }
            }
        }
        self.prover.next();
    }

    fn fail(&mut self, cause: Cause) {
        self.incumbent.fail(Failure { cause, answers: self.came.load(Ordering::Relaxed) });
        self.ended = Some(Ended { how: solve::Ended::Searched, is_late: false, every_way: false });
    }
}

/// Starts to ask and to listen, each on a thread of its own.
fn open(
    link: Link,
    question: &Question<'_>,
    clock: &Clock,
    events: SyncSender<Event>,
    came: Arc<AtomicUsize>,
) -> Result<(), Cause> {
    let Question { snapshot, carried, limits } = question;
    let limits = Limits { time: clock.time.saturating_sub(clock.started.elapsed()), ..*limits };
    let not_started = |error: std::io::Error| Cause::NotStarted { error: error.to_string() };
    let most_bytes = message::most_bytes(snapshot);
    let (snapshot, carried, stdin) = ((*snapshot).clone(), carried.clone(), link.stdin.clone());
    spawn("ask", STACK, move || ask(&message::Question::new(limits, &snapshot, &carried), &stdin))
        .map_err(not_started)?;
    let listening = move || {
        if let Some(cause) = listen(link, most_bytes, &events, &came) {
            // nobody waits where the answer has been given
            let _ = events.send(Event::Gone(cause));
        }
    };
    spawn("listen", STACK, listening).map_err(not_started)?;
    Ok(())
}

fn ask(question: &message::Question, mut stdin: &ChildStdin) {
    // where the other side is gone, whoever listens finds out why
    if message::write(&mut stdin, question).is_ok() {
        let _ = stdin.flush();
    }
}

/// Hands over what comes, until the last of it; why there was no last of it, where somebody still wants to know.
fn listen(link: Link, most_bytes: u64, events: &SyncSender<Event>, came: &AtomicUsize) -> Option<Cause> {
    let malformed = |error: std::io::Error| Cause::Malformed { error: error.to_string() };
    let mut from = BufReader::new(link.stdout);
    match message::read::<Hello>(&mut from, MOST_OF_HELLO) {
        Ok(Some(Hello { version })) if version == Hello::own().version => {}
        Ok(Some(Hello { version })) => return Some(Cause::OtherVersion { version }),
        Ok(None) => return Some(link.ending.wait()),
        Err(error) => return Some(malformed(error)),
    }
    loop {
        match message::read::<Told>(&mut from, most_bytes) {
            Ok(Some(told)) => {
                came.fetch_add(1, Ordering::Relaxed);
                let is_last = told.stop != Stop::Unfinished;
                if events.send(Event::Told(Box::new(told))).is_err() || is_last {
                    return None;
                }
            }
            Ok(None) => return Some(link.ending.wait()),
            Err(error) => return Some(malformed(error)),
        }
    }
}
