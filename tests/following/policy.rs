//! The rights of the chart: enough to follow plans, and the policy takes everything else away again.

use std::sync::Once;

use kube::api::{Patch, PatchParams};
use kube::{Client, Error};
use packwright::api::labels;
use serde_json::{Value, json};

use super::on_cluster;
use super::poll::until;
use super::world::World;
use crate::cluster::Cluster;

/// Where the chart is installed.
const NAMESPACE: &str = "packwright-system";
/// The name of the policy, which refusals bear.
const POLICY: &str = "packwright-placement";

/// Installs it once; the policy holds after a while.
pub fn with_chart(cluster: &Cluster) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let args = ["install", "packwright", "charts/packwright", "--namespace", NAMESPACE, "--create-namespace"];
        let output = cluster.run("helm", &args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // our account may do more than the chart says, so that the policy is what refuses
        let more = ["--verb=get,patch", "--resource=pods/status,pods/resize,pods/ephemeralcontainers"];
        cluster.kubectl(&[&["create", "clusterrole", "subresources-of-pods"], &more[..]].concat());
        let account = format!("--serviceaccount={NAMESPACE}:packwright");
        let role = "--clusterrole=subresources-of-pods";
        cluster.kubectl(&["create", "clusterrolebinding", "subresources-of-pods", role, &account]);
    });
}

/// With the rights of the chart's ServiceAccount.
pub async fn as_packwright(cluster: &Cluster) -> Client {
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
    let pods = kube::Api::<k8s_openapi::api::core::v1::Pod>::namespaced(client.clone(), &world.name);
    let params = PatchParams::default();
    let patched = match subresource {
        None => pods.patch("p", &params, &Patch::Merge(patch)).await,
        Some(name) => pods.patch_subresource(name, "p", &params, &Patch::Merge(patch)).await,
    };
    match patched {
        Ok(_) => None,
        Err(Error::Api(status)) => Some(status.message.clone()),
        Err(error) => panic!("{patch}: {error}"),
    }
}

#[test]
fn the_policy_lets_packwright_add_its_tolerations_and_nominate_and_nothing_else() {
    on_cluster(async |cluster, client| {
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
fn the_chart_gives_the_rights_of_the_mode_and_no_other_mode() {
    on_cluster(async |cluster, _| {
        let rendered =
            |mode: &str| cluster.run("helm", &["template", "charts/packwright", "--set", &format!("placement={mode}")]);
        for (mode, pods, status) in [("Reserve", true, false), ("Nominate", false, true), ("Observe", false, false)] {
            let output = rendered(mode);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let may = |what: &str| text.contains(&format!("resources: [{what}]\n    verbs: [patch]"));
            assert_eq!((may("pods"), may("pods/status")), (pods, status), "{mode}: {text}");
            assert!(text.contains("kind: ValidatingAdmissionPolicyBinding"), "{mode}");
        }
        let wrong = rendered("Always");
        let why = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert!(
            !wrong.status.success() && why.contains("expected Reserve, Nominate or Observe, found Always"),
            "{why}"
        );
    });
}
