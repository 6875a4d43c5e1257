//! `packwright doctor`: each thing that it finds is there, and gone once what it says is done.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::cli::packwright;

const CLASS: &str = "
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: {name: default}
spec:
  amiFamily: AL2023
  amiSelectorTerms: [{alias: al2023@v20261101}]
  role: nodes
  subnetSelectorTerms: [{tags: {karpenter.sh/discovery: mine}}]
  securityGroupSelectorTerms: [{tags: {karpenter.sh/discovery: mine}}]
status:
  conditions: [{type: Ready, status: 'True', reason: Ready, message: '', lastTransitionTime: '2026-01-05T11:00:00Z'}]
  subnets: [{id: subnet-1, zone: us-east-1a}]
  securityGroups: [{id: sg-1}]
---
";

const WELL: &str = "
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: general}
spec:
  limits: {cpu: 100}
  template:
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
      requirements:
      - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
      - {key: karpenter.k8s.aws/instance-size, operator: In, values: [2xlarge]}
---
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {kubernetes.io/hostname: node-1}}
status: {capacity: {cpu: 8, memory: 32Gi, pods: 50}, allocatable: {cpu: 8, memory: 32Gi, pods: 50}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}, annotations: {}}
spec: {nodeName: node-1, containers: [{name: c, image: c, resources: {requests: {cpu: 1}}}]}
status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: logs}
spec:
  selector: {matchLabels: {app: logs}}
  template:
    metadata: {labels: {app: logs}}
    spec: {priorityClassName: system-node-critical, containers: [{name: c, image: c, resources: {requests: {cpu: 100m}}}]}
";

fn doctor(args: &[&str], manifests: &str) -> Output {
    let mut command = packwright(&["doctor", "-f", "-"]);
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(manifests.as_bytes());
    child.wait_with_output().unwrap()
}

fn findings(output: &Output) -> Vec<[String; 4]> {
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let text = |of: &Value, field: &str| of[field].as_str().unwrap().to_owned();
    let all = printed["findings"].as_array().unwrap().iter();
    all.map(|of| ["level", "check", "object", "says"].map(|field| text(of, field))).collect()
}

#[test]
fn a_cluster_that_is_well_has_nothing_to_deal_with() {
    let output = doctor(&["-o", "json"], &[CLASS, WELL].concat());
    let found = findings(&output);
    let not_looked_at: Vec<_> = found.iter().filter(|[level, ..]| level != "ok").collect();
    assert!(matches!(not_looked_at[..], [[level, check, ..]] if level == "note" && check == "versions"), "{found:#?}");
    assert!(found.len() >= 10, "{found:#?}");
    assert_eq!(output.status.code(), Some(0));
}

/// A change of the manifests, and what is found then: level, check, object and a part of what is said.
#[test]
fn each_fault_is_found_where_it_is() {
    let cases = [
        ("limits: {cpu: 100}", "limits: {}", ["warning", "limits", "NodePool general", "has no limits"]),
        (
            "limits: {cpu: 100}",
            "limits: {packwright.dev/usd-per-hour: 5}",
            ["warning", "moving-back", "NodePool general", "ignores the limit"],
        ),
        (
            "limits: {cpu: 100}",
            "limits: {cpus: 100}",
            [
                "warning",
                "limits",
                "NodePool general",
                "never binds: no instance type has that resource (did you mean cpu?)",
            ],
        ),
        (
            "limits: {cpu: 100}",
            "limits: {cpus: 100}",
            ["warning", "limits", "NodePool general", "has no limits that bind"],
        ),
        (
            "values: [2xlarge]",
            "values: [2xlarg]",
            ["error", "nodepools", "NodePool general", "other values, such as 2xlarge"],
        ),
        (
            "  limits: {cpu: 100}\n",
            "  limits: {cpu: 100}\n  disruption: {budgets: [{nodes: '0'}]}\n",
            ["warning", "pool-budgets", "NodePool general", "keeps all its nodes"],
        ),
        (
            "kind: Node\n",
            "kind: Node\nmetadata: {name: node-1}\n---\napiVersion: v1\nkind: Node\n",
            ["note", "input", "", "more than once"],
        ),
        (
            "priorityClassName: system-node-critical",
            "priorityClassName: system-node-critcal",
            ["note", "input", "", "assumed: PriorityClass system-node-critcal is not in the input"],
        ),
        (
            "values: [on-demand]",
            "values: [spot]",
            ["note", "queue", "", "may buy spot, and nobody is told of interruptions: NodePool general"],
        ),
        (
            "name: default}\n      requirements",
            "name: other}\n      requirements",
            ["error", "nodepools", "NodePool general", "which is not there"],
        ),
        ("kind: EC2NodeClass\nmetadata", "kind: EC2NodeClass\nmetdata", ["error", "input", "", "metadata"]),
        (
            "  subnets: [{id: subnet-1, zone: us-east-1a}]\n",
            "",
            ["error", "selection", "EC2NodeClass default", "selects no subnet"],
        ),
        (
            "maxUnavailable: 1",
            "maxUnavailable: 0",
            ["warning", "budgets", "PodDisruptionBudget default/web", "never lets any of its 1 pod"],
        ),
        (
            "maxUnavailable: 1",
            "minAvailable: 90%",
            ["warning", "budgets", "PodDisruptionBudget default/web", "does not let, with 1 as now, any of its 1 pod"],
        ),
        (
            "annotations: {}",
            "annotations: {karpenter.sh/do-not-disrupt: 'true'}",
            ["note", "do-not-disrupt", "", "Pod default/web (1 pod)"],
        ),
        (
            "annotations: {}",
            "annotations: {karpenter.sh/do-not-disrupt: 'yes'}",
            ["warning", "do-not-disrupt", "", "as it is not readable: Pod default/web (1 pod)"],
        ),
        (
            "selector: {matchLabels: {app: web}}",
            "selector: {matchLabels: {app: wbe}}",
            ["note", "budgets", "PodDisruptionBudget default/web", "selects no pod"],
        ),
        ("requests: {cpu: 1}", "requests: {}", ["warning", "requests", "", "Pod default/web"]),
        (
            "requests: {cpu: 100m}",
            "requests: {}",
            ["warning", "daemonsets", "DaemonSet default/logs", "requests neither cpu nor memory"],
        ),
        (
            "priorityClassName: system-node-critical, ",
            "",
            ["note", "daemonsets", "DaemonSet default/logs", "has no priority"],
        ),
        ("requests: {cpu: 100m}", "requests: {cpu: 3}", ["note", "daemonsets", "NodePool general", "% of the cpu of"]),
        (
            "annotations: {}",
            "annotations: {packwright.dev/eviction-cost-usd: '1'}",
            ["note", "moving-back", "Pod default/web (1 pod)", "ignores the annotation"],
        ),
        (
            "apiVersion: v1\nkind: Node\n",
            "apiVersion: karpenter.sh/v1\nkind: NodeClaim\nmetadata: {name: x, labels: {karpenter.sh/nodepool: general}}\n\
             spec: {requirements: [], nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}\n---\n\
             apiVersion: v1\nkind: Node\n",
            ["note", "nodeclaims", "NodeClaim x", "gives such claims up five minutes after"],
        ),
        (
            "amiSelectorTerms: [{alias: al2023@v20261101}]",
            "amiSelectorTerms: []",
            ["warning", "moving-back", "EC2NodeClass default", "Karpenter demands them since 1.0"],
        ),
    ];
    let well = [CLASS, WELL].concat();
    for (from, to, [level, check, object, says]) in cases {
        assert!(well.contains(from), "{from}");
        let output = doctor(&["-o", "json"], &well.replace(from, to));
        let found = findings(&output);
        let is_it = |of: &[String; 4]| of[0] == level && of[1] == check && of[2] == object && of[3].contains(says);
        assert!(found.iter().any(is_it), "{to}: {found:#?}");
        let has_errors = found.iter().any(|[level, ..]| level == "error");
        assert_eq!(output.status.code(), Some(if has_errors { 6 } else { 0 }), "{to}");
        assert!(level != "error" || has_errors);
    }
}

/// Manifests of before an installation: nothing runs yet.
#[test]
fn pods_without_a_node_are_looked_at_as_if_they_ran() {
    let app = "
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 5
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {}}
    spec: {containers: [{name: c, image: c, resources: {requests: {cpu: 1}}}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
";
    let pool = WELL.split("---").next().unwrap();
    let of = |from: &str, to: &str| {
        assert!(app.contains(from), "{from}");
        findings(&doctor(&["-o", "json"], &[CLASS, pool, &app.replace(from, to)].concat()))
    };
    let budget = |found: &[[String; 4]]| found.iter().find(|of| of[1] == "budgets").cloned().unwrap();
    assert_eq!(budget(&of("5", "5"))[0], "ok");
    for (to, says) in [
        ("maxUnavailable: 0", "never lets any of its 5 pods be evicted: nodes that they come to"),
        ("minAvailable: 5", "does not let, with 5 as now, any of its 5 pods be evicted"),
        ("minAvailable: 81%", "does not let, with 5 as now, any of its 5 pods be evicted"),
    ] {
        let [level, _, object, found] = budget(&of("maxUnavailable: 1", to));
        assert_eq!((level.as_str(), object.as_str()), ("warning", "PodDisruptionBudget default/web"), "{to}");
        assert!(found.starts_with(says), "{to}: {found}");
    }
    let kept = of("annotations: {}", "annotations: {karpenter.sh/do-not-disrupt: '2h'}");
    let kept = kept.iter().find(|of| of[1] == "do-not-disrupt").unwrap();
    assert!(kept[0] == "note" && kept[3].ends_with("Deployment default/web (5 pods)"), "{kept:?}");
}

#[test]
fn manifests_without_any_node_class_leave_it_to_whoever_has_it() {
    let output = doctor(&["-o", "json"], WELL);
    let found = findings(&output);
    let says_so =
        |of: &&[String; 4]| of[0] == "note" && of[3].starts_with("assumed: EC2NodeClass default is not in the input");
    assert_eq!((output.status.code(), found.iter().filter(says_so).count()), (Some(0), 1), "{found:#?}");
    let nothing = findings(&doctor(&["-o", "json"], CLASS));
    for check in ["limits", "pool-budgets", "requests"] {
        let said = nothing.iter().find(|of| of[1] == check).unwrap();
        assert!(said[3].starts_with("there is no "), "{said:?}");
    }
}

#[test]
fn a_karpenter_whose_kinds_are_older_or_newer_is_named() {
    let of = |version: &str| {
        let karpenter = format!(
            "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: karpenter, namespace: kube-system, labels: {{app.kubernetes.io/name: karpenter}}}}
spec:
  selector: {{matchLabels: {{app: karpenter}}}}
  template:
    metadata: {{labels: {{app: karpenter}}}}
    spec: {{containers: [{{name: controller, image: 'karpenter/controller:{version}', resources: {{requests: {{cpu: 1}}}}}}]}}
"
        );
        let found = findings(&doctor(&["-o", "json"], &[CLASS, WELL, &karpenter].concat()));
        found.into_iter().find(|of| of[1] == "versions" && of[2] == "Deployment kube-system/karpenter")
    };
    assert_eq!((of("1.0.6"), of("1.14.1")), (None, None));
    let [level, .., says] = of("0.37.0").unwrap();
    assert!(level == "error" && says.contains("of before v1"), "{says}");
    let [level, .., says] = of("1.15.0").unwrap();
    assert!(level == "warning" && says.contains("our kinds are those of 1.14"), "{says}");
}

#[test]
fn daemonsets_count_where_they_run() {
    let large = WELL.replace("requests: {cpu: 100m}", "requests: {cpu: 3}");
    let arm = "spec: {nodeSelector: {kubernetes.io/arch: arm64}, priorityClassName";
    let elsewhere = large.replace("spec: {priorityClassName", arm).replace(
        "requirements:\n",
        "requirements:\n      - {key: kubernetes.io/arch, operator: In, values: [amd64]}\n",
    );
    let is_full = |manifests: &str| {
        let found = findings(&doctor(&["-o", "json"], &[CLASS, manifests].concat()));
        found.iter().any(|of| of[1] == "daemonsets" && of[3].contains("% of the cpu of"))
    };
    assert!(is_full(&large) && elsewhere.contains(arm) && elsewhere.contains("[amd64]"));
    assert!(!is_full(&elsewhere));
    assert!(is_full(&elsewhere.replace("[amd64]", "[arm64]")));
}

#[test]
fn the_table_says_what_to_do_and_nothing_read_is_an_error() {
    let output = doctor(&[], &[CLASS, &WELL.replace("limits: {cpu: 100}", "limits: {}")].concat());
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("warning  limits") && lines[1].trim_start().starts_with("-> set spec.limits"),
        "{table}"
    );
    assert!(table.ends_with("0 errors, 1 warning\n"), "{table}");
    assert_eq!(doctor(&[], "").status.code(), Some(2));
    let asked = doctor(&["--service-account", "karpenter"], WELL);
    assert_eq!(asked.status.code(), Some(2), "manifests have no rights");
}

#[cfg(feature = "live")]
#[test]
fn a_kubeconfig_and_its_context_go_together_and_manifests_do_not() {
    let refused = |args: &[&str]| {
        let output = packwright(&[&["doctor"], args].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let both = refused(&["--kubeconfig", "no-such-file", "--context", "c"]);
    assert!(both.contains("no-such-file"), "{both}");
    assert!(refused(&["--context", "c", "-f", "x"]).contains("cannot be used with"));
}

#[cfg(feature = "live")]
mod live {
    use std::collections::BTreeSet;

    use packwright::cluster::examine::of_controller;
    use packwright::observe::read_paths;
    use packwright::placement::Mode;

    use super::findings;
    use crate::cli::packwright;
    use crate::cluster::{Cluster, ShownOnPanic};

    /// Karpenter as its chart installs it, as far as the doctor looks at it.
    const KARPENTER: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: karpenter, namespace: kube-system, labels: \
        {app.kubernetes.io/name: karpenter}}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: \
        {containers: [{name: controller, image: 'karpenter/controller:1.8.1', env: [{name: CLUSTER_NAME, value: mine}], resources: \
        {requests: {cpu: 1}}}]}}}}";

    #[test]
    fn a_live_cluster_is_examined_before_and_after_an_installation() {
        let cluster = Cluster::start();
        let _logs = ShownOnPanic(&cluster);
        let kubeconfig = cluster.folder.join("kubeconfig");
        let examined = |args: &[&str]| {
            let kubeconfig = kubeconfig.to_str().unwrap();
            let output =
                packwright(&[&["doctor", "-o", "json", "--kubeconfig", kubeconfig], args].concat()).output().unwrap();
            (findings(&output), output.status.code())
        };
        let of = |found: &[[String; 4]], level: &str, check: &str, says: &str| {
            found.iter().any(|of| of[0] == level && of[1] == check && of[3].contains(says))
        };

        let (found, code) = examined(&[]);
        assert_eq!(code, Some(0), "nothing is wrong with a cluster that has no Packwright yet: {found:#?}");
        assert!(of(&found, "note", "kinds", "not installed yet"), "{found:#?}");
        assert!(of(&found, "ok", "versions", "Kubernetes v1."), "{found:#?}");
        assert!(of(&found, "ok", "rights", "you may do all"), "{found:#?}");

        cluster.install_kinds();
        let manifest = cluster.folder.join("karpenter.yaml");
        std::fs::write(&manifest, KARPENTER).unwrap();
        cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]);
        cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        let lease = cluster.folder.join("lease.yaml");
        let now = jiff::Timestamp::now();
        let held = format!(
            "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: karpenter-leader-election, namespace: default}}, \
             spec: {{holderIdentity: elsewhere_1, leaseDurationSeconds: 3600, renewTime: '{now:.6}'}}}}"
        );
        std::fs::write(&lease, held).unwrap();
        cluster.kubectl(&["apply", "-f", lease.to_str().unwrap()]);
        let (found, code) = examined(&["--service-account", "nobody"]);
        assert_eq!(code, Some(6), "{found:#?}");
        assert!(of(&found, "error", "rights", "system:serviceaccount:kube-system:nobody may not: "), "{found:#?}");
        assert!(of(&found, "ok", "kinds", "no release takes them with it"), "{found:#?}");
        assert!(of(&found, "note", "provisioner", "Karpenter 1.8.1 provisions"), "{found:#?}");
        let holder = "default/karpenter-leader-election is held by elsewhere_1";
        assert!(of(&found, "warning", "provisioner", holder), "{found:#?}");
        assert!(of(&found, "warning", "queue", "nobody is told of interruptions: NodePool default"), "{found:#?}");
        assert!(of(&found, "warning", "selection", "the cluster is mine"), "{found:#?}");

        // as Karpenter's chart has them
        cluster.kubectl(&["annotate", "crd", "nodepools.karpenter.sh", "helm.sh/resource-policy-"]);
        let chart = cluster.run(
            "helm",
            &[
                "install",
                "packwright",
                "charts/packwright",
                "--namespace",
                "kube-system",
                "--set",
                "settings.kwok=true",
            ],
        );
        assert!(chart.status.success(), "{}", String::from_utf8_lossy(&chart.stderr));
        let versions =
            || cluster.kubectl(&["get", "all,nodepools,crds", "-A", "-o", "jsonpath={.items[*].metadata.generation}"]);
        let before = versions();
        let (found, code) = examined(&["--service-account", "packwright"]);
        assert!(of(&found, "ok", "rights", "packwright may do all"), "{found:#?}");
        assert!(
            of(&found, "warning", "kinds", "belongs to the release packwright-crd, and goes with it"),
            "{found:#?}"
        );
        assert_eq!((code, versions()), (Some(0), before), "{found:#?}");

        // without the one right that following the plan needs beyond those of Karpenter
        cluster.kubectl(&["delete", "clusterrolebinding", "packwright-placement"]);
        let (found, _) = examined(&["--service-account", "packwright"]);
        assert!(of(&found, "error", "rights", "patch pods"), "{found:#?}");
        let (found, _) = examined(&["--service-account", "packwright", "--placement", "Nominate"]);
        assert!(of(&found, "error", "rights", "patch pods/status"), "{found:#?}");
        cluster.kubectl(&["annotate", "crd", "nodeoverlays.karpenter.sh", "packwright.dev/allow-deletion=true"]);
        cluster.kubectl(&["delete", "crd", "nodeoverlays.karpenter.sh"]);
        let (found, code) = examined(&[]);
        assert!(code == Some(6) && of(&found, "error", "kinds", "is not installed"), "{found:#?}");

        // who may read, and not ask for the rights of others
        cluster.kubectl(&["apply", "-f", "examples/reader.yaml"]);
        cluster.kubectl(&["create", "serviceaccount", "reader"]);
        let binding = ["create", "clusterrolebinding", "reader", "--clusterrole=packwright-reader"];
        cluster.kubectl(&[&binding[..], &["--serviceaccount=default:reader"]].concat());
        let name = cluster.kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].name}"]);
        let token = format!("--token={}", cluster.kubectl(&["create", "token", "reader"]).trim());
        cluster.kubectl(&["config", "set-credentials", "reader", &token]);
        cluster.kubectl(&["config", "set-context", "reader", "--cluster", &name, "--user=reader"]);
        let (found, _) = examined(&["--context", "reader", "--service-account", "packwright"]);
        assert!(of(&found, "warning", "rights", "cannot be asked"), "{found:#?}");
    }

    /// A right that is in the chart and that nobody asks for would be missed by whoever brings a ServiceAccount of their own.
    #[test]
    fn every_right_of_the_chart_is_asked_for() {
        let cluster = Cluster::start();
        for mode in [Mode::Reserve, Mode::Nominate, Mode::Observe] {
            let placement = format!("settings.kwok=true,settings.placement={mode:?}");
            let chart = cluster.run("helm", &["template", "packwright", "charts/packwright", "--set", &placement]);
            let rendered = cluster.folder.join("chart.yaml");
            std::fs::write(&rendered, chart.stdout).unwrap();
            let (objects, errors) = read_paths(&[rendered]);
            assert!(errors.is_empty(), "{errors:?}");
            let roles =
                objects.iter().filter(|of| of.value["kind"].as_str().is_some_and(|kind| kind.ends_with("Role")));
            let mut granted = BTreeSet::new();
            for rule in roles.flat_map(|of| of.value["rules"].as_array().unwrap()) {
                let all = |field: &str| {
                    let values = rule[field].as_array().unwrap().iter();
                    values.map(|of| of.as_str().unwrap().to_owned()).collect::<Vec<_>>()
                };
                for (group, resource) in all("apiGroups")
                    .into_iter()
                    .flat_map(|group| all("resources").into_iter().map(move |of| (group.clone(), of)))
                {
                    // what is listed is read one by one, too
                    let verbs = all("verbs").into_iter().filter(|verb| verb != "get");
                    granted.extend(verbs.map(|verb| (verb, group.clone(), resource.clone())));
                }
            }
            let asked = of_controller(mode, true).into_iter();
            let asked: BTreeSet<_> =
                asked.map(|(verb, group, of, _)| (verb.to_owned(), group.to_owned(), of)).collect();
            assert_eq!(asked, granted, "{mode:?}");
        }
    }
}
