//! A plan of Packwright's own: pods of a real cluster are planned, bought and bound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::PostParams;
use packwright::api::labels;
use packwright::cloud::kwok;
use packwright::cluster::{Connection, read_connected};
use packwright::host::{self, Decision, Limits, Search};
use packwright::observe::{Origin, RawObject, Snapshot};
use packwright::placement::{ClaimPlan, Mode};
use packwright::plan::Target;
use packwright::solve::Work;
use serde_json::json;

use super::follower::{Follower, in_mode};
use super::on_cluster;
use super::poll::until;
use super::world::{World, merge, object, provider_id};
use crate::cluster::observed;
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

/// What the cluster has, with a pool whose nodes are those of the world.
async fn snapshot(client: &Client, world: &World) -> Arc<Snapshot> {
    let connection = Connection { client: client.clone(), context: "test".to_owned() };
    let mut objects = read_connected(&connection, &|_| {}).await.unwrap().objects;
    objects.retain(|object| object.value["metadata"]["namespace"] == world.name.as_str());
    let pool = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "default"},
        "spec": {"template": {"metadata": {"labels": {"world": world.name}}, "spec": {
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
            "requirements": [{"key": labels::CAPACITY_TYPE, "operator": "In", "values": ["on-demand"]}],
        }}},
    });
    objects.push(RawObject { origin: Origin::default(), value: pool });
    observed(objects)
}

fn decide(snapshot: &Arc<Snapshot>) -> Decision {
    let limits = Limits {
        time: Duration::from_secs(60),
        search: Search::Integer,
        work: Work { ways: 100, exact_steps: 5_000, search_steps: 500, ..Work::LIMITED },
        worth: None,
    };
    host::decide(snapshot, limits)
}

#[test]
fn a_plan_of_packwright_is_followed() {
    on_cluster(async |_, client| {
        for seed in [61, 62] {
            let world = World::exactly_filled(&client, &format!("planned-{seed}"), seed, 0);
            let follower = Follower::start(&client, in_mode(Mode::Reserve));
            world.create().await.unwrap();
            create_pods(&world, seed).await.unwrap();
            let snapshot = snapshot(&client, &world).await;
            let decision = decide(&snapshot);
            assert!(decision.plan.unplaced.is_empty(), "{:?}", decision.plan.unplaced);
            let name = |launch: usize| format!("{}-{launch}", world.name);
            let mut nodes = Vec::new();
            for (index, launch) in decision.plan.launches.iter().enumerate() {
                let plan = ClaimPlan::of_launch(&snapshot, &decision.plan, index);
                world.create_planned_claim(&name(index), &plan).await.unwrap();
                let mut born = kwok::node(&snapshot, launch, &launch.offers[0]).unwrap();
                let own = json!({labels::HOSTNAME: name(index), labels::REGISTERED: "false"});
                merge(&mut born, json!({"metadata": {"name": name(index), "labels": own}}));
                let taint = json!({"key": labels::TAINT_UNREGISTERED, "effect": "NoExecute"});
                merge(&mut born, json!({"spec": {"providerID": provider_id(&name(index)), "taints": [taint]}}));
                nodes.push(born);
            }
            Dice::new(seed).shuffle(&mut nodes);
            for born in nodes {
                world.nodes().create(&PostParams::default(), &object(born)).await.unwrap();
            }
            let planned: BTreeMap<String, String> = decision
                .plan
                .assignments
                .iter()
                .filter_map(|assignment| match assignment.target {
                    Target::Launch(launch) => Some((snapshot.pods[assignment.pod].key.name.to_string(), name(launch))),
                    Target::Existing(_) => None,
                })
                .collect();
            assert_eq!(planned.len(), PODS);
            let bindings = until("every planned pod", async || {
                let bindings = world.bindings().await?;
                Ok(planned.keys().all(|pod| bindings[pod].is_some()).then_some(bindings))
            })
            .await;
            let bound: BTreeMap<&String, &String> =
                planned.keys().filter_map(|pod| Some((pod, bindings[pod].as_ref()?))).collect();
            assert_eq!(bound, planned.iter().collect());
            println!("{seed}: {PODS} pods as planned on {} nodes", decision.plan.launches.len());
            until("free nodes", async || Ok(world.held().await?.is_empty().then_some(()))).await;
            assert_eq!(follower.losses(), [""; 0]);
            follower.kill().await;
            world.remove().await.unwrap();
        }
    });
}
