//! Where not all pods fit under a limit: as few are left as can be, and how few that is is proven.

use std::path::{Path, PathBuf};

use serde_json::Value;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/short-of-room");

fn packwright(args: &[&str]) -> std::process::Output {
    crate::cli::packwright(args).output().expect("the program runs")
}

/// The example, decided once and exported.
fn exported(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("short-of-room").join(name);
    let out = folder.to_str().expect("a path in UTF-8");
    let output = packwright(&["export", "-f", EXAMPLE, "--out", out, "--work-limits", "usual"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

fn decision(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("decision.json")).unwrap()).unwrap()
}

/// Exit code of `verify`, and what it shows.
fn verified(folder: &Path) -> (Option<i32>, Value) {
    let output = packwright(&["verify", folder.to_str().expect("a path in UTF-8"), "-o", "json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn fewer_pods_are_left_than_by_karpenters_packing_and_how_few_is_proven() {
    let output = packwright(&["plan", "-f", EXAMPLE, "--work-limits", "usual", "-o", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let summary = &json["summary"];
    let (left, greedy) =
        (summary["pods_unplaced"].as_u64().unwrap(), summary["greedy_pods_unplaced"].as_u64().unwrap());
    assert!(left < greedy, "{left} left, {greedy} by karpenter's packing");
    assert!(json["unplaced"].as_array().unwrap().iter().all(|of| !of["pod"].as_str().unwrap().contains("/shop-")));
    let [level] = summary["left"].as_array().unwrap().as_slice() else { panic!("one level: {summary}") };
    assert_eq!((level["priority"].as_i64(), level["pods"].as_u64()), (Some(0), Some(left)));
    let at_least = level["at_least"].as_u64().unwrap();
    assert!(0 < at_least && at_least <= left && left <= at_least + 4, "{left} left, at least {at_least}");
    let table = packwright(&["plan", "-f", EXAMPLE, "--work-limits", "usual"]).stdout;
    let sentence = format!("{left} pods left: proven, every plan leaves at least {at_least}\n");
    assert!(String::from_utf8_lossy(&table).contains(&sentence), "{sentence}");
}

#[test]
fn a_stored_proof_of_what_is_left_holds_and_nothing_changed_in_it_goes_unnoticed() {
    let folder = exported("proof");
    let (code, verdict) = verified(&folder);
    assert_eq!(code, Some(0), "{verdict}");
    let path = folder.join("decision.json");
    let stored = decision(&folder);
    let tampered = |change: &dyn Fn(&mut Value)| {
        let mut changed = stored.clone();
        change(&mut changed);
        std::fs::write(&path, changed.to_string()).unwrap();
        verified(&folder).0
    };
    let level = |certificate: &Value| {
        let levels = certificate["levels"].as_array().unwrap();
        levels.iter().position(|level| level["bound"] != 0).expect("a level of pods left with a bound")
    };
    let at = level(&stored["certificate"]);
    // more than is shown
    let raised = tampered(&|decision| {
        let level = &mut decision["certificate"]["levels"][at];
        level["bound"] = level["objective"].clone();
    });
    // the dearest pod is worth half of what it is, or a limit nothing, or there is no proof
    let cheaper = tampered(&|decision| {
        let values = decision["certificate"]["left_proofs"][0]["proof"]["values"].as_array_mut().unwrap();
        let dearest = values.iter_mut().max_by_key(|value| value["nano_usd_hour"].as_u64()).unwrap();
        dearest["nano_usd_hour"] = (dearest["nano_usd_hour"].as_u64().unwrap() / 2).into();
    });
    let free = tampered(&|decision| {
        decision["certificate"]["left_proofs"][0]["proof"]["limit_prices"] = Value::Array(Vec::new());
    });
    let missing = tampered(&|decision| decision["certificate"]["left_proofs"] = Value::Array(Vec::new()));
    assert_eq!([raised, cheaper, free, missing], [Some(5); 4]);
}

#[test]
fn a_solver_process_finds_as_much_and_is_not_believed_unseen() {
    let output = packwright(&["plan", "-f", EXAMPLE, "--work-limits", "usual", "--isolate", "-o", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let level = &json["summary"]["left"][0];
    let (pods, at_least) = (level["pods"].as_u64().unwrap(), level["at_least"].as_u64().unwrap());
    assert!(0 < at_least && at_least <= pods, "{json}");
}
