//! `packwright bench`: instances are always the same, baselines and comparisons say what they should.

use packwright::bench::compare::{What, changes};
use packwright::bench::results::{Machine, Results, Row};
use packwright::bench::{instances, node_groups, plot};
use serde_json::Value;

use std::process::Output;

fn packwright(args: &[&str]) -> Output {
    crate::cli::packwright(args).output().expect("the program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn row(instance: &str, cost: f64, bound: f64) -> Row {
    Row {
        instance: instance.to_owned(),
        time_limit_ms: 2_000.0,
        batches: 1,
        optimal: 0,
        pods_placed: 10,
        pods_unplaced: 0,
        nodes: 2,
        cost_usd_hour: cost,
        bound_usd_hour: bound,
        greedy_usd_hour: Some(2.0),
        greedy_pods_unplaced: Some(0),
        node_groups_usd_hour: None,
        best_bound_usd_hour: None,
        first_ms: Some(1.0),
        best_ms: Some(2.0),
        elapsed_ms: 3.0,
        late_ms: -1_997.0,
        peak_memory_mib: None,
        is_worse_than_greedy: false,
        pods_packed_after: 0,
        stage: "columns".to_owned(),
        stop: "complete".to_owned(),
    }
}

fn results(rows: Vec<Row>) -> Results {
    let machine = Machine { cpu: "one".to_owned(), cores: 1, memory_gib: None, debug_assertions: false };
    Results { version: "0".to_owned(), date: "2026-01-01T00:00:00Z".to_owned(), machine, rows }
}

#[test]
fn every_instance_loads_and_is_the_same_every_time() {
    let small = |instance: &&instances::Instance| !instance.name.contains("0000") && !instance.name.contains("100k");
    for instance in
        instances::all().iter().filter(small).filter(|instance| instance.is_core && !instance.name.starts_with("small"))
    {
        let once = instance.snapshot(0).unwrap_or_else(|error| panic!("{}: {error}", instance.name));
        assert!(once.pending().next().is_some(), "{}", instance.name);
        assert_eq!(once, instance.snapshot(0).unwrap(), "{}", instance.name);
    }
    let names: std::collections::BTreeSet<String> = instances::all().into_iter().map(|of| of.name).collect();
    assert_eq!(names.len(), instances::all().len());
}

#[test]
fn changes_beyond_the_threshold_are_named_and_broken_promises_always() {
    let before = results(vec![row("a", 1.0, 0.9), row("b", 1.0, 0.9), row("gone", 1.0, 0.9)]);
    let mut dearer_than_greedy = row("new", 2.1, 0.9);
    (dearer_than_greedy.late_ms, dearer_than_greedy.is_worse_than_greedy) = (221.0, true);
    let after = results(vec![row("a", 1.005, 0.8), row("b", 0.9, 0.95), dearer_than_greedy]);
    let found: Vec<(String, What, bool)> = changes(&before, &after, 0.01)
        .into_iter()
        .map(|change| (change.instance, change.what, change.is_worse))
        .collect();
    let expected = [
        ("a", What::Bound, true),
        ("b", What::Cost, false),
        ("b", What::Bound, false),
        ("new", What::Promise, true),
        ("new", What::Promise, true),
        ("gone", What::NotMeasured, false),
    ];
    assert_eq!(found, expected.map(|(instance, what, is_worse)| (instance.to_owned(), what, is_worse)));
    let mut left = row("a", 0.5, 0.1);
    left.pods_unplaced = 3;
    let mut heavy = row("heavy", 1.0, 0.9);
    heavy.peak_memory_mib = Some(100);
    let light = results(vec![heavy.clone()]);
    (heavy.peak_memory_mib, heavy.first_ms) = (Some(120), Some(20.0));
    let found = changes(&light, &results(vec![heavy]), 0.01);
    let found: Vec<(What, bool)> = found.into_iter().map(|change| (change.what, change.is_worse)).collect();
    assert_eq!(found, [(What::Memory, true), (What::FirstAnswer, true)]);
    let worse = changes(&before, &results(vec![left]), 0.01);
    let worse: Vec<What> = worse.into_iter().filter(|change| change.is_worse).map(|change| change.what).collect();
    assert_eq!(worse, [What::PodsUnplaced]);
}

#[test]
fn the_plot_has_a_line_for_each_instance_with_a_bound() {
    let svg = plot(&results(vec![row("with-a-bound", 1.1, 1.0), row("without", 1.0, 0.0)])).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("with-a-bound") && !svg.contains(">without<"));
}

#[test]
fn node_groups_take_the_type_that_idles_least() {
    let inflate = instances::all().into_iter().find(|instance| instance.name == "inflate").unwrap();
    let snapshot = &inflate.snapshot(0).unwrap();
    // five pods of a core, no memory: two xlarge nodes (2 x 3.92 cores) idle less than one 2xlarge (7.91), five large
    // ones (5 x 1.93) or anything larger
    let cost = node_groups::cost(snapshot).expect("some group takes the pods");
    let prices = snapshot.node_pools[0].instance_types.iter().filter(|kind| kind.name.ends_with(".xlarge"));
    let on_demand = |kind: &packwright::catalog::InstanceType| {
        let offers = kind.offerings.iter().filter(|o| o.capacity_type == packwright::catalog::CapacityType::OnDemand);
        offers.map(|offer| offer.price.as_usd()).next()
    };
    assert!(prices.filter_map(on_demand).any(|price| (2.0 * price - cost).abs() < 1e-9), "{cost}");
}

#[test]
fn the_command_measures_compares_and_refuses() {
    let output = packwright(&["bench", "--instances", "^inflate$", "--time-limits", "5s", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["rows"][0]["instance"], "inflate");
    assert_eq!(json["rows"][0]["stop"], "optimal");
    let folder = tempfile_folder("bench");
    let (old, new) = (folder.join("old.json"), folder.join("new.json"));
    std::fs::write(&new, json.to_string()).unwrap();
    let mut cheaper = json;
    cheaper["rows"][0]["cost_usd_hour"] = (0.01).into();
    std::fs::write(&old, cheaper.to_string()).unwrap();
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let output = packwright(&["bench", "--read", new, "--compare", old]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("worse: inflate within 5000 ms: $/h 0.01 ->"));
    assert_eq!(packwright(&["bench", "--read", old, "--compare", old]).status.code(), Some(0));
    for (args, sentence) in [
        (vec!["bench", "--instances", "nothing-of-that-name"], "no instance has such a name"),
        (vec!["bench", "--read", "/nowhere.json"], "/nowhere.json"),
        (vec!["bench", "--read", "Cargo.toml"], "not the JSON of packwright bench"),
    ] {
        let output = packwright(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(sentence), "{args:?}");
    }
    assert!(stdout(&packwright(&["bench", "--list"])).lines().count() > 60);
}

/// A folder of this test's own.
fn tempfile_folder(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
