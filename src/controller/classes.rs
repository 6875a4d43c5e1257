//! EC2NodeClasses where there is no account: nothing has to be looked up, so they are ready at once. Where instances are of EC2, whoever
//! has an account says what it has found.

use serde_json::json;

use super::cluster::Cluster;
use super::conditions::{Conditions, READY};
use super::turn::Turn;
use crate::cloud::Provider;

/// Says so.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    if turn.settings.provider == Provider::Ec2 {
        return;
    }
    for class in cluster.objects.ec2_node_classes.values().map(|class| &class.object) {
        let known = class.status.as_ref().map_or(&[][..], |status| &status.conditions);
        // one that somebody has looked at says more than we know
        if class.metadata.deletion_timestamp.is_none() && known.is_empty() {
            let mut conditions = Conditions::of(known, class.metadata.generation, turn.now);
            conditions.set_true(READY);
            turn.patch_status("EC2NodeClass", &class.metadata, &json!({"conditions": conditions.into_list()}));
        }
    }
}
