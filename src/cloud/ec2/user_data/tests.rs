mod examples;

use serde_json::{Value, json};
use toml::Table;

use super::*;
use crate::cloud::ec2::fixtures::{class, cluster, template};

const GROUP: Group = Group { capacity_type: CapacityType::Spot, max_pods: 29 };

fn of(spec: &Value) -> Result<Option<String>, UserDataError> {
    user_data(&cluster(), &template(&class(spec, &json!({})), &json!({})), &GROUP)
}

fn text(spec: &Value) -> String {
    of(spec).unwrap().unwrap()
}

/// The parts of an archive: content type and body.
fn parts(text: &str) -> Vec<(String, String)> {
    mime::read(text).unwrap().into_iter().map(|part| (part.headers[0].1.clone(), part.body)).collect()
}

const LABELS: &str = "karpenter.k8s.aws/ec2nodeclass=default,karpenter.sh/capacity-type=spot,\
    karpenter.sh/do-not-sync-taints=true,karpenter.sh/nodepool=general,team=a";

#[test]
fn al2023_gets_a_node_config_that_has_the_last_word() {
    let spec = json!({"amiFamily": "AL2023", "instanceStorePolicy": "RAID0", "userData": "#!/bin/bash\necho hi",
        "kubelet": {"maxPods": 50, "kubeReserved": {"cpu": "100m"}, "cpuManagerPolicy": "static"}});
    let found = parts(&text(&spec));
    assert_eq!(found[0], ("text/x-shellscript; charset=\"us-ascii\"".to_owned(), "#!/bin/bash\necho hi".to_owned()));
    assert_eq!((found.len(), found[1].0.as_str()), (2, "application/node.eks.aws"));
    let config: Value = serde_saphyr::from_str(&found[1].1).unwrap();
    let taint = |key: &str, effect: &str, value: Option<&str>| match value {
        Some(value) => json!({"key": key, "value": value, "effect": effect}),
        None => json!({"key": key, "effect": effect}),
    };
    let expected = json!({
        "apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig",
        "spec": {
            "cluster": {"name": "prod", "apiServerEndpoint": "https://api.example.com", "certificateAuthority": "Y2E=",
                "cidr": "10.100.0.0/16"},
            "instance": {"localStorage": {"strategy": "RAID0"}},
            "kubelet": {
                "config": {
                    "maxPods": 50, "clusterDNS": ["10.100.0.10"], "kubeReserved": {"cpu": "100m"},
                    "cpuManagerPolicy": "static",
                    "registerWithTaints": [
                        taint("dedicated", "NoSchedule", Some("gpu")), taint("cni", "NoExecute", None),
                        taint("karpenter.sh/unregistered", "NoExecute", None),
                    ],
                },
                "flags": [format!("--node-labels=\"{LABELS}\"")],
            },
        },
    });
    assert_eq!(config, expected);
}

#[test]
fn al2023_user_data_may_be_a_node_config_or_an_archive() {
    let user =
        "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec:\n  kubelet:\n    config:\n      maxPods: 5\n";
    let found = parts(&text(&json!({ "userData": user })));
    assert_eq!(found[0], ("application/node.eks.aws".to_owned(), user.to_owned()));
    let archive = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\nContent-Type: text/cloud-config\n\na: 1\n--B--\n";
    let found = parts(&text(&json!({ "userData": archive })));
    assert_eq!((found.len(), found[0].clone()), (2, ("text/cloud-config".to_owned(), "a: 1".to_owned())));
    let refused = of(&json!({"userData": "MIME-Version: 1.0\n\nx"})).unwrap_err().to_string();
    assert_eq!(refused, "spec.userData: found a MIME archive without a header Content-Type");
}

#[test]
fn al2023_needs_the_service_cidr() {
    let mut cluster = cluster();
    cluster.service_cidr = None;
    let template = template(&class(&json!({}), &json!({})), &json!({}));
    assert_eq!(user_data(&cluster, &template, &GROUP), Err(UserDataError::Cluster("Service CIDR")));
}

#[test]
fn al2_calls_bootstrap_sh_after_the_script_of_the_user() {
    let spec = json!({"amiFamily": "AL2", "userData": "echo first", "instanceStorePolicy": "RAID0",
        "kubelet": {"podsPerCore": 4, "evictionHard": {"memory.available": "5%"}, "cpuCFSQuota": false}});
    let found = parts(&text(&spec));
    assert_eq!(found[0].1, "echo first");
    let expected = format!(
        "#!/bin/bash -xe\nexec > >(tee /var/log/user-data.log|logger -t user-data -s 2>/dev/console) 2>&1\n\
         /etc/eks/bootstrap.sh 'prod' --apiserver-endpoint 'https://api.example.com' \\\n--b64-cluster-ca 'Y2E=' \\\n\
         --dns-cluster-ip '10.100.0.10' \\\n--use-max-pods false \\\n--kubelet-extra-args '--node-labels=\"{LABELS}\" \
         --register-with-taints=\"dedicated=gpu:NoSchedule,cni:NoExecute,karpenter.sh/unregistered:NoExecute\" \
         --max-pods=29 --pods-per-core=4 --eviction-hard=\"memory.available<5%\" --cpu-cfs-quota=false' \\\n\
         --local-disks raid0\n"
    );
    assert_eq!(found[1].1, expected);
}

#[test]
fn windows_runs_both_scripts_in_one() {
    let found = text(&json!({"amiFamily": "Windows2022", "userData": "Write-Host hi"}));
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1], lines[4]), (5, "<powershell>", "Write-Host hi", "</powershell>"));
    assert!(lines[3].starts_with(
        "& $EKSBootstrapScriptFile -EKSClusterName 'prod' -APIServerEndpoint 'https://api.example.com' -Base64ClusterCA 'Y2E=' \
         -KubeletExtraArgs '--node-labels="
    ));
    assert!(lines[3].ends_with("--max-pods=29' -DNSClusterIP '10.100.0.10'"), "{}", lines[3]);
}

#[test]
fn bottlerocket_keeps_what_the_user_set_and_replaces_what_the_controller_knows() {
    let user = r#"
[settings.kubernetes]
api-server = "https://wrong"
cloud-provider = "external"
[settings.kubernetes.node-labels]
mine = "yes"
team = "wrong"
[settings.kubernetes.node-taints]
gone = ["x:NoSchedule"]
[settings.ntp]
time-servers = ["169.254.169.123"]
[settings.autoscaling]
should-wait = true
"#;
    let spec = json!({"amiFamily": "Bottlerocket", "userData": user, "instanceStorePolicy": "RAID0",
        "amiSelectorTerms": [{"alias": "bottlerocket@v1.45.0"}],
        "kubelet": {"imageGCHighThresholdPercent": 80, "evictionSoft": {"memory.available": "1Gi"}}});
    let found: Table = text(&spec).parse().unwrap();
    let settings = &found["settings"];
    let kubernetes = &settings["kubernetes"];
    for (key, value) in [
        ("api-server", "https://api.example.com"),
        ("cluster-name", "prod"),
        ("cluster-certificate", "Y2E="),
        ("cluster-dns-ip", "10.100.0.10"),
        ("cloud-provider", "external"),
        ("image-gc-high-threshold-percent", "80"),
    ] {
        assert_eq!(kubernetes[key].as_str(), Some(value), "{key}");
    }
    assert_eq!(kubernetes["max-pods"].as_integer(), Some(29));
    assert_eq!(kubernetes["eviction-soft"]["memory.available"].as_str(), Some("1Gi"));
    assert_eq!(
        (kubernetes["node-labels"]["mine"].as_str(), kubernetes["node-labels"]["team"].as_str()),
        (Some("yes"), Some("a"))
    );
    let taints = kubernetes["node-taints"].as_table().unwrap();
    assert_eq!(taints.keys().collect::<Vec<_>>(), ["cni", "dedicated", "karpenter.sh/unregistered"]);
    assert_eq!(taints["karpenter.sh/unregistered"][0].as_str(), Some(":NoExecute"));
    assert_eq!(settings["ntp"]["time-servers"][0].as_str(), Some("169.254.169.123"));
    assert_eq!(settings["autoscaling"]["should-wait"].as_bool(), Some(false));
    let mount = &settings["bootstrap-commands"]["000-mount-instance-storage"];
    assert_eq!((mount["mode"].as_str(), mount["essential"].as_bool()), (Some("always"), Some(true)));
    assert_eq!(mount["commands"][1].as_array().unwrap().len(), 7, "the folders are named");
    let latest = json!({"amiFamily": "Bottlerocket", "instanceStorePolicy": "RAID0",
        "amiSelectorTerms": [{"alias": "bottlerocket@latest"}]});
    let found: Table = text(&latest).parse().unwrap();
    let commands = &found["settings"]["bootstrap-commands"]["000-mount-instance-storage"]["commands"];
    assert_eq!(commands[1].as_array().unwrap().len(), 3);
}

#[test]
fn what_is_no_toml_says_so() {
    let error = of(&json!({"amiFamily": "Bottlerocket", "userData": "#!/bin/bash\nset -e"})).unwrap_err().to_string();
    assert!(error.starts_with("spec.userData: found no TOML: "), "{error}");
    let error = of(&json!({"amiFamily": "Bottlerocket", "userData": "settings = 1"})).unwrap_err().to_string();
    assert_eq!(error, "spec.userData: settings: found integer: expected a table");
}

#[test]
fn custom_user_data_is_taken_as_it_is() {
    let spec = json!({"amiFamily": "Custom", "amiSelectorTerms": [{"id": "ami-1"}], "userData": "anything $X"});
    assert_eq!(of(&spec).unwrap().as_deref(), Some("anything $X"));
    let none = json!({"amiFamily": "Custom", "amiSelectorTerms": [{"id": "ami-1"}]});
    assert_eq!(of(&none), Ok(None));
}

#[test]
fn what_ec2_would_not_take_is_refused_here() {
    let long = "x".repeat(MOST_BYTES);
    let error = of(&json!({ "userData": format!("#!/bin/sh\n# {long}") })).unwrap_err();
    assert!(matches!(error, UserDataError::TooLong { bytes } if bytes > MOST_BYTES));
}

#[test]
fn ipv6_clusters_say_so() {
    let mut cluster = cluster();
    cluster.dns = Some("fd00::a".into());
    let template = template(&class(&json!({"amiFamily": "AL2"}), &json!({})), &json!({}));
    let text = user_data(&cluster, &template, &GROUP).unwrap().unwrap();
    assert!(text.contains("--ip-family ipv6"), "{text}");
}
