use serde_json::json;

use super::*;

#[test]
fn names_go_and_what_places_pods_stays() {
    let names = Anonymizer::new(b"salt");
    let hash = |text: &str| names.text(text);
    let pod = names.object(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "payroll-0", "namespace": "finance", "uid": "5b1f", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "payroll", "acme.com/tier": "gold", "topology.kubernetes.io/zone": "eu-west-1a"},
            "annotations": {"karpenter.sh/do-not-disrupt": "true"},
        },
        "spec": {
            "schedulerName": "default-scheduler", "nodeName": "ip-10-0-3-7.internal", "priorityClassName": "system-node-critical",
            "containers": [{"name": "main", "image": "registry.acme.com/payroll:1", "resources": {
                "requests": {"cpu": "500m", "nvidia.com/gpu": "1", "acme.com/widget": "2"},
            }}],
            "tolerations": [{"key": "acme.com/team", "operator": "Equal", "value": "finance", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [
                    {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c"]},
                    {"key": "acme.com/tier", "operator": "In", "values": ["gold"]},
                ]},
            ]}}},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "payroll"}},
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-payroll-0"}}],
        },
        "status": {"phase": "Pending"},
    }));
    let said = pod.to_string();
    for secret in ["payroll", "finance", "acme", "gold", "10-0-3", "internal", "5b1f"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    let kept = [
        ("/kind", "Pod"),
        ("/metadata/creationTimestamp", "2026-01-01T00:00:00Z"),
        ("/metadata/labels/topology.kubernetes.io~1zone", "eu-west-1a"),
        ("/metadata/annotations/karpenter.sh~1do-not-disrupt", "true"),
        ("/spec/schedulerName", "default-scheduler"),
        ("/spec/priorityClassName", "system-node-critical"),
        ("/spec/containers/0/resources/requests/cpu", "500m"),
        ("/spec/containers/0/resources/requests/nvidia.com~1gpu", "1"),
        ("/spec/tolerations/0/effect", "NoSchedule"),
        ("/spec/topologySpreadConstraints/0/topologyKey", "topology.kubernetes.io/zone"),
        ("/status/phase", "Pending"),
    ];
    for (path, value) in kept {
        assert_eq!(pod.pointer(path).and_then(Value::as_str), Some(value), "{path} of {pod}");
    }
    let terms = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = &terms["nodeSelectorTerms"][0]["matchExpressions"];
    assert_eq!(terms[0]["values"][0], "c");
    // references still match
    assert_eq!(terms[1]["key"], names.key("acme.com/tier"));
    assert_eq!(terms[1]["values"][0], pod["metadata"]["labels"][names.key("acme.com/tier")]);
    assert_eq!(
        pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"][names.key("app")],
        hash("payroll")
    );
    assert_eq!(pod["metadata"]["name"], format!("{}-0", hash("payroll")));
    let claim = &pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"];
    assert_eq!(*claim, format!("{}-{}-0", hash("data"), hash("payroll")));
}

#[test]
fn hashes_depend_on_the_salt_alone() {
    let of = |salt: &[u8]| Anonymizer::new(salt).text("web");
    assert_eq!(of(b"a"), of(b"a"));
    assert_ne!(of(b"a"), of(b"b"));
}

#[test]
fn times_stay() {
    let names = Anonymizer::new(b"salt");
    let taint =
        json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": "2026-11-28T10:00:00Z"});
    let node = json!({"kind": "Node", "spec": {"taints": [taint]}, "status": {"any": "2026-11-28T10:00:00.5+01:00"}});
    assert_eq!(names.object(&node), node);
}

#[test]
fn ids_and_tags_of_aws_go() {
    let names = Anonymizer::new(b"salt");
    let id = "subnet-0a1b2c3d4e5f60718";
    let class = names.object(&json!({
        "kind": "EC2NodeClass",
        "spec": {
            "subnetSelectorTerms": [{"tags": {"karpenter.sh/discovery": "acme-prod"}}, {"id": id}, {"tags": {"Name": "*"}}],
            "securityGroupSelectorTerms": [{"tags": {"kubernetes.io/cluster/acme-prod": "owned"}}, {"id": "sg-0123"}],
            "amiSelectorTerms": [{"alias": "al2023@latest"}, {"id": "ami-0123456789abcdef0"}],
        },
        "status": {
            "subnets": [{"id": id, "zone": "eu-west-1a"}],
            "conditions": [{"message": id, "type": "Ready"}],
        },
    }));
    let said = class.to_string();
    for secret in ["acme", "0a1b2c", "0123", "owned"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    let terms = &class["spec"]["subnetSelectorTerms"];
    assert!(terms[0]["tags"]["karpenter.sh/discovery"].is_string(), "{said}");
    assert_eq!(terms[2]["tags"].as_object().unwrap().values().next().unwrap(), "*");
    // equal ids stay equal, and ids
    let hashed = terms[1]["id"].as_str().unwrap();
    assert!(hashed.starts_with("subnet-") && hashed.len() == id.len(), "{hashed}");
    assert_eq!(
        (&class["status"]["subnets"][0]["id"], &class["status"]["conditions"][0]["message"]),
        (&terms[1]["id"], &terms[1]["id"])
    );
    let group = class["spec"]["securityGroupSelectorTerms"][0]["tags"].as_object().unwrap().keys().next().unwrap();
    assert!(group.starts_with("kubernetes.io/cluster/x"), "{group}");
    assert_eq!(class["spec"]["amiSelectorTerms"][0]["alias"], "al2023@latest");
    assert_eq!(class["status"]["subnets"][0]["zone"], "eu-west-1a");
}

#[test]
fn a_service_selects_the_pods_that_it_selected() {
    let names = Anonymizer::new(b"salt");
    let service = names.object(&json!({"kind": "Service", "spec": {"selector": {"app": "web", "tier": "7"}}}));
    let pod = names.object(&json!({"kind": "Pod", "metadata": {"labels": {"app": "web", "tier": "7", "more": "x"}}}));
    let set = names.object(&json!({"kind": "ReplicaSet", "spec": {"selector": {"matchLabels": {"app": "web"}}}}));
    let (selector, labels) = (service["spec"]["selector"].as_object().unwrap(), &pod["metadata"]["labels"]);
    assert!(selector.iter().all(|(key, value)| labels[key] == *value), "{service} {pod}");
    assert!(!selector.contains_key("app") && selector[&names.key("tier")] != "7", "{service}");
    assert_eq!(set["spec"]["selector"]["matchLabels"][names.key("app")], labels[names.key("app")]);
}

#[test]
fn numbers_of_labels_go_unless_they_are_compared() {
    let requirement =
        |key: &str, operator: &str, value: &str| json!({"key": key, "operator": operator, "values": [value]});
    let pool = json!({"kind": "NodePool", "spec": {"template": {"spec": {"requirements": [
        requirement("acme.com/rack", "In", "42"), requirement("acme.com/speed", "Gt", "100"),
        requirement("karpenter.k8s.aws/instance-cpu", "In", "16"),
    ]}}}});
    let labels = json!({"kind": "Pod", "metadata": {"labels": {
        "acme.com/rack": "42", "acme.com/speed": "200", "apps.kubernetes.io/pod-index": "3", "acme.com/on": "true",
    }}});
    let names = Anonymizer::new(b"salt").comparing([&pool, &labels]);
    let (of_pool, of_pod) = (names.object(&pool), names.object(&labels));
    let requirements = &of_pool["spec"]["template"]["spec"]["requirements"];
    let label = |key: &str| &of_pod["metadata"]["labels"][names.key(key)];
    assert_ne!(*label("acme.com/rack"), "42");
    assert_eq!(requirements[0]["values"][0], *label("acme.com/rack"));
    assert_eq!((&requirements[1]["values"][0], label("acme.com/speed")), (&"100".into(), &"200".into()));
    assert_eq!(requirements[2]["values"][0], "16");
    assert_eq!((label("apps.kubernetes.io/pod-index"), label("acme.com/on")), (&"3".into(), &"true".into()));
}

#[test]
fn claims_and_pods_that_we_wrote_down_go() {
    let names = Anonymizer::new(b"salt");
    let said = names.object(&json!({"kind": "Node", "metadata": {
        "annotations": {"packwright.dev/planned-pods": "[\"finance/payroll-0\"]", "packwright.dev/reserved-at": "2026-11-28T10:00:00Z"},
        "labels": {"node-role.kubernetes.io/payroll": ""},
    }, "spec": {"taints": [{"key": "packwright.dev/planned", "value": "payroll-x7k2p", "effect": "NoSchedule"}]}}));
    assert!(!said.to_string().contains("payroll"), "{said}");
    assert_eq!(said["metadata"]["annotations"]["packwright.dev/reserved-at"], "2026-11-28T10:00:00Z");
    assert_eq!(said["spec"]["taints"][0]["value"], names.text("payroll-x7k2p"));
}
