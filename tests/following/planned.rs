//! A plan of Packwright's own: pods of a real cluster are planned, bought and bound.

use std::collections::BTreeMap;

use kube::api::{Api, DeleteParams, ListParams};
use packwright::api::kwok_node_class::KWOKNodeClass;
use packwright::api::labels;
use packwright::api::node_pool::NodePool;
use packwright::placement::{ClaimPlan, Mode};
use serde_json::json;

use super::follower::{Follower, in_mode};
use super::on_cluster;
use super::poll::until;
use super::world::{World, create};
use crate::placement::dice::Dice;

const PODS: usize = 60;

/// Pods of several sizes, every third spread over zones.
async fn create_pods(world: &World, seed: u64) -> Result<(), kube::Error> {
    let dice = &mut Dice::new(seed);
    for index in 0..PODS {
        let milli = *dice.pick(&[250, 400, 650, 900, 1300]);
        let spread = json!([{
            "topologyKey": labels::ZONE, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "spread"}},
        }]);
        let more = match index % 3 {
            0 => json!({"metadata": {"labels": {"app": "spread"}}, "spec": {"topologySpreadConstraints": spread}}),
            _ => json!({}),
        };
        world.create_pod(&format!("pod-{index}"), milli, more).await?;
    }
    Ok(())
}

/// A pool whose nodes are those of the world, and its node class.
async fn create_pool(world: &World) {
    let name = "planned";
    let class = json!({"metadata": {"name": name}, "spec": {}});
    create(&Api::<KWOKNodeClass>::all(world.client.clone()), class).await.unwrap();
    let pool = json!({
        "metadata": {"name": name},
        "spec": {
            "template": {"metadata": {"labels": {"world": world.name}}, "spec": {
                "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": name},
                "requirements": [{"key": labels::CAPACITY_TYPE, "operator": "In", "values": ["on-demand"]}],
            }},
            "disruption": {"consolidateAfter": "Never"},
        },
    });
    create(&Api::<NodePool>::all(world.client.clone()), pool).await.unwrap();
}

async fn delete_pool(world: &World) {
    Api::<NodePool>::all(world.client.clone()).delete("planned", &DeleteParams::default()).await.unwrap();
    Api::<KWOKNodeClass>::all(world.client.clone()).delete("planned", &DeleteParams::default()).await.unwrap();
}

/// Where every pod is planned, as the claims say.
async fn planned(world: &World) -> Result<BTreeMap<String, String>, kube::Error> {
    let claims = world.claims().list(&ListParams::default().labels(&format!("world={}", world.name))).await?;
    let mut found = BTreeMap::new();
    for claim in claims {
        let written = claim.metadata.annotations.unwrap_or_default().remove(labels::PLANNED_PODS).unwrap();
        for pod in ClaimPlan::from_annotation(&written).unwrap().pods {
            let before = found.insert(pod.name.to_string(), claim.metadata.name.clone().unwrap());
            assert_eq!(before, None, "{} is planned twice", pod.name);
        }
    }
    Ok(found)
}

#[test]
fn a_plan_of_packwright_is_followed() {
    on_cluster(async |_, client| {
        for seed in [61, 62] {
            let world = World::exactly_filled(&client, &format!("planned-{seed}"), seed, 0);
            world.create().await.unwrap();
            create_pods(&world, seed).await.unwrap();
            create_pool(&world).await;
            let follower = Follower::start(&client, in_mode(Mode::Reserve));
            let planned = until("a plan for every pod", async || {
                let planned = planned(&world).await?;
                Ok((planned.len() == PODS).then_some(planned))
            })
            .await;
            let bindings = until("every planned pod", async || {
                let bindings = world.bindings().await?;
                Ok(planned.keys().all(|pod| bindings[pod].is_some()).then_some(bindings))
            })
            .await;
            let bound: BTreeMap<&String, &String> =
                planned.keys().filter_map(|pod| Some((pod, bindings[pod].as_ref()?))).collect();
            assert_eq!(bound, planned.iter().collect());
            until("free nodes", async || Ok(world.held().await?.is_empty().then_some(()))).await;
            assert_eq!(follower.losses(), [""; 0]);
            assert_eq!(follower.landed(), (PODS, 0));
            follower.kill().await;
            delete_pool(&world).await;
            world.remove().await.unwrap();
        }
    });
}
