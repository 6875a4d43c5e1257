//! Pods that are alike change places.

use std::collections::HashMap;
use std::sync::Arc;

use super::Plan;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Pod, PodTemplate};

/// Namespace, the uid of the controller, and the template, by its address.
type Kind<'s> = (&'s str, &'s str, *const PodTemplate);

impl<State> Plan<State> {
    /// The same plan in which those of pods that are alike are bound first which `rank` puts first. Pods are alike that one controller
    /// made from one template and that wait: what holds for one holds for the other, so what was checked stays so.
    #[must_use]
    pub fn exchanged<R: Ord>(mut self, snapshot: &Snapshot, rank: impl Fn(&Pod) -> R) -> Self {
        let mut alike: HashMap<Kind, Vec<usize>> = HashMap::new(); // each by itself
        for (place, assignment) in self.assignments.iter().enumerate() {
            let pod = &snapshot.pods[assignment.pod];
            let Some(owner) = pod.owner.as_ref().filter(|_| pod.node.is_none() && !pod.buffer) else { continue };
            alike.entry((&pod.key.namespace, &owner.uid, Arc::as_ptr(&pod.template))).or_default().push(place);
        }
        for places in alike.into_values().filter(|places| places.len() > 1) {
            let mut pods: Vec<usize> = places.iter().map(|place| self.assignments[*place].pod).collect();
            pods.sort_by_cached_key(|pod| rank(&snapshot.pods[*pod]));
            places.into_iter().zip(pods).for_each(|(place, pod)| self.assignments[place].pod = pod);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::disruption::tests::world::{load, merged, pod, pool};
    use crate::host::{Limits, Search, decide};
    use crate::plan::check;

    #[test]
    fn replicas_change_places_and_others_do_not() {
        let waits = |name: &str, of: &str, zone: &str| {
            let owner =
                json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": of, "uid": of, "controller": true}]);
            let apart = json!([{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "web"}},
            }]);
            let spec = json!({"nodeSelector": {"topology.kubernetes.io/zone": zone}});
            let spec = if zone.is_empty() { json!({"topologySpreadConstraints": apart}) } else { spec };
            let changed = json!({"metadata": {"ownerReferences": owner}, "spec": spec, "status": {"phase": "Pending"}});
            let mut pod = merged(pod(name, ""), &changed);
            pod["spec"].as_object_mut().unwrap().remove("nodeName");
            pod
        };
        let objects = [
            vec![pool(&json!({}))],
            (0..6).map(|index| waits(&format!("web-{index}"), "web", "")).collect(),
            (0..2).map(|index| waits(&format!("db-{index}"), "db", "test-zone-b")).collect(),
        ];
        let (snapshot, errors) = load(&objects.concat());
        assert_eq!(errors, Vec::<String>::new());
        let plan = decide(&snapshot, Limits::of_time(Duration::from_secs(60), Search::Greedy)).plan;
        let names = |plan: &Plan<_>| -> Vec<String> {
            plan.assignments.iter().map(|of| snapshot.pods[of.pod].key.name.to_string()).collect()
        };
        let of = |plan: &Plan<_>, app: &str| -> Vec<String> {
            names(plan).into_iter().filter(|name| name.starts_with(app)).collect()
        };
        let backwards = plan.clone().exchanged(&snapshot, |pod| Reverse(pod.key.clone()));
        assert_eq!(of(&backwards, "web").join(" "), "web-5 web-4 web-3 web-2 web-1 web-0");
        assert_eq!(of(&backwards, "db").join(" "), "db-1 db-0");
        // each kind keeps its places
        let kinds = |plan: &Plan<_>| -> Vec<String> { names(plan).iter().map(|name| name[..2].to_owned()).collect() };
        assert_eq!(kinds(&plan), kinds(&backwards));
        let (before, after) = (plan.assignments.iter(), backwards.assignments.iter());
        assert!(before.zip(after).all(|(before, after)| before.target == after.target));
        let Plan { launches, assignments, unplaced, .. } = backwards;
        let checked = check(&snapshot, Plan::draft(launches, assignments, unplaced));
        assert!(checked.is_ok(), "{:?}", checked.err());
    }
}
