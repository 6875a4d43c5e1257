//! `ReadWriteOncePod` claims: one pod of the cluster at a time (kube-scheduler, VolumeRestrictions).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::snapshot::Pod;

/// Refuses every pending pod whose claim of this kind another pod has: one that is bound, terminating ones too, else the
/// first in the order of `pods`.
pub(super) fn refuse_second_users(pods: &mut [Pod]) {
    let is_single = |pod: &Pod| pod.template.spec.volumes.iter().any(|volume| volume.single_pod);
    if !pods.iter().any(is_single) {
        return;
    }
    let claims = |pod: &Pod| -> Vec<Arc<str>> {
        let single = pod.template.spec.volumes.iter().filter(|volume| volume.single_pod);
        single.map(|volume| volume.claim.clone()).collect()
    };
    let mut users: BTreeMap<Arc<str>, String> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod.is_pending()) {
        users.extend(claims(pod).into_iter().map(|claim| (claim, pod.key.to_string())));
    }
    for pod in pods.iter_mut().filter(|pod| pod.is_pending() && pod.refused.is_none()) {
        let claims = claims(pod);
        if let Some((claim, user)) = claims.iter().find_map(|claim| users.get_key_value(claim)) {
            let reason = format!("persistent volume claim {claim} is for one pod at a time, and {user} has it");
            pod.refused = Some(Arc::from(reason));
        } else {
            users.extend(claims.into_iter().map(|claim| (claim, pod.key.to_string())));
        }
    }
}
