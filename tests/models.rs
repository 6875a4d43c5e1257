//! The models of decisions as files: what is committed is what is exported, another solver comes to the same, and nothing
//! that is changed goes unnoticed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Set to write the files instead of comparing them.
const UPDATE: &str = "UPDATE_MODELS";

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MODELS: [&str; 2] = ["resource-lp", "columns"];
const FILES: [&str; 5] = ["resource-lp.mps", "resource-lp.lp", "columns.mps", "columns.lp", "models.json"];

/// Cases on the catalogue of their own, each in a folder with its question.
const CASES: [&str; 5] = ["limits", "existing-nodes", "reservations", "left-out", "spread"];
/// The case that is the exercise.
const EXERCISE: &str = "inflate";

fn golden(case: &str) -> PathBuf {
    Path::new(ROOT).join("models/golden").join(case)
}

/// A folder of the test's own.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("models").join(name)
}

fn packwright(args: &[&str]) -> Output {
    crate::cli::packwright(args).output().expect("the program runs")
}

/// Exports a case, limited by work: the same on every machine.
fn export(case: &str, out: &Path, more: &[&str]) {
    let (exercise, catalog) =
        (format!("{ROOT}/examples/getting-started"), format!("{ROOT}/models/golden/catalog.json"));
    let input = golden(case).join("input.yaml");
    let question = if case == EXERCISE {
        vec!["-f", &exercise]
    } else {
        vec!["-f", input.to_str().unwrap(), "--catalog", &catalog]
    };
    let settings = ["--work-limits", "usual", "--out", out.to_str().unwrap()];
    let output = packwright(&[&["export"], question.as_slice(), &settings, more].concat());
    assert!(matches!(output.status.code(), Some(0 | 3)), "{case}: {}", String::from_utf8_lossy(&output.stderr));
}

fn exported(case: &str, name: &str) -> PathBuf {
    let out = folder(name);
    export(case, &out, &[]);
    out
}

/// (exit code, what it prints, what it says to stderr)
fn run(command: &str, folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = packwright(&[&[command, folder.to_str().unwrap()], args].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn all_cases() -> impl Iterator<Item = &'static str> {
    CASES.into_iter().chain([EXERCISE])
}

#[test]
fn the_committed_models_are_those_that_are_exported() {
    for case in all_cases() {
        let out = exported(case, &format!("golden-{case}"));
        for file in FILES {
            let (exported, committed) = (out.join(file), golden(case).join(file));
            if std::env::var_os(UPDATE).is_some() {
                std::fs::create_dir_all(golden(case)).unwrap();
                std::fs::copy(&exported, &committed).unwrap();
            }
            assert!(
                std::fs::read_to_string(&exported).unwrap() == std::fs::read_to_string(&committed).unwrap(),
                "models/golden/{case}/{file} is not what is exported: run `make models` and look at the difference"
            );
        }
    }
}

#[test]
fn another_solver_comes_to_the_same_objectives() {
    let out = folder("glpk");
    std::fs::create_dir_all(&out).unwrap();
    for (case, model) in all_cases().flat_map(|case| MODELS.map(|model| (case, model))) {
        let answer = out.join(format!("{case}-{model}.txt"));
        let output = Command::new("glpsol")
            .arg("--freemps")
            .arg(golden(case).join(format!("{model}.mps")))
            .arg("--output")
            .arg(&answer)
            .output()
            .expect("glpsol runs; make setup installs it");
        assert!(output.status.success(), "{case} {model}: {}", String::from_utf8_lossy(&output.stdout));
        let answer = std::fs::read_to_string(&answer).unwrap();
        // Objective:  Obj = 94970 (MINimum)
        let found = answer.lines().find_map(|line| line.strip_prefix("Objective:")).expect("GLPK says what it found");
        let found: f64 = found.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(answer.contains("OPTIMAL"), "{case} {model}: {answer}");
        let models = json(&golden(case).join("models.json"));
        let stored = models["models"].as_array().unwrap().iter().find(|stored| stored["name"] == model).unwrap();
        let expected = stored["objective"].as_f64().unwrap();
        assert_eq!(stored["objective"], stored["bound"], "{case} {model} is solved to the end");
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1e-3), "{case} {model}: {found} {expected}");
    }
}

/// Over every model of every case: the kind of its columns and rows, and how many there are.
fn kinds(case: &str, part: &str) -> Vec<String> {
    let models = json(&golden(case).join("models.json"));
    let of_model = |model: &Value| model[part].as_array().unwrap().clone();
    let all = models["models"].as_array().unwrap().iter().flat_map(of_model);
    all.map(|of| of["is"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_cases_have_what_they_are_for() {
    for (case, part, kind) in [
        ("limits", "rows", "limit"),
        ("limits", "columns", "limit-price"),
        ("reservations", "columns", "dearest-price"),
        ("existing-nodes", "rows", "existing-nodes"),
        ("existing-nodes", "columns", "existing-node"),
        ("reservations", "rows", "reservation"),
        ("left-out", "columns", "left-out"),
    ] {
        assert!(kinds(case, part).iter().any(|found| found == kind), "{case}: no {kind} among the {part}");
    }
    let models = json(&golden("left-out").join("models.json"));
    let pods = |list: &Value| list.as_array().unwrap().iter().map(|of| of["pods"].as_u64().unwrap()).sum::<u64>();
    let classes = models["models"][0]["classes"].as_array().unwrap();
    assert_eq!(classes.iter().map(|class| pods(&class["groups"])).sum::<u64>(), 8, "all pods have prices");
    let rows = models["models"][1]["rows"].as_array().unwrap();
    let covered = rows.iter().filter(|row| row["is"] == "cover").map(|row| pods(&row["groups"]));
    assert_eq!(covered.sum::<u64>(), 6, "the two that are left are in no row");
    let rows = json(&golden("spread").join("models.json"))["models"][1]["rows"].as_array().unwrap().clone();
    let zones = rows.iter().filter_map(|row| row["domains"]["topology.kubernetes.io/zone"].as_str());
    assert_eq!(zones.collect::<Vec<_>>(), ["a", "b"], "pods that spread have a row for each zone");
}

/// What the model knows nothing of could make a plan dearer than its packing; in these cases there is nothing of the kind.
#[test]
fn plans_cost_what_their_columns_cost() {
    for case in all_cases() {
        let out = exported(case, &format!("cost-{case}"));
        let decision = json(&out.join("decision.json"));
        let cost = decision["certificate"]["levels"].as_array().unwrap().last().unwrap()["objective"].as_f64();
        let models = json(&out.join("models.json"));
        assert_eq!(cost, models["models"][1]["objective"].as_f64(), "{case}");
    }
}

#[test]
fn what_is_exported_solves_to_what_is_stored() {
    let out = exported("limits", "solved");
    let (code, printed, said) = run("solve", &out, &["-o", "json"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&printed).unwrap();
    let models = report["models"].as_array().unwrap();
    assert_eq!(models.iter().map(|model| model["name"].as_str().unwrap()).collect::<Vec<_>>(), MODELS);
    assert!(models.iter().all(|model| model["agrees"] == true), "{printed}");
    let used = models[1]["used"].as_array().unwrap();
    let cost = |of: &Value| of["times"].as_i64().unwrap() * of["price_micro_usd"].as_i64().unwrap();
    let stored = json(&out.join("models.json"))["models"][1]["objective"].as_f64().unwrap();
    assert_eq!(used.iter().map(cost).sum::<i64>().to_string(), stored.to_string(), "{printed}");
    let (code, printed, _) = run("solve", &out, &["--model", "columns"]);
    assert!(code == Some(0) && printed.contains("columns") && !printed.contains("resource-lp"), "{printed}");
    assert_eq!(run("verify", &out, &[]).0, Some(0), "a directory with models is a decision like any other");
}

/// An export of which one file was changed, and its hash with it.
fn altered(name: &str, file: &str, change: impl FnOnce(String) -> String) -> PathBuf {
    let out = exported("limits", name);
    let text = change(std::fs::read_to_string(out.join(file)).unwrap());
    std::fs::write(out.join(file), &text).unwrap();
    let mut decision = json(&out.join("decision.json"));
    decision["files_sha256"][file] = format!("{:x}", Sha256::digest(text)).into();
    std::fs::write(out.join("decision.json"), decision.to_string()).unwrap();
    out
}

/// The models with another number in the second one.
fn with(models: &str, field: &str, by: f64) -> String {
    let mut models: Value = serde_json::from_str(models).unwrap();
    let number = models["models"][1][field].as_f64().unwrap();
    models["models"][1][field] = (number + by).into();
    models.to_string()
}

#[test]
fn what_does_not_come_to_what_is_stored_is_said() {
    let out = altered("lowered", "models.json", |text| with(&text, "objective", -2.0));
    let (code, _, said) = run("solve", &out, &[]);
    assert!(code == Some(5) && said.contains("columns: stored"), "{code:?} {said}");
    let out = altered("raised-bound", "models.json", |text| with(&text, "bound", 2.0));
    assert_eq!(run("solve", &out, &[]).0, Some(5), "less than the bound says");
    let out = altered("raised", "models.json", |text| with(&text, "objective", 2.0));
    assert_eq!(run("solve", &out, &[]).0, Some(0), "better than what was found in the time of the export");
    let out = altered("dearer", "columns.mps", |text| text.replace("Obj       66000", "Obj       66001"));
    assert_eq!(run("solve", &out, &[]).0, Some(5));
}

#[test]
fn files_that_are_not_those_of_the_decision_are_refused() {
    for file in FILES {
        let out = exported("limits", &format!("touched-{file}"));
        let text = std::fs::read_to_string(out.join(file)).unwrap();
        std::fs::write(out.join(file), text + " ").unwrap();
        for command in ["solve", "verify"] {
            let (code, _, said) = run(command, &out, &[]);
            assert!(code == Some(2) && said.contains(file) && said.contains("SHA-256"), "{command} {file}: {said}");
        }
        std::fs::remove_file(out.join(file)).unwrap();
        let (code, _, said) = run("solve", &out, &[]);
        assert!(code == Some(2) && said.contains(file), "{file}: {said}");
    }
    let out = altered("renamed", "columns.mps", |text| text.replace("y_0", "z_0"));
    let (code, _, said) = run("solve", &out, &[]);
    assert!(code == Some(2) && said.contains("y_0 is not the column"), "{said}");
    let out = altered("a-path", "models.json", |text| text);
    let decision = std::fs::read_to_string(out.join("decision.json")).unwrap();
    std::fs::write(out.join("decision.json"), decision.replace("columns.lp", "../columns.lp")).unwrap();
    std::fs::remove_file(out.join("columns.lp")).unwrap();
    let (code, _, said) = run("solve", &out, &[]);
    assert!(code == Some(2) && said.contains("no name of a file"), "{said}");
}

#[test]
fn garbled_models_are_no_reason_to_crash() {
    let whole = std::fs::read_to_string(golden("limits").join("columns.mps")).unwrap();
    for length in [0, 1, whole.len() / 4, whole.len() / 2, whole.len() * 3 / 4, whole.len() - 8] {
        let out = altered("garbled", "columns.mps", |text| text[..length].to_owned());
        let (code, _, said) = run("solve", &out, &["--time-limit", "10s"]);
        assert!(matches!(code, Some(2 | 5)), "{length}: {code:?} {said}");
    }
    for (name, from, to) in
        [("number", " 66000", " many"), ("row", "limit_4", "limit_9"), ("section", "RHS\n", "LHS\n")]
    {
        let out = altered(&format!("garbled-{name}"), "columns.mps", |text| text.replacen(from, to, 1));
        assert!(matches!(run("solve", &out, &[]).0, Some(0 | 2 | 5)), "{name}");
    }
}

#[test]
fn a_model_that_is_not_there_is_named_and_nothing_of_an_earlier_decision_stays() {
    let out = exported("limits", "greedy");
    export("limits", &out, &["--solver", "greedy"]);
    assert!(!out.join("columns.mps").exists());
    assert_eq!(run("solve", &out, &[]).0, Some(0));
    let (code, _, said) = run("solve", &out, &["--model", "columns"]);
    assert!(code == Some(2) && said.contains("there are: resource-lp"), "{said}");
    let mut decision = json(&out.join("decision.json"));
    decision.as_object_mut().unwrap().remove("files_sha256");
    std::fs::write(out.join("decision.json"), decision.to_string()).unwrap();
    for file in FILES.into_iter().chain(["search.json"]) {
        let _ = std::fs::remove_file(out.join(file));
    }
    let (code, _, said) = run("solve", &out, &[]);
    assert!(code == Some(2) && said.contains("without models"), "{said}");
    assert_eq!(run("verify", &out, &[]).0, Some(0));
}
