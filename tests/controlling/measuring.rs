//! What the controller takes on a real control plane: the table of `docs/controller.md`. `make live` asks for it, of what ships.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::pin::pin;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use packwright::api::labels;
use packwright::catalog::{Catalog, NodeClassFacts};
use packwright::settings::Settings;

use super::consolidating::consolidate;
use super::process::Process;
use super::{Seen, free_port, on_cluster};
use crate::cluster::Cluster;
use crate::following::poll::until;

/// Nothing that is measured here takes longer, or it has failed.
const IN_TIME: Duration = Duration::from_secs(400);

const PLAIN: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: plain, namespace: wide}
spec:
  replicas: 5000
  selector: {matchLabels: {app: plain}}
  template:
    metadata: {labels: {app: plain}}
    spec:
      containers:
        - {name: plain, image: registry.k8s.io/pause:3.10, resources: {requests: {cpu: 500m, memory: 1Gi}}}
";

const GRAVITON: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: arm}
spec:
  replicas: 1
  selector: {matchLabels: {app: arm}}
  template:
    metadata: {labels: {app: arm}}
    spec:
      nodeSelector: {kubernetes.io/arch: arm64}
      terminationGracePeriodSeconds: 0
      containers:
        - {name: arm, image: registry.k8s.io/pause:3.10, resources: {requests: {cpu: 1}}}
";

/// As in any cluster there is a node already, and it has no room: where there is none kube-scheduler counts every attempt as an error,
/// and waits 1 s, 2 s, 4 s before the next.
const SYSTEM: &str = "
apiVersion: v1
kind: Node
metadata:
  name: system
  labels: {kubernetes.io/hostname: system, kubernetes.io/os: linux, kubernetes.io/arch: amd64}
  annotations: {kwok.x-k8s.io/node: fake}
spec: {taints: [{key: CriticalAddonsOnly, effect: NoSchedule}]}
status: {capacity: {cpu: 2, memory: 4Gi, pods: 110}, allocatable: {cpu: 2, memory: 4Gi, pods: 110}}
";

/// Nodes for everything, in the zones of the kwok types.
fn enough_nodes() -> String {
    let node = |index: usize| {
        let zone = ["a", "b", "c", "d"][index % 4];
        format!(
            "
---
apiVersion: v1
kind: Node
metadata:
  name: enough-{index}
  labels: {{kubernetes.io/hostname: enough-{index}, kubernetes.io/os: linux, kubernetes.io/arch: amd64, topology.kubernetes.io/zone: test-zone-{zone}}}
  annotations: {{kwok.x-k8s.io/node: fake}}
status: {{capacity: {{cpu: 64, memory: 512Gi, pods: 110}}, allocatable: {{cpu: 64, memory: 512Gi, pods: 110}}}}
"
        )
    };
    (0..64).map(node).collect()
}

/// Waits until so many pods of a namespace run, and says how long it took.
async fn running(client: &Client, namespace: &str, count: usize) -> Duration {
    let started = Instant::now();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut events = pin!(watcher(pods, watcher::Config::default()));
    let mut seen = BTreeMap::new();
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let counting = async {
        let mut is_listed = false;
        while let Some(event) = events.next().await {
            match event.unwrap() {
                watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                    seen.insert(pod.name_any(), is_ready(&pod));
                }
                watcher::Event::Delete(pod) => drop(seen.remove(&pod.name_any())),
                watcher::Event::InitDone => is_listed = true,
                watcher::Event::Init => {}
            }
            if is_listed && seen.len() == count && seen.values().all(|ready| *ready) {
                return;
            }
        }
    };
    tokio::time::timeout(IN_TIME, counting).await.expect("they run in time");
    started.elapsed()
}

/// What the nodes cost an hour on the kwok types, in dollars.
async fn cost(client: &Client) -> (usize, f64) {
    let catalog = Catalog::from_option("kwok").unwrap();
    let types = catalog.instance_types(&NodeClassFacts::default(), &Settings::default());
    let mut nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await.unwrap().items;
    nodes.retain(|node| node.name_any() != "system");
    let price = |node: &Node| {
        let label = |key: &str| node.labels().get(key).map(String::as_str);
        let kind = types.iter().find(|kind| label(labels::INSTANCE_TYPE) == Some(&*kind.name)).unwrap();
        let is_it = |key: &str, value: &str| label(key) == Some(value);
        let mut offerings = kind.offerings.iter();
        let bought = offerings.find(|offering| {
            is_it(labels::ZONE, &offering.zone) && is_it(labels::CAPACITY_TYPE, offering.capacity_type.label())
        });
        bought.unwrap().price.0
    };
    #[allow(clippy::cast_precision_loss)] // to be printed
    let usd = nodes.iter().map(price).sum::<i64>() as f64 / 1e6;
    (nodes.len(), usd)
}

/// CPU seconds of a process and of those it has waited for, and its peak memory in MiB.
fn used(id: u32) -> (f64, f64, u64) {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap() / 100.0;
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    (ticks(11) + ticks(12), ticks(13) + ticks(14), kib / 1024)
}

async fn in_namespace(client: &Client) {
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some("wide".to_owned()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    let made = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await;
    assert!(made.is_ok() || matches!(made, Err(kube::Error::Api(status)) if status.code == 409));
}

/// Who provides the nodes.
#[derive(Clone, Copy, PartialEq)]
enum Provisioner {
    Packwright,
    Karpenter,
}

/// A controller that has read everything.
async fn started(cluster: &Cluster, who: Provisioner) -> Process {
    let port = free_port();
    let health = port.to_string();
    if who == Provisioner::Karpenter {
        let environment = [("DISABLE_LEADER_ELECTION", "true"), ("HEALTH_PROBE_PORT", &*health)];
        let controller = Process::karpenter(cluster, &environment);
        until("Karpenter that is ready", async || Ok(is_ready(port).then_some(()))).await;
        return controller;
    }
    let mut args = vec!["--disable-leader-election", "--metrics-port", "0", "--health-probe-port", &health];
    let more = env::var("PACKWRIGHT_CONTROLLER_ARGS").unwrap_or_default();
    args.extend(more.split_whitespace());
    let controller = Process::start(cluster, &args);
    until("a controller that is ready", async || Ok(is_ready(port).then_some(()))).await;
    controller
}

fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = String::new();
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.0 200")
}

/// Applies a manifest, waits for its pods, and prints a row.
async fn measure(
    (cluster, client): (&Cluster, &Client),
    who: Provisioner,
    (what, namespace, pods): (&str, &str, usize),
    manifest: &str,
) {
    let controller = started(cluster, who).await;
    let before = used(controller.id());
    let (took, ()) = tokio::join!(running(client, namespace, pods), apply(cluster, manifest));
    let after = used(controller.id());
    let (nodes, usd) = if namespace == "wide" { cost(client).await } else { (0, 0.0) };
    let beside = if who == Provisioner::Karpenter { ", with Karpenter" } else { "" };
    println!(
        "| {what}{beside} | {pods} | {:.1} | {nodes} | {usd:.2} | {:.1} | {:.1} | {} |",
        took.as_secs_f64(),
        after.0 - before.0,
        after.1 - before.1,
        after.2
    );
}

async fn apply(cluster: &Cluster, manifest: &str) {
    let mut kubectl = Command::new(cluster.folder.join("bin/kubectl"));
    kubectl.args(["apply", "-f", manifest]).env("KUBECONFIG", cluster.folder.join("kubeconfig"));
    let output = tokio::task::spawn_blocking(move || kubectl.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "a measurement of what ships, on a machine of its own: make live"]
fn from_apply_to_ready_and_from_empty_to_gone() {
    on_cluster(async |cluster, client| {
        in_namespace(&client).await;
        let rounds: usize = env::var("PACKWRIGHT_ROUNDS").map_or(3, |text| text.parse().unwrap());
        let rows = env::var("PACKWRIGHT_ROWS").unwrap_or_else(|_| "inflate,arm64,consolidation,wide,plain".to_owned());
        let is_asked = |row: &str| rows.split(',').any(|asked| asked == row);
        if is_asked("consolidation") {
            println!("| consolidation of | nodes before | after | commands | pods moved | seconds |");
            consolidate(cluster, &client, 100).await;
        }
        let file = |name: &str, text: &str| {
            let path = cluster.folder.join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (plain, graviton) = (file("plain.yaml", PLAIN), file("arm.yaml", GRAVITON));
        let wide = "benchmarks/instances/karpenter-wide";
        let enough = file("enough.yaml", &enough_nodes());
        cluster.kubectl(&["apply", "-f", &file("system.yaml", SYSTEM)]);
        let without = async |pods: usize, manifest: &str| {
            cluster.kubectl(&["apply", "-f", &enough]);
            let (took, ()) = tokio::join!(running(&client, "wide", pods), apply(cluster, manifest));
            println!("| without a provisioner | {pods} | {:.1} |", took.as_secs_f64());
            cluster.kubectl(&["delete", "-f", manifest]);
            running(&client, "wide", 0).await;
            cluster.kubectl(&["delete", "-f", &enough]);
        };
        println!("| what | pods | ready, s | nodes | $/h | CPU, s | of solving, s | peak MiB |");
        for _ in 0..if is_asked("inflate") { rounds } else { 0 } {
            measure((cluster, &client), Provisioner::Packwright, ("inflate", "default", 5), "examples/getting-started")
                .await;
            empty(cluster, &client, "inflate", &["scale", "deployment", "inflate", "--replicas=0"]).await;
            // the first time the API server begins to serve the kinds of the pool and of its class
            let again = ("inflate, once more", "default", 5);
            measure((cluster, &client), Provisioner::Packwright, again, "examples/getting-started").await;
            empty(cluster, &client, "inflate", &["scale", "deployment", "inflate", "--replicas=0"]).await;
            cluster.kubectl(&["delete", "-f", "examples/getting-started"]);
        }
        if is_asked("arm64") {
            cluster.kubectl(&["apply", "-f", "examples/graviton.yaml", "-f", "examples/node-class.yaml"]);
            measure((cluster, &client), Provisioner::Packwright, ("arm64", "default", 1), &graviton).await;
            empty(cluster, &client, "arm64", &["delete", "deployment", "arm"]).await;
            cluster.kubectl(&["delete", "-f", "examples/graviton.yaml"]);
        }
        let deployments = format!("{wide}/deployments.yaml");
        let large = [("wide", 1_000, &*deployments), ("plain", 5_000, &*plain)];
        for (what, pods, manifest) in large.into_iter().filter(|(what, ..)| is_asked(what)) {
            without(pods, manifest).await;
            cluster.kubectl(&["apply", "-f", "benchmarks/instances/karpenter-wide/pools.yaml"]);
            for _ in 0..rounds {
                for who in [Provisioner::Packwright, Provisioner::Karpenter] {
                    measure((cluster, &client), who, (what, "wide", pods), manifest).await;
                    empty(cluster, &client, what, &["delete", "deployment", "-n", "wide", "--all"]).await;
                }
            }
        }
    });
}

/// So many nodes are left, and a claim for each but one; after how many seconds.
async fn until_left(client: &Client, start: Instant, nodes: usize) -> f64 {
    loop {
        let seen = Seen::of(client).await.unwrap();
        if seen.nodes.len() <= nodes && seen.claims.len() < nodes {
            return start.elapsed().as_secs_f64();
        }
        assert!(start.elapsed() < IN_TIME, "they go in time");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn empty(cluster: &Cluster, client: &Client, what: &str, args: &[&str]) {
    let _controller = started(cluster, Provisioner::Packwright).await;
    let start = Instant::now();
    let nodes = Seen::of(client).await.unwrap().nodes.len();
    cluster.kubectl(args);
    let first = until_left(client, start, nodes - 1).await;
    let last = until_left(client, start, 1).await;
    let nodes = nodes - 1; // without the one that was there before
    println!("{what}: of {nodes} nodes the first is gone after {first:.1} s, the last after {last:.1} s");
}
