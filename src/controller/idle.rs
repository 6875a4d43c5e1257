//! Since when nothing has changed about the pods of a node.
//!
//! Source: the reference's `nodeclaim/podevents` and `nodeclaim/disruption/consolidation.go` (karpenter-core 4.11).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::cluster::{Claimed, Cluster};
use super::conditions::{Conditions, INITIALIZED, since};
use super::turn::{Turn, later};
use crate::api::labels;
use crate::observe::objects::ObjectKey;
use crate::observe::{belongs_to_node, has_ended};

/// A node's pods may change so often before it is written down again.
const APART: Duration = Duration::from_secs(10);
pub(super) const CONSOLIDATABLE: &str = "Consolidatable";

/// When pods of nodes changed last, by node, as this process has seen it.
#[derive(Debug, Default)]
pub(super) struct PodEvents(BTreeMap<Arc<str>, Timestamp>);

impl PodEvents {
    /// Notes that a pod is bound, ends or is about to: `None` where it was not there before, or is not any more.
    pub fn note(&mut self, before: Option<&Pod>, after: Option<&Pod>, now: Timestamp) {
        let Some(before) = before else { return };
        if belongs_to_node(before) {
            return;
        }
        let has_changed = match after {
            Some(after) => stage(before) != stage(after) && stage(after) != Stage::Waiting,
            None => stage(before) == Stage::Bound,
        };
        let node = after.unwrap_or(before).spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if let Some(node) = node.filter(|_| has_changed) {
            self.0.insert(Arc::from(node), now);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Stage {
    Waiting,
    Bound,
    Ending,
    Ended,
}

fn stage(pod: &Pod) -> Stage {
    let is_bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    if has_ended(pod) {
        Stage::Ended
    } else if pod.metadata.deletion_timestamp.is_some() {
        Stage::Ending
    } else if is_bound {
        Stage::Bound
    } else {
        Stage::Waiting
    }
}

/// Writes down when pods changed, and which nodes have been left alone for as long as their pool says.
pub(super) fn step(cluster: &Cluster<'_>, events: &mut PodEvents, turn: &mut Turn<'_>) {
    if cluster.is_whole {
        events.0.retain(|node, _| {
            let key = ObjectKey { namespace: Arc::from(""), name: node.clone() };
            cluster.objects.nodes.contains_key(&key)
        });
    }
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && claimed.is(INITIALIZED)) {
        turn.about(claimed);
        of_claim(cluster, claimed, events, turn);
    }
    turn.about_all();
}

fn of_claim(cluster: &Cluster<'_>, claimed: &Claimed<'_>, events: &PodEvents, turn: &mut Turn<'_>) {
    let Some(status) = &claimed.claim.status else { return };
    let written = status.last_pod_event_time.as_ref().map(|time| time.0);
    let node = claimed.nodes.first().and_then(|node| node.metadata.name.as_deref()).unwrap_or_default();
    let seen = events.0.get(node).copied();
    let last = seen.max(written);
    let is_idle = consolidate_after(cluster, claimed).is_some_and(|after| {
        let from = last.max(since(&status.conditions, INITIALIZED));
        from.is_some_and(|from| turn.is_due(later(from, after)))
    });
    let said = claimed.is(CONSOLIDATABLE);
    let is_news = seen.is_some_and(|seen| written.is_none_or(|written| seen >= later(written, APART)));
    if is_idle == said && !is_news {
        return;
    }
    let mut conditions = Conditions::of(&status.conditions, claimed.claim.metadata.generation, turn.now);
    if is_idle {
        conditions.set_true(CONSOLIDATABLE);
    } else {
        conditions.remove(CONSOLIDATABLE);
    }
    let mut body = json!({"conditions": conditions.into_list()});
    if let Some(last) = last {
        body["lastPodEventTime"] = json!(Time(last));
    }
    turn.patch_status("NodeClaim", &claimed.claim.metadata, &body);
}

/// `None`: never, or there is no such pool, or it is static.
pub(super) fn consolidate_after(cluster: &Cluster<'_>, claimed: &Claimed<'_>) -> Option<Duration> {
    let pool = cluster.pool(claimed.pool()?).filter(|pool| pool.spec.replicas.is_none())?;
    let seconds = pool.spec.disruption.consolidate_after.seconds().ok()??;
    Some(Duration::from_secs(seconds))
}

/// Whether a person keeps the node.
pub(super) fn is_kept(claimed: &Claimed<'_>) -> bool {
    let annotations = claimed.nodes.iter().filter_map(|node| node.metadata.annotations.as_ref());
    annotations.into_iter().any(|of| of.get(labels::DO_NOT_DISRUPT).is_some_and(|value| value == "true"))
}
