//! Alerts and dashboards: what they ask for is served, and alerts fire when they should and not before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::chart;
use super::installing::helm;
use crate::controlling::on_cluster;

/// With every alert, and thresholds that alerts.yaml counts on.
const ALERTS: [&str; 9] = [
    "template",
    "packwright",
    "charts/packwright",
    "--set",
    "prometheusRule.enabled=true,settings.clusterName=c",
    "--set",
    "prometheusRule.alerts.nodes=10,prometheusRule.alerts.usdPerHour=5",
    "--show-only",
    "templates/prometheusrule.yaml",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Prometheus' own tool, which the script builds where it is missing.
fn promtool(args: &[&str]) -> String {
    let built = Command::new(root().join("tests/cluster/build.sh")).arg("prometheus").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let folder = PathBuf::from(String::from_utf8(built.stdout).unwrap().trim());
    let output = Command::new(folder.join("promtool")).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {args:?}: {said}");
    said
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The groups of the PrometheusRule, as Prometheus reads them.
fn rules(rendered: &str) -> Value {
    let mut rule: Value = serde_saphyr::from_str(rendered).unwrap();
    assert_eq!(rule["kind"], "PrometheusRule");
    rule["spec"].take()
}

fn rules_of(groups: &Value) -> Vec<Value> {
    groups["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    on_cluster(async |cluster, _| {
        let groups = rules(&helm(cluster, &ALERTS));
        let folder = folder("alerts");
        fs::write(folder.join("rules.yaml"), groups.to_string()).unwrap();
        let tests = folder.join("alerts.yaml");
        fs::copy(root().join("tests/charts/alerts.yaml"), &tests).unwrap();
        promtool(&["check", "rules", folder.join("rules.yaml").to_str().unwrap()]);
        promtool(&["test", "rules", tests.to_str().unwrap()]);
        let tested = fs::read_to_string(tests).unwrap();
        let page = fs::read_to_string(root().join("docs/alerts.md")).unwrap();
        for rule in rules_of(&groups) {
            let name = rule["alert"].as_str().unwrap();
            assert!(tested.contains(&format!("{{alertname=\"{name}\"}}")), "{name} is not made to fire");
            assert!(page.contains(&format!("| `{name}` |")), "docs/alerts.md does not name {name}");
        }
    });
}

#[test]
fn a_shadow_has_no_alerts_about_what_it_does_not_do() {
    on_cluster(async |cluster, _| {
        let rendered = helm(cluster, &[&ALERTS[..], &["--set", "settings.shadow=true"]].concat());
        let queries =
            rules_of(&rules(&rendered)).iter().map(|rule| rule["expr"].to_string()).collect::<Vec<_>>().concat();
        assert!(queries.contains("packwright_") && !queries.contains("karpenter_"), "{queries}");
    });
}

#[test]
fn without_metrics_of_single_pods_alerts_ask_for_none() {
    on_cluster(async |cluster, _| {
        let without = ["--set", "settings.disableClusterStateObservability=true"];
        let rules = rules_of(&rules(&helm(cluster, &[&ALERTS[..], &without].concat())));
        assert!(rules.iter().any(|rule| rule["alert"] == "PackwrightPodsPending"));
        let queries = rules.iter().map(|rule| rule["expr"].to_string()).collect::<Vec<_>>().concat();
        assert!(!queries.contains("karpenter_pods_state") && !queries.contains("karpenter_nodes_"), "{queries}");
    });
}

/// Queries by where they stand.
fn queries_of_dashboards() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(chart("packwright").join("dashboards")).unwrap() {
        let path = file.unwrap().path();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{}: {} {}", dashboard["title"], panel["title"], target["refId"]);
                found.insert(place, target["expr"].as_str().unwrap().to_owned());
            }
        }
    }
    found
}

/// The labels by which a query groups or matches.
fn grouped(query: &str) -> BTreeSet<&str> {
    let lists = ["by (", "on ("].into_iter().flat_map(|keyword| query.split(keyword).skip(1));
    lists.flat_map(|list| list.split(')').next().unwrap().split(',').map(str::trim)).collect()
}

/// The metrics of a query, and the labels by which each is selected.
fn selected(query: &str) -> Vec<(&str, Vec<&str>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = ["karpenter_", "packwright_", "aws_"].into_iter().flat_map(|of| query.match_indices(of));
    starts
        .filter(|(start, _)| !query[..*start].ends_with(is_word))
        .map(|(start, _)| {
            let rest = &query[start..];
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let (metric, after) = rest.split_at(end);
            let selector = after.strip_prefix('{').map_or("", |after| after.split('}').next().unwrap());
            let labels = selector.split("\",").map(|of| of.trim().split(['=', '!']).next().unwrap());
            (metric, labels.filter(|label| !label.is_empty()).collect())
        })
        .collect()
}

/// The tables of the page of metrics: labels by name. The page is compared with the sources elsewhere.
fn served() -> BTreeMap<String, String> {
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let (page, rest) = page.split_once("Not exported:").unwrap();
    let (_, ours) = rest.split_once("## Ours").unwrap();
    let mut found = BTreeMap::new();
    for row in [page, ours].into_iter().flat_map(str::lines).filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        let mut first: Option<String> = None;
        for name in cells[1].split('`').skip(1).step_by(2) {
            // of families the others are ends: `_system_overhead` of `karpenter_nodes_allocatable`
            let name = match &first {
                Some(first) if name.starts_with('_') => {
                    let stem = ["karpenter_nodes", "karpenter_nodepools", "karpenter_cluster_state", "packwright"];
                    let stem = stem.into_iter().find(|stem| first.starts_with(stem)).unwrap();
                    format!("{stem}{name}")
                }
                _ => name.to_owned(),
            };
            first.get_or_insert_with(|| name.clone());
            found.insert(name, format!("{} {}", cells[2], cells[3]));
        }
    }
    found
}

/// The row of a metric; histograms are asked for by their parts.
fn row_of<'s>(metric: &str, served: &'s BTreeMap<String, String>) -> Option<&'s String> {
    let whole = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
    served.get(metric).or_else(|| served.get(whole?))
}

fn has_label(metric: &str, row: &str, label: &str) -> bool {
    let of_nodes = ["nodepool", "zone", "capacity_type", "instance_type", "node_name"];
    match label {
        "le" => row.contains("histogram"),
        "quantile" => row.contains("summary"),
        // the well-known labels of Kubernetes, in snake case
        _ if metric.starts_with("karpenter_nodes_") && of_nodes.contains(&label) => true,
        _ => row.contains(&format!("`{label}`")),
    }
}

#[test]
fn every_query_asks_for_metrics_and_labels_that_are_served() {
    on_cluster(async |cluster, _| {
        let mut queries = queries_of_dashboards();
        for rule in rules_of(&rules(&helm(cluster, &ALERTS))) {
            queries.insert(rule["alert"].to_string(), rule["expr"].as_str().unwrap().to_owned());
        }
        assert!(queries.len() > 50, "{}", queries.len());
        let served = served();
        for (place, query) in &queries {
            let selected = selected(query);
            assert!(!selected.is_empty(), "{place}: {query}");
            for (metric, labels) in &selected {
                let Some(row) = row_of(metric, &served) else {
                    panic!("{place} asks for {metric}, which nothing serves")
                };
                for label in labels {
                    assert!(has_label(metric, row, label), "{place}: {metric} has no label {label}: {row}");
                }
            }
            for label in grouped(query) {
                let has = |(metric, _): &(&str, _)| has_label(metric, row_of(metric, &served).unwrap(), label);
                assert!(selected.iter().any(has), "{place}: nothing has the label {label}");
            }
        }
        // and Prometheus can read them
        let rules: Vec<Value> = queries
            .values()
            .enumerate()
            .map(|(number, query)| serde_json::json!({"record": format!("query:{number}"), "expr": query}))
            .collect();
        let file = folder("queries").join("rules.yaml");
        fs::write(&file, serde_json::json!({"groups": [{"name": "queries", "rules": rules}]}).to_string()).unwrap();
        promtool(&["check", "rules", "--lint=none", file.to_str().unwrap()]);
    });
}
