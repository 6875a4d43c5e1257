//! A stored decision holds, and nothing that is changed in it goes unnoticed.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

fn packwright(args: &[&str]) -> Output {
    crate::cli::packwright(args).output().expect("the program runs")
}

/// The exercise, exported into a folder of the test's own.
fn exported(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify").join(name);
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/getting-started");
    let out = folder.to_str().expect("a path in UTF-8");
    let output = packwright(&["export", "-f", examples, "--out", out, "--time-limit", "60s"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// (exit code, what it says to stderr)
fn verified(folder: &Path) -> (Option<i32>, String) {
    let output = packwright(&["verify", folder.to_str().expect("a path in UTF-8")]);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn change(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(&path, value.to_string()).unwrap();
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
    let folder = exported("raised-bound");
    change(&folder, "decision.json", |decision| cost_level(decision)["bound"] = 94_971.into());
    let (code, said) = verified(&folder);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("a bound of 94971 is stated"), "{said}");
}

#[test]
fn values_that_are_raised_prove_less() {
    let folder = exported("raised-values");
    change(&folder, "decision.json", |decision| {
        let proof = &mut decision["certificate"]["proof"];
        proof["is_exhaustive"] = false.into();
        for value in proof["values"].as_array_mut().unwrap() {
            value["nano_usd_hour"] = (value["nano_usd_hour"].as_i64().unwrap() * 10).into();
        }
    });
    let (code, said) = verified(&folder);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("only"), "{said}");
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
        let folder = exported(name);
        change(&folder, "decision.json", of);
        let (code, said) = verified(&folder);
        assert_eq!(code, Some(5), "{name}: {said}");
        assert!(said.contains("the plan breaks a rule"), "{name}: {said}");
    }
}

#[test]
fn an_objective_that_is_changed_is_not_that_of_the_plan() {
    let folder = exported("objective");
    change(&folder, "decision.json", |decision| cost_level(decision)["objective"] = 94_969.into());
    let (code, said) = verified(&folder);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("stated 94969, the plan comes to"), "{said}");
}

#[test]
fn another_snapshot_is_refused() {
    let folder = exported("snapshot");
    change(&folder, "snapshot.json", |snapshot| {
        // a shape that was hidden
        drop(snapshot["node_pools"][0]["instance_types"].as_array_mut().unwrap().pop());
    });
    let (code, said) = verified(&folder);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("SHA-256"), "{said}");
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
