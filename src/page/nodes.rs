//! Nodes of a Snapshot as bars that pods fill, equal ones joined: first those of one type and price, in them those that hold the
//! same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::numbers::{amount, counted, part_of, percent, usd};
use super::why::Why;
use super::workloads::Workloads;
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::PodKey;
use crate::plan::Launch;
use crate::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Resources};
use crate::units::MicroUsd;

/// Fills of a card and cards of a page that are drawn; the rest is a number.
const MOST_FILLS: usize = 12;
/// Names that are shown.
const MOST_NAMES: usize = 6;
/// Pods of a segment that are drawn apart.
const MOST_APART: usize = 24;
/// Percent of a bar from which on a segment has room for its name.
const ROOM_FOR_NAME: f64 = 14.0;

/// What becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    New,
    Goes,
    Stays,
}

/// Pods of a workload on a node: how many, how many of them the plan puts there, and what they request.
#[derive(Debug, Clone, Default)]
struct Held {
    pods: usize,
    fresh: usize,
    requests: Resources,
}

/// A node with what is on it.
#[derive(Debug, Clone)]
pub struct Drawn {
    pub name: Arc<str>,
    pub state: State,
    pub pool: String,
    pub kind: String,
    pub capacity: String,
    pub zones: BTreeSet<Arc<str>>,
    pub price: Option<MicroUsd>,
    room: Resources,
    held: BTreeMap<usize, Held>,
}

impl Drawn {
    pub fn in_state(&self, state: State) -> Self {
        Self { state, ..self.clone() }
    }
}

/// Nodes of one type and price.
#[derive(Debug, Serialize)]
pub struct Card {
    pub state: State,
    pub count: usize,
    pub pool: String,
    pub kind: String,
    pub capacity: String,
    pub zones: String,
    pub each: String,
    pub total: String,
    pub pods: String,
    /// Of all its nodes together.
    pub bars: Vec<Bar>,
    pub names: String,
    /// Its nodes by what they hold, where that differs.
    pub fills: Vec<Fill>,
    /// How many kinds of fill are not drawn, on how many nodes.
    pub more: Option<(usize, usize)>,
    pub why: Option<Why>,
    /// A node of it that is to be launched, by which its reasons are found.
    #[serde(skip)]
    pub launch: Option<Arc<str>>,
    #[serde(skip)]
    pub cost: MicroUsd,
}

/// Nodes that hold the same.
#[derive(Debug, Serialize)]
pub struct Fill {
    pub count: usize,
    pub names: String,
    pub bars: Vec<Bar>,
}

#[derive(Debug, Serialize)]
pub struct Bar {
    pub resource: String,
    pub percent: f64,
    /// `3 of 3.9 cores`
    pub much: String,
    pub segments: Vec<Segment>,
}

#[derive(Debug, Serialize)]
pub struct Segment {
    pub workload: usize,
    pub colour: String,
    pub width: f64,
    /// Parts that are drawn apart: its pods, or 1.
    pub parts: usize,
    /// The plan puts some of them on a node that was there.
    pub fresh: bool,
    /// Empty where there is no room for it.
    pub label: String,
    pub tip: String,
}

/// Draws the nodes of a Snapshot. `goes`: names of those that go, `launches`: what is bought, by name of the claim, `fresh`: pods
/// that the plan puts where they are.
pub fn drawn(
    snapshot: &Snapshot,
    workloads: &mut Workloads,
    goes: &BTreeSet<Arc<str>>,
    launches: &HashMap<Arc<str>, &Launch>,
    fresh: &HashSet<&PodKey>,
) -> Vec<Drawn> {
    let mut held: HashMap<&str, BTreeMap<usize, Held>> = HashMap::new();
    for (index, pod) in snapshot.pods.iter().enumerate() {
        let (Some(node), Some(workload)) = (&pod.node, workloads.of_pod(snapshot, index)) else { continue };
        let of = held.entry(node).or_default().entry(workload).or_default();
        of.pods += 1;
        of.fresh += usize::from(fresh.contains(&pod.key));
        of.requests.add(&pod.template.spec.requests);
    }
    let mut all = Vec::with_capacity(snapshot.nodes.len());
    for node in &snapshot.nodes {
        let mut held = held.remove(&*node.name).unwrap_or_default();
        let launch = launches.get(&node.name);
        if let Some(launch) = launch {
            for of in held.values_mut() {
                of.fresh = 0; // on a new node all pods are
            }
            let mut daemons = launch.requests.clone();
            for of in held.values() {
                daemons.subtract(&of.requests);
            }
            if daemons.get(CPU) > 0 || daemons.get(MEMORY) > 0 {
                let pods = usize::try_from(daemons.get(PODS)).unwrap_or(0);
                held.insert(workloads.daemons(), Held { pods, fresh: 0, requests: daemons });
            }
        }
        let label = |key: &str| node.label(key).unwrap_or_default().to_owned();
        let zone = node.label(labels::ZONE).map(Arc::from);
        let offered = |launch: &&&Launch| {
            let kind = launch.offers.first().map(|offer| &offer.instance_type);
            let of_kind = launch.offers.iter().filter(|offer| Some(&offer.instance_type) == kind);
            of_kind.map(|offer| offer.zone.clone()).collect()
        };
        all.push(Drawn {
            name: node.name.clone(),
            state: match launch {
                Some(_) => State::New,
                None if goes.contains(&node.name) => State::Goes,
                None => State::Stays,
            },
            pool: node.pool.as_deref().unwrap_or("").to_owned(),
            kind: label(labels::INSTANCE_TYPE),
            capacity: label(labels::CAPACITY_TYPE),
            zones: launch.as_ref().map_or_else(|| zone.into_iter().collect(), offered),
            price: launch.map_or(node.price, |launch| Some(launch.price())),
            room: node.allocatable.clone(),
            held,
        });
    }
    all
}

/// Joins nodes of one type and price; the dearest of each state first.
pub fn cards(nodes: &[Drawn], workloads: &Workloads) -> Vec<Card> {
    let mut joined: BTreeMap<_, Vec<&Drawn>> = BTreeMap::new();
    for node in nodes {
        joined.entry((node.state, &node.pool, &node.kind, &node.capacity, node.price)).or_default().push(node);
    }
    let mut cards: Vec<Card> = joined.into_values().map(|nodes| card(&nodes, workloads)).collect();
    cards.sort_by(|a, b| (a.state, b.cost).cmp(&(b.state, a.cost)));
    cards
}

fn card(nodes: &[&Drawn], workloads: &Workloads) -> Card {
    let first = nodes[0];
    let mut fills: BTreeMap<Vec<(usize, usize, usize)>, Vec<&Drawn>> = BTreeMap::new();
    for node in nodes {
        let held = node.held.iter().map(|(workload, of)| (*workload, of.pods, of.fresh));
        fills.entry(held.collect()).or_default().push(node);
    }
    let mut fills: Vec<Vec<&Drawn>> = fills.into_values().collect();
    fills.sort_by_key(|nodes| std::cmp::Reverse(nodes.len()));
    let rest = &fills[fills.len().min(MOST_FILLS)..];
    let more = (!rest.is_empty()).then(|| (rest.len(), rest.iter().map(Vec::len).sum()));
    let is_one = fills.len() == 1;
    let fill = |nodes: &Vec<&Drawn>| Fill { count: nodes.len(), names: names(nodes), bars: bars(nodes, workloads) };
    let cost = nodes.iter().filter_map(|node| node.price).sum::<MicroUsd>();
    let pods = nodes.iter().flat_map(|node| node.held.values()).map(|of| of.pods).sum();
    let zones: BTreeSet<&Arc<str>> = nodes.iter().flat_map(|node| &node.zones).collect();
    let is_open = first.state == State::New && first.zones.len() > 1;
    Card {
        state: first.state,
        count: nodes.len(),
        pool: first.pool.clone(),
        kind: if first.kind.is_empty() { "unknown type".to_owned() } else { first.kind.clone() },
        capacity: first.capacity.clone(),
        zones: match (zones.len(), zones.first()) {
            (1, Some(only)) => only.to_string(),
            (0, _) => String::new(),
            (several, _) if is_open => format!("any of {several} zones"),
            (several, _) => format!("{several} zones"),
        },
        each: first.price.map_or_else(String::new, |price| usd(price.as_usd())),
        total: first.price.map_or_else(String::new, |_| usd(cost.as_usd())),
        pods: counted(pods, "pod"),
        bars: bars(nodes, workloads),
        names: names(nodes),
        fills: if is_one { Vec::new() } else { fills.iter().take(MOST_FILLS).map(fill).collect() },
        more: more.filter(|_| !is_one),
        why: None,
        launch: (first.state == State::New).then(|| first.name.clone()),
        cost,
    }
}

fn names(nodes: &[&Drawn]) -> String {
    let shown: Vec<&str> = nodes.iter().take(MOST_NAMES).map(|node| &*node.name).collect();
    let rest = nodes.len() - shown.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// One bar for each resource that says something, of all these nodes together.
pub fn bars(nodes: &[&Drawn], workloads: &Workloads) -> Vec<Bar> {
    let (mut room, mut held): (Resources, BTreeMap<usize, Held>) = (Resources::new(), BTreeMap::new());
    for node in nodes {
        room.add(&node.room);
        for (workload, of) in &node.held {
            let sum = held.entry(*workload).or_default();
            (sum.pods, sum.fresh) = (sum.pods + of.pods, sum.fresh + of.fresh);
            sum.requests.add(&of.requests);
        }
    }
    let mut used = Resources::new();
    for of in held.values() {
        used.add(&of.requests);
    }
    let part = |name: &str| percent(used.get(name), room.get(name));
    let fullest = part(CPU).max(part(MEMORY));
    let shown = |name: &Arc<str>| match &**name {
        CPU | MEMORY => false,
        EPHEMERAL_STORAGE | PODS => part(name) > fullest,
        _ => used.get(name) > 0,
    };
    let others = room.iter().map(|(name, _)| name).filter(|name| shown(name)).map(|name| &**name);
    let named: Vec<&str> = [CPU, MEMORY].into_iter().chain(others).collect();
    let bar = |name: &str| {
        let have = room.get(name);
        let mut segments: Vec<Segment> =
            held.iter().filter_map(|(index, of)| segment(*index, of, (name, have), workloads)).collect();
        // the same order in every bar: those with a colour, the rest, daemon pods
        segments.sort_by_key(|of| (of.colour == "daemon", of.colour == "rest", of.workload));
        Bar {
            resource: name.rsplit('/').next().unwrap_or(name).to_owned(),
            percent: part(name).round(),
            much: part_of(name, used.get(name), have),
            segments,
        }
    };
    named.into_iter().map(bar).collect()
}

fn segment(index: usize, of: &Held, (name, have): (&str, i64), workloads: &Workloads) -> Option<Segment> {
    let requests = of.requests.get(name);
    let width = percent(requests, have);
    let workload = &workloads.all[index];
    let short = workload.name.rsplit('/').next().unwrap_or(&workload.name);
    let fresh = if of.fresh > 0 { format!(", {} of them placed by this plan", of.fresh) } else { String::new() };
    let tip =
        format!("{}: {}{fresh}, {} ({width:.0} %)", workload.name, counted(of.pods, "pod"), amount(name, requests));
    (width > 0.0).then(|| Segment {
        workload: index,
        colour: workload.colour.clone(),
        width,
        parts: if of.pods > MOST_APART { 1 } else { of.pods.max(1) },
        fresh: of.fresh > 0,
        label: if width >= ROOM_FOR_NAME { short.to_owned() } else { String::new() },
        tip,
    })
}
