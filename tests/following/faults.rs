//! What may come between while nodes boot.

use std::time::{Duration, Instant};

use futures::future::{join, select};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Error, ResourceExt as _};
use packwright::controller::Said;
use packwright::placement::{Limits, Mode};
use serde_json::json;

use super::follower::{Follower, in_mode, reserving};
use super::poll::until;
use super::world::{PlannedNode, World, create};
use super::{Arrival, BETWEEN_NODES, assert_followed, bring_up_all, on_cluster};
use crate::controlling::chart::Release;

const DONGLE: &str = "example.com/dongle";

/// Plays a device plugin: where its daemon pod runs, the node gets the resource.
async fn publish_dongles(world: &World, amount: usize) -> Result<(), Error> {
    loop {
        let plugins = world.pods().list(&ListParams::default().labels("daemon=plugin")).await?;
        for node in plugins.into_iter().filter_map(|pod| pod.spec?.node_name) {
            let of: Node = world.nodes().get(&node).await?;
            let allocatable = of.status.and_then(|status| status.allocatable).unwrap_or_default();
            if !allocatable.contains_key(DONGLE) {
                let amounts = json!({DONGLE: amount.to_string()});
                let status = json!({"status": {"capacity": amounts, "allocatable": amounts}});
                world.nodes().patch_status(&node, &PatchParams::default(), &Patch::Merge(status)).await?;
            }
        }
        tokio::time::sleep(BETWEEN_NODES).await;
    }
}

#[test]
fn an_extended_resource_that_a_daemon_pod_publishes_is_there_before_its_pods_are_let_in() {
    on_cluster(async |_, client| {
        let mut world = World::exactly_filled(&client, "dongles", 11, 6);
        let most = world.nodes.iter().map(|node| node.pods.len()).max().unwrap();
        let with_dongles: Vec<PlannedNode> = world.nodes.iter().step_by(2).cloned().collect();
        for node in &with_dongles {
            let amount = i64::try_from(node.pods.len()).unwrap();
            world.plans.entry(node.name.clone()).or_default().extended.insert(DONGLE.into(), amount);
            for (pod, milli) in &node.pods {
                let amounts = json!({"cpu": format!("{milli}m"), DONGLE: "1"});
                let container =
                    json!({"name": "main", "image": "app", "resources": {"requests": amounts, "limits": amounts}});
                world.more.insert(pod.clone(), json!({"spec": {"containers": [container]}}));
            }
        }
        let follower = Follower::start(&client, in_mode(Mode::Reserve));
        world.create().await.unwrap();
        world.create_daemon_set("plugin", json!({})).await.unwrap();
        world.create_claims().await.unwrap();
        let following = Box::pin(async {
            bring_up_all(&world, 11, Arrival::RandomOrder).await.unwrap();
            assert_followed(&world).await;
        });
        select(following, Box::pin(publish_dongles(&world, most))).await;
        assert_eq!(world.landed().await.unwrap(), (world.planned(), world.planned()));
        assert_eq!(follower.losses(), [""; 0]);
        follower.kill().await;
        world.remove().await.unwrap();
    });
}

#[test]
fn pods_that_arrive_meanwhile_take_no_planned_place() {
    on_cluster(async |_, client| {
        let world = World::exactly_filled(&client, "rivals", 12, 8);
        let follower = Follower::start(&client, in_mode(Mode::Reserve));
        world.create().await.unwrap();
        world.create_claims().await.unwrap();
        let arrive = async {
            for index in 0..40_u64 {
                world.create_pod(&format!("rival-{index}"), 100 + index * 20, json!({})).await.unwrap();
                tokio::time::sleep(BETWEEN_NODES / 4).await; // as pods come, one after another
            }
        };
        join(bring_up_all(&world, 12, Arrival::RandomOrder), arrive).await.0.unwrap();
        assert_followed(&world).await;
        let bindings = world.bindings().await.unwrap();
        let rivals = bindings.iter().filter(|(name, node)| name.starts_with("rival") && node.is_some());
        assert_eq!(rivals.count(), 0, "every node is full of the pods that were planned there");
        assert_eq!(follower.losses(), [""; 0]);
        follower.kill().await;
        world.remove().await.unwrap();
    });
}

#[test]
fn a_planned_pod_that_is_deleted_is_not_waited_for() {
    on_cluster(async |_, client| {
        let mut world = World::exactly_filled(&client, "deleted", 13, 4);
        let follower = Follower::start(&client, in_mode(Mode::Reserve));
        world.create().await.unwrap();
        let gated = world.plan_gated_pod(1).await.unwrap();
        world.create_claims().await.unwrap();
        // one before its node comes, the other one while the node is kept for it
        let (first, _) = world.nodes[0].pods.pop().unwrap();
        world.pods().delete(&first, &DeleteParams::default().grace_period(0)).await.unwrap();
        bring_up_all(&world, 13, Arrival::AllAtOnce).await.unwrap();
        world.await_reserved(1).await;
        world.pods().delete(&gated, &DeleteParams::default().grace_period(0)).await.unwrap();
        assert_followed(&world).await;
        assert_eq!(follower.losses(), [""; 0], "it took no limit");
        follower.kill().await;
        world.remove().await.unwrap();
    });
}

#[test]
fn a_node_that_a_person_cordons_stays_cordoned() {
    on_cluster(async |cluster, client| {
        let mut world = World::exactly_filled(&client, "persons", 14, 3);
        let follower = Follower::start(&client, reserving(Duration::from_secs(3)));
        world.create().await.unwrap();
        world.plan_gated_pod(1).await.unwrap();
        world.create_claims().await.unwrap();
        // the first before it is registered, the second while it is reserved
        world.bring_up_with(&world.nodes[0], json!({"spec": {"unschedulable": true}})).await.unwrap();
        world.bring_up(&world.nodes[1]).await.unwrap();
        world.bring_up(&world.nodes[2]).await.unwrap();
        world.await_reserved(1).await;
        cluster.kubectl(&["cordon", &world.nodes[1].name]);
        let names: Vec<&str> = world.nodes.iter().map(|node| node.name.as_str()).collect();
        let cordoned = [format!("{}: cordoned", names[0]), format!("{}: cordoned", names[1])];
        until("the end of the reservations", async || Ok((world.held().await? == cordoned).then_some(()))).await;
        let said = follower.losses();
        assert!(
            said.iter().any(|loss| loss.contains(names[0]) && loss.contains("a person cordoned the node")),
            "{said:?}"
        );
        assert!(said.iter().any(|loss| loss.contains("gated-1") && loss.contains("not bound in time")), "{said:?}");
        let bindings = world.bindings().await.unwrap();
        for (node, is_bound) in [(0, false), (2, true)] {
            for (pod, _) in &world.nodes[node].pods {
                let expected = is_bound.then(|| names[node].to_owned());
                assert_eq!(bindings[pod], expected, "{pod} of {}", names[node]);
            }
        }
        follower.kill().await;
        world.remove().await.unwrap();
    });
}

#[test]
fn an_api_server_that_refuses_to_change_pods_costs_the_guarantee_and_no_more() {
    on_cluster(async |cluster, client| {
        // an installation that was not to change pods
        let release = Release::install(cluster, "observing", &["replicas=0", "settings.placement=Observe"]);
        let world = World::exactly_filled(&client, "refused", 15, 5);
        let follower = Follower::start(&release.client().await, in_mode(Mode::Reserve));
        world.create().await.unwrap();
        world.create_claims().await.unwrap();
        bring_up_all(&world, 15, Arrival::RandomOrder).await.unwrap();
        until("registration", async || Ok((follower.registered() == world.nodes.len()).then_some(()))).await;
        let registered = Instant::now();
        until("open nodes", async || Ok(world.held().await?.is_empty().then_some(()))).await;
        assert!(registered.elapsed() < Limits::default().reserved / 2, "{:?}", registered.elapsed());
        let losses = follower.losses();
        let is_said =
            |loss: &String| loss.contains("the API server refused to change it: pods") && loss.contains("forbidden");
        // pods that bound to a node which was open before their own are not asked for
        assert!(!losses.is_empty() && losses.iter().all(is_said), "{losses:?}");
        until("what kube-scheduler can do", async || Ok((world.landed().await?.0 > 0).then_some(()))).await;
        follower.kill().await;
        world.remove().await.unwrap();
    });
}

#[test]
fn an_api_server_that_does_not_answer_holds_no_node_beyond_its_limit() {
    on_cluster(async |_, client| {
        // admission waits for a webhook that accepts connections and says nothing
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let world = World::exactly_filled(&client, "silent", 17, 2);
        let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let webhook = json!({
            "metadata": {"name": "silent"},
            "webhooks": [{
                "name": "silent.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail", "timeoutSeconds": 30,
                "clientConfig": {"url": format!("https://{}", silent.local_addr().unwrap())},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.name}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]}],
            }],
        });
        world.create().await.unwrap();
        create(&webhooks, webhook).await.unwrap();
        let probe = Patch::Merge(json!({"metadata": {"labels": {"probe": "yes"}}}));
        let pod = world.nodes[0].pods[0].0.clone();
        until("the webhook", async || {
            let params = PatchParams { dry_run: true, ..PatchParams::default() };
            let patched =
                tokio::time::timeout(Duration::from_millis(500), world.pods().patch(&pod, &params, &probe)).await;
            Ok(patched.is_err().then_some(()))
        })
        .await;
        let is_unanswered = |said: &Said| matches!(said, Said::WriteFailed { subject, reason } if subject.kind == "Pod" && reason.contains("no answer"));
        let follower = Follower::start(&client, reserving(Duration::from_secs(3)));
        world.create_claims().await.unwrap();
        world.bring_up(&world.nodes[0]).await.unwrap();
        until("a patch without an answer", async || Ok(follower.said().iter().any(is_unanswered).then_some(()))).await;
        // another node comes while the patches of pods hang
        world.bring_up(&world.nodes[1]).await.unwrap();
        let born = Instant::now();
        until("registration", async || Ok((follower.registered() == world.nodes.len()).then_some(()))).await;
        let registered = born.elapsed();
        until("free nodes", async || Ok(world.held().await?.is_empty().then_some(()))).await;
        println!("registered after {registered:?}, free after {:?}", born.elapsed());
        assert!(registered < Duration::from_secs(10), "{registered:?}");
        assert!(born.elapsed() < Duration::from_secs(30), "{:?}", born.elapsed());
        assert!(follower.losses().iter().any(|loss| loss.contains("not bound in time")), "{:?}", follower.losses());
        webhooks.delete("silent", &DeleteParams::default()).await.unwrap();
        follower.kill().await;
        world.remove().await.unwrap();
    });
}

#[test]
fn what_somebody_else_changes_in_the_same_moment_is_not_lost() {
    use packwright::cluster::apply::{Applied, apply};
    use packwright::placement::release;
    on_cluster(async |_, client| {
        let mut world = World::exactly_filled(&client, "meanwhile", 16, 1);
        let follower = Follower::start(&client, in_mode(Mode::Reserve));
        world.create().await.unwrap();
        world.plan_gated_pod(0).await.unwrap();
        world.create_claims().await.unwrap();
        world.bring_up(&world.nodes[0]).await.unwrap();
        world.await_reserved(0).await;
        follower.kill().await;
        let seen = world.node(0).await.unwrap();
        let mut taints = seen.spec.clone().unwrap_or_default().taints.unwrap_or_default();
        taints.push(super::world::object(json!({"key": "example.com/broken", "effect": "NoExecute"})));
        let change = Patch::Merge(json!({"spec": {"taints": taints}}));
        world.nodes().patch(&seen.name_any(), &PatchParams::default(), &change).await.unwrap();
        let limit = Duration::from_secs(10);
        assert_eq!(apply(&client, &release(&seen).unwrap().patch, limit).await, Applied::Outdated);
        // the cluster's own controllers write nodes too, so one look may be outdated again
        until("release", async || {
            let seen = world.node(0).await?;
            let applied = apply(&client, &release(&seen).expect("reserved").patch, limit).await;
            Ok((applied == Applied::Done).then_some(()))
        })
        .await;
        // and a cordon is a taint until the cluster has seen that it is over
        until("the end of other taints", async || {
            let left = world.node(0).await?.spec.unwrap_or_default().taints.unwrap_or_default();
            let keys: Vec<&str> = left.iter().map(|taint| taint.key.as_str()).collect();
            assert!(keys.contains(&"example.com/broken"), "{keys:?}");
            Ok((keys.len() == 1).then_some(()))
        })
        .await;
        world.remove().await.unwrap();
    });
}
