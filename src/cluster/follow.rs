//! Follows the plans of NodeClaims in a live cluster: watches, makes a step, sends its patches, and again.
//!
//! It may be stopped at any moment, by dropping the future: the next one goes on from what it finds in the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use super::apply::{Applied, apply};
use super::watch::{Changes, watch};
use crate::placement::{
    Action, Landed, Limits, Loss, Mode, ObjectPatch, Objects, Observed, Refusals, Subject, What, landed, read, step,
};

/// How plans are followed.
#[derive(Debug, Clone, Copy)]
pub struct Following {
    /// What may be done for them.
    pub mode: Mode,
    /// How long nodes may be kept from other pods.
    pub limits: Limits,
    /// Changes that come within this time are looked at together.
    pub pause: Duration,
    /// A patch that failed is sent again after this time.
    pub retry: Duration,
    /// An answer of the API server is waited for so long.
    pub answer: Duration,
    /// All patches that a step sends of one phase, like those of pods, take at most so long together; what is not sent by then is
    /// left to the next step, so that pods hold up no node, however many there are.
    pub phase: Duration,
    /// Patches that are on their way at once.
    pub concurrent: usize,
    /// A pod that the API server does not let us change is left alone for so long.
    pub give_up: Duration,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            limits: Limits::default(),
            pause: Duration::from_millis(20), // a hundredth of what a node takes to become ready
            retry: Duration::from_secs(1),
            answer: Duration::from_secs(5), // admission webhooks take up to 10 by default, and must not hold up nodes
            phase: Duration::from_secs(5), // a twelfth of the time that a node is reserved; thousands of patches if all is well
            concurrent: 32,                // the API server lets a client send so many at once before it queues them
            give_up: Duration::from_secs(5 * 60), // five times as long as a node is reserved
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A patch was taken.
    Done(What),
    /// A patch was not taken, and why; it will be sent again unless it concerns a pod that may not be changed.
    Failed(What, String),
    /// The plan is not guaranteed; told once for each reason.
    Lost(Loss),
    /// Where the planned pods of a claim are now; told whenever that changes, in every mode.
    Landed(Landed),
    /// A kind cannot be watched for now, and why.
    Blind(String),
}

/// Follows plans until it is dropped; ends by itself only where the watches end.
pub async fn follow(client: Client, settings: Following, mut tell: impl FnMut(Event)) {
    let (watched, mut changes) = watch(&client);
    let mut follower = Follower::new(client, settings);
    let mut due = None;
    while wait(&mut changes, due, settings.pause, &mut tell).await {
        if let Some(objects) = watched.objects() {
            due = follower.step(&objects, &mut tell).await;
        }
    }
}

/// Waits for a change or the time, then for what comes with it. Whether the watch goes on.
async fn wait(changes: &mut Changes, due: Option<Duration>, pause: Duration, tell: &mut impl FnMut(Event)) -> bool {
    let first = match due {
        Some(due) => tokio::time::timeout(due, changes.next()).await.unwrap_or(Some(Ok(()))),
        None => changes.next().await,
    };
    let Some(mut change) = first else { return false };
    let end = Instant::now() + pause;
    loop {
        if let Err(reason) = change {
            tell(Event::Blind(reason));
        }
        match tokio::time::timeout_at(end, changes.next()).await {
            Ok(Some(next)) => change = next,
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// What a process knows beyond the cluster; nothing is lost with it but a patch that is refused once more.
struct Follower {
    client: Client,
    settings: Following,
    /// Pods by uid, until when they are left alone, and why.
    refused: BTreeMap<Arc<str>, (Instant, String)>,
    /// By uid, the version of the object that a patch was sent for: until the watch has a newer one, nothing else is sent.
    sent: BTreeMap<Arc<str>, Arc<str>>,
    /// By uid, when a patch of the object failed last: it is sent again after those that have not failed since.
    failed: BTreeMap<Arc<str>, Instant>,
    told: BTreeSet<Loss>,
    /// By claim.
    landed: BTreeMap<Arc<str>, Landed>,
}

impl Follower {
    fn new(client: Client, settings: Following) -> Self {
        Self {
            client,
            settings,
            refused: BTreeMap::new(),
            sent: BTreeMap::new(),
            failed: BTreeMap::new(),
            told: BTreeSet::new(),
            landed: BTreeMap::new(),
        }
    }

    /// In how long the next step is due, if nothing changes before.
    async fn step(&mut self, objects: &Objects, tell: &mut impl FnMut(Event)) -> Option<Duration> {
        self.forget(objects);
        let refusals: Refusals = self.refused.iter().map(|(uid, (_, reason))| (uid.clone(), reason.clone())).collect();
        let observed = read(objects, &refusals);
        let now = Timestamp::now();
        let step = step(&observed, self.settings.mode, &self.settings.limits, now);
        self.tell_news(&observed, step.losses, tell);
        let mut again = false;
        for phase in step.actions.chunk_by(|a, b| a.what.phase() == b.what.phase()) {
            again |= self.send(phase, tell).await;
        }
        let until = |at: Timestamp| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        let retry = again.then_some(self.settings.retry);
        step.next.map(until).into_iter().chain(retry).min()
    }

    fn tell_news(&mut self, observed: &Observed, losses: Vec<Loss>, tell: &mut impl FnMut(Event)) {
        for loss in losses {
            if self.told.insert(loss.clone()) {
                tell(Event::Lost(loss));
            }
        }
        for landed in landed(observed) {
            if self.landed.get(&landed.claim) != Some(&landed) {
                self.landed.insert(landed.claim.clone(), landed.clone());
                tell(Event::Landed(landed));
            }
        }
    }

    /// Sends what has not been sent for the same version of the object, as far as the time reaches. Whether something is to be sent
    /// again, or still.
    async fn send(&mut self, phase: &[Action], tell: &mut impl FnMut(Event)) -> bool {
        let is_new =
            |action: &&Action| self.sent.get(&action.patch.version.uid) != Some(&action.patch.version.resource);
        let mut actions: Vec<&Action> = phase.iter().filter(is_new).collect();
        // stable: what has not failed goes first, in its order
        actions.sort_by_key(|action| self.failed.get(&action.patch.version.uid));
        let end = Instant::now() + self.settings.phase;
        let (client, answer) = (&self.client, self.settings.answer);
        let requests = actions.into_iter().map(|action| async move {
            let left = end.saturating_duration_since(Instant::now());
            let is_time = !left.is_zero();
            (action, if is_time { Some(apply(client, &action.patch, answer.min(left)).await) } else { None })
        });
        let answers: Vec<(&Action, Option<Applied>)> =
            stream::iter(requests.collect::<Vec<_>>()).buffer_unordered(self.settings.concurrent).collect().await;
        let mut again = false;
        for (Action { what, patch, .. }, applied) in answers {
            again |= applied.is_none_or(|applied| self.take(what, patch, applied, tell));
        }
        again
    }

    /// What an answer means for the next steps. Whether something is to be sent again.
    fn take(&mut self, what: &What, patch: &ObjectPatch, applied: Applied, tell: &mut impl FnMut(Event)) -> bool {
        let uid = patch.version.uid.clone();
        match applied {
            Applied::Done | Applied::Outdated => {
                self.failed.remove(&uid);
                self.sent.insert(uid, patch.version.resource.clone());
                if applied == Applied::Done {
                    tell(Event::Done(what.clone()));
                }
                false
            }
            Applied::Refused(reason) if !matches!(patch.subject, Subject::Node(_)) => {
                self.refused.insert(uid, (Instant::now() + self.settings.give_up, reason.clone()));
                tell(Event::Failed(what.clone(), reason));
                true // the rest of the step looks different now
            }
            Applied::Refused(reason) | Applied::Failed(reason) => {
                self.failed.insert(uid, Instant::now());
                tell(Event::Failed(what.clone(), reason));
                true
            }
        }
    }

    /// What concerned objects that are gone, and refusals that are old.
    fn forget(&mut self, objects: &Objects) {
        let pods = objects.pods.iter().filter_map(|pod| pod.metadata.uid.as_deref());
        let nodes = objects.nodes.iter().filter_map(|node| node.metadata.uid.as_deref());
        let there: BTreeSet<&str> = pods.chain(nodes).collect();
        let claims: BTreeSet<&str> = objects.claims.iter().filter_map(|claim| claim.metadata.name.as_deref()).collect();
        let now = Instant::now();
        self.refused.retain(|uid, (until, _)| there.contains(&**uid) && *until > now);
        self.failed.retain(|uid, _| there.contains(&**uid));
        self.told.retain(|loss| claims.contains(&*loss.claim));
        self.landed.retain(|claim, _| claims.contains(&**claim));
        self.sent.retain(|uid, _| there.contains(&**uid));
    }
}
