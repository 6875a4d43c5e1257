//! Commands of one plan, as far as can be none of which moves pods to a node that another one removes: no pod moves twice.
//!
//! A search finds steps one after another, and a node that took the pods of one may go in a later one. Carried out at once both are one
//! command: the same nodes go and come, and pods go at once where they end.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Command;
use super::policies::Policies;
use super::room::Room;
use super::valid::are_valid;
use super::without::under_way;
use crate::disruption::{Method, eviction_price};
use crate::observe::Snapshot;
use crate::units::MicroUsd;

/// The commands as they are where what they become cannot be carried out as one, or may not. `start`: the cluster before them; `room`:
/// what budgets have for all of them.
pub(super) fn fused(start: &Snapshot, commands: Vec<Command>, policies: &Policies, room: &Room<'_>) -> Vec<Command> {
    let mut fused = commands.clone();
    while let Some(set) = (1..fused.len()).rev().find_map(|last| of_one(&fused, last)) {
        let of_set: Vec<Command> = set.iter().map(|of| fused[*of].clone()).collect();
        if !of_set.iter().all(|of| of.method == Method::Underutilized && may_be_fused(start, of, policies)) {
            return commands;
        }
        let first = set.iter().next().copied().unwrap_or(0);
        set.iter().skip(1).rev().for_each(|of| _ = fused.remove(*of));
        fused[first] = joined(start, of_set, policies);
    }
    if fused.len() == commands.len() || is_valid(start, &fused, room.clone()) { fused } else { commands }
}

/// Those that are one with the `last`, by index: they move pods to nodes that it removes; and, as these come earlier then, those on whose new
/// nodes they count.
fn of_one(commands: &[Command], last: usize) -> Option<BTreeSet<usize>> {
    let mut set = BTreeSet::from([last]);
    loop {
        let of_set = || set.iter().map(|of| &commands[*of]);
        let gone: BTreeSet<&Arc<str>> = of_set().flat_map(|of| &of.removed).map(|of| &of.node).collect();
        let needed: BTreeSet<&Arc<str>> = of_set().flat_map(|of| &of.moves).map(|of| &of.to).collect();
        let is_single = set.len() == 1;
        let joins = |of: &usize| {
            let of = &commands[*of];
            of.moves.iter().any(|moved| gone.contains(&moved.to))
                || (!is_single && of.launches.iter().any(|launch| needed.contains(&launch.name)))
        };
        let Some(next) = (0..last).filter(|of| !set.contains(of)).find(joins) else { break };
        set.insert(next);
    }
    (set.len() > 1).then_some(set)
}

/// Where one node may come for one only, there is no command for several.
fn may_be_fused(start: &Snapshot, command: &Command, policies: &Policies) -> bool {
    let mut nodes = start.nodes.iter().filter(|node| command.removed.iter().any(|of| of.node == node.name));
    nodes.all(|node| !policies.of_node(node).one_for_one)
}

/// As one, in their order.
fn joined(start: &Snapshot, commands: Vec<Command>, policies: &Policies) -> Command {
    let mut commands = commands.into_iter();
    let mut joined = commands.next().expect("there are several");
    for next in commands {
        let mut twice = MicroUsd::ZERO;
        for of in next.moves {
            let Some(before) = joined.moves.iter_mut().find(|before| before.pod == of.pod) else {
                joined.moves.push(of);
                continue;
            };
            before.to = of.to;
            let pod = start.pods.iter().find(|pod| pod.key == of.pod);
            let node = start.nodes.iter().find(|node| node.name == of.from);
            if let (Some(pod), Some(node)) = (pod, node) {
                twice += policies.of_node(node).evictions(eviction_price(pod));
            }
        }
        joined.removed.extend(next.removed);
        joined.launches.extend(next.launches);
        joined.saved += next.saved;
        joined.once = joined.once + next.once - twice;
    }
    joined
}

fn is_valid(start: &Snapshot, commands: &[Command], mut room: Room<'_>) -> bool {
    let mut current = start.clone();
    commands.iter().all(|command| {
        let is_valid = room.lets_move(&current, command) && are_valid(&current, &[command]);
        room.note(&current, command);
        current = under_way(&current, std::slice::from_ref(command));
        is_valid
    })
}
