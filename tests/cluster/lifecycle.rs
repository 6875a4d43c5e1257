//! The cluster itself: it runs pods, and leaves nothing behind.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::Api;
use kube::api::PostParams;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

/// Long enough for a busy machine to end a few processes.
const IN_TIME: Duration = Duration::from_secs(30);

fn object<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

#[test]
fn pods_run_on_nodes_without_a_kubelet() {
    on_shared_cluster(async |cluster, client| {
        let name = "runs-pods";
        let params = PostParams::default();
        let node = json!({
            "metadata": {"name": name, "labels": {"test": name}, "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "spec": {"taints": [{"key": "test", "value": name, "effect": "NoSchedule"}]},
            "status": {"capacity": {"cpu": "4", "memory": "8Gi", "pods": "10"}},
        });
        Api::<Node>::all(client.clone()).create(&params, &object(node)).await.unwrap();
        let namespace = json!({"metadata": {"name": name}});
        Api::<Namespace>::all(client.clone()).create(&params, &object(namespace)).await.unwrap();
        // a pod may be created once the namespace has its service account
        cluster.kubectl(&["wait", "-n", name, "--for=create", "--timeout=60s", "serviceaccount/default"]);
        let pod = json!({
            "metadata": {"name": name},
            "spec": {
                "nodeSelector": {"test": name},
                "tolerations": [{"key": "test", "value": name, "effect": "NoSchedule"}],
                "containers": [{"name": "pause", "image": "pause"}],
            },
        });
        let pods = Api::<Pod>::namespaced(client, name);
        pods.create(&params, &object(pod)).await.unwrap();
        cluster.kubectl(&["wait", "-n", name, "--for=condition=Ready", "--timeout=60s", &format!("pod/{name}")]);
        assert_eq!(pods.get(name).await.unwrap().spec.unwrap().node_name.as_deref(), Some(name));
    });
}

/// The names of the processes that work in a folder.
fn processes_in(folder: &Path) -> Vec<String> {
    let works_there = |process: &PathBuf| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(works_there);
    let mut names: Vec<String> = processes
        .filter_map(|process| Some(fs::read_to_string(process.join("comm")).ok()?.trim().to_owned()))
        .collect();
    names.sort_unstable();
    names
}

fn await_none_in(folder: &Path) {
    let started = Instant::now();
    while !processes_in(folder).is_empty() {
        assert!(started.elapsed() < IN_TIME, "left: {:?}", processes_in(folder));
        std::thread::yield_now();
    }
}

#[test]
fn a_cluster_ends_with_the_process_that_started_it() {
    let mut starter = Command::new("sleep").arg("infinity").stdout(Stdio::piped()).spawn().unwrap();
    let mut cluster = Cluster::start_by(starter.stdout.take().unwrap().into());
    // as /proc cuts them
    let programs = ["etcd", "kube-apiserver", "kube-controller", "kube-scheduler", "kwok"];
    let running = processes_in(&cluster.folder);
    assert!(programs.iter().all(|name| running.iter().any(|process| process == name)), "{running:?}");
    starter.kill().unwrap();
    starter.wait().unwrap();
    assert!(cluster.script.wait().unwrap().success());
    assert_eq!(processes_in(&cluster.folder), [""; 0]);
    assert!(!cluster.folder.exists());
}

#[test]
fn the_programs_end_with_the_script_that_was_killed() {
    let mut cluster = Cluster::start();
    cluster.script.kill().unwrap();
    cluster.script.wait().unwrap(); // it closes the pipe too, on which no program waits
    await_none_in(&cluster.folder);
    fs::remove_dir_all(&cluster.folder).unwrap(); // nobody else is left to
}
