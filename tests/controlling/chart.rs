//! The chart: its rights are enough and no more, and what it writes into the Deployment is what the program takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use packwright::observe::objects::KINDS;
use serde_json::Value;

use super::process::Process;
use super::{Seen, as_account, free_port, gone, on_cluster, settled};
use crate::cli::packwright;
use crate::cluster::Cluster;
use crate::following::poll::until;

const CHART: &str = "charts/packwright";

/// An installation of the chart. It goes with this value.
pub struct Release<'c> {
    cluster: &'c Cluster,
    name: &'static str,
}

impl<'c> Release<'c> {
    /// For nodes without machines.
    pub fn install(cluster: &'c Cluster, name: &'static str, values: &[&str]) -> Self {
        let args = ["install", name, CHART, "--namespace", name, "--create-namespace", "--set", "settings.kwok=true"];
        let sets = values.iter().flat_map(|value| ["--set", *value]);
        let output = cluster.run("helm", &args.into_iter().chain(sets).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { cluster, name }
    }

    fn account(&self) -> String {
        let name =
            if self.name.contains("packwright") { self.name.to_owned() } else { format!("{}-packwright", self.name) };
        self.cluster.kubectl(&["get", "serviceaccount", &name, "-n", self.name]);
        name
    }

    /// With the rights of its ServiceAccount.
    pub async fn client(&self) -> Client {
        self.cluster.client_as(&self.user(), &["system:serviceaccounts", "system:authenticated"]).await
    }

    /// How its ServiceAccount is called in requests.
    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.name, self.account())
    }

    /// With a token of its ServiceAccount.
    fn kubeconfig(&self) -> PathBuf {
        as_account(self.cluster, self.name, &self.account())
    }

    /// The variables that its container has, but for what is different here.
    fn environment(&self, instead: &[(&str, &str)]) -> BTreeMap<String, String> {
        let name = self.account();
        let text = self.cluster.kubectl(&["get", "deployment", &name, "-n", self.name, "-o", "json"]);
        let deployment: Value = serde_json::from_str(&text).unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["args"], serde_json::json!(["controller"]));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let variables = container["env"].as_array().unwrap().iter();
        let mut found: BTreeMap<_, _> = variables.map(|of| (text(&of["name"]), text(&of["value"]))).collect();
        found.extend(instead.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        // as the kubelet writes it into the file of the namespace
        found.insert("LEADER_ELECTION_NAMESPACE".to_owned(), self.name.to_owned());
        found
    }

    /// What its ServiceAccount has asked for, as the API server has noted: verb, resource and what became of it.
    fn requests(&self) -> Vec<(String, String, u64)> {
        let log = fs::read_to_string(self.cluster.folder.join("logs/audit.log")).unwrap();
        let user = self.user();
        let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let own = events.filter(|event| event["user"]["username"] == user.as_str());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        own.map(|event| {
            let of = &event["objectRef"];
            let resource = format!("{}/{} {}", text(&of["resource"]), text(&of["subresource"]), text(&of["name"]));
            (text(&event["verb"]), resource, event["responseStatus"]["code"].as_u64().unwrap_or_default())
        })
        .collect()
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.cluster.run("helm", &["uninstall", self.name, "--namespace", self.name, "--wait", "--no-hooks"]);
        // other tests look where it is
        self.cluster.run("kubectl", &["delete", "lease", "-n", self.name, "--all"]);
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chart-{name}"));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn recorded(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.')).collect()
}

/// Every recorded decision holds, and is repeated.
fn assert_repeated(folder: &Path) {
    let all = recorded(folder);
    assert!(!all.is_empty());
    for decision in &all {
        for command in ["verify", "replay"] {
            let output = packwright(&[command, decision.to_str().unwrap()]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{command} {}: {said}", decision.display());
        }
    }
}

#[test]
fn the_rights_of_the_chart_are_enough_for_a_launch_and_a_removal() {
    on_cluster(async |cluster, client| {
        let release = Release::install(cluster, "packwright-system", &["settings.placement=Reserve"]);
        let decisions = folder("decisions");
        let environment = release.environment(&[
            ("METRICS_PORT", "0"),
            ("HEALTH_PROBE_PORT", "0"),
            ("PACKWRIGHT_DECISIONS", decisions.to_str().unwrap()),
        ]);
        let controller = Process::as_user(cluster, &release.kubeconfig(), &environment, &[]);
        cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        settled(&client, 5).await;
        cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        gone(&client).await;
        controller.stop();
        cluster.kubectl(&["delete", "-f", "examples/getting-started"]);
        let requests = release.requests();
        let refused: Vec<_> = requests.iter().filter(|(_, _, code)| [401, 403].contains(code)).collect();
        assert!(refused.is_empty(), "{refused:?}");
        let done: BTreeSet<(&str, &str)> = requests
            .iter()
            .filter(|(_, _, code)| (200..300).contains(code))
            .map(|(verb, resource, _)| (verb.as_str(), resource.split(' ').next().unwrap()))
            .collect();
        for needed in [
            ("create", "nodeclaims/"),
            ("delete", "nodeclaims/"),
            ("patch", "nodeclaims/status"),
            ("patch", "nodepools/status"),
            ("create", "nodes/"),
            ("patch", "nodes/"),
            ("create", "events/"),
            ("create", "leases/"),
            ("patch", "leases/"),
        ] {
            assert!(done.contains(&needed), "{needed:?} of {done:?}");
        }
        assert_repeated(&decisions);
    });
}

#[test]
fn a_shadow_writes_nothing_into_the_cluster_and_says_what_it_would_do() {
    on_cluster(async |cluster, client| {
        let values = ["settings.shadow=true", "serviceMonitor.enabled=false"];
        let release = Release::install(cluster, "shadow", &values);
        let decisions = folder("shadow");
        let port = free_port();
        let environment = release.environment(&[
            ("METRICS_PORT", &port.to_string()),
            ("HEALTH_PROBE_PORT", "0"),
            ("PACKWRIGHT_DECISIONS", decisions.to_str().unwrap()),
        ]);
        let log = decisions.with_extension("log");
        let _ = fs::remove_file(&log);
        let outputs = format!("stderr,{}", log.display());
        let shadow = Process::as_user(cluster, &release.kubeconfig(), &environment, &["--log-output-paths", &outputs]);
        cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        until("two decisions of the shadow", async || Ok((recorded(&decisions).len() >= 2).then_some(()))).await;
        let metrics = got(port, "/metrics");
        shadow.stop();
        let seen = Seen::of(&client).await.unwrap();
        assert_eq!((seen.claims.len(), seen.nodes.len()), (0, 0));
        cluster.kubectl(&["delete", "-f", "examples/getting-started"]);
        let requests = release.requests();
        let reads = ["get", "list", "watch"];
        let writes: Vec<_> = requests.iter().filter(|(verb, ..)| !reads.contains(&verb.as_str())).collect();
        assert!(writes.is_empty() && requests.len() > KINDS.len(), "{writes:?} of {}", requests.len());
        // nor may it
        let may = |what: &[&str]| cluster.run("kubectl", &[&["auth", "can-i", "--as", &release.user()], what].concat());
        for what in [
            ["create", "nodeclaims"],
            ["patch", "nodes"],
            ["patch", "pods"],
            ["create", "events"],
            ["create", "leases"],
        ] {
            let output = may(&[&what[..], &["-n", release.name]].concat());
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "no", "{what:?}");
        }
        let (_, body) = metrics.split_once("\r\n\r\n").unwrap();
        let names: BTreeSet<&str> = body
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        assert!(names.contains("packwright_decision_usd_per_hour"), "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("packwright_")), "{names:?}");
        assert!(fs::read_to_string(&log).unwrap().contains("would create nodeclaim"));
        assert_repeated(&decisions);
    });
}

/// The answer to a GET on loopback.
fn got(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The objects of the chart with these values.
fn rendered(cluster: &Cluster, values: &[&str]) -> Vec<Value> {
    let sets = values.iter().flat_map(|value| ["--set", *value]);
    let played = ["template", "packwright", CHART, "-n", "there", "--set", "settings.kwok=true"];
    let args: Vec<&str> = played.into_iter().chain(sets).collect();
    let output = cluster.run("helm", &args);
    assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

#[test]
fn every_value_gives_objects_that_kubernetes_reads() {
    on_cluster(async |cluster, _| {
        // (values, what comes of them: in the Deployment by its path, or in a variable)
        let variants: [(&[&str], &[&str]); 10] = [
            (&[], &["/spec/replicas=2", "PACKWRIGHT_KWOK=true"]),
            (
                &[
                    "nameOverride=other",
                    "fullnameOverride=mine",
                    "additionalLabels.team=a",
                    "additionalAnnotations.note=b",
                ],
                &["/metadata/name=\"mine\"", "/metadata/labels/team=\"a\"", "/metadata/annotations/note=\"b\""],
            ),
            (
                &["serviceAccount.create=false", "serviceAccount.name=theirs"],
                &["/spec/template/spec/serviceAccountName=\"theirs\""],
            ),
            (&["settings.featureGates.nodeRepair=true", "settings.featureGates.reservedCapacity=false"], &[]),
            (
                &["controller.image.digest=sha256:0123", "controller.image.repository=r", "controller.image.tag=t"],
                &["/spec/template/spec/containers/0/image=\"r:t@sha256:0123\""],
            ),
            (
                &[
                    "affinity=null",
                    "topologySpreadConstraints=null",
                    "tolerations=null",
                    "nodeSelector=null",
                    "controller.resources=null",
                    "priorityClassName=",
                    "hostNetwork=true",
                    "dnsConfig.nameservers={1.1.1.1}",
                    "podSecurityContext=null",
                    "strategy=null",
                    "imagePullSecrets[0].name=s",
                    "podAnnotations.a=b",
                    "podLabels.c=d",
                ],
                &["/spec/template/spec/hostNetwork=true", "/spec/template/metadata/labels/c=\"d\""],
            ),
            (
                &[
                    "settings.limits.nodes=100",
                    "settings.limits.usdPerHour=12.5",
                    "settings.limits.nodePoolUsdPerHour.default=3",
                    "settings.limits.launchesPerMinute=20",
                    "settings.limits.solverSecondsPerHour=600",
                    "settings.decisions.keep=0",
                    "settings.solverMemory=",
                ],
                &["PACKWRIGHT_MAX_NODES=100", "PACKWRIGHT_MAX_USD_PER_HOUR=12.5"],
            ),
            // 0 is a limit
            (
                &[
                    "settings.limits.nodes=0",
                    "settings.limits.usdPerHour=0",
                    "settings.limits.launchesPerMinute=0",
                    "settings.limits.solverSecondsPerHour=0",
                    "settings.limits.evictionsPerHour=0",
                ],
                &[
                    "PACKWRIGHT_MAX_NODES=0",
                    "PACKWRIGHT_MAX_USD_PER_HOUR=0",
                    "PACKWRIGHT_MAX_LAUNCHES_PER_MINUTE=0",
                    "PACKWRIGHT_MAX_SOLVER_SECONDS_PER_HOUR=0",
                    "PACKWRIGHT_MAX_EVICTIONS_PER_HOUR=0",
                ],
            ),
            (
                &[
                    "controller.env[0].name=X",
                    "controller.env[0].value=y",
                    "controller.envFrom[0].configMapRef.name=m",
                    "extraVolumes[0].name=v",
                    "extraVolumes[0].emptyDir.medium=Memory",
                    "controller.extraVolumeMounts[0].name=v",
                    "controller.extraVolumeMounts[0].mountPath=/v",
                ],
                &["/spec/template/spec/volumes/1/name=\"v\""],
            ),
            (&["settings.shadow=true", "replicas=1"], &["/spec/replicas=1"]),
        ];
        for (values, expected) in variants {
            let objects = rendered(cluster, values);
            let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
            let typed: Deployment = serde_json::from_value(deployment.clone()).unwrap();
            let again = serde_json::to_value(&typed).unwrap();
            let pod = typed.spec.template.spec.unwrap();
            let variables = pod.containers[0].env.clone().unwrap();
            for expected in expected {
                let (name, value) = expected.split_once('=').unwrap();
                let found = if name.starts_with('/') {
                    again.pointer(name).map(Value::to_string)
                } else {
                    variables.iter().find(|of| of.name == name).and_then(|of| of.value.clone())
                };
                assert_eq!(found.as_deref(), Some(value), "{values:?}: {name}");
            }
            assert!(variables.iter().all(|variable| variable.value.is_some()), "{values:?}");
            // the program takes what the chart writes
            let mut command = packwright(&["controller", "--kubeconfig", "/nowhere"]);
            for variable in &variables {
                command.env(&variable.name, variable.value.as_deref().unwrap());
            }
            command.env("PACKWRIGHT_DECISIONS", folder("variant"));
            let said = String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned();
            assert!(said.contains("/nowhere: no such file"), "{values:?}: {said}");
            let kinds: BTreeSet<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
            let is_shadow = values.contains(&"settings.shadow=true");
            assert_eq!(kinds.contains("Role"), !is_shadow, "{values:?}");
        }
        let monitored = rendered(cluster, &["serviceMonitor.enabled=true", "serviceMonitor.additionalLabels.a=b"]);
        let monitor = monitored.iter().find(|object| object["kind"] == "ServiceMonitor").unwrap();
        let service = monitored.iter().find(|object| object["kind"] == "Service").unwrap();
        assert_eq!(monitor["metadata"]["labels"]["a"], "b");
        assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    });
}

#[test]
fn the_chart_reads_the_kinds_that_are_read_and_nothing_else() {
    on_cluster(async |cluster, _| {
        for values in [&[][..], &["settings.shadow=true"]] {
            let objects = rendered(cluster, values);
            let roles = objects.iter().filter(|object| object["kind"] == "ClusterRole");
            let texts = |list: &Value| -> Vec<String> {
                list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
            };
            let mut allowed = BTreeSet::new();
            for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
                let verbs = texts(&rule["verbs"]);
                if verbs == ["get", "list", "watch"] {
                    for group in texts(&rule["apiGroups"]) {
                        allowed.extend(texts(&rule["resources"]).into_iter().map(|resource| (group.clone(), resource)));
                    }
                } else {
                    assert!(values.is_empty(), "a shadow may do more than read: {rule}");
                }
            }
            let read = KINDS.iter().map(|kind| {
                let of = GroupVersionKind::gvk(kind.group, kind.version, kind.name);
                (kind.group.to_owned(), ApiResource::from_gvk(&of).plural)
            });
            assert_eq!(allowed, read.collect(), "{values:?}");
        }
    });
}
