//! Why a node is still there, and what that costs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::cut::commands;
use super::effort::{Effort, TimeLeft};
use super::near::Surroundings;
use super::policies::{LeftAlone, Policies};
use super::release::Facts;
use super::report::CommandReport;
use super::trial::{NoTrial, Trial, Wanted};
use super::without::at_rest;
use super::{Budgets, Command, Manner, Policy, consolidate};
use crate::api::labels;
use crate::disruption::{Hold, Method, candidates, if_free};
use crate::host::Limits;
use crate::observe::Snapshot;
use crate::units::MicroUsd;
use crate::units::money::HOURS_PER_MONTH;

/// What is to be said of a node.
#[derive(Debug, Serialize)]
pub struct Why {
    pub node: Arc<str>,
    pub nodepool: Option<Arc<str>>,
    pub instance_type: Option<String>,
    pub capacity_type: Option<String>,
    pub price_usd_hour: Option<f64>,
    /// Pods that need another node when it goes.
    pub pods: usize,
    /// Why nobody takes it away because something else is cheaper.
    pub holds: Vec<HeldBy>,
    /// It is drifted, and this keeps it; null where it is not drifted.
    pub drift_holds: Option<Vec<HeldBy>>,
    /// The command with which it goes now.
    pub goes: Option<CommandReport>,
    /// What would be if it went alone, whatever holds it.
    pub alone: Alone,
    /// Why no command takes it, though nothing holds it and it would be worth it alone; null where that is not so.
    pub passed_over: Option<PassedOver>,
}

/// Why a node that could go stays.
#[derive(Debug, Serialize)]
pub struct PassedOver {
    /// Commands that there are instead.
    pub commands: usize,
    /// What would be if it went alone once they are carried out; null where there are none.
    pub after_them: Option<Alone>,
    /// They use up the disruption budget of its NodePool.
    pub is_budget_used: bool,
    /// The time ended the search for commands.
    pub is_search_cut: bool,
}

#[derive(Debug, Serialize)]
pub struct HeldBy {
    pub why: String,
    /// When that is over by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A node without its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alone {
    /// These pods find no place on nodes that are ready, nor on one that can be bought.
    NoPlace { pods: Vec<String> },
    /// As karpenter packs its pods, the nodes for them cost so much.
    Dearer { price_usd_hour: f64 },
    /// There was not the time to find out.
    Unknown,
    /// It would go.
    Worth { command: Box<CommandReport>, saved_usd_month: f64 },
    /// It would not.
    NotWorth { command: Box<CommandReport>, why: String },
}

/// Why a node, by index into `Snapshot::nodes`, is there, in the cluster as `plan --scope consolidate` looks at it: without pods that wait.
/// `limits`: of the search for commands, which gets their time; `time`: how much is left for all, half as much again.
#[must_use]
pub fn why(snapshot: &Snapshot, index: usize, policy: &Policy, limits: Limits, time: TimeLeft<'_>) -> Why {
    let now = snapshot.taken_at;
    let node = &snapshot.nodes[index];
    let holds = |method: Method| -> Vec<Hold> {
        let standing = candidates(snapshot, method, now).into_iter().find(|of| of.node == index);
        standing.and_then(|of| of.verdict.err()).unwrap_or_default()
    };
    let of_pods = if_free(snapshot, index);
    let method = if of_pods.reschedule_cost.is_empty() { Method::Empty } else { Method::Underutilized };
    let held = |holds: Vec<Hold>| holds.iter().map(HeldBy::of).collect::<Vec<_>>();
    let drift_holds = node.disruption.drifted.as_ref().map(|_| held(holds(Method::Drifted)));
    let mut holds_now = held(holds(method));
    if method == Method::Underutilized {
        holds_now.extend(Policies::of(snapshot, policy).leave_alone(node, now).map(HeldBy::of_policy));
    }
    let of_search = || time().saturating_sub(limits.time / 2);
    let found = consolidate(snapshot, Manner::all(policy, Budgets::Together, limits), now, &of_search);
    let goes = found.commands.iter().find(|command| command.removed.iter().any(|of| of.node == node.name));
    let of_alone = |snapshot: &Snapshot, index: usize| alone(snapshot, index, policy, limits, time);
    let alone = of_alone(snapshot, index);
    let is_passed_over = goes.is_none() && holds_now.is_empty() && matches!(alone, Alone::Worth { .. });
    let passed_over = is_passed_over.then(|| {
        let there = found.after.nodes.iter().position(|of| of.name == node.name);
        PassedOver {
            commands: found.commands.len(),
            after_them: there.filter(|_| !found.commands.is_empty()).map(|there| of_alone(&found.after, there)),
            is_budget_used: found.held_back.iter().any(|(pool, ..)| node.pool.as_ref() == Some(pool)),
            is_search_cut: found.stopped,
        }
    });
    Why {
        node: node.name.clone(),
        nodepool: node.pool.clone(),
        instance_type: node.label(labels::INSTANCE_TYPE).map(str::to_owned),
        capacity_type: node.label(labels::CAPACITY_TYPE).map(str::to_owned),
        price_usd_hour: node.price.map(MicroUsd::as_usd),
        pods: of_pods.pods.len(),
        holds: holds_now,
        drift_holds,
        goes: goes.map(|command| CommandReport::of(snapshot, command)),
        alone,
        passed_over,
    }
}

impl HeldBy {
    fn of(hold: &Hold) -> Self {
        Self { why: hold.to_string(), until: hold.until() }
    }

    fn of_policy(left: LeftAlone) -> Self {
        Self { why: left.to_string(), until: left.until() }
    }
}

/// A node that goes alone gets the time of one of so many candidates; the search after it needs the most.
const FEW: usize = 8;

fn alone(snapshot: &Snapshot, index: usize, policy: &Policy, limits: Limits, time: TimeLeft<'_>) -> Alone {
    let (node, candidate) = (&snapshot.nodes[index], if_free(snapshot, index));
    let going = BTreeSet::from([node.name.clone()]);
    let start = at_rest(snapshot, &going);
    let candidate = crate::disruption::Candidate { pods: if_free(&start, index).pods, ..candidate };
    let effort = Effort::new(time, time() / 2, usize::MAX);
    let may_buy = start.settings.feature_gates.spot_to_spot_consolidation
        || node.label(labels::CAPACITY_TYPE) != Some(labels::CAPACITY_SPOT);
    // also what is not worth it is to be told
    let price = node.price.unwrap_or_default();
    let wanted = Wanted { price, worth: Some(price), may_buy };
    let trial =
        Trial::of((&start, &Surroundings::of(&start)), &going, &wanted, (effort.of_trial(limits, FEW), &effort));
    let trial = match trial {
        Ok(trial) => trial,
        Err(NoTrial::Late) => return Alone::Unknown,
        Err(NoTrial::TooDear { roughly, .. }) => return Alone::Dearer { price_usd_hour: roughly.as_usd() },
        Err(NoTrial::NoPlace(pods)) => {
            return Alone::NoPlace { pods: pods.iter().map(ToString::to_string).collect() };
        }
    };
    let command = commands(&start, &trial, std::slice::from_ref(&node.name), Method::Underutilized).into_iter().next();
    let Some(command) = command else { return Alone::Unknown };
    let by_name = BTreeMap::from([(node.name.clone(), candidate)]);
    let policies = Policies::of(&start, policy);
    let (hurdle, now) = (MicroUsd::ZERO, snapshot.taken_at);
    let facts = Facts { snapshot: &start, candidates: &by_name, policies: &policies, hurdle, now };
    let report = |command: &Command| Box::new(CommandReport::of(&start, command));
    match facts.released(command.clone()) {
        Ok(command) => {
            let saved_usd_month = command.saved.saturating_mul(HOURS_PER_MONTH).as_usd();
            Alone::Worth { command: report(&command), saved_usd_month }
        }
        Err(why) => Alone::NotWorth { command: report(&command), why: why.to_string() },
    }
}
