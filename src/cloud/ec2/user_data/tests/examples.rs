//! The facts of the reference's own examples, and what comes of them there.
//!
//! Source: karpenter-provider-aws `pkg/providers/launchtemplate/testdata`. Keys without a value, which Go writes, and the order of keys and of
//! flags to the same effect are all that may differ.

use serde_json::{Value, json};
use toml::Table;

use super::super::*;
use super::parts;
use crate::cloud::ec2::NodeTemplate;
use crate::cloud::ec2::fixtures::class;

const ENDPOINT: &str = "https://test-cluster";
const CA: &str = "Y2EtYnVuZGxlCg==";
const LABELS: &str = "karpenter.k8s.aws/ec2nodeclass=c,karpenter.sh/capacity-type=on-demand,\
    karpenter.sh/do-not-sync-taints=true,karpenter.sh/nodepool=p,testing/cluster=unspecified";

/// The user data of a node with these two labels and no taints, for 110 pods.
fn made(spec: &Value) -> String {
    let cluster = ClusterFacts {
        name: "test-cluster".into(),
        endpoint: ENDPOINT.into(),
        ca_bundle: Some(CA.into()),
        service_cidr: Some("10.100.0.0/16".into()),
        dns: Some("10.0.100.10".into()),
        ..ClusterFacts::default()
    };
    let claim = json!({
        "metadata": {"name": "n", "labels": {
            "karpenter.sh/nodepool": "p", "karpenter.k8s.aws/ec2nodeclass": "c", "testing/cluster": "unspecified"}},
        "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "c"}},
    });
    let template = NodeTemplate::of(&serde_json::from_value(claim).unwrap(), &class(spec, &json!({}))).unwrap();
    let group = Group { capacity_type: CapacityType::OnDemand, max_pods: 110 };
    user_data(&cluster, &template, &group).unwrap().unwrap()
}

/// Content types without their parameters, and the bodies.
fn archive(spec: &Value) -> Vec<(String, String)> {
    let kind = |of: String| of.split(';').next().unwrap().to_owned();
    parts(&made(spec)).into_iter().map(|(of, body)| (kind(of), body)).collect()
}

#[test]
fn al2023_comes_to_the_same() {
    let own = json!({
        "apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig",
        "spec": {
            "cluster": {"apiServerEndpoint": ENDPOINT, "certificateAuthority": CA, "cidr": "10.100.0.0/16", "name": "test-cluster"},
            "kubelet": {
                "config": {"clusterDNS": ["10.0.100.10"], "maxPods": 110,
                    "registerWithTaints": [{"effect": "NoExecute", "key": "karpenter.sh/unregistered"}]},
                "flags": [format!("--node-labels=\"{LABELS}\"")],
            },
        },
    });
    let (config, script) = ("kind: NodeConfig\nspec: {kubelet: {config: {maxPods: 42}}}\n", "#!/bin/bash\necho hi");
    let both = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n--//\nContent-Type: application/node.eks.aws\n\n\
         {config}\n--//\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\n\n{script}\n--//--\n"
    );
    let (of_config, of_script) = ("application/node.eks.aws", "text/x-shellscript");
    // what the user wrote comes first, in its order
    for (text, before) in [
        (None, vec![]),
        (Some(config), vec![(of_config, config)]),
        (Some(script), vec![(of_script, script)]),
        (Some(both.as_str()), vec![(of_config, config), (of_script, script)]),
    ] {
        let found = archive(&json!({ "userData": text }));
        let (last, first) = found.split_last().unwrap();
        let first: Vec<(&str, &str)> = first.iter().map(|(kind, body)| (kind.as_str(), body.as_str())).collect();
        assert_eq!(first, before);
        assert_eq!(last.0, of_config);
        assert_eq!(serde_saphyr::from_str::<Value>(&last.1).unwrap(), own);
    }
}

#[test]
fn al2_and_windows_come_to_the_same() {
    let flags = format!(
        "--node-labels=\"{LABELS}\" --register-with-taints=\"karpenter.sh/unregistered:NoExecute\" --max-pods=110"
    );
    let found = archive(&json!({"amiFamily": "AL2", "userData": "#!/bin/bash\necho hi\n"}));
    let (own, before) = found.split_last().unwrap();
    assert_eq!(before, [("text/x-shellscript".to_owned(), "#!/bin/bash\necho hi\n".to_owned())]);
    let call = own.1.split_once("/etc/eks/bootstrap.sh ").unwrap().1.replace("\\\n", "");
    let expected = format!(
        "'test-cluster' --apiserver-endpoint '{ENDPOINT}' --b64-cluster-ca '{CA}' --dns-cluster-ip '10.0.100.10' \
         --use-max-pods false --kubelet-extra-args '{flags}'"
    );
    assert_eq!(call.trim_end(), expected);

    let text = made(&json!({"amiFamily": "Windows2022", "userData": "Write-Host hi"}));
    let call = text.lines().find_map(|line| line.strip_prefix("& $EKSBootstrapScriptFile ")).unwrap();
    let expected = format!(
        "-EKSClusterName 'test-cluster' -APIServerEndpoint '{ENDPOINT}' -Base64ClusterCA '{CA}' -KubeletExtraArgs '{flags}' \
         -DNSClusterIP '10.0.100.10'"
    );
    assert_eq!(call, expected);
}

#[test]
fn bottlerocket_comes_to_the_same() {
    let user = r#"
[settings.kubernetes]
api-server = "of the user"
cloud-provider = "external"
cluster-certificate = "of the user"
cluster-name = "of the user"
max-pods = 5
[settings.kubernetes.eviction-hard]
"memory.available" = "12%"
[settings.kubernetes.node-labels]
mine = "yes"
"karpenter.sh/nodepool" = "of the user"
[settings.kubernetes.node-taints]
"of.the.user" = ["x:NoSchedule"]
[settings.network]
hosts = [["10.0.0.0", ["one.example.com", "two.example.com"]]]
no-proxy = ["localhost"]
"#;
    let found: Table = made(&json!({"amiFamily": "Bottlerocket", "userData": user})).parse().unwrap();
    let expected = json!({"settings": {
        "kubernetes": {
            "api-server": ENDPOINT, "cloud-provider": "external", "cluster-certificate": CA, "cluster-name": "test-cluster",
            "cluster-dns-ip": "10.0.100.10", "max-pods": 110,
            "eviction-hard": {"memory.available": "12%"},
            "node-labels": {
                "mine": "yes", "karpenter.k8s.aws/ec2nodeclass": "c", "karpenter.sh/capacity-type": "on-demand",
                "karpenter.sh/do-not-sync-taints": "true", "karpenter.sh/nodepool": "p", "testing/cluster": "unspecified",
            },
            "node-taints": {"karpenter.sh/unregistered": [":NoExecute"]},
        },
        "network": {"hosts": [["10.0.0.0", ["one.example.com", "two.example.com"]]], "no-proxy": ["localhost"]},
    }});
    assert_eq!(serde_json::to_value(&found).unwrap(), expected);
}
