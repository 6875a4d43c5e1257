//! Equal pods that come one after another: as many as will go to the same node go there at once.
//!
//! A pod that no rule ties to others changes nothing for the next one of its kind but the room of the node that took it, and whose turn
//! it is among the open nodes: those with fewest pods come first. So a Deployment of any size costs what its nodes cost.

use std::cmp::Reverse;

use super::guide::use_up;
use super::open::{keep_fitting, most_room};
use super::passes::{Pass, Way};
use super::{Greedy, Place};

impl Greedy<'_, '_> {
    /// Whether pods of the group look at nothing that others of it change, and have given up no preferences so far.
    pub(super) fn is_free(&self, group: usize) -> bool {
        let model = &self.problem.groups[group];
        let is_tied = !model.carried.is_empty() || !model.counted.is_empty() || !model.forbidden_by.is_empty();
        let spec = model.spec();
        !is_tied
            && !model.minds_daemons
            && spec.host_ports.is_empty()
            && spec.volumes.is_empty()
            && self.steps[group] == 0
            && self.guide.steps.get(group).is_none_or(|last| *last == 0)
    }

    /// How many more pods of a group, if they came now, would follow the one that was just placed.
    pub(super) fn followers(&mut self, group: usize, place: Place, way: Way) -> usize {
        if !self.is_free(group) {
            return 0;
        }
        let amounts = &self.problem.groups[group].amounts;
        let room = match place {
            Place::Existing(node) => times(amounts, self.existing[node].room.iter().copied()),
            Place::New(index) if self.is_bought_alike(self.open[index].pool) => {
                let node = &self.open[index];
                let kinds = node.types.ones().map(|kind| &self.problem.pools[node.pool].types[kind].room);
                let left =
                    |room: &[i64]| times(amounts, room.iter().zip(&node.requests).map(|(room, used)| room - used));
                kinds.map(|room| left(room)).max().unwrap_or(0)
            }
            Place::New(_) => 0,
        };
        if room == 0 {
            return 0;
        }
        room.min(match (way, place) {
            (Way::AsChosen, _) => self.chosen(group, place).map_or(0, |(_, _, left)| left),
            (Way::FirstFit, Place::New(index)) => self.turns(group, index),
            (Way::FirstFit, Place::Existing(_)) => usize::MAX,
        })
    }

    /// Puts so many more pods of the group there, no more than [`Self::followers`] says.
    pub(super) fn put_followers(&mut self, group: usize, place: Place, pods: usize, way: Way) {
        let amounts = &self.problem.groups[group].amounts;
        let many = i64::try_from(pods).expect("nodes hold no more pods than an i64 counts");
        match place {
            Place::Existing(node) => {
                for (room, used) in self.existing[node].room.iter_mut().zip(amounts) {
                    *room -= used * many;
                }
            }
            Place::New(index) => {
                let node = &mut self.open[index];
                for (requested, amount) in node.requests.iter_mut().zip(amounts) {
                    *requested += amount * many;
                }
                let before = node.types.count_ones(..);
                keep_fitting(&self.problem.pools[node.pool], &mut node.types, &node.requests, &[]);
                if node.types.count_ones(..) != before {
                    node.most_room = most_room(self.problem, node.pool, &node.types);
                }
                node.pods += pods;
            }
        }
        if way == Way::AsChosen
            && let Some((of_new, position, _)) = self.chosen(group, place)
        {
            let chosen = if of_new { &mut self.guide.of_group } else { &mut self.guide.existing };
            let chosen = chosen.get_mut(&group).expect("its pods were chosen for");
            use_up(chosen, position, u32::try_from(pods).expect("no more than were chosen"));
        }
    }

    /// Whether a node of the pool costs, counts and reserves nothing that depends on how many types it may still become.
    fn is_bought_alike(&self, pool: usize) -> bool {
        let model = &self.problem.pools[pool];
        let counts_names = self.pass == Pass::AsNamed && !model.remaining.resources.is_empty();
        self.remaining[pool].usd_per_hour.is_none()
            && !counts_names
            && model.min_values.is_empty()
            && !model.has_reservations
    }

    /// Of the pods that the guide wants of a group there: whether it is a new node, where that stands, and how many are left.
    fn chosen(&self, group: usize, place: Place) -> Option<(bool, usize, usize)> {
        let (of_new, chosen) = match place {
            Place::New(_) => (true, self.guide.of_group.get(&group)?),
            Place::Existing(_) => (false, self.guide.existing.get(&group)?),
        };
        let is_there = |of: usize| match place {
            Place::New(index) => self.guide.targets[of].opened == Some(index),
            Place::Existing(node) => of == node,
        };
        let position = chosen.iter().rposition(|(of, _)| is_there(*of))?;
        Some((of_new, position, chosen[position].1 as usize))
    }

    /// How many pods of the group in a row would be offered to an open node first, before another one has fewer pods.
    fn turns(&mut self, group: usize, index: usize) -> usize {
        let Some(variant) = self.variants.at(self.problem, &mut self.sets, group, 0) else { return 0 };
        let open = &self.open;
        let waiting = &mut self.variants.get_mut(variant).open;
        let mut own = None;
        let next = loop {
            let Some(Reverse((pods, other))) = waiting.pop() else { break None };
            if open[other].pods != pods {
                waiting.push(Reverse((open[other].pods, other)));
            } else if other == index {
                own = Some(Reverse((pods, other)));
            } else {
                waiting.push(Reverse((pods, other)));
                break Some((pods, other));
            }
        };
        waiting.extend(own);
        next.map_or(usize::MAX, |(pods, other)| (pods + usize::from(index < other)).saturating_sub(open[index].pods))
    }
}

/// How often the amounts fit into what is left.
fn times(amounts: &[i64], left: impl Iterator<Item = i64>) -> usize {
    let of = amounts.iter().zip(left).filter(|(amount, _)| **amount > 0).map(|(amount, left)| left.max(0) / amount);
    of.min().map_or(0, |times| usize::try_from(times).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::host::tests::worlds::{MIXED, Size, world};
    use crate::model::Problem;
    use crate::solve::Solution;
    use crate::solve::greedy::guide::{Guide, Target};
    use crate::solve::greedy::open::OpenNode;
    use crate::solve::greedy::queue::{Order, Queue};
    use crate::solve::greedy::topology::DaemonCounts;
    use crate::solve::greedy::work;

    const MANY_ALIKE: Size = Size { replicas: 60, ..MIXED };

    /// The pods that a solution has placed, where the guide is to put them again; the domains of its nodes stay open.
    fn guide(problem: &Problem, solution: &Solution, steps: &[usize]) -> Guide {
        let mut guide = Guide { steps: steps.to_vec(), ..Guide::default() };
        let target = |pool| Target { pool, domains: Vec::new(), opened: None };
        guide.targets = solution.new_nodes.iter().map(|node| target(node.pool)).collect();
        let mut counts: BTreeMap<(usize, bool, usize), u32> = BTreeMap::new();
        for (group, model) in problem.groups.iter().enumerate() {
            for (_, place) in solution.placements.iter().filter(|(pod, _)| model.pods.contains(pod)) {
                let (of_new, node) = match *place {
                    Place::Existing(node) => (false, node),
                    Place::New(node) => (true, node),
                };
                *counts.entry((group, of_new, node)).or_default() += 1;
            }
        }
        for ((group, of_new, node), pods) in counts {
            let chosen = if of_new { &mut guide.of_group } else { &mut guide.existing };
            chosen.entry(group).or_default().push((node, pods));
        }
        guide
    }

    /// One cycle over the queue: where pods go, and what the nodes become.
    fn cycle(mut greedy: Greedy<'_, '_>, way: Way, in_runs: bool) -> String {
        let mut queue = Queue::new(greedy.problem, Order::Karpenter);
        if in_runs {
            assert!(!greedy.cycle(&mut queue, &|| false, way));
        } else {
            while let Some((group, pod)) = queue.pop() {
                let place = if way == Way::AsChosen { greedy.place_guided(group) } else { greedy.place(group) };
                match place {
                    Some(place) => greedy.placements.push((pod, place)),
                    None => queue.push_back(group, pod),
                }
            }
        }
        let types = |node: &OpenNode| node.types.ones().collect::<Vec<_>>();
        let nodes: Vec<_> = greedy.open.iter().map(|node| (node.pods, &node.requests, types(node))).collect();
        let rooms: Vec<_> = greedy.existing.iter().map(|node| &node.room).collect();
        let state = format!("{:?} {nodes:?} {rooms:?}", greedy.placements);
        format!("{state} {:?}", queue.into_unplaced())
    }

    #[test]
    fn pods_in_a_run_go_where_they_would_go_one_by_one() {
        let mut replicas = 0;
        for seed in 0..120 {
            let snapshot = world(seed, MANY_ALIKE);
            let problem = Problem::new(&snapshot);
            let (solution, worked) = work(&problem, Order::Karpenter, &|| false);
            for way in [Way::FirstFit, Way::AsChosen] {
                let greedy = || {
                    let mut greedy = Greedy::new(&problem, DaemonCounts::new());
                    if way == Way::AsChosen {
                        greedy.pass = Pass::AsNamed;
                        greedy.guide = guide(&problem, &solution, &worked.steps);
                    }
                    greedy
                };
                assert_eq!(cycle(greedy(), way, true), cycle(greedy(), way, false), "world {seed}, {way:?}");
                let free = (0..problem.groups.len()).filter(|group| greedy().is_free(*group));
                replicas += free.map(|group| problem.groups[group].pods.len() - 1).sum::<usize>();
            }
        }
        assert!(replicas > 1_000, "{replicas} pods could follow others");
    }
}
