//! Few pods: every way to deal them over nodes, level by level of the vector by which plans are compared.
//!
//! Where the column generation keeps what a first solution decided (domains, preferences, which pods are left), here each
//! pod may go to every existing node, every node opened so far, a new node of every profile ([`profiles`]), or be left. A
//! branch ends where its pods left and the cheapest types for what it packed reach what is known, and where a spread or
//! affinity can no longer hold ([`company`], [`counts`]). What is dealt out is carried out as it is ([`carry_out`]), and
//! judged by the caller. The search is limited by work; one that comes to its end is no proof, but
//! of 10,000 small worlds none is known in which it overlooks the best plan (`make oracle`).

mod carry_out;
mod company;
mod counts;
mod given_up;
mod profiles;

use crate::model::{Amounts, Group, Problem, SoftTaints, Source, admits, fits, ports_conflict};
use crate::requirements::Undefined;
use crate::solve::knapsack::give;
use crate::solve::sets::RequirementSets;
use crate::solve::{Levels, Solution};

use carry_out::Carrier;
use company::{Company, Site};
use counts::Counts;
use given_up::GivenUp;
use profiles::{Profiles, wanted};

/// More pods than this are left to the column generation.
const MOST_PODS: usize = 12;
/// Places tried for a way that may be carried out.
const STEPS: usize = 130;
/// So many places are tried between two looks at the clock.
const POLL: usize = 256;

/// Offers every way to place the pods that could be better than what is known; `judge` answers with what is known after
/// it, and takes what it tries off the ways. Returns whether all were offered: there are few pods, and neither work limit
/// nor wish to stop cut the search short.
pub fn search(
    problem: &Problem,
    priorities: &[i32],
    known: Levels,
    ways: usize,
    stop: &dyn Fn() -> bool,
    judge: &mut dyn FnMut(Solution, &mut usize) -> Levels,
) -> bool {
    // daemon pods of new nodes count for nobody here: what is found is judged, and may not be all that there is
    let minds_daemons = problem.groups.iter().any(|group| group.minds_daemons);
    if !are_few(problem) {
        return false;
    }
    let mut search = Search::new(problem, priorities, known, ways, stop, judge);
    search.place(0, Spent::default());
    !minds_daemons
        && search.profiles.is_complete
        && !search.carrier.is_cut
        && search.steps > 0
        && search.ways > 0
        && !stop()
}

/// Whether there are pods, and few enough.
#[must_use]
pub fn are_few(problem: &Problem) -> bool {
    let pods: usize = problem.groups.iter().map(|group| group.pods.len()).sum();
    (1..=MOST_PODS).contains(&pods)
}

/// What is decided comes to at least this.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    /// Weight of preferences.
    violated: i64,
    /// Micro-dollars an hour.
    cost: i64,
}

impl Spent {
    fn and(self, violated: i64, cost: i64) -> Self {
        Self { violated: self.violated + violated, cost: self.cost + cost }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// Index into `Problem::nodes`.
    Existing(usize),
    /// Index into the nodes opened.
    Open(usize),
    Left,
}

/// A node that is opened.
struct Opened {
    profile: usize,
    used: Amounts,
    groups: Vec<usize>,
    cost: i64,
}

struct Search<'f, 's> {
    problem: &'f Problem<'s>,
    stop: &'f dyn Fn() -> bool,
    judge: &'f mut dyn FnMut(Solution, &mut usize) -> Levels,
    /// Groups, one entry a pod; those of a group stand together.
    queue: Vec<usize>,
    /// By group: its level of priority.
    level: Vec<usize>,
    profiles: Profiles,
    given_up: GivenUp,
    carrier: Carrier<'f, 's>,
    /// By group: existing nodes that it may go to.
    nodes: Vec<Vec<usize>>,
    /// By group: profiles of nodes that may hold it, the best first: what it gives up there, cost, profile.
    profiles_of: Vec<Vec<(i64, i64, usize)>>,
    company: Company,
    counts: Counts,
    /// By position in the queue: pods from there on that can go nowhere, by level.
    hopeless: Vec<Vec<usize>>,
    known: Levels,
    /// Left to be tried, and to be carried out.
    steps: usize,
    ways: usize,
    // what is decided
    spots: Vec<Spot>,
    open: Vec<Opened>,
    room: Vec<Amounts>,
    left: Vec<usize>,
}

impl<'f, 's> Search<'f, 's> {
    fn new(
        problem: &'f Problem<'s>,
        priorities: &[i32],
        known: Levels,
        ways: usize,
        stop: &'f dyn Fn() -> bool,
        judge: &'f mut dyn FnMut(Solution, &mut usize) -> Levels,
    ) -> Self {
        let mut sets = RequirementSets::default();
        let profiles = profiles::of(problem, &mut sets, stop);
        let level_of = |priority: i32| priorities.iter().position(|of| *of == priority).unwrap_or(0);
        let level: Vec<usize> = problem.groups.iter().map(|group| level_of(group.spec().priority)).collect();
        let mut order: Vec<usize> = (0..problem.groups.len()).collect();
        order.sort_by_key(|&group| {
            let of = &problem.groups[group];
            (level[group], follows(of), of.queue_key(), of.namespace, of.template)
        });
        let queue: Vec<usize> =
            order.iter().flat_map(|&group| std::iter::repeat_n(group, problem.groups[group].pods.len())).collect();
        let company = Company::of(problem, &profiles.all, &sets);
        let given_up = GivenUp::of(problem, &profiles.all, &sets);
        let nodes = |group: usize| {
            let mut nodes = nodes_of(problem, group);
            nodes.retain(|&node| company.allows(problem, group, Site::Existing(node)));
            nodes
        };
        let nodes: Vec<Vec<usize>> = (0..problem.groups.len()).map(nodes).collect();
        let profiles_of = |group: usize| {
            let allowed = |&profile: &usize| company.allows(problem, group, Site::New { profile, node: 0 });
            let rated = |profile: usize| {
                let price = profiles.all[profile].cost(problem, &[group], &problem.groups[group].amounts)?;
                Some((given_up.on_new[group][profile], price, profile))
            };
            let mut found: Vec<_> = (0..profiles.all.len()).filter(allowed).filter_map(rated).collect();
            found.sort_unstable();
            found
        };
        let profiles_of: Vec<Vec<(i64, i64, usize)>> = (0..problem.groups.len()).map(profiles_of).collect();
        let refused = problem.snapshot.pending().filter(|(_, pod)| pod.refused.is_some());
        let mut left = vec![0; priorities.len()];
        refused.for_each(|(_, pod)| left[level_of(pod.template.spec.priority)] += 1);
        let mut hopeless = vec![vec![0; priorities.len()]];
        for &group in queue.iter().rev() {
            let mut of = hopeless.last().cloned().unwrap_or_default();
            of[level[group]] += usize::from(nodes[group].is_empty() && profiles_of[group].is_empty());
            hopeless.push(of);
        }
        hopeless.reverse();
        Self {
            problem,
            stop,
            judge,
            level,
            given_up,
            profiles_of,
            company,
            counts: Counts::of(problem),
            profiles,
            carrier: Carrier::new(problem, sets),
            nodes,
            hopeless,
            known,
            steps: ways.saturating_mul(STEPS),
            ways,
            spots: Vec::with_capacity(queue.len()),
            queue,
            open: Vec::new(),
            room: problem.nodes.iter().map(|node| node.room.clone()).collect(),
            left,
        }
    }

    /// Whether what is decided cannot come to anything better.
    fn is_lost(&self, position: usize, Spent { violated, cost }: Spent) -> bool {
        let left = self.left.iter().zip(&self.hopeless[position]).map(|(left, hopeless)| left + hopeless).collect();
        Levels { left, violated, cost } >= self.known
    }

    fn place(&mut self, position: usize, spent: Spent) {
        if self.steps == 0 || self.ways == 0 || self.is_lost(position, spent) {
            return;
        }
        self.steps -= 1;
        if self.steps.is_multiple_of(POLL) && (self.stop)() {
            self.steps = 0;
            return;
        }
        if !self.counts.may_hold(self.problem, &self.company, &self.placed(), &self.queue[position..]) {
            return;
        }
        let Some(&group) = self.queue.get(position) else { return self.carry_out(spent.violated) };
        // equal pods go to places in their order
        let before = position.checked_sub(1).filter(|&before| self.queue[before] == group);
        let before = before.map(|before| self.spots[before]);
        self.on_existing(position, group, before, spent);
        if before != Some(Spot::Left) {
            self.on_open(position, group, before, spent);
            self.on_new(position, group, spent);
        }
        self.left[self.level[group]] += 1;
        self.go_on(position, Spot::Left, spent);
        self.left[self.level[group]] -= 1;
    }

    fn go_on(&mut self, position: usize, spot: Spot, spent: Spent) {
        self.spots.push(spot);
        self.place(position + 1, spent);
        self.spots.pop();
    }

    /// The pods that have a place: their group, and where.
    fn placed(&self) -> Vec<(usize, Site)> {
        let site = |spot: &Spot| match *spot {
            Spot::Left => None,
            Spot::Existing(node) => Some(Site::Existing(node)),
            Spot::Open(node) => Some(Site::New { profile: self.open[node].profile, node }),
        };
        self.queue.iter().zip(&self.spots).filter_map(|(group, spot)| Some((*group, site(spot)?))).collect()
    }

    /// Whether a pod of the group may be there beside all those before it.
    fn agrees(&self, group: usize, site: Site) -> bool {
        self.placed().into_iter().all(|there| self.company.agree((group, site), there))
    }

    fn on_existing(&mut self, position: usize, group: usize, before: Option<Spot>, spent: Spent) {
        let first = match before {
            None => 0,
            Some(Spot::Existing(node)) => node,
            Some(Spot::Open(_) | Spot::Left) => return,
        };
        for node in self.nodes[group].clone().into_iter().filter(|node| *node >= first) {
            let amounts = &self.problem.groups[group].amounts;
            if fits(amounts, &self.room[node]) && self.agrees(group, Site::Existing(node)) {
                give(&mut self.room[node], amounts, -1);
                let violated = self.given_up.on_existing[group][node];
                self.go_on(position, Spot::Existing(node), spent.and(violated, 0));
                give(&mut self.room[node], amounts, 1);
            }
        }
    }

    fn on_open(&mut self, position: usize, group: usize, before: Option<Spot>, spent: Spent) {
        let first = if let Some(Spot::Open(node)) = before { node } else { 0 };
        for node in first..self.open.len() {
            let profile = self.open[node].profile;
            let is_allowed = self.profiles_of[group].iter().any(|(.., of)| *of == profile);
            let is_like = |other: &Opened| other.profile == profile && other.groups == self.open[node].groups;
            let is_repeated = self.open[first..node].iter().any(is_like);
            if !is_allowed || is_repeated || !self.agrees(group, Site::New { profile, node }) {
                continue;
            }
            let mut used = self.open[node].used.clone();
            give(&mut used, &self.problem.groups[group].amounts, 1);
            self.open[node].groups.push(group);
            let of = &self.open[node];
            if let Some(more) = self.profiles.all[of.profile].cost(self.problem, &of.groups, &used) {
                let old_cost = std::mem::replace(&mut self.open[node].cost, more);
                let old_used = std::mem::replace(&mut self.open[node].used, used);
                let violated = self.given_up.on_new[group][self.open[node].profile];
                self.go_on(position, Spot::Open(node), spent.and(violated, more - old_cost));
                (self.open[node].cost, self.open[node].used) = (old_cost, old_used);
            }
            self.open[node].groups.pop();
        }
    }

    fn on_new(&mut self, position: usize, group: usize, spent: Spent) {
        let used = self.problem.groups[group].amounts.clone();
        // of equal pods that open nodes one after another, any may be the first: their profiles come in order
        let before = position.checked_sub(1).filter(|&before| self.queue[before] == group);
        let opened = before.and_then(|before| match self.spots[before] {
            Spot::Open(node) if node + 1 == self.open.len() && self.open[node].groups.len() == 1 => Some(node),
            _ => None,
        });
        let rank = |of: &usize| self.profiles_of[group].iter().position(|(.., profile)| profile == of);
        let first = opened.and_then(|node| rank(&self.open[node].profile)).unwrap_or(0);
        for index in first..self.profiles_of[group].len() {
            let (violated, price, profile) = self.profiles_of[group][index];
            if !self.agrees(group, Site::New { profile, node: self.open.len() }) {
                continue;
            }
            self.open.push(Opened { profile, used: used.clone(), groups: vec![group], cost: price });
            self.go_on(position, Spot::Open(self.open.len() - 1), spent.and(violated, price));
            self.open.pop();
        }
    }

    /// Carries a way out and asks what it comes to.
    fn carry_out(&mut self, violated: i64) {
        if (self.stop)() {
            self.steps = 0;
            return;
        }
        match self.carrier.carry_out(&self.profiles, &self.queue, &self.spots, &self.open) {
            Some((solution, cost)) if (Levels { left: self.left.clone(), violated, cost }) < self.known => {
                self.known = (self.judge)(solution, &mut self.ways);
            }
            _ => self.ways -= 1,
        }
    }
}

/// Whether the group's pods go where others are: they are dealt after those.
fn follows(group: &Group) -> bool {
    group.carried.iter().any(|placement| matches!(placement.source, Source::Affinity(_)) && !placement.self_selects)
}

fn nodes_of(problem: &Problem, group: usize) -> Vec<usize> {
    let model = &problem.groups[group];
    let wanted = wanted(model.spec());
    let may_hold = |&index: &usize| {
        let node = &problem.nodes[index];
        fits(&model.amounts, &node.room)
            && admits(model.spec(), &node.node.taints, SoftTaints::Ignore)
            && !ports_conflict(&model.spec().host_ports, &node.ports)
            && wanted.iter().any(|set| node.labels.compatible(set, Undefined::Refuse).is_ok())
    };
    (0..problem.nodes.len()).filter(may_hold).collect()
}
