//! `packwright what-if`: what it says of a change is what `packwright plan` says of manifests with that change.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::cli::packwright;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/shared");

const POOL: &str = "
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: general}
spec:
  disruption: {consolidationPolicy: WhenEmptyOrUnderutilized, consolidateAfter: 0s, budgets: [{nodes: '100%'}]}
  template:
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
      requirements:
      - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
      - {key: karpenter.k8s.aws/instance-family, operator: In, values: [std, alt]}
";

fn web(replicas: usize) -> String {
    format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{replicas: {replicas}, selector: \
         {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: c, image: c, \
         resources: {{requests: {{cpu: '3'}}}}}}]}}}}}}}}\n"
    )
}

/// A std-8 node of the pool, and pods of one core on it.
fn node(name: &str, pods: usize) -> String {
    let labels = json!({
        "karpenter.sh/nodepool": "general", "node.kubernetes.io/instance-type": "std-8", "topology.kubernetes.io/zone": "a",
        "karpenter.sh/capacity-type": "on-demand", "karpenter.sh/registered": "true", "karpenter.sh/initialized": "true",
        "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "karpenter.k8s.aws/instance-family": "std",
    });
    let metadata = json!({"name": name, "uid": name, "labels": labels, "creationTimestamp": "2026-01-05T11:00:00Z"});
    let (id, made) = (format!("aws:///a/{name}"), "2026-01-05T11:00:00Z");
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": made});
    let room = json!({"cpu": "8", "memory": "32Gi", "pods": "20"});
    let class = json!({"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"});
    let mut objects = vec![
        json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": metadata,
            "spec": {"nodeClassRef": class, "requirements": [], "expireAfter": "Never"},
            "status": {"providerID": id, "nodeName": name, "conditions": [condition("Initialized")]},
        }),
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"providerID": id},
            "status": {"capacity": room, "allocatable": room, "conditions": [condition("Ready")]},
        }),
    ];
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api", "uid": "u", "controller": true}]);
    objects.extend((0..pods).map(|pod| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{name}-{pod}"), "namespace": "default", "ownerReferences": owner, "labels": {"app": "api"}},
            "spec": {"nodeName": name, "containers": [{"name": "c", "image": "c", "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"phase": "Running", "startTime": made, "conditions": [condition("Ready")]},
        })
    }));
    objects.iter().fold(String::new(), |all, object| all + "---\n" + &object.to_string() + "\n")
}

fn run(command: &[&str], manifests: &str) -> Output {
    let catalog = format!("{SHARED}/catalog.json");
    let mut command = packwright(command);
    command.args(["-f", "-", "--catalog", &catalog, "--work-limits", "usual"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(manifests.as_bytes());
    child.wait_with_output().unwrap()
}

fn json_of(command: &[&str], manifests: &str) -> (Value, Option<i32>) {
    let output = run(&[command, &["-o", "json"]].concat(), manifests);
    let value = serde_json::from_slice(&output.stdout);
    (value.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))), output.status.code())
}

/// Cost, bound, pods that are placed and left, and launches, of a plan.
fn planned(manifests: &str) -> [f64; 5] {
    let summary = &json_of(&["plan"], manifests).0["summary"];
    ["cost_usd_hour", "bound_usd_hour", "pods_placed", "pods_unplaced", "nodes"].map(|of| summary[of].as_f64().unwrap())
}

/// The same of an outcome.
fn outcome(of: &Value) -> [f64; 5] {
    ["cost_usd_hour", "bound_usd_hour", "pods_placed", "pods_unplaced", "nodes_launched"]
        .map(|field| of[field].as_f64().unwrap_or_else(|| panic!("{field}: {of}")))
}

fn assert_near(found: [f64; 5], expected: [f64; 5], what: &str) {
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{what}: {found:?}, expected {expected:?}");
}

#[test]
fn a_change_comes_to_what_manifests_with_it_come_to() {
    let manifests = [POOL, &web(3)].concat();
    let limited = |limit: &str| [POOL, &format!("  limits: {{{limit}}}\n"), &web(3)].concat();
    let only = |families: &str| manifests.replace("[std, alt]", families);
    let cases = [
        (["--replicas", "web=7"], [POOL, &web(7)].concat(), 0),
        (["--drop", "instance-family=std"], only("[alt]"), 0),
        (["--drop", "instance-type=alt-4"], only("[std, alt]").replace("[std, alt]", "[std]"), 0),
        (["--limit", "general.cpu=4"], limited("cpu: 4"), 3),
        (["--limit", "general.nodes=1"], limited("nodes: 1"), 0),
    ];
    let now = planned(&manifests);
    for (change, with_it, code) in &cases {
        let (compared, exit) = json_of(&[&["what-if"], &change[..]].concat(), &manifests);
        assert_near(outcome(&compared["now"]), now, "as it is");
        let of = &compared["changes"][0];
        let expected = planned(with_it);
        assert_near(outcome(&of["outcome"]), expected, change[1]);
        assert_eq!(exit, Some(*code), "{change:?}");
        let difference = &of["difference"];
        assert!((difference["usd_hour"].as_f64().unwrap() - (expected[0] - now[0])).abs() < 1e-9, "{of}");
        if *code == 3 {
            assert!(difference["proven_usd_hour"].is_null() && difference["note"].is_string(), "{of}");
        } else {
            let proven = |field: &str| difference["proven_usd_hour"][field].as_f64().unwrap();
            assert!((proven("at_least") - (expected[1] - now[0])).abs() < 1e-9, "{of}");
            assert!((proven("at_most") - (expected[0] - now[1])).abs() < 1e-9, "{of}");
        }
    }
}

#[test]
fn several_changes_are_planned_alone_and_together() {
    let manifests = [POOL, &web(3)].concat();
    let changes = ["what-if", "--set", "prices*2", "--replicas", "web=6", "--drop", "instance-family=alt"];
    let (compared, exit) = json_of(&changes, &manifests);
    assert_eq!(exit, Some(0));
    let names: Vec<&str> =
        compared["changes"].as_array().unwrap().iter().map(|of| of["change"].as_str().unwrap()).collect();
    let dropped = "drop karpenter.k8s.aws/instance-family=alt";
    assert_eq!(names, ["prices*2", dropped, "replicas web=6", "all together"]);
    let cost = |of: usize| compared["changes"][of]["outcome"]["cost_usd_hour"].as_f64().unwrap();
    assert!((cost(0) - 2.0 * planned(&manifests)[0]).abs() < 1e-9);
    let all = [&POOL.replace("[std, alt]", "[std]"), &*web(6)].concat();
    assert!((cost(3) - 2.0 * planned(&all)[0]).abs() < 1e-9, "{compared}");
    let output = run(&changes, &manifests);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<&str> = table.lines().map(str::trim).take(6).collect();
    for (row, name) in rows[1..].iter().zip(["as it is", "prices*2", dropped, "replicas web=6", "all together"]) {
        assert!(row.starts_with(name), "{table}");
    }
}

#[test]
fn nodes_that_go_count_with_pods_that_move_and_without_a_bound() {
    let manifests = [POOL, &node("m", 3), &node("n", 3)].concat();
    let (compared, exit) =
        json_of(&["what-if", "--scope", "consolidate", "--replicas", "api=12", "--set", "prices*3"], &manifests);
    assert_eq!(exit, Some(0), "{compared}");
    let now = &compared["now"];
    let of = |outcome: &Value| ["nodes", "nodes_removed", "pods_moved"].map(|field| outcome[field].as_u64().unwrap());
    assert_eq!(of(now), [3, 2, 6], "three std-2 have six cores for less than one std-8");
    assert!((now["cost_usd_hour"].as_f64().unwrap() - 0.3).abs() < 1e-9);
    assert!(now["bound_usd_hour"].is_null() && now["pods_placed"].is_null());
    let tripled = &compared["changes"][0];
    assert!((tripled["difference"]["usd_hour"].as_f64().unwrap() - 0.6).abs() < 1e-9, "{tripled}");
    assert!(tripled["difference"]["proven_usd_hour"].is_null());
    let (all, _) = json_of(&["what-if", "--scope", "all", "--replicas", "api=12"], &manifests);
    let grown = &all["changes"][0]["outcome"];
    assert_eq!(of(grown), [2, 0, 0], "twelve cores need both: {all}");
    assert_eq!(grown["pods_placed"], 6);
    let (shrunk, _) = json_of(&["what-if", "--scope", "all", "--replicas", "api=2"], &manifests);
    let shrunk = &shrunk["changes"][0]["outcome"];
    assert!((shrunk["cost_usd_hour"].as_f64().unwrap() - 0.1).abs() < 1e-9, "a std-2 is enough for two: {shrunk}");
}

#[test]
fn what_is_not_there_is_an_error_and_nothing_is_planned() {
    let manifests = [POOL, &web(3)].concat();
    let asked = ["what-if", "--drop", "instance-type=std-3", "--replicas", "wbe=2", "--limit", "genral.cpu=1"];
    let output = run(&asked, &manifests);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    for expected in [
        "error: drop node.kubernetes.io/instance-type=std-3: nothing that can be bought has",
        "error: limit genral.cpu=1: no NodePool genral: there is general; did you mean general?",
        "error: replicas wbe=2: no pod of the input, which new ones could be like, belongs to wbe; close to it: deployment/default/web",
    ] {
        assert!(message.contains(expected), "{message}");
    }
    let none = run(&["what-if"], &manifests);
    assert_eq!(none.status.code(), Some(2), "a change is required");
}

#[test]
fn a_price_tag_of_launches_is_the_difference_of_two_plans() {
    let own = "requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: \
               {matchLabels: {app: web}}}]";
    let apart = format!("affinity: {{podAntiAffinity: {{{own}}}}}, containers");
    let free = web(3).replace("cpu: '3'", "cpu: 500m");
    let with = free.replace("containers", &apart);
    let (list, exit) = json_of(&["explain", "constraints"], &[POOL, &with].concat());
    assert_eq!(exit, Some(0));
    let tag = &list["tags"][0];
    assert_eq!(tag["kind"], "pod-anti-affinity", "{list}");
    assert_eq!(tag["change"]["object"], "Deployment default/web");
    assert!(tag["consolidation_usd_hour"].is_null());
    let [with, without] = [with, free].map(|pods| planned(&[POOL, &pods].concat()));
    let interval = ["at_least", "at_most"].map(|field| tag["launches_usd_hour"][field].as_f64().unwrap());
    assert!((interval[0] - (with[1] - without[0])).abs() < 1e-9, "{tag}");
    assert!((interval[1] - (with[0] - without[1])).abs() < 1e-9, "{tag}");
    assert!(interval[0] > 0.0);
}

#[test]
fn what_keeps_a_node_has_a_price_tag() {
    let held = [POOL, &node("m", 3), &node("n", 3)].concat().replace(
        r#""labels":{"app":"api"}"#,
        r#""labels":{"app":"api"},"annotations":{"karpenter.sh/do-not-disrupt":"true"}"#,
    );
    let (list, _) = json_of(&["explain", "constraints"], &held);
    let tag = &list["tags"][0];
    assert_eq!((&tag["kind"], &tag["pods"], &tag["nodes"]), (&json!("do-not-disrupt"), &json!(6), &json!(2)), "{list}");
    // three std-2 instead of two std-8
    assert!((tag["consolidation_usd_hour"].as_f64().unwrap() - 0.5).abs() < 1e-9, "{tag}");
    assert!(tag["launches_usd_hour"].is_null());
    let (of_node, _) = json_of(&["explain", "node/m"], &held);
    assert_eq!(of_node["price_tags"], json!([tag]));
    assert!(of_node["holds"][0]["why"].as_str().unwrap().contains("karpenter.sh/do-not-disrupt"));
    let text = String::from_utf8_lossy(&run(&["explain", "node/m"], &held).stdout).into_owned();
    let said = "Without ReplicaSet default/api spec.template.metadata.annotations[karpenter.sh/do-not-disrupt]: true, $/h saved \
                more in the cluster: 0.5000 found";
    assert!(text.contains(said), "{text}");
    let text = String::from_utf8_lossy(&run(&["explain", "constraints", "--within", "0s"], &held).stdout).into_owned();
    assert!(text.contains("not reached within the time (--within): 2 constraints"), "{text}");
}
