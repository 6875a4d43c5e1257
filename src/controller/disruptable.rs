//! How many nodes may be taken away, and what keeps the others, for events and metrics.
//!
//! Source: the reference's `disruption/{controller,helpers}.go` (karpenter-core 4.2, 4.7, 6.1, 6.2), which looks every ten seconds and
//! says the same once in two minutes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::event::Subject;
use super::said::{Kept, Said};
use super::turn::{Turn, later};
use crate::disruption::{Allowance, Hold, Method, Standing, allowance, candidates};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Node, NodeStage};

const METHODS: [Method; 3] = [Method::Empty, Method::Drifted, Method::Underutilized];

/// How many nodes may be taken away, by reason as metrics call it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disruptable {
    /// Nodes that nothing but budgets keeps.
    pub eligible: BTreeMap<&'static str, usize>,
    /// The same of each pool.
    pub eligible_of_pools: BTreeMap<Arc<str>, BTreeMap<&'static str, usize>>,
    /// Of each pool what its budgets allow.
    pub budgets: BTreeMap<Arc<str>, BTreeMap<&'static str, Allowance>>,
}

impl fmt::Display for Disruptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let eligible: Vec<String> = self.eligible.iter().map(|(method, nodes)| format!("{nodes} {method}")).collect();
        write!(f, "nodes that nothing but budgets keeps: {}", eligible.join(", "))?;
        for (pool, of_methods) in &self.budgets {
            let allowed = |(method, allowance): (&&str, &Allowance)| format!("{} {method}", allowance.left());
            let allowed: Vec<String> = of_methods.iter().map(allowed).collect();
            write!(f, "; budgets of nodepool {pool} allow {}", allowed.join(", "))?;
        }
        Ok(())
    }
}

/// When it was looked at last, and what was found; another process begins anew.
#[derive(Debug, Default)]
pub(super) struct Looked {
    at: Option<Timestamp>,
    found: Disruptable,
}

impl Looked {
    /// Tells what is there now; `snapshot` is taken where the time has come.
    pub fn step(&mut self, snapshot: impl FnOnce() -> Arc<Snapshot>, turn: &mut Turn<'_>) {
        let Some(every) = turn.settings.disruption_looks else { return };
        if self.at.is_some_and(|at| !turn.is_time(later(at, every))) {
            return;
        }
        self.at = Some(turn.now);
        turn.step_again(later(turn.now, every));
        let snapshot = snapshot();
        let mut found = Disruptable::default();
        for method in METHODS {
            let standings = candidates(&snapshot, method, turn.now);
            let eligible: Vec<&Node> =
                standings.iter().filter(|of| of.verdict.is_ok()).map(|of| &snapshot.nodes[of.node]).collect();
            found.eligible.insert(method.label(), eligible.len());
            if method == Method::Underutilized {
                tell_holds(&snapshot, &standings, turn);
            }
            for pool in &snapshot.node_pools {
                let own = eligible.iter().filter(|node| node.pool.as_ref() == Some(&pool.name)).count();
                found.eligible_of_pools.entry(pool.name.clone()).or_default().insert(method.label(), own);
                let allowance = allowance(&snapshot, pool, method.reason(), turn.now);
                if allowance.most == 0 && allowance.nodes > 0 {
                    let about = Subject::of_cluster("NodePool", &pool.name);
                    let why = format!("its budgets allow no disruption for the reason {:?}", method.reason());
                    turn.say(Said::Kept { about, kind: Kept::DisruptionBlocked, why });
                }
                found.budgets.entry(pool.name.clone()).or_default().insert(method.label(), allowance);
            }
        }
        if found != self.found {
            turn.say(Said::Disruptable(found.clone()));
            self.found = found;
        }
    }
}

/// Of each node the first thing that keeps it, where that is more than that it is used.
fn tell_holds(snapshot: &Snapshot, standings: &[Standing], turn: &mut Turn<'_>) {
    for Standing { node, verdict } in standings {
        let Err(holds) = verdict else { continue };
        let told = holds.iter().filter_map(|hold| Some((kind(hold)?, hold)));
        // what blocks every disruption comes before what only keeps it from being consolidated
        let Some((kind, hold)) = told.min_by_key(|(kind, _)| *kind == Kept::Unconsolidatable) else { continue };
        for about in objects_of(&snapshot.nodes[*node]) {
            turn.say(Said::Kept { about, kind, why: hold.to_string() });
        }
    }
}

fn objects_of(node: &Node) -> impl Iterator<Item = Subject> {
    let claim = node.claim.iter().map(|claim| Subject::of_cluster("NodeClaim", claim));
    claim.chain((node.stage != NodeStage::InFlight).then(|| Subject::of_cluster("Node", &node.name)))
}

fn kind(hold: &Hold) -> Option<Kept> {
    match hold {
        Hold::NotIdle { .. } | Hold::StaticPool { .. } | Hold::NotEmpty | Hold::Empty | Hold::NotDrifted => None,
        Hold::NeverIdle { .. } | Hold::OnlyWhenEmpty { .. } | Hold::TypeUnknown { .. } | Hold::LabelMissing { .. } => {
            Some(Kept::Unconsolidatable)
        }
        Hold::NotInitialized
        | Hold::Deleting
        | Hold::Nominated { .. }
        | Hold::ZoneShifted
        | Hold::DoNotDisrupt
        | Hold::NoPool
        | Hold::PoolGone { .. }
        | Hold::NoTypes { .. }
        | Hold::PodDoNotDisrupt { .. }
        | Hold::Budget { .. }
        | Hold::SeveralBudgets { .. } => Some(Kept::DisruptionBlocked),
    }
}
