//! The rights of the chart: enough to follow plans, and the policies take everything else away again.

use std::fmt::Debug;
use std::sync::Once;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Error};
use packwright::api::labels;
use packwright::api::node_claim::NodeClaim;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::poll::until;
use super::world::{World, create};
use crate::cluster::{Cluster, on_shared_cluster};

/// Where the chart is installed.
const NAMESPACE: &str = "packwright-system";
/// The names of the policies, which refusals bear.
const POLICY: &str = "packwright-placement'";
const POLICY_OF_NODES: &str = "packwright-placement-nodes'";

/// Installs it once; the policy holds after a while.
fn with_chart(cluster: &Cluster) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let args = ["install", "packwright", "charts/packwright", "--namespace", NAMESPACE, "--create-namespace"];
        let args = [&args[..], &["--set", "replicas=0,settings.kwok=true"]].concat(); // its pods would want room
        let output = cluster.run("helm", &args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // our account may do more than the chart says, so that the policy is what refuses
        let more = ["--verb=get,patch", "--resource=pods/status,pods/resize,pods/ephemeralcontainers,nodes/status"];
        cluster.kubectl(&[&["create", "clusterrole", "subresources"], &more[..]].concat());
        let account = format!("--serviceaccount={NAMESPACE}:packwright");
        cluster.kubectl(&["create", "clusterrolebinding", "subresources", "--clusterrole=subresources", &account]);
    });
}

/// With the rights of the chart's ServiceAccount.
async fn as_packwright(cluster: &Cluster) -> Client {
    let groups = ["system:serviceaccounts", "system:authenticated"];
    cluster.client_as(&format!("system:serviceaccount:{NAMESPACE}:packwright"), &groups).await
}

fn toleration(value: &str) -> Value {
    json!({"key": labels::PLANNED, "operator": "Equal", "value": value, "effect": "NoSchedule"})
}

/// A merge patch that adds tolerations.
fn adding(pod: &Value, tolerations: &[Value]) -> Value {
    let mut all = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    all.extend(tolerations.iter().cloned());
    json!({"spec": {"tolerations": all}})
}

/// What the policy says; `None` where the patch is taken.
async fn refusal(world: &World, client: &Client, subresource: Option<&str>, patch: &Value) -> Option<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &world.name);
    refusal_of(&pods, "p", subresource, patch).await
}

async fn refusal_of<K>(api: &Api<K>, name: &str, subresource: Option<&str>, patch: &Value) -> Option<String>
where
    K: Clone + DeserializeOwned + Debug,
{
    let params = PatchParams::default();
    let patched = match subresource {
        None => api.patch(name, &params, &Patch::Merge(patch)).await,
        Some(subresource) => api.patch_subresource(subresource, name, &params, &Patch::Merge(patch)).await,
    };
    match patched {
        Ok(_) => None,
        Err(Error::Api(status)) => Some(status.message.clone()),
        Err(error) => panic!("{patch}: {error}"),
    }
}

#[test]
fn the_policy_lets_packwright_add_its_tolerations_and_nominate_and_nothing_else() {
    on_shared_cluster(async |cluster, client| {
        with_chart(cluster);
        let ours = as_packwright(cluster).await;
        let world = World::exactly_filled(&client, "policy", 51, 0);
        world.create().await.unwrap();
        let more = json!({
            "metadata": {"labels": {"app": "web"}, "annotations": {"note": "x"}},
            "spec": {
                "activeDeadlineSeconds": 1000, "terminationGracePeriodSeconds": 30,
                "schedulingGates": [{"name": "example.com/never"}],
                "tolerations": [{"key": "theirs", "operator": "Exists"}],
            },
        });
        let pod = serde_json::to_value(world.create_pod("p", 100, more).await.unwrap()).unwrap();
        let label = json!({"metadata": {"labels": {"app": "other"}}});
        let mut looks = 0;
        until("the policy", async || {
            looks += 1; // a patch that changes nothing is taken
            Ok(refusal(&world, &ours, None, &json!({"metadata": {"labels": {"look": looks.to_string()}}})).await)
        })
        .await;

        let mut containers = pod["spec"]["containers"].clone();
        containers[0]["image"] = json!("evil");
        let without = |key: &str| {
            let mut toleration = toleration("c");
            toleration.as_object_mut().unwrap().remove(key);
            toleration
        };
        let with = |key: &str, value: Value| {
            let mut toleration = toleration("c");
            toleration[key] = value;
            toleration
        };
        let refused: Vec<(Option<&str>, Value)> = vec![
            (None, label.clone()),
            (None, json!({"metadata": {"annotations": {"note": null}}})),
            (None, json!({"metadata": {"finalizers": ["example.com/mine"]}})),
            (
                None,
                json!({"metadata": {"ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "q", "uid": "u"}]}}),
            ),
            (None, json!({"spec": {"containers": containers}})),
            (None, json!({"spec": {"activeDeadlineSeconds": 1}})),
            (None, json!({"spec": {"schedulingGates": []}})),
            (None, json!({"spec": {"nodeSelector": {"more": "narrow"}}})),
            (None, adding(&pod, &[json!({"operator": "Exists"})])),
            (None, adding(&pod, &[with("key", json!("dedicated"))])),
            (None, adding(&pod, &[with("effect", json!("NoExecute"))])),
            (None, adding(&pod, &[with("value", json!(""))])),
            (None, adding(&pod, &[without("value")])),
            (None, adding(&pod, &[without("effect")])),
            (None, adding(&pod, &[json!({"key": labels::PLANNED, "operator": "Exists", "effect": "NoSchedule"})])),
            (None, adding(&pod, &[toleration("c"), json!({"key": "more", "operator": "Exists"})])),
            (None, adding(&pod, &["1", "2", "3", "4", "5", "6"].map(toleration))),
            (Some("status"), json!({"status": {"phase": "Failed"}})),
            (Some("status"), json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})),
            (Some("status"), json!({"metadata": {"labels": {"app": "other"}}})),
            (Some("ephemeralcontainers"), json!({"spec": {"ephemeralContainers": [{"name": "x", "image": "evil"}]}})),
            (
                Some("resize"),
                json!({"spec": {"containers": [
                {"name": "main", "image": "app", "resources": {"requests": {"cpu": "200m"}}}]}}),
            ),
        ];
        for (subresource, patch) in &refused {
            let why = refusal(&world, &ours, *subresource, patch).await.unwrap_or_default();
            assert!(why.contains(POLICY), "{subresource:?} {patch}: {why:?}");
        }
        // the API server lets nobody take them away
        let fewer = json!({"spec": {"tolerations": []}});
        assert!(refusal(&world, &ours, None, &fewer).await.is_some());

        let nominated = json!({"status": {"nominatedNodeName": "n"}});
        assert_eq!(refusal(&world, &ours, Some("status"), &nominated).await, None);
        let both = adding(&pod, &[toleration("c"), toleration("d")]);
        assert_eq!(refusal(&world, &ours, None, &both).await, None);
        // others may do what they could before
        for patch in [label, json!({"spec": {"activeDeadlineSeconds": 1}})] {
            assert_eq!(refusal(&world, &client, None, &patch).await, None, "{patch}");
        }
        world.remove().await.unwrap();
    });
}

#[test]
fn the_policy_lets_packwright_keep_pods_from_nodes_and_change_nothing_else_of_them() {
    on_shared_cluster(async |cluster, client| {
        with_chart(cluster);
        let nodes: Api<Node> = Api::all(client.clone());
        let ours: Api<Node> = Api::all(as_packwright(cluster).await);
        let name = "policy-of-nodes";
        let theirs = json!({"key": "theirs", "value": "x", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"});
        let unregistered = json!({"key": labels::TAINT_UNREGISTERED, "effect": "NoExecute"});
        let planned = json!({"key": labels::PLANNED, "value": "c", "effect": "NoSchedule"});
        let node = json!({
            "metadata": {"name": name, "labels": {"app": "web"}, "annotations": {"note": "x"}},
            "spec": {"taints": [theirs, unregistered]},
        });
        create(&nodes, node).await.unwrap();
        // what others add to a node, like the taint of one that is not ready, is in none of the patches
        let tainted = async |with: &[Value], without: &[&str]| {
            let spec = nodes.get(name).await.unwrap().spec.unwrap_or_default();
            let there = serde_json::to_value(spec.taints.unwrap_or_default()).unwrap();
            let there = there.as_array().unwrap().iter();
            let kept = there.filter(|taint| !without.contains(&taint["key"].as_str().unwrap())).cloned();
            json!({"spec": {"taints": kept.chain(with.iter().cloned()).collect::<Vec<_>>()}})
        };
        let mut looks = 0;
        until("the policy", async || {
            looks += 1; // a patch that changes nothing is taken
            let label = json!({"metadata": {"labels": {"look": looks.to_string()}}});
            Ok(refusal_of(&ours, name, None, &label).await)
        })
        .await;

        // taken, unless somebody else changed the taints meanwhile: then it is asked again
        let allowed = async |with: &[Value], without: &[&str], rest: &Value| {
            for _ in 0..50 {
                let before = nodes.get(name).await.unwrap().spec.unwrap_or_default().taints;
                let mut patch = tainted(with, without).await;
                patch["metadata"] = rest["metadata"].clone();
                if let Some(unschedulable) = rest.get("unschedulable") {
                    patch["spec"]["unschedulable"] = unschedulable.clone();
                }
                let Some(why) = refusal_of(&ours, name, None, &patch).await else { return };
                let after = nodes.get(name).await.unwrap().spec.unwrap_or_default().taints;
                assert_ne!(before, after, "{patch}: {why}");
            }
            panic!("the taints of {name} never stand still");
        };
        let taint = |key: &str, value: &str, effect: &str| json!({"key": key, "value": value, "effect": effect});
        let label = json!({"metadata": {"labels": {"app": "other"}}});
        let evicting = tainted(&[taint("mine", "x", "NoExecute")], &[]).await;
        let refused: Vec<(Option<&str>, Value)> = vec![
            (None, label.clone()),
            (None, json!({"metadata": {"labels": {"app": null}}})),
            (None, json!({"metadata": {"labels": {"more": "x"}}})),
            (None, json!({"metadata": {"labels": {labels::REGISTERED: "false"}}})),
            (None, json!({"metadata": {"annotations": {"note": null}}})),
            (None, json!({"metadata": {"annotations": {"note": "y"}}})),
            (None, json!({"metadata": {"annotations": {"more": "x"}}})),
            (None, json!({"metadata": {"annotations": {labels::DO_NOT_RESERVE: "true"}}})),
            (None, json!({"metadata": {"finalizers": ["example.com/mine"]}})),
            (
                None,
                json!({"metadata": {"ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "q", "uid": "u"}]}}),
            ),
            // the API server lets anybody set those once
            (None, json!({"spec": {"providerID": "kwok://other"}})),
            (None, json!({"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}})),
            (None, evicting.clone()),
            (None, tainted(&[taint("mine", "x", "NoSchedule")], &[]).await),
            (None, tainted(&[taint(labels::PLANNED, "c", "NoExecute")], &[]).await),
            (None, tainted(&[taint(labels::PLANNED, "", "NoSchedule")], &[]).await),
            (
                None,
                tainted(&[taint(labels::TAINT_UNREGISTERED, "x", "NoExecute")], &[labels::TAINT_UNREGISTERED]).await,
            ),
            (None, tainted(&[], &["theirs"]).await),
            (None, tainted(&[taint("theirs", "y", "NoExecute")], &["theirs"]).await),
            (None, json!({"spec": {"taints": null}})),
            (Some("status"), json!({"status": {"allocatable": {"cpu": "1"}}})),
            (Some("status"), json!({"metadata": {"labels": {"app": "other"}}})),
        ];
        for (subresource, patch) in &refused {
            let why = refusal_of(&ours, name, *subresource, patch).await.unwrap_or_default();
            assert!(why.contains(POLICY_OF_NODES), "{subresource:?} {patch}: {why:?}");
        }

        // the life of a node, as `src/placement/patch.rs` writes it
        // one that is there: the garbage collector deletes what no owner is left of
        let claims: Api<NodeClaim> = Api::all(client.clone());
        let class = json!({"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"});
        let claim = json!({"metadata": {"name": name}, "spec": {"nodeClassRef": class, "requirements": []}});
        let uid = create(&claims, claim).await.unwrap().metadata.uid;
        let owner = |kind: &str, of: &str| json!({"apiVersion": of, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": true});
        let stranger = json!({"metadata": {"ownerReferences": [owner("Pod", "v1")]}});
        let mut registering = tainted(&[], &[labels::TAINT_UNREGISTERED]).await;
        registering["metadata"] = stranger["metadata"].clone();
        let why = refusal_of(&ours, name, None, &registering).await.unwrap_or_default();
        assert!(why.contains(POLICY_OF_NODES), "{why:?}");
        let metadata = json!({
            "labels": {labels::REGISTERED: "true", "of-claim": "x"},
            "annotations": {labels::CORDONED_AT: "a", "of-claim": "x"},
            "finalizers": [labels::FINALIZER_TERMINATION],
            "ownerReferences": [owner("NodeClaim", "karpenter.sh/v1")],
        });
        let register = json!({"metadata": metadata, "unschedulable": true});
        allowed(&[taint("of-claim", "x", "NoExecute")], &[labels::TAINT_UNREGISTERED], &register).await;
        for patch in [
            json!({"metadata": {"labels": {"of-claim": "y"}}}),
            json!({"metadata": {"annotations": {"of-claim": "y"}}}),
            json!({"metadata": {"ownerReferences": []}}),
            tainted(&[], &["of-claim"]).await,
        ] {
            let why = refusal_of(&ours, name, None, &patch).await.unwrap_or_default();
            assert!(why.contains(POLICY_OF_NODES), "it is registered: {patch}: {why:?}");
        }
        // registered once and for all
        for label in [json!(null), json!("false")] {
            let why =
                refusal_of(&ours, name, None, &json!({"metadata": {"labels": {labels::REGISTERED: label}}})).await;
            assert!(why.unwrap_or_default().contains(POLICY_OF_NODES));
        }
        let born_again = tainted(&[taint(labels::TAINT_UNREGISTERED, "", "NoExecute")], &[]).await;
        let why = refusal_of(&ours, name, None, &born_again).await.unwrap_or_default();
        assert!(why.contains(POLICY_OF_NODES), "it would evict what runs there: {why:?}");
        let metadata = json!({"annotations": {labels::CORDONED_AT: null, labels::RESERVED_AT: "b"}});
        allowed(&[planned], &[], &json!({"metadata": metadata, "unschedulable": null})).await;
        let drained = json!({"metadata": {"annotations": {labels::DRAINED_AT: "c"}}});
        assert_eq!(refusal_of(&ours, name, None, &drained).await, None);
        let metadata = json!({"annotations": {labels::RESERVED_AT: null, labels::DRAINED_AT: null}});
        allowed(&[], &[labels::PLANNED], &json!({"metadata": metadata})).await;

        // labels that EC2 decides later
        let labelled = |labels: Value| json!({"metadata": {"labels": labels}});
        assert_eq!(
            refusal_of(&ours, name, None, &labelled(json!({labels::PLACEMENT_GROUP_PARTITION: "3"}))).await,
            None
        );
        let reserved = labelled(json!({labels::CAPACITY_TYPE: "reserved", labels::CAPACITY_RESERVATION_ID: "cr-1"}));
        assert_eq!(refusal_of(&nodes, name, None, &reserved).await, None, "an administrator");
        for patch in [json!({labels::CAPACITY_TYPE: "spot"}), json!({labels::CAPACITY_RESERVATION_ID: null})] {
            let why = refusal_of(&ours, name, None, &labelled(patch.clone())).await.unwrap_or_default();
            assert!(why.contains(POLICY_OF_NODES), "the reservation has not ended: {patch}: {why:?}");
        }
        let ended = labelled(json!({labels::CAPACITY_TYPE: "on-demand", labels::CAPACITY_RESERVATION_ID: null}));
        assert_eq!(refusal_of(&ours, name, None, &ended).await, None);

        // the cordon's taint stays as long as the cordon
        cluster.kubectl(&["cordon", name]);
        let cordon = taint(labels::TAINT_UNSCHEDULABLE, "", "NoSchedule");
        until("the taint of the cordon", async || {
            let taints = nodes.get(name).await?.spec.unwrap_or_default().taints.unwrap_or_default();
            Ok(taints.iter().any(|taint| taint.key == labels::TAINT_UNSCHEDULABLE).then_some(()))
        })
        .await;
        let bare = tainted(&[], &[labels::TAINT_UNSCHEDULABLE]).await;
        let why = refusal_of(&ours, name, None, &bare).await.unwrap_or_default();
        assert!(why.contains(POLICY_OF_NODES), "{cordon}: {why:?}");
        allowed(&[], &[labels::TAINT_UNSCHEDULABLE], &json!({"metadata": {}, "unschedulable": null})).await;

        // a node that came without the taint that nodes are born with
        let adopted = "policy-adopted";
        create(&nodes, json!({"metadata": {"name": adopted}})).await.unwrap();
        let taints = async || {
            let taints = nodes.get(adopted).await.unwrap().spec.unwrap_or_default().taints.unwrap_or_default();
            serde_json::to_value(taints).unwrap()
        };
        let adopting = async |effect: &str| {
            let mut owner = owner("NodeClaim", "karpenter.sh/v1");
            owner["name"] = json!(name);
            let metadata = json!({
                "labels": {labels::REGISTERED: "true", "of-claim": "x"},
                "finalizers": [labels::FINALIZER_TERMINATION],
                "ownerReferences": [owner],
            });
            // unless somebody else changed the taints meanwhile
            for _ in 0..50 {
                let before = taints().await;
                let mut all = before.as_array().cloned().unwrap_or_default();
                all.extend([taint("of-claim", "x", effect), cordon.clone()]);
                let patch = json!({"metadata": metadata, "spec": {"unschedulable": true, "taints": all}});
                let refusal = refusal_of(&ours, adopted, None, &patch).await;
                if refusal.is_none() || taints().await == before {
                    return refusal;
                }
            }
            panic!("the taints of {adopted} never stand still");
        };
        let why = adopting("NoExecute").await.unwrap_or_default();
        assert!(why.contains(POLICY_OF_NODES), "it would evict what runs there: {why:?}");
        assert_eq!(adopting("NoSchedule").await, None);
        let done = json!({"metadata": {"finalizers": []}});
        assert_eq!(refusal_of(&nodes, adopted, None, &done).await, None);
        nodes.delete(adopted, &DeleteParams::default()).await.unwrap();

        // and its end
        let disrupted = json!({"key": labels::TAINT_DISRUPTED, "effect": "NoSchedule"});
        let marks = json!({"labels": {labels::INITIALIZED: "true", labels::EXCLUDE_BALANCERS: "karpenter"}});
        allowed(&[disrupted], &[], &json!({"metadata": marks})).await;
        allowed(&[], &[labels::TAINT_DISRUPTED], &json!({"metadata": {}})).await;
        let done = json!({"metadata": {"finalizers": []}});
        assert_eq!(refusal_of(&ours, name, None, &done).await, None);
        let again = json!({"metadata": {"finalizers": [labels::FINALIZER_TERMINATION]}});
        assert!(refusal_of(&ours, name, None, &again).await.unwrap_or_default().contains(POLICY_OF_NODES));

        // others may do what they could before
        for patch in [label, evicting, json!({"spec": {"providerID": "kwok://other"}})] {
            assert_eq!(refusal_of(&nodes, name, None, &patch).await, None, "{patch}");
        }
        nodes.delete(name, &DeleteParams::default()).await.unwrap();
        claims.delete(name, &DeleteParams::default()).await.unwrap();
    });
}

#[test]
fn the_chart_gives_the_rights_of_the_mode_and_no_other_mode() {
    on_shared_cluster(async |cluster, _| {
        let rendered = |mode: &str| {
            cluster.run(
                "helm",
                &[
                    "template",
                    "packwright",
                    "charts/packwright",
                    "--set",
                    &format!("settings.kwok=true,settings.placement={mode}"),
                ],
            )
        };
        for (mode, pods, status) in [("Reserve", true, false), ("Nominate", false, true), ("Observe", false, false)] {
            let output = rendered(mode);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let may = |what: &str| text.contains(&format!("resources: [{what}]\n    verbs: [patch]"));
            assert_eq!((may("pods"), may("pods/status")), (pods, status), "{mode}: {text}");
            let policies = text.matches("kind: ValidatingAdmissionPolicyBinding").count();
            assert_eq!(policies, if mode == "Observe" { 1 } else { 2 }, "{mode}: that of pods where pods are changed");
        }
    });
}
