//! A cluster at work: a thousand Deployments spread over zones, five hundred nodes that are partly used, three limited pools.

use serde_json::{Value, json};

use super::pools::{node_class, pool};
use super::{deployment, list};
use crate::random::SplitMix64;

const WORKLOADS: u64 = 1_000;
const NODES: u64 = 500;
const ZONE: &str = "topology.kubernetes.io/zone";

/// What comes on top.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    /// A fifth of the workloads has at most one pod on a host.
    pub hosts: bool,
    /// Two daemonsets run on every node.
    pub daemons: bool,
}

/// (name, categories, limit in vCPU)
const POOLS: [(&str, &[&str], u64); 3] =
    [("compute", &["c"], 1_500), ("general", &["m"], 2_500), ("memory", &["r"], 1_500)];

/// (type, pool, allocatable millicores, allocatable MiB)
const TYPES: [(&str, &str, u64, u64); 3] = [
    ("m6i.2xlarge", "general", 7_910, 29_000),
    ("c6i.2xlarge", "compute", 7_910, 14_000),
    ("r6i.xlarge", "memory", 3_920, 29_000),
];

pub fn manifests(seed: u64, extras: Extras) -> Vec<Value> {
    let mut random = SplitMix64(seed);
    let mut objects: Vec<Value> = POOLS
        .iter()
        .map(|(name, categories, limit)| {
            let requirements = [
                json!({"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}),
                json!({"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]}),
                json!({"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": categories}),
                json!({"key": "karpenter.k8s.aws/instance-cpu", "operator": "Lt", "values": ["33"]}),
            ];
            pool(name, &requirements, Some(*limit))
        })
        .collect();
    objects.push(node_class());
    for index in 0..NODES {
        objects.extend(node(index, &mut random));
    }
    if extras.daemons {
        objects.extend([daemon_set("logs", 100, 200), daemon_set("metrics", 50, 300)]);
    }
    for index in 0..WORKLOADS {
        let cpu = random.pick(&[100, 250, 500, 1_000, 2_000]);
        let memory = (cpu * random.between(1_024, 6_144)).div_ceil(1_000);
        let replicas = random.between(1, 6);
        let name = format!("workload-{index}");
        let selector = json!({"matchLabels": {"app": name}});
        let spread = json!([{
            "topologyKey": ZONE, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector,
        }]);
        let mut spec = json!({"topologySpreadConstraints": spread});
        if extras.hosts && index.is_multiple_of(5) {
            let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": selector});
            spec["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
        }
        objects.push(deployment(&name, replicas, cpu, memory, spec));
    }
    vec![list(&objects)]
}

/// A node with one pod that uses a part of it.
fn node(index: u64, random: &mut SplitMix64) -> [Value; 2] {
    let (instance_type, pool, cpu, memory) = random.pick(&TYPES);
    let zone = random.pick(&["us-east-1a", "us-east-1b", "us-east-1c"]);
    let name = format!("node-{index}");
    let amounts = json!({"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi"), "pods": "58"});
    let labels = json!({
        "karpenter.sh/nodepool": pool,
        "karpenter.sh/initialized": "true",
        "karpenter.sh/registered": "true",
        "karpenter.sh/capacity-type": "on-demand",
        "node.kubernetes.io/instance-type": instance_type,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        ZONE: zone,
    });
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"providerID": format!("aws:///{zone}/i-{index:017x}")},
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    let used = |amount: u64, random: &mut SplitMix64| amount * random.between(40, 98) / 100;
    let requests = json!({"cpu": format!("{}m", used(cpu, random)), "memory": format!("{}Mi", used(memory, random))});
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("bound-{index}"), "namespace": "bench"},
        "spec": {"nodeName": name, "containers": [{"name": "main", "image": "pause", "resources": {"requests": requests}}]},
        "status": {"phase": "Running"},
    });
    [node, pod]
}

fn daemon_set(name: &str, cpu_milli: u64, memory_mib: u64) -> Value {
    let mut object = deployment(name, 1, cpu_milli, memory_mib, json!({}));
    object["kind"] = json!("DaemonSet");
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("replicas");
    }
    object
}
