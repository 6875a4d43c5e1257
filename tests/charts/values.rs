//! The values: each has its line in the page of the chart, and its type in the schema.

use std::fs;

use serde_json::Value;

use super::chart;

/// Set to write the page instead of comparing it.
const UPDATE: &str = "UPDATE_CHARTS";

/// A value that is described: its path, its default, and what is said of it.
struct Described {
    path: Vec<String>,
    text: String,
}

/// Comments describe the key below them; a key without one is described by its children.
fn described(source: &str) -> Vec<Described> {
    let mut found: Vec<Described> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut within = None; // a described value, whose own lines are its default
    for line in source.lines() {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
            continue;
        }
        let is_key = !line.starts_with('-') && line.split_once(':').is_some_and(|(key, _)| !key.contains(' '));
        if within.is_some_and(|of| depth > of) || !is_key {
            assert!(comment.is_empty() || line.is_empty(), "{comment:?} describe nothing: {line}");
            comment.clear(); // a paragraph of its own
            continue;
        }
        let (key, _) = line.split_once(':').unwrap();
        path.retain(|(other, _)| *other < depth);
        path.push((depth, key.to_owned()));
        within = (!comment.is_empty()).then_some(depth);
        if !comment.is_empty() {
            let path = path.iter().map(|(_, key)| key.clone()).collect();
            found.push(Described { path, text: std::mem::take(&mut comment).join(" ") });
        }
    }
    found
}

fn pointer(path: &[String]) -> String {
    format!("/{}", path.join("/"))
}

fn values(name: &str) -> (String, Value) {
    let text = fs::read_to_string(chart(name).join("values.yaml")).unwrap();
    let values = serde_saphyr::from_str(&text).unwrap();
    (text, values)
}

/// Every scalar, list and empty map below a value, by path.
fn leaves(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) => {
            for (key, value) in map {
                path.push(key.clone());
                leaves(value, path, found);
                path.pop();
            }
        }
        None => found.push(path.clone()),
    }
}

fn all_leaves(values: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    leaves(values, &mut Vec::new(), &mut found);
    found
}

fn page(name: &str) -> String {
    let (text, values) = values(name);
    let chart: Value = serde_saphyr::from_str(&fs::read_to_string(chart(name).join("Chart.yaml")).unwrap()).unwrap();
    let described = described(&text);
    for leaf in all_leaves(&values) {
        let is_said = described.iter().any(|of| leaf.starts_with(&of.path));
        assert!(is_said, "charts/{name}/values.yaml does not describe {}", leaf.join("."));
    }
    let rows: Vec<String> = described
        .iter()
        .map(|Described { path, text }| {
            let default = values.pointer(&pointer(path)).unwrap();
            let default = if default.is_null() { String::new() } else { format!("`{default}`") };
            format!("| `{}` | {} | {} |\n", path.join("."), default.replace('|', "\\|"), text.replace('|', "\\|"))
        })
        .collect();
    let command = match name {
        "packwright" => {
            "```sh cluster\nhelm upgrade --install packwright charts/packwright --namespace kube-system --create-namespace \\\n    --set settings.clusterName=my-cluster --set settings.interruptionQueue=my-cluster --wait\n```\n\nThe kinds come before, with the chart [packwright-crd](../packwright-crd).\n[Moving from Karpenter](../../docs/moving.md) keeps every node."
        }
        _ => {
            "```sh cluster\nhelm upgrade --install packwright-crd charts/packwright-crd --namespace kube-system --create-namespace\n```\n\nUninstalling the chart keeps the kinds, and with them all NodePools, NodeClaims and nodes."
        }
    };
    format!(
        "# {name}\n\n{}.\n\n{command}\n\n| value | default | what |\n|---|---|---|\n{}",
        chart["description"].as_str().unwrap(),
        rows.concat()
    )
}

#[test]
fn the_pages_of_the_charts_list_every_value() {
    for name in ["packwright", "packwright-crd"] {
        let file = chart(name).join("README.md");
        let expected = page(name);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&file, &expected).unwrap();
        }
        assert!(
            fs::read_to_string(&file).unwrap_or_default() == expected,
            "charts/{name}/README.md differs from values.yaml: run `make charts` and commit the result"
        );
    }
}

/// Nothing can be misspelt, and nothing is allowed that the chart does not have.
#[test]
fn the_schema_knows_the_values_and_no_others() {
    for name in ["packwright", "packwright-crd"] {
        let (text, values) = values(name);
        let schema = fs::read_to_string(chart(name).join("values.schema.json")).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        for Described { path, .. } in described(&text) {
            let mut at = &schema;
            for key in &path {
                assert_eq!(at["additionalProperties"], false, "{name}: {}", path.join("."));
                at = &at["properties"][key.as_str()];
            }
            assert!(at.is_object(), "{name}: the schema does not have {}", path.join("."));
        }
        let mut open = vec![(&schema, &values, String::new())];
        while let Some((schema, values, path)) = open.pop() {
            if schema["additionalProperties"] != false {
                continue;
            }
            for (key, inner) in schema["properties"].as_object().unwrap() {
                let path = format!("{path}/{key}");
                if path != "/global" {
                    let value = values.get(key);
                    assert!(value.is_some(), "{name}: the schema has {path}, which is no value");
                    open.push((inner, value.unwrap(), path));
                }
            }
        }
    }
}
