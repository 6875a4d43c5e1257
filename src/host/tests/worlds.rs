//! Random Snapshots: every rule of the checker may occur together with every other one.

mod nodes;
mod pods;
mod pools;

use std::collections::HashMap;
use std::sync::Arc;

use super::dice::Dice;
use crate::api::labels as api_labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, PodTemplate, Taint, TaintEffect, Toleration, TolerationOperator};
use crate::resources::{CPU, MEMORY};
use crate::settings::{MinValuesPolicy, PreferencePolicy, Settings};

pub const ZONES: [&str; 3] = ["a", "b", "c"];
/// A custom label that pools may fix, restrict or leave open.
pub const TEAM: &str = "example.com/team";
pub const TEAMS: [&str; 3] = ["red", "green", "blue"];
pub const NAMESPACES: [&str; 2] = ["default", "prod"];
pub const APPS: [&str; 3] = ["x", "y", "z"];
pub const GPU: &str = "nvidia.com/gpu";
pub const DRIVER: &str = "ebs.csi.example.com";

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub pools: usize,
    pub types: usize,
    pub zones: usize,
    pub nodes: usize,
    pub templates: usize,
    pub replicas: usize,
}

pub const MIXED: Size = Size { pools: 3, types: 5, zones: 3, nodes: 4, templates: 5, replicas: 4 };
pub const TINY: Size = Size { pools: 2, types: 2, zones: 2, nodes: 2, templates: 3, replicas: 1 };
/// What the exhaustive oracle can enumerate.
pub const SMALL: Size = Size { pools: 2, types: 3, zones: 2, nodes: 3, templates: 3, replicas: 2 };

pub fn labels<const N: usize>(of: [(&str, &str); N]) -> Labels {
    of.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

pub fn world(seed: u64, size: Size) -> Snapshot {
    let dice = &mut Dice::new(seed);
    let mut settings = Settings::default();
    if dice.percent(25) {
        settings.preference_policy = PreferencePolicy::Ignore;
    }
    if dice.percent(25) {
        settings.min_values_policy = MinValuesPolicy::BestEffort;
    }
    settings.max_instance_types = *dice.pick(&[1, 3, 60]);
    settings.price_flexibility_permille = *dice.pick(&[0, 100, 400]);
    let mut snapshot = Snapshot {
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        region: "r".into(),
        settings,
        pods: vec![],
        nodes: vec![],
        node_pools: pools::pools(dice, size),
        daemon_sets: pods::daemon_sets(dice),
        disruption_budgets: vec![],
        namespaces: [("prod".into(), labels([("tier", "gold")]))].into(),
        assumptions: vec![],
    };
    snapshot.nodes = nodes::nodes(dice, size, &snapshot.node_pools);
    pods::add_pods(dice, size, &mut snapshot);
    rare(&mut Dice::new(seed ^ 0x5eed), &mut snapshot);
    pods::known_daemons(&mut Dice::new(seed ^ 0xdae), &mut snapshot);
    snapshot
}

/// The world where daemon pods request more memory than most types have, and every second kind of pod none.
pub fn without_memory(mut snapshot: Snapshot) -> Snapshot {
    if let Some(daemon) = snapshot.daemon_sets.first_mut() {
        Arc::make_mut(&mut daemon.template).spec.requests.set(MEMORY, 64 << 30);
    }
    for pod in &mut snapshot.pods {
        if pod.template.spec.requests.get(CPU) % 500 == 0 {
            Arc::make_mut(&mut pod.template).spec.requests.set(MEMORY, 0);
        }
    }
    snapshot
}

/// What few clusters have: taints whose values are numbers, daemon pods for one host.
fn rare(dice: &mut Dice, snapshot: &mut Snapshot) {
    if dice.percent(10) {
        let toleration =
            |operator, value: &str| Toleration { key: "sla".into(), operator, value: value.into(), effect: None };
        let taint = Taint { key: "sla".into(), value: "100".into(), effect: TaintEffect::NoSchedule };
        let pool = dice.below(snapshot.node_pools.len());
        snapshot.node_pools[pool].taints.push(taint.clone());
        let of_pool = snapshot.node_pools[pool].name.clone();
        snapshot
            .nodes
            .iter_mut()
            .filter(|node| node.pool.as_ref() == Some(&of_pool))
            .for_each(|node| node.taints.push(taint.clone()));
        let mut of_template: HashMap<*const PodTemplate, Arc<PodTemplate>> = HashMap::new();
        for pod in &mut snapshot.pods {
            let own = of_template.entry(Arc::as_ptr(&pod.template)).or_insert_with(|| {
                let mut template = (*pod.template).clone();
                let value = *dice.pick(&["50", "50", "900"]);
                template.spec.tolerations.push(toleration(TolerationOperator::Gt, value));
                Arc::new(template)
            });
            pod.template = own.clone();
        }
        for daemon in &mut snapshot.daemon_sets {
            let (operator, value) = *dice.pick(&[(TolerationOperator::Gt, "900"), (TolerationOperator::Lt, "900")]);
            Arc::make_mut(&mut daemon.template).spec.tolerations.push(toleration(operator, value));
        }
    }
    if dice.percent(10)
        && let Some(daemon) = snapshot.daemon_sets.first_mut()
    {
        let hosts: Vec<Arc<str>> = snapshot.nodes.iter().map(|node| node.name.clone()).collect();
        let host = if hosts.is_empty() { "nowhere".into() } else { dice.pick(&hosts).clone() };
        Arc::make_mut(&mut daemon.template).spec.node_selector.insert(api_labels::HOSTNAME.into(), host);
    }
}

/// The same world, put in another order.
pub fn shuffled(world: &Snapshot, seed: u64) -> Snapshot {
    let (mut shuffled, dice) = (world.clone(), &mut Dice::new(seed));
    dice.shuffle(&mut shuffled.pods);
    dice.shuffle(&mut shuffled.nodes);
    dice.shuffle(&mut shuffled.node_pools);
    dice.shuffle(&mut shuffled.daemon_sets);
    shuffled
}
