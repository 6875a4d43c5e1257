//! Claims that a bound pod has for itself: `ReadWriteOncePod` (kube-scheduler, VolumeRestrictions); and claims that are bound to the
//! zone of their first user (VolumeBinding): where it goes is known only once it is there. Which of several pending pods gets a
//! `ReadWriteOncePod` claim is a matter of the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::snapshot::{Pod, Volume};

/// Refuses every pending pod whose claim a bound pod has for itself, terminating ones too; and of those that share a claim without a
/// place all but the first in the order of `pods`.
pub(crate) fn refuse_second_users(pods: &mut [Pod]) {
    let in_turn = |volume: &&Volume| volume.single_pod || volume.follows_first_user;
    if !pods.iter().any(|pod| pod.template.spec.volumes.iter().any(|volume| in_turn(&volume))) {
        return;
    }
    let claims = |pod: &Pod| -> Vec<Volume> { pod.template.spec.volumes.iter().filter(in_turn).cloned().collect() };
    let mut users: BTreeMap<Arc<str>, String> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod.is_pending()) {
        let single = claims(pod).into_iter().filter(|volume| volume.single_pod);
        users.extend(single.map(|volume| (volume.claim, pod.key.to_string())));
    }
    for pod in pods.iter_mut().filter(|pod| pod.is_pending() && pod.refused.is_none()) {
        let claims = claims(pod);
        if let Some((volume, user)) = claims.iter().find_map(|volume| Some((volume, users.get(&volume.claim)?))) {
            let claim = &volume.claim;
            let reason = if volume.single_pod {
                format!("persistent volume claim {claim} is for one pod at a time, and {user} has it")
            } else {
                format!(
                    "persistent volume claim {claim} will be bound where {user} goes; until then others that use it wait"
                )
            };
            pod.refused = Some(Arc::from(reason));
        } else {
            let without_place = claims.into_iter().filter(|volume| volume.follows_first_user);
            users.extend(without_place.map(|volume| (volume.claim, pod.key.to_string())));
        }
    }
}
