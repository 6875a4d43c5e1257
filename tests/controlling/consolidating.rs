//! A half-empty cluster becomes a full one: as its budgets allow, with as many pods ready as theirs ask for, and by its own plan alone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::{Either, select};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt};
use packwright::api::labels;
use packwright::api::node_claim::NodeClaim;
use serde_json::{Value, json};

use super::process::{ALONE, Process};
use super::{Seen, gone, on_cluster};
use crate::cluster::Cluster;
use crate::following::poll::until_within;

const MANIFESTS: &str = "tests/controlling/half-empty.yaml";
const NODE_CLASS: &str = "examples/getting-started/node-class.yaml";
const SERVICES: [&str; 4] = ["web", "search", "cart", "mail"];
/// Of the pool of the services.
const BUDGET_PERCENT: usize = 30;
/// Pods that a node of the services has room for.
const ON_A_NODE: usize = 4;
/// Nothing here takes longer, or it has failed.
const IN_TIME: Duration = Duration::from_secs(600);

#[test]
fn a_half_empty_cluster_consolidates_by_its_plan_within_every_budget() {
    on_cluster(async |cluster, client| consolidate(cluster, &client, 30).await);
}

/// Fills so many nodes, leaves 40 % of their pods, and lets nodes go from then on. Prints a row of what was seen.
pub async fn consolidate(cluster: &Cluster, client: &Client, nodes: usize) {
    let log = Log(cluster.folder.join("consolidating.log"));
    let outputs = format!("stderr,{}", log.0.display());
    // a search of a build without optimisation says nothing in 2 s beside other work, and the next one comes later and later
    let args = ["--time-limit", "8s", "--log-output-paths", &outputs];
    let controller = Process::start(cluster, &[&ALONE[..], &args].concat());
    cluster.kubectl(&["apply", "-f", NODE_CLASS, "-f", MANIFESTS]);
    scale(cluster, nodes);
    settled(client, SERVICES.len() * nodes + 3).await;
    let left = nodes * 2 / 5;
    scale(cluster, left);
    cluster.kubectl(&["scale", "deployment", "large", "--replicas=0"]);
    let before = settled(client, SERVICES.len() * left + 2).await;
    assert!(before.claims.len() > nodes, "no budget lets any go: {}", before.claims.len());
    let least = least_ready(client, left).await;
    let decided = log.lines().len();
    let watched = RefCell::new(Watched::new(least, &before));
    let started = Instant::now();
    let goal = (SERVICES.len() * left + 1).div_ceil(ON_A_NODE) * 7 / 6;
    let watching = pin!(watch(client, &watched));
    let going = pin!(async {
        let nodes = json!({"nodes": format!("{BUDGET_PERCENT}%")});
        patch_pool(cluster, "services", &json!({"disruption": {"budgets": [nodes]}}));
        let requirements = json!([
            {"key": labels::CAPACITY_TYPE, "operator": "In", "values": ["on-demand"]},
            {"key": labels::INSTANCE_FAMILY, "operator": "In", "values": ["c5"]},
            {"key": labels::INSTANCE_SIZE, "operator": "In", "values": ["large", "2xlarge"]},
        ]);
        let budgets = json!({"budgets": [{"nodes": "100%"}]});
        let larger = json!({"template": {"spec": {"requirements": requirements}}, "disruption": budgets});
        patch_pool(cluster, "single", &larger);
        until_within(IN_TIME, "a cluster that is full again", async || {
            let seen = Seen::of(client).await?;
            let of_pool = |pool: &'static str| seen.claims.iter().filter(move |claim| pool_of(claim) == pool);
            let is_small = of_pool("single").all(|claim| {
                let kind = claim.labels().get(labels::INSTANCE_TYPE);
                kind.is_some_and(|kind| kind == "c5.large")
            });
            let is_full = of_pool("services").count() <= goal && of_pool("single").count() == 1 && is_small;
            let is_still = seen.is_settled(SERVICES.len() * left + 2) && !seen.claims.iter().any(is_going);
            Ok((is_full && is_still && watched.borrow().has_seen(&seen)).then_some(seen))
        })
        .await
    });
    let after = match select(going, watching).await {
        Either::Left((after, _)) => after,
        Either::Right(_) => panic!("the watches have ended"),
    };
    let took = started.elapsed();
    let commands = log.commands(decided);
    {
        let watched = watched.borrow();
        assert_planned(&commands, &log, decided, &watched);
        assert_same(&before, &after);
        println!(
            "| {nodes} nodes | {} | {} | {} | {} | {:.0} s |",
            before.nodes.len(),
            after.nodes.len(),
            commands.len(),
            watched.left,
            took.as_secs_f64()
        );
    }
    for deployment in SERVICES.into_iter().chain(["precious", "small"]) {
        cluster.kubectl(&["scale", "deployment", deployment, "--replicas=0"]);
    }
    patch_pool(cluster, "services", &json!({"disruption": {"budgets": [{"nodes": "100%"}]}}));
    gone(client).await;
    controller.stop();
    cluster.kubectl(&["delete", "-f", MANIFESTS, "-f", NODE_CLASS]);
}

fn scale(cluster: &Cluster, replicas: usize) {
    cluster.kubectl(&["scale", "deployment", "-l", "scaled=yes", &format!("--replicas={replicas}")]);
}

fn patch_pool(cluster: &Cluster, pool: &str, spec: &Value) {
    let patch = json!({ "spec": spec }).to_string();
    cluster.kubectl(&["patch", "nodepool", pool, "--type=merge", "--patch", &patch]);
}

/// As [`super::settled`], for more pods than are there in a minute.
async fn settled(client: &Client, pods: usize) -> Seen {
    until_within(IN_TIME, &format!("{pods} pods that run on nodes that are ready"), async || {
        let seen = Seen::of(client).await?;
        Ok(seen.is_settled(pods).then_some(seen))
    })
    .await
}

/// How many pods of each service have to be ready, as its PodDisruptionBudget says once it has seen all of them.
async fn least_ready(client: &Client, replicas: usize) -> BTreeMap<String, usize> {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), "default");
    until_within(IN_TIME, "budgets that count every pod", async || {
        let statuses = budgets.list(&ListParams::default()).await?;
        let seen = statuses.iter().filter_map(|budget| {
            let status = budget.status.as_ref()?;
            let number = |of: Option<i32>| of.and_then(|number| usize::try_from(number).ok());
            let is_counted = [status.expected_pods, status.current_healthy].map(number) == [Some(replicas); 2];
            Some((budget.name_any(), number(status.desired_healthy).filter(|_| is_counted)?))
        });
        let least: BTreeMap<String, usize> = seen.collect();
        assert!(least.values().all(|least| *least > 0 && *least < replicas), "{least:?} of {replicas}");
        Ok((least.len() == SERVICES.len()).then_some(least))
    })
    .await
}

fn pool_of(claim: &NodeClaim) -> &str {
    claim.labels().get(labels::NODEPOOL).map_or("", String::as_str)
}

fn is(claim: &NodeClaim, condition: &str) -> bool {
    let conditions = claim.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|of| of.type_ == condition && of.status == "True")
}

fn is_going(claim: &NodeClaim) -> bool {
    claim.metadata.deletion_timestamp.is_some() || is(claim, "DisruptionReason")
}

/// What every event says, and what must be so after each.
struct Watched {
    /// How many pods of each service have to be ready.
    least: BTreeMap<String, usize>,
    /// Those that are, by service.
    ready: BTreeMap<String, BTreeSet<String>>,
    /// Pods of services that were there and are gone.
    left: usize,
    /// What there is of claims.
    claims: BTreeMap<String, NodeClaim>,
    /// Those that were there before, those that have come since, with what they replace, and those that are gone.
    old: BTreeSet<String>,
    come: BTreeMap<String, Replaces>,
    gone: BTreeSet<String>,
}

/// What the annotation `packwright.dev/replaces` says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Replaces {
    claims: BTreeSet<String>,
    with: BTreeSet<String>,
}

/// Notes every event, and looks at what must be so, until it is dropped.
async fn watch(client: &Client, watched: &RefCell<Watched>) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let claims: Api<NodeClaim> = Api::all(client.clone());
    let mut of_pods = pin!(watcher(pods, watcher::Config::default()).default_backoff());
    let mut of_claims = pin!(watcher(claims, watcher::Config::default()).default_backoff());
    let mut are_listed = (false, false);
    loop {
        // one that fails goes on by itself
        tokio::select! {
            Some(event) = of_pods.next() => if let Ok(event) = event {
                are_listed.0 |= matches!(event, watcher::Event::InitDone);
                watched.borrow_mut().note_pod(event);
                if are_listed.0 {
                    watched.borrow().assert_ready();
                }
            },
            Some(event) = of_claims.next() => if let Ok(event) = event {
                are_listed.1 |= matches!(event, watcher::Event::InitDone);
                watched.borrow_mut().note_claim(event);
                if are_listed.1 {
                    watched.borrow().assert_within_budget();
                }
            },
            else => return,
        }
    }
}

impl Watched {
    fn new(least: BTreeMap<String, usize>, before: &Seen) -> Self {
        let old = before.claims.iter().map(NodeClaim::name_any).collect();
        Self {
            least,
            ready: BTreeMap::new(),
            left: 0,
            claims: BTreeMap::new(),
            old,
            come: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }

    /// Whether it has come as far as somebody who has listed everything.
    fn has_seen(&self, seen: &Seen) -> bool {
        seen.claims.iter().map(NodeClaim::name_any).eq(self.claims.keys().cloned())
    }

    fn note_pod(&mut self, event: watcher::Event<Pod>) {
        let app = |pod: &Pod| pod.labels().get("app").cloned().unwrap_or_default();
        match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
                let is_ready = pod.metadata.deletion_timestamp.is_none()
                    && conditions.into_iter().any(|of| of.type_ == "Ready" && of.status == "True");
                let ready = self.ready.entry(app(&pod)).or_default();
                let _ = if is_ready { ready.insert(pod.name_any()) } else { ready.remove(&pod.name_any()) };
            }
            watcher::Event::Delete(pod) => {
                self.ready.entry(app(&pod)).or_default().remove(&pod.name_any());
                self.left += usize::from(self.least.contains_key(&app(&pod)));
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }

    fn assert_ready(&self) {
        for (service, least) in &self.least {
            let ready = self.ready.get(service).map_or(0, BTreeSet::len);
            assert!(ready >= *least, "{ready} pods of {service} are ready, and {least} have to be");
        }
    }

    fn note_claim(&mut self, event: watcher::Event<NodeClaim>) {
        match event {
            watcher::Event::Apply(claim) | watcher::Event::InitApply(claim) => {
                let name = claim.name_any();
                if !self.old.contains(&name) && !self.come.contains_key(&name) {
                    let replaces = claim.annotations().get(labels::REPLACES);
                    let replaces = replaces.map(|text| serde_json::from_str(text).unwrap());
                    self.come.insert(name.clone(), replaces.unwrap_or_default());
                }
                self.claims.insert(name, claim);
            }
            watcher::Event::Delete(claim) => {
                self.claims.remove(&claim.name_any());
                self.gone.insert(claim.name_any());
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }

    /// Of the nodes that are initialized and whose instances do not end yet so many go at most, and not one more.
    fn assert_within_budget(&self) {
        let counts = |claim: &&NodeClaim| is(claim, "Initialized") && !is(claim, "InstanceTerminating");
        let here: Vec<&NodeClaim> =
            self.claims.values().filter(|claim| pool_of(claim) == "services").filter(counts).collect();
        let going = here.iter().filter(|claim| is_going(claim)).count();
        let most = (here.len() * BUDGET_PERCENT).div_ceil(100);
        assert!(going <= most, "{going} of {} nodes go, and {most} may", here.len());
    }
}

/// What the controller writes, one JSON object a line.
struct Log(PathBuf);

/// A command, as its line says.
#[derive(Debug)]
struct Command {
    nodes: BTreeSet<String>,
    comes: u64,
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn since(&self, lines: usize, message: &str) -> impl Iterator<Item = Value> {
        self.lines().into_iter().skip(lines).filter(move |line| line["message"] == message)
    }

    fn commands(&self, since: usize) -> Vec<Command> {
        let named = self.since(since, "disrupting node(s)").filter(|line| line["nodes"].is_string());
        named
            .map(|line| Command {
                nodes: line["nodes"].as_str().unwrap().split(", ").map(str::to_owned).collect(),
                comes: line["replacement_node_count"].as_u64().unwrap(),
            })
            .collect()
    }

    /// Claims that were made, and by whom.
    fn created(&self, since: usize) -> BTreeMap<String, String> {
        self.since(since, "created nodeclaim")
            .map(|line| (text(&line["NodeClaim"]), text(&line["controller"])))
            .collect()
    }

    /// Claims that went because nothing was on their nodes.
    fn emptied(&self, since: usize) -> BTreeSet<String> {
        let empty = self.since(since, "disrupting node(s)").filter(|line| line["reason"] == "Empty");
        empty.map(|line| text(&line["NodeClaim"])).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What has come and gone are nodes of commands: each of them has come to its end, or was dropped before anything was made or deleted.
fn assert_planned(commands: &[Command], log: &Log, decided: usize, watched: &Watched) {
    let (created, emptied) = (log.created(decided), log.emptied(decided));
    let of_commands: BTreeSet<&String> = commands.iter().flat_map(|command| &command.nodes).chain(&emptied).collect();
    let unplanned: Vec<_> = watched.gone.iter().filter(|name| !of_commands.contains(name)).collect();
    assert!(unplanned.is_empty(), "gone, and of no command: {unplanned:?}");
    for (name, replaces) in &watched.come {
        assert_eq!(created.get(name).map(String::as_str), Some("disruption"), "{name}: {replaces:?}");
        let of = commands.iter().find(|command| command.nodes == replaces.claims);
        let of = of.unwrap_or_else(|| panic!("{name} is of no command: {replaces:?} of {commands:?}"));
        assert_eq!(replaces.with.len() as u64, of.comes, "{name}: {replaces:?}");
        assert!(replaces.with.iter().all(|name| watched.come.contains_key(name)), "all of them: {replaces:?}");
    }
    for (index, command) in commands.iter().enumerate() {
        let mut later = commands[index + 1..].iter().flat_map(|later| &later.nodes).chain(&emptied);
        if !later.any(|node| command.nodes.contains(node)) {
            let gone = command.nodes.intersection(&watched.gone).count();
            assert!(gone == 0 || gone == command.nodes.len(), "half done: {command:?}");
        }
    }
    let is_replaced = |of: &Replaces| !of.claims.is_empty() && of.claims.is_subset(&watched.gone);
    assert!(watched.come.values().any(is_replaced), "a node is replaced: {:?}", watched.come);
}

/// The pod that is not to be disrupted is the same, on the same node; and the nodes are those of the claims.
fn assert_same(before: &Seen, after: &Seen) {
    let precious = |seen: &Seen| {
        let is_it = |pod: &&Pod| pod.labels().get("app").is_some_and(|app| app == "precious");
        let pod = seen.pods.iter().find(is_it).unwrap();
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap();
        let uid_of_node = seen.nodes.iter().find(|of| of.name_any() == node).and_then(ResourceExt::uid).unwrap();
        (pod.uid().unwrap(), node, uid_of_node)
    };
    assert_eq!(precious(before), precious(after));
    let nodes: BTreeSet<String> = after.nodes.iter().map(ResourceExt::name_any).collect();
    assert_eq!(nodes, after.claims.iter().map(ResourceExt::name_any).collect());
    assert!(after.running().keys().all(|node| nodes.contains(*node)));
}
