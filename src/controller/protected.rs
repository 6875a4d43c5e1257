//! Pods of our nodes that say for how long they are not to be disrupted, or say it in a way that nobody understands: told once.
//!
//! Source: the reference's events of `karpenter.sh/do-not-disrupt` (karpenter-core 4.2, 6.2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cluster::Cluster;
use super::event::Subject;
use super::said::Said;
use super::turn::Turn;
use crate::observe::objects::ObjectKey;
use crate::observe::{Protection, protection};

/// What was told of pods, by uid; another process tells it again.
#[derive(Debug, Default)]
pub(super) struct Protected(BTreeMap<Arc<str>, Protection>);

/// Tells what is new.
pub(super) fn step(cluster: &Cluster<'_>, protected: &mut Protected, turn: &mut Turn<'_>) {
    let ours: BTreeSet<&str> = cluster
        .claims
        .iter()
        .flat_map(|claimed| &claimed.nodes)
        .filter_map(|node| node.metadata.name.as_deref())
        .collect();
    let told = std::mem::take(&mut protected.0);
    for pod in cluster.pods() {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if pod.metadata.annotations.is_none() || node.is_none_or(|node| !ours.contains(node)) {
            continue;
        }
        let how = protection(pod, turn.now);
        match how {
            Protection::None | Protection::Open => continue,
            Protection::Until(until) => turn.look_again(until),
            Protection::Elapsed(_) | Protection::Invalid(_) => {}
        }
        let text = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
        let uid: Arc<str> = text(&pod.metadata.uid);
        if told.get(&uid) != Some(&how) {
            let key = ObjectKey { namespace: text(&pod.metadata.namespace), name: text(&pod.metadata.name) };
            turn.say(Said::Protected { pod: Subject { kind: "Pod", key }, how: how.clone() });
        }
        protected.0.insert(uid, how);
    }
}
