//! The benchmark instances: derived files are current, and hold what their READMEs say.

use std::path::{Path, PathBuf};
use std::process::Command;

fn instance(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benchmarks/instances").join(name)
}

fn committed(name: &str) -> String {
    std::fs::read_to_string(instance(name).join("deployments.yaml")).expect("the derived file is committed")
}

fn assert_current(name: &str) {
    let output = Command::new("python3")
        .arg(instance(name).join("convert.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 runs; make setup installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == committed(name).as_bytes(), "{name}/deployments.yaml is stale: run make instances");
}

/// (number of Deployments, sum of their replicas)
fn count(name: &str) -> (usize, usize) {
    let text = committed(name);
    let replicas: Vec<usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  replicas: "))
        .map(|replicas| replicas.parse().expect("replicas are a number"))
        .collect();
    (replicas.len(), replicas.iter().sum())
}

#[test]
fn openb_is_current() {
    assert_current("openb");
    assert_eq!(count("openb"), (112, 8_152));
}

#[test]
fn the_traces_of_openb_are_current() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/simulations/openb");
    let folder = std::env::temp_dir().join(format!("packwright-openb-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new("python3")
        .arg(example.join("convert.py"))
        .arg(&folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 runs; make setup installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["cpu.csv", "gpu.csv"] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(&folder) == read(&example), "{name} is stale: run make instances");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn karpenter_wide_is_current() {
    assert_current("karpenter-wide");
    assert_eq!(count("karpenter-wide"), (30, 1_000));
    let text = committed("karpenter-wide");
    assert_eq!(text.matches("podAntiAffinity").count(), 3);
    assert_eq!(text.matches("topologyKey: topology.kubernetes.io/zone").count(), 30);
    assert_eq!(text.matches("- topologyKey: kubernetes.io/hostname").count(), 3);
}
