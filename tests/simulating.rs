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
    let number = |of: &Value| of.as_i64().unwrap();
    assert!(number(&report["cost"]) > 0 && number(&report["cost"]) <= number(&report["greedy"]["cost"]), "{report:#}");
    assert_eq!(run(&args).1, first, "the same seed, the same simulation");
}

#[test]
fn every_rule_is_broken_by_the_fault_that_breaks_it() {
    let faults = [
        ("unended", "an instance ends with its claim"),
        ("leaked", "every instance has its claim"),
        ("doubled", "nothing is launched twice"),
        ("undrained", "no instance ends under pods"),
        ("over-limit", "limits are kept"),
        ("over-budget", "budgets are kept"),
        ("never-freed", "no node is reserved for nobody"),
        ("undecided", "everything comes to rest"),
    ];
    let (code, ..) = run(&["simulate", "tests/data/simulations/planted", "--no-comparison"]);
    assert_eq!(code, Some(0), "without a fault nothing is broken");
    for (fault, rule) in faults {
        let (code, _, errors) =
            run(&["simulate", "tests/data/simulations/planted", "--no-comparison", "--plant", fault]);
        assert_eq!(code, Some(4), "{fault}: {errors}");
        assert!(errors.contains(rule), "{fault}: {errors}");
        assert!(errors.contains("again: packwright simulate tests/data/simulations/planted --seed 1"), "{errors}");
    }
}

#[test]
fn nothing_that_must_hold_is_broken_while_everything_goes_wrong() {
    let seeds = std::env::var("PACKWRIGHT_SEEDS").unwrap_or_else(|_| "3".to_owned());
    let time = std::env::var("PACKWRIGHT_SEEDS_FOR").unwrap_or_else(|_| "25m".to_owned());
    let (code, shown, errors) = run(&["simulate", "examples/simulations/faults", "--seeds", &seeds, "--for", &time]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(shown.contains("nothing that must hold was broken"), "{shown}");
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
