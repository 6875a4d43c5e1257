//! What a pod gives up on a node whatever else happens: preferred node affinity that no label can meet, and
//! `PreferNoSchedule` taints; weights as in `plan/preferences.rs`.

use std::sync::Arc;

use super::profiles::Profile;
use crate::model::Problem;
use crate::model::rules::tolerates_all;
use crate::observe::snapshot::{PodSpec, Taint, TaintEffect};
use crate::requirements::{Requirement, Requirements, Undefined};
use crate::settings::PreferencePolicy;
use crate::solve::sets::RequirementSets;

/// What a soft taint weighs.
const OF_A_TAINT: i64 = 100;

/// The least, by group of the Problem.
pub struct GivenUp {
    /// By profile.
    pub on_new: Vec<Vec<i64>>,
    /// By existing node.
    pub on_existing: Vec<Vec<i64>>,
}

impl GivenUp {
    pub fn of(problem: &Problem, profiles: &[Profile], sets: &RequirementSets) -> Self {
        let respected = problem.snapshot.settings.preference_policy == PreferencePolicy::Respect;
        let by_group = |of: &dyn Fn(&PodSpec) -> Vec<i64>| {
            let specs = problem.groups.iter().map(crate::model::Group::spec);
            specs.map(of).collect::<Vec<_>>()
        };
        let on_new = |spec: &PodSpec, profile: &Profile| {
            let pool = &problem.pools[profile.pool];
            let of_types = |key: &str| pool.types.iter().any(|kind| kind.instance_type.requirements.contains_key(key));
            let base = sets.get(profile.base);
            let may_hold = |term: &Requirements| {
                // what types alone decide may still be met
                let open = |(key, _): &(&Arc<str>, &Requirement)| base.contains_key(key) || !of_types(key);
                let decided: Vec<_> = term.iter().filter(open).collect();
                decided.into_iter().all(|(key, wanted)| {
                    let mut one = Requirements::new();
                    one.add(key, wanted.clone());
                    base.compatible(&one, Undefined::AllowWellKnown).is_ok()
                })
            };
            at_least(spec, &pool.pool.taints, may_hold)
        };
        let on_existing = |spec: &PodSpec, node: usize| {
            let node = &problem.nodes[node];
            at_least(spec, &node.node.taints, |term| node.labels.compatible(term, Undefined::Refuse).is_ok())
        };
        Self {
            on_new: by_group(&|spec| {
                profiles.iter().map(|profile| if respected { on_new(spec, profile) } else { 0 }).collect()
            }),
            on_existing: by_group(&|spec| {
                (0..problem.nodes.len()).map(|node| if respected { on_existing(spec, node) } else { 0 }).collect()
            }),
        }
    }
}

fn at_least(spec: &PodSpec, taints: &[Taint], may_hold: impl Fn(&Requirements) -> bool) -> i64 {
    let unmet = spec.preferred_node_affinity.iter().filter(|(_, term)| !may_hold(&term.0));
    let soft = taints.iter().filter(|taint| taint.effect == TaintEffect::PreferNoSchedule);
    let hard = soft.filter(|taint| !tolerates_all(&spec.tolerations, std::slice::from_ref(taint)));
    unmet.map(|(weight, _)| i64::from(*weight)).sum::<i64>() + hard.map(|_| OF_A_TAINT).sum::<i64>()
}
