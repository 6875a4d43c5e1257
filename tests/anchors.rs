//! The greedy against figures of Karpenter's own packing: each within 3 %.
//!
//! The wide scenario was packed by Karpenter's own binary on its kwok types. The other four come from a re-implementation
//! of its documented steps on us-east-1 list prices; they say that ours reads the same documents the same way, not more.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use packwright::catalog::{Catalog, Market};
use packwright::host::{self, Decision, Limits, Search};
use packwright::observe::{self, GatesByInput, LoadOptions};
use packwright::settings::Settings;

/// Documents that follow each other, as in a file of manifests.
fn pool(more: &str) -> String {
    format!(
        r#"
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {{name: cmr}}
spec:
  template:
    spec:
      nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}
      requirements:
        - {{key: kubernetes.io/arch, operator: In, values: [amd64]}}
        - {{key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}}
        - {{key: karpenter.k8s.aws/instance-category, operator: In, values: [c, m, r]}}
        - {{key: karpenter.k8s.aws/instance-generation, operator: Gt, values: ["4"]}}
{more}---
"#
    )
}

const UP_TO_32_VCPU: &str = r#"        - {key: karpenter.k8s.aws/instance-cpu, operator: Lt, values: ["33"]}
"#;

fn deployment(name: &str, replicas: u32, cpu: &str, memory: &str) -> String {
    format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: main, image: pause, resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}}}]
---
"
    )
}

/// 500 pods of 0.9 cores and 3.1 GiB, and 500 of 3.5 cores and 28 GiB.
fn basic() -> String {
    deployment("small", 500, "900m", "3174Mi") + &deployment("large", 500, "3500m", "28Gi")
}

/// The 30 deployments of the wide scenario by size alone, without their topology.
fn wide() -> String {
    let rows = include_str!("../benchmarks/instances/karpenter-wide/karpenter_wide_deployments.csv").lines().skip(1);
    rows.map(|row| {
        let fields: Vec<&str> = row.split(',').collect();
        deployment(fields[0], fields[3].parse().unwrap(), &format!("{}m", fields[1]), &format!("{}Mi", fields[2]))
    })
    .collect()
}

fn decide(paths: &[PathBuf]) -> Decision {
    let (market, _) = Market::offline("us-east-1").unwrap();
    let options = LoadOptions {
        settings: Settings { estimate_margin_permille: 0, ..Settings::default() },
        region: Arc::from("us-east-1"),
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        catalog: Catalog::Ec2(Box::new(market)),
        assumptions: Vec::new(),
        gates: GatesByInput::TurnOn,
    };
    let loaded = observe::load(paths, options);
    assert_eq!(loaded.errors, []);
    let decision = host::decide(&loaded.snapshot, Limits::of_time(Duration::MAX, Search::Greedy));
    assert_eq!(decision.refused, []);
    assert_eq!(decision.plan.assignments.len(), 1_000);
    decision
}

fn assert_close(decision: &Decision, karpenter_usd_hour: f64) {
    let cost = decision.greedy.as_ref().expect("no time limit").cost.as_usd();
    let off = cost / karpenter_usd_hour - 1.0;
    assert!(off.abs() <= 0.03, "${cost:.2}/h is {:.1} % off Karpenter's ${karpenter_usd_hour:.2}/h", 100.0 * off);
}

fn manifests(name: &str, text: &str) -> Vec<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("anchor-{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    vec![path]
}

#[test]
fn wide_scenario_of_karpenters_own_binary() {
    let instance = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benchmarks/instances/karpenter-wide");
    let decision = decide(&[instance.join("deployments.yaml"), instance.join("pools.yaml")]);
    assert_close(&decision, 58.77);
    let nodes = decision.plan.launches.len();
    assert!((38..=40).contains(&nodes), "{nodes} nodes, Karpenter had 39");
}

#[test]
fn basic_scenario_on_every_size() {
    assert_close(&decide(&manifests("basic", &(pool("") + &basic()))), 222.5);
}

#[test]
fn basic_scenario_up_to_32_vcpu() {
    assert_close(&decide(&manifests("basic-32", &(pool(UP_TO_32_VCPU) + &basic()))), 125.6);
}

#[test]
fn wide_scenario_by_size_on_every_size() {
    assert_close(&decide(&manifests("wide", &(pool("") + &wide()))), 200.5);
}

#[test]
fn wide_scenario_by_size_up_to_32_vcpu() {
    assert_close(&decide(&manifests("wide-32", &(pool(UP_TO_32_VCPU) + &wide()))), 132.1);
}
