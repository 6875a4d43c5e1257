use serde_json::{Value, json};

use super::{Bounds, Limits, Values};
use crate::catalog::{Catalog, file};
use crate::model::Problem;
use crate::observe::{GatesByInput, LoadOptions, Objects, Snapshot, build, read_text};
use crate::settings::Settings;
use crate::units::MicroUsd;

/// Nodes of 4 cores at a dollar an hour, and these pods.
fn snapshot(pods: &[Value]) -> Snapshot {
    of_types(&[("four", 1.0)], pods)
}

/// Types of 4 cores by name and dollars an hour, and these objects.
fn of_types(types: &[(&str, f64)], objects: &[Value]) -> Snapshot {
    let kind = |(name, price): &(&str, f64)| {
        json!({
            "name": name, "architecture": "amd64", "operatingSystems": ["linux"],
            "resources": {"cpu": "4", "memory": "16Gi", "pods": "110"},
            "offerings": [{"Price": price, "Available": true, "Requirements": [
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]},
            ]}],
        })
    };
    let kinds: Vec<Value> = types.iter().map(kind).collect();
    let class = json!({"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "k"});
    let mut list = vec![
        json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "p"},
            "spec": {"template": {"spec": {"requirements": [], "nodeClassRef": class}}}}),
        json!({"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": "k"}, "spec": {}}),
    ];
    list.extend_from_slice(objects);
    let (mut raw, mut errors) = (Vec::new(), Vec::new());
    read_text("in.json", &json!(list).to_string(), &mut raw, &mut errors);
    let options = LoadOptions {
        settings: Settings { estimate_margin_permille: 0, ..Settings::default() },
        region: "us-east-1".into(),
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        catalog: Catalog::Fixed(file::parse(&json!(kinds).to_string()).expect("a catalogue")),
        assumptions: Vec::new(),
        gates: GatesByInput::AsConfigured,
    };
    let outcome = build(Objects::collect(raw), options);
    assert_eq!((errors, outcome.errors), (vec![], vec![]));
    std::sync::Arc::unwrap_or_clone(outcome.snapshot)
}

fn pod(name: &str, cpu: &str, spec: Value) -> Value {
    let mut spec = spec;
    let mut container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}});
    if let Some(port) = spec.as_object_mut().and_then(|spec| spec.remove("port")) {
        container["ports"] = json!([{"containerPort": port, "hostPort": port}]);
    }
    spec["containers"] = json!([container]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
}

const LIMITS: Limits = Limits { searched: 16, cells: [16, 16], steps: 1_000 };

/// (what the values prove, what trying everything proves where two nodes are known to do), micro-dollars an hour.
fn bounds(pods: &[Value], value: f64) -> (MicroUsd, MicroUsd) {
    let snapshot = snapshot(pods);
    let problem = Problem::new(&snapshot);
    let bounds = Bounds::new(&problem);
    let bound = bounds.where_unplaced(&[]);
    let values = Values { pods: vec![vec![(None, value)]; problem.groups.len()], limits: Vec::new() };
    let everything = bound.of_everything(&bound.of_resources(), MicroUsd(2_000_000), 1_000_000, &|| false);
    let everything = everything.map_or(MicroUsd::ZERO, |proof| proof.bound);
    (bound.of_values(&values, LIMITS).bound, everything)
}

/// Two pods of one size that exclude their own kind only: a node holds both.
#[test]
fn kinds_that_exclude_themselves_may_share_a_node_with_each_other() {
    let ports = [pod("a", "1", json!({"port": 8080})), pod("b", "1", json!({"port": 9090}))];
    let repels = |name: &str| {
        let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": name}}});
        pod(
            name,
            "1",
            json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}),
        )
    };
    for pods in [ports, [repels("a"), repels("b")]] {
        let (of_values, of_everything) = bounds(&pods, 0.9);
        assert!(of_values <= MicroUsd(1_000_000), "{of_values}");
        assert_eq!(of_everything, MicroUsd(1_000_000));
    }
}

/// Two pods of one kind that exclude each other need two nodes: values prove it as well as trying everything.
#[test]
fn pods_that_exclude_each_other_need_a_node_each() {
    let ports = [pod("a", "1", json!({"port": 8080})), pod("b", "1", json!({"port": 8080}))];
    assert_eq!(bounds(&ports, 1.0), (MicroUsd(2_000_000), MicroUsd(2_000_000)));
}

/// Two pods of 2.5 cores on nodes of four: whole pods waste what cut ones would not.
#[test]
fn whole_pods_are_counted() {
    let pods: Vec<Value> = (0..2).map(|index| pod(&format!("p{index}"), "2500m", json!({}))).collect();
    let (of_values, of_everything) = bounds(&pods, 1.0);
    assert_eq!((of_values, of_everything), (MicroUsd(2_000_000), MicroUsd(2_000_000)));
}

/// A cheap pool that may launch one node, and a dear one; a node for each of four pods.
#[test]
fn what_a_limit_leaves_is_not_bought_again() {
    let class = json!({"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "k"});
    let is = |name| json!([{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [name]}]);
    let mut objects = vec![
        json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "p"}, "spec": {"limits": {"cpu": "4"},
            "template": {"spec": {"requirements": is("cheap"), "nodeClassRef": class}}}}),
        json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "q"}, "spec": {
            "template": {"spec": {"requirements": is("dear"), "nodeClassRef": class}}}}),
    ];
    objects.extend((0..4).map(|index| pod(&format!("p{index}"), "3500m", json!({}))));
    let snapshot = of_types(&[("cheap", 1.0), ("dear", 3.0)], &objects);
    let problem = Problem::new(&snapshot);
    let bounds = Bounds::new(&problem);
    let proof = bounds.where_unplaced(&[]).of_resources();
    assert!((4_000_001..=10_000_000).contains(&proof.bound.0), "four of the cheap nodes would cost 4: {proof:?}");
    assert_eq!(proof.limit_prices.len(), 1);
}
