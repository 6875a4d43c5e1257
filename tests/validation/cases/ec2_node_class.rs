//! Changes of an EC2NodeClass.

use serde_json::{Map, Value, json};

use super::{Case, api, base, controller};

pub fn valid() -> Vec<(&'static str, Value)> {
    vec![
        ("/spec/amiFamily", json!("Custom")),
        ("/spec/amiFamily", json!("AL2023")),
        (
            "/spec/capacityReservationSelectorTerms",
            json!([{"id": "cr-1"}, {"instanceMatchCriteria": "open", "ownerID": "123456789012"}]),
        ),
        // only lists in which every term breaks the rule are refused
        ("/spec/subnetSelectorTerms", json!([{"id": "subnet-1", "tags": {"a": "b"}}, {"id": "subnet-2"}])),
        ("/spec/blockDeviceMappings", json!([{"rootVolume": true, "ebs": {"volumeSize": "64T", "volumeType": "gp3"}}])),
        (
            "/spec/networkInterfaces",
            json!([
                {"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface"},
                {"networkCardIndex": 0, "deviceIndex": 1, "interfaceType": "efa-only"},
                {"networkCardIndex": 1, "deviceIndex": 0, "interfaceType": "efa-only"},
            ]),
        ),
        ("/spec/connectionTracking", json!({"udpTimeout": 30})),
        ("/spec/placementGroupSelector", json!({"name": "a"})),
        ("/spec/metadataOptions", json!({"httpTokens": "optional"})),
        (
            "/spec/kubelet",
            json!({
                "maxPods": 110,
                "kubeReserved": {"cpu": "100m"},
                "evictionHard": {"memory.available": "5%"},
                "evictionSoft": {"nodefs.available": "1Gi"},
                "evictionSoftGracePeriod": {"nodefs.available": "1m30s"},
                "imageGCHighThresholdPercent": 85,
                "imageGCLowThresholdPercent": 80,
                "topologyManagerPolicy": "best-effort",
                "clusterDNS": ["10.0.0.10", "10.0.0.11"],
            }),
        ),
    ]
}

pub fn invalid() -> Vec<Case> {
    let tags = |len: usize| (0..len).map(|i| (format!("k{i}"), json!("v"))).collect::<Map<String, Value>>();
    let terms = |len: usize| vec![json!({"tags": {"a": "b"}}); len];
    let subnets = "/spec/subnetSelectorTerms";
    let groups = "/spec/securityGroupSelectorTerms";
    let reservations = "/spec/capacityReservationSelectorTerms";
    let images = "/spec/amiSelectorTerms";
    let mut cases = vec![
        api(subnets, Value::Null, "spec.subnetSelectorTerms"),
        api(subnets, json!([]), "spec.subnetSelectorTerms"),
        api(subnets, json!(terms(31)), "spec.subnetSelectorTerms"),
        api(subnets, json!([{}]), "spec.subnetSelectorTerms[0]"),
        api(subnets, json!([{"id": "vpc-1"}]), "spec.subnetSelectorTerms[0].id"),
        api(subnets, json!([{"id": "subnet-1", "tags": {"a": "b"}}]), "spec.subnetSelectorTerms"),
        api(subnets, json!([{"tags": {"a": ""}}]), "spec.subnetSelectorTerms[0].tags"),
        api(subnets, json!([{"tags": tags(21)}]), "spec.subnetSelectorTerms[0].tags"),
        api(groups, Value::Null, "spec.securityGroupSelectorTerms"),
        api(groups, json!([]), "spec.securityGroupSelectorTerms"),
        api(groups, json!(terms(31)), "spec.securityGroupSelectorTerms"),
        api(groups, json!([{}]), "spec.securityGroupSelectorTerms[0]"),
        api(groups, json!([{"id": "1"}]), "spec.securityGroupSelectorTerms[0].id"),
        api(groups, json!([{"id": "sg-1", "tags": {"a": "b"}}]), "spec.securityGroupSelectorTerms"),
        api(groups, json!([{"name": "n", "tags": {"a": "b"}}]), "spec.securityGroupSelectorTerms"),
        api(groups, json!([{"tags": {"": "b"}}]), "spec.securityGroupSelectorTerms[0].tags"),
        api(reservations, json!(terms(31)), "spec.capacityReservationSelectorTerms"),
        api(reservations, json!([{"ownerID": "123456789012"}]), "spec.capacityReservationSelectorTerms[0]"),
        api(reservations, json!([{"id": "xcr-1"}]), "spec.capacityReservationSelectorTerms[0].id"),
        api(
            reservations,
            json!([{"tags": {"a": "b"}, "ownerID": "1"}]),
            "spec.capacityReservationSelectorTerms[0].ownerID",
        ),
        api(reservations, json!([{"instanceMatchCriteria": "closed"}]), "type"),
        api(reservations, json!([{"id": "cr-1", "tags": {"a": "b"}}]), "spec.capacityReservationSelectorTerms"),
        api(reservations, json!([{"tags": {"a": ""}}]), "spec.capacityReservationSelectorTerms[0].tags"),
        api("/spec/placementGroupSelector", json!({}), "spec.placementGroupSelector"),
        api("/spec/placementGroupSelector", json!({"name": "a", "id": "pg-1"}), "spec.placementGroupSelector"),
        api("/spec/placementGroupSelector", json!({"name": ""}), "spec.placementGroupSelector.name"),
        api("/spec/placementGroupSelector", json!({"id": "1"}), "spec.placementGroupSelector.id"),
        api("/spec/ipPrefixCount", json!(-1), "spec.ipPrefixCount"),
        api(images, Value::Null, "spec.amiFamily"),
        api(images, json!(terms(31)), "spec.amiSelectorTerms"),
        api(images, json!([{"owner": "self"}]), "spec.amiSelectorTerms[0]"),
        api(images, json!([{"tags": {"a": "b"}}]), "spec.amiFamily"),
        api(images, json!([{"id": "1"}]), "spec.amiSelectorTerms[0].id"),
        api(images, json!([{"tags": {"a": ""}}]), "spec.amiSelectorTerms[0].tags"),
        api(images, json!([{"alias": "al2023@latest", "owner": "self"}]), "spec.amiSelectorTerms[0]"),
        api(images, json!([{"id": "ami-1", "name": "n"}]), "spec.amiSelectorTerms[0]"),
        api(images, json!([{"alias": "al2023@latest"}, {"id": "ami-1"}]), "spec.amiSelectorTerms"),
        api(images, json!([{"alias": "al2023"}]), "spec.amiSelectorTerms[0].alias"),
        api(images, json!([{"alias": "ubuntu@latest"}]), "spec.amiSelectorTerms[0].alias"),
        api(images, json!([{"alias": "windows2022@v1.0.0"}]), "spec.amiSelectorTerms[0].alias"),
        api(images, json!([{"alias": format!("al2023@{}", "v".repeat(24))}]), "spec.amiSelectorTerms[0].alias"),
        api("/spec/amiFamily", json!("Ubuntu"), "type"),
        api("/spec/amiFamily", json!("AL2"), "spec.amiFamily"),
        api("/spec/role", Value::Null, "spec.role"),
        api("/spec/role", json!(""), "spec.role"),
        api("/spec/instanceProfile", json!("p"), "spec.instanceProfile"),
        api("/spec/tags", json!({"": "v"}), "spec.tags"),
        api("/spec/tags", json!({"eks:eks-cluster-name": "v"}), "spec.tags.eks:eks-cluster-name"),
        api("/spec/tags", json!({"kubernetes.io/cluster/a": "v"}), "spec.tags.kubernetes.io/cluster/a"),
        api("/spec/tags", json!({"karpenter.sh/nodepool": "v"}), "spec.tags.karpenter.sh/nodepool"),
        api("/spec/tags", json!({"karpenter.sh/nodeclaim": "v"}), "spec.tags.karpenter.sh/nodeclaim"),
        api("/spec/tags", json!({"karpenter.k8s.aws/ec2nodeclass": "v"}), "spec.tags.karpenter.k8s.aws/ec2nodeclass"),
        api("/spec/instanceStorePolicy", json!("RAID1"), "type"),
        api(
            "/spec/metadataOptions",
            json!({"httpPutResponseHopLimit": 0}),
            "spec.metadataOptions.httpPutResponseHopLimit",
        ),
        api(
            "/spec/metadataOptions",
            json!({"httpPutResponseHopLimit": 65}),
            "spec.metadataOptions.httpPutResponseHopLimit",
        ),
        api("/spec/metadataOptions", json!({"httpTokens": "some"}), "type"),
        api("/spec/connectionTracking", json!({}), "spec.connectionTracking"),
        api(
            "/spec/connectionTracking",
            json!({"tcpEstablishedTimeout": 59}),
            "spec.connectionTracking.tcpEstablishedTimeout",
        ),
        api("/spec/connectionTracking", json!({"udpStreamTimeout": 181}), "spec.connectionTracking.udpStreamTimeout"),
        api("/spec/connectionTracking", json!({"udpTimeout": 61}), "spec.connectionTracking.udpTimeout"),
        api("/spec/cpuOptions", json!({"nestedVirtualization": "yes"}), "type"),
    ];
    cases.extend(invalid_families());
    cases.extend(invalid_devices());
    cases.extend(invalid_kubelets());
    cases
}

/// A family that is not the alias's, for every alias; and Custom without terms.
fn invalid_families() -> Vec<Case> {
    let spec = |terms: Value, family: &str| {
        let mut spec = base("EC2NodeClass")["spec"].take();
        spec["amiSelectorTerms"] = terms;
        spec["amiFamily"] = json!(family);
        spec
    };
    let mut cases = vec![api("/spec", spec(json!([]), "Custom"), "spec.amiSelectorTerms")];
    for alias in ["al2", "al2023", "bottlerocket", "windows2019", "windows2022", "windows2025"] {
        let other = if alias == "bottlerocket" { "AL2" } else { "Bottlerocket" };
        cases.push(api("/spec", spec(json!([{"alias": format!("{alias}@latest")}]), other), "spec.amiFamily"));
    }
    cases
}

fn invalid_devices() -> Vec<Case> {
    let devices = "/spec/blockDeviceMappings";
    let interfaces = "/spec/networkInterfaces";
    let ebs = |ebs: Value| json!([{"deviceName": "/dev/xvda", "ebs": ebs}]);
    let interface = |card: i64, device: i64, kind: &str| json!({"networkCardIndex": card, "deviceIndex": device, "interfaceType": kind});
    let first = interface(0, 0, "interface");
    let many: Vec<Value> = (0..151).map(|i| interface(0, i, "interface")).collect();
    let mut cases = vec![
        api(devices, json!(vec![json!({"deviceName": "/dev/xvda"}); 51]), "spec.blockDeviceMappings"),
        api(devices, json!([{"rootVolume": true}, {"rootVolume": true}]), "spec.blockDeviceMappings"),
        api(devices, ebs(json!({"encrypted": true})), "spec.blockDeviceMappings[0].ebs"),
        api(devices, ebs(json!({"volumeSize": "1Gi", "volumeType": "gp4"})), "type"),
        api(
            devices,
            ebs(json!({"volumeSize": "1Gi", "volumeInitializationRate": 200})),
            "spec.blockDeviceMappings[0].ebs.volumeInitializationRate",
        ),
        api(
            devices,
            ebs(json!({"snapshotID": "snap-1", "volumeInitializationRate": 99})),
            "spec.blockDeviceMappings[0].ebs.volumeInitializationRate",
        ),
        api(interfaces, json!(many), "spec.networkInterfaces"),
        api(interfaces, json!([interface(0, 1, "interface")]), "spec.networkInterfaces"),
        api(interfaces, json!([interface(0, 0, "efa-only")]), "spec.networkInterfaces"),
        api(interfaces, json!([first, first]), "spec.networkInterfaces[1]"),
        api(interfaces, json!([first, interface(-1, 0, "interface")]), "spec.networkInterfaces[1].networkCardIndex"),
        api(interfaces, json!([first, interface(0, -1, "interface")]), "spec.networkInterfaces[1].deviceIndex"),
        api(interfaces, json!([first, interface(0, 1, "efa")]), "type"),
        api(
            interfaces,
            json!([first, interface(0, 1, "efa-only"), interface(0, 2, "efa-only")]),
            "spec.networkInterfaces[2]",
        ),
        api(interfaces, json!([{"networkCardIndex": 0, "deviceIndex": 0}]), "type"),
    ];
    for size in ["100", "0Gi", "59001Gi", "64001G", "59Ti", "65T", "1.5Gi", "Ti"] {
        cases.push(api(devices, ebs(json!({"volumeSize": size})), "spec.blockDeviceMappings[0].ebs.volumeSize"));
    }
    cases
}

fn invalid_kubelets() -> Vec<Case> {
    let one = |name: &str, value: Value, field: &'static str| controller("/spec/kubelet", json!({name: value}), field);
    let of_family = |alias: &str, kubelet: Value, field: &'static str| {
        let mut spec = base("EC2NodeClass")["spec"].take();
        spec["amiSelectorTerms"] = json!([{"alias": alias}]);
        spec["kubelet"] = kubelet;
        controller("/spec", spec, field)
    };
    vec![
        one("maxPods", json!(-1), "spec.kubelet.maxPods"),
        one("maxPods", json!("vcpus * 10"), "spec.kubelet.maxPods"),
        one("podsPerCore", json!(-1), "spec.kubelet.podsPerCore"),
        one("evictionMaxPodGracePeriod", json!(-1), "spec.kubelet.evictionMaxPodGracePeriod"),
        one("imageGCHighThresholdPercent", json!(101), "spec.kubelet.imageGCHighThresholdPercent"),
        one("imageGCLowThresholdPercent", json!(-1), "spec.kubelet.imageGCLowThresholdPercent"),
        controller(
            "/spec/kubelet",
            json!({"imageGCHighThresholdPercent": 80, "imageGCLowThresholdPercent": 80}),
            "spec.kubelet.imageGCHighThresholdPercent",
        ),
        one("kubeReserved", json!({"gpu": "1"}), "spec.kubelet.kubeReserved.gpu"),
        one("kubeReserved", json!({"cpu": "-1"}), "spec.kubelet.kubeReserved.cpu"),
        one("systemReserved", json!({"memory": "lots"}), "spec.kubelet.systemReserved.memory"),
        one("evictionHard", json!({"disk": "5%"}), "spec.kubelet.evictionHard.disk"),
        one("evictionHard", json!({"memory.available": "101%"}), "spec.kubelet.evictionHard.memory.available"),
        one("evictionHard", json!({"memory.available": "-1Gi"}), "spec.kubelet.evictionHard.memory.available"),
        one("evictionSoft", json!({"memory.available": "5%"}), "spec.kubelet.evictionSoft.memory.available"),
        one(
            "evictionSoftGracePeriod",
            json!({"memory.available": "1m"}),
            "spec.kubelet.evictionSoftGracePeriod.memory.available",
        ),
        controller(
            "/spec/kubelet",
            json!({"evictionSoft": {"memory.available": "5%"}, "evictionSoftGracePeriod": {"memory.available": "-1s"}}),
            "spec.kubelet.evictionSoftGracePeriod.memory.available",
        ),
        one("registerWithTaints", json!([]), "spec.kubelet.registerWithTaints"),
        one("maxPod", json!(58), "spec.kubelet.maxPod"),
        one("cpumanagerPolicy", json!("static"), "spec.kubelet.cpumanagerPolicy"),
        one("cpuManagerPolicy", json!(5), "spec.kubelet.cpuManagerPolicy"),
        one("syncFrequency", json!(60), "spec.kubelet.syncFrequency"),
        of_family("al2@latest", json!({"clusterDNS": "10.0.0.10"}), "spec.kubelet.clusterDNS"),
        of_family("bottlerocket@latest", json!({"cpuCFSQuota": "false"}), "spec.kubelet.cpuCFSQuota"),
        of_family("bottlerocket@latest", json!({"maxPod": 58}), "spec.kubelet.maxPod"),
        of_family("al2@latest", json!({"topologyManagerPolicy": "none"}), "spec.kubelet.topologyManagerPolicy"),
        of_family("al2@latest", json!({"clusterDNS": ["1.1.1.1", "2.2.2.2"]}), "spec.kubelet.clusterDNS"),
        of_family("bottlerocket@latest", json!({"podsPerCore": 5}), "spec.kubelet.podsPerCore"),
    ]
}
