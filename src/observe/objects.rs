//! Raw objects -> typed objects by kind. k8s-openapi types are parsed here and nowhere else.

mod add;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodTemplate, ReplicationController,
    Service,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;

use self::add::{Findings, Kind, Scope, insert};
pub use self::written::KnownKind;
use self::written::Written;
use super::admission;
use super::input::{FieldError, InputError, Origin};
use super::read::RawObject;
use super::snapshot::PodKey;
use crate::api::capacity_buffer::CapacityBuffer;
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::kwok_node_class::KWOKNodeClass;
use crate::api::node_claim::NodeClaim;
use crate::api::node_overlay::NodeOverlay;
use crate::api::node_pool::NodePool;

/// Namespace and name; the namespace of a cluster-scoped object is empty.
pub type ObjectKey = PodKey;

/// Objects of one kind. Sorted, so that everything built from them is independent of the order of the input.
pub type Table<T> = BTreeMap<ObjectKey, Sourced<T>>;

/// Shared, so that a picture of a cluster is taken without copying what is in it.
#[derive(Debug)]
pub struct Sourced<T> {
    pub origin: Origin,
    pub object: Arc<T>,
}

impl<T> Clone for Sourced<T> {
    fn clone(&self) -> Self {
        Self { origin: self.origin.clone(), object: self.object.clone() }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $field:ident: $type:ident = ($group:literal, $version:literal, $scope:ident, $rules:ident);)*) => {
        /// Everything that was read, by kind.
        #[derive(Debug, Clone, Default)]
        pub struct Objects {
            $($(#[$doc])* pub $field: Table<$type>,)*
            /// Objects of kinds that are not read: how many of each.
            pub skipped: BTreeMap<String, usize>,
            pub errors: Vec<InputError>,
            pub notes: Vec<String>,
            /// Kind and name of objects that are in the input and cannot be read, and why.
            pub unusable: BTreeMap<(&'static str, ObjectKey), String>,
        }

        impl Objects {
            fn add(&mut self, raw: RawObject, findings: &mut Findings) {
                let written = match Written::of(&raw) {
                    Ok(written) => written,
                    Err(error) => return findings.errors.push(error),
                };
                match (written.group.as_str(), written.kind.as_str()) {
                    $(($group, stringify!($type)) => {
                        let kind = Kind {
                            name: stringify!($type), group: $group, version: $version, scope: Scope::$scope,
                        };
                        insert(&mut self.$field, raw, &written, kind, admission::$rules, findings);
                    })*
                    _ => match written.mistaken_kind(KINDS) {
                        Some(message) => findings.errors.push(written.kind_error(&raw, message)),
                        None => *self.skipped.entry(written.full_kind()).or_default() += 1,
                    },
                }
            }
        }

        impl Objects {
            /// What identifies an object of a kind that is read; `None` where it is not there.
            #[must_use]
            pub fn metadata(&self, kind: &str, key: &ObjectKey) -> Option<&ObjectMeta> {
                match kind {
                    $(stringify!($type) => self.$field.get(key).map(|found| found.object.meta()),)*
                    _ => None,
                }
            }

            /// Takes an object of a kind that is read out.
            pub fn remove(&mut self, kind: &str, key: &ObjectKey) {
                match kind {
                    $(stringify!($type) => drop(self.$field.remove(key)),)*
                    _ => {}
                }
                self.unusable.retain(|(of, at), _| *of != kind || at != key);
            }

            /// The objects of a kind that is read.
            #[must_use]
            pub fn keys(&self, kind: &str) -> BTreeSet<ObjectKey> {
                match kind {
                    $(stringify!($type) => self.$field.keys().cloned().collect(),)*
                    _ => BTreeSet::new(),
                }
            }
        }

        /// Every kind that is read, with its group and version.
        pub const KINDS: &[KnownKind] = &[$(KnownKind { name: stringify!($type), group: $group, version: $version },)*];
    };
}

kinds! {
    pods: Pod = ("", "v1", Namespaced, pod);
    nodes: Node = ("", "v1", Cluster, none);
    namespaces: Namespace = ("", "v1", Cluster, none);
    limit_ranges: LimitRange = ("", "v1", Namespaced, none);
    volumes: PersistentVolume = ("", "v1", Cluster, none);
    volume_claims: PersistentVolumeClaim = ("", "v1", Namespaced, none);
    pod_templates: PodTemplate = ("", "v1", Namespaced, pod_template);
    services: Service = ("", "v1", Namespaced, none);
    replication_controllers: ReplicationController = ("", "v1", Namespaced, replication_controller);
    deployments: Deployment = ("apps", "v1", Namespaced, deployment);
    replica_sets: ReplicaSet = ("apps", "v1", Namespaced, replica_set);
    stateful_sets: StatefulSet = ("apps", "v1", Namespaced, stateful_set);
    daemon_sets: DaemonSet = ("apps", "v1", Namespaced, daemon_set);
    jobs: Job = ("batch", "v1", Namespaced, job);
    cron_jobs: CronJob = ("batch", "v1", Namespaced, cron_job);
    disruption_budgets: PodDisruptionBudget = ("policy", "v1", Namespaced, none);
    priority_classes: PriorityClass = ("scheduling.k8s.io", "v1", Cluster, none);
    runtime_classes: RuntimeClass = ("node.k8s.io", "v1", Cluster, none);
    storage_classes: StorageClass = ("storage.k8s.io", "v1", Cluster, none);
    csi_nodes: CSINode = ("storage.k8s.io", "v1", Cluster, none);
    volume_attachments: VolumeAttachment = ("storage.k8s.io", "v1", Cluster, none);
    node_pools: NodePool = ("karpenter.sh", "v1", Cluster, none);
    node_claims: NodeClaim = ("karpenter.sh", "v1", Cluster, none);
    node_overlays: NodeOverlay = ("karpenter.sh", "v1alpha1", Cluster, none);
    ec2_node_classes: EC2NodeClass = ("karpenter.k8s.aws", "v1", Cluster, none);
    kwok_node_classes: KWOKNodeClass = ("karpenter.kwok.sh", "v1alpha1", Cluster, none);
    buffers: CapacityBuffer = ("autoscaling.x-k8s.io", "v1beta1", Namespaced, none);
}

/// Kinds that no decision reads: what ends nodes looks at them.
const OF_TERMINATION: [&str; 1] = ["VolumeAttachment"];

/// The kinds that decisions read.
pub fn decided_by() -> impl Iterator<Item = &'static KnownKind> {
    KINDS.iter().filter(|kind| !OF_TERMINATION.contains(&kind.name))
}

impl Objects {
    /// Sorts raw objects by kind. An object that appears twice counts once, as it was written last.
    #[must_use]
    pub fn collect(raw: impl IntoIterator<Item = RawObject>) -> Self {
        let mut objects = Self::default();
        let mut findings = Findings::default();
        for object in raw {
            objects.add(object, &mut findings);
        }
        objects.notes = findings.notes();
        objects.errors = findings.errors;
        objects.unusable = findings.unusable;
        objects
    }

    /// Puts an object in the place of what it was before.
    ///
    /// # Errors
    /// It cannot be read: then it is as if it were not there, which [`Objects::unusable`] notes.
    pub fn put(&mut self, kind: &'static str, key: &ObjectKey, raw: RawObject) -> Result<(), InputError> {
        self.remove(kind, key);
        let mut findings = Findings::default();
        self.add(raw, &mut findings);
        self.unusable.append(&mut findings.unusable);
        findings.errors.into_iter().next().map_or(Ok(()), Err)
    }

    /// Why an object of the input cannot be used, if it cannot be read.
    pub(super) fn why_unusable(&self, kind: &str, key: &ObjectKey) -> Option<&str> {
        let mut unusable = self.unusable.iter();
        unusable.find(|((of, at), _)| *of == kind && at == key).map(|(_, reason)| reason.as_str())
    }

    /// Reports a field that turned out unusable when the object was put to use.
    pub(super) fn field_error(kind: &str, key: &ObjectKey, origin: &Origin, error: FieldError) -> InputError {
        InputError {
            origin: origin.clone(),
            object: Some(object_name(kind, key)),
            field: Some(error.path),
            message: error.message,
        }
    }
}

pub(super) fn object_name(kind: &str, key: &ObjectKey) -> String {
    if key.namespace.is_empty() { format!("{kind} {}", key.name) } else { format!("{kind} {key}") }
}
