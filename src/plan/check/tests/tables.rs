//! One table or story a rule about where pods go, after the examples of the Kubernetes documentation.

use std::sync::Arc;

use super::world::*;
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::*;
use crate::plan::Target::{Existing, Launch};
use crate::plan::check::{Rule, check};
use crate::plan::{Assignment, Draft, Plan, Target};
use crate::requirements::{Requirement, Requirements};
use crate::resources::{CPU, PODS, Resources};

pub fn rules(snapshot: &Snapshot, plan: Plan<Draft>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = check(snapshot, plan).err().unwrap_or_default().iter().map(|v| v.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// Three zones with one node each, with so many pods `x` bound.
pub fn three_zones(counts: [usize; 3]) -> Snapshot {
    let mut snapshot = snapshot();
    let plain = Arc::new(template("x", 1));
    for (zone, count) in ZONES.iter().zip(counts) {
        snapshot.nodes.push(node(zone, zone, 100_000));
        for _ in 0..count {
            add_pod(&mut snapshot, &plain, Some(zone));
        }
    }
    snapshot
}

/// Binds one pod of the template to each target in turn: what kube-scheduler says, which knows no domain that could still be
/// opened.
fn bind(snapshot: &mut Snapshot, template: PodTemplate, targets: &[Target]) -> Vec<Rule> {
    let mut found = bind_as_planned(snapshot, template, targets);
    found.retain(|rule| *rule != Rule::OpenableSpread);
    found
}

fn bind_as_planned(snapshot: &mut Snapshot, template: PodTemplate, targets: &[Target]) -> Vec<Rule> {
    let template = Arc::new(template);
    let assignments: Vec<(usize, Target)> =
        targets.iter().map(|target| (add_pod(snapshot, &template, None), *target)).collect();
    rules(snapshot, plan(snapshot, &[], &assignments))
}

pub fn spreading(change: impl Fn(&mut TopologySpreadConstraint)) -> PodTemplate {
    let mut made = template("x", 1);
    let mut constraint = spread(labels::ZONE, 1, "x");
    change(&mut constraint);
    made.spec.topology_spread.push(constraint);
    made
}

#[test]
fn skew_is_checked_where_the_pod_lands() {
    let broken = vec![Rule::TopologySpread];
    // (6, 6, 0) with maxSkew 1: three pods bind to the empty zone one after another
    assert_eq!(bind(&mut three_zones([6, 6, 0]), spreading(|_| {}), &[Existing(2); 3]), []);
    assert_eq!(bind(&mut three_zones([6, 6, 0]), spreading(|_| {}), &[Existing(2), Existing(0)]), broken);
    assert_eq!(bind(&mut three_zones([1, 1, 1]), spreading(|_| {}), &[Existing(0), Existing(1)]), []);
    assert_eq!(bind(&mut three_zones([1, 1, 1]), spreading(|_| {}), &[Existing(0), Existing(0)]), broken);
    assert_eq!(bind(&mut three_zones([1, 1, 1]), spreading(|c| c.max_skew = 2), &[Existing(0), Existing(0)]), []);
    // a selector that does not match the pod itself: it adds nothing to the skew
    assert_eq!(bind(&mut three_zones([1, 0, 0]), spreading(|c| c.selector = app("y")), &[Existing(0); 5]), []);
    let soft = |c: &mut TopologySpreadConstraint| c.when_unsatisfiable = WhenUnsatisfiable::ScheduleAnyway;
    assert_eq!(bind(&mut three_zones([1, 0, 0]), spreading(soft), &[Existing(0); 5]), []);
}

#[test]
fn a_spread_counts_the_zones_and_hosts_that_pools_could_open() {
    let broken = vec![Rule::OpenableSpread];
    // one zone with a node; the pools of the world sell in all three
    let one_zone = || {
        let mut snapshot = three_zones([0, 0, 0]);
        snapshot.nodes.truncate(1);
        snapshot
    };
    assert_eq!(bind_as_planned(&mut one_zone(), spreading(|_| {}), &[Existing(0)]), []);
    assert_eq!(bind_as_planned(&mut one_zone(), spreading(|_| {}), &[Existing(0), Existing(0)]), broken);
    let mut sold_out = one_zone();
    for pool in &mut sold_out.node_pools {
        pool.unusable = Some("not ready".into());
    }
    assert_eq!(bind_as_planned(&mut sold_out, spreading(|_| {}), &[Existing(0), Existing(0)]), []);
    let elsewhere = |key: &str| spreading(|c| (c.topology_key, c.max_skew) = (key.into(), 1));
    assert_eq!(bind_as_planned(&mut one_zone(), elsewhere(labels::HOSTNAME), &[Existing(0), Existing(0)]), broken);
}

#[test]
fn fewer_domains_than_min_domains_make_the_minimum_zero() {
    let with = |domains| move |c: &mut TopologySpreadConstraint| c.min_domains = Some(domains);
    assert_eq!(bind(&mut three_zones([1, 1, 1]), spreading(with(3)), &[Existing(0)]), []);
    assert_eq!(bind(&mut three_zones([1, 1, 1]), spreading(with(4)), &[Existing(0)]), [Rule::TopologySpread]);
}

/// A world without nodes, with a daemonset whose pods are called so.
fn with_daemons(app: &str, change: impl FnOnce(&mut PodSpec)) -> Snapshot {
    let mut snapshot = snapshot();
    let mut of_daemons = template(app, 0);
    change(&mut of_daemons.spec);
    let key = PodKey { namespace: "default".into(), name: "agent".into() };
    snapshot.daemon_sets.push(DaemonSet { key, uid: "agent".into(), template: Arc::new(of_daemons) });
    snapshot
}

/// Launches a node for each pod of the template, by (pool, zone).
fn launch(snapshot: &mut Snapshot, template: PodTemplate, nodes: &[(usize, &'static str)]) -> Vec<Rule> {
    let template = Arc::new(template);
    let assignments: Vec<(usize, Target)> =
        (0..nodes.len()).map(|node| (add_pod(snapshot, &template, None), Launch(node))).collect();
    let zones: Vec<[&str; 1]> = nodes.iter().map(|(_, zone)| [*zone]).collect();
    let bought: Vec<Bought> =
        nodes.iter().zip(&zones).map(|((pool, _), zone)| (*pool, ["small"].as_slice(), zone.as_slice())).collect();
    rules(snapshot, plan(snapshot, &bought, &assignments))
}

#[test]
fn the_daemon_pods_of_new_nodes_are_there_before_the_pods_of_the_plan() {
    let away = |from: &str| {
        let mut made = template("x", 1);
        made.spec.pod_anti_affinity.push(term(labels::HOSTNAME, from));
        made
    };
    let nothing = |_: &mut PodSpec| {};
    let all = || Toleration { key: "".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None };
    assert_eq!(launch(&mut with_daemons("agent", nothing), away("agent"), &[(0, "a")]), [Rule::PodAntiAffinity]);
    assert_eq!(launch(&mut with_daemons("agent", nothing), away("other"), &[(0, "a")]), []);
    // the pool's taint keeps the daemon pod away, but not the pod
    let mut tolerant = away("agent");
    tolerant.spec.tolerations.push(all());
    assert_eq!(launch(&mut with_daemons("agent", nothing), tolerant, &[(2, "a")]), []);
    // the daemonset's own wish
    let shy = |spec: &mut PodSpec| spec.pod_anti_affinity.push(term(labels::ZONE, "x"));
    assert_eq!(launch(&mut with_daemons("agent", shy), template("x", 1), &[(0, "a")]), [Rule::PodAntiAffinity]);
    // two nodes in zone a bring two of them, one in zone b one
    let zones = [(0, "a"), (0, "a"), (0, "b"), (0, "c")];
    let everywhere = |spec: &mut PodSpec| spec.tolerations.push(all());
    let daemons = || with_daemons("agent", everywhere);
    let spread = || spreading(|constraint| constraint.selector = app("agent"));
    assert_eq!(launch(&mut daemons(), spread(), &zones), []);
    assert_eq!(launch(&mut daemons(), spread(), &[&zones[..], &zones[..1]].concat()), [Rule::TopologySpread]);
    // a zone to come would have one as well, so that two here are no skew
    assert_eq!(launch(&mut daemons(), spread(), &zones[..2]), []);
    assert_eq!(launch(&mut daemons(), spread(), &[&zones[..2], &zones[..1]].concat()), [Rule::OpenableSpread]);
}

#[test]
fn inclusion_policies_decide_which_domains_count() {
    let tainted = || {
        let mut snapshot = three_zones([1, 1, 0]);
        snapshot.nodes[2].taints.push(dedicated());
        snapshot
    };
    let honor = |c: &mut TopologySpreadConstraint| c.node_taints_policy = NodeInclusionPolicy::Honor;
    assert_eq!(bind(&mut tainted(), spreading(|_| {}), &[Existing(0)]), [Rule::TopologySpread]);
    assert_eq!(bind(&mut tainted(), spreading(honor), &[Existing(0)]), []);

    let in_two_zones = |policy| {
        let mut made = spreading(|c| c.node_affinity_policy = policy);
        let zones = [(labels::ZONE, Requirement::one_of(["a", "b"]))];
        made.spec.node_affinity.push(NodeAffinityTerm(zones.into_iter().collect::<Requirements>()));
        made
    };
    let honored = in_two_zones(NodeInclusionPolicy::Honor);
    assert_eq!(bind(&mut three_zones([1, 1, 0]), honored, &[Existing(0)]), []);
    let ignored = in_two_zones(NodeInclusionPolicy::Ignore);
    assert_eq!(bind(&mut three_zones([1, 1, 0]), ignored, &[Existing(0)]), [Rule::TopologySpread]);
}

#[test]
fn a_node_needs_the_keys_of_all_constraints_to_be_a_domain() {
    let two_keys = || {
        let mut made = spreading(|_| {});
        made.spec.topology_spread.push(spread("rack", 5, "x"));
        made
    };
    let mut snapshot = three_zones([1, 1, 0]);
    for node in &mut snapshot.nodes[..2] {
        Arc::make_mut(&mut node.labels).insert("rack".into(), "r".into());
    }
    assert_eq!(bind(&mut snapshot.clone(), two_keys(), &[Existing(0)]), []);
    assert_eq!(bind(&mut snapshot, two_keys(), &[Existing(2)]), [Rule::TopologySpread]);
}

#[test]
fn terminating_pods_and_deleting_nodes_are_not_counted_by_a_spread() {
    let mut snapshot = three_zones([1, 0, 0]);
    assert_eq!(bind(&mut snapshot.clone(), spreading(|_| {}), &[Existing(0)]), [Rule::TopologySpread]);
    let mut terminating = snapshot.clone();
    terminating.pods[0].terminating = true;
    assert_eq!(bind(&mut terminating, spreading(|_| {}), &[Existing(0)]), []);
    snapshot.nodes[1].deleting = true;
    snapshot.nodes[2].deleting = true;
    assert_eq!(bind(&mut snapshot.clone(), spreading(|_| {}), &[Existing(0)]), []);
    assert_eq!(bind(&mut snapshot, spreading(|_| {}), &[Existing(1)]), [Rule::Target]);
}

#[test]
fn a_pod_that_stays_on_a_deleting_node_counts_where_it_is() {
    let mut snapshot = three_zones([2, 1, 1]);
    snapshot.nodes[0].deleting = true;
    snapshot.nodes.push(node("a2", "a", 1_000));
    assert_eq!(bind(&mut snapshot.clone(), spreading(|_| {}), &[Existing(3)]), [Rule::TopologySpread]);
    // what the eviction moves does not
    snapshot.pods[0].displaced = true;
    snapshot.pods[1].displaced = true;
    let moved: Vec<(usize, Target)> = vec![(0, Existing(3)), (1, Existing(1))];
    assert_eq!(rules(&snapshot, plan(&snapshot, &[], &moved)), []);
}

#[test]
fn terminating_pods_count_for_affinity_and_anti_affinity() {
    let leaving = |template: &PodTemplate| {
        let mut snapshot = three_zones([0; 3]);
        let pod = add_pod(&mut snapshot, &Arc::new(template.clone()), Some("a"));
        snapshot.pods[pod].terminating = true;
        snapshot
    };
    let mut lonely = template("y", 1);
    lonely.spec.pod_anti_affinity.push(term(labels::ZONE, "x"));
    assert_eq!(bind(&mut leaving(&template("x", 1)), lonely.clone(), &[Existing(0)]), [Rule::PodAntiAffinity]);
    assert_eq!(bind(&mut leaving(&lonely), template("x", 1), &[Existing(0)]), [Rule::PodAntiAffinity]);
    assert_eq!(bind(&mut leaving(&lonely), template("x", 1), &[Existing(1)]), []);
    assert_eq!(bind(&mut leaving(&template("x", 1)), affine("y", "x"), &[Existing(0)]), []);
    // with one of its kind still there, no pod is the first
    assert_eq!(bind(&mut leaving(&template("x", 1)), affine("x", "x"), &[Existing(1)]), [Rule::PodAffinity]);
}

pub fn affine(name: &str, to: &str) -> PodTemplate {
    let mut made = template(name, 1);
    made.spec.pod_affinity.push(term(labels::ZONE, to));
    made
}

#[test]
fn only_the_first_pod_of_its_kind_may_be_alone() {
    let empty = || three_zones([0, 0, 0]);
    assert_eq!(bind(&mut empty(), affine("x", "x"), &[Existing(0), Existing(0)]), []);
    assert_eq!(bind(&mut empty(), affine("x", "x"), &[Existing(0), Existing(1)]), [Rule::PodAffinity]);
    assert_eq!(bind(&mut empty(), affine("y", "x"), &[Existing(0)]), [Rule::PodAffinity]);
    assert_eq!(bind(&mut three_zones([0, 1, 0]), affine("x", "x"), &[Existing(0)]), [Rule::PodAffinity]);
}

#[test]
fn affinity_depends_on_the_order() {
    let mut snapshot = three_zones([0, 0, 0]);
    let follower = add_pod(&mut snapshot, &Arc::new(affine("y", "x")), None);
    let leader = add_pod(&mut snapshot, &Arc::new(template("x", 1)), None);
    let first = [(leader, Existing(0)), (follower, Existing(0))];
    assert_eq!(rules(&snapshot, plan(&snapshot, &[], &first)), []);
    let last = [(follower, Existing(0)), (leader, Existing(0))];
    assert_eq!(rules(&snapshot, plan(&snapshot, &[], &last)), [Rule::PodAffinity]);
}

#[test]
fn anti_affinity_holds_in_both_directions_and_by_namespace() {
    let mut lonely = template("y", 1);
    lonely.spec.pod_anti_affinity.push(term(labels::ZONE, "x"));
    assert_eq!(bind(&mut three_zones([1, 0, 0]), lonely.clone(), &[Existing(0)]), [Rule::PodAntiAffinity]);
    assert_eq!(bind(&mut three_zones([1, 0, 0]), lonely.clone(), &[Existing(1)]), []);
    let with_lonely = |lonely: &PodTemplate| {
        let mut snapshot = three_zones([0, 0, 0]);
        add_pod(&mut snapshot, &Arc::new(lonely.clone()), Some("a"));
        snapshot
    };
    assert_eq!(bind(&mut with_lonely(&lonely), template("x", 1), &[Existing(0)]), [Rule::PodAntiAffinity]);
    assert_eq!(bind(&mut with_lonely(&lonely), template("x", 1), &[Existing(2)]), []);
    // a pod that stays on a deleting node still keeps others away from its zone
    let mut leaving = with_lonely(&lonely);
    leaving.nodes[0].deleting = true;
    leaving.nodes.push(node("a2", "a", 1_000));
    assert_eq!(bind(&mut leaving, template("x", 1), &[Existing(3)]), [Rule::PodAntiAffinity]);

    lonely.spec.pod_anti_affinity[0].namespaces = vec!["other".into()];
    assert_eq!(bind(&mut with_lonely(&lonely), template("x", 1), &[Existing(0)]), []);
    let by_name = SelectorRequirement {
        key: "kubernetes.io/metadata.name".into(),
        requirement: Requirement::one_of(["default"]),
    };
    for (selector, expected) in [
        (LabelSelector::Matching(vec![]), vec![Rule::PodAntiAffinity]),
        (LabelSelector::Matching(vec![by_name]), vec![Rule::PodAntiAffinity]),
        (LabelSelector::Nothing, vec![]),
    ] {
        lonely.spec.pod_anti_affinity[0].namespace_selector = Some(selector);
        assert_eq!(bind(&mut with_lonely(&lonely), template("x", 1), &[Existing(0)]), expected);
    }
}

#[test]
fn node_affinity_terms_are_alternatives_and_an_empty_one_selects_nothing() {
    let zone = |zone: &str| NodeAffinityTerm([(labels::ZONE, Requirement::one_of([zone]))].into_iter().collect());
    for (terms, expected) in [
        (vec![zone("b"), zone("a")], vec![]),
        (vec![zone("b"), zone("c")], vec![Rule::NodeAffinity]),
        (vec![NodeAffinityTerm::default()], vec![Rule::NodeAffinity]),
    ] {
        let mut made = template("x", 1);
        made.spec.node_affinity = terms;
        assert_eq!(bind(&mut three_zones([0, 0, 0]), made, &[Existing(0)]), expected);
    }
}

fn with_volume(claim: &str, change: impl Fn(&mut Volume)) -> PodTemplate {
    let mut volume = Volume {
        claim: claim.into(),
        driver: Some("csi".into()),
        topology: vec![],
        single_pod: false,
        follows_first_user: false,
    };
    change(&mut volume);
    let mut made = template("x", 1);
    made.spec.volumes.push(volume);
    made
}

#[test]
fn volumes_reach_attach_and_are_shared_as_they_may_be() {
    let in_b = |v: &mut Volume| {
        let zone = [(labels::ZONE, Requirement::one_of(["b"]))];
        v.topology.push(NodeAffinityTerm(zone.into_iter().collect()));
    };
    assert_eq!(bind(&mut three_zones([0; 3]), with_volume("v", in_b), &[Existing(1)]), []);
    assert_eq!(bind(&mut three_zones([0; 3]), with_volume("v", in_b), &[Existing(0)]), [Rule::VolumeTopology]);

    let nowhere = |v: &mut Volume| v.topology.push(NodeAffinityTerm::default());
    assert_eq!(bind(&mut three_zones([0; 3]), with_volume("v", nowhere), &[Existing(1)]), [Rule::VolumeTopology]);

    let single = |v: &mut Volume| v.single_pod = true;
    assert_eq!(bind(&mut three_zones([0; 3]), with_volume("v", single), &[Existing(0)]), []);
    let twice = [Existing(0), Existing(1)];
    assert_eq!(bind(&mut three_zones([0; 3]), with_volume("v", single), &twice), [Rule::ReadWriteOncePod]);

    let mut limited = three_zones([0; 3]);
    limited.nodes[0].attach_limits.insert("csi".into(), 1);
    let other = add_pod(&mut limited, &Arc::new(with_volume("w", |_| {})), Some("a"));
    assert_eq!(bind(&mut limited.clone(), with_volume("w", |_| {}), &[Existing(0); 2]), []);
    assert_eq!(bind(&mut limited.clone(), with_volume("v", |_| {}), &[Existing(0)]), [Rule::VolumeLimits]);
    limited.pods[other].node = None;
    let moved = plan(&limited, &[], &[(other, Existing(0))]);
    assert_eq!(rules(&limited, moved), []);
}

#[test]
fn daemonsets_take_their_share_where_they_run() {
    let mut made = template("agent", 500);
    made.spec.node_selector.insert(labels::ZONE.into(), "a".into());
    let daemon = DaemonSet {
        key: PodKey { namespace: "kube-system".into(), name: "agent".into() },
        uid: "agent".into(),
        template: Arc::new(made),
    };
    let mut snapshot = snapshot();
    snapshot.daemon_sets.push(daemon.clone());
    let pod = add_pod(&mut snapshot, &Arc::new(template("x", 1_600)), None);
    for (zones, expected) in [(["a"], vec![Rule::Resources]), (["b"], vec![])] {
        let made = plan(&snapshot, &[(0, &["small"], &zones)], &[(pod, Launch(0))]);
        assert_eq!(rules(&snapshot, made), expected);
    }
    // on an existing node the daemon pod that is there already is not counted twice
    snapshot.nodes.push(node("a", "a", 2_200));
    let made = || plan(&snapshot, &[], &[(pod, Existing(0))]);
    assert_eq!(rules(&snapshot, made()), []);
    let mut with_daemon = snapshot.clone();
    let there = add_pod(&mut with_daemon, &daemon.template, Some("a"));
    with_daemon.pods[there].owner =
        Some(OwnerRef { kind: "DaemonSet".into(), name: "agent".into(), uid: "agent".into() });
    assert_eq!(rules(&with_daemon, made()), []);
    with_daemon.nodes[0].allocatable.set(CPU, 2_099);
    assert_eq!(rules(&with_daemon, made()), [Rule::Resources]);
}

#[test]
fn a_hundred_thousand_pods_on_a_thousand_launches() {
    let mut snapshot = snapshot();
    for instance_type in Arc::make_mut(&mut snapshot.node_pools[0].instance_types) {
        instance_type.allocatable = Resources::new().with(CPU, 1_000_000).with(PODS, 1_000);
    }
    let templates: Vec<Arc<PodTemplate>> = (0..112_i64)
        .map(|i| {
            let name = format!("app-{}", i % 40);
            let mut made = template(&name, 10 + i);
            if i % 3 == 0 {
                let mut constraint = spread(labels::HOSTNAME, 1_000, &name);
                constraint.node_taints_policy = NodeInclusionPolicy::Honor;
                made.spec.topology_spread = vec![spread(labels::ZONE, 50_000, &name), constraint];
            }
            if i % 7 == 0 {
                made.spec.pod_affinity.push(term(labels::ZONE, &name));
            }
            if i % 10 == 0 {
                made.spec.pod_anti_affinity.push(term(labels::HOSTNAME, "nobody"));
            }
            Arc::new(made)
        })
        .collect();
    let assignments: Vec<(usize, Target)> =
        (0..100_000).map(|i| (add_pod(&mut snapshot, &templates[i % 112], None), Launch(i % 1_000))).collect();
    let bought: Vec<Bought<'_>> = vec![(0, &["small", "small-b"], &["a"]); 1_000];
    let mut made = plan(&snapshot, &bought, &[]);
    made.unplaced.clear();
    made.assignments = assignments.iter().map(|&(pod, target)| Assignment { pod, target }).collect();
    for launch in &mut made.launches {
        launch.requests = Resources::new().with(CPU, 1_000_000).with(PODS, 1_000);
    }
    let checked = check(&snapshot, made);
    assert!(checked.is_ok(), "{:#?}", checked.unwrap_err());
}

#[test]
fn displays_rule_subject_and_sentence() {
    let mut snapshot = three_zones([0; 3]);
    let pod = add_pod(&mut snapshot, &Arc::new(template("x", 1)), None);
    snapshot.nodes[0].taints.push(dedicated());
    let violations = check(&snapshot, plan(&snapshot, &[], &[(pod, Existing(0))])).unwrap_err();
    let shown = "taints: pod default/p000: node a: the pod does not tolerate the taint dedicated=x:NoSchedule";
    assert_eq!(violations[0].to_string(), shown);
}
