//! Which sets of nodes are tried, the most promising first.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::disruption::{Candidate, by_savings};
use crate::observe::Snapshot;
use crate::random::SplitMix64;
use crate::resources::Resources;

/// Sets of so many neighbours are tried.
const WINDOWS: [usize; 7] = [2, 3, 5, 8, 13, 21, 34];

/// So many of them are of a few.
const FEW_NEIGHBOURS: usize = 4;

/// From so many nodes on, halves of all are tried before single nodes.
const MANY: usize = 8;

/// Of no more nodes than this all are tried together.
const FEW: usize = 40;

/// Sets that are drawn by lot, for each candidate, and how many nodes they have at most.
const DRAWS: usize = 2;
const LARGEST_DRAW: u64 = 12;

/// Each candidate alone, by index, those first that save most for what they disturb. `turn`: with every other one it begins elsewhere.
pub(super) fn singles(candidates: &[Candidate], turn: u64) -> Vec<Vec<usize>> {
    let mut singles: Vec<Vec<usize>> = ranked(candidates).into_iter().map(|one| vec![one]).collect();
    begin_elsewhere(&mut singles, turn);
    singles
}

/// Sets of a few neighbours, by index, the smallest first.
pub(super) fn neighbours(snapshot: &Snapshot, candidates: &[Candidate], turn: u64) -> Vec<Vec<usize>> {
    distinct(windows(snapshot, candidates, &WINDOWS[..FEW_NEIGHBOURS], turn))
}

/// Sets of candidates, by index, the largest first: large parts of all, neighbours in two orders, each alone, and all of a few.
/// Every node is in one of each kind. `turn`: those of one kind begin elsewhere with every other one.
pub(super) fn ideas(snapshot: &Snapshot, candidates: &[Candidate], turn: u64) -> Vec<Vec<usize>> {
    let count = candidates.len();
    let by_ratio = ranked(candidates);
    let mut ideas: Vec<Vec<usize>> = Vec::new();
    let mut part = count / 2;
    while count >= MANY && part >= MANY / 2 {
        ideas.push(by_ratio[..part].to_vec());
        part = part * 3 / 4;
    }
    ideas.extend(singles(candidates, turn));
    ideas.extend(windows(snapshot, candidates, &WINDOWS, turn));
    if (2..=FEW).contains(&count) {
        ideas.push(by_ratio);
    }
    ideas.sort_by_key(|idea| std::cmp::Reverse(idea.len())); // stable
    distinct(ideas)
}

/// Neighbours in two orders: by what nobody uses of them, and by what they save for what they disturb.
fn windows(snapshot: &Snapshot, candidates: &[Candidate], sizes: &[usize], turn: u64) -> Vec<Vec<usize>> {
    let by_ratio = ranked(candidates);
    let waste: Vec<i64> = candidates.iter().map(|of| wasted(snapshot, of)).collect();
    let mut by_waste = by_ratio.clone();
    by_waste.sort_by_key(|one| std::cmp::Reverse(waste[*one]));
    let mut found = Vec::new();
    for &size in sizes {
        for order in [&by_waste, &by_ratio] {
            let starts = (0..candidates.len().saturating_sub(size - 1)).step_by((size / 2).max(1));
            let mut windows: Vec<Vec<usize>> = starts.map(|start| order[start..start + size].to_vec()).collect();
            begin_elsewhere(&mut windows, turn);
            found.extend(windows);
        }
    }
    found
}

/// Each set once, in this order.
fn distinct(mut sets: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    for set in &mut sets {
        set.sort_unstable();
    }
    let mut seen = BTreeSet::new();
    sets.retain(|set| seen.insert(set.clone()));
    sets
}

/// By what they save for what they disturb.
fn ranked(candidates: &[Candidate]) -> Vec<usize> {
    let mut ranked: Vec<usize> = (0..candidates.len()).collect();
    ranked.sort_by(|a, b| by_savings(&candidates[*a], &candidates[*b]));
    ranked
}

fn begin_elsewhere(kind: &mut [Vec<usize>], turn: u64) {
    if turn % 2 == 1 && !kind.is_empty() {
        let elsewhere = usize::try_from(SplitMix64(turn).next() >> 32).unwrap_or(0);
        kind.rotate_left(elsewhere % kind.len());
    }
}

/// Sets by lot, by index: what no neighbourhood has together.
pub(super) fn draws(count: usize, dice: &mut SplitMix64) -> Vec<Vec<usize>> {
    if count < 3 {
        return Vec::new();
    }
    let most = u64::try_from(count - 1).unwrap_or(u64::MAX);
    let mut draw = || {
        let size = dice.between(2, LARGEST_DRAW.min(most));
        let nodes: BTreeSet<usize> = (0..size).filter_map(|_| usize::try_from(dice.between(0, most)).ok()).collect();
        nodes.into_iter().collect()
    };
    (0..DRAWS * count).map(|_| draw()).collect()
}

/// What of the price of a node nobody uses, micro-dollars an hour: by the resource of which its pods use the largest part.
pub(super) fn wasted(snapshot: &Snapshot, candidate: &Candidate) -> i64 {
    let node = &snapshot.nodes[candidate.node];
    let mut used = Resources::new();
    for &pod in &candidate.pods {
        used.add(&snapshot.pods[pod].template.spec.requests);
    }
    let permille = |(name, amount): (&Arc<str>, i64)| {
        let all = node.allocatable.get(name);
        if all > 0 { i64::try_from(i128::from(amount) * 1_000 / i128::from(all)).unwrap_or(1_000) } else { 0 }
    };
    let most = used.iter().map(permille).max().unwrap_or(0).clamp(0, 1_000);
    candidate.price.unwrap_or_default().0.saturating_mul(1_000 - most) / 1_000
}
