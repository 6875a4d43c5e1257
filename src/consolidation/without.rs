//! The cluster without some nodes, and after a command.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Command;
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, Node, NodeDisruption, NodeStage};
use crate::plan::{Launch, Plan, Target};

/// The cluster without some nodes: what belongs to them goes with them, and the other pods wait.
pub(super) struct Without {
    pub snapshot: Arc<Snapshot>,
    /// Where the pods that wait because of it are now, by index.
    pub moving: BTreeMap<usize, Arc<str>>,
}

/// Alternatives may cost any multiple of what was chosen.
const ANY_PERMILLE: i64 = 1_000_000;

impl Without {
    /// Where one spot node goes and spot may come for spot, launches have as many alternatives as there are: the release asks for many,
    /// and cuts them at the price of the node.
    pub fn of(snapshot: &Snapshot, removed: &BTreeSet<Arc<str>>) -> Self {
        let goes = |node: &Option<Arc<str>>| node.as_ref().is_some_and(|node| removed.contains(node));
        let mut without = snapshot.clone();
        without.nodes.retain(|node| !removed.contains(&node.name));
        without.pods.retain(|pod| !goes(&pod.node) || pod.is_reschedulable());
        let mut moving = BTreeMap::new();
        for (index, pod) in without.pods.iter_mut().enumerate() {
            if goes(&pod.node)
                && let Some(node) = pod.node.take()
            {
                (pod.terminating, pod.displaced) = (false, false);
                moving.insert(index, node);
            }
        }
        if is_spot_for_spot(snapshot, removed) {
            without.settings.price_flexibility_permille = ANY_PERMILLE;
        }
        Self { snapshot: Arc::new(without), moving }
    }
}

fn is_spot_for_spot(snapshot: &Snapshot, removed: &BTreeSet<Arc<str>>) -> bool {
    let is_spot = |node: &Node| node.label(labels::CAPACITY_TYPE) == Some(labels::CAPACITY_SPOT);
    snapshot.settings.feature_gates.spot_to_spot_consolidation
        && removed.len() == 1
        && snapshot.nodes.iter().filter(|node| removed.contains(&node.name)).all(is_spot)
}

/// The cluster with what a plan launches on its way, and the pods that it places there.
#[must_use]
pub fn launched<State>(snapshot: &Snapshot, plan: &Plan<State>) -> Snapshot {
    let mut after = snapshot.clone();
    for assignment in &plan.assignments {
        after.pods[assignment.pod].node = Some(match assignment.target {
            Target::Existing(node) => snapshot.nodes[node].name.clone(),
            Target::Launch(launch) => plan.launches[launch].name.clone(),
        });
        after.pods[assignment.pod].displaced = false;
    }
    let nodes = plan.launches.iter().filter_map(|launch| node_of(snapshot, launch));
    after.nodes.extend(nodes.map(|node| Node { stage: NodeStage::InFlight, ..node }));
    after.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    after
}

/// The cluster once these commands are carried out, with new nodes as what was chosen first for them.
pub(super) fn after(snapshot: &Snapshot, commands: &[Command]) -> Snapshot {
    let removed = commands.iter().flat_map(|command| &command.removed).map(|of| of.node.clone()).collect();
    let mut after = Snapshot::clone(&Without::of(snapshot, &removed).snapshot);
    after.settings = snapshot.settings.clone();
    let to: BTreeMap<_, _> = commands.iter().flat_map(|command| &command.moves).map(|of| (&of.pod, &of.to)).collect();
    for pod in after.pods.iter_mut().filter(|pod| pod.node.is_none()) {
        pod.node = to.get(&pod.key).map(|node| Arc::clone(node));
    }
    let launches = commands.iter().flat_map(|command| &command.launches);
    after.nodes.extend(launches.filter_map(|launch| node_of(snapshot, launch)));
    after.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    after
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
        labels: found,
        taints: launch.taints.clone(),
        capacity: kind.capacity.clone(),
        allocatable: kind.allocatable.clone(),
        attach_limits: [].into(),
        deleting: false,
        price: Some(offer.price),
        disruption: NodeDisruption::default(),
    })
}
