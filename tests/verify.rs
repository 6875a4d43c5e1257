//! A stored decision holds, and nothing that is changed in it goes unnoticed.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

fn packwright(args: &[&str]) -> Output {
    crate::cli::packwright(args).output().expect("the program runs")
}

/// The exercise, exported into a folder of the test's own.
fn exported(name: &str) -> PathBuf {
    exported_with(name, &[])
}

fn exported_with(name: &str, flags: &[&str]) -> PathBuf {
    exported_from(name, concat!(env!("CARGO_MANIFEST_DIR"), "/examples/getting-started"), flags)
}

fn exported_from(name: &str, manifests: &str, flags: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify").join(name);
    let out = folder.to_str().expect("a path in UTF-8");
    let usual: &[&str] = if flags.contains(&"--work-limits") { &[] } else { &["--work-limits", "usual"] };
    let output = packwright(&[&["export", "-f", manifests, "--out", out], usual, flags].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// (exit code, what it says to stderr)
fn verified(folder: &Path) -> (Option<i32>, String) {
    let output = packwright(&["verify", folder.to_str().expect("a path in UTF-8")]);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What is said of an export of which one file was changed.
fn tampered(name: &str, file: &str, change: impl FnOnce(&mut Value)) -> (Option<i32>, String) {
    let folder = exported(name);
    let path = folder.join(file);
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(&path, value.to_string()).unwrap();
    verified(&folder)
}

fn cost_level(decision: &mut Value) -> &mut Value {
    decision["certificate"]["levels"].as_array_mut().unwrap().last_mut().unwrap()
}

#[test]
fn what_was_decided_holds() {
    let folder = exported("sound");
    assert_eq!(verified(&folder), (Some(0), String::new()));
    let output = packwright(&["verify", folder.to_str().unwrap(), "-o", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["levels"].as_array().unwrap().iter().all(|level| level["is_proven"] == true), "{json}");
}

#[test]
fn a_bound_that_is_raised_is_not_proven() {
    // above what the plan itself comes to
    let (code, said) = tampered("impossible-bound", "decision.json", |decision| {
        cost_level(decision)["bound"] = 94_971.into();
    });
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("a bound of 94971 is stated, but the plan itself comes to 94970"), "{said}");
    // between what is proven and that
    let folder = exported_with("raised-bound", &["--work-limits", "rounds=3,exact-steps=0,ways=0"]);
    assert_eq!(verified(&folder), (Some(0), String::new()));
    let path = folder.join("decision.json");
    let mut decision: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let (bound, objective) =
        (cost_level(&mut decision)["bound"].clone(), cost_level(&mut decision)["objective"].clone());
    let bound = bound.as_i64().unwrap();
    assert!(bound > 0 && bound < objective.as_i64().unwrap() - 1, "no gap: {bound} {objective}");
    cost_level(&mut decision)["bound"] = (bound + bound / 500 + 1).into();
    std::fs::write(&path, decision.to_string()).unwrap();
    let (code, said) = verified(&folder);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("is stated, only"), "{said}");
}

/// A decision for which a type was hidden, beside the Snapshot that has it.
#[test]
fn a_shape_that_was_hidden_leaves_the_bound_unproven() {
    let folder = exported("whole");
    let hidden = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify/hidden-examples");
    std::fs::create_dir_all(&hidden).unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/getting-started");
    for entry in std::fs::read_dir(examples).unwrap().map(Result::unwrap) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let without_large = text.replace("[medium, large, xlarge]", "[medium, xlarge]");
        std::fs::write(hidden.join(entry.file_name()), without_large).unwrap();
    }
    let poorer = exported_from("poorer", hidden.to_str().unwrap(), &[]);
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let mut decision: Value = serde_json::from_str(&read(&poorer, "decision.json")).unwrap();
    let whole: Value = serde_json::from_str(&read(&folder, "decision.json")).unwrap();
    decision["snapshot_sha256"] = whole["snapshot_sha256"].clone();
    std::fs::write(poorer.join("snapshot.json"), read(&folder, "snapshot.json")).unwrap();
    std::fs::write(poorer.join("decision.json"), decision.to_string()).unwrap();
    let (code, said) = verified(&poorer);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("is stated, only") && !said.contains("breaks a rule"), "{said}");
}

#[test]
fn an_end_that_is_not_reached_and_files_of_others_are_noticed() {
    let folder = exported_with("not-optimal", &["--work-limits", "rounds=3,exact-steps=0,ways=0"]);
    let path = folder.join("decision.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut decision: Value = serde_json::from_str(&text).unwrap();
    decision["certificate"]["stop"] = "optimal".into();
    std::fs::write(&path, decision.to_string()).unwrap();
    let (code, said) = verified(&folder);
    assert!(code == Some(5) && said.contains("said to have ended with an optimal plan"), "{said}");
    let mut decision: Value = serde_json::from_str(&text).unwrap();
    decision["files_sha256"].as_object_mut().unwrap().remove("columns.mps").expect("the file is listed");
    std::fs::write(&path, decision.to_string()).unwrap();
    let (code, said) = verified(&folder);
    assert!(code == Some(2) && said.contains("columns.mps: not a file of this decision"), "{said}");
}

#[test]
fn values_that_are_raised_or_absurd_prove_less() {
    let raised: fn(i64) -> i64 = |value| value * 10;
    for (name, of) in [("raised", raised), ("largest", |_| i64::MAX), ("negative", |_| i64::MIN)] {
        let (code, said) = tampered(&format!("{name}-values"), "decision.json", |decision| {
            let proof = &mut decision["certificate"]["proof"];
            proof["is_exhaustive"] = false.into();
            for value in proof["values"].as_array_mut().unwrap() {
                value["nano_usd_hour"] = of(value["nano_usd_hour"].as_i64().unwrap()).into();
            }
        });
        assert_eq!(code, Some(5), "{name}: {said}");
        assert!(said.contains("only"), "{name}: {said}");
    }
}

#[test]
fn without_its_search_the_bound_of_few_pods_is_not_proven() {
    let (code, said) = tampered("no-search", "decision.json", |decision| {
        assert_eq!(decision["certificate"]["proof"]["is_exhaustive"], true);
        decision["certificate"]["proof"]["is_exhaustive"] = false.into();
    });
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("a bound of 94970 is stated, only"), "{said}");
}

#[test]
fn prices_and_fractions_that_are_absurd_prove_no_more() {
    for (name, number) in [("huge", "9".repeat(38)), ("negative", "-1".to_owned()), ("word", "many".to_owned())] {
        let folder = format!("{name}-prices");
        let (code, said) = tampered(&folder, "decision.json", |decision| {
            decision["certificate"]["proof"]["is_exhaustive"] = false.into();
            let proof = &mut decision["certificate"]["proof"];
            for price in proof["prices"].as_array_mut().unwrap().iter_mut().flat_map(|of| of.as_array_mut().unwrap()) {
                *price = number.clone().into();
            }
            proof["theta"] = serde_json::json!([number, number]);
        });
        // the exercise needs a search: without it, and with such prices, less is proven
        assert!(code == Some(5) && said.contains("a bound of 94970 is stated, only"), "{name}: {code:?} {said}");
    }
}

#[test]
fn a_plan_that_is_changed_breaks_a_rule() {
    let lowered: fn(&mut Value) = |decision| decision["plan"]["launches"][0]["offers"][0]["price"] = 1.into();
    let dropped: fn(&mut Value) = |decision| drop(decision["plan"]["assignments"].as_array_mut().unwrap().pop());
    let crowded: fn(&mut Value) = |decision| {
        let first = decision["plan"]["assignments"][0]["target"].clone();
        for assignment in decision["plan"]["assignments"].as_array_mut().unwrap() {
            assignment["target"] = first.clone();
        }
    };
    for (name, of) in [("lowered", lowered), ("dropped", dropped), ("crowded", crowded)] {
        let (code, said) = tampered(name, "decision.json", of);
        assert_eq!(code, Some(5), "{name}: {said}");
        assert!(said.contains("the plan breaks a rule"), "{name}: {said}");
    }
}

#[test]
fn an_objective_that_is_changed_is_not_that_of_the_plan() {
    let (code, said) =
        tampered("objective", "decision.json", |decision| cost_level(decision)["objective"] = 94_969.into());
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("stated 94969, the plan comes to"), "{said}");
}

#[test]
fn another_snapshot_is_refused() {
    let (code, said) = tampered("snapshot", "snapshot.json", |snapshot| {
        drop(snapshot["node_pools"][0]["instance_types"].as_array_mut().unwrap().pop());
    });
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("SHA-256"), "{said}");
}

/// Two pods of one size, each alone of its kind on a node: they may share one.
#[test]
fn pods_that_exclude_only_their_own_kind_are_not_bounded_as_if_they_excluded_each_other() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify/ports");
    std::fs::create_dir_all(&folder).unwrap();
    let pod = |name: &str, port: u32| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: x, \
             ports: [{{containerPort: {port}, hostPort: {port}}}], resources: {{requests: {{cpu: 200m, memory: 64Mi}}}}}}]}}}}\n"
        )
    };
    let pods = folder.join("pods.yaml");
    std::fs::write(&pods, format!("{}---\n{}", pod("a", 8_080), pod("b", 9_090))).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let (pool, class) = (
        format!("{root}/examples/getting-started/node-pool.yaml"),
        format!("{root}/examples/getting-started/node-class.yaml"),
    );
    let out = folder.join("decision");
    let (pods, out_path) = (pods.to_str().unwrap(), out.to_str().unwrap());
    let output =
        packwright(&["export", "-f", pods, "-f", &pool, "-f", &class, "--out", out_path, "--work-limits", "usual"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{out_path}: 1 launches, 0 pods left\n"));
    assert_eq!(verified(&out), (Some(0), String::new()));
}

/// Their labels and claims differ, and nothing reads what differs.
#[test]
fn replicas_of_a_stateful_set_are_bounded_like_those_of_a_deployment() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify/replicas");
    std::fs::create_dir_all(&folder).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let (pool, class) = (
        format!("{root}/examples/getting-started/node-pool.yaml"),
        format!("{root}/examples/getting-started/node-class.yaml"),
    );
    let apart = "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: \
                 [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: db}}}]}}";
    let spread = "topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, \
                  whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: db}}}]";
    for (name, rule) in [("apart", apart), ("spread", spread)] {
        let workload = folder.join(format!("{name}.yaml"));
        let manifest = format!(
            "{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: db}}, spec: {{replicas: 3, serviceName: db, \
             selector: {{matchLabels: {{app: db}}}}, template: {{metadata: {{labels: {{app: db}}}}, spec: {{{rule}, \
             containers: [{{name: c, image: x, resources: {{requests: {{cpu: 500m, memory: 1Gi}}}}}}]}}}}}}}}"
        );
        std::fs::write(&workload, manifest).unwrap();
        let out = folder.join(name);
        let (workload, out_path) = (workload.to_str().unwrap(), out.to_str().unwrap());
        let args = ["export", "-f", workload, "-f", &pool, "-f", &class, "--out", out_path, "--work-limits", "usual"];
        let output = packwright(&args);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{out_path}: 3 launches, 0 pods left\n"), "{name}");
        assert_eq!(verified(&out), (Some(0), String::new()), "{name}");
        let decision = std::fs::read_to_string(out.join("decision.json")).unwrap();
        let mut decision: Value = serde_json::from_str(&decision).unwrap();
        let level = cost_level(&mut decision);
        assert!(level["bound"].as_i64() > Some(0), "{name}: {level}");
    }
}

/// Types are offered in six zones, and the pool sells in three: of the others a proof says nothing.
#[test]
fn a_spread_over_zones_is_bounded_where_the_pool_sells_in_some_of_them_only() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify/zones");
    std::fs::create_dir_all(&folder).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let pool = std::fs::read_to_string(format!("{root}/examples/getting-started/node-pool.yaml")).unwrap();
    let zones = "requirements:\n        - {key: topology.kubernetes.io/zone, operator: In, values: [us-east-1a, us-east-1b, us-east-1c]}";
    assert!(pool.contains("requirements:"));
    std::fs::write(folder.join("pool.yaml"), pool.replacen("requirements:", zones, 1)).unwrap();
    let workload = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 4, selector: {matchLabels: {app: web}}, \
                    template: {metadata: {labels: {app: web}}, spec: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: \
                    topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}], \
                    containers: [{name: c, image: x, resources: {requests: {cpu: '3', memory: 2500Mi}}}]}}}}";
    std::fs::write(folder.join("web.yaml"), workload).unwrap();
    let [pool, workload, out] = ["pool.yaml", "web.yaml", "decision"].map(|name| folder.join(name));
    let class = format!("{root}/examples/getting-started/node-class.yaml");
    let (pool, workload, out_path) = (pool.to_str().unwrap(), workload.to_str().unwrap(), out.to_str().unwrap());
    let output =
        packwright(&["export", "-f", workload, "-f", pool, "-f", &class, "--out", out_path, "--work-limits", "usual"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{out_path}: 4 launches, 0 pods left\n"));
    assert_eq!(verified(&out), (Some(0), String::new()));
}

#[test]
fn files_that_are_missing_or_garbled_are_named() {
    let folder = exported("garbled");
    let decision = std::fs::read_to_string(folder.join("decision.json")).unwrap();
    for length in [0, 1, decision.len() / 3, decision.len() / 2, decision.len() - 2] {
        std::fs::write(folder.join("decision.json"), &decision[..length]).unwrap();
        let (code, said) = verified(&folder);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("decision.json"), "{said}");
    }
    std::fs::write(folder.join("decision.json"), decision.replace("\"format\": 1", "\"format\": 7")).unwrap();
    assert!(verified(&folder).1.contains("format 7 is not 1"));
    std::fs::remove_file(folder.join("snapshot.json")).unwrap();
    let (code, said) = verified(&folder);
    assert!(code == Some(2) && said.contains("snapshot.json"), "{said}");
}
