//! Plays the machines: an instance that runs joins the cluster as a node that kwok keeps ready, and what has ended is ready no more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_ec2::types::{Instance, InstanceStateName};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use packwright::api::labels;
use packwright::aws::Aws;
use packwright::catalog::ec2::instance_types;
use packwright::catalog::{Ec2Facts, InstanceType, Market, NodeClassFacts};
use packwright::resources::quantities;
use packwright::settings::Settings;
use serde_json::json;

use super::account::REGION;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);

/// It ends with this value.
pub struct Joiner(tokio::task::JoinHandle<()>);

impl Joiner {
    pub fn start(aws: Aws, client: Client) -> Self {
        let (market, _) = Market::offline(REGION).unwrap();
        let settings = Settings { estimate_margin_permille: 0, ..Settings::default() };
        let types = instance_types(Ec2Facts::bundled(), &NodeClassFacts::default(), &market, &settings);
        let types: BTreeMap<String, InstanceType> =
            types.into_iter().map(|kind| (kind.name.to_string(), kind)).collect();
        Self(tokio::spawn(async move {
            loop {
                look(&aws, &client, &types).await;
                tokio::time::sleep(EVERY).await;
            }
        }))
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Those that are there.
pub async fn running(aws: &Aws) -> Vec<Instance> {
    let pages = aws.ec2.describe_instances().into_paginator().items().send();
    let reservations = pages.try_collect().await.unwrap();
    let all = reservations.iter().flat_map(|of| of.instances().iter().cloned());
    all.filter(|of| of.state().unwrap().name() == Some(&InstanceStateName::Running)).collect()
}

pub fn provider_id(of: &Instance) -> String {
    let zone = of.placement().unwrap().availability_zone().unwrap();
    format!("aws:///{zone}/{}", of.instance_id().unwrap())
}

async fn look(aws: &Aws, client: &Client, types: &BTreeMap<String, InstanceType>) {
    let running = running(aws).await;
    let nodes: Api<Node> = Api::all(client.clone());
    let Ok(there) = nodes.list(&ListParams::default()).await else { return };
    let id = |node: &Node| node.spec.as_ref().and_then(|spec| spec.provider_id.clone()).unwrap_or_default();
    let known: BTreeSet<String> = there.items.iter().map(id).collect();
    let ids: BTreeSet<String> = running.iter().map(provider_id).collect();
    for instance in running.iter().filter(|of| !known.contains(&provider_id(of))) {
        let node = node(instance, &types[instance.instance_type().unwrap().as_str()]);
        let _ = nodes.create(&PostParams::default(), &node).await; // it is tried again
    }
    // as the cloud controller manager does
    for gone in there.items.iter().filter(|node| id(node).starts_with("aws://") && !ids.contains(&id(node))) {
        let _ = nodes.delete(&gone.name_any(), &DeleteParams::default()).await; // it is tried again
    }
}

fn node(of: &Instance, kind: &InstanceType) -> Node {
    let name = format!("ip-{}", of.private_ip_address().unwrap().replace('.', "-"));
    let tag =
        |key: &str| of.tags().iter().find(|tag| tag.key() == Some(key)).and_then(|tag| tag.value()).unwrap_or_default();
    serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                labels::HOSTNAME: name, labels::ARCH: kind.requirements.get(labels::ARCH).unwrap().any_value().unwrap(),
                labels::OS: "linux", labels::INSTANCE_TYPE: kind.name, labels::NODEPOOL: tag(labels::NODEPOOL),
                labels::ZONE: of.placement().unwrap().availability_zone(),
            },
        },
        "spec": {
            "providerID": provider_id(of),
            "taints": [{"key": labels::TAINT_UNREGISTERED, "effect": "NoExecute"}],
        },
        "status": {
            "capacity": quantities(&kind.capacity), "allocatable": quantities(&kind.allocatable),
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }))
    .unwrap()
}
