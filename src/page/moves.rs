//! Before and after, and the commands between them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::nodes::{Bar, Card, Drawn, State, bars, cards, drawn};
use super::numbers::{count, counted, share, usd};
use super::plan::Consolidated;
use super::workloads::Workloads;
use crate::consolidation::Command;
use crate::consolidation::report::CommandReport;
use crate::observe::Snapshot;
use crate::observe::snapshot::PodKey;
use crate::plan::Launch;

/// Commands that are drawn; the rest is a number.
const MOST_COMMANDS: usize = 40;
/// Percent of a strip from which on a share has room for its name.
const ROOM_FOR_NAME: f64 = 12.0;

/// What is done to the nodes that are there.
#[derive(Debug, Serialize)]
pub struct Moves {
    pub before: Column,
    pub after: Column,
    /// Of an hour before and after, and what is saved.
    #[serde(skip)]
    pub headline: [String; 3],
    pub commands: Vec<Shown>,
    pub more: usize,
    /// What was not looked at, in sentences.
    pub left: Vec<String>,
}

/// A cluster as one bar: what each type costs, as wide as the dearer of both clusters.
#[derive(Debug, Serialize)]
pub struct Column {
    pub name: &'static str,
    pub nodes: String,
    pub usd_hour: String,
    pub width: f64,
    pub strip: Vec<Share>,
    /// Of all nodes together.
    pub bars: Vec<Bar>,
}

/// What nodes of one type and price cost, as a part of the whole.
#[derive(Debug, Serialize)]
pub struct Share {
    pub width: f64,
    /// These nodes go.
    pub goes: bool,
    pub label: String,
    pub tip: String,
}

/// A command.
#[derive(Debug, Serialize)]
pub struct Shown {
    pub number: usize,
    pub reason: &'static str,
    pub removed: Vec<Card>,
    pub launched: Vec<Card>,
    pub moved: String,
    pub saves: String,
    pub once: String,
    pub payback: Option<String>,
}

impl Moves {
    pub fn of(found: &Consolidated, workloads: &mut Workloads, fresh: &HashSet<&PodKey>) -> Self {
        let Consolidated { before, consolidation, report } = found;
        let launches = launches(&consolidation.commands);
        let goes = removed(&consolidation.commands);
        let none = HashMap::new();
        let was = drawn(before, workloads, &goes, &none, fresh);
        let becomes = drawn(&consolidation.after, workloads, &goes, &launches, fresh);
        let dearer = report.before_usd_hour.max(report.after_usd_hour);
        let commands = consolidation.commands.iter().zip(&report.commands).take(MOST_COMMANDS).enumerate();
        let (by_name, to_be) = (by_name(&was), by_name(&becomes));
        let shown = commands.map(|(index, (command, of))| shown(index + 1, command, of, (&by_name, &to_be), workloads));
        let shown: Vec<Shown> = shown.collect();
        let held_back = report.held_back.iter().map(|held| {
            let nodes = counted(held.nodes, "candidate");
            format!("The budget of NodePool {} is used up ({}): {nodes} not looked at.", held.nodepool, held.reason)
        });
        let stopped = report.stopped.then(|| {
            format!("The time was up after {}: there may be more to find.", counted(report.trials, "attempt"))
        });
        Self {
            before: column("now", before, (&was, report.before_usd_hour, dearer), workloads),
            after: column("after", &consolidation.after, (&becomes, report.after_usd_hour, dearer), workloads),
            headline: [
                usd(report.before_usd_hour),
                usd(report.after_usd_hour),
                format!(
                    "{} saved an hour at least, {} a month: {:.0} %",
                    usd(report.saved_usd_hour),
                    usd(report.saved_usd_month),
                    share(report.saved_usd_hour, report.before_usd_hour)
                ),
            ],
            more: consolidation.commands.len() - shown.len(),
            commands: shown,
            left: held_back.chain(stopped).collect(),
        }
    }
}

/// Everything that commands launch, by name.
pub fn launches(commands: &[Command]) -> HashMap<Arc<str>, &Launch> {
    commands.iter().flat_map(|command| &command.launches).map(|launch| (launch.name.clone(), launch)).collect()
}

/// The names of the nodes that go.
pub fn removed(commands: &[Command]) -> BTreeSet<Arc<str>> {
    commands.iter().flat_map(|command| &command.removed).map(|of| of.node.clone()).collect()
}

fn by_name(nodes: &[Drawn]) -> BTreeMap<&str, &Drawn> {
    nodes.iter().map(|node| (&*node.name, node)).collect()
}

fn column(
    name: &'static str,
    of: &Snapshot,
    (nodes, usd_hour, dearer): (&[Drawn], f64, f64),
    workloads: &Workloads,
) -> Column {
    let all: Vec<&Drawn> = nodes.iter().collect();
    Column {
        name,
        nodes: counted(of.nodes.len(), "node"),
        usd_hour: usd(usd_hour),
        width: share(usd_hour, dearer),
        strip: strip(&cards(nodes, workloads)),
        bars: bars(&all, workloads),
    }
}

/// Where the money goes, the most first.
pub fn strip(cards: &[Card]) -> Vec<Share> {
    let all: f64 = cards.iter().map(|card| card.cost.as_usd()).sum();
    let mut sorted: Vec<&Card> = cards.iter().filter(|card| card.cost.0 > 0).collect();
    sorted.sort_by_key(|card| std::cmp::Reverse(card.cost));
    let share_of = |card: &Card| {
        let width = share(card.cost.as_usd(), all);
        let state = if card.state == State::Goes { ", goes" } else { "" };
        Share {
            width,
            goes: card.state == State::Goes,
            label: if width >= ROOM_FOR_NAME {
                format!("{} × {}", count(card.count), card.kind)
            } else {
                String::new()
            },
            tip: format!(
                "{} {} {} of {}{state}: {} an hour, {width:.0} % of the cost",
                counted(card.count, "node"),
                card.kind,
                card.capacity,
                card.pool,
                card.total
            ),
        }
    };
    sorted.into_iter().map(share_of).collect()
}

type Named<'n> = BTreeMap<&'n str, &'n Drawn>;

fn shown(
    number: usize,
    command: &Command,
    of: &CommandReport,
    (was, becomes): (&Named, &Named),
    workloads: &Workloads,
) -> Shown {
    let of_names = |named: &Named, state: State, names: &mut dyn Iterator<Item = &Arc<str>>| {
        let nodes: Vec<Drawn> = names.filter_map(|name| named.get(&**name)).map(|node| node.in_state(state)).collect();
        cards(&nodes, workloads)
    };
    let to_new = command.moves.iter().filter(|of| command.launches.iter().any(|launch| launch.name == of.to)).count();
    let stay: BTreeSet<&Arc<str>> = command
        .moves
        .iter()
        .map(|of| &of.to)
        .filter(|to| command.launches.iter().all(|launch| launch.name != **to))
        .collect();
    let to_others = command.moves.len() - to_new;
    let moved = match (to_new, to_others) {
        (0, 0) => "no pod moves".to_owned(),
        (new, 0) => format!("{} to new nodes", counted(new, "pod")),
        (0, others) => format!(
            "{} to {}",
            counted(others, "pod"),
            if stay.len() == 1 { "a node that stays".to_owned() } else { format!("{} nodes that stay", stay.len()) }
        ),
        (new, others) => format!("{} to new nodes, {others} to nodes that stay", counted(new, "pod")),
    };
    Shown {
        number,
        reason: of.reason,
        removed: of_names(was, State::Goes, &mut command.removed.iter().map(|of| &of.node)),
        launched: of_names(becomes, State::New, &mut command.launches.iter().map(|launch| &launch.name)),
        moved,
        saves: usd(of.saved_usd_hour),
        once: usd(of.once_usd),
        payback: of.payback_hours.filter(|_| of.once_usd > 0.0).map(|hours| format!("{hours:.1} h")),
    }
}
