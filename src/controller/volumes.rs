//! Which volumes keep the instance of a drained node: one that is attached elsewhere before it is detached here may lose data.
//!
//! Source: the reference's `node/termination` (karpenter-core 4.10).

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::observe::objects::{ObjectKey, Objects};

/// The names of the VolumeAttachments of a node that are waited for; not those of `staying`, pods that its end does not make
/// leave.
pub(super) fn attached<'o>(objects: &'o Objects, node: &str, staying: &[&Pod]) -> Vec<&'o str> {
    let kept: BTreeSet<&str> = staying.iter().flat_map(|pod| volumes(objects, pod)).collect();
    let of_node = objects.volume_attachments.values().map(|of| &of.object).filter(|of| of.spec.node_name == node);
    let is_kept = |volume: Option<&str>| volume.is_some_and(|volume| kept.contains(volume));
    let waited_for = of_node.filter(|of| !is_kept(of.spec.source.persistent_volume_name.as_deref()));
    waited_for.filter_map(|of| of.metadata.name.as_deref()).collect()
}

/// The PersistentVolumes of a pod.
fn volumes<'o>(objects: &'o Objects, pod: &Pod) -> Vec<&'o str> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace: Arc<str> = Arc::from(pod.metadata.namespace.as_deref().unwrap_or_default());
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let claims = volumes.filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(claim), _) => Some(claim.claim_name.clone()),
        (None, Some(_)) => Some(format!("{name}-{}", volume.name)), // as Kubernetes names the claim that it makes
        (None, None) => None,
    });
    let bound = claims.filter_map(|claim| {
        let key = ObjectKey { namespace: namespace.clone(), name: claim.into() };
        objects.volume_claims.get(&key)?.object.spec.as_ref()?.volume_name.as_deref()
    });
    bound.collect()
}
