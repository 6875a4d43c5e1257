//! `ReadWriteOncePod`: a volume claim that one pod of the cluster may use.

use std::collections::HashMap;
use std::sync::Arc;

use crate::observe::Snapshot;
use crate::observe::snapshot::PodSpec;

/// Volume claims in use: whether some user has the claim for itself.
pub struct Claims(HashMap<Arc<str>, bool>);

impl Claims {
    /// The claims of bound pods, terminating ones too; a displaced pod leaves its own.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut claims = Self(HashMap::new());
        for pod in snapshot.pods.iter().filter(|pod| pod.node.is_some() && !pod.displaced) {
            claims.take(&pod.template.spec);
        }
        claims
    }

    /// Whether one more pod may use the claims of this one.
    pub fn admit(&self, spec: &PodSpec) -> bool {
        let free = |claim: &Arc<str>, alone: bool| self.0.get(claim).is_none_or(|taken_alone| !alone && !taken_alone);
        spec.volumes.iter().all(|volume| free(&volume.claim, volume.single_pod))
    }

    pub fn take(&mut self, spec: &PodSpec) {
        for volume in &spec.volumes {
            *self.0.entry(volume.claim.clone()).or_default() |= volume.single_pod;
        }
    }
}
