//! Amounts beyond what is counted: they are taken as the most that is, and who wrote them is told.

use std::collections::BTreeSet;

use super::snapshot::{DaemonSet, NodePool, Pod};
use crate::resources::{MOST, Resources, display_amount};

/// One sentence for each owner of pods, DaemonSet or NodePool, and resource.
pub(super) fn notes(pods: &[Pod], daemon_sets: &[DaemonSet], node_pools: &[NodePool]) -> BTreeSet<String> {
    let of_pods = pods.iter().filter(|pod| beyond(&pod.template.spec.requests).next().is_some()).map(|pod| {
        let owner = pod.owner.as_ref().map(|owner| format!("{} {}/{}", owner.kind, pod.key.namespace, owner.name));
        (owner.unwrap_or_else(|| format!("Pod {}", pod.key)), "request", &pod.template.spec.requests)
    });
    let of_sets =
        daemon_sets.iter().map(|set| (format!("DaemonSet {}", set.key), "request", &set.template.spec.requests));
    let of_pools = node_pools.iter().map(|pool| (format!("NodePool {}", pool.name), "limit", &pool.limits.resources));
    let all = of_pods.chain(of_sets).chain(of_pools);
    let sentences = all.flat_map(|(object, what, amounts)| {
        let said = move |name: &str| {
            let most = display_amount(name, MOST);
            format!("{object}: its {what} of {name} is beyond what can be counted and is taken as {most}")
        };
        beyond(amounts).map(said)
    });
    sentences.collect()
}

fn beyond(amounts: &Resources) -> impl Iterator<Item = &str> {
    amounts.iter().filter(|(_, amount)| *amount == MOST).map(|(name, _)| name.as_ref())
}
