//! kube-scheduler as the judge of plans: random clusters are made real, and every pod of a plan is put to it.

#[allow(dead_code, reason = "shared with the tests of the decisions, which throw it in more ways")]
#[path = "../src/host/tests/dice.rs"]
pub mod dice;
mod blind;
mod judge;
mod scenario;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use packwright::cloud::kwok;
use packwright::cluster::{Connection, read_connected};
use packwright::host::{self, Decision, Limits, Search};
use packwright::observe::snapshot::Pod;
use packwright::observe::{Origin, RawObject, Snapshot};
use packwright::plan::check::{Rule, check};
use packwright::plan::{Assignment, Launch, Offer, Plan, Target};
use packwright::solve::Work;
use serde_json::Value;

use crate::cluster::{Cluster, observed};
use dice::Dice;
use judge::{Judge, Verdict};
use scenario::Scenario;

/// Scenarios of one run; `make placement` asks for more by this variable, and for others by the next.
const SCENARIOS: u64 = 300;
/// Of those that kube-scheduler gets without a word.
const ALONE: u64 = 10;
const COUNT: &str = "PACKWRIGHT_SCENARIOS";
const FIRST: &str = "PACKWRIGHT_FIRST_SCENARIO";
/// A folder that takes the manifests of scenarios with disagreements.
const KEEP: &str = "PACKWRIGHT_KEEP";

/// A plan need not be the best there is: it is to be true.
const LITTLE: Work = Work {
    rounds: 20,
    dive_rounds: 1,
    cells: [40, 80],
    search_steps: 100,
    exact_steps: 500,
    ways: 20,
    ..Work::LIMITED
};

/// What was found over all scenarios.
#[derive(Debug, Default, Clone)]
struct Tally {
    placed: usize,
    unplaced: usize,
    scenarios: usize,
    /// With a pod that cannot be placed.
    with_unplaced: usize,
    nodes: usize,
    /// Where nobody tells it: pods that kube-scheduler bound, but not where they were planned.
    elsewhere: usize,
    /// Pods that a rule of ours keeps for later, where kube-scheduler would not: a spread for domains that pools could open, a
    /// claim for the node of its first pod.
    kept_for_later: usize,
    /// Pods that the plan leaves and that fit into what was bought, as the checker says too: they were overlooked.
    overlooked: usize,
    /// Scenarios that were put once more: the scheduler may not have heard of a node's last change.
    again: usize,
    disagreements: Vec<String>,
}

#[test]
fn kube_scheduler_binds_every_pod_where_it_is_planned() {
    let count = number(COUNT).unwrap_or(SCENARIOS);
    let first = number(FIRST).unwrap_or(0);
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tally = runtime.block_on(async {
        let connection = Connection { client: cluster.client().await, context: "test".to_owned() };
        let mut tally = Tally::default();
        for seed in first..first + count {
            let before = tally.clone();
            for is_again in [false, true] {
                tally = Tally { again: before.again + usize::from(is_again), ..before.clone() };
                put_to_it(&connection, seed, How::Nominated, &mut tally).await;
                if tally.disagreements.len() == before.disagreements.len() {
                    break;
                }
            }
            if tally.scenarios % 20 == 0 {
                println!("{} of {count} scenarios, {} disagreements", tally.scenarios, tally.disagreements.len());
            }
        }
        tally
    });
    println!(
        "{} scenarios, {} with a pod that cannot be placed; {} pods placed, {} not, on {} new nodes; {} kept for later, {} \
         overlooked; {} scenarios put again",
        tally.scenarios,
        tally.with_unplaced,
        tally.placed,
        tally.unplaced,
        tally.nodes,
        tally.kept_for_later,
        tally.overlooked,
        tally.again
    );
    assert!(tally.disagreements.is_empty(), "{}", tally.disagreements.join("\n"));
    assert!(tally.with_unplaced * 5 >= tally.scenarios, "too few scenarios have a pod that cannot be placed");
}

/// A scenario for each rule in which a plan that was made without it is not carried out.
///
/// Not here: volume limits and `ReadWriteOncePod`. Few scenarios come to them, and whether kube-scheduler has heard of a
/// `CSINode` or of the other pod in time is chance.
const NOTICED: [(Rule, u64); 8] = [
    (Rule::Resources, 0),
    (Rule::Taints, 4),
    (Rule::NodeAffinity, 1),
    (Rule::HostPorts, 0),
    (Rule::VolumeTopology, 0),
    (Rule::PodAffinity, 15),
    (Rule::PodAntiAffinity, 2),
    (Rule::TopologySpread, 5),
];

#[test]
fn a_rule_that_is_not_known_is_noticed_by_kube_scheduler() {
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Connection { client: cluster.client().await, context: "test".to_owned() };
        for (rule, seed) in NOTICED {
            let mut tally = Tally::default();
            for _ in 0..3 {
                if tally.disagreements.is_empty() {
                    put_to_it(&connection, seed, How::Without(rule), &mut tally).await;
                }
            }
            assert!(!tally.disagreements.is_empty(), "{rule} is not missed in scenario {seed}");
        }
    });
}

/// How far kube-scheduler would stray from plans that nobody tells it.
#[test]
fn kube_scheduler_alone_strays() {
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tally = runtime.block_on(async {
        let connection = Connection { client: cluster.client().await, context: "test".to_owned() };
        let mut tally = Tally::default();
        for seed in 0..ALONE {
            put_to_it(&connection, seed, How::Alone, &mut tally).await;
        }
        tally
    });
    let (placed, elsewhere, refused) = (tally.placed, tally.elsewhere, tally.disagreements.len());
    println!("alone: of {placed} planned pods {elsewhere} bound elsewhere, {refused} not at all");
    // were it not so, nominations would not be needed, or this test would not see what happens
    assert!(elsewhere > 0 && elsewhere + refused < placed, "{elsewhere} elsewhere, {refused} refused of {placed}");
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// How a plan is made and put to kube-scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Each pod is nominated for its node.
    Nominated,
    /// The same, of a plan that was made without the rule; only until the first disagreement.
    Without(Rule),
    /// Nobody tells kube-scheduler anything.
    Alone,
}

async fn put_to_it(connection: &Connection, seed: u64, how: How, tally: &mut Tally) {
    let found = put(connection, &Scenario::random(seed), how, tally).await;
    found.unwrap_or_else(|error| panic!("scenario {seed}: {error:?}"));
}

async fn put(connection: &Connection, scenario: &Scenario, how: How, tally: &mut Tally) -> Result<(), kube::Error> {
    let judge = Judge { client: connection.client.clone() };
    judge.set_up(scenario).await?;
    let objects = objects(connection, scenario).await;
    let snapshot = observe(&objects);
    let before = tally.disagreements.len();
    let limits = Limits { time: Duration::from_secs(60), search: Search::Integer, work: LITTLE, worth: None };
    let seen = match how {
        How::Without(rule) => Arc::new(blind::to(rule, &snapshot)),
        How::Nominated | How::Alone => snapshot.clone(),
    };
    let decision = host::decide(&seen, limits);
    let names: Vec<String> = (0..decision.plan.launches.len()).map(|index| format!("new-{index}")).collect();
    let bought = bought(scenario, &decision);
    let mut opened = nodes(&snapshot, &decision, &bought, &names);
    opened.extend(scenario.in_flight.iter().map(|launched| launched.node.clone()));
    judge.open(scenario, &opened).await?;
    judge.gate(&scenario.pending).await?;
    for assignment in &decision.plan.assignments {
        let pod = &snapshot.pods[assignment.pod].key;
        let node = match assignment.target {
            Target::Existing(node) => snapshot.nodes[node].name.to_string(),
            Target::Launch(launch) => names[launch].clone(),
        };
        let nominated = (how != How::Alone).then_some(node.as_str());
        match judge.release(&pod.namespace, &pod.name, nominated).await? {
            Verdict::Bound(found) if found == node => {}
            Verdict::Bound(_) if how == How::Alone => tally.elsewhere += 1,
            verdict => {
                let planned = format!("scenario {}: {pod} is planned on {node}: {verdict:?}", scenario.seed);
                tally.disagreements.push(planned);
                if matches!(how, How::Without(_)) {
                    return Ok(());
                }
            }
        }
    }
    let unplaced = if how == How::Nominated { decision.plan.unplaced.as_slice() } else { &[] };
    for unplaced in unplaced {
        let pod = &snapshot.pods[unplaced.pod];
        let verdict = judge.release(&pod.key.namespace, &pod.key.name, None).await?;
        if let Verdict::Bound(node) = verdict {
            let why = ruled_out(&snapshot, &decision, &bought, unplaced.pod, target_called(&snapshot, &names, &node));
            if why.is_empty() {
                tally.overlooked += 1;
            } else if why.contains(&Rule::OpenableSpread) || waits_for_another(pod) {
                tally.kept_for_later += 1;
            } else {
                tally.disagreements.push(format!(
                    "scenario {}: {} is not placed ({}): {node} takes it; the checker says {why:?}",
                    scenario.seed, pod.key, unplaced.reason
                ));
            }
            break; // it counts for those after it
        }
    }
    if tally.disagreements.len() > before
        && let Ok(folder) = env::var(KEEP)
    {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        std::fs::write(format!("{folder}/{}.json", scenario.seed), list.to_string()).unwrap();
    }
    tally.scenarios += 1;
    tally.placed += decision.plan.assignments.len();
    tally.unplaced += decision.plan.unplaced.len();
    tally.with_unplaced += usize::from(!decision.plan.unplaced.is_empty());
    tally.nodes += names.len();
    Ok(())
}

/// The cluster as it is, with the pools and the pods that are to be planned.
async fn objects(connection: &Connection, scenario: &Scenario) -> Vec<Value> {
    let reading = read_connected(connection, &|_| {}).await.unwrap();
    let kinds: Vec<String> = reading.not_read.errors().into_iter().map(|error| error.message).collect();
    assert!(kinds.iter().all(|kind| kind.starts_with("Node")), "{kinds:?}"); // the kinds of Karpenter are not installed
    let claims = scenario.in_flight.iter().map(|launched| &launched.claim);
    let given = scenario.pools.iter().chain(claims).chain(&scenario.pending).cloned();
    reading.objects.into_iter().map(|object| object.value).chain(given).collect()
}

fn observe(objects: &[Value]) -> Arc<Snapshot> {
    let raw = objects.iter().map(|value| RawObject { origin: Origin::default(), value: value.clone() });
    // when pods were made, and what the API server calls them, is chance: a scenario has the same plan every time
    let mut snapshot = (*observed(raw.collect())).clone();
    for pod in &mut snapshot.pods {
        pod.created_at = None;
        pod.uid = pod.key.to_string().into();
    }
    Arc::new(snapshot)
}

fn target_called(snapshot: &Snapshot, names: &[String], node: &str) -> Target {
    match names.iter().position(|name| name == node) {
        Some(launch) => Target::Launch(launch),
        None => Target::Existing(snapshot.nodes.iter().position(|known| known.name.as_ref() == node).unwrap()),
    }
}

/// Whether the pod is left because another one decides where the volume of their claim will be.
fn waits_for_another(pod: &Pod) -> bool {
    pod.refused.is_some() && pod.template.spec.volumes.iter().any(|volume| volume.follows_first_user)
}

/// The rules about pods that forbid one there, after all that are placed; `bought`: the offer of each launch.
fn ruled_out(snapshot: &Snapshot, decision: &Decision, bought: &[Offer], pod: usize, target: Target) -> Vec<Rule> {
    let Plan { launches, assignments, unplaced, .. } = &decision.plan;
    let as_bought =
        |(launch, offer): (&Launch, &Offer)| Launch { offers: Arc::new(vec![offer.clone()]), ..launch.clone() };
    let launches = launches.iter().zip(bought).map(as_bought).collect();
    let assignments = assignments.iter().copied().chain([Assignment { pod, target }]).collect();
    let unplaced = unplaced.iter().filter(|left| left.pod != pod).cloned().collect();
    let draft = Plan::draft(launches, assignments, unplaced);
    let broken = check(snapshot, draft).err().unwrap_or_default();
    let rules = broken.into_iter().filter(|broken| broken.pod.as_ref() == Some(&snapshot.pods[pod].key));
    rules.map(|broken| broken.rule).collect()
}

/// Which offer of each launch the cloud has: any of them.
fn bought(scenario: &Scenario, decision: &Decision) -> Vec<Offer> {
    let dice = &mut Dice::new(scenario.seed ^ 0x0ffe5);
    decision.plan.launches.iter().map(|launch| dice.pick(&launch.offers).clone()).collect()
}

fn nodes(snapshot: &Snapshot, decision: &Decision, bought: &[Offer], names: &[String]) -> Vec<Value> {
    let launched = decision.plan.launches.iter().zip(bought).zip(names);
    let node = |((launch, offer), name): ((&Launch, &Offer), &String)| {
        let mut node = kwok::node(snapshot, launch, offer).expect("an offer of the Snapshot");
        node["metadata"]["name"] = name.as_str().into();
        node["metadata"]["labels"]["kubernetes.io/hostname"] = name.as_str().into();
        node
    };
    launched.map(node).collect()
}
