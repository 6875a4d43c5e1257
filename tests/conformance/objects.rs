//! Objects as people write and see them, with kubectl.

use std::fs;
use std::path::{Path, PathBuf};

use kube::api::{GetParams, Patch, PatchParams, PostParams, Request};
use serde_json::{Value, json};

use super::{api, dynamic};
use crate::cluster::on_shared_cluster;
use crate::validation::cases;

/// What of the examples belongs together: a file, or a folder.
fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // a Simulation is for `packwright simulate`, and no API server knows it; a cluster as kubectl shows it is to be looked at
    let others = ["simulations", "half-empty", "models"]; // folders of simulations, a dump of a cluster, and a script
    examples.retain(|path| !others.iter().any(|other| path.ends_with(other)));
    examples.sort();
    examples
}

#[test]
fn examples_are_applied_as_they_are() {
    on_shared_cluster(async |cluster, _| {
        let examples = examples();
        assert!(examples.len() >= 8, "found {examples:?}");
        for example in examples {
            let of_it = ["-R", "-f", example.to_str().unwrap()];
            let done = cluster.kubectl(&[&["apply", "--validate=strict"], &of_it[..]].concat());
            assert!(done.lines().all(|line| line.ends_with(" created")), "{done}");
            // it fails where applying once more would change anything, such as a default that the server fills in
            cluster.kubectl(&[&["diff"], &of_it[..]].concat());
            cluster.kubectl(&[&["delete"], &of_it[..]].concat());
        }
    });
}

/// A condition whose columns are shown.
fn condition(kind: &str, status: &str) -> Value {
    json!({"type": kind, "status": status, "reason": "Why", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

/// An object with everything that its columns show, and the columns: name, whether only `-o wide` has it, content.
struct Shown {
    kind: &'static str,
    labels: Value,
    spec: Value,
    status: Value,
    columns: Vec<(&'static str, bool, Value)>,
}

const WIDE: bool = true;

fn shown() -> Vec<Shown> {
    let spec = |kind: &str, fields: Value| {
        let mut spec = cases::base(kind)["spec"].take();
        spec.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
        spec
    };
    let ready = json!([condition("Ready", "True")]);
    vec![
        Shown {
            kind: "NodePool",
            labels: json!({}),
            spec: spec("NodePool", json!({"weight": 7})),
            status: json!({"conditions": ready, "resources": {"nodes": "2", "cpu": "8", "memory": "16Gi"}}),
            columns: vec![
                ("NodeClass", !WIDE, json!("default")),
                ("Nodes", !WIDE, json!("2")),
                ("Ready", !WIDE, json!("True")),
                ("Weight", WIDE, json!(7)),
                ("CPU", WIDE, json!("8")),
                ("Memory", WIDE, json!("16Gi")),
            ],
        },
        Shown {
            kind: "NodeClaim",
            labels: json!({
                "node.kubernetes.io/instance-type": "m5.large", "karpenter.sh/capacity-type": "spot",
                "topology.kubernetes.io/zone": "us-east-1a", "karpenter.sh/nodepool": "pool",
            }),
            spec: spec("NodeClaim", json!({})),
            status: json!({
                "conditions": [condition("Ready", "True"), condition("Drifted", "False")],
                "nodeName": "node", "imageID": "ami-1", "providerID": "aws:///us-east-1a/i-1",
            }),
            columns: vec![
                ("Type", !WIDE, json!("m5.large")),
                ("Capacity", !WIDE, json!("spot")),
                ("Zone", !WIDE, json!("us-east-1a")),
                ("Node", !WIDE, json!("node")),
                ("Ready", !WIDE, json!("True")),
                ("ImageID", WIDE, json!("ami-1")),
                ("ID", WIDE, json!("aws:///us-east-1a/i-1")),
                ("NodePool", WIDE, json!("pool")),
                ("NodeClass", WIDE, json!("default")),
                ("Drifted", WIDE, json!("False")),
            ],
        },
        Shown {
            kind: "NodeOverlay",
            labels: json!({}),
            spec: spec("NodeOverlay", json!({"weight": 7})),
            status: json!({"conditions": ready}),
            columns: vec![("Ready", !WIDE, json!("True")), ("Weight", WIDE, json!(7))],
        },
        Shown {
            kind: "EC2NodeClass",
            labels: json!({}),
            spec: spec("EC2NodeClass", json!({})),
            status: json!({"conditions": ready}),
            columns: vec![("Ready", !WIDE, json!("True")), ("Role", WIDE, json!("nodes"))],
        },
        Shown {
            kind: "KWOKNodeClass",
            labels: json!({}),
            spec: spec("KWOKNodeClass", json!({})),
            status: json!({}),
            columns: vec![],
        },
        Shown {
            kind: "CapacityBuffer",
            labels: json!({}),
            spec: spec("CapacityBuffer", json!({})),
            status: json!({
                "podTemplateRef": {"name": "chunk"}, "replicas": 2,
                "conditions": [condition("ReadyForProvisioning", "True")],
            }),
            columns: vec![
                ("Strategy", !WIDE, json!("buffer.x-k8s.io/active-capacity")),
                ("PodTemplate", !WIDE, json!("chunk")),
                ("Replicas", !WIDE, json!(2)),
                ("ConditionsType", !WIDE, json!("ReadyForProvisioning")),
                ("ConditionsStatus", !WIDE, json!("True")),
                ("ConditionsReason", !WIDE, json!("Why")),
            ],
        },
    ]
}

#[test]
fn columns_are_those_of_karpenter() {
    on_shared_cluster(async |_, client| {
        for Shown { kind, labels, spec, status, columns } in shown() {
            let api = api(&client, kind);
            let mut object = cases::object(kind, &spec);
            object["metadata"] = json!({"name": "shown", "labels": labels});
            api.create(&PostParams::default(), &dynamic(object)).await.unwrap();
            let status = Patch::Merge(json!({"status": status}));
            api.patch_status("shown", &PatchParams::default(), &status).await.unwrap();

            let mut request = Request::new(api.resource_url()).get("shown", &GetParams::default()).unwrap();
            let as_table = "application/json;as=Table;v=v1;g=meta.k8s.io".parse().unwrap();
            request.headers_mut().insert("accept", as_table);
            let table: Value = client.request(request).await.unwrap();
            let definitions = table["columnDefinitions"].as_array().unwrap();
            let cells = table["rows"][0]["cells"].as_array().unwrap();
            let found: Vec<(&str, bool, Value)> = definitions
                .iter()
                .zip(cells)
                .map(|(column, cell)| (column["name"].as_str().unwrap(), column["priority"] != 0, cell.clone()))
                .filter(|(name, ..)| *name != "Age" && *name != "Name")
                .collect();
            assert_eq!(found, columns, "{kind}");
            assert!(definitions.iter().any(|column| column["name"] == "Age"), "{kind}");
        }
    });
}
