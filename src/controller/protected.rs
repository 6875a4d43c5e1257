//! Pods of our nodes that say for how long they are not to be disrupted, or say it in a way that nobody understands: told once.
//!
//! Source: the reference's events of `karpenter.sh/do-not-disrupt` (karpenter-core 4.2, 6.2).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::Cluster;
use super::event::Subject;
use super::said::Said;
use super::turn::Turn;
use crate::observe::{Protection, protection};

/// What was told of the pods of claims: by the name of the claim, and the uid of the pod; another process tells it again.
#[derive(Debug, Default)]
pub(super) struct Protected(BTreeMap<Arc<str>, BTreeMap<Arc<str>, Protection>>);

/// Tells what is new.
pub(super) fn step(cluster: &Cluster<'_>, protected: &mut Protected, turn: &mut Turn<'_>) {
    cluster.forget_gone(&mut protected.0);
    for claimed in &cluster.claims {
        turn.about(claimed);
        let told = protected.0.remove(&claimed.key.name).unwrap_or_default();
        let mut found = BTreeMap::new();
        let names = claimed.nodes.iter().filter_map(|node| node.metadata.name.as_deref());
        for (key, pod) in names.flat_map(|name| cluster.protected_pods_on(name)) {
            let how = protection(pod, turn.now);
            match how {
                Protection::None | Protection::Open => continue,
                Protection::Until(until) => turn.look_again(until),
                Protection::Elapsed(_) | Protection::Invalid(_) => {}
            }
            let uid: Arc<str> = Arc::from(pod.metadata.uid.as_deref().unwrap_or_default());
            if told.get(&uid) != Some(&how) {
                turn.say(Said::Protected { pod: Subject { kind: "Pod", key: key.clone() }, how: how.clone() });
            }
            found.insert(uid, how);
        }
        if !found.is_empty() {
            protected.0.insert(claimed.key.name.clone(), found);
        }
    }
    turn.about_all();
}
