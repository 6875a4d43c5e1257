//! docs/moving.md, with Karpenter's own program and nodes of kwok: whatever helm does, and whoever acts, nothing that is there goes.

use std::collections::BTreeMap;
use std::fs;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::{Client, Error, ResourceExt as _};
use packwright::api::labels;

use super::chart;
use super::installing::{Nodes, helm};
use crate::cluster::{Cluster, ShownOnPanic};
use crate::controlling::Seen;
use crate::controlling::process::Process;
use crate::following::poll::until;

/// Uids of NodeClaims and their nodes by name, all of which are there to stay.
async fn standing(client: &Client) -> Result<BTreeMap<String, String>, Error> {
    let seen = Seen::of(client).await?;
    let claims = seen.claims.iter().map(|claim| (format!("claim {}", claim.name_any()), &claim.metadata));
    let nodes = seen.nodes.iter().map(|node| (format!("node {}", node.name_any()), &node.metadata));
    let stays = claims.chain(nodes).filter(|(_, metadata)| metadata.deletion_timestamp.is_none());
    Ok(stays.map(|(name, metadata)| (name, metadata.uid.clone().unwrap_or_default())).collect())
}

/// Nothing that was there before is gone, is another one, or goes.
async fn assert_unchanged(step: &str, before: &BTreeMap<String, String>, client: &Client) {
    let now = standing(client).await.unwrap();
    for (name, uid) in before {
        assert_eq!(now.get(name), Some(uid), "{step}: {name}");
    }
}

/// So many pods of the exercise run.
async fn running(client: &Client, pods: usize) {
    until(&format!("{pods} pods that run"), async || {
        Ok((Seen::of(client).await?.running().values().sum::<usize>() == pods).then_some(()))
    })
    .await;
}

/// Karpenter's chart of the kinds, which does not keep them.
fn karpenters_kinds(cluster: &Cluster) -> String {
    let folder = cluster.folder.join("karpenter-crd");
    fs::create_dir_all(folder.join("templates")).unwrap();
    let description = "apiVersion: v2\nname: karpenter-crd\nversion: 1.0.0\n";
    fs::write(folder.join("Chart.yaml"), description).unwrap();
    for file in fs::read_dir(chart("packwright-crd").join("templates")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if text.contains("kind: CustomResourceDefinition") {
            let text = text.replace("    helm.sh/resource-policy: keep\n", "    of: karpenter\n");
            fs::write(folder.join("templates").join(path.file_name().unwrap()), text).unwrap();
        }
    }
    folder.to_str().unwrap().to_owned()
}

const MANIFESTS: &str = r#"
apiVersion: karpenter.kwok.sh/v1alpha1
kind: KWOKNodeClass
metadata: {name: default}
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: default}
spec:
  template:
    spec:
      requirements:
        - {key: kubernetes.io/os, operator: In, values: [linux]}
        - {key: karpenter.kwok.sh/instance-cpu, operator: In, values: ["2", "4"]}
      nodeClassRef: {group: karpenter.kwok.sh, kind: KWOKNodeClass, name: default}
  disruption: {consolidationPolicy: WhenEmpty, consolidateAfter: 30s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: inflate}
spec:
  replicas: 3
  selector: {matchLabels: {app: inflate}}
  template:
    metadata: {labels: {app: inflate}}
    spec:
      containers:
        - name: inflate
          image: registry.k8s.io/pause:3.10
          resources: {requests: {cpu: "1", memory: 1Gi}}
      nodeSelector: {karpenter.sh/nodepool: default}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector: {matchLabels: {app: inflate}}
"#;

#[test]
fn moving_from_karpenter_and_back_replaces_no_node() {
    let cluster = Cluster::start();
    let _logs = ShownOnPanic(&cluster);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(move_there_and_back(&cluster));
}

async fn move_there_and_back(cluster: &Cluster) {
    let client = cluster.client().await;
    let in_system = ["--namespace", "kube-system"];
    let run = |args: &[&str]| helm(cluster, &[args, &in_system[..]].concat());
    let _nodes = Nodes::two(cluster); // for the charts' own pods
    let kinds = karpenters_kinds(cluster);
    run(&["install", "karpenter-crd", &kinds]);
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);

    let karpenter = Process::karpenter(cluster, &[]);
    let manifests = cluster.folder.join("moving.yaml");
    fs::write(&manifests, MANIFESTS).unwrap();
    cluster.kubectl(&["apply", "-f", manifests.to_str().unwrap()]);
    running(&client, 3).await;
    let of_karpenter = standing(&client).await.unwrap();
    assert_eq!(of_karpenter.len(), 2 * 3 + 2, "{of_karpenter:?}");

    // 1. the kinds
    run(&["upgrade", "--install", "packwright-crd", "charts/packwright-crd", "--take-ownership"]);
    until("a policy that refuses to delete kinds", async || {
        let dry = ["delete", "crd", "nodeclaims.karpenter.sh", "--dry-run=server"];
        let said = cluster.run("kubectl", &dry);
        Ok(String::from_utf8_lossy(&said.stderr).contains("packwright.dev/allow-deletion=true").then_some(()))
    })
    .await;
    let careless = cluster.run("helm", &["uninstall", "karpenter-crd", "--namespace", "kube-system"]);
    assert!(!careless.status.success(), "the kinds would be gone");
    assert_unchanged("helm uninstall karpenter-crd", &of_karpenter, &client).await;
    cluster.kubectl(&["delete", "secret", "--all-namespaces", "-l", "owner=helm,name=karpenter-crd"]);
    assert!(!run(&["list", "--all"]).contains("karpenter-crd"));

    // 2. a shadow beside it
    // with the ServiceAccount that Karpenter's release has
    cluster.kubectl(&["create", "serviceaccount", "karpenter", "--namespace", "kube-system"]);
    let borrowed = "serviceAccount.create=false,serviceAccount.name=karpenter";
    let shadow = ["--set", "settings.shadow=true,settings.kwok=true", "--set", borrowed, "--wait"];
    run(&[&["install", "packwright", "charts/packwright"], &shadow[..]].concat());
    let log = cluster.folder.join("logs/shadow.log");
    let outputs = format!("stdout,{}", log.display());
    let ports = ["--metrics-port", "0", "--health-probe-port", "0"];
    let shadow = Process::start(cluster, &[&ports[..], &["--shadow", "--log-output-paths", &outputs]].concat());
    until("a shadow", async || {
        Ok(fs::read_to_string(&log).unwrap_or_default().contains("a shadow: decides, and does nothing").then_some(()))
    })
    .await;
    shadow.stop();
    assert_unchanged("a shadow", &of_karpenter, &client).await;

    // 3. and 4. Packwright acts, and makes nodes for new pods
    karpenter.stop();
    cluster.kubectl(&["delete", "serviceaccount", "karpenter", "--namespace", "kube-system"]); // with Karpenter's release
    let values = ["--set", "serviceAccount.name=karpenter,settings.kwok=true,settings.consolidation=off"];
    run(&[&["upgrade", "packwright", "charts/packwright"], &values[..], &["--wait"]].concat());
    let packwright = Process::start(cluster, &[&ports[..], &["--consolidation", "off"]].concat());
    until("NodeClaims that are taken over", async || {
        let seen = Seen::of(&client).await?;
        Ok(seen.claims.iter().all(|claim| claim.annotations().contains_key(labels::PLANNED_PODS)).then_some(()))
    })
    .await;
    cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=5"]);
    running(&client, 5).await;
    assert_unchanged("Packwright acts", &of_karpenter, &client).await;
    let of_both = until("nodes of both that are to stay", async || {
        let standing = standing(&client).await?;
        // each claim with its node, and those of the charts
        let claims = standing.keys().filter(|name| name.starts_with("claim ")).count();
        Ok((claims > 3 && standing.len() == 2 * claims + 2).then_some(standing))
    })
    .await;

    // back
    packwright.stop();
    run(&["uninstall", "packwright", "--wait"]);
    assert_unchanged("helm uninstall packwright", &of_both, &client).await;
    run(&["upgrade", "--install", "karpenter-crd", &kinds, "--take-ownership"]);
    run(&["uninstall", "packwright-crd"]);
    assert_unchanged("helm uninstall packwright-crd", &of_both, &client).await;
    let _karpenter = Process::karpenter(cluster, &[]);
    until("Karpenter that leads", async || {
        let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-system");
        let lease = leases.get("karpenter-leader-election").await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        Ok((!holder.is_empty()).then_some(()))
    })
    .await;
    cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=7"]);
    running(&client, 7).await;
    assert_unchanged("Karpenter acts again", &of_both, &client).await;
    let of_claims =
        |path: &str| cluster.kubectl(&["get", "nodeclaims", "-o", &format!("jsonpath={{.items[*]{path}}}")]);
    until("hashes of Karpenter's", async || {
        let versions = of_claims(".metadata.annotations.karpenter\\.sh/nodepool-hash-version");
        Ok((!versions.contains("packwright")).then_some(()))
    })
    .await;
    assert!(!of_claims(".status.conditions[?(@.type==\"Drifted\")].status").contains("True"), "taken for drifted");
}
