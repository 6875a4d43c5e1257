//! Nodes of the kwok cloud: what a kubelet would do at its birth is a write here.

use std::time::Duration;

use super::action::Verb;
use super::cluster::{Claimed, Cluster};
use super::conditions::{LAUNCHED, since};
use super::event::Subject;
use super::turn::Turn;
use crate::cloud::kwok;
use crate::observe::objects::ObjectKey;

/// Makes the nodes of launched claims whose time has come. A node that is gone does not come again: who registered has lived.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    let unborn = |claimed: &&Claimed| {
        claimed.is(LAUNCHED) && claimed.nodes.is_empty() && !claimed.is("Registered") && !claimed.is_deleting()
    };
    for claimed in cluster.claims.iter().filter(unborn) {
        let Some(node) = kwok::birth(claimed.claim) else { continue };
        let launched = claimed.claim.status.as_ref().and_then(|status| since(&status.conditions, LAUNCHED));
        if launched.is_some_and(|launched| turn.is_due(launched + delay(cluster, claimed))) {
            turn.write_version(Subject::of_cluster("Node", claimed.name()), None, Verb::Create(node));
        }
    }
}

/// `spec.nodeRegistrationDelay` of a KWOKNodeClass.
fn delay(cluster: &Cluster<'_>, claimed: &Claimed<'_>) -> Duration {
    let class = &claimed.claim.spec.node_class_ref;
    let key = ObjectKey { namespace: "".into(), name: class.name.as_str().into() };
    let class = cluster.objects.kwok_node_classes.get(&key).filter(|_| class.kind == "KWOKNodeClass");
    let delay = class.and_then(|class| class.object.spec.spec.node_registration_delay.as_ref());
    Duration::from_secs(delay.and_then(|delay| delay.seconds().ok()).unwrap_or(0))
}
