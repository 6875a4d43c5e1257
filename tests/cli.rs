//! The binary as a user calls it: `packwright plan` and what surrounds it.

mod input;
mod settings;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use packwright::api::node_claim::NodeClaim;
use packwright::api::validate::Validate as _;
use serde_json::Value;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/shared");
const EXERCISE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/getting-started");

/// Variables that change what the program says.
const VARIABLES: [&str; 12] = [
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "VM_MEMORY_OVERHEAD_PERCENT",
    "RESERVED_ENIS",
    "PREFERENCE_POLICY",
    "MIN_VALUES_POLICY",
    "SCHEDULER_CONFIG",
    "FEATURE_GATES",
    "IGNORE_DRA_REQUESTS",
    "PACKWRIGHT_ESTIMATE_MARGIN",
    "PACKWRIGHT_MAX_INSTANCE_TYPES",
    "PACKWRIGHT_PRICE_FLEXIBILITY",
];

/// The binary; settings of whoever runs the tests must not show.
pub fn packwright(args: &[&str]) -> Command {
    // measurements are of what ships
    let program = std::env::var("PACKWRIGHT_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_packwright").to_owned());
    let mut command = Command::new(program);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// Plans what stands on stdin beside the shared pool, on the shared catalogue.
fn plan(manifests: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    let catalog = format!("{SHARED}/catalog.json");
    let pool = format!("{SHARED}/pool.yaml");
    let mut command = packwright(&["plan", "-f", "-", "-f", &pool, "--catalog", &catalog]);
    command.args(args);
    answer(command, manifests, env)
}

/// What a command says to manifests on stdin.
fn answer(mut command: Command, manifests: &str, env: &[(&str, &str)]) -> Output {
    command.envs(env.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // a refused option ends the program before it reads
    let _ = child.stdin.take().unwrap().write_all(manifests.as_bytes());
    child.wait_with_output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", text(&output.stderr)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i, resources: \
                   {requests: {cpu: '1'}}}]}}\n";

#[test]
fn every_pod_placed_is_0() {
    let output = plan(POD, &[], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("1 node for 1 pod, 0 not placed: $0.1000/h"), "{}", text(&output.stdout));
}

#[test]
fn invalid_input_is_2_and_the_rest_is_planned() {
    let bad = "---\n{apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {containers: [{name: c, image: i, resources: \
               {requests: {cpu: 1x}}}]}}\n";
    let unplaceable = "---\n{apiVersion: v1, kind: Pod, metadata: {name: arm}, spec: {nodeSelector: \
                       {kubernetes.io/arch: arm64}, containers: [{name: c, image: i}]}}\n";
    // 2 comes before 3
    let output = plan(&[POD, bad, unplaceable].concat(), &["-o", "json"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let report = json(&output);
    assert_eq!(report["summary"]["pods_placed"], 1);
    assert_eq!(report["summary"]["pods_unplaced"], 1);
    let expected = "-, document 2: Pod default/bad: spec.containers[0].resources.requests.cpu: '1x' is not a quantity";
    assert!(report["errors"][0].as_str().unwrap().starts_with(expected), "{report}");
    assert!(text(&output.stderr).contains(expected));
}

#[test]
fn pods_that_cannot_be_placed_are_3() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: arm}, spec: {nodeSelector: {kubernetes.io/arch: arm64}, \
               containers: [{name: c, image: i}]}}\n";
    let output = plan(pod, &[], &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("not placed: default/arm (1)"), "{}", text(&output.stdout));
}

#[test]
fn what_is_refused_is_2_in_one_sentence() {
    for (args, env, expected) in [
        (&["--ignore-dra-requests", "false"][..], &[][..], "--ignore-dra-requests (IGNORE_DRA_REQUESTS) must be true"),
        (&[], &[("IGNORE_DRA_REQUESTS", "false")], "IGNORE_DRA_REQUESTS"),
        (&["--feature-gates", "Nope=true"], &[], "there is no gate Nope"),
        (&[], &[("FEATURE_GATES", "NodeOverlay")], "is not Name=true or Name=false"),
        (&["--spot-prices", "x"], &[], "a catalogue of its own brings its own prices"),
    ] {
        let output = plan(POD, args, env);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?} {env:?}: {message}");
        assert!(message.contains(expected), "{args:?} {env:?}: {message}");
        assert_eq!(message.trim().lines().count(), 1, "{message}");
    }
}

#[test]
fn options_that_do_not_parse_are_2() {
    for args in [
        &["--vm-memory-overhead-percent", "7"][..],
        &["--preference-policy", "Maybe"],
        &["--time-limit", "soon"],
        &["--output", "html"],
        &["--no-such-option"],
    ] {
        let output = plan(POD, args, &[]);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
    }
    assert_eq!(packwright(&["plan", "-f", "/does/not/exist"]).output().unwrap().status.code(), Some(2));
    assert_eq!(packwright(&["plan"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn the_summary_has_the_fields_that_scripts_read() {
    let report = json(&plan(POD, &["-o", "json"], &[]));
    let summary = report["summary"].as_object().unwrap();
    for field in ["cost_usd_hour", "bound_usd_hour", "greedy_usd_hour", "gap", "elapsed_ms"] {
        assert!(summary[field].is_number(), "{field}: {summary:?}");
    }
    for (field, value) in [("nodes", 1), ("pods_placed", 1), ("pods_unplaced", 0)] {
        assert_eq!(summary[field], value, "{field}");
    }
    assert!(summary["stage"].is_string());
    let launch = &report["launches"][0];
    assert_eq!(launch["instance_types"][0], launch["instance_type"]);
    let offers = launch["offers"].as_array().unwrap();
    let of = |field: &str| -> BTreeSet<String> {
        offers.iter().map(|offer| offer[field].as_str().unwrap().to_owned()).collect()
    };
    let said = |field: &str| -> BTreeSet<String> {
        launch[field].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(said("instance_types"), of("instance_type"));
    assert_eq!(said("zones"), of("zone"));
    assert_eq!(summary["cost_usd_hour"], 0.1);
    // half of a std-2 by cpu
    assert!(summary["bound_usd_hour"].as_f64().unwrap() <= 0.1);
}

#[test]
fn wide_names_every_pod_and_the_table_counts_them_by_node() {
    let node = "---\n{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {kubernetes.io/os: linux}}, status: \
                {allocatable: {cpu: '3', memory: 8Gi, pods: '20'}, conditions: [{type: Ready, status: 'True'}]}}\n";
    let set = "---\n{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a-name-that-is-rather-long}, spec: {serviceName: \
               s, replicas: 12, selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: \
               [{name: c, image: i, resources: {requests: {cpu: 500m}}}]}}}}\n";
    let wide = text(&plan(&[node, set].concat(), &["-o", "wide"], &[]).stdout);
    for ordinal in 0..12 {
        let name = format!("default/a-name-that-is-rather-long-{ordinal}");
        let named = wide.split_whitespace().filter(|word| *word == name).count();
        assert_eq!(named, 1, "{name}: {wide}");
    }
    let table = text(&plan(&[node, set].concat(), &[], &[]).stdout);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["EXISTING", "NODE", "PODS"]) && rows.contains(&vec!["n1", "6"]), "{table}");
}

#[test]
fn yaml_says_the_same_as_json() {
    let from_yaml: Value = serde_saphyr::from_str(&text(&plan(POD, &["-o", "yaml"], &[]).stdout)).unwrap();
    let from_json = json(&plan(POD, &["-o", "json"], &[]));
    assert_eq!(from_yaml["launches"], from_json["launches"]);
    assert_eq!(from_yaml["summary"]["nodes"], from_json["summary"]["nodes"]);
}

#[test]
fn claims_are_valid_node_claims() {
    let output = packwright(&["plan", "-f", EXERCISE, "-o", "claims"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    let documents: Vec<&str> = stdout.split("---\n").filter(|document| !document.trim().is_empty()).collect();
    assert!(!documents.is_empty());
    for document in documents {
        let claim: NodeClaim = serde_saphyr::from_str(document).unwrap();
        assert_eq!(claim.validate(), [], "{document}");
        assert_eq!(claim.metadata.labels.as_ref().unwrap()["karpenter.sh/nodepool"], "default");
        let keys: Vec<&str> = claim.spec.requirements.iter().map(|r| r.key.as_str()).collect();
        for key in ["node.kubernetes.io/instance-type", "topology.kubernetes.io/zone", "karpenter.sh/capacity-type"] {
            assert!(keys.contains(&key), "{document}");
        }
        let annotations = claim.metadata.annotations.as_ref().unwrap();
        let offers: Vec<(&str, &str)> = annotations["packwright.dev/offers"]
            .split(',')
            .map(|offer| offer.split_once('/').unwrap_or_else(|| panic!("{offer}")))
            .collect();
        let values = |key: &str| -> BTreeSet<&str> {
            let requirement = claim.spec.requirements.iter().find(|r| r.key == key).unwrap();
            requirement.values.iter().map(String::as_str).collect()
        };
        assert_eq!(values("node.kubernetes.io/instance-type"), offers.iter().map(|(kind, _)| *kind).collect());
        assert_eq!(values("topology.kubernetes.io/zone"), offers.iter().map(|(_, zone)| *zone).collect());
    }
}

#[test]
fn the_exercise_is_planned_and_its_assumptions_are_printed() {
    let output = packwright(&["plan", "-f", EXERCISE]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("for 5 pods, 0 not placed"), "{}", text(&output.stdout));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("assumed: spot prices are estimates"), "{stderr}");
}

#[test]
fn variables_and_flags_of_settings_are_the_same() {
    let spread = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 3\n  selector: \
                  {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      \
                  containers: [{name: c, image: i}]\n      topologySpreadConstraints: [{maxSkew: 1, topologyKey: \
                  topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: \
                  web}}}]\n";
    let nodes = |args: &[&str], env: &[(&str, &str)]| {
        json(&plan(spread, &[&["-o", "json"], args].concat(), env))["summary"]["nodes"].as_u64().unwrap()
    };
    assert_eq!(nodes(&[], &[]), 3);
    assert_eq!(nodes(&["--preference-policy", "Ignore"], &[]), 1);
    assert_eq!(nodes(&[], &[("PREFERENCE_POLICY", "Ignore")]), 1);
    assert_eq!(nodes(&["--preference-policy", "Respect"], &[("PREFERENCE_POLICY", "Ignore")]), 3);
}

#[test]
fn settings_of_nodes_change_what_fits() {
    let allocatable = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = packwright(&["plan", "-f", EXERCISE, "-o", "json"]);
        let report = json(&command.args(args).envs(env.iter().copied()).output().unwrap());
        let launch = &report["launches"][0];
        let of_pods = launch["allocatable"]["pods"].clone();
        (launch["instance_type"].clone(), launch["allocatable"]["memory"].as_i64().unwrap(), of_pods)
    };
    let (kind, memory, _) = allocatable(&[], &[]);
    for less in [
        allocatable(&["--vm-memory-overhead-percent", "0.1"], &[]),
        allocatable(&[], &[("VM_MEMORY_OVERHEAD_PERCENT", "0.1")]),
    ] {
        assert!(less.0 != kind || less.1 < memory, "{less:?}");
    }
    let (kind, _, pods) = allocatable(&[], &[]);
    let reserved = allocatable(&[], &[("RESERVED_ENIS", "1")]);
    assert!(reserved.0 != kind || reserved.2 != pods, "{reserved:?}");
    assert_eq!(reserved, allocatable(&["--reserved-enis", "1"], &[]));
}

#[test]
fn kinds_of_the_input_turn_their_gates_on() {
    let buffer = "---\n{apiVersion: v1, kind: PodTemplate, metadata: {name: t}, template: {spec: {containers: [{name: \
                  c, image: i}]}}}\n---\n{apiVersion: autoscaling.x-k8s.io/v1beta1, kind: CapacityBuffer, metadata: {name: b}, \
                  spec: {podTemplateRef: {name: t}, replicas: 2}}\n";
    let overlay = "---\n{apiVersion: karpenter.sh/v1alpha1, kind: NodeOverlay, metadata: {name: o}, spec: \
                   {requirements: [], price: '0.5'}}\n";
    let report = json(&plan(&[POD, buffer, overlay].concat(), &["-o", "json"], &[]));
    let notes = report["notes"].to_string();
    assert!(notes.contains("feature gate CapacityBuffer is turned on"), "{notes}");
    assert!(notes.contains("feature gate NodeOverlay is turned on"), "{notes}");
    assert!(!notes.contains("StaticCapacity"), "{notes}");
    assert_eq!(report["summary"]["pods_placed"], 3);
    assert_eq!(report["summary"]["cost_usd_hour"], 0.5);
    let without = json(&plan(POD, &["-o", "json"], &[]));
    assert!(!without["notes"].to_string().contains("feature gate"), "{without}");
}

#[test]
fn stdin_takes_json_too() {
    let pods = r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},
        "spec":{"containers":[{"name":"c", "image": "i"}]}}]}"#;
    let report = json(&plan(pods, &["-o", "json"], &[]));
    assert_eq!(report["launches"][0]["pods"][0], "default/p");
}

#[test]
fn help_has_examples_and_version_a_number() {
    let help = text(&packwright(&["plan", "--help"]).output().unwrap().stdout);
    assert!(help.contains("Examples:") && help.contains("packwright plan -f examples/getting-started"), "{help}");
    assert!(help.contains("Exit codes"), "{help}");
    let help = text(&packwright(&["--help"]).output().unwrap().stdout);
    for command in ["plan", "types", "crds", "completions"] {
        assert!(help.contains(command), "{help}");
    }
    let version = packwright(&["--version"]).output().unwrap();
    assert_eq!(text(&version.stdout).trim(), format!("packwright {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let output = packwright(&["completions", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("spot-prices"), "{shell}");
    }
}

#[test]
fn empty_input_is_2_and_says_which_path() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty-input");
    let empty = folder.join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    std::fs::write(empty.join("notes.txt"), "kind: Pod").unwrap();
    let comment = folder.join("comment.yaml");
    std::fs::write(&comment, "# nothing\n---\n").unwrap();
    for (path, expected) in [
        ("-", "no Kubernetes objects found"),
        (comment.to_str().unwrap(), "no Kubernetes objects found"),
        (folder.to_str().unwrap(), "no Kubernetes objects found"),
        (empty.to_str().unwrap(), "no .yaml, .yml or .json file"),
    ] {
        let output = answer(packwright(&["plan", "-f", path]), "", &[]);
        assert_eq!(output.status.code(), Some(2), "{path}");
        assert_eq!(text(&output.stderr), format!("error: {path}: {expected}\n"));
        assert_eq!(text(&output.stdout), "");
    }
    // the rest is planned
    let output = plan("", &[], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("error: -: no Kubernetes objects found"), "{}", text(&output.stderr));
    // a cluster may be empty
    let output = plan("{kind: List, apiVersion: v1, items: []}", &[], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("note: no pending pods in the input"), "{}", text(&output.stderr));
    assert!(!text(&plan(POD, &[], &[]).stderr).contains("no pending pods"));
}

#[test]
fn a_path_that_does_not_exist_is_2_and_nothing_is_planned() {
    let output = plan(POD, &["-f", "/does/not/exist"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "error: /does/not/exist: no such file or directory\n");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn text_that_is_no_object_is_2() {
    let output = answer(packwright(&["plan", "-f", "-"]), "text from kubectl\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: -: not a Kubernetes object (a mapping with apiVersion and kind)";
    assert!(text(&output.stderr).starts_with(expected), "{}", text(&output.stderr));
}

#[test]
fn claims_leave_what_is_not_placed_and_the_summary_to_stderr() {
    let arm = "---\n{apiVersion: v1, kind: Pod, metadata: {name: arm}, spec: {nodeSelector: {kubernetes.io/arch: \
               arm64}, containers: [{name: c, image: i}]}}\n";
    let output = plan(&[POD, arm].concat(), &["-o", "claims"], &[]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("not placed: default/arm (1)"), "{stderr}");
    assert!(stderr.contains("1 node for 1 pod, 1 not placed: $0.1000/h"), "{stderr}");
    assert!(!text(&output.stdout).contains("not placed"));
}

#[test]
fn a_plan_that_places_nothing_has_no_gap() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: arm}, spec: {nodeSelector: {kubernetes.io/arch: arm64}, \
               containers: [{name: c, image: i}]}}\n";
    assert_eq!(json(&plan(pod, &["-o", "json"], &[]))["summary"]["gap"], Value::Null);
    let table = text(&plan(pod, &[], &[]).stdout);
    assert!(table.contains("proven bound - (gap -)") && !table.contains("time limit"), "{table}");
    let stopped = plan(POD, &["--time-limit", "0s"], &[]);
    assert_eq!(stopped.status.code(), Some(3));
    let table = text(&stopped.stdout);
    assert!(table.lines().last().unwrap().ends_with("stopped at the time limit"), "{table}");
}

#[test]
fn a_limit_that_the_plan_used_up_is_said_so() {
    let pool = "---\n{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: small}, spec: {limits: {cpu: 2}, \
                template: {spec: {nodeClassRef: {group: karpenter.kwok.sh, kind: KWOKNodeClass, name: default}, \
                requirements: []}}}}\n";
    let pod = |name: &str, cpu: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: i, resources: \
             {{requests: {{cpu: '{cpu}'}}}}}}]}}}}\n"
        )
    };
    let reasons = |pods: &str| {
        let report = json(&answer(packwright(&["plan", "-f", "-", "-o", "json"]), &[pool, pods].concat(), &[]));
        let unplaced = report["unplaced"].as_array().unwrap().iter();
        unplaced.map(|left| left["reason"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        reasons(&[pod("a", "1500m"), pod("b", "1500m")].concat()),
        ["NodePool small has used up its limit of cpu 2"]
    );
    assert_eq!(
        reasons(&pod("a", "3")),
        ["no NodePool can hold it: NodePool small is limited to cpu 2; requests cpu 3"]
    );
}

const FLEXIBLE: &str = "---\n{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: flexible}, spec: {template: \
                        {spec: {nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}, \
                        requirements: [{key: karpenter.k8s.aws/instance-family, operator: Exists, minValues: 9}]}}}}\n";

#[test]
fn minimums_that_cannot_be_kept_are_said() {
    let catalog = format!("{SHARED}/catalog.json");
    let plan = |args: &[&str]| {
        let command = packwright(&[&["plan", "-f", "-", "--catalog", &catalog], args].concat());
        answer(command, &[POD, FLEXIBLE].concat(), &[])
    };
    let output = plan(&["--min-values-policy", "BestEffort", "-o", "claims"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let claim: NodeClaim = serde_saphyr::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(claim.validate(), []);
    assert_eq!(claim.metadata.annotations.unwrap()["karpenter.sh/nodeclaim-min-values-relaxed"], "true");
    let family = claim.spec.requirements.iter().find(|r| r.key == "karpenter.k8s.aws/instance-family").unwrap();
    let found = family.min_values.unwrap();
    assert!((1..9).contains(&found), "{found}");
    let note = format!(
        "note: NodePool flexible: minValues of karpenter.k8s.aws/instance-family is lowered from 9 to {found} in 1 launch"
    );
    assert!(text(&output.stderr).contains(&note), "{}", text(&output.stderr));
    let strict = json(&plan(&["-o", "json"]));
    let reason = strict["unplaced"][0]["reason"].as_str().unwrap();
    let expected = "minValues (NodePool flexible wants 9 values of karpenter.k8s.aws/instance-family, found ";
    assert!(reason.contains(expected), "{reason}");
}

#[test]
fn what_is_given_twice_is_named_with_both_places() {
    let notes = json(&plan(&[POD, "---\n", POD].concat(), &["-o", "json"], &[]))["notes"].to_string();
    let expected = "Pod default/p was given more than once: -, document 1 and -, document 2; the last one is used";
    assert!(notes.contains(expected), "{notes}");
}
