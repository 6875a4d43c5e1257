//! Random clusters as manifests: pools, nodes with pods, daemonsets, volumes, and pending pods with every scheduling rule.

use serde_json::{Value, json};

use super::dice::Dice;

pub const ZONES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 2] = ["one", "two"];
/// Of daemonsets that no selector of a pod reaches.
const DAEMONS: &str = "daemons";
const APPS: [&str; 3] = ["x", "y", "z"];
const TEAMS: [&str; 2] = ["red", "green"];
/// A custom label that pools may fix or leave out.
const TEAM: &str = "example.com/team";
pub const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";
const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
const WIDGET: &str = "example.com/widget";

/// Keys that constraints look at.
const KEYS: [&str; 6] = [ZONE, ZONE, HOSTNAME, HOSTNAME, CAPACITY_TYPE, TEAM];

/// A daemonset that runs on every node: once its pods are there, the controller knows the nodes.
pub const EVERYWHERE: &str = "everywhere";

/// Manifests in the order in which they can be created.
pub struct Scenario {
    pub seed: u64,
    /// For the plan alone.
    pub pools: Vec<Value>,
    /// What was launched before: the plan sees the claim, kube-scheduler the node that it becomes.
    pub in_flight: Vec<InFlight>,
    pub namespaces: Vec<Value>,
    /// Volumes, claims, priority classes, CSINodes.
    pub surroundings: Vec<Value>,
    pub daemon_sets: Vec<Value>,
    /// With their status.
    pub nodes: Vec<Value>,
    /// Pods on those nodes.
    pub bound: Vec<Value>,
    pub pending: Vec<Value>,
}

pub struct InFlight {
    pub claim: Value,
    pub node: Value,
}

impl Scenario {
    pub fn random(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let further = &mut Dice::new(seed ^ 0xf1);
        let namespace = |name: &&str| {
            let labels = match *name {
                "one" => json!({"tenant": "yes"}),
                "two" => json!({"tenant": "yes", "tier": "gold"}),
                _ => json!({}),
            };
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        };
        let pools: Vec<Value> = (0..=dice.below(2)).map(|index| pool(dice, index)).collect();
        let mut nodes = Vec::new();
        let mut surroundings = vec![priority_class("usual", 0), priority_class("urgent", 1000)];
        for index in 0..dice.below(4) {
            let node = node(dice, index);
            if dice.percent(30) {
                surroundings.push(csi_node(node["metadata"]["name"].as_str().unwrap()));
            }
            nodes.push(node);
        }
        let claims: Vec<(String, &str)> =
            (0..4).map(|index| (format!("claim-{index}"), *dice.pick(&NAMESPACES))).collect();
        for (name, namespace) in &claims {
            let bound = volume(dice, name, namespace);
            if further.percent(30) {
                surroundings.extend(late_claim(further, &bound[1], &format!("late-{seed}-{name}")));
            } else {
                surroundings.extend(bound);
            }
        }
        let in_flight = if further.percent(30) { vec![in_flight(further, &pools)] } else { Vec::new() };
        let daemon_sets = daemon_sets(dice, further);
        let mut bound = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            for replica in 0..dice.below(3) {
                let namespace = *dice.pick(&NAMESPACES);
                let mut pod = pod(dice, &format!("bound-{index}-{replica}"), namespace, &[]);
                // it is there, whatever it says
                pod["spec"]["nodeName"] = node["metadata"]["name"].clone();
                pod["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": "100m", "memory": "128Mi"});
                let spec = pod["spec"].as_object_mut().unwrap();
                spec.remove("nodeSelector");
                spec.insert("tolerations".to_owned(), json!([{"operator": "Exists"}]));
                bound.push(pod);
            }
        }
        let mut pending = Vec::new();
        for group in 0..=dice.below(5) {
            let namespace = *dice.pick(&NAMESPACES);
            let own: Vec<&str> =
                claims.iter().filter(|(_, of)| *of == namespace).map(|(name, _)| name.as_str()).collect();
            let template = pod(dice, "template", namespace, &own);
            for replica in 0..=dice.below(4) {
                let mut pod = template.clone();
                pod["metadata"]["name"] = json!(format!("pod-{group}-{replica}"));
                pending.push(pod);
            }
        }
        let namespaces = NAMESPACES.iter().chain(&[DAEMONS]).map(namespace).collect();
        Self { seed, pools, in_flight, namespaces, surroundings, daemon_sets, nodes, bound, pending }
    }
}

fn pool(dice: &mut Dice, index: usize) -> Value {
    let mut requirements = vec![json!({
        "key": CAPACITY_TYPE, "operator": "In", "values": dice.some(&["on-demand", "spot"]),
    })];
    if dice.percent(40) {
        requirements.push(json!({"key": ZONE, "operator": "In", "values": dice.some(&ZONES)}));
    }
    let mut template = json!({"spec": {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
        "requirements": requirements,
    }});
    if dice.percent(40) {
        template["metadata"] = json!({"labels": {TEAM: dice.pick(&TEAMS)}});
    }
    if dice.percent(30) {
        let effect = *dice.pick(&["NoSchedule", "PreferNoSchedule"]);
        template["spec"]["taints"] = json!([{"key": "dedicated", "value": "x", "effect": effect}]);
    }
    let mut spec = json!({"template": template});
    if dice.percent(20) {
        spec["limits"] = json!({"cpu": dice.pick(&["4", "8"])});
    }
    let name = format!("pool-{index}");
    json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": spec})
}

fn node(dice: &mut Dice, index: usize) -> Value {
    let name = format!("node-{index}");
    let mut labels = json!({
        HOSTNAME: name, ZONE: dice.pick(&ZONES), CAPACITY_TYPE: dice.pick(&["on-demand", "spot"]),
        "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "std-4",
    });
    if dice.percent(30) {
        labels[TEAM] = json!(dice.pick(&TEAMS));
    }
    let taints = if dice.percent(25) {
        json!([{"key": "dedicated", "value": "x", "effect": dice.pick(&["NoSchedule", "NoExecute", "PreferNoSchedule"])}])
    } else {
        json!([])
    };
    let mut amounts =
        json!({"cpu": dice.pick(&["2", "4"]), "memory": "8Gi", "pods": "10", "ephemeral-storage": "50Gi"});
    if dice.percent(30) {
        amounts[WIDGET] = json!("1");
    }
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": taints, "unschedulable": dice.percent(10)},
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    })
}

/// The node can attach one volume.
fn csi_node(node: &str) -> Value {
    let driver =
        json!({"name": "ebs.csi.example.com", "nodeID": node, "topologyKeys": null, "allocatable": {"count": 1}});
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
        "metadata": {"name": node}, "spec": {"drivers": [driver]},
    })
}

/// A volume in some zones and the claim that it is bound to.
fn volume(dice: &mut Dice, claim: &str, namespace: &str) -> [Value; 2] {
    let name = format!("volume-{claim}");
    let size = json!({"storage": "1Gi"});
    let access = if dice.percent(20) { "ReadWriteOncePod" } else { "ReadWriteMany" };
    let terms = json!([{"matchExpressions": [{"key": ZONE, "operator": "In", "values": dice.some(&ZONES)}]}]);
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": size, "accessModes": [access], "storageClassName": "manual", "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim},
            "csi": {"driver": "ebs.csi.example.com", "volumeHandle": name},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        },
        "status": {"phase": "Bound"},
    });
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim, "namespace": namespace},
        "spec": {
            "accessModes": [access], "storageClassName": "manual", "volumeName": name,
            "resources": {"requests": size},
        },
        "status": {"phase": "Bound"},
    });
    [volume, claim]
}

/// The same claim, for which a volume is made where its first pod is bound, and the class that says so.
fn late_claim(dice: &mut Dice, claim: &Value, class: &str) -> [Value; 2] {
    let mut claim = claim.clone();
    claim["spec"]["storageClassName"] = json!(class);
    claim["spec"].as_object_mut().unwrap().remove("volumeName");
    claim.as_object_mut().unwrap().remove("status");
    let mut class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer",
    });
    if dice.percent(40) {
        class["allowedTopologies"] = json!([{"matchLabelExpressions": [{"key": ZONE, "values": dice.some(&ZONES)}]}]);
    }
    [class, claim]
}

fn in_flight(dice: &mut Dice, pools: &[Value]) -> InFlight {
    let pool = dice.pick(pools);
    let template = &pool["spec"]["template"];
    let taints = template["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let name = "in-flight-0";
    let mut labels = json!({
        ZONE: dice.pick(&ZONES), CAPACITY_TYPE: dice.pick(&["on-demand", "spot"]), "karpenter.sh/nodepool": pool["metadata"]["name"],
        "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "std-4",
    });
    for (key, value) in template["metadata"]["labels"].as_object().into_iter().flatten() {
        labels[key] = value.clone();
    }
    let amounts = json!({"cpu": "4", "memory": "16Gi", "pods": "20", "ephemeral-storage": "50Gi"});
    let claim = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": name, "labels": labels},
        "spec": {
            "nodeClassRef": template["spec"]["nodeClassRef"], "taints": taints,
            "requirements": [{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["std-4"]}],
        },
        "status": {"providerID": "aws:///a/i-1", "capacity": amounts, "allocatable": amounts},
    });
    for (key, value) in [(HOSTNAME, name), ("karpenter.sh/registered", "true"), ("karpenter.sh/initialized", "true")] {
        labels[key] = json!(value);
    }
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": taints},
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    });
    InFlight { claim, node }
}

/// Pods of it are judged one by one: none makes room for itself.
fn priority_class(name: &str, value: i32) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "preemptionPolicy": "Never",
    })
}

/// `known`: for what makes selectors of pods reach some of them.
fn daemon_sets(dice: &mut Dice, known: &mut Dice) -> Vec<Value> {
    let mut set = |name: &str, spec: Value| {
        let own = json!({"daemon": name});
        let mut labels = own.clone();
        let mut namespace = DAEMONS;
        if known.percent(30) {
            namespace = *known.pick(&NAMESPACES);
            labels["app"] = json!(known.pick(&APPS));
        }
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"matchLabels": own}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        })
    };
    let container = |requests: Value| json!([{"name": "main", "image": "daemon", "resources": {"requests": requests}}]);
    let mut sets =
        vec![set(EVERYWHERE, json!({"containers": container(json!({})), "tolerations": [{"operator": "Exists"}]}))];
    for index in 0..dice.below(3) {
        let requests = json!({"cpu": dice.pick(&["100m", "300m"]), "memory": "128Mi"});
        let mut spec = json!({"containers": container(requests)});
        match dice.below(5) {
            0 => spec["nodeSelector"] = json!({ZONE: dice.pick(&ZONES)}),
            1 => spec["nodeSelector"] = json!({CAPACITY_TYPE: "spot"}),
            2 => spec["nodeSelector"] = json!({TEAM: dice.pick(&TEAMS)}),
            _ => {}
        }
        if dice.percent(40) {
            spec["tolerations"] = json!([toleration(dice)]);
        }
        sets.push(set(&format!("daemon-{index}"), spec));
    }
    sets
}

fn selector(dice: &mut Dice) -> Value {
    match dice.below(8) {
        0 => json!({}),
        1 => Value::Null,
        2 => json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [dice.pick(&APPS)]}]}),
        3 => json!({"matchExpressions": [{"key": "app", "operator": "In", "values": dice.some(&APPS)}]}),
        _ => json!({"matchLabels": {"app": dice.pick(&APPS)}}),
    }
}

fn pod_term(dice: &mut Dice) -> Value {
    let mut term = json!({"topologyKey": dice.pick(&KEYS)});
    let selector = selector(dice);
    if !selector.is_null() {
        term["labelSelector"] = selector;
    }
    match dice.below(10) {
        0 => term["namespaceSelector"] = json!({"matchLabels": {"tenant": "yes"}}),
        1 => term["namespaceSelector"] = json!({"matchLabels": {"tier": "gold"}}),
        2 => term["namespaces"] = json!([dice.pick(&NAMESPACES)]),
        _ => {}
    }
    term
}

fn node_term(dice: &mut Dice) -> Value {
    let expression = match dice.below(6) {
        0 | 1 => json!({"key": ZONE, "operator": "In", "values": dice.some(&ZONES)}),
        2 => json!({"key": ZONE, "operator": "NotIn", "values": [dice.pick(&ZONES)]}),
        3 => json!({"key": TEAM, "operator": "In", "values": [dice.pick(&TEAMS)]}),
        4 => json!({"key": TEAM, "operator": "DoesNotExist"}),
        _ => json!({"key": CAPACITY_TYPE, "operator": "In", "values": dice.some(&["on-demand", "spot"])}),
    };
    json!({"matchExpressions": [expression]})
}

fn spread(dice: &mut Dice) -> Value {
    let when = if dice.percent(75) { "DoNotSchedule" } else { "ScheduleAnyway" };
    let mut spread = json!({
        "topologyKey": dice.pick(&KEYS), "maxSkew": 1 + dice.below(2), "whenUnsatisfiable": when,
        "nodeAffinityPolicy": dice.pick(&["Honor", "Ignore"]), "nodeTaintsPolicy": dice.pick(&["Honor", "Ignore"]),
    });
    let selector = selector(dice);
    if !selector.is_null() {
        spread["labelSelector"] = selector;
    }
    if when == "DoNotSchedule" && dice.percent(20) {
        spread["minDomains"] = json!(2 + dice.below(2));
    }
    spread
}

fn toleration(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => json!({"operator": "Exists"}),
        1 => json!({"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}),
        2 => json!({"key": "dedicated", "operator": "Equal", "value": "y"}),
        _ => json!({"key": "dedicated", "operator": "Equal", "value": "x"}),
    }
}

fn pod(dice: &mut Dice, name: &str, namespace: &str, claims: &[&str]) -> Value {
    let mut requests = json!({
        "cpu": dice.pick(&["100m", "250m", "500m", "900m", "1500m", "3"]), "memory": dice.pick(&["128Mi", "1Gi", "3Gi"]),
    });
    let mut limits = json!({});
    if dice.percent(5) {
        let name = *dice.pick(&[WIDGET, "nvidia.com/gpu"]);
        (requests[name], limits[name]) = (json!("1"), json!("1"));
    }
    let mut container = json!({"name": "main", "image": "app", "resources": {"requests": requests, "limits": limits}});
    if dice.percent(12) {
        let port = 80 + dice.below(2);
        let mut of = json!({"containerPort": port, "hostPort": port, "protocol": dice.pick(&["TCP", "TCP", "UDP"])});
        if dice.percent(40) {
            of["hostIP"] = json!(dice.pick(&["0.0.0.0", "10.0.0.1", "10.0.0.2"]));
        }
        container["ports"] = json!([of]);
    }
    let class = if dice.percent(25) { "urgent" } else { "usual" };
    let mut spec = json!({"containers": [container], "priorityClassName": class, "terminationGracePeriodSeconds": 0});
    if dice.percent(35) {
        spec["tolerations"] = json!([toleration(dice)]);
    }
    match dice.below(16) {
        0 => spec["nodeSelector"] = json!({ZONE: dice.pick(&ZONES)}),
        1 => spec["nodeSelector"] = json!({TEAM: dice.pick(&TEAMS)}),
        2 => spec["nodeSelector"] = json!({CAPACITY_TYPE: "on-demand"}),
        _ => {}
    }
    if dice.percent(15) {
        let terms: Vec<Value> = (0..=dice.below(2)).map(|_| node_term(dice)).collect();
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] =
            json!(terms);
    }
    if dice.percent(12) {
        let term = json!({"weight": 1 + dice.below(100), "preference": node_term(dice)});
        spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = json!([term]);
    }
    for (chance, kind) in [(10, "podAffinity"), (20, "podAntiAffinity")] {
        if dice.percent(chance) {
            spec["affinity"][kind]["requiredDuringSchedulingIgnoredDuringExecution"] = json!([pod_term(dice)]);
        }
        if dice.percent(chance / 2) {
            let term = json!({"weight": 1 + dice.below(100), "podAffinityTerm": pod_term(dice)});
            spec["affinity"][kind]["preferredDuringSchedulingIgnoredDuringExecution"] = json!([term]);
        }
    }
    if dice.percent(40) {
        spec["topologySpreadConstraints"] = json!([spread(dice)]);
    }
    if !claims.is_empty() && dice.percent(25) {
        let claim = json!({"persistentVolumeClaim": {"claimName": dice.pick(claims)}, "name": "data"});
        spec["volumes"] = json!([claim]);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": dice.pick(&APPS)}},
        "spec": spec,
    })
}
