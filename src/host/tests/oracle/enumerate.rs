//! Every plan of a small world, judged by the checker alone.
//!
//! Pods go one after another to every existing node, every launch so far, a new launch of every kind, or are left. Ahead of a
//! whole plan the checker is asked about one pod on one node, and about two: what breaks a rule there that more pods cannot
//! mend is in no plan. Bind orders are tried as far as the checker says that a pod came too early.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::launches::{Kind, given_up, kinds};
use crate::observe::Snapshot;
use crate::observe::snapshot::PodTemplate;
use crate::plan::check::{Rule, Violation, check};
use crate::plan::{Assignment, Draft, Plan, Target, Unplaced, preferences};
use crate::resources::Resources;

/// Pods left by priority, highest first; preferences given up; micro-dollars an hour.
pub type Vector = (Vec<usize>, i64, i64);

/// Plans tried in one world for a check that may be made; one with more is left half searched.
const STEPS: usize = 100;

/// What more pods on the nodes can mend.
const MENDED: [Rule; 4] = [Rule::PodAffinity, Rule::TopologySpread, Rule::OpenableSpread, Rule::PoolWeight];
/// What another order can mend.
const OF_ORDER: [Rule; 3] = [Rule::PodAffinity, Rule::TopologySpread, Rule::OpenableSpread];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// Index into `Snapshot::nodes`.
    Node(usize),
    /// Index into the launches.
    Launch(usize),
    Left,
}

/// A node as pairs of pods see it: index of an existing one, or of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Site {
    Node(usize),
    Kind(usize),
}

#[derive(Default)]
struct Opened {
    kind: usize,
    pods: Vec<usize>,
    used: Resources,
}

pub struct Enumeration<'w> {
    snapshot: &'w Snapshot,
    pods: Vec<usize>,
    priorities: Vec<i32>,
    kinds: Vec<Kind>,
    /// By pod of the queue: where it may be by itself, with what it gives up there.
    sites: Vec<Vec<(Site, i64)>>,
    /// Class of each pod: equal pods are of one.
    classes: Vec<usize>,
    pairs: HashMap<(usize, Site, usize, Site, bool), bool>,
    /// By position: pods from there on that can be nowhere, by priority.
    hopeless: Vec<Vec<usize>>,
    /// No plan that is worse than this is looked for.
    pub best: Vector,
    pub found: Option<Plan<Draft>>,
    /// A rule that the checker is to have forgotten.
    forgotten: Option<Rule>,
    /// Left to be made.
    pub checks: usize,
    steps: usize,
    spots: Vec<Spot>,
    open: Vec<Opened>,
    on_node: Vec<Vec<usize>>,
    left: Vec<usize>,
}

pub fn vector(snapshot: &Snapshot, plan: &Plan<Draft>) -> Vector {
    let priorities = priorities(snapshot);
    let mut left = vec![0; priorities.len()];
    for unplaced in &plan.unplaced {
        left[level(&priorities, snapshot, unplaced.pod)] += 1;
    }
    (left, preferences::violated(snapshot, plan), plan.cost().0)
}

fn priorities(snapshot: &Snapshot) -> Vec<i32> {
    let mut all: Vec<i32> = snapshot.pending().map(|(_, pod)| pod.template.spec.priority).collect();
    all.sort_unstable_by_key(|priority| std::cmp::Reverse(*priority));
    all.dedup();
    all
}

fn level(priorities: &[i32], snapshot: &Snapshot, pod: usize) -> usize {
    let own = snapshot.pods[pod].template.spec.priority;
    priorities.iter().position(|priority| *priority == own).unwrap()
}

impl<'w> Enumeration<'w> {
    pub fn new(snapshot: &'w Snapshot, best: Vector, checks: usize, forgotten: Option<Rule>) -> Self {
        let priorities = priorities(snapshot);
        let content = |pod: usize| (&snapshot.pods[pod].key.namespace, &snapshot.pods[pod].template);
        let mut pods: Vec<usize> = Vec::new();
        let mut left = vec![0; priorities.len()];
        for (pod, of) in snapshot.pending() {
            if of.refused.is_none() {
                pods.push(pod);
            } else {
                left[level(&priorities, snapshot, pod)] += 1;
            }
        }
        pods.sort_by_key(|&pod| (level(&priorities, snapshot, pod), content(pod), pod));
        let mut known: Vec<(&Arc<str>, &Arc<PodTemplate>)> = Vec::new();
        let classes = pods.iter().map(|&pod| {
            let of = content(pod);
            known.iter().position(|other| *other == of).unwrap_or_else(|| {
                known.push(of);
                known.len() - 1
            })
        });
        let classes: Vec<usize> = classes.collect();
        let on_node = vec![Vec::new(); snapshot.nodes.len()];
        let mut all = Self {
            snapshot,
            priorities,
            kinds: kinds(snapshot),
            sites: Vec::new(),
            classes,
            pairs: HashMap::new(),
            hopeless: Vec::new(),
            best,
            found: None,
            forgotten,
            checks,
            steps: checks.saturating_mul(STEPS),
            spots: Vec::new(),
            open: Vec::new(),
            on_node,
            left,
            pods,
        };
        all.survey();
        all
    }

    /// Asks the checker where each pod may be by itself.
    fn survey(&mut self) {
        for position in 0..self.pods.len() {
            if position > 0 && self.classes[position] == self.classes[position - 1] {
                self.sites.push(self.sites[position - 1].clone());
                continue;
            }
            let pod = self.pods[position];
            let spec = &self.snapshot.pods[pod].template.spec;
            let nodes = (0..self.snapshot.nodes.len()).filter(|&node| !self.snapshot.nodes[node].deleting);
            let all: Vec<Site> = nodes.map(Site::Node).chain((0..self.kinds.len()).map(Site::Kind)).collect();
            let sites: Vec<Site> = all.into_iter().filter(|&site| self.may_be(&[(pod, site)], false)).collect();
            let with_cost = sites.into_iter().map(|site| {
                let given_up = match site {
                    Site::Kind(kind) => self.kinds[kind].given_up(self.snapshot, spec),
                    Site::Node(node) => {
                        let node = &self.snapshot.nodes[node];
                        given_up(self.snapshot, spec, &node.taints, &|key: &str| node.label(key))
                    }
                };
                (site, given_up)
            });
            self.sites.push(with_cost.collect());
        }
        let mut hopeless = vec![vec![0; self.priorities.len()]];
        for position in (0..self.pods.len()).rev() {
            let mut of = hopeless.last().unwrap().clone();
            let level = level(&self.priorities, self.snapshot, self.pods[position]);
            of[level] += usize::from(self.sites[position].is_empty());
            hopeless.push(of);
        }
        hopeless.reverse();
        self.hopeless = hopeless;
    }

    /// Whether these pods break no rule there that others could not mend; `together`: on one launch.
    fn may_be(&mut self, placed: &[(usize, Site)], together: bool) -> bool {
        let mut launches: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut assignments = Vec::new();
        for &(pod, site) in placed {
            let target = match site {
                Site::Node(node) => Target::Existing(node),
                Site::Kind(_) if together && !launches.is_empty() => {
                    launches[0].1.push(pod);
                    Target::Launch(0)
                }
                Site::Kind(kind) => {
                    launches.push((kind, vec![pod]));
                    Target::Launch(launches.len() - 1)
                }
            };
            assignments.push(Assignment { pod, target });
        }
        let Some(plan) = self.plan(&launches, assignments) else { return false };
        self.check(plan).iter().all(|violation| MENDED.contains(&violation.rule))
    }

    fn plan(&self, launches: &[(usize, Vec<usize>)], assignments: Vec<Assignment>) -> Option<Plan<Draft>> {
        let launch = |(index, (kind, pods)): (usize, &(usize, Vec<usize>))| {
            self.kinds[*kind].launch(self.snapshot, format!("launch-{index}"), pods)
        };
        let launches = launches.iter().enumerate().map(launch).collect::<Option<Vec<_>>>()?;
        let placed: BTreeSet<usize> = assignments.iter().map(|assignment| assignment.pod).collect();
        let left = self.snapshot.pending().map(|(pod, _)| pod).filter(|pod| !placed.contains(pod));
        Some(Plan::draft(launches, assignments, left.map(|pod| Unplaced { pod, reason: "left".into() }).collect()))
    }

    fn check(&mut self, plan: Plan<Draft>) -> Vec<Violation> {
        self.checks = self.checks.saturating_sub(1);
        let mut violations = check(self.snapshot, plan).err().unwrap_or_default();
        violations.retain(|violation| Some(violation.rule) != self.forgotten);
        violations
    }

    /// Whether all plans were tried.
    pub fn run(&mut self) -> bool {
        self.place(0, 0, 0);
        self.steps > 0 && self.checks > 0
    }

    fn place(&mut self, position: usize, given_up: i64, cost: i64) {
        if self.steps == 0 || self.checks == 0 {
            return;
        }
        self.steps -= 1;
        let left = self.left.iter().zip(&self.hopeless[position]).map(|(left, hopeless)| left + hopeless).collect();
        let least: Vector = (left, given_up, cost);
        if least > self.best || (self.found.is_some() && least == self.best) {
            return;
        }
        if position == self.pods.len() {
            return self.judge();
        }
        // equal pods go to places in their order
        let before = position.checked_sub(1).filter(|&before| self.classes[before] == self.classes[position]);
        let before = before.map(|before| self.spots[before]);
        let pod = self.pods[position];
        for (site, more) in self.sites[position].clone() {
            if let Site::Node(node) = site {
                let is_first = match before {
                    None => true,
                    Some(Spot::Node(other)) => other <= node,
                    Some(Spot::Launch(_) | Spot::Left) => false,
                };
                if is_first && self.agrees(position, site, None) {
                    self.on_node[node].push(pod);
                    self.go_on(position, Spot::Node(node), given_up + more, cost);
                    self.on_node[node].pop();
                }
                continue;
            }
            let Site::Kind(kind) = site else { continue };
            if before == Some(Spot::Left) {
                continue;
            }
            let first = if let Some(Spot::Launch(launch)) = before { launch } else { 0 };
            for launch in first..self.open.len() {
                if self.open[launch].kind == kind && self.agrees(position, site, Some(launch)) {
                    self.open[launch].pods.push(pod);
                    let old = self.open[launch].used.clone();
                    self.open[launch].used.add(&self.snapshot.pods[pod].template.spec.requests);
                    if self.has_room(launch) {
                        self.go_on(position, Spot::Launch(launch), given_up + more, cost);
                    }
                    self.open[launch].used = old;
                    self.open[launch].pods.pop();
                }
            }
            if self.agrees(position, site, Some(self.open.len())) {
                let used = self.snapshot.pods[pod].template.spec.requests.clone();
                self.open.push(Opened { kind, pods: vec![pod], used });
                self.go_on(
                    position,
                    Spot::Launch(self.open.len() - 1),
                    given_up + more,
                    cost + self.kinds[kind].price(),
                );
                self.open.pop();
            }
        }
        let level = level(&self.priorities, self.snapshot, pod);
        self.left[level] += 1;
        self.go_on(position, Spot::Left, given_up, cost);
        self.left[level] -= 1;
    }

    fn go_on(&mut self, position: usize, spot: Spot, given_up: i64, cost: i64) {
        self.spots.push(spot);
        self.place(position + 1, given_up, cost);
        self.spots.pop();
    }

    /// A necessary condition, by sums alone.
    fn has_room(&self, launch: usize) -> bool {
        let Opened { kind, used, .. } = &self.open[launch];
        self.kinds[*kind].may_hold(self.snapshot, used)
    }

    /// Whether the pod may be there beside each of those before it.
    fn agrees(&mut self, position: usize, site: Site, launch: Option<usize>) -> bool {
        (0..position).all(|other| {
            let (at, together) = match self.spots[other] {
                Spot::Left => return true,
                Spot::Node(node) => (Site::Node(node), false),
                Spot::Launch(index) => (Site::Kind(self.open[index].kind), Some(index) == launch),
            };
            let key = (self.classes[other], at, self.classes[position], site, together);
            if let Some(&known) = self.pairs.get(&key) {
                return known;
            }
            let answer = self.may_be(&[(self.pods[other], at), (self.pods[position], site)], together);
            self.pairs.insert(key, answer);
            answer
        })
    }

    /// Whether an accelerator is bought for pods that something else of the same pool, with the same of all labels that
    /// anybody looks at, would hold as well.
    fn buys_needlessly(&mut self, launches: &[(usize, Vec<usize>)], placed: &[Assignment]) -> bool {
        let mut tried: Vec<(usize, usize)> = Vec::new();
        for (launch, (kind, _)) in launches.iter().enumerate() {
            let own = &self.kinds[*kind];
            let is_plain = |other: &Kind| {
                other.pool == own.pool && !other.is_exotic(self.snapshot) && other.looks_like(self.snapshot, own)
            };
            if own.is_exotic(self.snapshot) {
                let plain = (0..self.kinds.len()).filter(|&other| is_plain(&self.kinds[other]));
                tried.extend(plain.map(|other| (launch, other)));
            }
        }
        tried.into_iter().any(|(launch, kind)| {
            let mut others = launches.to_vec();
            others[launch].0 = kind;
            let Some(plan) = self.plan(&others, placed.to_vec()) else { return false };
            self.check(plan).iter().all(|violation| MENDED.contains(&violation.rule))
        })
    }

    /// Looks for an order that the checker accepts. A pod that it refuses at its turn must not follow the same pods again.
    fn judge(&mut self) {
        let launches: Vec<(usize, Vec<usize>)> =
            self.open.iter().map(|opened| (opened.kind, opened.pods.clone())).collect();
        let placed: Vec<Assignment> = self
            .pods
            .iter()
            .zip(&self.spots)
            .filter_map(|(&pod, spot)| {
                let target = match *spot {
                    Spot::Node(node) => Target::Existing(node),
                    Spot::Launch(launch) => Target::Launch(launch),
                    Spot::Left => return None,
                };
                Some(Assignment { pod, target })
            })
            .collect();
        if self.buys_needlessly(&launches, &placed) {
            return;
        }
        // before any order is tried: does it pay?
        let Some(plan) = self.plan(&launches, placed.clone()) else { return };
        let vector = vector(self.snapshot, &plan);
        if vector > self.best || (self.found.is_some() && vector == self.best) {
            return;
        }
        let mut too_early: BTreeSet<(usize, usize)> = BTreeSet::new();
        while let Some(order) = order(placed.len(), &too_early) {
            let sorted: Vec<Assignment> = order.iter().map(|&index| placed[index]).collect();
            let Some(plan) = self.plan(&launches, sorted) else { return };
            let violations = self.check(plan.to_draft());
            if violations.iter().any(|violation| !OF_ORDER.contains(&violation.rule)) {
                return;
            }
            let names: BTreeSet<_> = violations.iter().filter_map(|violation| violation.pod.as_ref()).collect();
            let is_named = |assignment: &Assignment| names.contains(&self.snapshot.pods[assignment.pod].key);
            let refused = plan.assignments.iter().position(is_named).filter(|_| !violations.is_empty());
            let Some(position) = refused else {
                self.best = vector;
                self.found = Some(plan);
                return;
            };
            let before = order[..position].iter().fold(0, |set, index| set | 1 << index);
            too_early.insert((before, order[position]));
        }
    }
}

/// An order in which no pod follows a set of pods that it must not follow; sets as bits.
fn order(pods: usize, too_early: &BTreeSet<(usize, usize)>) -> Option<Vec<usize>> {
    fn extend(
        set: usize,
        pods: usize,
        too_early: &BTreeSet<(usize, usize)>,
        dead: &mut BTreeSet<usize>,
    ) -> Option<Vec<usize>> {
        if set + 1 == 1 << pods {
            return Some(Vec::new());
        }
        if dead.contains(&set) {
            return None;
        }
        for pod in (0..pods).filter(|pod| set >> pod & 1 == 0 && !too_early.contains(&(set, *pod))) {
            if let Some(mut rest) = extend(set | 1 << pod, pods, too_early, dead) {
                rest.insert(0, pod);
                return Some(rest);
            }
        }
        dead.insert(set);
        None
    }
    extend(0, pods, too_early, &mut BTreeSet::new())
}
