//! Random questions, half of them made to be hard: for promises that hold whatever is asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::pools::{Pools, node_class, pool};
use super::{Instance, MIX_POOLS, Source, cluster, deployment, list, mixes};
use crate::bench::karpenter_mix;
use crate::random::SplitMix64;

const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// What clusters ask.
const USUAL: [Family; 4] = [Family::Mix, Family::SmallBatch, Family::KarpenterMix, Family::Cluster];
/// What is made to be hard.
const ADVERSE: [Family; 8] = [
    Family::Alone,
    Family::AllDiffer,
    Family::Halves,
    Family::Chain,
    Family::SpreadTwice,
    Family::TooLarge,
    Family::Priorities,
    Family::ManyPools,
];

#[derive(Debug, Clone, Copy)]
enum Family {
    Mix,
    SmallBatch,
    KarpenterMix,
    Cluster,
    /// Equal pods, each alone on its host.
    Alone,
    /// Pods of nearly the same size, of which no two are equal.
    AllDiffer,
    /// Pods just above half, a third or a quarter of what nodes hold.
    Halves,
    /// Each group must be in the zone of the one before.
    Chain,
    /// Spread over zones and over hosts.
    SpreadTwice,
    /// Half of the groups fit no type.
    TooLarge,
    /// More pods than the limit of the pool allows, of many priorities.
    Priorities,
    /// Fifty pools with weights and limits.
    ManyPools,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::SmallBatch => "small-batch",
            Self::KarpenterMix => "karpenter-mix",
            Self::Cluster => "cluster",
            Self::Alone => "alone",
            Self::AllDiffer => "all-differ",
            Self::Halves => "halves",
            Self::Chain => "chain",
            Self::SpreadTwice => "spread-twice",
            Self::TooLarge => "too-large",
            Self::Priorities => "priorities",
            Self::ManyPools => "many-pools",
        }
    }

    fn texts(self, random: &mut SplitMix64) -> Vec<String> {
        let texts = |objects: &[Value]| objects.iter().map(Value::to_string).collect();
        let pools = random.pick(&[Pools::OnDemand, Pools::Spot, Pools::UpTo8, Pools::EverySize]).manifests();
        let pods = match self {
            Self::KarpenterMix => {
                return vec![
                    MIX_POOLS.to_owned(),
                    karpenter_mix::pods(up_to(5_000, random), random.next()).to_string(),
                ];
            }
            Self::Cluster => {
                let extras = cluster::Extras { hosts: random.between(0, 1) == 1, daemons: random.between(0, 1) == 1 };
                return texts(&cluster::manifests(random.next(), extras));
            }
            Self::ManyPools => return texts(&[many_pools(random), groups(random, 2_000, sized)]),
            Self::Priorities => {
                return texts(&[limited_pool(), priority_classes(), groups(random, 1_000, with_priority)]);
            }
            Self::Mix => {
                let count = up_to(20_000, random);
                let kind = random.pick(&mixes::KINDS);
                mixes::deployments(kind, count, up_to(count.min(1_000), random), random.next())
            }
            Self::SmallBatch => mixes::small_batch(random.next()),
            Self::Alone => {
                let term = json!({"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "alone"}}});
                let rule = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
                let replicas = random.between(1, 3_000);
                list(&[deployment("alone", replicas, random.between(50, 4_000), 500, json!({"affinity": rule}))])
            }
            Self::AllDiffer => groups(random, 1_500, |name, random| {
                deployment(name, 1, random.between(1_000, 1_400), random.between(3_000, 4_200), json!({}))
            }),
            Self::Halves => groups(random, 300, |name, random| {
                let part = random.between(2, 4);
                let vcpus = random.pick(&[2_000, 4_000, 8_000, 16_000, 32_000]);
                deployment(name, random.between(1, 20), vcpus / part + random.between(0, 60), 1_000, json!({}))
            }),
            Self::Chain => chain(random),
            Self::SpreadTwice => groups(random, 200, spread_twice),
            Self::TooLarge => groups(random, 300, |name, random| {
                let cpu = random.pick(&[500, 900_000]);
                deployment(name, random.between(1, 10), cpu, random.between(100, 8_000), json!({}))
            }),
        };
        texts(&[pools, pods])
    }
}

/// The question of this number, and the time within which it is to be answered: 10 ms to 2 s. Equal numbers give equal
/// questions.
#[must_use]
pub fn question(number: u64) -> (Instance, Duration) {
    let mut random = SplitMix64(number);
    let time = Duration::from_millis(u64::try_from(up_to(200, &mut random)).unwrap_or(u64::MAX) * 10);
    let family = if number.is_multiple_of(2) { random.pick(&USUAL) } else { random.pick(&ADVERSE) };
    let texts = family.texts(&mut random);
    let source = Source::Texts(Box::new(move || texts.clone()), matches!(family, Family::KarpenterMix));
    let name = format!("{}-{number}", family.name());
    (Instance { name, about: "a random question".to_owned(), is_core: false, source }, time)
}

/// Every order of magnitude is as likely as every other one.
fn up_to(most: usize, random: &mut SplitMix64) -> usize {
    let most = u64::try_from(most).unwrap_or(u64::MAX).max(1);
    let magnitude = random.between(0, u64::from(most.ilog2()));
    usize::try_from(random.between(1, (2 << magnitude) - 1).min(most)).unwrap_or(usize::MAX)
}

fn groups(random: &mut SplitMix64, most: usize, of: impl Fn(&str, &mut SplitMix64) -> Value) -> Value {
    let all: Vec<Value> = (0..up_to(most, random)).map(|group| of(&format!("group-{group}"), random)).collect();
    list(&all)
}

fn sized(name: &str, random: &mut SplitMix64) -> Value {
    deployment(name, random.between(1, 3), random.between(100, 4_000), random.between(100, 16_000), json!({}))
}

fn with_priority(name: &str, random: &mut SplitMix64) -> Value {
    let class = format!("level-{}", random.between(0, 9));
    let (cpu, memory) = (random.between(100, 4_000), random.between(100, 16_000));
    deployment(name, random.between(1, 3), cpu, memory, json!({"priorityClassName": class}))
}

fn spread_twice(name: &str, random: &mut SplitMix64) -> Value {
    let selector = json!({"matchLabels": {"app": name}});
    let over = |key: &str| json!({"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector});
    let spec = json!({"topologySpreadConstraints": [over(ZONE), over(HOSTNAME)]});
    deployment(name, random.between(1, 30), random.between(100, 2_000), random.between(100, 8_000), spec)
}

fn chain(random: &mut SplitMix64) -> Value {
    let link = |group: usize, random: &mut SplitMix64| {
        let term =
            json!({"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": format!("link-{}", group - 1)}}});
        let rule = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
        let spec = if group == 1 { json!({}) } else { json!({"affinity": rule}) };
        deployment(&format!("link-{group}"), random.between(1, 5), random.between(100, 2_000), 1_000, spec)
    };
    let all: Vec<Value> = (1..=up_to(200, random)).map(|group| link(group, random)).collect();
    list(&all)
}

fn general() -> [Value; 2] {
    [
        json!({"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}),
        json!({"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c", "m", "r"]}),
    ]
}

fn limited_pool() -> Value {
    list(&[pool("limited", &general(), Some(200)), node_class()])
}

fn priority_classes() -> Value {
    let class = |level: u64| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": format!("level-{level}")},
            "value": level * 100,
        })
    };
    let all: Vec<Value> = (0..10).map(class).collect();
    list(&all)
}

fn many_pools(random: &mut SplitMix64) -> Value {
    let mut all: Vec<Value> = (0..50)
        .map(|index| {
            let limit = random.pick(&[None, Some(64), Some(1_000)]);
            let mut object = pool(&format!("pool-{index}"), &general(), limit);
            object["spec"]["weight"] = json!(random.between(1, 5));
            object
        })
        .collect();
    all.push(node_class());
    list(&all)
}
