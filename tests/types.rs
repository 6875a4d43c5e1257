//! `packwright types` as a user calls it.

use std::process::{Command, Output};

fn types(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_packwright"));
    command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION").arg("types").args(args).output().unwrap()
}

fn names(args: &[&str]) -> Vec<String> {
    let output = types(&[args, &["-o", "name"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn requirements_select_types() {
    let selector =
        "karpenter.k8s.aws/instance-family in (c7g,m7g), karpenter.k8s.aws/instance-cpu > 4, instance-cpu<16";
    assert_eq!(names(&["--requirements", selector]), ["c7g.2xlarge", "m7g.2xlarge"]);
    assert_eq!(names(&["--requirements", "instance-family=c7g, zone=us-east-1a, zone=us-east-1b"]).len(), 0);
    assert_eq!(names(&["--requirements", "instance-family=c7g", "--sort", "memory", "--limit", "1"]), ["c7g.medium"]);
    assert_eq!(names(&["--requirements", "nitro-sandbox=true"]).len(), 0, "the data do not have this label");
    assert_eq!(names(&["--catalog", "kwok"]).len(), 144);
}

#[test]
fn absent_labels_match_not_in_and_does_not_exist() {
    let all = names(&[]);
    assert_eq!(all.len(), 1_357, "AL2023 leaves out the six a1");
    assert_eq!(names(&["--requirements", "!nitro-sandbox"]), all);
    assert_eq!(names(&["--requirements", "nitro-sandbox != true"]), all);
}

#[test]
fn reserved_offerings_are_listed_where_reservations_are_given() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/shared/capacity-reservations.json");
    let reserved = "capacity-type=reserved";
    assert_eq!(names(&["-r", reserved]).len(), 0);
    assert_eq!(names(&["-r", reserved, "--capacity-reservations", file]), ["m5.4xlarge"]);
    assert_eq!(names(&["-r", "capacity-type=reserved, zone=us-east-1c", "--capacity-reservations", file]).len(), 0);
    let output = types(&["--capacity-reservations", "/does/not/exist"]);
    assert_eq!(output.status.code(), Some(2));
    let output = types(&["--capacity-reservations", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("Cargo.toml: not JSON") && message.contains("describe-capacity-reservations"),
        "{message}"
    );
}

#[test]
fn settings_that_change_allocatable_are_obeyed() {
    let allocatable = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = crate::cli::packwright(&[]);
        command.args(["types", "-r", "instance-type=m5.large", "-o", "json"]).args(args);
        let output = command.envs(env.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let of = |name: &str| listed[0]["allocatable"][name].as_i64().unwrap();
        (of("memory"), of("pods"))
    };
    let (memory, pods) = allocatable(&[], &[]);
    assert!(allocatable(&[], &[("VM_MEMORY_OVERHEAD_PERCENT", "0.2")]).0 < memory);
    assert!(allocatable(&["--vm-memory-overhead-percent", "0.2"], &[]).0 < memory);
    assert!(allocatable(&["--estimate-margin", "0"], &[]).0 > memory);
    assert!(allocatable(&[], &[("RESERVED_ENIS", "1")]).1 < pods);
    assert_eq!(allocatable(&["--reserved-enis", "0"], &[("RESERVED_ENIS", "1")]), (memory, pods));
}

#[test]
fn json_and_table_show_prices() {
    let output = types(&["--requirements", "instance-type=m5.large", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed[0]["name"], "m5.large");
    assert_eq!(listed[0]["on_demand"], 96_000);
    let requirements = listed[0]["requirements"].as_array().unwrap();
    let of = |key: &str| requirements.iter().find(|requirement| requirement["key"] == key).unwrap();
    let family = "karpenter.k8s.aws/instance-family";
    assert_eq!(*of(family), serde_json::json!({"key": family, "operator": "In", "values": ["m5"]}));
    let gpu = "karpenter.k8s.aws/instance-gpu-name";
    assert_eq!(*of(gpu), serde_json::json!({"key": gpu, "operator": "DoesNotExist"}));
    let table = String::from_utf8(types(&["--requirements", "instance-type=m5.large"]).stdout).unwrap();
    assert!(table.contains("m5.large") && table.contains("$0.0960"), "{table}");
}

#[test]
fn refused_input_exits_with_2_and_says_why() {
    for (args, expected) in [
        (&["--requirements", "a in (b"][..], "not closed"),
        (&["--region", "moon"], "not the name of an AWS region"),
        (&["--catalog", "/does/not/exist"], "/does/not/exist"),
        (&["--spot-prices", "/does/not/exist"], "/does/not/exist"),
        (&["--ami-family", "Gentoo"], "Gentoo"),
        (&["m5.larg"], "there is no instance type 'm5.larg'; did you mean m5.large?"),
        (&["m5.large", "tiny"], "there is no instance type 'tiny'"),
        (
            &["-r", "instance-familly=m5"],
            "--requirements: no type or offering has the label 'instance-familly'; did you mean instance-family?",
        ),
        (&["-r", "!example.com/team"], "--requirements: no type or offering has the label 'example.com/team'"),
        (&["-r", "zone=us-east-1z"], "--requirements: 'us-east-1z' is not one of the zones us-east-1a, us-east-1b,"),
        (&["--zone", "us-east1-a"], "--zone: 'us-east1-a' is not one of the zones us-east-1a, us-east-1b,"),
        (&["--zone", "us-east1-a"], "did you mean us-east-1a?"),
    ] {
        let output = types(args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
    }
}

#[test]
fn types_are_listed_by_name() {
    assert_eq!(names(&["m5.large", "c7g.large"]), ["c7g.large", "m5.large"]);
    assert_eq!(names(&["m5.large", "c7g.large", "-r", "arch=arm64"]), ["c7g.large"]);
    assert_eq!(names(&["--zone", "us-east-1a", "m5.large"]), ["m5.large"]);
}

#[test]
fn the_region_comes_from_the_flag_then_the_variables() {
    let zones = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_packwright"));
        command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
        command.args(["types", "m5.large", "-o", "json"]).args(args).envs(env.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert!(zones(&[], &[]).1.contains("\"us-east-1a\""));
    let default = ("AWS_DEFAULT_REGION", "eu-west-1");
    assert!(zones(&[], &[default]).1.contains("\"eu-west-1a\""));
    assert!(zones(&[], &[default, ("AWS_REGION", "us-west-2")]).1.contains("\"us-west-2a\""));
    assert!(zones(&["--region", "us-east-2"], &[default, ("AWS_REGION", "us-west-2")]).1.contains("\"us-east-2a\""));
    for (args, env, source) in [
        (&["--region", "moon"][..], &[][..], "--region"),
        (&[], &[("AWS_REGION", "moon")], "AWS_REGION"),
        (&[], &[("AWS_DEFAULT_REGION", "moon")], "AWS_DEFAULT_REGION"),
    ] {
        let (code, _, message) = zones(args, env);
        assert_eq!(
            (code, message),
            (Some(2), format!("error: {source}: 'moon' is not the name of an AWS region, such as us-east-1\n"))
        );
    }
}
