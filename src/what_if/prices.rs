//! What constraints cost: planned with and without each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::constraints::{Constraint, constraints, of_holds};
use crate::consolidation::{Consolidation, Policy, after_allowed, consolidate_now};
use crate::disruption::{Hold, Method, candidates, if_free};
use crate::explain::edit::{describe, edited};
use crate::explain::facts::{Change, Interval};
use crate::explain::saving;
use crate::host::{self, Decision, Limits};
use crate::observe::Snapshot;
use crate::solve::Pace;
use crate::units::MicroUsd;

/// What a constraint costs, dollars an hour.
#[derive(Debug, Serialize)]
pub struct PriceTag {
    /// `limit`, `disruption-budget`, `consolidate-after`, `consolidation-policy`, `pod-disruption-budget`, `do-not-disrupt`,
    /// `topology-spread` or `pod-anti-affinity`.
    pub kind: &'static str,
    /// What takes it away.
    pub change: Change,
    /// Pods that it is about.
    pub pods: usize,
    /// Nodes of NodePools that it is about.
    pub nodes: usize,
    /// What nodes for pods that wait cost more because of it: between these two, by the bounds of the plans with and without it;
    /// `at_least` 0 is below what can be proven. Null where no pods wait that it is about, and where the costs cannot be compared.
    pub launches_usd_hour: Option<Interval>,
    /// How much more consolidation was found to save without it: the difference of two searches, of which nothing is proven. Null where
    /// it is about no node.
    pub consolidation_usd_hour: Option<f64>,
    /// The time ended a search of consolidation, so that the difference may be one of searches.
    pub is_consolidation_cut: bool,
    /// Why the costs of launches cannot be compared.
    pub note: Option<String>,
}

/// The JSON of `packwright explain constraints`.
#[derive(Debug, Serialize)]
pub struct PriceList {
    /// The dearest first.
    pub tags: Vec<PriceTag>,
    /// Constraints for which there was not the time.
    pub not_reached: Vec<Change>,
    /// What is launched for pods that wait, dollars an hour, and the least that it can cost; null where none waits.
    pub launches_usd_hour: Option<f64>,
    pub bound_usd_hour: Option<f64>,
    /// What consolidation saves with all constraints; null where there are no nodes of NodePools.
    pub saved_usd_hour: Option<f64>,
    pub assumptions: Vec<String>,
    pub notes: Vec<String>,
    /// Objects of the input that could not be used.
    pub errors: Vec<String>,
}

/// How constraints are priced.
#[derive(Debug, Clone, Copy)]
pub struct Pricing<'p> {
    /// When a saving of consolidation is worth it.
    pub policy: &'p Policy,
    /// Of each search: for every constraint one of launches and one of consolidation, where it is about both.
    pub limits: Limits,
    /// No further search is begun that would end after so long.
    pub within: Duration,
}

/// Of holds of one node so many are priced.
const MOST_OF_A_NODE: usize = 3;

/// Prices every constraint of a cluster, as far as the time goes: those about the dearest nodes first. Notes and errors of the input are
/// filled in by the caller.
#[must_use]
pub fn price_list(snapshot: &Arc<Snapshot>, pricing: Pricing<'_>, progress: &dyn Fn(&str)) -> PriceList {
    let started = Instant::now();
    let all = constraints(snapshot);
    progress("planning the cluster as it is");
    let with = With::of(snapshot, pricing, all.iter().any(|of| of.is_of_launches), all.iter().any(|of| of.is_of_nodes));
    let (mut found, mut not_reached) = (Vec::new(), Vec::new());
    for (index, constraint) in all.iter().enumerate() {
        let change = describe(snapshot, constraint.pods.first().copied(), &constraint.edit);
        if started.elapsed() + pricing.takes(constraint) > pricing.within {
            not_reached.push(change);
            continue;
        }
        progress(&format!("{} of {}: without {} of {}", index + 1, all.len(), change.field, change.object));
        found.push(with.without(constraint, change));
    }
    let (tags, saved) = with.tags(found);
    PriceList {
        tags,
        not_reached,
        launches_usd_hour: with.launch.as_ref().map(|decision| decision.plan.cost().as_usd()),
        bound_usd_hour: with.launch.as_ref().map(|decision| decision.certificate.bound.as_usd()),
        saved_usd_hour: saved.map(MicroUsd::as_usd),
        assumptions: snapshot.assumptions.clone(),
        notes: Vec::new(),
        errors: Vec::new(),
    }
}

/// Prices what holds a node, by index into `Snapshot::nodes`, as far as somebody wrote it: at most three constraints.
#[must_use]
pub fn prices_of_holds(snapshot: &Arc<Snapshot>, node: usize, pricing: Pricing<'_>) -> Vec<PriceTag> {
    let is_empty = if_free(snapshot, node).reschedule_cost.is_empty();
    let method = if is_empty { Method::Empty } else { Method::Underutilized };
    let standing = candidates(snapshot, method, snapshot.taken_at).into_iter().find(|of| of.node == node);
    let holds: Vec<Hold> = standing.and_then(|of| of.verdict.err()).unwrap_or_default();
    let mut of_node = of_holds(snapshot, node, &holds);
    of_node.truncate(MOST_OF_A_NODE);
    if of_node.is_empty() {
        return Vec::new();
    }
    let with = With::of(snapshot, pricing, false, true);
    let without = |constraint: &Constraint| {
        with.without(constraint, describe(snapshot, constraint.pods.first().copied(), &constraint.edit))
    };
    let found = of_node.iter().map(without).collect();
    with.tags(found).0
}

impl Pricing<'_> {
    /// How long its searches take at most, where time ends them.
    fn takes(&self, constraint: &Constraint) -> Duration {
        let searches = u32::from(constraint.is_of_launches) + u32::from(constraint.is_of_nodes);
        match self.limits.work.pace {
            Pace::Time => self.limits.time * searches,
            Pace::Work => Duration::ZERO,
        }
    }
}

/// The dearest first: by what is proven and what was found, then by what it may be.
fn sort(tags: &mut [PriceTag]) {
    let price = |tag: &PriceTag| {
        let of = tag.launches_usd_hour.as_ref();
        let (at_least, at_most) = of.map_or((0.0, 0.0), |interval| (interval.at_least, interval.at_most));
        (at_least + tag.consolidation_usd_hour.unwrap_or(0.0), at_most)
    };
    tags.sort_by(|a, b| {
        let ((a_price, a_most), (b_price, b_most)) = (price(a), price(b));
        b_price.total_cmp(&a_price).then(b_most.total_cmp(&a_most))
    });
}

/// The cluster as it is, planned.
struct With<'s> {
    snapshot: &'s Arc<Snapshot>,
    pricing: Pricing<'s>,
    launch: Option<Decision>,
    found: Option<Consolidation>,
}

/// The cluster without a constraint, planned.
struct Without {
    tag: PriceTag,
    nodes: Option<Saved>,
}

/// What consolidation saves without a constraint.
struct Saved {
    without: MicroUsd,
    /// By those of the same commands that are allowed with it.
    with: MicroUsd,
}

impl<'s> With<'s> {
    fn of(snapshot: &'s Arc<Snapshot>, pricing: Pricing<'s>, launches: bool, nodes: bool) -> Self {
        let launch = launches.then(|| host::decide(snapshot, pricing.limits));
        let found = nodes.then(|| consolidate_now(snapshot, pricing.policy, pricing.limits, 0));
        Self { snapshot, pricing, launch, found }
    }

    fn without(&self, constraint: &Constraint, change: Change) -> Without {
        let without = Arc::new(edited(self.snapshot, &constraint.pods, std::slice::from_ref(&constraint.edit)));
        let launch = self.launch.as_ref().filter(|_| constraint.is_of_launches);
        let compared = launch.map(|old| {
            let new = host::decide(&without, self.pricing.limits);
            saving(self.snapshot, old, &without, &new)
        });
        let (launches_usd_hour, note) = match compared {
            None => (None, None),
            Some(Ok(interval)) => (Some(interval), None),
            Some(Err(why)) => (None, Some(why)),
        };
        let mut tag = PriceTag {
            kind: constraint.kind.label(),
            change,
            pods: constraint.pods.len(),
            nodes: constraint.nodes.len(),
            launches_usd_hour,
            consolidation_usd_hour: None,
            is_consolidation_cut: false,
            note,
        };
        let old = self.found.as_ref().filter(|_| constraint.is_of_nodes);
        let nodes = old.map(|old| {
            let new = consolidate_now(&without, self.pricing.policy, self.pricing.limits, 0);
            tag.is_consolidation_cut = old.stopped || new.stopped;
            let since = Instant::now();
            let time = || self.pricing.limits.time.saturating_sub(since.elapsed());
            let allowed = after_allowed(self.snapshot, &new.commands, self.snapshot.taken_at, &time);
            Saved { without: saved(&without, &new.after), with: saved(self.snapshot, &allowed) }
        });
        Without { tag, nodes }
    }

    /// The dearest first, and what is saved with all constraints. A search may find less than another one that had less to keep to: the
    /// most that any of them found counts.
    fn tags(&self, found: Vec<Without>) -> (Vec<PriceTag>, Option<MicroUsd>) {
        let first = self.found.as_ref().map(|found| saved(self.snapshot, &found.after));
        let most =
            first.map(|first| found.iter().filter_map(|of| of.nodes.as_ref()).map(|of| of.with).fold(first, Ord::max));
        let with_price = |Without { mut tag, nodes }: Without| {
            let more = nodes.zip(most).map(|(nodes, most)| (nodes.without - most).max(MicroUsd::ZERO));
            tag.consolidation_usd_hour = more.map(MicroUsd::as_usd);
            tag
        };
        let mut tags: Vec<PriceTag> = found.into_iter().map(with_price).collect();
        sort(&mut tags);
        (tags, most)
    }
}

/// Of an hour, from one cluster to the other.
fn saved(before: &Snapshot, after: &Snapshot) -> MicroUsd {
    let cost = |snapshot: &Snapshot| snapshot.nodes.iter().filter_map(|node| node.price).sum::<MicroUsd>();
    cost(before) - cost(after)
}
