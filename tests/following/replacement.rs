//! A node that replaces another: its pods do not exist before the others are evicted.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use packwright::placement::{ClaimPlan, ExpectedPods, Mode, signature::signature};
use serde_json::json;

use super::follower::{Follower, in_mode};
use super::on_cluster;
use super::poll::until;
use super::world::{PlannedNode, World, create};

const REPLICAS: usize = 4;

/// How many pods of the set are bound to a node.
async fn on_node(world: &World, node: &str) -> Result<usize, kube::Error> {
    let pods = world.pods().list(&ListParams::default().labels("app=moved")).await?;
    let is_there = |pod: &&k8s_openapi::api::core::v1::Pod| {
        pod.metadata.deletion_timestamp.is_none()
            && pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(node))
    };
    Ok(pods.iter().filter(is_there).count())
}

#[test]
fn the_pods_of_a_replaced_node_find_the_new_one_free() {
    on_cluster(async |cluster, client| {
        let mut world = World::exactly_filled(&client, "replaced", 31, 0);
        for name in ["replaced-old", "replaced-new"] {
            world.nodes.push(PlannedNode { name: name.to_owned(), milli: 2100, pods: Vec::new() });
        }
        let [old, new] = [world.nodes[0].clone(), world.nodes[1].clone()];
        let follower = Follower::start(&client, in_mode(Mode::Reserve));
        world.create().await.unwrap();
        let own = json!({"app": "moved"});
        let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), &world.name);
        let set = json!({
            "metadata": {"name": "moved"},
            "spec": {"replicas": REPLICAS, "selector": {"matchLabels": own},
                "template": {"metadata": {"labels": own}, "spec": world.pod_spec(500)}},
        });
        let set = create(&sets, set).await.unwrap();
        world.create_claim(&old, &BTreeMap::new()).await.unwrap();
        world.bring_up(&old).await.unwrap();
        until("pods on the old node", async || Ok((on_node(&world, &old.name).await? == REPLICAS).then_some(()))).await;

        let pods = world.pods().list(&ListParams::default().labels("app=moved")).await.unwrap();
        let expected = ExpectedPods {
            namespace: world.name.as_str().into(),
            owner: set.uid().unwrap().as_str().into(),
            signature: signature(&pods.items[0]).into(),
            count: REPLICAS,
        };
        let plan =
            ClaimPlan { expected: vec![expected], replaces: vec![old.name.as_str().into()], ..ClaimPlan::default() };
        world.plans.insert(new.name.clone(), plan);
        world.create_claim(&new, &BTreeMap::new()).await.unwrap();
        world.bring_up(&new).await.unwrap();
        world.await_reserved(1).await;
        for index in 0..REPLICAS {
            world.create_pod(&format!("rival-{index}"), 500, json!({})).await.unwrap();
        }
        cluster.kubectl(&["cordon", &old.name]);
        for pod in pods {
            world.pods().delete(&pod.name_any(), &DeleteParams::default()).await.unwrap();
        }
        until("pods on the new node", async || Ok((on_node(&world, &new.name).await? == REPLICAS).then_some(()))).await;
        let old_alone = [format!("{}: cordoned", old.name)];
        until("a free node", async || Ok((world.held().await? == old_alone).then_some(()))).await;
        let bindings = world.bindings().await.unwrap();
        assert!(bindings.iter().all(|(name, node)| !name.starts_with("rival") || node.is_none()), "{bindings:?}");
        assert_eq!(follower.losses(), [""; 0]);
        follower.kill().await;
        world.remove().await.unwrap();
    });
}
