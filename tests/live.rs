//! A live cluster as the input: it is read, and nothing is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::cli::packwright;
use crate::cluster::Cluster;

/// The plan without what depends on the clock.
fn plan(args: &[&str]) -> Value {
    let output = packwright(&[&["plan", "-o", "json", "--work-limits", "usual"], args].concat()).output().unwrap();
    let mut plan: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    plan["summary"]["elapsed_ms"] = Value::Null;
    plan
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("packwright-live-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_live_cluster_is_planned_like_its_manifests() {
    let cluster = Cluster::start();
    let kubeconfig = cluster.folder.join("kubeconfig");
    assert!(cluster.run("helm", &["install", "packwright-crd", "charts/packwright-crd"]).status.success());
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
    cluster.kubectl(&["wait", "--for=jsonpath={.status.replicas}=5", "--timeout=60s", "deployment/inflate"]);
    let versions = || {
        cluster.kubectl(&[
            "get",
            "all,nodepools,ec2nodeclasses",
            "-A",
            "-o",
            "jsonpath={.items[*].metadata.resourceVersion}",
        ])
    };

    let before = versions();
    let live = plan(&["--kubeconfig", text(&kubeconfig)]);
    assert_eq!(versions(), before, "something was written");
    assert_eq!(live["summary"]["pods_placed"], 5);
    let of_manifests = plan(&["-f", "examples/getting-started"]);
    assert_eq!(live["summary"]["cost_usd_hour"], of_manifests["summary"]["cost_usd_hour"]);

    let saved = folder("saved");
    let saving = ["snapshot", "--kubeconfig", text(&kubeconfig), "--out", text(&saved)];
    let output = packwright(&saving).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(plan(&["-f", text(&saved)]), live);
    let again = packwright(&saving).output().unwrap();
    assert_eq!((again.status.code(), said(&again).contains("expected an empty or new directory")), (Some(2), true));

    // what a file says counts before what the cluster has
    let more = saved.join("more.yaml");
    let pool = "{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: default}, spec: {limits: {cpu: 0}, template: {spec: \
                {nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}, requirements: []}}}}";
    fs::write(&more, pool).unwrap();
    assert_eq!(plan(&["--kubeconfig", text(&kubeconfig), "-f", text(&more)])["summary"]["pods_placed"], 0);
    fs::remove_dir_all(&saved).unwrap();

    // with the rights of `view`, which knows neither nodes nor our kinds
    let name = cluster.kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].name}"]);
    cluster.kubectl(&["apply", "-f", "examples/reader.yaml"]);
    for (context, role) in [("view", "view"), ("reader", "packwright-reader")] {
        let account = format!("account-{context}");
        cluster.kubectl(&["create", "serviceaccount", &account]);
        let subject = format!("--serviceaccount=default:{account}");
        cluster.kubectl(&["create", "clusterrolebinding", &account, &format!("--clusterrole={role}"), &subject]);
        let token = format!("--token={}", cluster.kubectl(&["create", "token", &account]).trim());
        cluster.kubectl(&["config", "set-credentials", &account, &token]);
        cluster.kubectl(&["config", "set-context", context, "--cluster", &name, &format!("--user={account}")]);
    }
    let as_context = |context: &'static str| ["--kubeconfig", text(&kubeconfig), "--context", context];
    let view = packwright(&[&["plan"], &as_context("view")[..]].concat()).output().unwrap();
    assert_eq!(view.status.code(), Some(2), "{}", said(&view));
    for expected in [
        "error: context view: Node objects could not be read: nodes is forbidden",
        "(examples/reader.yaml has the rights)",
        "note: what may not be listed in the cluster is not known: PersistentVolume",
    ] {
        assert!(said(&view).contains(expected), "{}", said(&view));
    }
    assert_eq!(plan(&as_context("reader"))["summary"], live["summary"]);
    let reader = packwright(&[&["plan"], &as_context("reader")[..]].concat()).output().unwrap();
    assert!(reader.status.success() && !said(&reader).contains("not known"), "{}", said(&reader));

    // what is lacking is lacking in the files too
    for anonymize in [false, true] {
        let saved = folder("lacking");
        let mut saving = [&["snapshot", "--out", text(&saved)], &as_context("view")[..]].concat();
        saving.extend(anonymize.then_some("--anonymize"));
        assert_eq!(packwright(&saving).output().unwrap().status.code(), Some(2));
        let later = packwright(&["plan", "-f", text(&saved)]).output().unwrap();
        assert_eq!(later.status.code(), Some(2));
        let about = |output: &Output| said(output).lines().map(str::to_owned).collect::<Vec<_>>();
        if anonymize {
            assert!(said(&later).contains("error: the cluster: Node objects could not be read\n"), "{}", said(&later));
            let kept = fs::read_to_string(saved.join("not-read.json")).unwrap();
            assert!(!kept.contains("view") && !kept.contains("account"), "{kept}");
        } else {
            assert_eq!(about(&later), about(&view));
        }
        fs::remove_dir_all(&saved).unwrap();
    }
    let output = packwright(&["plan", "--kubeconfig", text(&kubeconfig), "--context", "nope"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no context nope: expected one of "), "{}", said(&output));
}

#[test]
fn a_command_that_gives_no_credentials_is_named_with_what_it_says() {
    let file = folder("exec");
    let config = |command: &str| {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
             clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:1'}}}}], users: [{{name: u, user: {{exec: {{apiVersion: \
             client.authentication.k8s.io/v1, {command}}}}}}}]}}"
        )
    };
    let failing = "command: sh, args: [-c, 'echo \"log in first\" >&2; exit 3'], env: [{name: SECRET, value: hush}]";
    for (command, expected) in [
        (failing, "credentials, sh -c echo \"log in first\" >&2; exit 3, failed (exit status: 3): log in first"),
        ("command: no-such-program, installHint: get it", "credentials, no-such-program, could not be started: "),
        ("command: echo, args: ['[]']", "credentials, echo [], printed something else than an ExecCredential"),
    ] {
        fs::write(&file, config(command)).unwrap();
        let output = packwright(&["plan", "--kubeconfig", text(&file)]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let start = "error: the cluster of context c cannot be read: the command that gives the ";
        assert!(said(&output).starts_with(&format!("{start}{expected}")), "{}", said(&output));
        assert!(!said(&output).contains("hush") && said(&output).lines().count() == 1, "{}", said(&output));
    }
    fs::remove_file(&file).unwrap();
}

#[test]
fn a_cluster_that_cannot_be_reached_is_one_error() {
    let file = folder("unreachable");
    let config = "{apiVersion: v1, kind: Config, current-context: gone, contexts: [{name: gone, context: {cluster: c, user: u}}], \
                  clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}]}";
    fs::write(&file, config).unwrap();
    let output = packwright(&["plan", "--kubeconfig", text(&file)]).output().unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).starts_with("error: the cluster of context gone cannot be read: "), "{}", said(&output));
    assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
}
