//! Volumes of pods: where they can be used, which driver attaches them, and when a pod has to wait for one.
//!
//! Follows karpenter's volume topology (core 2.1, 2.4) and kube-scheduler's VolumeZone and VolumeRestrictions.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec};
use k8s_openapi::api::storage::v1::StorageClass;

use super::input::{FieldError, FieldResult as _};
use super::objects::{ObjectKey, Objects};
use super::selectors::node_term;
use super::snapshot::{NodeAffinityTerm, Volume};
use crate::api::labels;
use crate::requirements::{Requirement, Requirements};

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const LEGACY_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Claims, volumes and classes of the input.
pub(super) struct Storage<'a> {
    objects: &'a Objects,
    default_class: Option<&'a str>,
}

/// Volumes in the order of the manifest, and why the pod cannot be placed because of one.
type VolumesAndRefusal = (Vec<Volume>, Option<Arc<str>>);

impl<'a> Storage<'a> {
    pub fn new(objects: &'a Objects) -> Self {
        let default_class = objects.storage_classes.iter().find(|(_, class)| {
            let annotations = class.object.metadata.annotations.as_ref();
            annotations.is_some_and(|annotations| annotations.get(DEFAULT_CLASS).is_some_and(|value| value == "true"))
        });
        Self { objects, default_class: default_class.map(|(key, _)| key.name.as_ref()) }
    }

    /// The persistent volumes of a pod: claims; ephemeral volumes, whose claim is named `<pod>-<volume>`; and claims of
    /// a StatefulSet's templates, named `<template>-<pod>`, which take the place of volumes of the template's name.
    pub fn of_pod(
        &self,
        namespace: &Arc<str>,
        pod_name: &str,
        spec: &PodSpec,
        claim_templates: &[PersistentVolumeClaim],
    ) -> Result<VolumesAndRefusal, FieldError> {
        let (mut volumes, mut refusal) = (Vec::new(), None);
        for template in claim_templates {
            let template_name = template.metadata.name.as_deref().unwrap_or_default();
            let name = Arc::from(format!("{template_name}-{pod_name}"));
            let key = ObjectKey { namespace: namespace.clone(), name };
            match self.of_claim(&key, template.spec.as_ref())? {
                Ok(volume) => volumes.push(volume),
                Err(reason) => {
                    refusal.get_or_insert_with(|| Arc::from(reason));
                }
            }
        }
        for (i, volume) in spec.volumes.iter().flatten().enumerate() {
            if claim_templates.iter().any(|template| template.metadata.name.as_deref() == Some(&volume.name)) {
                continue;
            }
            let (name, template) = if let Some(claim) = &volume.persistent_volume_claim {
                (claim.claim_name.clone(), None)
            } else if let Some(ephemeral) = &volume.ephemeral {
                let template = ephemeral.volume_claim_template.as_ref().map(|template| &template.spec);
                (format!("{pod_name}-{}", volume.name), template)
            } else {
                continue;
            };
            let key = ObjectKey { namespace: namespace.clone(), name: Arc::from(name) };
            match self.of_claim(&key, template).within_item("volumes", i)? {
                Ok(volume) => volumes.push(volume),
                Err(reason) => {
                    refusal.get_or_insert_with(|| Arc::from(reason));
                }
            }
        }
        volumes.sort();
        volumes.dedup();
        Ok((volumes, refusal))
    }

    /// The volume behind a claim; `template` is that of a claim which may not exist yet. The inner error says why the
    /// pod has to wait.
    fn of_claim(
        &self,
        key: &ObjectKey,
        template: Option<&PersistentVolumeClaimSpec>,
    ) -> Result<Result<Volume, String>, FieldError> {
        let claim = self.objects.volume_claims.get(key).map(|claim| &*claim.object);
        let spec = match (claim, template) {
            (Some(claim), _) => claim.spec.clone().unwrap_or_default(),
            (None, Some(template)) => template.clone(),
            (None, None) => return Ok(Err(format!("persistent volume claim {key} does not exist"))),
        };
        let place = match self.place(key, claim, &spec) {
            Ok(place) => place,
            Err(reason) => return Ok(Err(reason)),
        };
        let follows_first_user =
            matches!(place, Place::Unbound(class) if ZONAL_DRIVERS.contains(&csi_driver(&class.provisioner).as_str()));
        let (driver, topology) = match place {
            Place::Bound(volume) => (driver_of_volume(volume), topology_of_volume(volume)?),
            Place::Unbound(class) => (Some(csi_driver(&class.provisioner)), topology_of_class(class)),
        };
        let modes = spec.access_modes.iter().flatten();
        Ok(Ok(Volume {
            claim: Arc::from(key.to_string()),
            driver: driver.map(Arc::from),
            topology,
            single_pod: modes.into_iter().any(|mode| mode == "ReadWriteOncePod"),
            follows_first_user,
        }))
    }

    fn place(
        &self,
        key: &ObjectKey,
        claim: Option<&PersistentVolumeClaim>,
        spec: &PersistentVolumeClaimSpec,
    ) -> Result<Place<'a>, String> {
        let metadata = claim.map(|claim| &claim.metadata);
        if metadata.is_some_and(|metadata| metadata.deletion_timestamp.is_some()) {
            return Err(format!("persistent volume claim {key} is being deleted"));
        }
        if claim.and_then(|claim| claim.status.as_ref()?.phase.as_deref()) == Some("Lost") {
            return Err(format!("persistent volume claim {key} has lost its volume"));
        }
        let annotation = |name: &str| metadata.and_then(|metadata| metadata.annotations.as_ref()?.get(name));
        if let Some(name) = spec.volume_name.as_deref().filter(|name| !name.is_empty()) {
            if annotation(BIND_COMPLETED).is_none() {
                return Err(format!("persistent volume claim {key} is not yet bound to its volume {name}"));
            }
            let volume_key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
            let volume = self.objects.volumes.get(&volume_key).map(|volume| &volume.object);
            let volume = volume.ok_or_else(|| format!("persistent volume {name} of claim {key} does not exist"))?;
            if volume.metadata.deletion_timestamp.is_some() {
                return Err(format!("persistent volume {name} of claim {key} is being deleted"));
            }
            return Ok(Place::Bound(volume));
        }
        let named = annotation(LEGACY_CLASS).map(String::as_str).or(spec.storage_class_name.as_deref());
        let name = named.or(self.default_class).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| format!("persistent volume claim {key} is unbound and has no storage class"))?;
        let class_key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
        let class = self.objects.storage_classes.get(&class_key).map(|class| &class.object);
        let class = class.ok_or_else(|| format!("storage class {name} of claim {key} does not exist"))?;
        if let Some(mode) = class.volume_binding_mode.as_deref()
            && !["Immediate", "WaitForFirstConsumer"].contains(&mode)
        {
            return Err(format!(
                "storage class {name} of claim {key}: volumeBindingMode: expected Immediate or WaitForFirstConsumer, found {mode}"
            ));
        }
        if class.volume_binding_mode.as_deref() != Some("WaitForFirstConsumer") {
            return Err(format!("persistent volume claim {key} is unbound, and its storage class binds immediately"));
        }
        Ok(Place::Unbound(class))
    }
}

enum Place<'a> {
    Bound(&'a PersistentVolume),
    Unbound(&'a StorageClass),
}

/// Node affinity terms of a volume, ORed, with the zone and region labels that older volumes carry instead. The host
/// of a local volume is no place for a new node, so it does not count.
fn topology_of_volume(volume: &PersistentVolume) -> Result<Vec<NodeAffinityTerm>, FieldError> {
    let Some(spec) = &volume.spec else { return Ok(Vec::new()) };
    let on_host = spec.local.is_some() || spec.host_path.is_some();
    let mut topology = Vec::new();
    let required = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
    for term in required.iter().flat_map(|selector| &selector.node_selector_terms) {
        let NodeAffinityTerm(mut requirements) = node_term(term).within("persistentVolume.spec.nodeAffinity")?;
        if on_host {
            requirements.remove(labels::HOSTNAME);
        }
        topology.push(NodeAffinityTerm(requirements));
    }
    let zones = volume.metadata.labels.iter().flatten();
    let mut labelled = Requirements::new();
    for (key, value) in zones.filter(|(key, _)| matches!(labels::normalize(key), labels::ZONE | labels::REGION)) {
        labelled.add(key, Requirement::one_of(value.split("__"))); // how volumes of several zones write them
    }
    if !labelled.is_empty() {
        if topology.is_empty() {
            topology.push(NodeAffinityTerm::default());
        }
        for term in &mut topology {
            term.0.add_all(&labelled);
        }
    }
    // a term without requirements allows every node, and so does the whole
    if topology.iter().any(|term| term.0.is_empty()) {
        topology.clear();
    }
    Ok(topology)
}

fn topology_of_class(class: &StorageClass) -> Vec<NodeAffinityTerm> {
    let terms = class.allowed_topologies.iter().flatten();
    let terms = terms.map(|term| {
        let mut requirements = Requirements::new();
        for expression in term.match_label_expressions.iter().flatten() {
            requirements.add(&expression.key, Requirement::one_of(expression.values.iter().map(String::as_str)));
        }
        NodeAffinityTerm(requirements)
    });
    terms.filter(|term| !term.0.is_empty()).collect()
}

/// The CSI driver of a volume; plugins that once were part of Kubernetes have one that took over.
fn driver_of_volume(volume: &PersistentVolume) -> Option<String> {
    let spec = volume.spec.as_ref()?;
    if let Some(csi) = &spec.csi {
        return Some(csi.driver.clone());
    }
    let in_tree = [
        (spec.aws_elastic_block_store.is_some(), "kubernetes.io/aws-ebs"),
        (spec.gce_persistent_disk.is_some(), "kubernetes.io/gce-pd"),
        (spec.azure_disk.is_some(), "kubernetes.io/azure-disk"),
        (spec.azure_file.is_some(), "kubernetes.io/azure-file"),
        (spec.cinder.is_some(), "kubernetes.io/cinder"),
        (spec.vsphere_volume.is_some(), "kubernetes.io/vsphere-volume"),
        (spec.portworx_volume.is_some(), "kubernetes.io/portworx-volume"),
    ];
    in_tree.into_iter().find(|(present, _)| *present).map(|(_, plugin)| csi_driver(plugin))
}

/// Drivers whose volumes exist in one zone.
const ZONAL_DRIVERS: [&str; 1] = ["ebs.csi.aws.com"];

/// The CSI driver that serves a provisioner (`k8s.io/csi-translation-lib`).
fn csi_driver(provisioner: &str) -> String {
    let driver = match provisioner {
        "kubernetes.io/aws-ebs" => "ebs.csi.aws.com",
        "kubernetes.io/gce-pd" => "pd.csi.storage.gke.io",
        "kubernetes.io/azure-disk" => "disk.csi.azure.com",
        "kubernetes.io/azure-file" => "file.csi.azure.com",
        "kubernetes.io/cinder" => "cinder.csi.openstack.org",
        "kubernetes.io/vsphere-volume" => "csi.vsphere.vmware.com",
        "kubernetes.io/portworx-volume" => "pxd.portworx.com",
        other => other,
    };
    driver.to_owned()
}

#[cfg(test)]
mod tests;
