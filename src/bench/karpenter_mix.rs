//! The mix of pods and instance types of Karpenter's scheduling benchmark, for any number of pods.
//!
//! Source: karpenter `pkg/controllers/provisioning/scheduling/scheduling_benchmark_test.go` and
//! `pkg/cloudprovider/fake/instancetype.go`; a fifth of each kind of pod.

use serde_json::{Value, json};

use crate::random::SplitMix64;

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

const TYPES: u32 = 400;
/// (capacity type, zone); all at the same price.
const OFFERINGS: [(&str, &str); 5] = [
    ("spot", "test-zone-1"),
    ("spot", "test-zone-2"),
    ("on-demand", "test-zone-1"),
    ("on-demand", "test-zone-2"),
    ("on-demand", "test-zone-3"),
];

const CPU_MILLI: [u32; 5] = [100, 250, 500, 1000, 1500];
const MEMORY_MIB: [u32; 6] = [100, 256, 512, 1024, 2048, 4096];
const LABEL_VALUES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    ZoneSpread,
    HostSpread,
    ZoneAffine,
    HostAntiAffine,
}

/// Plain first: it takes the pods that are left over where the number does not divide by five.
const KINDS: [Kind; 5] = [Kind::Plain, Kind::ZoneSpread, Kind::HostSpread, Kind::ZoneAffine, Kind::HostAntiAffine];

/// The catalogue in the format of Karpenter's kwok provider: type i of 400 has i vCPUs, 2i GiB and 10i pods, and costs
/// $0.1 an hour for each vCPU and for each 10^9 bytes.
#[must_use]
pub fn catalog() -> Value {
    (1..=TYPES).map(instance_type).collect()
}

fn instance_type(size: u32) -> Value {
    let memory_gib = 2 * size;
    let memory_bytes = f64::from(memory_gib) * f64::from(1 << 30);
    let price = 0.1 * f64::from(size) + 0.1 * memory_bytes / 1e9;
    let offering = |(capacity_type, zone): (&str, &str)| {
        json!({
            "Price": price,
            "Available": true,
            "Requirements": [
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [capacity_type]},
                {"key": ZONE, "operator": "In", "values": [zone]},
            ],
        })
    };
    json!({
        "name": format!("mix-{size}"),
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": {
            "cpu": size.to_string(),
            "memory": format!("{memory_gib}Gi"),
            "pods": (10 * size).to_string(),
        },
        "offerings": OFFERINGS.map(offering),
    })
}

/// A `List` of `count` pods; equal seeds give equal pods.
#[must_use]
pub fn pods(count: usize, seed: u64) -> Value {
    let mut random = SplitMix64(seed);
    let of_each = count / KINDS.len();
    let left_over = count % KINDS.len();
    let items: Vec<Value> = KINDS
        .into_iter()
        .flat_map(|kind| {
            let number = if kind == Kind::Plain { of_each + left_over } else { of_each };
            (0..number).map(move |index| (kind, index))
        })
        .map(|(kind, index)| pod(kind, index, &mut random))
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn pod(kind: Kind, index: usize, random: &mut SplitMix64) -> Value {
    let own = random.pick(&LABEL_VALUES);
    let wanted = random.pick(&LABEL_VALUES);
    let (name, labels, rules) = match kind {
        Kind::Plain => ("plain", json!({"spread": own}), json!({})),
        Kind::ZoneSpread => ("zone-spread", json!({"spread": own}), spread(ZONE, wanted)),
        Kind::HostSpread => ("host-spread", json!({"spread": own}), spread(HOSTNAME, wanted)),
        Kind::ZoneAffine => {
            let term = json!({"topologyKey": ZONE, "labelSelector": {"matchLabels": {"affinity": wanted}}});
            ("zone-affine", json!({"affinity": own}), affinity("podAffinity", &term))
        }
        Kind::HostAntiAffine => {
            let term = json!({"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "nginx"}}});
            ("host-anti-affine", json!({"app": "nginx"}), affinity("podAntiAffinity", &term))
        }
    };
    let requests = json!({
        "cpu": format!("{}m", random.pick(&CPU_MILLI)),
        "memory": format!("{}Mi", random.pick(&MEMORY_MIB)),
    });
    let mut spec = rules;
    spec["containers"] = json!([{"name": "main", "image": "pause", "resources": {"requests": requests}}]);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("{name}-{index}"), "namespace": "mix", "labels": labels},
        "spec": spec,
    })
}

fn spread(key: &str, selected: &str) -> Value {
    json!({"topologySpreadConstraints": [{
        "topologyKey": key,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"spread": selected}},
    }]})
}

fn affinity(kind: &str, term: &Value) -> Value {
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
}
