//! The cluster while nodes go, after a command, and once waiting pods have found their nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::Command;
use crate::api::labels;
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Node, NodeDisruption, NodeStage, Pod};
use crate::plan::{Launch, Plan, Target};
use crate::solve::{Place, greedy};

/// The cluster while some nodes are going: they take no pods, and theirs need another node. They count for the limits of their
/// pools until they are gone. Indices stay what they were.
pub(super) struct Without {
    pub snapshot: Arc<Snapshot>,
    /// Where the pods that need another node because of it are now, by index.
    pub moving: BTreeMap<usize, Arc<str>>,
}

/// Alternatives may cost any multiple of what was chosen.
const ANY_PERMILLE: i64 = 1_000_000;

impl Without {
    /// Pods do not move to nodes that are not ready yet either, nor into a zone that is shifted away from. Where one spot node goes and spot may come for spot, launches have as
    /// many alternatives as there are: the release asks for many, and cuts them at the price of the node.
    pub fn of(snapshot: Snapshot, removed: &BTreeSet<Arc<str>>) -> Self {
        let is_spot_for_spot = is_spot_for_spot(&snapshot, removed);
        let mut without = snapshot;
        for node in &mut without.nodes {
            node.deleting |= !takes_moved(node) || removed.contains(&node.name);
        }
        let mut moving = BTreeMap::new();
        for (index, pod) in without.pods.iter_mut().enumerate() {
            let from = pod.node.as_ref().filter(|node| removed.contains(*node) && pod.is_reschedulable());
            if let Some(from) = from.cloned() {
                (pod.terminating, pod.displaced) = (false, true);
                moving.insert(index, from);
            }
        }
        if is_spot_for_spot {
            without.settings.price_flexibility_permille = ANY_PERMILLE;
        }
        Self { snapshot: Arc::new(without), moving }
    }
}

/// Whether pods of nodes that go may move to a node.
pub(super) fn takes_moved(node: &Node) -> bool {
    node.stage == NodeStage::Initialized && !node.deleting && !node.disruption.zone_shifted
}

fn is_spot_for_spot(snapshot: &Snapshot, removed: &BTreeSet<Arc<str>>) -> bool {
    let is_spot = |node: &Node| node.label(labels::CAPACITY_TYPE) == Some(labels::CAPACITY_SPOT);
    snapshot.settings.feature_gates.spot_to_spot_consolidation
        && removed.len() == 1
        && snapshot.nodes.iter().filter(|node| removed.contains(&node.name)).all(is_spot)
}

/// The cluster with what a plan launches on its way, and the pods that it places there. They are awaited where they go.
#[must_use]
pub fn launched<State>(snapshot: &Snapshot, plan: &Plan<State>) -> Snapshot {
    let mut after = snapshot.clone();
    for assignment in &plan.assignments {
        let target = match assignment.target {
            Target::Existing(node) => {
                nominate(&mut after, node);
                &snapshot.nodes[node].name
            }
            Target::Launch(launch) => &plan.launches[launch].name,
        };
        put(&mut after.pods[assignment.pod], target);
    }
    let nodes = plan.launches.iter().filter_map(|launch| node_of(snapshot, launch));
    after.nodes.extend(nodes.map(|node| Node { stage: NodeStage::InFlight, ..node }));
    after.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    reserve(&mut after, &plan.launches);
    after
}

/// The cluster once the pods that need a node have found one where there is room, as kube-scheduler finds it; the others are left
/// out: nodes come for them, of which nothing is known here. Pods of nodes that are `going` are where they are.
#[must_use]
pub fn settled(snapshot: &Snapshot, going: &BTreeSet<Arc<str>>) -> Snapshot {
    let mut settled = snapshot.clone();
    for pod in settled.pods.iter_mut().filter(|pod| pod.node.as_ref().is_some_and(|node| going.contains(node))) {
        pod.displaced = false;
    }
    if settled.pods.iter().any(Pod::is_pending) {
        let before = settled.clone();
        let problem = Problem::new(&before);
        let found = greedy::solve(&problem, &|| false);
        for (pod, place) in found.placements {
            if let Place::Existing(node) = place {
                let node = problem.nodes[node].index;
                nominate(&mut settled, node);
                put(&mut settled.pods[pod], &snapshot.nodes[node].name);
            }
        }
        settled.pods.retain(|pod| !pod.is_pending());
    }
    settled
}

/// The cluster without the pods that wait. Those of nodes that are `going` are where they are.
pub(super) fn at_rest(snapshot: &Snapshot, going: &BTreeSet<Arc<str>>) -> Snapshot {
    let mut resting = snapshot.clone();
    for pod in resting.pods.iter_mut().filter(|pod| pod.node.as_ref().is_some_and(|node| going.contains(node))) {
        pod.displaced = false;
    }
    resting.pods.retain(|pod| !pod.is_pending());
    resting
}

fn put(pod: &mut Pod, node: &Arc<str>) {
    pod.node = Some(node.clone());
    (pod.terminating, pod.displaced) = (false, false);
}

/// Pods are on their way there.
fn nominate(snapshot: &mut Snapshot, node: usize) {
    snapshot.nodes[node].disruption.nominated_until = Some(Timestamp::MAX);
}

/// What launches take of capacity reservations nobody else gets.
fn reserve(snapshot: &mut Snapshot, launches: &[Launch]) {
    let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
    for id in launches.iter().filter_map(|launch| launch.offers.first()?.reservation.as_deref()) {
        *taken.entry(id).or_default() += 1;
    }
    if taken.is_empty() {
        return;
    }
    for pool in &mut snapshot.node_pools {
        for kind in Arc::make_mut(&mut pool.instance_types) {
            for reservation in kind.offerings.iter_mut().filter_map(|offering| offering.reservation.as_mut()) {
                let taken = taken.get(&*reservation.id).copied().unwrap_or(0);
                reservation.free = reservation.free.saturating_sub(taken);
            }
        }
    }
}

/// The cluster once these commands are carried out, with new nodes as what was chosen first for them.
#[must_use]
pub fn after(snapshot: &Snapshot, commands: &[Command]) -> Snapshot {
    let removed = removed(commands);
    let mut after = under_way(snapshot, commands);
    after.nodes.retain(|node| !removed.contains(&node.name));
    for launch in commands.iter().flat_map(|command| &command.launches) {
        let chosen = node_of(snapshot, launch);
        let node = after.nodes.iter_mut().find(|node| node.name == launch.name);
        node.into_iter().zip(chosen).for_each(|(node, chosen)| *node = chosen);
    }
    after
}

fn removed(commands: &[Command]) -> BTreeSet<&Arc<str>> {
    commands.iter().flat_map(|command| &command.removed).map(|of| &of.node).collect()
}

/// The cluster while these commands are carried out together: pods are where they are to be. Nodes that go take none any more, and
/// count for the limits of their pools until they are gone, as what comes is there before that; and what comes counts as the largest
/// and the dearest that it may become.
#[must_use]
pub fn under_way(snapshot: &Snapshot, commands: &[Command]) -> Snapshot {
    let removed = removed(commands);
    let to: BTreeMap<_, _> = commands.iter().flat_map(|command| &command.moves).map(|of| (&of.pod, &of.to)).collect();
    let mut after = snapshot.clone();
    after.nodes.iter_mut().for_each(|node| node.deleting |= removed.contains(&node.name));
    after.pods.retain_mut(|pod| {
        if !pod.node.as_ref().is_some_and(|node| removed.contains(node)) {
            return true;
        }
        // what belongs to the node goes with it, and so do pods that cost nothing to evict
        let to = to.get(&pod.key).filter(|_| pod.is_reschedulable());
        let Some(to) = to else { return false };
        put(pod, to);
        true
    });
    let launches = || commands.iter().flat_map(|command| &command.launches);
    after.nodes.extend(launches().filter_map(|launch| at_worst(snapshot, launch)));
    after.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    reserve(&mut after, &launches().cloned().collect::<Vec<_>>());
    after
}

/// As [`node_of`], with the largest capacity of each resource and the dearest price of all that it may become.
fn at_worst(snapshot: &Snapshot, launch: &Launch) -> Option<Node> {
    let mut node = node_of(snapshot, launch)?;
    let types = snapshot.node_pools[launch.pool].instance_types.iter();
    for kind in types.filter(|kind| launch.offers.iter().any(|offer| offer.instance_type == kind.name)) {
        node.capacity.raise_to(&kind.capacity);
    }
    node.price = Some(launch.worst_price());
    Some(node)
}

/// The node of a launch once it is initialized; `None` where nothing was chosen for it.
fn node_of(snapshot: &Snapshot, launch: &Launch) -> Option<Node> {
    let pool = &snapshot.node_pools[launch.pool];
    let offer = launch.offers.first()?;
    let kind = pool.instance_types.iter().find(|kind| kind.name == offer.instance_type)?;
    let offering = kind.offerings.iter().find(|of| {
        let reservation = of.reservation.as_ref().map(|of| &of.id);
        of.zone == offer.zone && of.capacity_type == launch.capacity_type && reservation == offer.reservation.as_ref()
    })?;
    let mut found: Labels = Labels::clone(&launch.labels);
    found.extend(kind.requirements.single_values().map(|(key, value)| (key.clone(), value.clone())));
    found.extend(offering.labels.iter().cloned());
    found.insert(labels::HOSTNAME.into(), launch.name.clone());
    found.insert(labels::NODEPOOL.into(), pool.name.clone());
    found.insert(labels::INSTANCE_TYPE.into(), kind.name.clone());
    found.insert(labels::ZONE.into(), offer.zone.clone());
    found.insert(labels::CAPACITY_TYPE.into(), launch.capacity_type.label().into());
    Some(Node {
        name: launch.name.clone(),
        claim: Some(launch.name.clone()),
        pool: Some(pool.name.clone()),
        stage: NodeStage::Initialized,
        created_at: Some(snapshot.taken_at),
        labels: Arc::new(found),
        taints: launch.taints.clone(),
        capacity: kind.capacity.clone(),
        allocatable: kind.allocatable.clone(),
        attach_limits: [].into(),
        deleting: false,
        price: Some(offer.price),
        disruption: NodeDisruption::default(),
    })
}
