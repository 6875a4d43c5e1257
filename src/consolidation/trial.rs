//! What the pods of a set of nodes cost elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::effort::Effort;
use super::near::Surroundings;
use super::without::Without;
use crate::host::{Limits, Search, decide};
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::observe::snapshot::PodKey;
use crate::plan::check::check;
use crate::plan::{self, Checked, Plan};
use crate::solve::bound::Bounds;
use crate::solve::{Pace, greedy};
use crate::units::MicroUsd;

/// A checked plan for the pods of nodes that are gone.
pub(super) struct Trial {
    pub without: Without,
    pub plan: Plan<Checked>,
}

/// The integer program is asked where a packing as the reference's costs less than this part of what goes, in percent: it may find
/// one that costs so much less.
const HOPEFUL: i64 = 160;

/// For a trial, and for each pod that moves in it.
const LEAST_TIME: Duration = Duration::from_millis(30);
const TIME_OF_A_POD: Duration = Duration::from_micros(700);

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoTrial {
    /// These pods find no place elsewhere that is ready or can be bought.
    NoPlace(Vec<PodKey>),
    /// Karpenter's packing of them costs so much of an hour, and any other one at least so much; `None`: no other one is looked for.
    TooDear { roughly: MicroUsd, least: Option<MicroUsd> },
    /// There was not the time.
    Late,
}

/// What a trial is for.
pub(super) struct Wanted {
    /// Of the nodes that go, of an hour.
    pub price: MicroUsd,
    /// Where what comes costs so much, nothing is won; `None`: whatever it costs.
    pub worth: Option<MicroUsd>,
    /// Whether new nodes may come for these at all.
    pub may_buy: bool,
}

impl Trial {
    /// Of a set of nodes.
    ///
    /// # Errors
    /// Nothing comes of it.
    pub fn of(
        (snapshot, surroundings): (&Snapshot, &Surroundings),
        removed: &BTreeSet<Arc<str>>,
        wanted: &Wanted,
        (limits, effort): (Limits, &Effort<'_>),
    ) -> Result<Self, NoTrial> {
        effort.spend();
        let without = Without::of(surroundings.part(snapshot, removed), removed);
        let problem = Problem::new(&without.snapshot);
        let solution = greedy::solve(&problem, &|| effort.is_late());
        if solution.stopped {
            return Err(NoTrial::Late);
        }
        let left = solution.unplaced.iter().filter(|pod| without.moving.contains_key(*pod));
        let left: Vec<PodKey> = left.map(|&pod| without.snapshot.pods[pod].key.clone()).collect();
        if !left.is_empty() {
            return Err(NoTrial::NoPlace(left));
        }
        let draft = plan::build(&problem, &solution);
        let roughly = draft.cost();
        if wanted.worth.is_some() && roughly.0.saturating_mul(100) > wanted.price.0.saturating_mul(HOPEFUL) {
            return Err(NoTrial::TooDear { roughly, least: None });
        }
        if let Some(worth) = wanted.worth.filter(|worth| roughly >= *worth) {
            let least = Bounds::new(&problem).where_unplaced(&solution.unplaced).of_resources().bound;
            if least >= worth {
                return Err(NoTrial::TooDear { roughly, least: Some(least) });
            }
        }
        drop(problem);
        let pods = u32::try_from(without.moving.len()).unwrap_or(u32::MAX);
        let usual = LEAST_TIME + TIME_OF_A_POD.saturating_mul(pods);
        let (time, is_enough) = match limits.work.pace {
            Pace::Time => (effort.time().min(usual.max(limits.time)), effort.time() >= usual / 2),
            Pace::Work => (limits.time, true),
        };
        // where nothing has to be bought, or may be, there is nothing cheaper
        let is_searched = roughly.0 > 0 && wanted.may_buy && is_enough && limits.search == Search::Integer;
        let limits = Limits { time, worth: wanted.worth, ..limits };
        let searched = is_searched.then(|| decide(&without.snapshot, limits).plan);
        // on a busy machine the time may be up before anything is found: the packing above is there
        if let Some(plan) = searched.filter(|plan| has_all(&without, plan)) {
            return Ok(Self { without, plan });
        }
        let plan = check(&without.snapshot, draft).map_err(|_| NoTrial::NoPlace(Vec::new()))?;
        if has_all(&without, &plan) { Ok(Self { without, plan }) } else { Err(NoTrial::NoPlace(Vec::new())) }
    }
}

/// Whether every pod that moves has a place.
fn has_all(without: &Without, plan: &Plan<Checked>) -> bool {
    let placed: BTreeSet<usize> = plan.assignments.iter().map(|of| of.pod).collect();
    without.moving.keys().all(|pod| placed.contains(pod))
}
