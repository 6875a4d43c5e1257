//! What is decided about: the world as a Snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::buffers::Buffers;
use super::conditions::{READY, is_true};
use super::market::Market;
use super::settings::ControllerSettings;
use super::waiting::{Coming, is_provisionable, is_untried};
use crate::api::labels;
use crate::observe::objects::Objects;
use crate::observe::snapshot::{Node, Taint, TaintEffect};
use crate::observe::{LoadOutcome, Memory, Moment, Snapshot, build_observed};
use crate::placement::signature::signature;

/// What is decided by besides the objects.
pub(super) struct Known<'k> {
    pub settings: &'k ControllerSettings,
    pub market: &'k Market,
    /// Nodes that pods were told to bind to, until when that is waited for.
    pub nominated: &'k BTreeMap<Arc<str>, Timestamp>,
    /// Pods of nodes that go for commands which this process is carrying out.
    pub leaving: &'k Leaving,
    pub buffers: &'k Buffers,
    /// Instances of claims that are not known here.
    pub unseen: &'k [Node],
    /// What was read for the last decision.
    pub memory: &'k mut Memory,
}

/// Pods, by uid, and the nodes that are there on which room is kept for them; `None`: they stay where they are until that is known.
pub(super) type Leaving = HashMap<Arc<str>, Option<Arc<str>>>; // looked up only

/// How far ahead pods of nodes that go are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// They are where they are.
    Now,
    /// They are where claims expect them.
    AsExpected,
    /// Also those of commands that are only being carried out: nobody else plans these, or for the room that they need.
    AsCommanded,
}

/// The Snapshots of one step, each made when it is asked for first.
pub(super) struct Views<'k> {
    objects: &'k Objects,
    coming: &'k Coming,
    known: Known<'k>,
    now: Timestamp,
    seen: BTreeMap<View, Arc<Snapshot>>,
}

impl<'k> Views<'k> {
    pub fn new(objects: &'k Objects, coming: &'k Coming, known: Known<'k>, now: Timestamp) -> Self {
        Self { objects, coming, known, now, seen: BTreeMap::new() }
    }

    /// With buffers where they are kept free.
    pub fn of(&mut self, view: View) -> Arc<Snapshot> {
        let view = match view {
            View::AsCommanded if self.known.leaving.is_empty() => View::AsExpected,
            other => other,
        };
        let Coming { leaving, closed, staying, .. } = self.coming;
        let is_as_now = leaving.is_empty() && closed.is_empty() && staying.is_empty();
        let view = if view == View::AsExpected && is_as_now { View::Now } else { view };
        if let Some(seen) = self.seen.get(&view) {
            return seen.clone();
        }
        let mut taken = self.take(view);
        self.known.buffers.place(Arc::make_mut(&mut taken));
        self.seen.insert(view, taken.clone());
        taken
    }

    /// What is to be decided about.
    pub fn question(&mut self) -> Arc<Snapshot> {
        self.take(View::AsCommanded)
    }

    /// Whether a pod is to leave its node.
    pub fn leaves(&self, uid: &str) -> bool {
        self.known.leaving.contains_key(uid) || self.coming.leaving.contains_key(uid)
    }

    fn take(&mut self, view: View) -> Arc<Snapshot> {
        snapshot(self.objects, self.coming, &mut self.known, view, self.now).snapshot
    }
}

/// What keeps all others away from a node with places for pods that do not exist yet.
fn for_others() -> Taint {
    Taint { key: Arc::from(labels::PLANNED), value: Arc::from(""), effect: TaintEffect::NoSchedule }
}

/// The Snapshot of a tick. Of pods that are not bound only those count for which kube-scheduler has found no room, and those
/// that it has not looked at yet and that are like one of them: of a thousand replicas that come at once it has tried half when the
/// batch is closed, and the other half is planned together with them. Those with a node coming count as bound to it, and
/// those of which a claim may have been made that nobody has seen are left out, so that no plan is made twice. Of NodePools only
/// those that are ready are used. Instances of claims that are not known are nodes that take no pods: they count towards limits.
fn snapshot(objects: &Objects, coming: &Coming, known: &mut Known<'_>, view: View, now: Timestamp) -> LoadOutcome {
    let Known { settings, market, nominated, leaving, unseen, memory, .. } = known;
    let mut objects = objects.clone();
    objects.errors.clear();
    objects.notes.clear();
    let unready: BTreeSet<_> = objects
        .node_pools
        .iter()
        .filter(|(_, pool)| {
            let conditions = pool.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
            // in a shadow it may be that nobody looks at it
            let is_unseen = settings.shadow && conditions.is_empty();
            !is_true(conditions, READY) && !is_unseen
        })
        .map(|(key, _)| key.clone())
        .collect();
    let refused = objects.pods.values().filter(|pod| is_provisionable(&pod.object));
    let refused: HashSet<String> = refused.map(|pod| signature(&pod.object)).collect();
    objects.pods.retain(|_, pod| {
        let object = &pod.object;
        let is_bound = object.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        if coming.unseen.contains(uid) {
            return false;
        }
        let expected = coming.leaving.get(uid).filter(|_| view >= View::AsExpected);
        let commanded = leaving.get(uid).filter(|_| view >= View::AsCommanded).and_then(Option::as_ref);
        if let Some(node) = coming.pods.get(uid).or(expected).or(commanded) {
            let mut bound = (**object).clone();
            bound.spec.get_or_insert_default().node_name = Some(node.to_string());
            pod.object = Arc::new(bound);
            return true;
        }
        is_bound || is_provisionable(object) || (is_untried(object) && refused.contains(&signature(object)))
    });
    let moment = Moment {
        settings: settings.decision.clone(),
        region: settings.region.clone(),
        taken_at: now,
        offered: market.offered(),
    };
    let mut outcome = build_observed(objects, moment, memory);
    if let Some(snapshot) = Arc::get_mut(&mut outcome.snapshot) {
        for node in &mut snapshot.nodes {
            let of_claim = node.claim.as_ref().and_then(|claim| nominated.get(claim));
            node.disruption.nominated_until = nominated.get(&node.name).or(of_claim).copied();
            if view >= View::AsExpected && coming.closed.contains(&node.name) {
                node.taints.push(for_others());
            }
        }
        snapshot.nodes.extend(unseen.iter().cloned());
        let stays = |uid: &Arc<str>| {
            (view >= View::AsExpected && coming.staying.contains(uid))
                || (view >= View::AsCommanded && leaving.contains_key(uid))
        };
        snapshot.pods.iter_mut().filter(|pod| stays(&pod.uid)).for_each(|pod| pod.displaced = false);
        for pool in &mut snapshot.node_pools {
            if unready.iter().any(|key| key.name == pool.name) {
                pool.unusable.get_or_insert_with(|| Arc::from("it is not ready"));
            }
        }
    }
    outcome
}
