//! What the integer program adds to the greedy, level by level, on questions put to the library as a user would put them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use packwright::catalog::{Catalog, Market};
use packwright::host::{self, Decision, Limits, Search};
use packwright::observe::{self, GatesByInput, LoadOptions, Snapshot};
use packwright::plan::preferences;
use packwright::settings::Settings;
use packwright::solve::Work;

/// No test takes that long.
pub const IN_TIME: Duration = Duration::from_secs(600);

/// A pool of on-demand capacity with these types and this spec besides.
pub fn pool(name: &str, types: &str, spec: &str, template: &str) -> String {
    format!(
        "---\napiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n  template:\n    \
         metadata: {{labels: {{{template}}}}}\n    spec:\n      nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, \
         name: default}}\n      requirements:\n      - {{key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}}\n      \
         - {{key: node.kubernetes.io/instance-type, operator: In, values: [{types}]}}\n"
    )
}

pub fn deployment(name: &str, replicas: u32, cpu: &str, memory: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  selector: \
         {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      containers: \
         [{{name: c, image: i, resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}}}]\n      {spec}\n"
    )
}

pub fn load(test: &str, manifests: &[String]) -> Arc<Snapshot> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("solver-{test}.yaml"));
    std::fs::write(&path, manifests.concat()).unwrap();
    let (market, assumptions) = Market::offline("us-east-1").unwrap();
    let options = LoadOptions {
        settings: Settings::default(),
        region: Arc::from("us-east-1"),
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        catalog: Catalog::Ec2(Box::new(market)),
        assumptions,
        gates: GatesByInput::AsConfigured,
    };
    let loaded = observe::load(&[path], options);
    assert_eq!(loaded.errors, []);
    loaded.snapshot
}

pub fn decide(snapshot: &Arc<Snapshot>, search: Search) -> Decision {
    host::decide(snapshot, Limits::of_work(Work::LIMITED, search))
}

/// Names of the pods that are left, without their numbers.
fn left(snapshot: &Snapshot, decision: &Decision) -> Vec<String> {
    let name = |pod: usize| snapshot.pods[pod].key.name.split('-').next().unwrap().to_owned();
    decision.plan.unplaced.iter().map(|unplaced| name(unplaced.pod)).collect()
}

#[test]
fn pods_are_packed_for_less_than_the_greedy_pays() {
    // the greedy lets a node grow while any type holds it, and ends on the dearest
    let types = "c5.xlarge, m5.xlarge, r5.xlarge, c5.24xlarge, r5.24xlarge";
    let snapshot = load(
        "cheaper",
        &[
            pool("default", types, "weight: 1", ""),
            deployment("a", 40, "900m", "1Gi", ""),
            deployment("b", 40, "700m", "5Gi", ""),
        ],
    );
    let (integer, greedy) = (decide(&snapshot, Search::Integer), decide(&snapshot, Search::Greedy));
    assert!(integer.plan.unplaced.is_empty());
    assert!(integer.plan.cost().0 * 100 < greedy.plan.cost().0 * 95, "{} {}", integer.plan.cost(), greedy.plan.cost());
    assert_eq!(integer.greedy.unwrap().cost, greedy.plan.cost());
    assert!(integer.certificate.bound <= integer.plan.cost());
}

#[test]
fn a_limit_that_the_cheapest_plan_keeps_costs_nothing() {
    let types = "c5.xlarge, m5.xlarge, c5.24xlarge";
    let pods = deployment("a", 30, "1800m", "2Gi", "");
    let ask = |test: &str, limit: &str| {
        let snapshot = load(test, &[pool("default", types, limit, ""), pods.clone()]);
        let decision = decide(&snapshot, Search::Integer);
        assert!(decision.plan.unplaced.is_empty(), "{test}");
        decision.plan.cost()
    };
    assert_eq!(ask("limited", "limits: {cpu: 100}"), ask("unlimited", "weight: 1"));
}

#[test]
fn pods_that_only_the_greedys_limits_refuse_are_placed() {
    // while they could still grow, three nodes count 96 vCPU, 4 and nothing
    let spread = "topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: \
                  DoNotSchedule, labelSelector: {matchLabels: {app: a}}}]";
    let types = "c5.large, c5.xlarge, c5.24xlarge";
    let snapshot =
        load("spread", &[pool("default", types, "limits: {cpu: 100}", ""), deployment("a", 6, "1", "1Gi", spread)]);
    for search in [Search::Greedy, Search::Integer] {
        assert_eq!(left(&snapshot, &decide(&snapshot, search)), Vec::<String>::new(), "{search:?}");
    }
}

#[test]
fn pods_that_attract_each_other_go_where_they_are_cheapest() {
    let spread = "topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, \
                  labelSelector: {matchLabels: {app: web}}}, {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: \
                  DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]";
    let beside = "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: topology.kubernetes.io/zone, \
                  labelSelector: {matchLabels: {app: web}}}]}}";
    let snapshot = load(
        "attracted",
        &[
            pool("zones", "c7a.medium, c6a.large, m5a.large, c7a.large", "weight: 1", ""),
            deployment("web", 6, "500m", "1Gi", spread),
            deployment("cache", 3, "500m", "1Gi", beside),
        ],
    );
    let decision = decide(&snapshot, Search::Integer);
    // two caches on one node with one web: five nodes more hold the others
    assert_eq!(decision.plan.unplaced, []);
    assert_eq!(decision.certificate.bound, decision.certificate.objective);
    assert!(decision.plan.cost() < decision.greedy.as_ref().unwrap().cost, "{:?}", decision.greedy);
}

#[test]
fn the_highest_priority_is_placed_first_where_not_all_can_be() {
    let classes = "---\n{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000}\n";
    let snapshot = load(
        "priority",
        &[
            classes.to_owned(),
            pool("default", "m5.xlarge", "limits: {cpu: 4}", ""),
            deployment("low", 1, "3", "1Gi", ""),
            deployment("high", 3, "1", "1Gi", "priorityClassName: high"),
        ],
    );
    assert_eq!(left(&snapshot, &decide(&snapshot, Search::Greedy)), ["high", "high", "high"], "as karpenter does");
    let decision = decide(&snapshot, Search::Integer);
    assert_eq!(left(&snapshot, &decision), ["low"]);
    assert!(decision.certificate.bound <= decision.plan.cost(), "of plans that leave the same pods");
}

#[test]
fn a_cheaper_plan_that_gives_up_more_is_no_better() {
    let prefers = |weight: u32| {
        format!(
            "affinity: {{nodeAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: {weight}, preference: \
             {{matchExpressions: [{{key: tier, operator: In, values: [fast]}}]}}}}]}}}}"
        )
    };
    let snapshot = load(
        "preferences",
        &[
            pool("fast", "z1d.large", "limits: {nodes: 1}", "tier: fast"),
            pool("slow", "c5.xlarge, r5.2xlarge", "weight: 1", ""),
            deployment("a", 2, "1500m", "9Gi", &prefers(100)),
            deployment("b", 2, "1500m", "2Gi", &prefers(1)),
        ],
    );
    let (integer, greedy) = (decide(&snapshot, Search::Integer).plan, decide(&snapshot, Search::Greedy).plan);
    let given_up = preferences::violated(&snapshot, &greedy);
    assert!(given_up > 0, "not all of them fit on one fast node");
    assert!(preferences::violated(&snapshot, &integer) <= given_up);
}

#[test]
fn every_kind_of_preference_is_weighed() {
    let zone = "topology.kubernetes.io/zone";
    let cases = [
        (
            "node",
            format!(
                "affinity: {{nodeAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 7, preference: {{matchExpressions: [{{key: {zone}, operator: In, values: [nowhere]}}]}}}}]}}}}"
            ),
            2 * 7,
        ),
        (
            "alone",
            format!(
                "affinity: {{podAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 5, podAffinityTerm: {{topologyKey: {zone}, labelSelector: {{matchLabels: {{app: other}}}}}}}}]}}}}"
            ),
            2 * 5,
        ),
        (
            "together",
            format!(
                "affinity: {{podAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 5, podAffinityTerm: {{topologyKey: {zone}, labelSelector: {{matchLabels: {{app: a}}}}}}}}]}}}}"
            ),
            0,
        ),
        ("none", String::new(), 0),
    ];
    for (test, spec, expected) in cases {
        let snapshot = load(
            &format!("weighed-{test}"),
            &[pool("default", "m5.xlarge", "weight: 1", ""), deployment("a", 2, "1", "1Gi", &spec)],
        );
        let plan = decide(&snapshot, Search::Greedy).plan;
        assert_eq!((plan.unplaced.len(), preferences::violated(&snapshot, &plan)), (0, expected), "{test}");
    }
    // one node only: the second pod meets the first
    let apart = format!(
        "affinity: {{podAntiAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 9, podAffinityTerm: \
         {{topologyKey: {zone}, labelSelector: {{matchLabels: {{app: a}}}}}}}}]}}}}"
    );
    let one = pool("default", "m5.xlarge", "limits: {nodes: 1}", "");
    let snapshot = load("weighed-apart", &[one, deployment("a", 2, "1", "1Gi", &apart)]);
    assert_eq!(preferences::violated(&snapshot, &decide(&snapshot, Search::Greedy).plan), 2 * 9);
    let soft = pool("default", "m5.xlarge", "weight: 1", "")
        .replace("      requirements:", "      taints: [{key: t, effect: PreferNoSchedule}]\n      requirements:");
    let snapshot = load("weighed-taint", &[soft, deployment("a", 2, "1", "1Gi", "")]);
    let plan = decide(&snapshot, Search::Greedy).plan;
    assert_eq!((plan.unplaced.len(), preferences::violated(&snapshot, &plan)), (0, 2 * 100));
}

#[test]
fn no_time_is_an_answer_too() {
    let snapshot =
        load("no-time", &[pool("default", "m5.xlarge", "weight: 1", ""), deployment("a", 2, "1", "1Gi", "")]);
    let decision = host::decide(&snapshot, Limits::of_time(Duration::ZERO, Search::Integer));
    assert_eq!((decision.plan.launches.len(), decision.plan.unplaced.len(), decision.greedy), (0, 2, None));
    assert_eq!(&*decision.plan.unplaced[0].reason, "not reached within the time limit");
    assert!(host::accepts(&snapshot, &decision.plan).is_ok());
}
