//! Pods, the real control plane, the controller, and moto behind its proxy: nodes are instances that join.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::{Client, ResourceExt as _};
use packwright::api::labels;

use super::account::Account;
use super::joiner::{Joiner, provider_id, running};
use super::policy;
use crate::cluster::{Cluster, ShownOnPanic};
use crate::controlling::Seen;
use crate::controlling::process::Process;
use crate::placement::dice::Dice;

/// What is looked up again after a minute is waited for longer.
const PATIENCE: Duration = Duration::from_secs(240);
pub const KUBERNETES: &str = "1.37";

/// What a test has.
pub struct World<'w> {
    pub cluster: &'w Cluster,
    pub client: Client,
    pub account: Account,
}

/// A cluster of their own, one test at a time, each with an account of its own. After a failure the next one starts anew.
///
/// The calls that a test makes are allowed by the policy.
pub fn in_world(test: impl AsyncFnOnce(&World<'_>)) {
    static LAST: Mutex<Option<Cluster>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = last.take().unwrap_or_else(|| {
        let cluster = Cluster::start();
        cluster.install_kinds();
        cluster
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _logs = ShownOnPanic(&cluster);
        let client = cluster.client().await;
        let account = Account::new(KUBERNETES).await;
        let world = World { cluster: &cluster, client, account };
        test(&world).await;
        policy::allows(&world.account.proxy.calls());
        println!("{} questions to the policy", policy::judge::allows(&world.account.proxy.changes()));
    });
    *last = Some(cluster);
}

impl World<'_> {
    /// Instances join for as long as this is kept.
    pub fn joiner(&self) -> Joiner {
        Joiner::start(self.account.aws.clone(), self.client.clone())
    }

    pub fn controller(&self) -> Process {
        self.start(&self.account.environment(), &["--disable-leader-election"])
    }

    /// Through a proxy, without which it would not find AWS.
    pub fn shadow(&self) -> Process {
        let mut environment = self.account.environment();
        environment.insert("HTTP_PROXY".to_owned(), self.account.proxy.url());
        environment.insert("AWS_ENDPOINT_URL".to_owned(), "http://aws.invalid".to_owned());
        self.start(&environment, &["--shadow"])
    }

    fn start(&self, environment: &BTreeMap<String, String>, args: &[&str]) -> Process {
        let kubeconfig = self.cluster.folder.join("kubeconfig");
        let args = [args, &["--metrics-port", "0", "--health-probe-port", "0"]].concat();
        Process::as_user(self.cluster, &kubeconfig, environment, &args)
    }

    /// What controllers have logged so far, of all tests.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.cluster.folder.join("logs/controller.log")).unwrap_or_default()
    }

    /// Looks until something is there.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut(Seen) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(Seen::of(&self.client).await.unwrap()).await {
                println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// So many pods run, and every node is an instance of a claim.
    pub async fn settled(&self, pods: usize) -> Seen {
        self.until(&format!("{pods} pods that run on instances of claims"), async |seen| {
            let ids: BTreeSet<String> = running(&self.account.aws).await.iter().map(provider_id).collect();
            (seen.is_settled(pods) && ids == claimed(&seen)).then_some(seen)
        })
        .await
    }

    /// Nodes go for other reasons than consolidation alone.
    pub fn stays_as_it_is(&self) {
        let never = r#"{"spec": {"disruption": {"consolidateAfter": "Never"}}}"#;
        self.cluster.kubectl(&["patch", "nodepool", "default", "--type=merge", "--patch", never]);
    }

    /// The pods go, and everything with them: at once, whatever the pool says.
    pub async fn clear(&self) {
        let disruption = r#"{"spec": {"disruption": {"consolidateAfter": "0s", "budgets": [{"nodes": "100%"}]}}}"#;
        self.cluster.kubectl(&["patch", "nodepool", "default", "--type=merge", "--patch", disruption]);
        self.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        self.until("the end of all instances", async |seen| {
            let is_over =
                seen.nodes.is_empty() && seen.claims.is_empty() && running(&self.account.aws).await.is_empty();
            is_over.then_some(())
        })
        .await;
        self.cluster.kubectl(&["delete", "-f", "examples/getting-started", "--wait=true", "--timeout=60s"]);
        let left = self.account.aws.iam.list_instance_profiles().send().await.unwrap();
        assert!(left.instance_profiles().is_empty(), "the instance profile goes with its class");
    }
}

pub fn claimed(seen: &Seen) -> BTreeSet<String> {
    seen.claims.iter().filter_map(|claim| claim.status.as_ref()?.provider_id.clone()).collect()
}

#[test]
fn the_exercise_gets_instances_and_they_go_with_its_pods() {
    in_world(async |world| {
        world.account.proxy.faults().broken.insert("DescribeSpotPriceHistory".to_owned(), 5);
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        let (_joiner, _controller) = (world.joiner(), world.controller());
        let seen = world.settled(5).await;
        let calls = world.account.proxy.calls();
        let first = |action: &str| calls.iter().position(|call| call.action == action && !call.is_dry_run).unwrap();
        let spot = calls.iter().rposition(|call| call.action == "DescribeSpotPriceHistory").unwrap();
        assert!(spot < first("CreateFleet"), "nothing is bought before prices are known: {calls:?}");
        let aws = &world.account.aws;
        for node in &seen.nodes {
            assert_eq!(node.labels().get(labels::CAPACITY_TYPE).map(String::as_str), Some("spot"), "the cheapest");
            assert_eq!(node.labels().get(labels::NODEPOOL).map(String::as_str), Some("default"));
        }
        for instance in running(aws).await {
            let tags: BTreeSet<&str> = instance.tags().iter().filter_map(|tag| tag.key()).collect();
            for key in
                ["eks:eks-cluster-name", "karpenter.sh/nodepool", "karpenter.k8s.aws/ec2nodeclass", labels::LAUNCH]
            {
                assert!(tags.contains(key), "{key} is missing: {tags:?}");
            }
        }
        let templates = aws.ec2.describe_launch_templates().send().await.unwrap();
        let name = templates.launch_templates()[0].launch_template_name().unwrap();
        assert!(name.starts_with("karpenter.k8s.aws/"), "{name}");
        let versions = aws.ec2.describe_launch_template_versions().launch_template_name(name).send().await.unwrap();
        let data = versions.launch_template_versions()[0].launch_template_data().unwrap();
        let tokens = data.metadata_options().unwrap().http_tokens().unwrap();
        assert_eq!(tokens.as_str(), "required", "IMDSv2 is required unless a class says otherwise");
        assert!(!data.network_interfaces()[0].groups().is_empty());
        assert!(data.iam_instance_profile().unwrap().name().unwrap().starts_with("test_"));
        world
            .until("names of claims on instances", async |_| {
                let named = |tags: &[aws_sdk_ec2::types::Tag]| {
                    tags.iter().any(|tag| tag.key() == Some("karpenter.sh/nodeclaim"))
                };
                running(aws).await.iter().all(|instance| named(instance.tags())).then_some(())
            })
            .await;
        world.clear().await;
    });
}

#[test]
fn without_spot_capacity_pods_get_on_demand_instances() {
    in_world(async |world| {
        world.account.proxy.faults().unavailable.insert("*/*/spot".to_owned());
        let (_joiner, _controller) = (world.joiner(), world.controller());
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        let seen = world.settled(5).await;
        for node in &seen.nodes {
            assert_eq!(node.labels().get(labels::CAPACITY_TYPE).map(String::as_str), Some("on-demand"));
        }
        world.clear().await;
    });
}

#[test]
fn an_interrupted_instance_is_replaced_and_ends_within_two_minutes() {
    in_world(async |world| {
        let (_joiner, _controller) = (world.joiner(), world.controller());
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world.settled(5).await;
        let account = &world.account;
        let told = running(&account.aws).await[0].instance_id().unwrap().to_owned();
        let body = serde_json::json!({
            "version": "0", "source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning",
            "time": "2026-01-01T00:00:00Z", "detail": {"instance-id": told, "instance-action": "terminate"}
        });
        let sent = Instant::now();
        account
            .aws
            .sqs
            .send_message()
            .queue_url(&account.queue_url)
            .message_body(body.to_string())
            .send()
            .await
            .unwrap();
        world
            .until("the end of the interrupted instance", async |_| {
                let there = running(&account.aws).await;
                (!there.iter().any(|of| of.instance_id() == Some(told.as_str()))).then_some(())
            })
            .await;
        assert!(sent.elapsed() < Duration::from_secs(120), "{:?}", sent.elapsed());
        world.settled(5).await;
        assert_eq!(super::queue::left(account).await, 0, "the message is deleted");
        world.clear().await;
    });
}

#[test]
fn a_new_image_makes_nodes_drift_and_they_are_replaced() {
    in_world(async |world| {
        let (_joiner, first) = (world.joiner(), world.controller());
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=1"]);
        world.settled(1).await;
        let old = running(&world.account.aws).await[0].image_id().unwrap().to_owned();
        // images are looked up every minute, and when a process begins
        first.kill();
        world.account.publish_images(KUBERNETES, "second");
        let _second = world.controller();
        world
            .until("instances of the new image alone", async |seen| {
                let there = running(&world.account.aws).await;
                let is_new = !there.is_empty() && there.iter().all(|of| of.image_id() != Some(old.as_str()));
                (is_new && seen.is_settled(1)).then_some(())
            })
            .await;
        world.clear().await;
    });
}

#[test]
fn a_crash_between_the_fleet_and_the_status_doubles_nothing() {
    in_world(async |world| {
        // what it asks for is done, and it never hears of it
        world.account.proxy.faults().lost.insert("CreateFleet".to_owned(), usize::MAX);
        let (_joiner, first) = (world.joiner(), world.controller());
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world
            .until("an instance that nobody knows of", async |_| {
                (!running(&world.account.aws).await.is_empty()).then_some(())
            })
            .await;
        first.kill();
        let bought: BTreeSet<String> = running(&world.account.aws).await.iter().map(provider_id).collect();
        world.account.proxy.faults().lost.clear();
        let _second = world.controller();
        let seen = world.settled(5).await;
        assert!(bought.is_subset(&claimed(&seen)), "{bought:?} were bought before: {:?}", claimed(&seen));
        world.clear().await;
    });
}

#[test]
fn after_faults_at_random_every_claim_has_one_instance_and_every_instance_a_claim() {
    in_world(async |world| {
        let (_joiner, _controller) = (world.joiner(), world.controller());
        world.account.proxy.faults().random = Some((Dice::new(11), 200));
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        for pods in [5, 12, 8] {
            world.cluster.kubectl(&["scale", "deployment", "inflate", &format!("--replicas={pods}")]);
            let what = format!("{pods} pods that run");
            world.until(&what, async |seen| (seen.running().values().sum::<usize>() == pods).then_some(())).await;
        }
        let happened = std::mem::take(&mut world.account.proxy.faults().happened);
        world.account.proxy.faults().random = None;
        assert!(happened >= 5, "{happened} calls went wrong");
        let seen = world.settled(8).await;
        assert_eq!(claimed(&seen).len(), seen.claims.len(), "no two claims have the same instance");
        world.clear().await;
    });
}
