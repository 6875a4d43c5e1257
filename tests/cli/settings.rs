//! Flags and variables: what they change, and what is said of bad values.

use super::*;

#[test]
fn a_gate_that_is_given_is_not_turned_on_by_the_input() {
    let overlay = "---\n{apiVersion: karpenter.sh/v1alpha1, kind: NodeOverlay, metadata: {name: o}, spec: \
                   {requirements: [], price: '0.5'}}\n";
    for (args, env) in [
        (&["--feature-gates", "NodeOverlay=false", "-o", "json"][..], &[][..]),
        (&["-o", "json"], &[("FEATURE_GATES", "CapacityBuffer=true,NodeOverlay=false")]),
    ] {
        let report = json(&plan(&[POD, overlay].concat(), args, env));
        let notes = report["notes"].to_string();
        assert!(
            notes.contains("the NodeOverlays of the input are ignored: the feature gate NodeOverlay is off"),
            "{notes}"
        );
        assert_eq!(report["summary"]["cost_usd_hour"], 0.1);
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let output = plan(POD, &[], &VARIABLES.map(|name| (name, "")));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut types = packwright(&["types", "-o", "name", "--limit", "1"]);
    let output = types.envs(VARIABLES.map(|name| (name, ""))).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn bad_values_say_what_is_expected() {
    for (flag, value, expected) in [
        ("--vm-memory-overhead-percent", "7", "expected a fraction from 0 to below 1, such as 0.075"),
        ("--reserved-enis", "some", "expected a whole number that is not negative"),
        ("--estimate-margin", "5%", "expected a fraction from 0 to below 1 with at most three decimals"),
        ("--max-instance-types", "0", "expected a whole number above zero"),
        ("--price-flexibility", "-1", "expected a fraction from 0 to 10 with at most three decimals"),
    ] {
        let output = plan(POD, &[&format!("{flag}={value}")], &[]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag}: {message}");
        let first = message.lines().next().unwrap_or_default();
        assert!(first.contains(flag) && first.contains(value) && first.contains(expected), "{message}");
    }
    // nobody typed the flag
    let message = text(&plan(POD, &[], &[("RESERVED_ENIS", "some")]).stderr);
    assert!(message.contains("the value is that of the variable RESERVED_ENIS"), "{message}");
    let message = text(&plan(POD, &["--reserved-enis", "few"], &[("RESERVED_ENIS", "some")]).stderr);
    assert!(!message.contains("variable") && message.contains("'few'"), "{message}");
}

#[test]
fn thresholds_of_launches_are_flags_and_variables() {
    // what many types hold at much the same price
    let pod = POD.replace("cpu: '1'", "cpu: '7', memory: 25Gi");
    let pool = "---\n{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: any}, spec: {template: {spec: \
                {nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}, requirements: [{key: \
                karpenter.sh/capacity-type, operator: In, values: [on-demand]}, {key: \
                karpenter.k8s.aws/instance-category, operator: In, values: [m]}]}}}}\n";
    let types = |args: &[&str], env: &[(&str, &str)]| {
        let command = packwright(&[&["plan", "-f", "-", "-o", "json"], args].concat());
        let report = json(&answer(command, &[&pod, pool].concat(), env));
        let launch = &report["launches"][0];
        let offers = launch["offers"].as_array().unwrap().iter();
        let names: std::collections::BTreeSet<String> = offers.map(|o| o["instance_type"].to_string()).collect();
        let ratio = launch["worst_usd_hour"].as_f64().unwrap() / launch["price_usd_hour"].as_f64().unwrap();
        (names.len(), ratio)
    };
    let (by_default, _) = types(&[], &[]);
    assert!(by_default > 1);
    assert_eq!(types(&["--max-instance-types", "1"], &[]).0, 1);
    assert_eq!(types(&[], &[("PACKWRIGHT_MAX_INSTANCE_TYPES", "1")]).0, 1);
    for wider in [types(&["--price-flexibility", "0.5"], &[]), types(&[], &[("PACKWRIGHT_PRICE_FLEXIBILITY", "0.5")])] {
        assert!(wider.1 > 1.1 && wider.1 <= 1.5, "{wider:?}");
    }
    assert!((types(&["--price-flexibility", "0"], &[]).1 - 1.0).abs() < 1e-9);
}

#[test]
fn help_names_every_setting_with_its_variable() {
    let help = text(&packwright(&["plan", "--help"]).output().unwrap().stdout);
    for (flag, variable) in [
        ("--estimate-margin", "PACKWRIGHT_ESTIMATE_MARGIN"),
        ("--max-instance-types", "PACKWRIGHT_MAX_INSTANCE_TYPES"),
        ("--price-flexibility", "PACKWRIGHT_PRICE_FLEXIBILITY"),
        ("--vm-memory-overhead-percent", "VM_MEMORY_OVERHEAD_PERCENT"),
    ] {
        assert!(help.contains(flag) && help.contains(variable), "{flag} {variable}: {help}");
    }
}

#[test]
fn the_files_of_spot_prices_say_what_is_wrong_with_them() {
    let entry = |zone: &str, product: &str| {
        format!(
            r#"{{"SpotPriceHistory": [{{"AvailabilityZone": "{zone}", "InstanceType": "m5.large", "ProductDescription":
            "{product}", "SpotPrice": "0.04", "Timestamp": "2026-01-02T00:00:00Z"}}]}}"#
        )
    };
    for (name, content, expected) in [
        ("empty", r#"{"SpotPriceHistory": []}"#.to_owned(), "found none"),
        ("other", r#"{"Prices": []}"#.to_owned(), "'aws ec2 describe-spot-price-history'"),
        ("text", "m5.large 0.04\n".to_owned(), "not JSON (line 1, column 1): expected the JSON of"),
        ("windows", entry("us-east-1a", "Windows"), "found 1 of other products"),
        ("region", entry("us-east-1a", "Linux/UNIX"), "no prices of eu-west-1: expected availability zones of that"),
    ] {
        let file = std::env::temp_dir().join(format!("packwright-spot-{name}-{}.json", std::process::id()));
        std::fs::write(&file, content).unwrap();
        let path = file.to_str().unwrap();
        for command in [&["plan", "-f", EXERCISE][..], &["types"]] {
            let output = packwright(command).args(["--region", "eu-west-1", "--spot-prices", path]).output().unwrap();
            let message = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{name}: {message}");
            assert!(message.starts_with(&format!("error: --spot-prices: {path}: ")), "{message}");
            assert!(message.contains(expected) && message.trim().lines().count() == 1, "{name}: {message}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}

/// Every setting of the reference's core, with its default there (karpenter-core 6.3).
#[cfg(feature = "live")]
const OF_THE_REFERENCE: [(&str, &str); 23] = [
    ("KARPENTER_SERVICE", ""),
    ("METRICS_PORT", "8080"),
    ("HEALTH_PROBE_PORT", "8081"),
    ("KUBE_CLIENT_QPS", "200"),
    ("KUBE_CLIENT_BURST", "300"),
    ("ENABLE_PROFILING", "false"),
    ("DISABLE_CONTROLLER_WARMUP", "true"),
    ("DISABLE_LEADER_ELECTION", "false"),
    ("DISABLE_CLUSTER_STATE_OBSERVABILITY", "false"),
    ("LEADER_ELECTION_NAME", "karpenter-leader-election"),
    ("LEADER_ELECTION_NAMESPACE", ""),
    ("MEMORY_LIMIT", "-1"),
    ("CPU_REQUESTS", "1000"),
    ("LOG_LEVEL", "info"),
    ("LOG_OUTPUT_PATHS", "stdout"),
    ("LOG_ERROR_OUTPUT_PATHS", "stderr"),
    ("BATCH_MAX_DURATION", "10s"),
    ("BATCH_IDLE_DURATION", "1s"),
    ("PREFERENCE_POLICY", "Respect"),
    ("MIN_VALUES_POLICY", "Strict"),
    ("IGNORE_DRA_REQUESTS", "true"),
    ("FEATURE_GATES", ""),
    ("SCHEDULER_CONFIG", ""),
];

#[cfg(feature = "live")]
#[test]
fn the_controller_has_every_setting_of_the_reference_under_its_name() {
    let help = packwright(&["controller", "--help"]).output().unwrap();
    let help: Vec<String> = String::from_utf8(help.stdout).unwrap().split_whitespace().map(str::to_owned).collect();
    let help = help.join(" ");
    for (variable, default) in OF_THE_REFERENCE {
        let flag = format!("--{} ", variable.to_lowercase().replace('_', "-"));
        assert!(help.contains(&flag), "{flag}");
        let (_, after) = help.split_once(&format!("[env: {variable}=]")).unwrap_or_else(|| panic!("{variable}"));
        let stated = after.split("[env:").next().unwrap();
        assert!(default.is_empty() || stated.contains(&format!("[default: {default}]")), "{variable}: {stated}");
    }
}

#[cfg(feature = "live")]
#[test]
fn values_are_taken_as_the_reference_writes_them() {
    let said = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = packwright(&["controller", "--kubeconfig", "/nowhere"]);
        let output = command.args(args).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?} {variables:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (variable, value) in [
        ("BATCH_MAX_DURATION", "1m30s"),
        ("DISABLE_LEADER_ELECTION", "1"),
        ("ENABLE_PROFILING", "True"),
        ("FEATURE_GATES", "NodeRepair=true,SpotToSpotConsolidation=F"),
        ("LOG_OUTPUT_PATHS", "stderr,/dev/null"),
        ("LOG_LEVEL", "debug"),
        ("MEMORY_LIMIT", "-1"),
        ("IGNORE_DRA_REQUESTS", "t"),
        ("PACKWRIGHT_NODEPOOL_MAX_USD_PER_HOUR", "default=12.5,gpu=40"),
    ] {
        let said = said(&[], &[(variable, value)]);
        assert!(said.contains("/nowhere: no such file"), "{variable}={value}: {said}");
    }
    let all: Vec<(&str, &str)> = OF_THE_REFERENCE.into_iter().collect();
    assert!(said(&[], &all).contains("/nowhere: no such file"), "the defaults of the reference, said aloud");
    for flag in ["--disable-leader-election", "--enable-profiling", "--shadow"] {
        assert!(said(&[flag], &[]).contains("/nowhere: no such file"), "{flag}");
    }
    for (variable, value, expected) in [
        ("BATCH_IDLE_DURATION", "1", "expected a duration such as"),
        ("SHADOW", "yes", "expected true or false"),
        ("FEATURE_GATES", "NodeRepair=on", "expected true or false"),
        ("PACKWRIGHT_MAX_USD_PER_HOUR", "-1", "expected dollars"),
        ("PACKWRIGHT_NODEPOOL_MAX_USD_PER_HOUR", "12", "expected NODEPOOL=USD"),
    ] {
        let said = said(&[], &[(variable, value)]);
        assert!(said.contains(expected), "{variable}={value}: {said}");
    }
}
