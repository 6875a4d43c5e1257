//! `packwright explain`: every statement is verified by planning or pricing again, outside of what made it.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::cli::packwright;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/shared");

const POOL: &str = "
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: general}
spec:
  template:
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
      requirements:
      - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
      - {key: karpenter.k8s.aws/instance-family, operator: In, values: [std]}
";

/// Replicas of a Deployment `web`, with what stands in its pods' spec beside the container.
fn web(replicas: usize, requests: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{replicas: {replicas}, selector: \
         {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, spec: {{{spec} containers: \
         [{{name: c, image: i, resources: {{requests: {{{requests}}}}}}}]}}}}}}}}\n"
    )
}

fn run(command: &[&str], manifests: &str) -> Output {
    let catalog = format!("{SHARED}/catalog.json");
    let mut command = packwright(command);
    command.args(["-f", "-", "--catalog", &catalog]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(manifests.as_bytes());
    child.wait_with_output().unwrap()
}

fn json(command: &[&str], manifests: &str) -> Value {
    let output = run(&[command, &["-o", "json"]].concat(), manifests);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn explained(subject: &str, manifests: &str) -> Value {
    json(&["explain", subject], manifests)
}

fn planned(manifests: &str) -> Value {
    json(&["plan", "--work-limits", "usual"], manifests)
}

fn cost(manifests: &str) -> f64 {
    let plan = planned(manifests);
    assert_eq!(plan["summary"]["pods_unplaced"], 0, "{plan}");
    plan["summary"]["cost_usd_hour"].as_f64().unwrap()
}

/// Field -> from -> to of every change that helps alone.
fn remedies(explanation: &Value) -> Vec<(String, String, String)> {
    let all = explanation["unplaced"]["remedies"].as_array().unwrap();
    let single = all.iter().filter(|remedy| remedy["changes"].as_array().unwrap().len() == 1);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut found: Vec<_> = single
        .map(|remedy| &remedy["changes"][0])
        .map(|change| {
            let object = text(&change["object"]);
            (format!("{object}: {}", text(&change["field"])), text(&change["from"]), text(&change["to"]))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn alternatives_cost_what_the_catalogue_says() {
    let pool = POOL.replace("[std]", "[std, mem, alt]");
    let manifests = [pool.as_str(), &web(1, "cpu: '3'", "")].concat();
    let plan = planned(&manifests);
    let name = plan["launches"][0]["name"].as_str().unwrap();
    let explanation = explained(&format!("claim/{name}"), &manifests);
    let claim = &explanation["claim"];
    assert_eq!(claim["node"]["instance_type"], "std-4");
    let prices = [("alt-4", 0.21), ("mem-4", 0.3), ("std-8", 0.4), ("std-16", 0.8)];
    let alternatives = claim["alternatives"].as_array().unwrap();
    assert_eq!(alternatives.len(), prices.len(), "{claim}");
    for (alternative, (kind, price)) in alternatives.iter().zip(prices) {
        assert_eq!(alternative["instance_type"], kind);
        assert!((alternative["extra_usd_hour"].as_f64().unwrap() - (price - 0.2)).abs() < 1e-9, "{alternative}");
        // without the types that are cheaper the plan takes this one
        let only = [
            &POOL.replace("[std]", "[std, mem, alt]"),
            &*web(1, "cpu: '3'", &format!("nodeSelector: {{node.kubernetes.io/instance-type: {kind}}},")),
        ]
        .concat();
        assert!((cost(&only) - price).abs() < 1e-9);
    }
}

#[test]
fn cheaper_offerings_are_counted_by_what_rules_them_out() {
    let manifests = [POOL, &web(1, "cpu: '3'", "")].concat();
    let plan = planned(&manifests);
    let name = plan["launches"][0]["name"].as_str().unwrap();
    let explanation = explained(&format!("claim/{name}"), &manifests);
    let claim = &explanation["claim"];
    // of the catalogue below $0.20: on demand std-2 and arm-4 in three zones; as spot std-2, -4, -8, alt, mem and arm
    assert_eq!(claim["cheaper_offerings"], 6 + 18);
    let ruled_out = claim["ruled_out"].as_array().unwrap();
    let counted: u64 = ruled_out.iter().map(|of| of["offerings"].as_u64().unwrap()).sum();
    assert_eq!(counted, 24, "{claim}");
    let small = ruled_out.iter().find(|of| of["cause"] == "too-small").unwrap();
    assert_eq!((&small["what"], &small["offerings"]), (&"too small: cpu".into(), &3.into()));
    assert_eq!(small["closest"]["lacks"], "cpu short by 1");
}

#[test]
fn a_placed_pod_has_its_rules_and_its_company() {
    let spread = "nodeSelector: {topology.kubernetes.io/zone: a}, affinity: {nodeAffinity: \
                  {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 7, preference: {matchExpressions: [{key: \
                  kubernetes.io/arch, operator: In, values: [arm64]}]}}]}},";
    let manifests = [POOL, &web(2, "cpu: 500m", spread)].concat();
    let explanation = explained("pod/web-1", &manifests);
    let placed = &explanation["placed"];
    assert_eq!(placed["shares_with"], serde_json::json!(["default/web-2"]));
    assert_eq!(placed["preferences_given_up"][0]["weight"], 7);
    let rule = &placed["decided_by"][0];
    assert_eq!((&rule["rule"], &rule["outcome"]), (&"node-selector".into(), &"the node has a".into()));
    // four sizes of one family, in one of three zones
    assert_eq!((&rule["offerings_left"], &rule["offerings"]), (&4.into(), &12.into()));
    for room in placed["room"].as_array().unwrap() {
        let amount = |field: &str| room[field].as_i64().unwrap();
        assert_eq!(amount("allocatable"), amount("taken_before") + amount("planned") + amount("left"), "{room}");
    }
    assert!((placed["share_usd_hour"].as_f64().unwrap() - 0.05).abs() < 1e-9, "{placed}");
    assert!(placed["worth_usd_hour"].as_f64().unwrap() <= 0.05);
}

/// Whether these changes of the manifests, and only they, are what is proposed; each is made and planned.
fn assert_remedies(pool: &str, web: &str, expected: &[(&str, &str, &str, [&str; 2])]) {
    let manifests = [pool, web].concat();
    assert_ne!(planned(&manifests)["summary"]["pods_unplaced"], 0, "nothing is to be remedied");
    let output = run(&["explain", "deployment/web"], &manifests);
    assert_eq!(output.status.code(), Some(3));
    let explanation = explained("deployment/web", &manifests);
    let mut wanted: Vec<_> = expected
        .iter()
        .map(|(field, from, to, _)| ((*field).to_owned(), (*from).to_owned(), (*to).to_owned()))
        .collect();
    wanted.sort();
    assert_eq!(remedies(&explanation), wanted);
    for (field, _, _, [old, new]) in expected {
        let changed = manifests.replace(old, new);
        assert_ne!(changed, manifests, "{field}");
        assert_eq!(planned(&changed)["summary"]["pods_unplaced"], 0, "{field} does not help");
    }
}

#[test]
fn a_selector_can_go_or_the_pool_can_allow_it() {
    let selector = "nodeSelector: {kubernetes.io/arch: arm64},";
    let family = "NodePool general: spec.template.spec.requirements[karpenter.k8s.aws/instance-family]";
    let selected = "Deployment default/web: spec.template.spec.nodeSelector[kubernetes.io/arch]";
    assert_remedies(
        POOL,
        &web(3, "cpu: '1'", selector),
        &[(family, "In [std]", "In [arm, std]", ["[std]", "[arm, std]"]), (selected, "arm64", "-", [selector, ""])],
    );
}

#[test]
fn a_limit_is_raised_to_what_is_used_then() {
    let limited = format!("{POOL}  limits: {{cpu: '4'}}\n");
    assert_remedies(
        &limited,
        &web(3, "cpu: 1500m, memory: 1Gi", ""),
        &[("NodePool general: spec.limits[cpu]", "4", "8", ["limits: {cpu: '4'}", "limits: {cpu: '8'}"])],
    );
}

#[test]
fn a_taint_can_be_tolerated_or_removed() {
    let tainted = POOL.replace(
        "      requirements:",
        "      taints: [{key: team, value: x, effect: NoSchedule}]\n      requirements:",
    );
    assert_remedies(
        &tainted,
        &web(1, "cpu: '1'", "tolerations: [],"),
        &[
            (
                "Deployment default/web: spec.template.spec.tolerations",
                "-",
                "team=x:NoSchedule",
                ["tolerations: []", "tolerations: [{key: team, value: x, effect: NoSchedule}]"],
            ),
            (
                "NodePool general: spec.template.spec.taints",
                "team=x:NoSchedule",
                "-",
                ["      taints: [{key: team, value: x, effect: NoSchedule}]\n", ""],
            ),
        ],
    );
}

#[test]
fn two_changes_where_none_helps_alone() {
    let both = "nodeSelector: {topology.kubernetes.io/zone: z, example.com/disk: fast},";
    let manifests = [POOL, &web(1, "cpu: '1'", both)].concat();
    let explanation = explained("pod/web-1", &manifests);
    let remedies = explanation["unplaced"]["remedies"].as_array().unwrap();
    assert!(!remedies.is_empty() && remedies.iter().all(|remedy| remedy["changes"].as_array().unwrap().len() == 2));
    assert_eq!(planned(&manifests.replace(both, ""))["summary"]["pods_unplaced"], 0);
    for half in ["nodeSelector: {topology.kubernetes.io/zone: z},", "nodeSelector: {example.com/disk: fast},"] {
        assert_eq!(planned(&manifests.replace(both, half))["summary"]["pods_unplaced"], 1);
    }
}

/// The interval of the first what-if, and the true saving between two questions.
fn assert_saving(subject: &str, before: &str, field: &str, after: &str) {
    let explanation = explained(subject, before);
    let answers = explanation["what_if"].as_array().unwrap();
    let answer =
        answers.iter().find(|answer| answer["change"]["field"] == field).unwrap_or_else(|| panic!("{explanation}"));
    let saving = &answer["saving_usd_hour"];
    let (least, most) = (saving["at_least"].as_f64().unwrap(), saving["at_most"].as_f64().unwrap());
    let truth = cost(before) - cost(after);
    assert!(truth > 0.0 && least <= truth + 1e-9 && truth <= most + 1e-9, "{truth} is not within {saving}");
}

#[test]
fn what_a_limit_costs_lies_within_the_interval() {
    let web = web(6, "cpu: 1500m", "");
    let limited = |nodes| [&*format!("{POOL}  limits: {{nodes: '{nodes}'}}\n"), &web].concat();
    assert_saving("pod/web-1", &limited(1), "spec.limits[nodes]", &limited(2));
}

#[test]
fn what_a_rule_costs_lies_within_the_interval() {
    let spread = "topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: \
                  DoNotSchedule, labelSelector: {matchLabels: {app: web}}}],";
    let manifests = [POOL, &web(3, "cpu: 500m", spread)].concat();
    let field = "spec.template.spec.topologySpreadConstraints[topology.kubernetes.io/zone]";
    assert_saving("deployment/web", &manifests, field, &manifests.replace(spread, ""));
}

#[test]
fn unknown_names_are_2_with_close_ones() {
    let manifests = [POOL, &web(2, "cpu: '1'", "")].concat();
    for (subject, expected) in [
        ("pod/wbe-1", "the input has no pod wbe-1; close to it: pod/default/web-1"),
        ("claim/general-x", "the plan has no claim general-x; close to it: claim/general-"),
        ("deployment/wep", "no pod of the input belongs to deployment wep; close to it: deployment/web"),
        ("web", "'web' names nothing: expected pod/NAME"),
    ] {
        let output = run(&["explain", subject], &manifests);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(run(&["explain", "deployment/web"], &manifests).status.code(), Some(0));
}

#[test]
fn kinds_are_named_as_kubectl_names_them() {
    let owner = "{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d8f9, uid: u, controller: true}";
    let live = format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: web-5d8f9-a, labels: {{pod-template-hash: 5d8f9}}, \
         ownerReferences: [{owner}]}}, spec: {{containers: [{{name: c, image: i}}]}}}}\n"
    );
    let set = "---\n{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {serviceName: s, replicas: 1, selector: \
               {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}\n";
    let daemons = "---\n{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent}, spec: {selector: {matchLabels: {a: b}}, \
                   template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}\n";
    let manifests = [POOL, &live, set, daemons].concat();
    for (subject, pod) in [
        ("deploy/web", "default/web-5d8f9-a"),
        ("deployments.apps/web", "default/web-5d8f9-a"),
        ("rs/web-5d8f9", "default/web-5d8f9-a"),
        ("sts/db", "default/db-0"),
        ("StatefulSets/default/db", "default/db-0"),
        ("pods/db-0", "default/db-0"),
    ] {
        assert_eq!(explained(subject, &manifests)["name"], pod, "{subject}");
    }
    for (subject, expected) in [
        (
            "ds/agent",
            "daemonset default/agent: its pods are not planned by themselves, they are overhead of every node",
        ),
        ("daemonset/agnet", "the input has no daemonset agnet; close to it: daemonset/default/agent"),
    ] {
        let output = run(&["explain", subject], &manifests);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && message.contains(expected), "{message}");
    }
}

#[test]
fn a_pod_that_is_not_planned_is_said_to_be_there() {
    let pod = |name: &str, spec: &str, status: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{{spec} containers: [{{name: c, image: i}}]}}, status: \
             {{{status}}}}}\n"
        )
    };
    let avoiding = "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: \
                    [{matchExpressions: [{key: karpenter.sh/nodepool, operator: DoesNotExist}]}]}}},";
    let manifests = [
        POOL,
        &pod("gated", "schedulingGates: [{name: acme.com/quota}],", ""),
        &pod("done", "", "phase: Succeeded"),
        &pod("avoiding", avoiding, ""),
        &pod("bound", "nodeName: elsewhere,", "phase: Running"),
        &pod("bad", "nodeSelector: 7,", ""),
    ]
    .concat();
    for (subject, why) in [
        ("pod/default/gated", "it waits behind scheduling gates: acme.com/quota"),
        ("pod/done", "it has ended"),
        ("pod/avoiding", "its node affinity keeps it off nodes of every NodePool"),
        ("pod/bad", "spec.nodeSelector: "),
    ] {
        let output = run(&["explain", subject], &manifests);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let name = subject.rsplit('/').next().unwrap();
        let expected = format!("error: pod default/{name} is not planned: {why}");
        assert!(output.status.code() == Some(2) && message.contains(&expected), "{message}");
    }
    let explanation = explained("pod/bound", &manifests);
    assert_eq!((&explanation["bound_to"], &explanation["is_node_unknown"]), (&"elsewhere".into(), &true.into()));
}

#[test]
fn a_daemon_set_is_named_where_a_cheaper_type_is_too_small_for_it() {
    let agent = "---\n{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent}, spec: {selector: {matchLabels: {a: b}}, \
                 template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i, resources: {requests: {cpu: \
                 500m}}}]}}}}\n";
    let manifests = [POOL, &web(1, "cpu: 1800m", ""), agent].concat();
    let name = planned(&manifests)["launches"][0]["name"].as_str().unwrap().to_owned();
    let explanation = explained(&format!("claim/{name}"), &manifests);
    assert_eq!(explanation["claim"]["node"]["instance_type"], "std-4");
    let ruled_out = explanation["claim"]["ruled_out"].as_array().unwrap();
    let said = "too small: cpu beside its daemon pods (DaemonSet default/agent takes 500m)";
    assert!(ruled_out.iter().any(|of| of["what"] == said), "{ruled_out:?}");
}

#[test]
fn an_owner_without_pending_pods_says_what_became_of_them() {
    let pod = |name: &str, owner: &str, hash: &str, rest: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{pod-template-hash: '{hash}'}}, ownerReferences: \
             [{{apiVersion: x/v1, {owner}, uid: u, controller: true}}]}}, {rest}}}\n"
        )
    };
    let gates = "schedulingGates: [{name: acme.com/quota}],";
    let manifests = [
        POOL,
        &web(2, "cpu: '1'", gates),
        &pod(
            "there-5d-a",
            "kind: ReplicaSet, name: there-5d",
            "5d",
            "spec: {nodeName: n1, containers: [{name: c, image: i}]}",
        ),
        &pod(
            "done-a",
            "kind: Job, name: done",
            "",
            "spec: {containers: [{name: c, image: i}]}, status: {phase: Failed}",
        ),
        &pod(
            "api-7f-a",
            "kind: ReplicaSet, name: api-7f",
            "7f",
            &format!("spec: {{{gates} containers: [{{name: c, image: i}}]}}"),
        ),
    ]
    .concat();
    for (subject, expected) in [
        (
            "deploy/web",
            "error: pod default/web-1 of deployment web is not planned: it waits behind scheduling gates: acme.com/quota",
        ),
        ("pod/web-2", "error: pod default/web-2 is not planned: it waits behind scheduling gates: acme.com/quota"),
        ("job/done", "error: pod default/done-a of job done is not planned: it has ended"),
        ("deployment/api", "error: pod default/api-7f-a of deployment api is not planned: it waits behind"),
    ] {
        let output = run(&["explain", subject], &manifests);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && message.contains(expected), "{message}");
    }
    assert_eq!(explained("deploy/there", &manifests)["bound_to"], "n1");
}

#[test]
fn what_a_plan_says_of_its_input_is_said_here_too() {
    let gated = "---\n{apiVersion: v1, kind: Pod, metadata: {name: g}, spec: {schedulingGates: [{name: x}], containers: [{name: \
                 c, image: i}]}}\n";
    let class = "priorityClassName: unknown,";
    let bad = "---\n{apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {nodeSelector: 7, containers: [{name: c, image: i}]}}\n";
    let manifests = [POOL, &web(1, "cpu: '1'", class), gated, bad].concat();
    let plan = planned(&manifests);
    let explanation = explained("deployment/web", &manifests);
    for field in ["assumptions", "notes", "errors"] {
        assert!(!plan[field].as_array().unwrap().is_empty(), "{field}: {plan}");
        assert_eq!(explanation[field], plan[field], "{field}");
    }
    let output = run(&["explain", "deployment/web"], &manifests);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    for said in
        ["assumed: PriorityClass unknown is not in the input", "note: 1 pod waits behind", "error: -, document "]
    {
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn the_next_command_asks_the_same_question() {
    let output = run(
        &["explain", "deployment/web", "--feature-gates", "NodeOverlay=false"],
        &[POOL, &web(1, "cpu: '1'", "")].concat(),
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let hint = said.lines().find(|line| line.starts_with("Why the node is what it is: ")).expect(&said);
    assert!(hint.contains("packwright explain claim/general-"), "{hint}");
    assert!(
        hint.ends_with(&format!("--feature-gates NodeOverlay=false -f - --catalog {SHARED}/catalog.json")),
        "{hint}"
    );
}

/// What is said of each node is what is planned, whatever waits; and one that nothing holds and nobody takes says why.
#[test]
fn of_each_node_it_says_what_the_plan_does_with_it() {
    let of = |args: &[&str], folder: &str| -> Value {
        let output = packwright(args).args(["--work-limits", "usual", "-o", "json", "-f", folder]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    };
    let whole = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/half-empty/cluster.yaml");
    let text = std::fs::read_to_string(whole).unwrap();
    let narrow = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-at-a-time.yaml");
    std::fs::write(&narrow, text.replace("{nodes: 100%}", "{nodes: '1'}")).unwrap();
    for (file, stay) in [(whole, 0), (narrow.to_str().unwrap(), 7)] {
        let plan = of(&["plan", "--scope", "consolidate"], file);
        let commands = plan["consolidation"]["commands"].as_array().unwrap();
        let removed: Vec<&str> = commands
            .iter()
            .flat_map(|of| of["removed"].as_array().unwrap())
            .map(|of| of["node"].as_str().unwrap())
            .collect();
        let nodes =
            text.lines().filter_map(|line| line.strip_prefix("  nodeName: ")).filter(|of| of.starts_with("ip-"));
        let nodes: std::collections::BTreeSet<&str> = nodes.collect();
        assert_eq!(nodes.len(), 8, "{nodes:?}");
        assert_eq!(removed.len(), 8 - stay, "{removed:?}");
        for node in nodes {
            let why = of(&["explain", &format!("node/{node}")], file);
            let is_passed_over = why["passed_over"]["is_budget_used"] == true;
            assert_eq!(
                (!why["goes"].is_null(), is_passed_over),
                (removed.contains(&node), !removed.contains(&node)),
                "{why:#}"
            );
        }
    }
}
