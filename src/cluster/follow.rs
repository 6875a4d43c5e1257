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
use crate::placement::{Action, Limits, Loss, Mode, Objects, Refusals, Subject, What, read, step};

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
            concurrent: 32,                 // the API server lets a client send so many at once before it queues them
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
    /// A kind cannot be watched for now, and why.
    Blind(String),
}

/// Follows plans until it is dropped; ends by itself only where the watches end.
pub async fn follow(client: Client, settings: Following, mut tell: impl FnMut(Event)) {
    let (watched, mut changes) = watch(&client);
    let mut follower =
        Follower { client, settings, refused: BTreeMap::new(), sent: BTreeMap::new(), told: BTreeSet::new() };
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
    told: BTreeSet<Loss>,
}

impl Follower {
    /// In how long the next step is due, if nothing changes before.
    async fn step(&mut self, objects: &Objects, tell: &mut impl FnMut(Event)) -> Option<Duration> {
        self.forget(objects);
        let refusals: Refusals = self.refused.iter().map(|(uid, (_, reason))| (uid.clone(), reason.clone())).collect();
        let observed = read(objects, &refusals);
        let now = Timestamp::now();
        let step = step(&observed, self.settings.mode, &self.settings.limits, now);
        for loss in step.losses {
            if self.told.insert(loss.clone()) {
                tell(Event::Lost(loss));
            }
        }
        let mut has_failed = false;
        for phase in step.actions.chunk_by(|a, b| a.what.phase() == b.what.phase()) {
            has_failed |= self.send(phase, tell).await;
        }
        let until = |at: Timestamp| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        let retry = has_failed.then_some(self.settings.retry);
        step.next.map(until).into_iter().chain(retry).min()
    }

    /// Sends what has not been sent for the same version of the object. Whether something is to be sent again.
    async fn send(&mut self, actions: &[Action], tell: &mut impl FnMut(Event)) -> bool {
        let is_new =
            |action: &&Action| self.sent.get(&action.patch.version.uid) != Some(&action.patch.version.resource);
        let (client, answer) = (&self.client, self.settings.answer);
        let requests = actions
            .iter()
            .filter(is_new)
            .map(|action| async move { (action, apply(client, &action.patch, answer).await) });
        let answers: Vec<(&Action, Applied)> =
            stream::iter(requests.collect::<Vec<_>>()).buffer_unordered(self.settings.concurrent).collect().await;
        let mut again = false;
        for (Action { what, patch }, applied) in answers {
            match applied {
                Applied::Done | Applied::Outdated => {
                    self.sent.insert(patch.version.uid.clone(), patch.version.resource.clone());
                    if applied == Applied::Done {
                        tell(Event::Done(what.clone()));
                    }
                }
                Applied::Refused(reason) if !matches!(patch.subject, Subject::Node(_)) => {
                    let until = Instant::now() + self.settings.give_up;
                    self.refused.insert(patch.version.uid.clone(), (until, reason.clone()));
                    tell(Event::Failed(what.clone(), reason));
                    again = true; // the rest of the step looks different now
                }
                Applied::Refused(reason) | Applied::Failed(reason) => {
                    tell(Event::Failed(what.clone(), reason));
                    again = true;
                }
            }
        }
        again
    }

    /// What concerned objects that are gone, and refusals that are old.
    fn forget(&mut self, objects: &Objects) {
        let pods = objects.pods.iter().filter_map(|pod| pod.metadata.uid.as_deref());
        let nodes = objects.nodes.iter().filter_map(|node| node.metadata.uid.as_deref());
        let there: BTreeSet<&str> = pods.chain(nodes).collect();
        let claims: BTreeSet<&str> = objects.claims.iter().filter_map(|claim| claim.metadata.name.as_deref()).collect();
        let now = Instant::now();
        self.refused.retain(|uid, (until, _)| there.contains(&**uid) && *until > now);
        self.told.retain(|loss| claims.contains(&*loss.claim));
        self.sent.retain(|uid, _| there.contains(&**uid));
    }
}
