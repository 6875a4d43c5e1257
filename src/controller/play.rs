//! Nodes of the kwok cloud: what a kubelet would do at its birth is a write here.

use std::time::Duration;

use super::action::Verb;
use super::cluster::{Claimed, Cluster};
use super::conditions::{LAUNCHED, since};
use super::event::Subject;
use super::turn::{Turn, later};
use k8s_openapi::api::core::v1::Node;

use crate::api::labels;
use crate::cloud::kwok;
use crate::observe::objects::ObjectKey;

/// Makes the nodes of launched claims whose time has come. A node that is gone does not come again: who registered has lived.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    let unborn = |claimed: &&Claimed| {
        claimed.is(LAUNCHED) && claimed.nodes.is_empty() && !claimed.is("Registered") && !claimed.is_deleting()
    };
    for claimed in cluster.claims.iter().filter(unborn) {
        turn.about(claimed);
        let Some(node) = kwok::birth(claimed.claim) else { continue };
        let launched = claimed.claim.status.as_ref().and_then(|status| since(&status.conditions, LAUNCHED));
        if launched.is_some_and(|launched| turn.is_due(later(launched, delay(cluster, claimed)))) {
            turn.write_version(Subject::of_cluster("Node", claimed.name()), None, Verb::Create(node));
        }
    }
    turn.about_all();
}

/// Takes away nodes that were born when their claim was gone.
pub(super) fn sweep(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    for node in cluster.objects.nodes.values().filter(|_| cluster.is_structural).map(|node| &node.object) {
        let id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).unwrap_or_default();
        let Some(name) = node.metadata.name.as_deref().filter(|_| kwok::is_of_kwok(id)) else { continue };
        let has_claim = cluster.objects.node_claims.contains_key(&Subject::of_cluster("NodeClaim", name).key);
        let has_finalizer = node.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
        if !has_claim && !has_finalizer && node.metadata.deletion_timestamp.is_none() && is_played(node) {
            let uid = node.metadata.uid.as_deref().unwrap_or_default().into();
            turn.write(
                Subject::of_cluster("Node", name),
                &node.metadata,
                Verb::Delete { uid, version: None, grace: None },
            );
        }
    }
}

/// Whether it came from here, and not from another provisioner's kwok.
fn is_played(node: &Node) -> bool {
    node.metadata.labels.as_ref().is_some_and(|of| of.contains_key(labels::NODEPOOL))
        && node.metadata.annotations.as_ref().is_some_and(|of| of.contains_key(labels::BORN_OF))
}

/// `spec.nodeRegistrationDelay` of a KWOKNodeClass.
fn delay(cluster: &Cluster<'_>, claimed: &Claimed<'_>) -> Duration {
    let class = &claimed.claim.spec.node_class_ref;
    let key = ObjectKey { namespace: "".into(), name: class.name.as_str().into() };
    let class = cluster.objects.kwok_node_classes.get(&key).filter(|_| class.kind == "KWOKNodeClass");
    let delay = class.and_then(|class| class.object.spec.spec.node_registration_delay.as_ref());
    Duration::from_secs(delay.and_then(|delay| delay.seconds().ok()).unwrap_or(0))
}
