//! What helm does with the charts on a real API server.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use serde_json::Value;

use super::chart;
use crate::cluster::Cluster;
use crate::controlling::on_cluster;
use crate::image::{Registry, crane};

/// As the page of the chart says it, with the resources that Karpenter's own instructions give.
const INSTALL: [&str; 22] = [
    "upgrade",
    "--install",
    "packwright",
    "charts/packwright",
    "--namespace",
    "kube-system",
    "--create-namespace",
    "--set",
    "settings.clusterName=my-cluster",
    "--set",
    "settings.interruptionQueue=my-cluster",
    "--set",
    "controller.resources.requests.cpu=1",
    "--set",
    "controller.resources.requests.memory=1Gi",
    "--set",
    "controller.resources.limits.cpu=1",
    "--set",
    "controller.resources.limits.memory=1Gi",
    "--wait",
    "--timeout",
    "2m",
];

/// What the chart makes of its values, of which one is always needed.
const TEMPLATE: [&str; 7] =
    ["template", "packwright", "charts/packwright", "-n", "kube-system", "--set", "settings.clusterName=my-cluster"];

/// Nodes for the pods of the chart, played by kwok. They go with this value.
pub struct Nodes<'c>(&'c Cluster);

impl<'c> Nodes<'c> {
    pub fn two(cluster: &'c Cluster) -> Self {
        for zone in ["charts-a", "charts-b"] {
            let room = serde_json::json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
            let node = serde_json::json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": zone,
                    "annotations": {"kwok.x-k8s.io/node": "fake"},
                    "labels": {
                        "kubernetes.io/hostname": zone,
                        "kubernetes.io/os": "linux",
                        "topology.kubernetes.io/zone": zone,
                    },
                },
                "status": {"allocatable": room, "capacity": room},
            });
            let file = cluster.folder.join(format!("{zone}.json"));
            std::fs::write(&file, node.to_string()).unwrap();
            cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
        }
        Self(cluster)
    }
}

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        self.0.run("kubectl", &["delete", "node", "charts-a", "charts-b", "--ignore-not-found"]);
    }
}

/// What helm prints of a command that succeeds.
pub fn helm(cluster: &Cluster, args: &[&str]) -> String {
    let output = cluster.run("helm", args);
    assert!(output.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn deployment(cluster: &Cluster) -> Value {
    let text = cluster.kubectl(&["get", "deployment", "packwright", "-n", "kube-system", "-o", "json"]);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn helm_finds_nothing_to_say_about_the_charts() {
    on_cluster(async |cluster, _| {
        for name in ["packwright", "packwright-crd"] {
            let said = helm(cluster, &["lint", "--strict", chart(name).to_str().unwrap()]);
            assert!(said.contains("1 chart(s) linted, 0 chart(s) failed"), "{said}");
        }
    });
}

#[test]
fn it_is_installed_upgraded_rolled_back_and_uninstalled() {
    on_cluster(async |cluster, _| {
        let _nodes = Nodes::two(cluster);
        let said = helm(cluster, &INSTALL);
        assert!(said.contains("Nodes are instances of EC2, of the cluster my-cluster"), "{said}");
        let first = deployment(cluster);
        assert_eq!(first["status"]["readyReplicas"], 2);
        let container = &first["spec"]["template"]["spec"]["containers"][0];
        let limit = container["env"].as_array().unwrap().iter().find(|of| of["name"] == "PACKWRIGHT_SOLVER_MEMORY");
        assert_eq!(limit.unwrap()["value"], (1_u64 << 29).to_string(), "half of what the container may have");
        let own = ["-n", "kube-system", "-l", "app.kubernetes.io/name=packwright"];
        let found =
            cluster.kubectl(&[&["get", "deploy,pods,svc,sa,pdb,role,rolebinding", "-o", "name"], &own[..]].concat());
        assert_eq!(found.lines().count(), 8, "{found}");

        let upgrade = [&INSTALL[..], &["--set", "replicas=1", "--set", "networkPolicy.enabled=true"]].concat();
        helm(cluster, &upgrade);
        assert_eq!(deployment(cluster)["spec"]["replicas"], 1);
        cluster.kubectl(&["get", "networkpolicy", "packwright", "-n", "kube-system"]);

        helm(cluster, &["rollback", "packwright", "1", "-n", "kube-system", "--wait", "--timeout", "2m"]);
        let again = deployment(cluster);
        assert_eq!(again["spec"]["template"], first["spec"]["template"]);
        assert_eq!(again["spec"]["replicas"], 2);

        helm(cluster, &["uninstall", "packwright", "-n", "kube-system", "--wait"]);
        let namespaced = "deploy,svc,sa,pdb,role,rolebinding,networkpolicy";
        let of_the_cluster =
            "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding";
        for kinds in [namespaced, of_the_cluster] {
            let left = cluster.kubectl(&[&["get", kinds, "-o", "name"], &own[..]].concat());
            assert_eq!(left, "", "left behind");
        }
    });
}

/// The program as a pod finds itself: variables that say where the API server is, the token of its ServiceAccount and the certificate of the
/// API server in files, and no kubeconfig. The files are in a mount namespace that goes with the program.
fn in_a_pod(cluster: &Cluster, namespace: &str, account: &str, args: &[&str]) -> Command {
    const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let server = Kubeconfig::read_from(cluster.folder.join("kubeconfig")).unwrap().clusters[0].cluster.clone().unwrap();
    let token = cluster.kubectl(&["create", "token", account, "-n", namespace]);
    let files = cluster.folder.join("serviceaccount");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("token"), token.trim()).unwrap();
    std::fs::write(files.join("namespace"), namespace).unwrap();
    let certificate = match (&server.certificate_authority_data, &server.certificate_authority) {
        (Some(data), _) => STANDARD.decode(data).unwrap(),
        (None, Some(file)) => std::fs::read(file).unwrap(),
        (None, None) => panic!("the API server's certificate is in the kubeconfig"),
    };
    std::fs::write(files.join("ca.crt"), certificate).unwrap();
    let (host, port) = server.server.as_deref().unwrap().trim_start_matches("https://").rsplit_once(':').unwrap();
    let script = r#"mount -t tmpfs none /run && mkdir -p "$1" && cp "$2"/* "$1" && shift 2 && exec "$@""#;
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-euc", script, "pod", MOUNTED])
        .args([files.as_os_str(), env!("CARGO_BIN_EXE_packwright").as_ref()])
        .args(args)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("KUBERNETES_SERVICE_HOST", host)
        .env("KUBERNETES_SERVICE_PORT", port.trim_end_matches('/'));
    command
}

/// What the Job of an uninstallation does, with the rights that it has and as its pod would: nodes of these tests have no kubelet that would
/// run it.
#[test]
fn an_uninstallation_opens_nodes_that_are_reserved() {
    on_cluster(async |cluster, _| {
        let _nodes = Nodes::two(cluster);
        cluster.kubectl(&["taint", "node", "charts-a", "packwright.dev/planned=claim:NoSchedule"]);
        cluster.kubectl(&["taint", "node", "charts-b", "team=a:NoSchedule"]);
        let hook = [&TEMPLATE[..], &["-s", "templates/release-hook.yaml"]].concat();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&helm(cluster, &hook)).unwrap();
        let (jobs, rights): (Vec<&Value>, Vec<&Value>) = objects.iter().partition(|of| of["kind"] == "Job");
        let file = cluster.folder.join("hook.json");
        std::fs::write(&file, serde_json::json!({"apiVersion": "v1", "kind": "List", "items": rights}).to_string())
            .unwrap();
        cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
        let pod = &jobs[0]["spec"]["template"]["spec"];
        let account = pod["serviceAccountName"].as_str().unwrap();
        let args: Vec<&str> =
            pod["containers"][0]["args"].as_array().unwrap().iter().map(|of| of.as_str().unwrap()).collect();
        let output = in_a_pod(cluster, "kube-system", account, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let taints = |node: &str| cluster.kubectl(&["get", "node", node, "-o", "jsonpath={.spec.taints[*].key}"]);
        assert_eq!((taints("charts-a").as_str(), taints("charts-b").as_str()), ("", "team"));
        cluster.kubectl(&["delete", "-f", file.to_str().unwrap()]);
    });
}

/// As those who publish charts do.
#[test]
fn the_charts_are_packed_and_pushed_to_a_registry() {
    on_cluster(async |cluster, _| {
        let registry = Registry::start(&crane());
        let to = format!("oci://{}/charts", registry.address);
        let folder = cluster.folder.join("packed");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["packwright", "packwright-crd"] {
            helm(cluster, &["package", chart(name).to_str().unwrap(), "-d", folder.to_str().unwrap()]);
            let packed = folder.join(format!("{name}-{}.tgz", env!("CARGO_PKG_VERSION")));
            helm(cluster, &["push", packed.to_str().unwrap(), &to, "--plain-http"]);
            let pushed = format!("{to}/{name}");
            let there = helm(cluster, &["show", "chart", &pushed, "--plain-http"]);
            assert!(there.contains(&format!("name: {name}\n")), "{there}");
            let named = ["--set", "settings.clusterName=my-cluster"];
            let values = if name == "packwright" { &named[..] } else { &[] };
            let of = |what: &str| helm(cluster, &[&["template", "packwright", what, "--plain-http"], values].concat());
            assert_eq!(of(&pushed), of(chart(name).to_str().unwrap()), "{name}");
        }
    });
}

/// (values, what the API server is asked to take of them besides what the defaults have)
const TAKEN: [(&[&str], &str); 8] = [
    (&[], "deployment.apps/packwright"),
    (&["settings.shadow=true"], "clusterrole.rbac.authorization.k8s.io/packwright-reader"),
    (&["settings.placement=Nominate"], "validatingadmissionpolicy.admissionregistration.k8s.io/packwright-placement "),
    (
        &["settings.placement=Observe"],
        "validatingadmissionpolicy.admissionregistration.k8s.io/packwright-placement-nodes ",
    ),
    (
        &[
            "networkPolicy.enabled=true",
            "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
            "networkPolicy.egressTo[0].ipBlock.cidr=10.0.0.0/8",
            "networkPolicy.additionalEgress[0].ports[0].port=3128",
        ],
        "networkpolicy.networking.k8s.io/packwright",
    ),
    (
        &[
            "serviceAccount.name=karpenter",
            "serviceAccount.annotations.eks\\.amazonaws\\.com/role-arn=arn:aws:iam::1:role/r",
        ],
        "serviceaccount/karpenter",
    ),
    (
        &[
            "fullnameOverride=mine",
            "controller.sidecarContainer[0].name=proxy",
            "controller.sidecarContainer[0].image=proxy:1",
            "controller.sidecarVolumeMounts[0].name=decisions",
            "controller.sidecarVolumeMounts[0].mountPath=/shared",
            "hostNetwork=true",
            "dnsPolicy=ClusterFirstWithHostNet",
            "terminationGracePeriodSeconds=null",
            "podDisruptionBudget.maxUnavailable=50%",
        ],
        "deployment.apps/mine",
    ),
    (
        &["settings.featureGates.nodeRepair=true", "settings.limits.usdPerHour=12.5", "settings.limits.nodes=100"],
        "deployment.apps/packwright",
    ),
];

#[test]
fn the_api_server_takes_what_the_chart_makes_of_its_values() {
    on_cluster(async |cluster, _| {
        for (values, expected) in TAKEN {
            let sets = values.iter().flat_map(|value| ["--set", *value]);
            let args: Vec<_> = TEMPLATE.into_iter().chain(sets).collect();
            let file = cluster.folder.join("rendered.yaml");
            std::fs::write(&file, helm(cluster, &args)).unwrap();
            let taken = cluster.kubectl(&["apply", "--dry-run=server", "-f", file.to_str().unwrap()]);
            assert!(taken.lines().any(|line| format!("{line} ").contains(expected)), "{values:?}: {taken}");
            let policies = taken.matches("validatingadmissionpolicy.admissionregistration").count();
            let expected = match *values {
                ["settings.shadow=true"] => 0,
                ["settings.placement=Observe"] => 1,
                _ => 2,
            };
            assert_eq!(policies, expected, "{values:?}: {taken}");
        }
    });
}

/// Where nodes are instances a right to make Node objects would be one to draw pods to a name of one's choice.
#[test]
fn nodes_are_made_where_kwok_plays_them_and_nowhere_else() {
    on_cluster(async |cluster, _| {
        for (values, expected) in
            [("settings.clusterName=c", &["delete"][..]), ("settings.kwok=true", &["create", "delete"])]
        {
            let file = ["-s", "templates/clusterrole.yaml", "--set", values];
            let rendered = helm(cluster, &[&["template", "packwright", "charts/packwright"], &file[..]].concat());
            let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
            let rules = objects.iter().filter_map(|role| role["rules"].as_array()).flatten();
            let of_nodes = rules.filter(|rule| rule["resources"] == serde_json::json!(["nodes"]));
            let verbs: Vec<&Value> = of_nodes.map(|rule| &rule["verbs"]).collect();
            assert_eq!(verbs, [&serde_json::json!(expected)], "{values}");
        }
    });
}

/// Otherwise the first thing that Prometheus says is that nobody leads.
#[test]
fn alerts_without_metrics_are_spoken_of() {
    on_cluster(async |cluster, _| {
        // helm asks whether the kinds are there
        let kinds =
            [("PrometheusRule", "prometheusrules"), ("ServiceMonitor", "servicemonitors")].map(|(kind, plural)| {
                let schema = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
                let version = serde_json::json!({
                    "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                });
                serde_json::json!({
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
                    "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced", "versions": [version],
                        "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                            "singular": kind.to_lowercase()}},
                })
            });
        let file = cluster.folder.join("monitoring.json");
        let kinds = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": kinds});
        std::fs::write(&file, kinds.to_string()).unwrap();
        let file = file.to_str().unwrap();
        cluster.kubectl(&["apply", "-f", file]);
        cluster.kubectl(&["wait", "--for=condition=Established", "-f", file]);
        for (monitors, expected) in [("false", true), ("true", false)] {
            let monitor = format!("prometheusRule.enabled=true,serviceMonitor.enabled={monitors}");
            let args = ["install", "packwright", "charts/packwright", "--dry-run=client", "--set"];
            let notes = helm(cluster, &[&args[..], &["settings.clusterName=c", "--set", &monitor]].concat());
            assert_eq!(notes.contains("PackwrightNobodyLeads will fire"), expected, "{notes}");
        }
        cluster.kubectl(&["delete", "-f", file]);
    });
}

#[test]
fn wrong_values_are_refused_and_named() {
    on_cluster(async |cluster, _| {
        for (value, why) in [
            ("settings.clusterNmae=x", "at '/settings': additional properties 'clusterNmae' not allowed"),
            (
                "settings.placement=Always",
                "at '/settings/placement': value must be one of 'Reserve', 'Nominate', 'Observe'",
            ),
            ("settings.shadow=yes", "at '/settings/shadow': got string, want boolean"),
            ("settings.batchMaxDuration=ten", "at '/settings/batchMaxDuration': 'ten' does not match pattern"),
            ("settings.limits.nodes=-1", "at '/settings/limits/nodes': minimum: got -1, want 0"),
            (
                "settings.featureGates.drift=true",
                "at '/settings/featureGates': additional properties 'drift' not allowed",
            ),
            (
                "controller.resources.limits.memory=1GB",
                "at '/controller/resources/limits/memory': '1GB' does not match",
            ),
            ("replicas=two", "at '/replicas': got string, want integer"),
            ("serviceAccount.create=false", "serviceAccount.name: expected the name"),
            // beside one another
            ("settings.clusterName=", "settings.clusterName: expected the name of the cluster; or settings.kwok=true"),
            ("settings.kwok=true", "settings.kwok: expected false beside settings.clusterName"),
            (
                "settings.clusterName=,settings.kwok=true,settings.interruptionQueue=q",
                "settings.interruptionQueue: expected settings.clusterName beside it",
            ),
            ("controller.healthProbe.port=8080", "controller.healthProbe.port: expected another port than"),
            ("settings.decisions.sizeLimit=1Mi", "settings.decisions.sizeLimit: expected more than"),
            // of the image of another program
            (
                "controller.image.repository=example.com/karpenter/controller",
                "controller.image.repository: expected the image of Packwright",
            ),
            ("controller.image.repository=example.com/mirror/karpenter", "which is Karpenter's"),
            (
                "controller.image.repository=example.com/packwright,controller.image.tag=1.14.1",
                "set controller.image.tag= and controller.image.digest=",
            ),
            // which the program would refuse
            ("settings.vmMemoryOverheadPercent=7.5", "at '/settings/vmMemoryOverheadPercent': '7.5' does not match"),
            ("settings.amiRefreshInterval=59s", "settings.amiRefreshInterval: expected a minute or more"),
            ("settings.subnetRefreshInterval=0.5m", "settings.subnetRefreshInterval: expected a minute or more"),
            ("settings.spotPriceInterval=0s", "settings.spotPriceInterval: expected a minute or more"),
            ("settings.timeLimit=0s", "settings.timeLimit: expected more than nothing"),
            ("settings.clusterCABundle=not-base64", "settings.clusterCABundle: expected a certificate, PEM in base64"),
        ] {
            let output = cluster.run("helm", &[&TEMPLATE[..], &["--set", value]].concat());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains(why), "{value}: {said}");
        }
    });
}

/// Numbers of a file of values are floats for helm, and large ones would be written as 1e+06.
#[test]
fn large_numbers_of_a_file_are_written_out() {
    on_cluster(async |cluster, _| {
        let million = 1_000_000;
        let values = serde_json::json!({
            "controller": {"resources": {"limits": {"memory": 4_294_967_296_u64}}},
            "settings": {
                "decisions": {"keep": million, "size": 1_073_741_824, "sizeLimit": 2_147_483_648_u64},
                "limits": {
                    "nodes": million, "usdPerHour": million, "launchesPerMinute": million,
                    "solverSecondsPerHour": million, "evictionsPerHour": million,
                    "nodePoolUsdPerHour": {"default": million},
                },
                "amiRefreshInterval": "30s30s", "subnetRefreshInterval": "0.5h",
            },
        });
        let file = cluster.folder.join("large.json");
        std::fs::write(&file, values.to_string()).unwrap();
        let rendered = helm(cluster, &[&TEMPLATE[..], &["--values", file.to_str().unwrap()]].concat());
        let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"][0]["emptyDir"]["sizeLimit"], 2_147_483_648_u64);
        let variables = pod["containers"][0]["env"].as_array().unwrap();
        for (name, expected) in [
            ("PACKWRIGHT_DECISIONS_KEPT", "1000000"),
            ("PACKWRIGHT_DECISIONS_SIZE", "1073741824"),
            ("PACKWRIGHT_SOLVER_MEMORY", "2147483648"),
            ("PACKWRIGHT_MAX_NODES", "1000000"),
            ("PACKWRIGHT_MAX_USD_PER_HOUR", "1000000"),
            ("PACKWRIGHT_NODEPOOL_MAX_USD_PER_HOUR", "default=1000000"),
            ("PACKWRIGHT_MAX_LAUNCHES_PER_MINUTE", "1000000"),
            ("PACKWRIGHT_MAX_SOLVER_SECONDS_PER_HOUR", "1000000"),
            ("PACKWRIGHT_MAX_EVICTIONS_PER_HOUR", "1000000"),
        ] {
            let found = variables.iter().find(|variable| variable["name"] == name);
            assert_eq!(found.and_then(|of| of["value"].as_str()), Some(expected), "{name}");
        }
    });
}

/// Karpenter's values carry over as they are.
#[test]
fn the_values_of_karpenters_chart_are_taken() {
    on_cluster(async |cluster, _| {
        let values = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/charts/karpenter.yaml");
        let rendered =
            helm(cluster, &["template", "packwright", "charts/packwright", "-n", "kube-system", "--values", values]);
        let file = cluster.folder.join("rendered.yaml");
        std::fs::write(&file, &rendered).unwrap();
        cluster.kubectl(&["apply", "--dry-run=server", "-f", file.to_str().unwrap()]);
        let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let spec = &deployment["spec"]["template"]["spec"];
        for (path, expected) in [
            ("/serviceAccountName", "karpenter"),
            ("/schedulerName", "other"),
            ("/containers/0/image", "example.com/packwright:0.1.0@sha256:0123456789abcdef"),
            ("/containers/1/name", "proxy"),
            ("/containers/0/resources/limits/memory", "1Gi"),
        ] {
            assert_eq!(spec.pointer(path).and_then(Value::as_str), Some(expected), "{path}");
        }
        let variables = spec["containers"][0]["env"].as_array().unwrap();
        for (name, expected) in [
            ("BATCH_MAX_DURATION", "20s"),
            ("PREFERENCE_POLICY", "Ignore"),
            ("MIN_VALUES_POLICY", "BestEffort"),
            ("CLUSTER_NAME", "my-cluster"),
            ("INTERRUPTION_QUEUE", "my-queue"),
            ("RESERVED_ENIS", "1"),
            ("DISABLE_CLUSTER_STATE_OBSERVABILITY", "true"),
            ("AWS_REGION", "eu-west-1"),
        ] {
            let found = variables.iter().find(|variable| variable["name"] == name);
            assert_eq!(found.and_then(|of| of["value"].as_str()), Some(expected), "{name}");
        }
        let gates = variables.iter().find(|variable| variable["name"] == "FEATURE_GATES").unwrap();
        let gates = gates["value"].as_str().unwrap();
        assert!(gates.contains("NodeRepair=true") && gates.contains("ReservedCapacity=false"), "{gates}");
    });
}
