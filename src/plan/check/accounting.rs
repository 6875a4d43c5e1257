//! Every pending pod once, no other pod, targets that exist, pools that can launch.

use std::collections::BTreeSet;

use super::violation::{Report, Rule, Violation};
use crate::observe::snapshot::Snapshot;
use crate::plan::{Draft, Plan, Target};

/// Whether every index in the plan exists, so that the other rules can be asked.
pub(super) fn check_indices(snapshot: &Snapshot, plan: &Plan<Draft>, report: &mut Report) {
    let pods = plan.assignments.iter().map(|a| a.pod).chain(plan.unplaced.iter().map(|u| u.pod));
    for pod in pods.filter(|&pod| pod >= snapshot.pods.len()) {
        report.push(Violation::new(Rule::PodAccounting, format!("the snapshot has no pod {pod}")));
    }
    for assignment in &plan.assignments {
        let missing = match assignment.target {
            Target::Existing(node) => {
                (node >= snapshot.nodes.len()).then(|| format!("the snapshot has no node {node}"))
            }
            Target::Launch(launch) => {
                (launch >= plan.launches.len()).then(|| format!("the plan has no launch {launch}"))
            }
        };
        if let Some(text) = missing {
            report.push(Violation::new(Rule::Target, text));
        }
    }
    for launch in plan.launches.iter().filter(|launch| launch.pool >= snapshot.node_pools.len()) {
        let text = format!("the snapshot has no pool {}", launch.pool);
        report.push(Violation::new(Rule::PoolState, text).node(&launch.name));
    }
}

/// Needs indices that exist.
pub(super) fn check(snapshot: &Snapshot, plan: &Plan<Draft>, report: &mut Report) {
    let mut times = vec![0_u32; snapshot.pods.len()];
    for pod in plan.assignments.iter().map(|a| a.pod).chain(plan.unplaced.iter().map(|u| u.pod)) {
        times[pod] += 1;
    }
    for (pod, times) in snapshot.pods.iter().zip(times) {
        let text = match (pod.is_pending(), times) {
            (true, 1) | (false, 0) => continue,
            (true, 0) => "the plan neither places the pod nor says why not",
            (true, _) => "the plan mentions the pod more than once",
            (false, _) => "the pod is not pending",
        };
        report.push(Violation::new(Rule::PodAccounting, text.to_owned()).pod(&pod.key));
    }
    for assignment in &plan.assignments {
        let pod = &snapshot.pods[assignment.pod];
        if let Some(why) = &pod.refused {
            report.push(Violation::new(Rule::RefusedPod, format!("not ours to place: {why}")).pod(&pod.key));
        }
        if let Target::Existing(node) = assignment.target
            && snapshot.nodes[node].deleting
        {
            let text = "the node is being deleted and takes no pods".to_owned();
            report.push(Violation::new(Rule::Target, text).pod(&pod.key).node(&snapshot.nodes[node].name));
        }
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for node in &snapshot.nodes {
        names.insert(&node.name);
        names.extend(node.claim.as_deref());
    }
    for launch in plan.launches.iter().filter(|launch| launch.name.is_empty() || !names.insert(&launch.name)) {
        let text = format!("the name '{}' is empty or taken", launch.name);
        report.push(Violation::new(Rule::LaunchName, text).node(&launch.name));
    }
}
