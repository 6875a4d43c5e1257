mod prices;

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::disruption::tests::world::{budget, load, merged, node, pod, pool};
use crate::disruption::{Method, candidates};
use crate::observe::snapshot::Pod;

/// Two nodes of type c-2x, one with three pods of the ReplicaSet `web` and one with one.
fn cluster() -> Snapshot {
    let owner = json!({"metadata": {"ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true},
    ]}});
    let mut objects = vec![pool(&json!({})), budget("web", &json!({"maxUnavailable": 1}), Some(1))];
    objects.extend(node("m"));
    objects.extend(node("n"));
    objects.extend(["a", "b", "c"].map(|name| merged(pod(name, "m"), &owner)));
    objects.push(merged(pod("d", "n"), &owner));
    let (snapshot, errors) = load(&objects);
    assert_eq!(errors, Vec::<String>::new());
    Snapshot::clone(&snapshot)
}

fn changed(snapshot: &Snapshot, change: &Change) -> Snapshot {
    change.of(snapshot).unwrap().snapshot
}

fn replicas(workload: &str, count: usize) -> Change {
    Change::Replicas { workload: workload.to_owned(), count }
}

fn dropped(key: &str, value: &str) -> Change {
    Change::Drop { key: key.to_owned(), value: value.to_owned() }
}

fn limit(name: &str, amount: Option<&str>) -> Change {
    Change::Limit { name: name.to_owned(), amount: amount.map(str::to_owned) }
}

/// The names of pods, and whether they wait.
fn pods(snapshot: &Snapshot) -> Vec<(&str, bool)> {
    snapshot.pods.iter().map(|pod| (&*pod.key.name, pod.is_pending())).collect()
}

#[test]
fn prices_of_offerings_and_of_nodes_are_multiplied() {
    let snapshot = cluster();
    let sum = |snapshot: &Snapshot, of: CapacityType| -> i64 {
        let types = snapshot.node_pools.iter().flat_map(|pool| pool.instance_types.iter());
        types.flat_map(|kind| &kind.offerings).filter(|o| o.capacity_type == of).map(|o| o.price.0).sum()
    };
    let nodes = |snapshot: &Snapshot| -> i64 { snapshot.nodes.iter().filter_map(|node| node.price).map(|p| p.0).sum() };
    let (spot, on_demand) = (sum(&snapshot, CapacityType::Spot), sum(&snapshot, CapacityType::OnDemand));
    let all = changed(&snapshot, &Change::Prices { of: None, permille: 3_000 });
    assert_eq!((sum(&all, CapacityType::Spot), sum(&all, CapacityType::OnDemand)), (3 * spot, 3 * on_demand));
    assert_eq!(nodes(&all), 3 * nodes(&snapshot));
    let of_spot = changed(&snapshot, &Change::Prices { of: Some(CapacityType::Spot), permille: 3_000 });
    assert_eq!((sum(&of_spot, CapacityType::Spot), sum(&of_spot, CapacityType::OnDemand)), (3 * spot, on_demand));
    assert_eq!(nodes(&of_spot), nodes(&snapshot), "they are on demand");
}

#[test]
fn what_is_dropped_cannot_be_bought_and_what_is_there_stays() {
    let snapshot = cluster();
    let kind = snapshot.nodes[0].label(labels::INSTANCE_TYPE).unwrap();
    for (key, value) in [(labels::INSTANCE_TYPE, kind), (labels::ZONE, "test-zone-a"), (labels::ARCH, "amd64")] {
        let without = changed(&snapshot, &dropped(key, value));
        let mut gone = 0;
        for of in without.node_pools[0].instance_types.iter() {
            for offering in &of.offerings {
                let has = offering.label(key) == Some(value)
                    || of.requirements.get(key).and_then(|r| r.single_value()).is_some_and(|own| **own == *value);
                assert_eq!(offering.available, !has, "{key}={value}: {}", of.name);
                gone += usize::from(has);
            }
        }
        assert!(gone > 0);
        assert_eq!(without.nodes, snapshot.nodes);
        let verdicts = candidates(&without, Method::Underutilized, without.taken_at);
        assert!(verdicts.iter().all(|standing| standing.verdict.is_ok()), "{verdicts:?}");
    }
    let pool = changed(&snapshot, &dropped(labels::NODEPOOL, "default"));
    assert!(pool.node_pools[0].unusable.is_some());
}

#[test]
fn a_limit_is_of_the_pool_with_the_longest_name_that_fits() {
    let mut snapshot = cluster();
    let mut second = snapshot.node_pools[0].clone();
    second.name = "default.b".into();
    snapshot.node_pools.push(second);
    let limits = |name: &str, amount: &str| {
        let changed = changed(&snapshot, &limit(name, Some(amount)));
        [0, 1].map(|pool| changed.node_pools[pool].limits.clone())
    };
    assert_eq!(limits("default.cpu", "1500m")[0].resources.get("cpu"), 1_500);
    assert_eq!(limits("default.b.ephemeral-storage", "3Gi")[1].resources.get("ephemeral-storage"), 3 << 30);
    assert_eq!(limits("default.nodes", "7")[0].nodes, Some(7));
    let spend = limits("default.b.packwright.dev/usd-per-hour", "2.5")[1].usd_per_hour;
    assert_eq!(spend.map(|cap| cap.0), Some(2_500_000));
    let with = changed(&snapshot, &limit("default.cpu", Some("4")));
    assert_eq!(changed(&with, &limit("default.cpu", None)), snapshot);
}

#[test]
fn the_pods_go_that_kubernetes_takes_first() {
    let mut snapshot = cluster();
    let left = |snapshot: &Snapshot, count| -> Vec<String> {
        changed(snapshot, &replicas("web", count)).pods.iter().map(|pod| pod.key.name.to_string()).collect()
    };
    assert_eq!(left(&snapshot, 3), ["a", "b", "d"], "of the node with most of them, the last by name");
    snapshot.pods[3].disruption.deletion_cost = -5;
    assert_eq!(left(&snapshot, 3), ["a", "b", "c"], "the cheapest to delete");
    snapshot.pods[1].disruption.not_ready = true;
    assert_eq!(left(&snapshot, 3), ["a", "c", "d"], "what is not ready");
    snapshot.pods[0].node = None;
    assert_eq!(left(&snapshot, 3), ["b", "c", "d"], "what has no node");
    assert_eq!(left(&snapshot, 0), [""; 0]);
    assert_eq!(changed(&snapshot, &replicas("replicaset/default/web", 4)), snapshot);
}

#[test]
fn pods_that_come_wait_and_are_like_the_others() {
    let snapshot = cluster();
    let more = changed(&snapshot, &replicas("default/web", 6));
    let expected = [("a", false), ("b", false), ("c", false), ("d", false), ("web-1", true), ("web-2", true)];
    assert_eq!(pods(&more), expected);
    let of = |name: &str| more.pods.iter().find(|pod| &*pod.key.name == name).unwrap();
    assert_eq!(of("web-1").template, of("a").template);
    assert_eq!(of("web-1").owner, of("a").owner);
    assert_eq!(of("web-1").disruption.budgets, of("a").disruption.budgets);
    let again = changed(&more, &replicas("web", 8));
    assert_eq!(again.pods.len(), 8);
    let fewer = changed(&more, &replicas("web", 4));
    assert_eq!(fewer, snapshot, "what waits goes first");
}

#[test]
fn a_stateful_set_grows_by_ordinals_with_volumes_of_their_own() {
    use crate::observe::snapshot::{NodeAffinityTerm, OwnerRef, Volume};
    let mut snapshot = cluster();
    snapshot.pods.truncate(2);
    for (ordinal, pod) in snapshot.pods.iter_mut().enumerate() {
        let name = format!("db-{ordinal}");
        pod.key.name = name.as_str().into();
        pod.owner = Some(OwnerRef { kind: "StatefulSet".into(), name: "db".into(), uid: "u".into() });
        let volume = |claim: String, single_pod: bool| Volume {
            claim: claim.as_str().into(),
            driver: None,
            topology: vec![NodeAffinityTerm::default()],
            single_pod,
            follows_first_user: false,
        };
        let template = Arc::make_mut(&mut pod.template);
        template.labels.insert(labels::STATEFUL_SET_POD_NAME.into(), pod.key.name.clone());
        template.spec.volumes =
            vec![volume(format!("default/data-{name}"), true), volume("default/shared".to_owned(), false)];
    }
    let changed = replicas("statefulset/db", 4).of(&snapshot).unwrap();
    assert_eq!(changed.notes.len(), 1, "{:?}", changed.notes);
    let snapshot = changed.snapshot;
    assert_eq!(pods(&snapshot), [("db-0", false), ("db-1", false), ("db-2", true), ("db-3", true)]);
    let last: &Pod = &snapshot.pods[3];
    let volumes = &last.template.spec.volumes;
    assert_eq!(&*volumes[0].claim, "default/data-db-3");
    assert!(volumes[0].topology.is_empty() && volumes[0].follows_first_user && volumes[0].single_pod);
    assert_eq!(&*volumes[1].claim, "default/shared");
    assert_eq!(volumes[1].topology.len(), 1);
    assert_eq!(last.template.labels.get(labels::STATEFUL_SET_POD_NAME).map(AsRef::as_ref), Some("db-3"));
    assert!(last.refused.is_none());
    let fewer = super::tests::changed(&snapshot, &replicas("db", 1));
    assert_eq!(pods(&fewer), [("db-0", false)]);
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let snapshot = cluster();
    for (change, expected) in [
        (
            dropped(labels::ARCH, "amd46"),
            "nothing that can be bought has the label kubernetes.io/arch=amd46; did you mean amd64?",
        ),
        (dropped(labels::ZONE, "x"), "it is one of test-zone-a, test-zone-b"),
        (dropped("kubernetes.io/arhc", "amd64"), "has the label kubernetes.io/arhc; did you mean kubernetes.io/arch?"),
        (limit("defualt.cpu", Some("4")), "no NodePool defualt: there is default; did you mean default?"),
        (
            limit("default.cpus", Some("4")),
            "spec.limits.cpus never binds: no instance type has that resource (did you mean cpu?)",
        ),
        (limit("default.cpu", None), "NodePool default has no limit of cpu"),
        (limit("default.cpu", Some("lots")), "expected an amount such as 100, 1500m or 64Gi, or none, found 'lots'"),
        (limit("default.nodes", Some("-1")), "expected no negative amount, found '-1'"),
        (replicas("wbe", 3), "belongs to wbe; close to it: replicaset/default/web"),
        (replicas("shop/web", 3), "belongs to shop/web; close to it: replicaset/default/web"),
    ] {
        let fault = change.of(&snapshot).unwrap_err();
        assert!(fault.contains(expected), "{change}: {fault}");
    }
    let mut two = cluster();
    two.pods[3].key.namespace = "shop".into();
    let fault = replicas("web", 3).of(&two).unwrap_err();
    assert_eq!(fault, "web may be any of replicaset/default/web, replicaset/shop/web");
}
