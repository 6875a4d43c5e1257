//! The generator of the benchmark mix gives what its README says.

use std::collections::BTreeMap;

use packwright::bench::karpenter_mix as generator;
use serde_json::{Value, json};

fn kind_of(pod: &Value) -> &'static str {
    let spec = &pod["spec"];
    if let Some(constraint) = spec["topologySpreadConstraints"].get(0) {
        assert_eq!(constraint["maxSkew"], 1);
        return match constraint["topologyKey"].as_str() {
            Some("topology.kubernetes.io/zone") => "zone-spread",
            Some("kubernetes.io/hostname") => "host-spread",
            other => panic!("spread over {other:?}"),
        };
    }
    match (spec["affinity"].get("podAffinity"), spec["affinity"].get("podAntiAffinity")) {
        (Some(_), None) => "zone-affine",
        (None, Some(_)) => "host-anti-affine",
        _ => "plain",
    }
}

#[test]
fn a_fifth_of_the_pods_is_of_each_kind() {
    let pods = generator::pods(5_003, 1);
    let mut counts = BTreeMap::new();
    for pod in pods["items"].as_array().unwrap() {
        *counts.entry(kind_of(pod)).or_insert(0) += 1;
    }
    let expected = [
        ("host-anti-affine", 1_000),
        ("host-spread", 1_000),
        ("plain", 1_003),
        ("zone-affine", 1_000),
        ("zone-spread", 1_000),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
}

#[test]
fn draws_are_uniform_and_independent() {
    let pods = generator::pods(21_000, 2);
    let mut sizes: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut labels: BTreeMap<(String, String), u32> = BTreeMap::new();
    for pod in pods["items"].as_array().unwrap() {
        let requests = &pod["spec"]["containers"][0]["resources"]["requests"];
        *sizes.entry((requests["cpu"].to_string(), requests["memory"].to_string())).or_default() += 1;
        if kind_of(pod) == "zone-affine" {
            let terms = &pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
            let wanted = &terms[0]["labelSelector"]["matchLabels"]["affinity"];
            let own = &pod["metadata"]["labels"]["affinity"];
            *labels.entry((own.to_string(), wanted.to_string())).or_default() += 1;
        }
    }
    // 5 x 6 sizes with 700 expected and 7 x 7 pairs of labels with 86 expected: within five standard deviations.
    assert_eq!(sizes.len(), 30);
    assert!(sizes.values().all(|count| (570..830).contains(count)), "{sizes:?}");
    assert_eq!(labels.len(), 49);
    assert!(labels.values().all(|count| (40..132).contains(count)), "{labels:?}");
}

#[test]
fn equal_seeds_give_equal_pods() {
    assert_eq!(generator::pods(200, 3), generator::pods(200, 3));
    assert_ne!(generator::pods(200, 3), generator::pods(200, 4));
}

#[test]
fn the_catalogue_grows_by_one_core_a_type() {
    let catalog = generator::catalog();
    let types = catalog.as_array().unwrap();
    assert_eq!(types.len(), 400);
    assert_eq!(types[0]["resources"], json!({"cpu": "1", "memory": "2Gi", "pods": "10"}));
    assert_eq!(types[399]["resources"], json!({"cpu": "400", "memory": "800Gi", "pods": "4000"}));
    // 0.1 x 400 + 0.1 x 800 x 2^30 / 10^9
    let price = types[399]["offerings"][0]["Price"].as_f64().unwrap();
    assert!((price - 125.899_346).abs() < 1e-6, "{price}");
}
