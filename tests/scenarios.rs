//! Scenarios: manifests and what Kubernetes and Karpenter document as the right answer, as data.
//!
//! `scenarios/<rule>/<name>.yaml` is one question. Its first document says what is expected ([`Scenario`]), the others
//! are the manifests, read as a user's file would be. `scenarios/shared` holds the catalogue, prices and manifests that
//! many of them use. Besides its expectation, every scenario asserts that the checker refused nothing, that the bound
//! is not above the cost, and that alternatives keep their number and price.

mod expectation;
mod question;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use packwright::host::{self, Limits, Search};
use packwright::observe::anonymous::Anonymizer;
use packwright::observe::pruned::prune;
use packwright::observe::snapshot::Pod;

use expectation::Answer;
use question::Question;

/// The folder of the scenarios.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn files() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir() && path.file_name().unwrap() != "shared");
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
}

#[test]
fn every_scenario_has_its_documented_answer() {
    // one scenario, or those of one rule, while working on it
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let files: Vec<PathBuf> =
        files().into_iter().filter(|file| file.to_string_lossy().contains(only.as_str())).collect();
    assert!(!files.is_empty(), "no scenario is called '{only}'");
    let mut failed = String::new();
    for file in &files {
        let faults = faults(file);
        if !faults.is_empty() {
            let name = file.strip_prefix(root()).unwrap().with_extension("");
            let _ = writeln!(failed, "{}:\n  {}", name.display(), faults.join("\n  "));
        }
    }
    assert!(failed.is_empty(), "of {} scenarios these disagree:\n{failed}", files.len());
}

#[test]
fn without_names_the_answers_are_the_same() {
    let mut failed = String::new();
    // the name decides; the account's reservations, which are no manifests, keep their tags; a name that is none becomes one
    let by_name = [
        "overlays/a_conflict_is_not_applied.yaml",
        "capacity/reservations_that_the_class_selects.yaml",
        "reading/what_an_api_server_refuses.yaml",
    ];
    let is_by_name = |file: &PathBuf| by_name.iter().any(|name| file.ends_with(name));
    for file in files().into_iter().filter(|file| !is_by_name(file)) {
        let question = Question::read(&file).unwrap();
        let objects = RefCell::new(Vec::new());
        let as_it_is = question.load_as(|object| {
            objects.borrow_mut().push(object.clone());
            object
        });
        let names = Anonymizer::new(b"salt").comparing(&objects.into_inner());
        let [as_it_is, without_names] = [
            as_it_is,
            question.load_as(|mut object| {
                prune(&mut object);
                names.object(&object)
            }),
        ]
        .map(|loaded| {
            let decision = host::decide(&loaded.snapshot, Limits::of_time(Duration::from_secs(60), Search::Greedy));
            let placed: Vec<bool> = loaded.snapshot.pods.iter().map(Pod::is_pending).collect();
            let placed = placed.into_iter().filter(|pending| *pending).count() - decision.plan.unplaced.len();
            (loaded.errors.len(), placed, decision.certificate.objective)
        });
        if as_it_is != without_names {
            let name = file.strip_prefix(root()).unwrap().with_extension("");
            let _ = writeln!(
                failed,
                "{}: errors, pods placed and cost {as_it_is:?}, then {without_names:?}",
                name.display()
            );
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

/// What disagrees with the expectation of one scenario.
fn faults(file: &Path) -> Vec<String> {
    let question = match Question::read(file) {
        Ok(question) => question,
        Err(fault) => return vec![fault],
    };
    let loaded = question.load();
    let decision = host::decide(&loaded.snapshot, Limits::of_time(Duration::from_secs(60), Search::Greedy));
    let answer = Answer { loaded: &loaded, decision: &decision };
    let mut faults = answer.broken_promises();
    faults.extend(answer.faults(&question.scenario.expect));
    if !faults.is_empty() {
        faults.push(format!("the plan: {}", answer.summary()));
    }
    faults
}
