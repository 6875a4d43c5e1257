//! Where objects come from and where they are kept.

use std::path::PathBuf;

use super::*;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
#[cfg(feature = "live")]
fn without_input_every_kind_of_it_is_offered() {
    for args in [&["plan"][..], &["snapshot", "--out", "x"], &["explain", "pod/x"], &["export", "--out", "x"]] {
        let output = packwright(args).output().unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        let required = message.split("Usage:").next().unwrap();
        for option in ["--filename <PATH>", "--kubeconfig [<FILE>]", "--context <NAME>"] {
            assert!(required.contains(option), "{args:?}: {message}");
        }
    }
}

#[test]
#[cfg(feature = "live")]
fn a_kubeconfig_need_not_be_named() {
    let missing = folder("kubeconfigs").join("missing");
    for args in [&["plan", "--kubeconfig"][..], &["release", "--dry-run", "--kubeconfig"], &["release", "--dry-run"]] {
        let output = packwright(args).env("KUBECONFIG", &missing).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("error: KUBECONFIG: no such file: {}\n", missing.display());
        assert_eq!(text(&output.stderr), expected, "{args:?}");
    }
    let output = packwright(&["plan", "--kubeconfig", missing.to_str().unwrap()]).output().unwrap();
    assert_eq!(text(&output.stderr), format!("error: {}: no such file or directory\n", missing.display()));
}

#[test]
#[cfg(feature = "live")]
fn only_a_cluster_that_is_named_is_changed() {
    for args in [&["release"][..], &["release", "node"], &["controller"]] {
        let output = packwright(args).env_remove("KUBERNETES_SERVICE_HOST").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let message = text(&output.stderr);
        assert!(message.starts_with("error: ") && message.contains("--context NAME"), "{message}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named_before_anything_is_read() {
    let file = folder("unwritable").join("file");
    std::fs::write(&file, "").unwrap();
    let out = file.join("out");
    let output = packwright(&["snapshot", "-f", "/does/not/exist", "--out", out.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("error: --out {}: ", out.display());
    assert!(text(&output.stderr).starts_with(&expected), "{}", text(&output.stderr));
    // what is not written leaves nothing behind
    let out = file.with_file_name("new");
    let output = packwright(&["snapshot", "-f", "/does/not/exist", "--out", out.to_str().unwrap()]).output().unwrap();
    assert_eq!((output.status.code(), out.exists()), (Some(2), false));
}

#[test]
fn what_could_not_be_read_is_lacking_in_a_snapshot_too() {
    let folder = folder("lacking");
    let (given, out) = (folder.join("given"), folder.join("out"));
    std::fs::create_dir_all(&given).unwrap();
    std::fs::write(given.join("pod.yaml"), [POD, "---\nkind: [\n"].concat()).unwrap();
    let of = |args: &[&str]| {
        let output = packwright(args).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let [given, out] = [&given, &out].map(|path| path.to_str().unwrap());
    let (code, said, errors) = of(&["snapshot", "-f", given, "--out", out]);
    assert_eq!((code, said), (Some(2), format!("{out}: 1 object of 1 kind\n")));
    assert!(errors.contains(": not valid YAML"), "{errors}");
    let errors_of = |path: &str| {
        let (code, _, said) = of(&["plan", "-f", path]);
        let errors: Vec<String> = said.lines().filter(|line| line.starts_with("error")).map(str::to_owned).collect();
        (code, errors)
    };
    assert_eq!(errors_of(out), errors_of(given));
    assert_eq!(errors_of(out).0, Some(2));
}

#[test]
fn the_region_is_that_of_the_zones_that_nodepools_name() {
    let pool = |zones: &str| {
        format!(
            "{{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {{name: general}}, spec: {{template: {{spec: {{\
             nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}, requirements: [\
             {{key: topology.kubernetes.io/zone, operator: In, values: [{zones}]}}]}}}}}}}}\n---\n{POD}"
        )
    };
    let class = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/node-class.yaml");
    let plan = || packwright(&["plan", "-f", class, "-f", "-", "-o", "json"]);
    let output = answer(plan(), &pool("eu-west-1a, eu-west-1b"), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let plan_there = json(&output);
    let offers = plan_there["launches"][0]["offers"].as_array().unwrap();
    assert!(!offers.is_empty() && offers.iter().all(|offer| offer["zone"].as_str().unwrap().starts_with("eu-west-1")));
    let output = answer(plan(), &pool("eu-west-1a, eu-west-1b"), &[("AWS_REGION", "us-west-2")]);
    assert_eq!(output.status.code(), Some(3), "what was said counts: {}", text(&output.stderr));
}

#[test]
fn a_template_is_said_to_look_like_one() {
    let output =
        answer(packwright(&["plan", "-f", "-"]), "a:\n{{- range .Values.b }}\n- c: {{ . }}\n{{- end }}\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("helm template CHART"), "{}", text(&output.stderr));
}
