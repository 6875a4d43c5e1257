//! The committed CRD chart is what the types say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use packwright::api::crds::{crds, to_yaml};

/// Set to write the files instead of comparing them.
const UPDATE: &str = "UPDATE_CRDS";

/// What refuses their deletion is none of them.
const KEEP: &str = "keep.yaml";

fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/packwright-crd/templates")
}

/// File name and content of each template: the definition, with Helm told to keep it when the chart is removed, as its
/// removal would delete every object of the kind.
fn expected() -> Vec<(String, String)> {
    const ANNOTATIONS: &str = "metadata:
  annotations:
    helm.sh/resource-policy: keep
    {{- with .Values.additionalAnnotations }}
      {{- toYaml . | nindent 4 }}
    {{- end }}
";
    crds()
        .iter()
        .map(|crd| {
            let yaml = to_yaml(crd).unwrap();
            assert!(!yaml.contains("{{"), "Helm would read this as a template");
            let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
            (name, yaml.replacen("metadata:\n", ANNOTATIONS, 1))
        })
        .collect()
}

#[test]
fn the_chart_is_up_to_date() {
    let expected = expected();
    if std::env::var_os(UPDATE).is_some() {
        for (name, content) in &expected {
            fs::write(templates().join(name), content).unwrap();
        }
    }
    let mut committed: Vec<String> =
        fs::read_dir(templates()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    committed.retain(|name| name != KEEP);
    committed.sort();
    let mut names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(committed, names, "charts/packwright-crd/templates has other files than there are kinds");
    for (name, content) in &expected {
        assert!(
            fs::read_to_string(templates().join(name)).unwrap() == *content,
            "charts/packwright-crd/templates/{name} differs from the types: run `make crds` \
             ({UPDATE}=1 cargo test --test integration crds::) and commit the result"
        );
    }
}

#[test]
fn the_command_prints_the_kinds_that_are_named() {
    let run = |names: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_packwright")).arg("crds").args(names).output().unwrap();
        let documents: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
        let names: Vec<String> =
            documents.iter().map(|crd| crd["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        (output.status.code(), names)
    };
    let all = [
        "nodepools.karpenter.sh",
        "nodeclaims.karpenter.sh",
        "ec2nodeclasses.karpenter.k8s.aws",
        "kwoknodeclasses.karpenter.kwok.sh",
        "nodeoverlays.karpenter.sh",
        "capacitybuffers.autoscaling.x-k8s.io",
    ];
    assert_eq!(run(&[]), (Some(0), all.map(str::to_owned).to_vec()));
    assert_eq!(run(&["ec2nc", "NodePool"]), (Some(0), vec![all[0].to_owned(), all[2].to_owned()]));
    assert_eq!(run(&["nodepools", "nodes"]), (Some(2), vec![]));
}
