//! `packwright controller` on a real control plane: nodes come with the pods that need them, and go with them.

pub mod chart;
mod consolidating;
mod keeping;
mod leading;
mod measuring;
pub mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use kube::{Client, Error, ResourceExt as _};
use packwright::api::labels;
use packwright::api::node_claim::NodeClaim;
use serde_json::json;

use crate::cli::packwright;
use crate::cluster::{Cluster, ShownOnPanic};
use crate::following::poll::until;
use crate::placement::dice::Dice;
use process::{ALONE, Process};

/// A cluster of their own: a controller makes nodes for whatever waits. One test at a time.
pub fn on_cluster(test: impl AsyncFnOnce(&Cluster, Client)) {
    static OWN: LazyLock<tokio::sync::Mutex<Cluster>> = LazyLock::new(|| {
        let cluster = Cluster::start();
        cluster.install_kinds();
        tokio::sync::Mutex::new(cluster)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = OWN.lock().await;
        let _logs = ShownOnPanic(&cluster);
        test(&cluster, cluster.client().await).await;
    });
}

/// A kubeconfig with a token of a ServiceAccount.
pub fn as_account(cluster: &Cluster, namespace: &str, account: &str) -> PathBuf {
    let token = cluster.kubectl(&["create", "token", account, "-n", namespace]);
    let own = fs::read_to_string(cluster.folder.join("kubeconfig")).unwrap();
    let (before, after) = own.split_once("{token: ").unwrap();
    let (_, after) = after.split_once('}').unwrap();
    let path = cluster.folder.join(format!("{namespace}-{account}.kubeconfig"));
    fs::write(&path, format!("{before}{{token: {}}}{after}", token.trim())).unwrap();
    path
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What the tests look at.
pub struct Seen {
    pub pods: Vec<Pod>,
    pub nodes: Vec<Node>,
    pub claims: Vec<NodeClaim>,
}

impl Seen {
    pub async fn of(client: &Client) -> Result<Self, Error> {
        let everything = ListParams::default();
        Ok(Self {
            pods: Api::<Pod>::namespaced(client.clone(), "default").list(&everything).await?.items,
            nodes: Api::<Node>::all(client.clone()).list(&everything).await?.items,
            claims: Api::<NodeClaim>::all(client.clone()).list(&everything).await?.items,
        })
    }

    /// Pods that run, by node.
    pub fn running(&self) -> BTreeMap<&str, usize> {
        let mut found = BTreeMap::new();
        for pod in &self.pods {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if let (Some("Running"), Some(node), None) = (phase, node, &pod.metadata.deletion_timestamp) {
                *found.entry(node).or_default() += 1;
            }
        }
        found
    }

    /// So many pods run, and every node that there is has its claim and is ready for pods.
    pub fn is_settled(&self, pods: usize) -> bool {
        let ready = |claim: &&NodeClaim| {
            let conditions = claim.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        };
        let is_open = |node: &&Node| {
            let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
            !taints.any(|taint| taint.key == labels::PLANNED)
        };
        self.running().values().sum::<usize>() == pods
            && self.nodes.iter().all(|node| is_open(&node))
            && self.pods.len() == pods
            && self.nodes.len() == self.claims.len()
            && self.claims.iter().filter(ready).count() == self.claims.len()
    }
}

pub async fn settled(client: &Client, pods: usize) -> Seen {
    until(&format!("{pods} pods that run on nodes that are ready"), async || {
        let seen = Seen::of(client).await?;
        Ok(seen.is_settled(pods).then_some(seen))
    })
    .await
}

/// Nothing is left.
pub async fn gone(client: &Client) {
    until("the end of all nodes", async || {
        let seen = Seen::of(client).await?;
        Ok((seen.nodes.is_empty() && seen.claims.is_empty()).then_some(()))
    })
    .await;
}

#[test]
fn the_exercise_gets_its_nodes_and_they_go_with_its_pods() {
    on_cluster(async |cluster, client| {
        let _controller = Process::alone(cluster);
        cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        let seen = settled(&client, 5).await;
        for node in &seen.nodes {
            let label = |key: &str| node.labels().get(key).cloned().unwrap_or_default();
            assert_eq!(label(labels::NODEPOOL), "default");
            assert_eq!(label(labels::ARCH), "amd64");
            assert!(["spot", "on-demand"].contains(&&*label(labels::CAPACITY_TYPE)), "{:?}", node.labels());
            let (category, size) = (label(labels::INSTANCE_CATEGORY), label(labels::INSTANCE_SIZE));
            assert!(
                ["c", "m"].contains(&&*category) && ["medium", "large", "xlarge"].contains(&&*size),
                "{:?}",
                node.labels()
            );
            let kind = label(labels::INSTANCE_TYPE);
            assert!(kind.ends_with(&format!(".{size}")) && kind.starts_with(&category), "{kind}");
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
            assert!(taints.is_empty(), "open for every pod: {taints:?}");
            assert!(node.finalizers().contains(&labels::FINALIZER_TERMINATION.to_owned()));
        }
        let pool = cluster.kubectl(&["get", "nodepool", "default", "-o", "jsonpath={.status.nodes}"]);
        assert_eq!(pool, seen.nodes.len().to_string());
        cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        gone(&client).await;
        cluster.kubectl(&["delete", "-f", "examples/getting-started"]);
    });
}

#[test]
fn nodes_are_not_played_in_a_cluster_that_has_real_ones() {
    on_cluster(async |cluster, client| {
        let real = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "real"},
            "spec": {"providerID": "aws:///us-east-1a/i-0123456789abcdef0", "unschedulable": true},
        });
        let file = cluster.folder.join("real.json");
        fs::write(&file, real.to_string()).unwrap();
        cluster.kubectl(&["apply", "-f", file.to_str().unwrap(), "-f", "examples/getting-started"]);
        let kubeconfig = cluster.folder.join("kubeconfig");
        let command = ["controller", "--kubeconfig", kubeconfig.to_str().unwrap()];
        let output = packwright(&[&command[..], &ALONE].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("node real (aws:///us-east-1a/i-0123456789abcdef0)"), "{said}");
        assert!(Seen::of(&client).await.unwrap().claims.is_empty());
        // unless somebody says so
        let _controller = Process::start(cluster, &[&ALONE[..], &["--kwok"]].concat());
        until("a NodeClaim", async || Ok((!Seen::of(&client).await?.claims.is_empty()).then_some(()))).await;
        cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        cluster.kubectl(&["delete", "node", "real"]);
        gone(&client).await;
        cluster.kubectl(&["delete", "-f", "examples/getting-started"]);
    });
}

/// The limit of the pool is 100 cores.
const MOST: usize = 60;

#[test]
fn killed_at_any_moment_of_a_scale_up_it_loses_nothing_and_doubles_nothing() {
    on_cluster(async |cluster, client| {
        cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        // however many nodes there are, they need not go one after another
        let disruption =
            json!({"budgets": [{"nodes": "100%"}], "consolidateAfter": "0s", "consolidationPolicy": "WhenEmpty"});
        let patch = json!({"spec": {"disruption": disruption}}).to_string();
        cluster.kubectl(&["patch", "nodepool", "default", "--type=merge", "--patch", &patch]);
        let dice = &mut Dice::new(61);
        let moments: usize = std::env::var("PACKWRIGHT_KILLS").map_or(6, |text| text.parse().unwrap());
        let (mut pods, mut round) = (3, 0);
        while round < moments {
            // always more, so that there is no room for them
            pods += 2 + dice.below(4);
            if pods > MOST {
                let _controller = Process::alone(cluster);
                cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
                gone(&client).await;
                pods = 3;
            }
            cluster.kubectl(&["scale", "deployment", "inflate", &format!("--replicas={pods}")]);
            let life = Duration::from_millis(200 + dice.below(3_500) as u64);
            let killed = Process::alone(cluster);
            let settling = Box::pin(settled(&client, pods));
            match futures::future::select(settling, Box::pin(tokio::time::sleep(life))).await {
                futures::future::Either::Left(_) => {} // it was over before: another round
                futures::future::Either::Right(((), settling)) => {
                    killed.kill();
                    round += 1;
                    let _next = Process::alone(cluster);
                    let seen = settling.await;
                    let ids: BTreeSet<&str> =
                        seen.nodes.iter().filter_map(|node| node.spec.as_ref()?.provider_id.as_deref()).collect();
                    assert_eq!(ids.len(), seen.claims.len(), "round {round}, killed after {life:?}");
                    let used = seen.running().len();
                    println!("{round}: killed after {life:?}, {pods} pods on {used} of {} nodes", seen.nodes.len());
                    assert!(seen.nodes.len() <= used + 1, "round {round}: {used} of {} nodes used", seen.nodes.len());
                }
            }
        }
        let _controller = Process::alone(cluster);
        cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        gone(&client).await;
        cluster.kubectl(&["delete", "-f", "examples/getting-started"]);
    });
}

#[test]
fn a_budget_that_allows_no_eviction_holds_a_node_and_that_is_said() {
    on_cluster(async |cluster, client| {
        let _controller = Process::alone(cluster);
        cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        let before = settled(&client, 5).await;
        cluster.kubectl(&["create", "poddisruptionbudget", "none", "--selector=app=inflate", "--max-unavailable=0"]);
        let claim = before.claims[0].name_any();
        cluster.kubectl(&["delete", "nodeclaim", &claim, "--wait=false"]);
        let events: Api<Event> = Api::namespaced(client.clone(), "default");
        let said = until("an event", async || {
            let events = events.list(&ListParams::default()).await?;
            Ok(events.into_iter().find(|event| event.reason.as_deref() == Some("FailedDraining")))
        })
        .await;
        assert!(said.note.unwrap_or_default().contains("disruption budget"));
        assert_eq!(Seen::of(&client).await.unwrap().running(), before.running(), "nobody was evicted");
        cluster.kubectl(&["delete", "poddisruptionbudget", "none"]);
        let claims: Api<NodeClaim> = Api::all(client.clone());
        until("the end of the node", async || Ok(claims.get_opt(&claim).await?.is_none().then_some(()))).await;
        settled(&client, 5).await;
        cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        gone(&client).await;
        cluster.kubectl(&["delete", "-f", "examples/getting-started"]);
    });
}
