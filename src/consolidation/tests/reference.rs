//! The next command as the reference finds it: the first one of its sequence, made into ours.

use std::sync::Arc;

use super::*;
use crate::host::sequence::sequence;

fn next(snapshot: &Snapshot, policy: &Policy) -> Vec<Command> {
    let limits = Limits::of_work(Work::OF_A_TRIAL, Search::Greedy);
    consolidate_as_reference(snapshot, policy, limits, 1).commands
}

fn names(command: &Command) -> Vec<&Arc<str>> {
    let mut names: Vec<&Arc<str>> = command.removed.iter().map(|of| &of.node).collect();
    names.sort();
    names
}

#[test]
fn it_is_the_first_of_the_sequence() {
    let kinds = ["c-1x-amd64-linux", "c-2x-amd64-linux", "c-4x-amd64-linux", "c-8x-amd64-linux"];
    let mut dice = SplitMix64(1);
    let (mut several, mut replaced) = (0, 0);
    for _ in 0..40 {
        let count = usize::try_from(dice.between(2, 9)).unwrap();
        let names_of: Vec<String> = (0..count).map(|index| format!("n{index}")).collect();
        let made: Vec<(usize, Vec<u32>)> = (0..count)
            .map(|_| {
                let kind = usize::try_from(dice.between(0, 3)).unwrap();
                let room = 1_000 << kind;
                let mut pods = vec![100];
                while pods.iter().sum::<u32>() + 500 < room && dice.between(0, 3) > 0 {
                    pods.push(u32::try_from(dice.between(50, 400)).unwrap());
                }
                (kind, pods)
            })
            .collect();
        let nodes: Vec<Filled> = names_of
            .iter()
            .zip(&made)
            .map(|(name, (kind, pods))| (name.as_str(), kinds[*kind], "on-demand", pods.as_slice()))
            .collect();
        let snapshot = cluster(&unlimited(), &only(&kinds), &nodes);
        let theirs = sequence(&snapshot, now(), &|| false).commands;
        let ours = next(&snapshot, &Policy::default());
        assert_eq!(ours.len(), usize::from(!theirs.is_empty()), "{theirs:?}\n{ours:?}");
        let (Some(theirs), Some(ours)) = (theirs.first(), ours.first()) else { continue };
        let mut removed: Vec<&Arc<str>> = theirs.removed.iter().collect();
        removed.sort();
        assert_eq!(names(ours), removed);
        let bought = ours.launches.first().map(|launch| (&launch.offers[0].instance_type, launch.price()));
        assert_eq!(bought, theirs.replacement.as_ref().map(|of| (&of.instance_type, of.price)), "{theirs:?}");
        assert!(are_valid(&snapshot, &[ours]));
        several += usize::from(ours.removed.len() > 1);
        replaced += usize::from(!ours.launches.is_empty());
    }
    assert!(several > 5 && replaced > 5, "{several} {replaced}");
}

#[test]
fn what_is_empty_goes_alone_and_off_is_off() {
    let nodes: [Filled; 3] = [
        ("a", "c-2x-amd64-linux", "on-demand", &[]),
        ("b", "c-2x-amd64-linux", "on-demand", &[100]),
        ("c", "c-2x-amd64-linux", "on-demand", &[100]),
    ];
    let snapshot = cluster(&unlimited(), &only(&["c-2x-amd64-linux", "c-1x-amd64-linux"]), &nodes);
    let of = |commands: &[Command]| commands.iter().map(|of| (of.method, of.removed.len())).collect::<Vec<_>>();
    assert_eq!(of(&next(&snapshot, &Policy::default())), [(Method::Empty, 1)]);
    assert_eq!(of(&next(&snapshot, &Policy::off())), [(Method::Empty, 1)]);
    let full = cluster(&unlimited(), &only(&["c-2x-amd64-linux", "c-1x-amd64-linux"]), &nodes[1..]);
    assert_eq!(of(&next(&full, &Policy::default())), [(Method::Underutilized, 2)], "for a smaller one");
    assert_eq!(of(&next(&full, &Policy::off())), []);
    // any saving is enough, however young the nodes are
    assert_eq!(of(&next(&full, &Policy::calm())), [(Method::Underutilized, 2)]);
}
