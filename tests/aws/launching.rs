//! Many launches at once, asked of the provider itself: slow, throttled, and with whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use packwright::api::ec2_node_class::EC2NodeClass;
use packwright::api::labels;
use packwright::api::node_claim::NodeClaim;
use packwright::aws::calls::only_reads;
use packwright::aws::{ClassSettings, Ec2, Ec2Settings, Facts, Given, Keeper, MarketSettings, Mode, Told};
use packwright::catalog::{CapacityType, Catalog, InstanceType, Market, NodeClassFacts};
use packwright::cloud::ec2::NodeTemplate;
use packwright::cloud::kwok::Faults as NoFaults;
use packwright::cloud::{Answer, Launch, LaunchError, Request};
use packwright::controller::Event;
use packwright::settings::Settings;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::account::REGION;
use super::joiner::{provider_id, running};
use super::proxy::Throttle;
use super::whole::{World, in_world};
use crate::following::poll::until;
use crate::placement::dice::Dice;

const CLASS: &str = "examples/getting-started/node-class.yaml";
/// Alternatives of each launch.
const OPTIONS: usize = 20;

/// The provider, and what it is asked with.
struct Provider {
    ec2: Ec2,
    told: UnboundedReceiver<Told>,
    class: Arc<EC2NodeClass>,
    types: Arc<Vec<InstanceType>>,
    options: Vec<(usize, usize)>,
}

impl Provider {
    async fn start(world: &World<'_>) -> Self {
        let (teller, told) = unbounded_channel();
        let aws = world.account.clients(Mode::Acts).await;
        let given = Given { name: "test".to_owned(), reserved_capacity: true, ..Given::default() };
        let facts = Facts::find(&aws, &world.client, given).await.unwrap();
        let (market, _) = Market::offline(REGION).unwrap();
        let keeper = Arc::new(Keeper::new(aws.clone(), market.clone(), teller.clone()));
        let minute = Duration::from_secs(60);
        let settings = Ec2Settings {
            classes: ClassSettings {
                images_every: minute,
                subnets_every: minute,
                no_dry_runs: false,
                is_isolated: false,
            },
            market: MarketSettings { spot_every: minute * 10, is_isolated: false, shifts_of: None },
            queue: None,
        };
        let ec2 = Ec2::start((aws, world.client.clone(), facts), keeper, settings, teller, Arc::new(|| true));
        drop(world.cluster.kubectl(&["apply", "-f", CLASS]));
        let classes: Api<EC2NodeClass> = Api::all(world.client.clone());
        let class = until("the class to be ready", async || {
            let class = classes.get("default").await?;
            let conditions = class.status.iter().flat_map(|status| &status.conditions);
            let is_ready = conditions.into_iter().any(|of| of.type_ == "Ready" && of.status == "True");
            Ok(is_ready.then_some(Arc::new(class)))
        })
        .await;
        let facts = NodeClassFacts::from_ec2(&class).unwrap();
        let types = Catalog::Ec2(Box::new(market)).instance_types(&facts, &Settings::default());
        let wanted = |kind: &InstanceType| ["m5.large", "m5.xlarge", "c5.large", "c5.xlarge"].contains(&&*kind.name);
        let mut options: Vec<(usize, usize)> = Vec::new();
        for (index, kind) in types.iter().enumerate().filter(|(_, kind)| wanted(kind)) {
            let spot = kind.offerings.iter().enumerate().filter(|(_, of)| of.capacity_type == CapacityType::Spot);
            options.extend(spot.map(|(offering, _)| (index, offering)));
        }
        options.truncate(OPTIONS);
        Self { ec2, told, class, types: Arc::new(types), options }
    }

    fn launch(&self, claim: &NodeClaim) -> Launch {
        let meta = &claim.metadata;
        Launch {
            claim: meta.name.as_deref().unwrap().into(),
            uid: meta.uid.as_deref().unwrap().into(),
            types: self.types.clone(),
            options: self.options.clone(),
            faults: NoFaults::default(),
            node: Some(NodeTemplate::of(claim, &self.class).map(Arc::new)),
            earlier: None,
        }
    }

    /// Launches all of them; what fails otherwise than for lack of capacity is asked for again. Which instance each has, by uid.
    async fn launch_all(&mut self, claims: &[NodeClaim]) -> BTreeMap<Arc<str>, Arc<str>> {
        let launches: BTreeMap<Arc<str>, Launch> =
            claims.iter().map(|claim| self.launch(claim)).map(|launch| (launch.uid.clone(), launch)).collect();
        for launch in launches.values() {
            self.ec2.ask(Request::Launch(launch.clone()));
        }
        let mut found = BTreeMap::new();
        while found.len() < launches.len() {
            let Event::Cloud(Answer::Launched { claim, result }) = self.told.recv().await.unwrap().event else {
                continue;
            };
            match result {
                Ok(instance) => {
                    let before = found.insert(claim.clone(), instance.provider_id);
                    assert_eq!(before, None, "{claim} is answered once");
                }
                Err(LaunchError::Other(_)) => self.ec2.ask(Request::Launch(launches[&claim].clone())),
                Err(error) => panic!("{claim}: {error}"),
            }
        }
        found
    }
}

/// Claims of so many pools: a fleet for each.
async fn claims(world: &World<'_>, count: usize, pools: usize) -> Vec<NodeClaim> {
    let api: Api<NodeClaim> = Api::all(world.client.clone());
    let create = |number: usize| {
        let api = api.clone();
        async move {
            let claim = json!({
                "metadata": {"name": format!("many-{number}"), "labels": {labels::NODEPOOL: format!("pool-{}", number % pools)}},
                "spec": {
                    "requirements": [], "resources": {"requests": {"cpu": "1"}},
                    "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
                },
            });
            api.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await
        }
    };
    futures::stream::iter(0..count).map(create).buffer_unordered(50).try_collect().await.unwrap()
}

async fn forget(world: &World<'_>) {
    let api: Api<NodeClaim> = Api::all(world.client.clone());
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    drop(world.cluster.kubectl(&["delete", "-f", CLASS, "--wait=false"]));
    let classes: Api<EC2NodeClass> = Api::all(world.client.clone());
    until("the end of the class", async || Ok(classes.get_opt("default").await?.is_none().then_some(()))).await;
}

/// Every claim has an instance of its own, and there are no others.
async fn is_one_to_one(world: &World<'_>, found: &BTreeMap<Arc<str>, Arc<str>>, claims: usize) -> bool {
    let there: BTreeSet<String> = running(&world.account.aws).await.iter().map(provider_id).collect();
    let given: BTreeSet<String> = found.values().map(ToString::to_string).collect();
    assert_eq!((found.len(), given.len()), (claims, claims), "no two claims have the same instance");
    if given != there {
        let (more, fewer) = (there.difference(&given).count(), given.difference(&there).count());
        eprintln!("{more} instances that no claim has, {fewer} claims without their instance");
    }
    given == there
}

#[test]
fn five_hundred_claims_are_launched_with_fewer_calls_than_claims() {
    in_world(async |world| {
        let mut provider = Provider::start(world).await;
        let claims = claims(world, 500, 3).await;
        let before = world.account.proxy.calls().len();
        world.account.proxy.faults().latency = Duration::from_millis(200);
        let began = Instant::now();
        let found = provider.launch_all(&claims).await;
        println!("500 launches: {:.1} s", began.elapsed().as_secs_f64());
        assert!(is_one_to_one(world, &found, 500).await);
        let calls = world.account.proxy.calls();
        let changing = calls[before..].iter().filter(|call| !only_reads(&call.action)).count();
        assert!(changing < 50, "{changing} calls that change something");
        world.account.proxy.faults().latency = Duration::ZERO;
        forget(world).await;
    });
}

/// What was done and never heard of is not done twice: EC2 knows the token.
#[test]
fn an_answer_that_is_lost_is_asked_for_again_with_the_same_token() {
    in_world(async |world| {
        let mut provider = Provider::start(world).await;
        let claims = claims(world, 3, 1).await;
        let before = world.account.proxy.count("CreateFleet");
        world.account.proxy.faults().lost.insert("CreateFleet".to_owned(), 2);
        let found = provider.launch_all(&claims).await;
        assert_eq!(world.account.proxy.count("CreateFleet") - before, 3, "two answers were lost");
        let fleets = world.account.proxy.changes();
        let fleets =
            fleets.iter().filter(|(query, _)| query.call().action == "CreateFleet" && !query.call().is_dry_run);
        assert_eq!(fleets.count(), 1, "it was done once");
        assert!(is_one_to_one(world, &found, 3).await);
        for id in found.values() {
            provider.ec2.ask(Request::Terminate { claim: "".into(), provider_id: id.clone() });
        }
        while !running(&world.account.aws).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        forget(world).await;
    });
}

/// EC2 ends all instances of a call or none: one refusal names the instance, the other does not.
#[test]
fn instances_that_may_not_be_ended_keep_no_others() {
    in_world(async |world| {
        let mut provider = Provider::start(world).await;
        let claims = claims(world, 12, 1).await;
        let found = provider.launch_all(&claims).await;
        let ids: Vec<Arc<str>> = found.values().cloned().collect();
        let short = |id: &Arc<str>| id.rsplit('/').next().unwrap().to_owned();
        world.account.proxy.faults().unending =
            [(short(&ids[3]), ("OperationNotPermitted", true)), (short(&ids[7]), ("UnauthorizedOperation", false))]
                .into();
        for id in &ids {
            provider.ec2.ask(Request::Terminate { claim: "".into(), provider_id: id.clone() });
        }
        let mut refused = BTreeSet::new();
        for _ in &ids {
            let (id, result) = loop {
                let event = provider.told.recv().await.unwrap().event;
                if let Event::Cloud(Answer::Terminated { provider_id, result }) = event {
                    break (provider_id, result);
                }
            };
            if result.is_err() {
                refused.insert(id);
            }
        }
        assert_eq!(refused, BTreeSet::from([ids[3].clone(), ids[7].clone()]));
        world.account.proxy.faults().unending.clear();
        for id in refused {
            provider.ec2.ask(Request::Terminate { claim: "".into(), provider_id: id });
        }
        while !running(&world.account.aws).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        forget(world).await;
    });
}

#[test]
fn throttling_slows_and_loses_nothing() {
    in_world(async |world| {
        let mut provider = Provider::start(world).await;
        let claims = claims(world, 20, 5).await;
        world.account.proxy.faults().throttle = Some(Throttle::new(2.0, 2.0));
        let found = provider.launch_all(&claims).await;
        let refused = world.account.proxy.faults().throttle.take().unwrap().refused;
        assert!(refused > 0, "it was throttled");
        assert!(is_one_to_one(world, &found, 20).await);
        forget(world).await;
    });
}

#[test]
fn after_two_hundred_faults_every_claim_has_one_instance_and_every_instance_a_claim() {
    in_world(async |world| {
        let mut provider = Provider::start(world).await;
        let mut round = 0;
        while world.account.proxy.faults().happened < 200 {
            round += 1;
            assert!(round < 40, "so many rounds have faults enough");
            let claims = claims(world, 30, 10).await;
            world.account.proxy.faults().random = Some((Dice::new(round), 350));
            let found = provider.launch_all(&claims).await;
            let random = world.account.proxy.faults().random.take();
            assert!(random.is_some());
            // surplus instances are ended by the provider itself
            let began = Instant::now();
            while !is_one_to_one(world, &found, 30).await {
                assert!(began.elapsed() < Duration::from_secs(60), "instances that nobody has");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            for id in found.values() {
                let request = Request::Terminate { claim: "".into(), provider_id: id.clone() };
                provider.ec2.ask(request);
            }
            while !running(&world.account.aws).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let api: Api<NodeClaim> = Api::all(world.client.clone());
            api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
        }
        forget(world).await;
    });
}
