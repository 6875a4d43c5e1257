//! The model of kube-scheduler agrees with the naive rules, pod by pod and node by node.

use std::cell::Cell;

use super::naive;
use super::random::run;
use crate::api::labels;
use crate::plan::Target;
use crate::scheduler::{Candidate, Cluster, Node, Occupant};

#[test]
fn a_pod_may_go_where_the_naive_rules_let_it() {
    let (allowed, refused) = (Cell::new(0), Cell::new(0));
    run(2_000, |world| {
        let snapshot = &world.snapshot;
        let mut cluster = Cluster::default();
        for node in &snapshot.nodes {
            let mut found = (*node.labels).clone();
            found.entry(labels::HOSTNAME.into()).or_insert_with(|| node.name.clone());
            cluster.put_node(node.name.clone(), Node::new(found, node.taints.clone(), node.allocatable.clone()));
        }
        let occupant = |pod: usize, node: &std::sync::Arc<str>| Occupant {
            namespace: snapshot.pods[pod].key.namespace.clone(),
            template: snapshot.pods[pod].template.clone(),
            node: node.clone(),
            is_ending: snapshot.pods[pod].terminating,
        };
        for (index, pod) in snapshot.pods.iter().enumerate() {
            if let Some(node) = &pod.node {
                cluster.put_pod(&pod.uid, &occupant(index, node));
            }
        }
        let mut places = naive::places(snapshot, &[]);
        for (index, pod) in snapshot.pending() {
            let candidate = Candidate {
                namespace: &pod.key.namespace,
                template: &pod.template,
                tolerations: &pod.template.spec.tolerations,
                nominated: None,
            };
            let mut first = None;
            for (number, node) in snapshot.nodes.iter().enumerate() {
                let place = naive::index(snapshot, Target::Existing(number));
                let broken = naive::broken(snapshot, &places, index, place);
                let is_allowed = cluster.allows(&candidate, &node.name);
                assert_eq!(is_allowed, broken.is_empty(), "{} on {}: {broken:?}", pod.key, node.name);
                let counted = if is_allowed { &allowed } else { &refused };
                counted.set(counted.get() + 1);
                if is_allowed && first.is_none() {
                    first = Some((place, node));
                }
            }
            if let Some((place, node)) = first {
                naive::bind(snapshot, &mut places, index, place);
                cluster.put_pod(&pod.uid, &occupant(index, &node.name));
            }
        }
    });
    assert!(allowed.get() > 1_000 && refused.get() > 1_000, "{} {}", allowed.get(), refused.get());
}
