//! Nodes that nobody needs go.
//!
//! A node is closed first, and looked at again after a moment: a pod that kube-scheduler had put there meanwhile keeps it.
//! Source: the reference's `disruption/emptiness.go` (karpenter-core 4.2 to 4.4).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::closing::{InHand, SETTLED, allowance, is_closed, note_reason, reason_since, set_taint};
use super::cluster::Cluster;
use super::conditions::INITIALIZED;
use super::idle::{CONSOLIDATABLE, is_kept};
use super::looks::Looks;
use super::question::{View, Views};
use super::said::Said;
use super::turn::{Turn, later};
use crate::api::node_pool::DisruptionReason;
use crate::disruption::{Hold, Method, candidates};
use crate::observe::Snapshot;
use crate::observe::{belongs_to_node, eviction_cost, has_ended, is_do_not_disrupt};

const EMPTY: &str = "Empty";

/// Closes empty nodes, as many as budgets allow, and deletes the claims of those that stayed empty. `wanted`: nodes that pods
/// are to bind to; `in_hand`: claims that go for another reason.
pub(super) fn step(
    cluster: &Cluster<'_>,
    (wanted, in_hand): (&BTreeSet<Arc<str>>, &InHand),
    (looks, views, held): (&mut Looks, &mut Views<'_>, &mut HeldByPods),
    turn: &mut Turn<'_>,
) {
    held.0.retain(|_, until| !turn.is_time(*until));
    let (mut fresh, now) = (None, turn.now);
    let mut is_held = |node: &str| fresh.get_or_insert_with(|| held_by_pods(&views.of(View::Now), now)).contains(node);
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && claimed.is(INITIALIZED)) {
        turn.about(claimed);
        let [node] = claimed.nodes[..] else { continue };
        let (Some(name), Some(pool)) = (node.metadata.name.as_deref(), claimed.pool()) else { continue };
        if cluster.pool(pool).is_some_and(|pool| pool.spec.replicas.is_some()) || in_hand.contains(claimed.name()) {
            continue; // a static pool keeps its nodes
        }
        let has_nothing = is_empty(cluster.pods_on(name).map(|(_, pod)| pod), turn) && !is_kept(claimed);
        let is_empty = has_nothing && !wanted.contains(name);
        if is_closed(node) || (has_nothing && claimed.is(CONSOLIDATABLE)) {
            turn.stay(); // budgets, and who wants it, change without it
        }
        match (is_closed(node), reason_since(claimed)) {
            (true, Some((EMPTY, since))) if is_empty => {
                // times in conditions are whole seconds
                let is_over =
                    turn.is_due(later(since, Duration::from_secs(1) + SETTLED)) && looks.are_fresh(name, turn);
                if is_over && is_held(name) {
                    set_taint(node, false, turn);
                } else if is_over && turn.delete_claim_as_read(claimed) {
                    turn.say_once_taken(Said::Disrupting { claim: Arc::from(claimed.name()), reason: EMPTY });
                }
            }
            (true, None) if is_empty && claimed.is(CONSOLIDATABLE) => note_reason(claimed, Some(EMPTY), turn),
            // it is needed after all; also where the process that closed it died before it said why
            (true, Some((EMPTY, _)) | None) => set_taint(node, false, turn),
            // the taint comes before the reason and goes before it: without it the reason would be wrong
            (false, Some((EMPTY, _))) => note_reason(claimed, None, turn),
            (false, None) if is_empty && claimed.is(CONSOLIDATABLE) => {
                let budget = || allowance(cluster, pool, DisruptionReason::Empty, in_hand, turn).left();
                let left = left.entry(pool).or_insert_with(budget);
                if *left == 0 || held.0.contains_key(name) {
                    continue;
                }
                if is_held(name) {
                    held.0.insert(Arc::from(name), later(now, AGAIN));
                } else {
                    *left -= 1;
                    set_taint(node, true, turn);
                }
            }
            _ => {}
        }
    }
    turn.about_all();
}

/// A node that its pods hold is looked at again after so long: building a Snapshot in every step takes too long.
const AGAIN: Duration = Duration::from_secs(10);

/// Nodes, by name, that are held by their pods, until when they are not looked at.
#[derive(Debug, Default)]
pub(super) struct HeldByPods(BTreeMap<Arc<str>, Timestamp>);

/// Nodes, by name, that are not empty, of which a pod must not be disturbed, or that are in a zone which ARC has shifted away from.
fn held_by_pods(snapshot: &Snapshot, now: Timestamp) -> HashSet<Arc<str>> {
    let keeps = |hold: &Hold| hold.is_of_pod() || [Hold::NotEmpty, Hold::ZoneShifted].contains(hold);
    let held = candidates(snapshot, Method::Empty, now).into_iter().filter(|standing| {
        let holds = standing.verdict.as_ref().err();
        holds.is_some_and(|holds| holds.iter().any(keeps))
    });
    held.map(|standing| snapshot.nodes[standing.node].name.clone()).collect()
}

/// Whether nothing would be lost with a node: its pods belong to it, have ended, or cost nothing to evict.
fn is_empty<'p>(mut pods: impl Iterator<Item = &'p Arc<Pod>>, turn: &Turn<'_>) -> bool {
    pods.all(|pod| {
        let is_over = has_ended(pod) || pod.metadata.deletion_timestamp.is_some();
        let is_protected = !is_over && is_do_not_disrupt(pod, turn.now);
        !is_protected && (is_over || belongs_to_node(pod) || !eviction_cost(pod).is_positive())
    })
}
