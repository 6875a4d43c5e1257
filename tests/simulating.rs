//! `packwright simulate`: the controller on a simulated cluster, through faults, and faults of the controller that are found.

use serde_json::Value;

use crate::cli::packwright;

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = packwright(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exercise_gets_its_nodes_and_ends_empty_and_a_seed_is_a_simulation() {
    let args = ["simulate", "examples/simulations/inflate", "-o", "json"];
    let (code, first, errors) = run(&args);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&first).unwrap();
    let samples = report["samples"].as_array().unwrap();
    let nodes = |sample: &Value| sample["nodes"].as_u64().unwrap();
    assert!(samples.iter().any(|sample| nodes(sample) > 0), "{report:#}");
    assert_eq!(nodes(samples.last().unwrap()), 0, "{report:#}");
    let cost = |of: &Value| of["cost_usd"].as_f64().unwrap();
    assert!(cost(&report) > 0.0 && cost(&report) <= cost(&report["greedy"]), "{report:#}");
    let bounds: Vec<f64> =
        report["bounds"].as_array().unwrap().iter().map(|of| of["usd_hour"].as_f64().unwrap()).collect();
    assert!(bounds.iter().any(|bound| *bound > 0.0) && bounds.last() == Some(&0.0), "{bounds:?}");
    for of in [&report, &report["greedy"]] {
        let number = |field: &str| of[field].as_u64().unwrap();
        assert!(number("taken_away") > 0 && number("taken_away") <= number("launches"), "{of:#}");
        assert_eq!((number("most_pending"), number("most_nodes")), (5, number("launches")), "{of:#}");
        let waited = of["samples"].as_array().unwrap().iter().map(|sample| sample["pending"].as_u64().unwrap()).max();
        assert_eq!(waited, Some(5), "pods that wait for less than a minute are seen: {of:#}");
        assert_eq!(of["samples"].as_array().unwrap().last().unwrap()["at"], of["end"], "{of:#}");
    }
    assert_eq!(report["scenario"], "inflate");
    assert_eq!(run(&args).1, first, "the same seed, the same simulation");
}

#[test]
fn every_rule_is_broken_by_the_fault_that_breaks_it() {
    let faults = [
        ("unended", "an instance ends with its claim"),
        ("forgotten", "an instance ends with its claim"),
        ("leaked", "every instance has its claim"),
        ("doubled", "nothing is launched twice"),
        ("two-places", "nothing is launched twice"),
        ("undrained", "no instance ends under pods"),
        ("unstarted", "no instance ends under pods"),
        ("node-first", "no instance ends under pods"),
        ("own-deadline", "no instance ends under pods"),
        ("over-limit", "limits are kept"),
        ("over-budget", "budgets are kept"),
        ("all-at-once", "budgets are kept"),
        ("never-freed", "no node is reserved for nobody"),
        ("deaf", "an interruption is handled in time"),
        ("undecided", "everything comes to rest"),
    ];
    let (code, ..) = run(&["simulate", "tests/data/simulations/planted", "--no-comparison", "--consolidation", "off"]);
    assert_eq!(code, Some(0), "without a fault nothing is broken");
    for (fault, rule) in faults {
        let (code, _, errors) = run(&[
            "simulate",
            "tests/data/simulations/planted",
            "--no-comparison",
            "--consolidation",
            "off",
            "--plant",
            fault,
        ]);
        assert_eq!(code, Some(4), "{fault}: {errors}");
        assert!(errors.contains(rule), "{fault}: {errors}");
        let again = format!(
            "simulate tests/data/simulations/planted --no-comparison --consolidation off --plant {fault} --seed 1 --for 4200s"
        );
        assert!(errors.contains(&again), "{errors}");
    }
}

#[test]
fn nothing_that_must_hold_is_broken_while_everything_goes_wrong() {
    let seeds = std::env::var("PACKWRIGHT_SEEDS").unwrap_or_else(|_| "2".to_owned());
    let time = std::env::var("PACKWRIGHT_SEEDS_FOR").unwrap_or_else(|_| "25m".to_owned());
    let (code, shown, errors) = run(&["simulate", "examples/simulations/faults", "--seeds", &seeds, "--for", &time]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(shown.contains("nothing that must hold was broken"), "{shown}");
    let ends = shown.split(", ").find_map(|part| part.strip_suffix(" ends")?.parse::<u64>().ok());
    assert!(ends.is_some_and(|ends| ends > 0), "nodes are taken away, too: {shown}");
}

#[test]
fn what_comes_and_what_goes_wrong_is_the_same_whoever_decides() {
    let (code, shown, errors) = run(&["simulate", "examples/simulations/faults", "--for", "12m", "-o", "json"]);
    assert_eq!(code, Some(0), "{errors}");
    let report: Value = serde_json::from_str(&shown).unwrap();
    for field in ["arrivals", "arrived_seconds", "faults"] {
        let number = |of: &Value| of[field].as_u64().unwrap();
        assert!(number(&report) > 0 && number(&report) == number(&report["greedy"]), "{field}: {report:#}");
    }
    let waited = |of: &Value| of["pending_pod_seconds"].as_u64().unwrap();
    assert!(waited(&report) > 0 && waited(&report["greedy"]) > 0, "{report:#}");
}

#[allow(clippy::cast_possible_truncation)] // some dollars
fn micros(usd: &Value) -> i64 {
    (usd.as_f64().unwrap() * 1e6).round() as i64
}

/// The exercise with another spec, in a folder of its own.
fn scenario(name: &str, spec: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("packwright-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["inflate.yaml", "node-class.yaml", "node-pool.yaml"] {
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/simulations/inflate").join(file);
        std::fs::copy(from, folder.join(file)).unwrap();
    }
    let text = format!("apiVersion: packwright.dev/v1alpha1\nkind: Simulation\nmetadata: {{name: s}}\nspec: {spec}\n");
    std::fs::write(folder.join("simulation.yaml"), text).unwrap();
    folder
}

#[test]
fn what_runs_costs_what_its_kind_costs_at_the_time() {
    let cost = |spec: &str| {
        let folder = scenario("prices", spec);
        let (code, shown, errors) =
            run(&["simulate", &folder.display().to_string(), "--no-comparison", "--for", "40m", "-o", "json"]);
        assert_eq!(code, Some(0), "{errors}");
        std::fs::remove_dir_all(&folder).unwrap();
        let report: Value = serde_json::from_str(&shown).unwrap();
        let rates: std::collections::BTreeSet<i64> =
            report["samples"].as_array().unwrap().iter().map(|sample| micros(&sample["usd_hour"])).collect();
        (micros(&report["cost_usd"]), rates.len())
    };
    let (constant, once) = cost("{}");
    let (changing, often) = cost("{spotPrices: {every: 5m, by: 0.3}}");
    assert!(constant > 0 && changing > 0 && constant != changing, "{constant} {changing}");
    assert!(often > once + 3, "{often} {once}: seven changes of prices");
    assert_eq!(cost("{spotPrices: {every: 5m, by: 0.3}}").0, changing, "the same seed, the same prices");
}

#[test]
fn prices_that_are_noise_stay_where_they_were() {
    let rates = |spec: &str| {
        let folder = scenario("noise", spec);
        let (code, shown, errors) =
            run(&["simulate", &folder.display().to_string(), "--no-comparison", "--for", "30m", "-o", "json"]);
        assert_eq!(code, Some(0), "{errors}");
        std::fs::remove_dir_all(&folder).unwrap();
        let report: Value = serde_json::from_str(&shown).unwrap();
        let samples = report["samples"].as_array().unwrap().clone();
        samples.iter().skip(5).map(|sample| micros(&sample["usd_hour"])).collect::<Vec<_>>()
    };
    let constant = rates("{}");
    let noisy = rates("{spotPrices: {every: 20s, by: 0.1, around: start}}");
    assert!(constant.iter().all(|rate| rate == &constant[0]) && constant[0] > 0, "{constant:?}");
    let is_near = |rate: &i64| (rate - constant[0]).abs() * 100 <= constant[0] * 11;
    assert!(noisy.iter().all(is_near), "ninety times a tenth: {noisy:?}");
    assert!(noisy.iter().any(|rate| *rate != constant[0]), "{noisy:?}");
}

#[test]
fn where_nothing_changes_consolidation_comes_to_its_end() {
    let (code, shown, errors) =
        run(&["simulate", "examples/simulations/quiet", "--no-comparison", "--for", "4h", "-o", "json"]);
    assert_eq!(code, Some(0), "{errors}");
    let report: Value = serde_json::from_str(&shown).unwrap();
    assert!(report["evicted"].as_u64().unwrap() > 0, "services shrink in the first hour: {report:#}");
    // while services still shrink it is not quiet
    let folder = std::env::temp_dir().join(format!("packwright-quiet-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/simulations/quiet");
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap().replace("quietAfter: 3h", "quietAfter: 30m");
        std::fs::write(folder.join(file.file_name()), text).unwrap();
    }
    let (code, _, errors) = run(&["simulate", &folder.display().to_string(), "--no-comparison", "--for", "1h"]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("where nothing changes no pod is evicted by choice"), "{errors}");
}

#[test]
fn a_hundred_drifted_nodes_are_replaced_a_tenth_of_them_at_a_time() {
    let (code, shown, errors) =
        run(&["simulate", "examples/simulations/upgrade", "--no-comparison", "--greedy", "-o", "json"]);
    assert_eq!(code, Some(0), "{errors}");
    let report: Value = serde_json::from_str(&shown).unwrap();
    let nodes: Vec<u64> =
        report["samples"].as_array().unwrap().iter().map(|sample| sample["nodes"].as_u64().unwrap()).collect();
    assert_eq!((nodes[19], nodes.last()), (100, Some(&100)), "before and after: {nodes:?}");
    // a command more than the budget allows at a time breaks a rule of the simulation
    assert!((101..=111).contains(nodes.iter().max().unwrap()), "others come before they go: {nodes:?}");
    assert_eq!(report["consolidations"].as_u64(), Some(100), "each of them: {report:#}");
    assert_eq!(report["launches"].as_u64(), Some(200), "nothing is bought a second time: {report:#}");
}

#[test]
fn pods_of_a_trace_come_when_it_says() {
    let path = "examples/simulations/openb";
    let (code, shown, errors) = run(&["simulate", path, "--no-comparison", "--for", "30m", "-o", "json"]);
    assert_eq!(code, Some(0), "{errors}");
    let report: Value = serde_json::from_str(&shown).unwrap();
    let (mut expected, mut lines) = (0, 0);
    for file in ["cpu.csv", "gpu.csv"] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path).join(file);
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().skip(1) {
            let arrival: f64 = line.split(',').next().unwrap().parse().unwrap();
            lines += 1;
            expected += u64::from((arrival - 10_190_000.0) / 12.0 < 30.0 * 60.0);
        }
    }
    assert!(expected > 5 && lines > 1_000, "{expected} of {lines}");
    assert_eq!(report["arrivals"].as_u64(), Some(expected), "{report:#}");
    assert!(report["jobs_done"].as_u64().unwrap() > 0, "{report:#}");
}

#[test]
fn a_scenario_that_cannot_be_read_is_one_clear_error() {
    let folder = std::env::temp_dir().join(format!("packwright-scenario-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let cases = [
        ("spec: {for: soon}", "spec.for: expected a duration such as 90s or 1h 30m, found soon"),
        ("spec: {workload: []}", "unknown field `workload`"),
        (
            "spec: {workloads: [{deployment: default/web}]}",
            "spec.workloads[0]: Deployment default/web is not among the manifests",
        ),
        ("spec: {workloads: [{deployment: web}]}", "spec.workloads[0]: expected namespace/name, found web"),
        ("spec: {faults: {conflicts: 2}}", "spec.faults.conflicts: expected a number from 0 to 1"),
        ("spec: {faults: {restarts: 1ns}}", "spec.faults.restarts: expected at least 1s, found 1ns"),
        ("spec: {machines: {answer: 0s}}", "spec.machines.answer: expected at least 1ms, found 0ns"),
        (
            "spec: {changes: [{at: 1m, kind: NodePool, name: none, patch: {}}]}",
            "spec.changes[0]: NodePool none is not among the manifests",
        ),
        ("spec: {spotPrices: {every: 1h, by: 3}}", "spec.spotPrices.by: expected a number from 0 to 1"),
    ];
    for (spec, expected) in cases {
        let text = format!("apiVersion: packwright.dev/v1alpha1\nkind: Simulation\nmetadata: {{name: s}}\n{spec}\n");
        std::fs::write(folder.join("simulation.yaml"), text).unwrap();
        let (code, _, errors) = run(&["simulate", &folder.display().to_string()]);
        assert_eq!(code, Some(2), "{spec}: {errors}");
        assert!(errors.contains(expected), "{spec}: {errors}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let (code, _, errors) = run(&["simulate", "examples/getting-started"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("there is no object of the kind Simulation"), "{errors}");
}

/// docs/runaway.md: its first hours.
#[test]
fn a_limit_holds_a_runaway_and_an_alert_tells_of_it() {
    let scenario = "examples/simulations/runaway";
    let limited = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("runaway-{}", std::process::id()));
    std::fs::create_dir_all(&limited).unwrap();
    for file in ["scenario.yaml", "pool.yaml"] {
        let text = std::fs::read_to_string(format!("{scenario}/{file}")).unwrap();
        let text = text.replace("limits: {}", "limits: {packwright.dev/usd-per-hour: 10}");
        std::fs::write(limited.join(file), text).unwrap();
    }
    let options = [
        "--greedy",
        "--no-comparison",
        "--for",
        "150m",
        "--alert-nodes",
        "40",
        "--alert-usd-per-hour",
        "100",
        "-o",
        "json",
    ];
    let simulated = |scenario: &str| -> Value {
        let (code, shown, errors) = run(&[&["simulate", scenario], &options[..]].concat());
        assert_eq!(code, Some(0), "{errors}");
        serde_json::from_str(&shown).unwrap()
    };
    let (free, held) = (simulated(scenario), simulated(limited.to_str().unwrap()));
    std::fs::remove_dir_all(limited).unwrap();
    let most = |report: &Value, field: &str| {
        let samples = report["samples"].as_array().unwrap();
        samples.iter().map(|sample| sample[field].as_f64().unwrap()).fold(0.0, f64::max)
    };
    assert!((most(&free, "nodes") - 84.0).abs() < 0.5, "a node for each replica: {free:#}");
    assert!((8.0..=10.0).contains(&most(&held, "usd_hour")), "{held:#}");
    assert!(most(&held, "pending") > 0.0, "pods wait in place of nodes");
    for report in [&free, &held] {
        let alerts = report["alerts"].as_array().unwrap();
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        assert_eq!(alerts[0]["alert"], "PackwrightManyNodes");
        assert!(alerts[0]["at"].as_str().unwrap().starts_with("2026-01-09T18:"), "{alerts:?}");
    }
}
