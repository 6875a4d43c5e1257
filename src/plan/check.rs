//! The checker: the only way from a draft to a plan that can be applied.
//!
//! It knows Snapshot and Plan, shares nothing with what made the plan, and asks every rule of concrete pods and nodes:
//! each launch is simulated as every offer that it names, and the assignments are replayed in their order as
//! kube-scheduler would bind them. One rule family a file:
//!
//! | file | rules |
//! |---|---|
//! | `accounting` | every pending pod once, targets and pools exist, refused pods, names |
//! | `launch`, `offers` | labels, taints, requirements and requests of a claim; offers, prices, `minValues`, reservations |
//! | `limits` | resources, nodes and dollars of a pool |
//! | `weight` | a new node holds a pod whose heaviest feasible pool it is |
//! | `fit`, `daemons` | resources, with what daemonsets take |
//! | `selected`, `selection`, `taints` | node selectors, node affinity, taints |
//! | `volumes`, `ports` | volume reach, attach limits, `ReadWriteOncePod`, host ports |
//! | `replay`, `spread`, `openable`, `affinity`, `daemons` | topology spread, pod affinity and anti-affinity, in bind order |

mod accounting;
mod affinity;
mod classes;
mod cluster;
mod daemons;
mod demanded;
mod fit;
mod launch;
mod limits;
mod offers;
mod openable;
mod ports;
mod replay;
mod selected;
mod selection;
mod shape;
mod spread;
mod taints;
mod topology;
mod violation;
mod volumes;
mod weight;

pub use openable::openable_domains;
pub(in crate::plan) use openable::{Asked, Openable};
pub(in crate::plan) use taints::tolerates;
pub use violation::{Rule, Violation};

use crate::observe::Snapshot;
use crate::plan::{Checked, Draft, Plan};
use classes::Classes;
use cluster::Cluster;
use selection::Selections;
use violation::Report;

/// Checks a plan against the Snapshot that it was made for.
///
/// # Errors
/// What is wrong, at most 100 violations. Rules that need sound indices are not asked of a plan that lacks them.
pub fn check(snapshot: &Snapshot, plan: Plan<Draft>) -> Result<Plan<Checked>, Vec<Violation>> {
    review(snapshot, plan).map_err(|(_, violations)| violations)
}

/// As [`check`], for those who go on with a plan that is refused.
///
/// # Errors
/// The plan, and what is wrong with it.
pub fn review(snapshot: &Snapshot, plan: Plan<Draft>) -> Result<Plan<Checked>, (Plan<Draft>, Vec<Violation>)> {
    let violations = violations(snapshot, &plan);
    if violations.is_empty() { Ok(plan.into_checked()) } else { Err((plan, violations)) }
}

fn violations(snapshot: &Snapshot, plan: &Plan<Draft>) -> Vec<Violation> {
    let mut report = Report::default();
    accounting::check_indices(snapshot, plan, &mut report);
    if !report.is_empty() {
        return report.into_violations();
    }
    accounting::check(snapshot, plan, &mut report);
    let cluster = Cluster::build(snapshot, plan, &mut report);
    let mut selections = Selections::default();
    let classes = Classes::of(snapshot, &mut selections);

    launch::check(&cluster, &classes, &mut report);
    offers::check(&cluster, &mut report);
    let usage = limits::after(&cluster);
    limits::check(&cluster, &usage, &mut report);
    fit::check(&cluster, &classes, &mut report);
    selected::check(&cluster, &classes, &mut selections, &mut report);
    volumes::check_limits(&cluster, &mut report);
    volumes::check_single_pod(&cluster, &classes, &mut report);
    ports::check(&cluster, &mut report);
    let ties = replay::check(&cluster, &classes, &mut selections, &mut report);
    weight::check(&cluster, &classes, &usage, &ties, &mut report);
    report.into_violations()
}

#[cfg(test)]
mod tests;
