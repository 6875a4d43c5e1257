//! Pods, pending and bound, and daemonsets.

use std::sync::Arc;

use super::pools::GIB;
use super::{APPS, DRIVER, GPU, NAMESPACES, Size, TEAM, TEAMS, ZONES, labels as label_map};
use crate::api::labels;
use crate::host::tests::dice::Dice;
use crate::observe::Snapshot;
use crate::observe::snapshot::*;
use crate::requirements::{Requirement, Requirements};
use crate::resources::{CPU, MEMORY, PODS, Resources};

/// Keys that constraints look at.
const KEYS: [&str; 6] = [labels::ZONE, labels::ZONE, labels::HOSTNAME, labels::HOSTNAME, labels::CAPACITY_TYPE, TEAM];

fn selector(dice: &mut Dice) -> LabelSelector {
    let requirement = match dice.below(8) {
        0 => return LabelSelector::Matching(vec![]),
        1 => return LabelSelector::Nothing,
        2 => Requirement::none_of([*dice.pick(&APPS)]),
        3 => Requirement::one_of(dice.some(&APPS).into_iter().copied()),
        _ => Requirement::one_of([*dice.pick(&APPS)]),
    };
    LabelSelector::Matching(vec![SelectorRequirement { key: "app".into(), requirement }])
}

fn term(dice: &mut Dice, namespace: &str) -> PodAffinityTerm {
    let gold = SelectorRequirement { key: "tier".into(), requirement: Requirement::one_of(["gold"]) };
    let by_labels = match dice.below(10) {
        0 => Some(LabelSelector::Matching(vec![])),
        1 => Some(LabelSelector::Matching(vec![gold])),
        _ => None,
    };
    let namespaces = if dice.percent(80) { vec![namespace.into()] } else { vec![(*dice.pick(&NAMESPACES)).into()] };
    PodAffinityTerm {
        topology_key: (*dice.pick(&KEYS)).into(),
        selector: selector(dice),
        namespaces: if by_labels.is_some() { vec![] } else { namespaces },
        namespace_selector: by_labels,
    }
}

fn node_term(dice: &mut Dice) -> NodeAffinityTerm {
    let mut term = Requirements::new();
    for _ in 0..=dice.below(2) {
        let zones = |dice: &mut Dice| dice.some(&ZONES).into_iter().copied().collect::<Vec<_>>();
        match dice.below(8) {
            0 | 1 => term.add(labels::ZONE, Requirement::one_of(zones(dice))),
            2 => term.add(labels::ZONE, Requirement::none_of([*dice.pick(&ZONES)])),
            3 => term.add(labels::CAPACITY_TYPE, Requirement::one_of([labels::CAPACITY_ON_DEMAND])),
            4 => term.add(TEAM, Requirement::one_of([*dice.pick(&TEAMS)])),
            5 => term.add(TEAM, Requirement::does_not_exist()),
            6 => term.add(labels::INSTANCE_CPU, Requirement::bounded(Some(2), None)),
            _ => term.add(labels::INSTANCE_TENANCY, Requirement::one_of([*dice.pick(&["default", "dedicated"])])),
        }
    }
    NodeAffinityTerm(term)
}

fn spread(dice: &mut Dice, when_unsatisfiable: WhenUnsatisfiable) -> TopologySpreadConstraint {
    let policy = |dice: &mut Dice, honor| {
        if dice.percent(honor) { NodeInclusionPolicy::Honor } else { NodeInclusionPolicy::Ignore }
    };
    TopologySpreadConstraint {
        topology_key: (*dice.pick(&KEYS)).into(),
        max_skew: 1 + u32::from(dice.percent(30)),
        min_domains: (when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule && dice.percent(20)).then_some(3),
        when_unsatisfiable,
        selector: selector(dice),
        node_affinity_policy: policy(dice, 70),
        node_taints_policy: policy(dice, 40),
    }
}

fn volume(dice: &mut Dice, namespace: &str) -> Volume {
    let topology = if dice.percent(60) {
        let zones = dice.some(&ZONES);
        let in_zone = |zone: &&str| [(labels::ZONE, Requirement::one_of([*zone]))].into_iter().collect();
        zones.into_iter().map(|zone| NodeAffinityTerm(in_zone(zone))).collect()
    } else {
        vec![]
    };
    let claim = dice.below(6);
    Volume {
        claim: format!("{namespace}/claim-{claim}").into(),
        driver: (claim > 1).then(|| DRIVER.into()),
        topology,
        single_pod: claim == 5,
        follows_first_user: false,
    }
}

fn toleration(dice: &mut Dice) -> Toleration {
    let all = dice.percent(20);
    Toleration {
        key: if all { "" } else { "dedicated" }.into(),
        operator: if all || dice.percent(50) { TolerationOperator::Exists } else { TolerationOperator::Equal },
        value: "x".into(),
        effect: dice.percent(30).then_some(TaintEffect::NoSchedule),
    }
}

fn port(dice: &mut Dice) -> HostPort {
    let ip = *dice.pick(&["0.0.0.0", "10.0.0.1", "10.0.0.2"]);
    HostPort { ip: ip.into(), port: u16::try_from(dice.between(80, 81)).unwrap(), protocol: "TCP".into() }
}

fn template(dice: &mut Dice, namespace: &str) -> PodTemplate {
    let cpu = *dice.pick(&[100, 250, 500, 900, 1_500, 3_000]);
    let memory = dice.between(1, 12) * GIB / 4;
    let mut spec =
        PodSpec { requests: Resources::new().with(CPU, cpu).with(MEMORY, memory).with(PODS, 1), ..PodSpec::default() };
    if dice.percent(8) {
        spec.requests.set(GPU, 1);
    }
    spec.priority = *dice.pick(&[0, 0, 0, 100]);
    if dice.percent(35) {
        spec.tolerations.push(toleration(dice));
    }
    match dice.below(12) {
        0 => spec.node_selector = label_map([(labels::ZONE, *dice.pick(&ZONES))]),
        1 => spec.node_selector = label_map([(TEAM, *dice.pick(&TEAMS))]),
        2 => spec.node_selector = label_map([(labels::CAPACITY_TYPE, labels::CAPACITY_ON_DEMAND)]),
        3 => spec.node_selector = label_map([(labels::INSTANCE_TENANCY, "dedicated")]),
        _ => {}
    }
    if dice.percent(20) {
        spec.node_affinity = (0..=dice.below(2)).map(|_| node_term(dice)).collect();
    }
    for _ in 0..usize::from(dice.percent(30)) + usize::from(dice.percent(10)) {
        spec.topology_spread.push(spread(dice, WhenUnsatisfiable::DoNotSchedule));
    }
    if dice.percent(10) {
        spec.topology_spread.push(spread(dice, WhenUnsatisfiable::ScheduleAnyway));
    }
    for _ in 0..usize::from(dice.percent(15)) + usize::from(dice.percent(5)) {
        spec.pod_affinity.push(term(dice, namespace));
    }
    for _ in 0..usize::from(dice.percent(20)) + usize::from(dice.percent(5)) {
        spec.pod_anti_affinity.push(term(dice, namespace));
    }
    let weight = |dice: &mut Dice| i32::try_from(dice.between(1, 100)).unwrap();
    if dice.percent(12) {
        spec.preferred_pod_affinity.push((weight(dice), term(dice, namespace)));
    }
    if dice.percent(12) {
        spec.preferred_pod_anti_affinity.push((weight(dice), term(dice, namespace)));
    }
    for _ in 0..usize::from(dice.percent(15)) * 2 {
        spec.preferred_node_affinity.push((weight(dice), node_term(dice)));
    }
    if dice.percent(12) {
        spec.host_ports.push(port(dice));
    }
    for _ in 0..usize::from(dice.percent(20)) + usize::from(dice.percent(8)) {
        spec.volumes.push(volume(dice, namespace));
    }
    let labels = label_map([("app", *dice.pick(&APPS))]);
    PodTemplate { labels, annotations: Labels::new(), spec }
}

pub fn daemon_sets(dice: &mut Dice) -> Vec<DaemonSet> {
    let count = dice.below(3);
    (0..count)
        .map(|i| {
            let mut template = PodTemplate::default();
            let spec = &mut template.spec;
            spec.requests = Resources::new().with(CPU, dice.between(1, 3) * 100).with(MEMORY, GIB / 4).with(PODS, 1);
            match dice.below(8) {
                0 => spec.node_selector = label_map([(labels::ZONE, *dice.pick(&ZONES))]),
                1 => spec.node_selector = label_map([(labels::CAPACITY_TYPE, labels::CAPACITY_SPOT)]),
                2 => spec.node_selector = label_map([(TEAM, *dice.pick(&TEAMS))]),
                3 => spec.node_affinity = vec![node_term(dice), node_term(dice)],
                _ => {}
            }
            if dice.percent(60) {
                spec.tolerations.push(toleration(dice));
            }
            if dice.percent(20) {
                spec.host_ports.push(port(dice));
            }
            let name: Arc<str> = format!("daemon-{i}").into();
            DaemonSet {
                key: PodKey { namespace: "default".into(), name: name.clone() },
                uid: name,
                template: Arc::new(template),
            }
        })
        .collect()
}

/// Daemon pods that the constraints of other pods count, or that keep other pods away.
pub fn known_daemons(dice: &mut Dice, snapshot: &mut Snapshot) {
    if !dice.percent(30) {
        return;
    }
    for daemon in &mut snapshot.daemon_sets {
        let before = daemon.template.clone();
        let template = Arc::make_mut(&mut daemon.template);
        template.labels = label_map([("app", *dice.pick(&APPS))]);
        if dice.percent(20) {
            template.spec.pod_anti_affinity.push(term(dice, "default"));
        }
        for pod in snapshot.pods.iter_mut().filter(|pod| Arc::ptr_eq(&pod.template, &before)) {
            pod.template = daemon.template.clone();
        }
    }
}

pub fn add_pods(dice: &mut Dice, size: Size, snapshot: &mut Snapshot) {
    let mut pods = Vec::new();
    for i in 0..=dice.below(size.templates) {
        let namespace = *dice.pick(&["default", "default", "prod"]);
        let template = Arc::new(template(dice, namespace));
        for replica in 0..=dice.below(size.replicas) {
            pods.push(pod(&format!("app-{i}-{replica}"), namespace, &template, dice));
        }
    }
    for i in 0..dice.below(size.nodes * 2 + 1).min(snapshot.nodes.len() * 2) {
        // residents of the same apps, some with the constraints of pending pods
        let namespace = *dice.pick(&["default", "default", "prod"]);
        let template =
            if dice.percent(50) { dice.pick(&pods).template.clone() } else { Arc::new(template(dice, namespace)) };
        let node = dice.pick(&snapshot.nodes);
        if node.stage == NodeStage::InFlight {
            continue;
        }
        let mut bound = pod(&format!("bound-{i}"), namespace, &template, dice);
        bound.refused = None;
        bound.node = Some(node.name.clone());
        bound.terminating = dice.percent(10);
        bound.displaced = node.deleting && !bound.terminating && dice.percent(70);
        pods.push(bound);
    }
    for daemon in &snapshot.daemon_sets {
        for node in snapshot.nodes.iter().filter(|node| node.stage == NodeStage::Initialized) {
            if dice.percent(50) {
                let mut bound = pod(&format!("{}-{}", daemon.key.name, node.name), "default", &daemon.template, dice);
                bound.owner =
                    Some(OwnerRef { kind: "DaemonSet".into(), name: daemon.key.name.clone(), uid: daemon.uid.clone() });
                bound.refused = None;
                bound.node = Some(node.name.clone());
                pods.push(bound);
            }
        }
    }
    pods.sort_by(|a, b| a.key.cmp(&b.key));
    snapshot.pods = pods;
}

fn pod(name: &str, namespace: &str, template: &Arc<PodTemplate>, dice: &mut Dice) -> Pod {
    Pod {
        key: PodKey { namespace: namespace.into(), name: name.into() },
        uid: name.into(),
        created_at: None,
        template: template.clone(),
        owner: None,
        node: None,
        terminating: false,
        displaced: false,
        buffer: dice.percent(3),
        refused: dice.percent(3).then(|| "a lost volume claim".into()),
        disruption: PodDisruption::default(),
    }
}
