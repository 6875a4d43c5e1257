//! `make bench-loading`: how long reading takes, best of several runs.
//!
//! As many pods as openb has, one manifest each, as a YAML stream and as the List that `kubectl get pods -o json` prints
//! with everything that an API server adds; and the catalogue of one node class.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use packwright::catalog::{Catalog, Ec2Facts, Market, NodeClassFacts};
use packwright::observe::{GatesByInput, LoadOptions, Objects, build, read_text};
use packwright::settings::Settings;
use serde_json::{Value, json};

const PODS: usize = 8_152;
const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // the table is read once in a process, so its own reading is timed apart
    println!("{:40} {:>8.1} ms", "bundled EC2 table", milliseconds(best(20, Ec2Facts::parse_bundled)));
    let (market, _) = Market::offline("us-east-1")?;
    let catalog = Catalog::Ec2(Box::new(market));
    let types = || catalog.instance_types(&NodeClassFacts::default(), &Settings::default());
    println!("{:40} {:>8.1} ms", format!("{} types of a node class", types().len()), milliseconds(best(20, types)));

    let small: Vec<String> = (0..PODS).map(small_manifest).collect();
    report("YAML stream, small manifests", &small.concat());
    let pods: Vec<Value> = (0..PODS).map(pod_of_a_cluster).collect();
    let mut yaml = String::new();
    for pod in &pods {
        yaml.push_str("---\n");
        yaml.push_str(&serde_saphyr::to_string(pod)?);
    }
    report("YAML stream, pods of a cluster", &yaml);
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": pods});
    report("kubectl get pods -o json", &serde_json::to_string_pretty(&list)?);
    report("kubectl get pods -o yaml", &serde_saphyr::to_string(&list)?);
    Ok(())
}

fn report(name: &str, text: &str) {
    let read = best(RUNS, || {
        let (mut raw, mut errors) = (Vec::new(), Vec::new());
        read_text("-", text, &mut raw, &mut errors);
        raw
    });
    let all = best(RUNS, || load(text));
    let megabytes = text.len() / 1_000_000;
    println!("{name:40} {:>8.1} ms, of which parsing {:.1} ms ({megabytes} MB)", milliseconds(all), milliseconds(read));
}

fn load(text: &str) -> usize {
    let (mut raw, mut errors) = (Vec::new(), Vec::new());
    read_text("-", text, &mut raw, &mut errors);
    let (market, _) = Market::offline("us-east-1").expect("a known region");
    let options = LoadOptions {
        settings: Settings::default(),
        region: Arc::from("us-east-1"),
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        catalog: Catalog::Ec2(Box::new(market)),
        assumptions: Vec::new(),
        gates: GatesByInput::TurnOn,
    };
    let loaded = build(Objects::collect(raw), options);
    assert_eq!((loaded.snapshot.pods.len(), loaded.errors.len()), (PODS, 0));
    loaded.snapshot.pods.len()
}

/// The shortest of several runs, without the time that dropping the result takes.
fn best<T>(runs: usize, mut run: impl FnMut() -> T) -> Duration {
    let timed = (0..runs).map(|_| {
        let started = Instant::now();
        let result = black_box(run());
        let elapsed = started.elapsed();
        drop(result);
        elapsed
    });
    timed.min().expect("at least one run")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn small_manifest(i: usize) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p-{i}\n  labels:\n    app: a{}\nspec:\n  containers:\n  - name: c\n    \
         image: pause\n    resources:\n      requests:\n        cpu: {}m\n        memory: 1Gi\n",
        i % 100,
        100 + i % 7
    )
}

/// A pod of a Deployment as an API server returns it.
fn pod_of_a_cluster(i: usize) -> Value {
    let app = format!("app-{}", i % 100);
    let name = format!("{app}-6d4cf56db6-{i:05}");
    let uid = |kind: u8| format!("{kind:08x}-0000-4000-8000-{i:012x}");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "generateName": format!("{app}-6d4cf56db6-"), "namespace": "default", "uid": uid(1),
            "resourceVersion": i.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1,
            "labels": {"app": app, "pod-template-hash": "6d4cf56db6", "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-6d4cf56db6"),
                "uid": uid(2), "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "containers": [{
                "name": "app", "image": "registry.example.com/team/app:v1.2.3", "imagePullPolicy": "IfNotPresent",
                "args": ["--listen=:8080", "--log-level=info"],
                "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
                    {"name": "REGION", "value": "us-east-1"}],
                "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10,
                    "failureThreshold": 3, "successThreshold": 1, "timeoutSeconds": 1},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10,
                    "failureThreshold": 3, "successThreshold": 1, "timeoutSeconds": 1},
                "resources": {"requests": {"cpu": format!("{}m", 100 + i % 7), "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": [{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "token",
                    "readOnly": true}],
            }],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0, "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000}, "serviceAccount": "app",
            "serviceAccountName": "app", "terminationGracePeriodSeconds": 30,
            "tolerations": [
                {"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300},
                {"effect": "NoExecute", "key": "node.kubernetes.io/unreachable", "operator": "Exists",
                    "tolerationSeconds": 300},
            ],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": app}}}],
            "volumes": [{"name": "token", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
                {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                    "path": "namespace"}]}}]}}],
        },
        "status": {"phase": "Pending", "qosClass": "Burstable", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastProbeTime": null,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "message": "0/100 nodes are available: 100 Insufficient cpu. preemption: 0/100 nodes are available."}]},
    })
}
