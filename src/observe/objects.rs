//! Raw objects -> typed objects by kind. k8s-openapi types are parsed here and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodTemplate, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use serde::de::DeserializeOwned;
use serde_json::Value;

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

#[derive(Debug, Clone)]
pub struct Sourced<T> {
    pub origin: Origin,
    pub object: T,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $field:ident: $type:ident = ($group:literal, $scope:ident);)*) => {
        /// Everything that was read, by kind.
        #[derive(Debug, Clone, Default)]
        pub struct Objects {
            $($(#[$doc])* pub $field: Table<$type>,)*
            /// Objects of kinds that no decision needs: how many of each.
            pub skipped: BTreeMap<String, usize>,
            pub errors: Vec<InputError>,
            pub notes: Vec<String>,
        }

        impl Objects {
            fn add(&mut self, raw: RawObject) -> Result<(), InputError> {
                let (group, kind) = group_and_kind(&raw)?;
                match (group.as_str(), kind.as_str()) {
                    $(($group, stringify!($type)) => {
                        insert(&mut self.$field, raw, &kind, Scope::$scope, &mut self.notes)
                    })*
                    _ => {
                        let name = if group.is_empty() { kind } else { format!("{kind}.{group}") };
                        *self.skipped.entry(name).or_default() += 1;
                        Ok(())
                    }
                }
            }
        }
    };
}

kinds! {
    pods: Pod = ("", Namespaced);
    nodes: Node = ("", Cluster);
    namespaces: Namespace = ("", Cluster);
    limit_ranges: LimitRange = ("", Namespaced);
    volumes: PersistentVolume = ("", Cluster);
    volume_claims: PersistentVolumeClaim = ("", Namespaced);
    pod_templates: PodTemplate = ("", Namespaced);
    services: Service = ("", Namespaced);
    deployments: Deployment = ("apps", Namespaced);
    replica_sets: ReplicaSet = ("apps", Namespaced);
    stateful_sets: StatefulSet = ("apps", Namespaced);
    daemon_sets: DaemonSet = ("apps", Namespaced);
    jobs: Job = ("batch", Namespaced);
    disruption_budgets: PodDisruptionBudget = ("policy", Namespaced);
    priority_classes: PriorityClass = ("scheduling.k8s.io", Cluster);
    storage_classes: StorageClass = ("storage.k8s.io", Cluster);
    csi_nodes: CSINode = ("storage.k8s.io", Cluster);
    node_pools: NodePool = ("karpenter.sh", Cluster);
    node_claims: NodeClaim = ("karpenter.sh", Cluster);
    node_overlays: NodeOverlay = ("karpenter.sh", Cluster);
    ec2_node_classes: EC2NodeClass = ("karpenter.k8s.aws", Cluster);
    kwok_node_classes: KWOKNodeClass = ("karpenter.kwok.sh", Cluster);
    buffers: CapacityBuffer = ("autoscaling.x-k8s.io", Namespaced);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Namespaced,
    Cluster,
}

impl Objects {
    /// Sorts raw objects by kind. An object that appears twice counts once, as it was written last.
    #[must_use]
    pub fn collect(raw: impl IntoIterator<Item = RawObject>) -> Self {
        let mut objects = Self::default();
        for object in raw {
            if let Err(error) = objects.add(object) {
                objects.errors.push(error);
            }
        }
        objects
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

fn group_and_kind(raw: &RawObject) -> Result<(String, String), InputError> {
    let text = |field: &str| match raw.value.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
        found => Err(InputError {
            origin: raw.origin.clone(),
            object: raw.value.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned),
            field: Some(field.to_owned()),
            message: match found {
                None | Some(Value::Null) => "expected a string, found nothing".to_owned(),
                Some(value) => format!("expected a string, found {value}"),
            },
        }),
    };
    let kind = text("kind")?.to_owned();
    let api_version = text("apiVersion")?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Ok((group.to_owned(), kind))
}

fn insert<T: DeserializeOwned>(
    table: &mut Table<T>,
    raw: RawObject,
    kind: &str,
    scope: Scope,
    notes: &mut Vec<String>,
) -> Result<(), InputError> {
    let RawObject { origin, value } = raw;
    let metadata = |field: &str| {
        let found = value.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
        found.filter(|text| !text.is_empty())
    };
    let namespace = match scope {
        Scope::Namespaced => metadata("namespace").unwrap_or("default"),
        Scope::Cluster => "",
    };
    let generated = metadata("generateName").map(|prefix| (1..).map(move |n| format!("{prefix}{n}")));
    let name = match (metadata("name"), generated) {
        (Some(name), _) => name.to_owned(),
        (None, Some(mut names)) => {
            let unused = |name: &String| {
                !table.contains_key(&ObjectKey { namespace: Arc::from(namespace), name: Arc::from(name.as_str()) })
            };
            names.find(unused).expect("a finite table leaves names unused")
        }
        (None, None) => String::new(),
    };
    let key = ObjectKey { namespace: Arc::from(namespace), name: Arc::from(name) };
    if key.name.is_empty() {
        let field = Some("metadata.name".to_owned());
        let message = "expected a name, found nothing".to_owned();
        return Err(InputError { origin, object: Some(kind.to_owned()), field, message });
    }
    // The path is tracked only once it is known that there is something to report: tracking costs half the time.
    let object = match T::deserialize(&value) {
        Ok(object) => object,
        Err(_) => match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(object) => object,
            Err(error) => {
                let path = Some(error.path().to_string()).filter(|path| path != ".");
                let object = Some(object_name(kind, &key));
                return Err(InputError { origin, object, field: path, message: error.inner().to_string() });
            }
        },
    };
    if table.insert(key.clone(), Sourced { origin, object }).is_some() {
        notes.push(format!("{} was given more than once; the last one is used", object_name(kind, &key)));
    }
    Ok(())
}
