//! Every example is valid, by our rules and by the API server's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use kube::core::{ApiResource, GroupVersionKind};
use packwright::api::crds::crds;
use packwright::api::node_pool::NodePool;
use packwright::observe::objects::{KnownKind, decided_by};
use serde_json::Value;

use crate::validation::{api_server, offline};

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(manifests(&path));
        } else if path.extension().is_some_and(|e| e == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn examples_are_valid() {
    let kinds = ["NodePool", "NodeClaim", "EC2NodeClass", "KWOKNodeClass", "NodeOverlay", "CapacityBuffer"];
    let mut seen = 0;
    for path in manifests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")) {
        for object in documents(&path) {
            let kind = object["kind"].as_str().unwrap_or_default();
            if kinds.contains(&kind) {
                assert_eq!(offline(kind, &object), vec![], "{}", path.display());
                let refusals = api_server::refusals(kind, &object, None);
                assert!(refusals.is_empty(), "{}: {refusals:?}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 10, "found {seen} objects of our kinds");
}

/// Group and plural of every kind that is read.
fn read_kinds() -> BTreeSet<(String, String)> {
    let resource = |kind: &KnownKind| {
        let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.name);
        (kind.group.to_owned(), ApiResource::from_gvk(&gvk).plural)
    };
    decided_by().map(resource).collect()
}

#[test]
fn the_reader_may_list_what_is_read_and_nothing_else() {
    let role = documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/reader.yaml")).remove(0);
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut allowed = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(texts(&rule["verbs"]), ["list"], "{rule}");
        for group in texts(&rule["apiGroups"]) {
            allowed.extend(texts(&rule["resources"]).into_iter().map(|resource| (group.clone(), resource)));
        }
    }
    assert_eq!(allowed, read_kinds());
    for crd in crds() {
        let of = (crd.spec.group, crd.spec.names.plural);
        assert!(allowed.contains(&of), "{of:?}");
    }
}

#[test]
fn the_page_of_planning_names_what_is_read() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/planning.md")).unwrap();
    let (_, after) = page.split_once("plan is to list ").expect("docs/planning.md lists the kinds");
    let (list, _) = after.split_once(';').unwrap();
    let list = list.replace('\n', " ").replace(" and ", ", ");
    let named: Vec<&str> = list.split(", ").collect();
    assert_eq!(named, decided_by().map(|kind| kind.name).collect::<Vec<_>>());
}

/// Read as typed objects directly, where a number must become a quantity without passing through JSON.
#[test]
fn numbers_in_yaml_are_quantities() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/general.yaml");
    let pool: NodePool = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((pool.spec.limits["cpu"].0.as_str(), pool.spec.limits["memory"].0.as_str()), ("1000", "2000Gi"));
}

#[test]
fn getting_started_is_the_exercise() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/getting-started");
    let inflate = documents(&folder.join("inflate.yaml")).remove(0);
    let inflate: Deployment = serde_json::from_value(inflate).unwrap();
    let spec = inflate.spec;
    assert_eq!(spec.replicas, Some(5));
    let container = &spec.template.spec.unwrap().containers[0];
    assert_eq!(container.image.as_deref(), Some("registry.k8s.io/pause:3.10"));
    let requests = container.resources.as_ref().unwrap().requests.as_ref().unwrap();
    assert_eq!((requests["cpu"].0.as_str(), requests["memory"].0.as_str()), ("1", "1Gi"));

    let pool = documents(&folder.join("node-pool.yaml")).remove(0);
    let pool: NodePool = serde_json::from_value(pool).unwrap();
    assert_eq!(pool.spec.limits["cpu"].0, "100");
    assert_eq!(pool.spec.disruption.consolidate_after.seconds(), Ok(Some(30)));
    assert_eq!(pool.spec.disruption.budgets[0].nodes, "10%");
    assert_eq!(pool.spec.template.spec.expire_after.seconds(), Ok(Some(720 * 3600)));
}

/// Names as the sources have them; of families the page has the ends.
#[test]
fn the_page_of_metrics_names_every_metric() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let (served, _) = page.split_once("Not exported:").unwrap();
    let (_, ours) = page.split_once("## Ours").unwrap();
    let listed: Vec<&str> = [served, ours].into_iter().flat_map(|text| text.split('`').skip(1).step_by(2)).collect();
    let mut names = BTreeSet::new();
    let telling = ["measure.rs", "objects.rs", "offered.rs", "waiting.rs"]
        .map(|file| root.join("src/cluster/telling").join(file));
    let aws = fs::read_dir(root.join("src/aws")).unwrap().map(|entry| entry.unwrap().path());
    for file in telling.into_iter().chain(aws.filter(|path| path.is_file())) {
        let source = fs::read_to_string(file).unwrap();
        let source = source.split_once("#[cfg(test)]").map_or(&*source, |(source, _)| source);
        names.extend(source.split('"').filter(|text| is_metric(text)).map(str::to_owned));
    }
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        let is_listed = |of: &&str| *of == name || (of.starts_with('_') && name.ends_with(*of));
        assert!(listed.iter().any(is_listed), "docs/metrics.md does not name {name}");
    }
    for of in listed.iter().filter(|of| is_metric(of) && !of.starts_with("karpenter_nodes_")) {
        assert!(names.contains(*of), "docs/metrics.md names {of}, which nothing serves");
    }
}

fn is_metric(text: &str) -> bool {
    let is_name = |text: &str| text.len() > 3 && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    ["karpenter_", "packwright_"].iter().any(|own| text.strip_prefix(own).is_some_and(is_name))
}
