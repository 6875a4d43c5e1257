//! A trial as commands that need not wait for one another: nodes whose pods share no new node go separately.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::trial::Trial;
use super::{Command, Move, Removed};
use crate::api::labels;
use crate::disruption::Method;
use crate::observe::Snapshot;
use crate::plan::{Launch, Offer, Target};
use crate::requirements::{Requirement, Requirements};
use crate::units::MicroUsd;

/// Sets of things that belong together: the parent of each, itself where it stands for its set.
struct Sets(Vec<usize>);

impl Sets {
    fn find(&mut self, mut of: usize) -> usize {
        while self.0[of] != of {
            self.0[of] = self.0[self.0[of]];
            of = self.0[of];
        }
        of
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// The commands of a trial; what they save and cost is for the release to say. `snapshot`: with the nodes still there.
pub(super) fn commands(snapshot: &Snapshot, trial: &Trial, removed: &[Arc<str>], method: Method) -> Vec<Command> {
    let Trial { without, plan } = trial;
    let number: BTreeMap<&Arc<str>, usize> = removed.iter().enumerate().map(|(index, name)| (name, index)).collect();
    let names: Vec<Arc<str>> = plan.launches.iter().map(|launch| free(&launch.name, snapshot)).collect();
    let mut sets = Sets((0..removed.len() + plan.launches.len()).collect());
    for assignment in &plan.assignments {
        if let (Some(from), Target::Launch(launch)) = (without.moving.get(&assignment.pod), assignment.target) {
            sets.join(number[from], removed.len() + launch);
        }
    }
    let mut commands: BTreeMap<usize, Command> = BTreeMap::new();
    let empty = || Command {
        method,
        removed: Vec::new(),
        launches: Vec::new(),
        moves: Vec::new(),
        saved: MicroUsd::ZERO,
        once: MicroUsd::ZERO,
    };
    for (index, name) in removed.iter().enumerate() {
        let node = snapshot.nodes.iter().find(|node| node.name == *name);
        let command = commands.entry(sets.find(index)).or_insert_with(empty);
        command.removed.push(Removed { node: name.clone(), price: node.and_then(|node| node.price) });
    }
    for (index, launch) in plan.launches.iter().enumerate() {
        // one that no moving pod is on is for pods that waited before
        if let Some(command) = commands.get_mut(&sets.find(removed.len() + index)) {
            command.launches.push(Launch { name: names[index].clone(), ..launch.clone() });
        }
    }
    for assignment in &plan.assignments {
        let Some(from) = without.moving.get(&assignment.pod) else { continue };
        let to = match assignment.target {
            Target::Existing(node) => &without.snapshot.nodes[node].name,
            Target::Launch(launch) => &names[launch],
        };
        if let Some(command) = commands.get_mut(&sets.find(number[from])) {
            let pod = without.snapshot.pods[assignment.pod].key.clone();
            command.moves.push(Move { pod, from: from.clone(), to: to.clone() });
        }
    }
    commands.into_values().collect()
}

/// A trial sees a part of the cluster: a node elsewhere may have the name of a launch.
fn free(name: &Arc<str>, snapshot: &Snapshot) -> Arc<str> {
    let mut free = name.clone();
    let mut number = 1;
    while snapshot.nodes.iter().any(|node| node.name == free) {
        number += 1;
        free = format!("{name}-{number}").into();
    }
    free
}

/// Leaves these of the offers of a launch, and has its claim ask for no others.
pub(super) fn offer_only(launch: &mut Launch, offers: Vec<Offer>) {
    if offers.len() < launch.offers.len() {
        let mut requirements = Requirements::clone(&launch.requirements);
        let of = |name: fn(&Offer) -> &Arc<str>| Requirement::one_of(offers.iter().map(name).cloned());
        requirements.add(labels::INSTANCE_TYPE, of(|offer| &offer.instance_type));
        requirements.add(labels::ZONE, of(|offer| &offer.zone));
        launch.requirements = Arc::new(requirements);
        launch.offers = Arc::new(offers);
    }
}
