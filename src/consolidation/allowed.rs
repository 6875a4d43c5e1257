//! Commands that were found for another cluster, in this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::effort::TimeLeft;
use super::room::Room;
use super::valid::are_valid;
use super::without::{after, settled, under_way};
use super::{Budgets, Command};
use crate::disruption::{Candidate, Method, candidates};
use crate::observe::Snapshot;

/// The cluster after those of the commands that may be carried out in it, one after another: their nodes may go, budgets have room for
/// them, and their pods find the places that the commands have for them. In a cluster in which pods may wait: they get the room that
/// there is. Those that are not looked at within the time are not carried out.
#[must_use]
pub fn after_allowed(snapshot: &Snapshot, commands: &[Command], now: Timestamp, time: TimeLeft<'_>) -> Snapshot {
    let start = settled(snapshot, &BTreeSet::new());
    let mut room = Room::new(&start, (Budgets::Together, None), now);
    let mut current = start.clone();
    let mut allowed: Vec<Command> = Vec::new();
    let mut standing: Option<(Method, BTreeMap<Arc<str>, Candidate>)> = None;
    for command in commands {
        if time().is_zero() {
            break;
        }
        let (_, may_go) = match &standing {
            Some(known) if known.0 == command.method => known,
            _ => standing.insert((command.method, by_name(&current, command.method, now))),
        };
        let nodes: Option<Vec<&Candidate>> = command.removed.iter().map(|of| may_go.get(&of.node)).collect();
        let is_allowed = nodes.is_some_and(|nodes| room.has_for(&current, &nodes, command.method))
            && room.lets_move(&current, command)
            && are_valid(&current, &[command]);
        if is_allowed {
            room.note(&current, command);
            current = under_way(&current, std::slice::from_ref(command));
            allowed.push(command.clone());
            standing = None; // indices are others, and pods may have moved
        }
    }
    after(&start, &allowed)
}

fn by_name(snapshot: &Snapshot, method: Method, now: Timestamp) -> BTreeMap<Arc<str>, Candidate> {
    let free = candidates(snapshot, method, now).into_iter().filter_map(|standing| standing.verdict.ok());
    free.map(|of| (snapshot.nodes[of.node].name.clone(), of)).collect()
}
