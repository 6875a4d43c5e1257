//! Random worlds: the checker agrees with the naive rules on any assignment, and accepts what was placed by them.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::naive;
use super::world::*;
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::*;
use crate::plan::check::{Rule, check};
use crate::plan::{Draft, Plan, Target};

const POD_RULES: [Rule; 7] = [
    Rule::Resources,
    Rule::Taints,
    Rule::NodeAffinity,
    Rule::HostPorts,
    Rule::PodAffinity,
    Rule::PodAntiAffinity,
    Rule::TopologySpread,
];

#[derive(Debug, Clone)]
pub struct World {
    pub snapshot: Snapshot,
    /// (pool, index of the type set, zone)
    bought: Vec<(usize, usize, usize)>,
    /// For each pending pod a number that picks a place.
    picks: Vec<usize>,
}

const TYPE_SETS: [&[&str]; 3] = [&["small"], &["small", "small-b"], &["large"]];

impl World {
    pub fn bought(&self) -> Vec<Bought<'static>> {
        let one = |&(pool, types, zone): &(usize, usize, usize)| (pool, TYPE_SETS[types], &ZONES[zone..=zone]);
        self.bought.iter().map(one).collect()
    }

    fn targets(&self) -> Vec<Target> {
        let nodes = (0..self.snapshot.nodes.len()).map(Target::Existing);
        nodes.chain((0..self.bought.len()).map(Target::Launch)).collect()
    }
}

fn decorated() -> impl Strategy<Value = PodTemplate> {
    let key = prop_oneof![Just(labels::ZONE), Just(labels::HOSTNAME)];
    let of = prop_oneof![Just("x"), Just("y")];
    (of.clone(), 1_i64..8, 0_usize..9, key, of, 1_u32..3, any::<bool>()).prop_map(
        |(name, cpu, kind, key, of, skew, flag)| {
            let mut made = template(name, cpu * 250);
            let spec = &mut made.spec;
            match kind {
                0 | 1 => {
                    let mut constraint = spread(key, skew, of);
                    constraint.min_domains = flag.then_some(3);
                    if cpu % 2 == 0 {
                        constraint.node_taints_policy = NodeInclusionPolicy::Honor;
                    }
                    spec.topology_spread.push(constraint);
                }
                2 => spec.pod_affinity.push(term(key, of)),
                3 | 4 => spec.pod_anti_affinity.push(term(key, of)),
                5 => spec.host_ports.push(HostPort { ip: "0.0.0.0".into(), port: 80, protocol: "TCP".into() }),
                6 => drop(spec.node_selector.insert(labels::ZONE.into(), ZONES[skew as usize].into())),
                _ => {}
            }
            if flag {
                let operator = TolerationOperator::Exists;
                spec.tolerations.push(Toleration { key: "dedicated".into(), operator, value: "".into(), effect: None });
            }
            made
        },
    )
}

fn worlds() -> impl Strategy<Value = World> {
    let nodes = prop::collection::vec((0_usize..3, 4_i64..16), 0..3);
    let templates = prop::collection::vec(decorated(), 1..4);
    let pods = prop::collection::vec((any::<prop::sample::Index>(), 0_usize..8, any::<bool>()), 1..14);
    let bought = prop::collection::vec((0_usize..3, 0_usize..3, 0_usize..3), 1..5);
    (nodes, templates, pods, bought).prop_map(|(nodes, templates, pods, bought)| {
        let mut made = snapshot();
        made.nodes =
            nodes.iter().enumerate().map(|(i, (z, cpu))| node(&format!("n{i}"), ZONES[*z], cpu * 250)).collect();
        let templates: Vec<Arc<PodTemplate>> = templates.into_iter().map(Arc::new).collect();
        let mut picks = Vec::new();
        for (template, pick, bound) in pods {
            let on = bound.then(|| made.nodes.get(pick)).flatten().map(|node| node.name.to_string());
            add_pod(&mut made, &templates[template.index(templates.len())], on.as_deref());
            picks.push(pick);
        }
        World { snapshot: made, bought, picks }
    })
}

pub fn rules(snapshot: &Snapshot, plan: Plan<Draft>) -> BTreeSet<Rule> {
    check(snapshot, plan).err().unwrap_or_default().into_iter().map(|violation| violation.rule).collect()
}

/// Places every pod where the naive rules allow it, without launches that stay empty.
pub fn valid(world: &World) -> (World, Vec<(usize, Target)>) {
    let mut world = world.clone();
    loop {
        let bought = world.bought();
        let mut places = naive::places(&world.snapshot, &bought);
        let mut assignments: Vec<(usize, Target)> = Vec::new();
        let targets = world.targets();
        for (pod, _) in world.snapshot.pending() {
            let from = world.picks[pod];
            let order = (0..targets.len()).map(|i| targets[(i + from) % targets.len()]);
            let fits = |target: &Target| {
                naive::broken(&world.snapshot, &places, pod, naive::index(&world.snapshot, *target)).is_empty()
            };
            if let Some(target) = order.into_iter().find(fits) {
                naive::bind(&world.snapshot, &mut places, pod, naive::index(&world.snapshot, target));
                assignments.push((pod, target));
            }
        }
        let used: BTreeSet<Target> = assignments.iter().map(|(_, target)| *target).collect();
        let before = world.bought.len();
        let mut launch = 0;
        world.bought.retain(|_| {
            launch += 1;
            used.contains(&Target::Launch(launch - 1))
        });
        if world.bought.len() == before {
            return (world, assignments);
        }
    }
}

pub fn run(cases: u32, test: impl Fn(World)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    runner
        .run(&worlds(), |world| {
            test(world);
            Ok(())
        })
        .unwrap();
}

#[test]
fn agrees_with_the_naive_rules_on_any_assignment() {
    let seen = std::cell::RefCell::new(std::collections::BTreeMap::<Rule, u32>::new());
    run(2_000, |world| {
        let (bought, targets) = (world.bought(), world.targets());
        let mut places = naive::places(&world.snapshot, &bought);
        let mut expected = BTreeSet::new();
        let mut assignments = Vec::new();
        for (pod, _) in world.snapshot.pending() {
            let target = targets[world.picks[pod] % targets.len()];
            expected.extend(naive::bind(&world.snapshot, &mut places, pod, naive::index(&world.snapshot, target)));
            assignments.push((pod, target));
        }
        let mut found = rules(&world.snapshot, plan(&world.snapshot, &bought, &assignments));
        found.retain(|rule| POD_RULES.contains(rule));
        for rule in &expected {
            *seen.borrow_mut().entry(*rule).or_default() += 1;
        }
        assert_eq!(found, expected);
    });
    let seen = seen.into_inner();
    for rule in POD_RULES {
        assert!(seen.get(&rule).is_some_and(|times| *times > 20), "{rule} was exercised too rarely: {seen:?}");
    }
}

#[test]
fn accepts_what_is_valid_by_construction() {
    let placed = std::cell::Cell::new(0);
    run(1_000, |world| {
        let (world, assignments) = valid(&world);
        placed.set(placed.get() + assignments.len());
        let plan = plan(&world.snapshot, &world.bought(), &assignments);
        // the naive rules are kube-scheduler's, which knows no domain that could still be opened
        let found = check(&world.snapshot, plan).err().unwrap_or_default();
        let found: Vec<_> = found.iter().filter(|violation| violation.rule != Rule::OpenableSpread).collect();
        assert!(found.is_empty(), "{found:#?}");
    });
    assert!(placed.get() > 1_000);
}
