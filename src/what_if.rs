//! The same question with changes: what a cluster costs with other prices, types, limits or replicas.
//!
//! ```text
//! Snapshot --change--> Snapshot --outcome--> what nodes cost then, and the bound --compare--> the difference, and what is proven of it
//! ```
//! | file | what |
//! |---|---|
//! | `change` | what may be changed, as a function from Snapshot to Snapshot |
//! | `replicas` | workloads of another size |
//! | `outcome` | what a Snapshot comes to: launches for pods that wait, nodes that go |
//! | `constraints` | the rules that people wrote, each with the change that takes it away |
//! | `prices` | what each of them costs |

mod change;
mod constraints;
mod outcome;
mod prices;
mod replicas;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;

pub use change::{Change, Changed};
pub use outcome::{Outcome, Plans, Scope};
pub use prices::{PriceList, PriceTag, Pricing, price_list, prices_of_holds};

use crate::consolidation::Policy;
use crate::explain::facts::Interval;
use crate::explain::left_by_priority;
use crate::host::{Answer, Decision, Limits};
use crate::observe::Snapshot;
use crate::plan::preferences;

/// What is planned of every Snapshot, and within which limits.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'m> {
    pub scope: Scope,
    /// When a saving of consolidation is worth it.
    pub policy: &'m Policy,
    /// Of each search: one for launches, and one for consolidation.
    pub limits: Limits,
}

/// The JSON of `packwright what-if`.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub scope: Scope,
    /// As the input is.
    pub now: Outcome,
    /// In the order in which they were given; with all of them together last, where there are several.
    pub changes: Vec<WhatIf>,
    pub region: Arc<str>,
    pub assumptions: Vec<String>,
    pub notes: Vec<String>,
    /// Objects of the input that could not be used.
    pub errors: Vec<String>,
}

/// A change beside the input as it is.
#[derive(Debug, Serialize)]
pub struct WhatIf {
    /// As it was typed; `all together`.
    pub change: String,
    pub outcome: Outcome,
    pub difference: Difference,
}

/// Dollars an hour, more than zero where it is dearer with the change.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// Of what was found.
    pub usd_hour: f64,
    /// The same of the cheapest plans that leave as many pods: between these two, by the bounds of both. Null where one of them has no
    /// bound, or they leave other pods.
    pub proven_usd_hour: Option<Interval>,
    /// What else is different.
    pub note: Option<String>,
}

impl Comparison {
    /// Whether pods are left, as it is or with a change.
    #[must_use]
    pub fn leaves_pods(&self) -> bool {
        let outcomes = std::iter::once(&self.now).chain(self.changes.iter().map(|of| &of.outcome));
        outcomes.into_iter().any(|outcome| outcome.pods_unplaced.is_some_and(|left| left > 0))
    }
}

/// Plans a Snapshot as it is and with each change; several changes also together. `observe` is told which one is planned, and of each
/// answer for pods that wait. Notes, assumptions and errors of the input are filled in by the caller.
///
/// # Errors
/// One sentence for each change that names something which is not there; nothing has been planned then.
pub fn compare(
    snapshot: &Arc<Snapshot>,
    changes: &[Change],
    manner: Manner<'_>,
    observe: &mut dyn FnMut(&str, Option<&Answer>),
) -> Result<Comparison, Vec<String>> {
    let mut wanted: Vec<(String, Changed)> = Vec::new();
    let mut faults = Vec::new();
    for change in changes {
        match change.of(snapshot) {
            Ok(changed) => wanted.push((change.to_string(), changed)),
            Err(fault) => faults.push(format!("{change}: {fault}")),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    if changes.len() > 1 {
        wanted.push(("all together".to_owned(), together(snapshot, changes).map_err(|fault| vec![fault])?));
    }
    let notes = wanted.iter().flat_map(|(_, changed)| changed.notes.iter().cloned());
    let mut comparison = Comparison {
        scope: manner.scope,
        now: Outcome::default(),
        changes: Vec::new(),
        region: snapshot.region.clone(),
        assumptions: snapshot.assumptions.clone(),
        notes: notes.collect(),
        errors: Vec::new(),
    };
    comparison.notes.sort();
    comparison.notes.dedup();
    let now = Plans::of(snapshot, manner, &mut |answer| observe("as it is", answer));
    comparison.now = now.outcome();
    for (change, Changed { snapshot, .. }) in wanted {
        let plans = Plans::of(&Arc::new(snapshot), manner, &mut |answer| observe(&change, answer));
        let difference = difference(&now, &plans);
        comparison.changes.push(WhatIf { change, outcome: plans.outcome(), difference });
    }
    Ok(comparison)
}

/// One change after another.
fn together(snapshot: &Arc<Snapshot>, changes: &[Change]) -> Result<Changed, String> {
    let mut all = Changed { snapshot: Snapshot::clone(snapshot), notes: Vec::new() };
    for change in changes {
        let fault = |fault| format!("{change}, after the changes before it: {fault}");
        let Changed { snapshot, notes } = change.of(&all.snapshot).map_err(fault)?;
        all.snapshot = snapshot;
        all.notes.extend(notes);
    }
    Ok(all)
}

fn difference(now: &Plans, then: &Plans) -> Difference {
    let usd_hour = (then.cost() - now.cost()).as_usd();
    let mut note = None;
    if let (Some(old), Some(new)) = (&now.launch, &then.launch) {
        if left_by_priority(&now.snapshot, old) != left_by_priority(&then.snapshot, new) {
            return Difference { usd_hour, proven_usd_hour: None, note: Some("other pods are left".to_owned()) };
        }
        let violated = |plans: &Plans, decision: &Decision| preferences::violated(&plans.snapshot, &decision.plan);
        note = (violated(now, old) != violated(then, new)).then(|| "other preferences are met".to_owned());
    }
    let proven_usd_hour = now.bound().zip(then.bound()).map(|(bound_now, bound_then)| Interval {
        at_least: (bound_then - now.cost()).as_usd(),
        at_most: (then.cost() - bound_now).as_usd(),
    });
    Difference { usd_hour, proven_usd_hour, note }
}
