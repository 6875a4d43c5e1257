//! Commands as people and programs read them: dollars instead of micro-dollars.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::held::{Held, held};
use super::least::Outlook;
use super::means::Means;
use super::{Command, Consolidation, Policy};
use crate::observe::Snapshot;
use crate::plan::Launch;
use crate::units::MicroUsd;
use crate::units::money::HOURS_PER_MONTH;

/// What is to be done to the nodes that are there.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Nodes of known price before, dollars an hour.
    pub before_usd_hour: f64,
    /// The same after all commands, at the chosen offers.
    pub after_usd_hour: f64,
    /// What all commands save at least; what replaces drifted nodes may cost more.
    pub saved_usd_hour: f64,
    pub saved_usd_month: f64,
    /// After all commands, with evictions and boots spread over the horizon.
    pub comes_to_usd_hour: f64,
    /// The same is at least so much whatever commands are carried out, proven.
    pub least_usd_hour: f64,
    /// What is left between both, as a part of the former.
    pub gap: f64,
    pub nodes_removed: usize,
    pub nodes_launched: usize,
    pub pods_moved: usize,
    /// In the order in which they are carried out: each is valid and worth it after those before it.
    pub commands: Vec<CommandReport>,
    /// Candidates that were not looked at, as the budget of their pool is used up.
    pub held_back: Vec<HeldBack>,
    /// What keeps the nodes that stay, whatever they cost.
    pub held: Vec<Held>,
    /// Sets of nodes that were tried.
    pub trials: usize,
    /// There was not the time to find nothing more.
    pub stopped: bool,
}

#[derive(Debug, Serialize)]
pub struct CommandReport {
    /// `empty`, `drifted` or `underutilized`.
    pub reason: &'static str,
    pub removed: Vec<RemovedReport>,
    pub launches: Vec<LaunchReport>,
    /// At the dearest that the launches allow, and at the prices of now or the means of the last 24 hours, whichever saves less.
    pub saved_usd_hour: f64,
    /// It is about spot capacity of which the prices of the last 24 hours are not known: the prices of now stand in for their means.
    pub lacks_price_history: bool,
    /// Evictions and boots.
    pub once_usd: f64,
    /// After how many hours what it costs once is saved; null where nothing is.
    pub payback_hours: Option<f64>,
    pub moves: Vec<MoveReport>,
}

#[derive(Debug, Serialize)]
pub struct RemovedReport {
    pub node: Arc<str>,
    pub nodepool: Option<Arc<str>>,
    pub instance_type: Option<Arc<str>>,
    pub price_usd_hour: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct LaunchReport {
    pub name: Arc<str>,
    pub nodepool: Arc<str>,
    pub instance_type: Option<Arc<str>>,
    pub capacity_type: &'static str,
    pub zones: Vec<Arc<str>>,
    pub price_usd_hour: f64,
    pub worst_usd_hour: f64,
    /// Every instance type that the cloud may choose, the chosen one first.
    pub instance_types: Vec<Arc<str>>,
}

#[derive(Debug, Serialize)]
pub struct MoveReport {
    pub pod: String,
    pub from: Arc<str>,
    pub to: Arc<str>,
}

#[derive(Debug, Serialize)]
pub struct HeldBack {
    pub nodepool: Arc<str>,
    pub reason: &'static str,
    pub nodes: usize,
}

impl Report {
    /// `snapshot`, `policy`: of the search.
    #[must_use]
    pub fn of(snapshot: &Snapshot, policy: &Policy, consolidation: &Consolidation) -> Self {
        let Consolidation { commands, after, .. } = consolidation;
        let cost = |of: &Snapshot| of.nodes.iter().filter_map(|node| node.price).sum::<MicroUsd>().as_usd();
        let saved: MicroUsd = commands.iter().map(|command| command.saved).sum();
        let outlook = Outlook::of((snapshot, after), commands, policy, snapshot.taken_at);
        let held_back = consolidation.held_back.iter().map(|(pool, method, nodes)| HeldBack {
            nodepool: pool.clone(),
            reason: method.label(),
            nodes: *nodes,
        });
        Self {
            before_usd_hour: cost(snapshot),
            after_usd_hour: cost(after),
            saved_usd_hour: saved.as_usd(),
            saved_usd_month: saved.saturating_mul(HOURS_PER_MONTH).as_usd(),
            comes_to_usd_hour: outlook.cost.as_usd(),
            least_usd_hour: outlook.least.as_usd(),
            gap: outlook.gap(),
            nodes_removed: commands.iter().map(|command| command.removed.len()).sum(),
            nodes_launched: commands.iter().map(|command| command.launches.len()).sum(),
            pods_moved: commands.iter().map(|command| command.moves.len()).sum(),
            commands: commands.iter().map(|command| CommandReport::of(snapshot, command)).collect(),
            held_back: held_back.collect(),
            held: held(snapshot, policy, commands),
            trials: consolidation.trials,
            stopped: consolidation.stopped,
        }
    }
}

impl CommandReport {
    pub(super) fn of(snapshot: &Snapshot, command: &Command) -> Self {
        let removed = command.removed.iter().map(|of| {
            let node = snapshot.nodes.iter().find(|node| node.name == of.node);
            RemovedReport {
                node: of.node.clone(),
                nodepool: node.and_then(|node| node.pool.clone()),
                instance_type: node.and_then(|node| node.labels.get(crate::api::labels::INSTANCE_TYPE).cloned()),
                price_usd_hour: of.price.map(MicroUsd::as_usd),
            }
        });
        let moves = command.moves.iter().map(|of| MoveReport {
            pod: of.pod.to_string(),
            from: of.from.clone(),
            to: of.to.clone(),
        });
        let saved = command.saved.as_usd();
        Self {
            reason: command.method.label(),
            removed: removed.collect(),
            launches: command.launches.iter().map(|launch| LaunchReport::of(snapshot, launch)).collect(),
            saved_usd_hour: saved,
            lacks_price_history: Means { snapshot }.lack_history(command),
            once_usd: command.once.as_usd(),
            payback_hours: (saved > 0.0).then(|| command.once.as_usd() / saved),
            moves: moves.collect(),
        }
    }
}

impl LaunchReport {
    fn of(snapshot: &Snapshot, launch: &Launch) -> Self {
        let zones: BTreeSet<Arc<str>> = launch.offers.iter().map(|offer| offer.zone.clone()).collect();
        // the offers of a type stand together
        let mut types: Vec<Arc<str>> = launch.offers.iter().map(|offer| offer.instance_type.clone()).collect();
        types.dedup();
        Self {
            name: launch.name.clone(),
            nodepool: snapshot.node_pools[launch.pool].name.clone(),
            instance_type: types.first().cloned(),
            capacity_type: launch.capacity_type.label(),
            zones: zones.into_iter().collect(),
            price_usd_hour: launch.price().as_usd(),
            worst_usd_hour: launch.worst_price().as_usd(),
            instance_types: types,
        }
    }
}
