//! Objects -> Snapshot, as a pure function: the same for files and for a live cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::beyond;
use super::budgets::{read_budgets, select_pods};
use super::buffers::expand_buffers;
use super::closed;
use super::cluster::Cluster;
use super::daemon_sets::read_daemon_sets;
use super::gates::{self, GatesByInput};
use super::input::InputError;
use super::launchable::{notes_of_pools, price_nodes};
use super::live_pods::{LeftOut, Surroundings, Unplanned, read_pods};
use super::market::{Offered, market};
use super::memory::Memory;
use super::nodes::read_nodes;
use super::not_expanded;
use super::objects::Objects;
use super::owners::expand_owners;
use super::pod::read_labels;
use super::single_pod::refuse_second_users;
use super::snapshot::{Labels, Limits, Snapshot};
use crate::api::labels;
use crate::catalog::Catalog;
use crate::settings::Settings;

/// What a Snapshot holds besides the objects.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    pub settings: Settings,
    pub region: Arc<str>,
    pub taken_at: Timestamp,
    pub catalog: Catalog,
    /// What the market had to assume, said where some pool buys on it.
    pub assumptions: Vec<String>,
    pub gates: GatesByInput,
}

/// A Snapshot of everything that could be read, and what could not.
#[derive(Debug, Clone)]
pub struct LoadOutcome {
    pub snapshot: Arc<Snapshot>,
    /// In the order of the input's files and documents.
    pub errors: Vec<InputError>,
    /// Objects of kinds that are not read, by `Kind.group`.
    pub skipped: BTreeMap<String, usize>,
    /// What was left out or decided while reading, one sentence each.
    pub notes: Vec<String>,
    /// Pods that are not in the Snapshot: of the input, or made up for an owner of the input.
    pub left_out: LeftOut,
}

/// What the Snapshot of a cluster holds besides the objects.
#[derive(Debug)]
pub struct Moment {
    pub settings: Settings,
    pub region: Arc<str>,
    pub taken_at: Timestamp,
    /// What [`market`] says of the objects: it takes time, and seldom changes.
    pub offered: Offered,
}

/// Builds the Snapshot of manifests: owners stand for the pods that they lack. A malformed object is one error and the rest is built.
#[must_use]
pub fn build(mut objects: Objects, options: LoadOptions) -> LoadOutcome {
    let LoadOptions { mut settings, region, taken_at, catalog, assumptions, gates } = options;
    gates::settle(&gates, &mut settings.feature_gates, &mut objects);
    let mut offered = market(&objects, &catalog, &settings);
    offered.assume(assumptions);
    build_from(objects, Moment { settings, region, taken_at, offered }, &mut Memory::default(), true)
}

/// Builds the Snapshot of a cluster where controllers make the pods: those that there are, and no others. `memory`: what was read
/// before with these settings.
#[must_use]
pub fn build_observed(mut objects: Objects, mut moment: Moment, memory: &mut Memory) -> LoadOutcome {
    gates::settle(&GatesByInput::AsConfigured, &mut moment.settings.feature_gates, &mut objects);
    build_from(objects, moment, memory, false)
}

fn build_from(mut objects: Objects, moment: Moment, memory: &mut Memory, expand: bool) -> LoadOutcome {
    let mut errors = std::mem::take(&mut objects.errors);
    let mut notes = std::mem::take(&mut objects.notes);
    let Moment { settings, region, taken_at, offered } = moment;
    notes.extend(not_expanded::notes(&mut objects));
    let mut cluster = Cluster::read(&objects, &settings, &mut errors);
    let budgets = read_budgets(&objects, &mut errors);
    let Offered { pools: node_pools, mut assumptions, shifted, .. } = offered;
    errors.extend(offered.errors);
    notes.extend(offered.notes);
    notes.extend(notes_of_pools(&node_pools));
    let mut nodes = read_nodes(&objects, &mut errors, memory);
    price_nodes(&mut nodes, &node_pools, &objects);
    for node in nodes.iter_mut().filter(|node| node.claim.is_some()) {
        node.disruption.zone_shifted = node.label(labels::ZONE).is_some_and(|zone| shifted.contains_key(zone));
    }
    notes.extend(closed::notes(&objects, &nodes));
    let names = |deleting: bool| nodes.iter().filter(move |node| node.deleting || !deleting);
    let surroundings = Surroundings {
        budgets: &budgets,
        deleting_nodes: &names(true).map(|node| node.name.clone()).collect(),
        nodes: &names(false).map(|node| node.name.clone()).collect(),
        now: taken_at,
    };
    let (mut pods, mut left_out) = read_pods(&objects, &mut cluster, &surroundings, (&mut errors, &mut notes), memory);
    if expand {
        let (made_up, also_left_out) = expand_owners(&objects, &mut cluster, &mut errors, &mut notes);
        pods.extend(made_up);
        left_out.extend(also_left_out);
    }
    pods.extend(expand_buffers(&objects, &mut cluster, &mut errors, &mut notes));
    pods.sort_by(|a, b| a.key.cmp(&b.key));
    refuse_second_users(&mut pods);
    let disruption_budgets = select_pods(budgets, &mut pods);
    let daemon_sets = read_daemon_sets(&objects, &mut cluster, &mut errors, &mut notes);
    notes.extend(beyond::notes(&pods, &daemon_sets, &node_pools));
    let others = cluster.other_schedulers.iter();
    notes.extend(
        others.map(|name| format!("pods of the scheduler {name} are planned as kube-scheduler would place them")),
    );
    let unknown: &BTreeSet<Arc<str>> = &cluster.priorities.unknown;
    assumptions.extend(unknown.iter().map(|class| format!("PriorityClass {class} is not in the input: priority 0")));
    let unknown: &BTreeSet<Arc<str>> = &cluster.runtime_classes.unknown;
    assumptions.extend(unknown.iter().map(|class| format!("RuntimeClass {class} is not in the input: no overhead")));
    let namespaces = read_namespaces(&objects);
    let unusable = objects.unusable.iter().filter(|((kind, _), _)| *kind == "Pod");
    left_out.extend(unusable.map(|((_, key), why)| (key.clone(), Unplanned::unread(why.clone()))));
    let skipped = std::mem::take(&mut objects.skipped);
    errors.sort();
    let is_node = |object: &&str| object.starts_with("Node ") || object.starts_with("NodeClaim ");
    for object in errors.iter().filter_map(|error| error.object.as_deref()).filter(is_node) {
        if node_pools.iter().any(|pool| pool.limits != Limits::default()) {
            notes.push(format!(
                "{object} could not be read and counts towards no limit: the plan may exceed its pool's"
            ));
        }
    }
    let snapshot = Snapshot {
        taken_at,
        region,
        settings,
        pods,
        nodes,
        node_pools,
        daemon_sets,
        disruption_budgets,
        namespaces,
        assumptions,
    };
    LoadOutcome { snapshot: Arc::new(snapshot), errors, skipped, notes, left_out }
}

fn read_namespaces(objects: &Objects) -> BTreeMap<Arc<str>, Labels> {
    let read = objects.namespaces.iter().map(|(key, namespace)| {
        let mut labels = read_labels(namespace.object.metadata.labels.as_ref());
        labels.insert(Arc::from("kubernetes.io/metadata.name"), key.name.clone()); // as the API server does
        (key.name.clone(), labels)
    });
    read.collect()
}
