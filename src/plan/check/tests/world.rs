//! A small world to build snapshots and plans in: cpu and pods only, three zones, three pools.

use std::sync::Arc;

use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType, Offering, Overhead};
use crate::observe::Snapshot;
use crate::observe::snapshot::*;
use crate::plan::{Assignment, Draft, Launch, Offer, Plan, Target, Unplaced};
use crate::requirements::{Requirement, Requirements};
use crate::resources::{CPU, PODS, Resources};
use crate::settings::Settings;
use crate::units::MicroUsd;

pub const ZONES: [&str; 3] = ["a", "b", "c"];

/// (name, cpu in millicores, price)
pub const TYPES: [(&str, i64, i64); 3] = [("small", 2_000, 100), ("small-b", 2_200, 105), ("large", 4_000, 200)];

pub fn instance_types() -> Vec<InstanceType> {
    let mut types: Vec<InstanceType> = TYPES
        .iter()
        .map(|&(name, cpu, price)| {
            let capacity = Resources::new().with(CPU, cpu + 100).with(PODS, 10);
            let offering = |zone: &&str| Offering {
                zone: (*zone).into(),
                capacity_type: CapacityType::OnDemand,
                price: MicroUsd(price),
                available: true,
                labels: vec![],
                reservation: None,
                mean_price: None,
                price_overlay_applied: false,
            };
            InstanceType {
                name: name.into(),
                requirements: [(labels::INSTANCE_TYPE, Requirement::one_of([name]))].into_iter().collect(),
                allocatable: Resources::new().with(CPU, cpu).with(PODS, 10),
                capacity,
                overhead: Overhead::default(),
                offerings: ZONES.iter().map(offering).collect(),
                capacity_overlay_applied: false,
            }
        })
        .collect();
    types.sort_by(|a, b| a.name.cmp(&b.name));
    types
}

pub fn pool(name: &str, taints: Vec<Taint>) -> NodePool {
    let labels: Labels = [(labels::NODEPOOL.into(), name.into())].into();
    NodePool {
        name: name.into(),
        uid: name.into(),
        weight: 0,
        replicas: None,
        requirements: Requirements::from_labels(&labels),
        labels,
        annotations: Labels::new(),
        taints,
        startup_taints: vec![],
        limits: Limits::default(),
        node_class: NodeClassRef { group: "g".into(), kind: "K".into(), name: "default".into() },
        expire_after_seconds: None,
        termination_grace_period_seconds: None,
        disruption: Disruption { consolidation_policy: "WhenEmpty".into(), ..Disruption::default() },
        on_sale: OnSale::default(),
        instance_types: Arc::new(instance_types()),
        unusable: None,
    }
}

pub fn dedicated() -> Taint {
    Taint { key: "dedicated".into(), value: "x".into(), effect: TaintEffect::NoSchedule }
}

pub fn snapshot() -> Snapshot {
    Snapshot {
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        region: "r".into(),
        settings: Settings::default(),
        pods: vec![],
        nodes: vec![],
        node_pools: vec![pool("blue", vec![]), pool("green", vec![]), pool("red", vec![dedicated()])],
        daemon_sets: vec![],
        disruption_budgets: vec![],
        namespaces: [].into(),
        assumptions: vec![],
    }
}

pub fn node(name: &str, zone: &str, cpu: i64) -> Node {
    let labels = [(labels::HOSTNAME, name), (labels::ZONE, zone)];
    Node {
        name: name.into(),
        claim: None,
        pool: None,
        stage: NodeStage::Initialized,
        created_at: None,
        labels: Arc::new(labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()),
        taints: vec![],
        capacity: Resources::new().with(CPU, cpu).with(PODS, 10),
        allocatable: Resources::new().with(CPU, cpu).with(PODS, 10),
        attach_limits: [].into(),
        deleting: false,
        price: None,
        disruption: NodeDisruption::default(),
    }
}

/// A template with one label `app` and a cpu request in millicores.
pub fn template(app: &str, cpu: i64) -> PodTemplate {
    PodTemplate {
        labels: [("app".into(), app.into())].into(),
        annotations: Labels::new(),
        spec: PodSpec { requests: Resources::new().with(CPU, cpu).with(PODS, 1), ..PodSpec::default() },
    }
}

pub fn app(name: &str) -> LabelSelector {
    let requirement = Requirement::one_of([name]);
    LabelSelector::Matching(vec![SelectorRequirement { key: "app".into(), requirement }])
}

pub fn spread(key: &str, max_skew: u32, of: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        topology_key: key.into(),
        max_skew,
        min_domains: None,
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: app(of),
        node_affinity_policy: NodeInclusionPolicy::Honor,
        node_taints_policy: NodeInclusionPolicy::Ignore,
    }
}

pub fn term(key: &str, of: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.into(),
        selector: app(of),
        namespaces: vec!["default".into()],
        namespace_selector: None,
    }
}

/// Adds a pod of the template, bound to the node or pending; returns its index.
pub fn add_pod(snapshot: &mut Snapshot, template: &Arc<PodTemplate>, node: Option<&str>) -> usize {
    let name = format!("p{:03}", snapshot.pods.len());
    snapshot.pods.push(Pod {
        key: PodKey { namespace: "default".into(), name: name.as_str().into() },
        uid: name.as_str().into(),
        created_at: None,
        template: template.clone(),
        owner: None,
        node: node.map(Into::into),
        terminating: false,
        displaced: false,
        buffer: false,
        refused: None,
        disruption: PodDisruption::default(),
    });
    snapshot.pods.len() - 1
}

/// (pool, types, zones): a launch offers every type in every zone.
pub type Bought<'w> = (usize, &'w [&'w str], &'w [&'w str]);

/// A draft of these launches with these assignments; pending pods that are not assigned are unplaced.
pub fn plan(snapshot: &Snapshot, bought: &[Bought<'_>], assignments: &[(usize, Target)]) -> Plan<Draft> {
    let launches = bought.iter().enumerate().map(|(i, &what)| {
        let pods = assignments.iter().filter(|(_, target)| *target == Target::Launch(i)).map(|(pod, _)| *pod);
        launch(snapshot, i, what, &pods.collect::<Vec<_>>())
    });
    let placed = |pod: usize| assignments.iter().any(|(p, _)| *p == pod);
    let unplaced = snapshot.pending().filter(|(pod, _)| !placed(*pod));
    Plan::draft(
        launches.collect(),
        assignments.iter().map(|&(pod, target)| Assignment { pod, target }).collect(),
        unplaced.map(|(pod, _)| Unplaced { pod, reason: "no room".into() }).collect(),
    )
}

fn launch(snapshot: &Snapshot, index: usize, (pool, types, zones): Bought<'_>, pods: &[usize]) -> Launch {
    let of_pool = &snapshot.node_pools[pool];
    let mut requirements = of_pool.requirements.clone();
    requirements.add(labels::INSTANCE_TYPE, Requirement::one_of(types.iter().copied()));
    requirements.add(labels::ZONE, Requirement::one_of(zones.iter().copied()));
    let mut requests = Resources::new();
    for &pod in pods {
        let spec = &snapshot.pods[pod].template.spec;
        requests.add(&spec.requests);
        requirements.add_all(&Requirements::from_labels(&spec.node_selector));
    }
    for daemon in &snapshot.daemon_sets {
        requests.add(&daemon.template.spec.requests);
    }
    let price = |name: &str| TYPES.iter().find(|t| t.0 == name).map_or(0, |t| t.2);
    let offers = types.iter().flat_map(|name| {
        zones.iter().map(|zone| Offer {
            instance_type: (*name).into(),
            zone: (*zone).into(),
            reservation: None,
            price: MicroUsd(price(name)),
        })
    });
    Launch {
        name: format!("launch-{index}").into(),
        pool,
        capacity_type: CapacityType::OnDemand,
        offers: Arc::new(offers.collect()),
        labels: of_pool.labels.clone().into(),
        taints: of_pool.taints.clone(),
        startup_taints: of_pool.startup_taints.clone(),
        requirements: requirements.into(),
        requests,
    }
}
