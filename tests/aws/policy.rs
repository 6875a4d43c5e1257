//! The policy in `docs/aws` allows every call that is made, and no others.

pub mod judge;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::proxy::Call;

/// (call, the right that it takes where that has another name)
const RIGHTS: [(&str, &str); 1] = [("sqs:DeleteMessageBatch", "sqs:DeleteMessage")];
/// Rights that AWS asks for besides calls: of what is made and given along.
const IMPLIED: [&str; 3] = ["ec2:CreateTags", "iam:PassRole", "iam:TagInstanceProfile"];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/aws").join(name)).unwrap()
}

fn policy() -> Value {
    serde_json::from_str(&read("policy.json")).unwrap()
}

/// Every action that some statement allows.
fn allowed() -> BTreeSet<String> {
    let policy = policy();
    let statements = policy["Statement"].as_array().unwrap().iter();
    statements
        .flat_map(|of| of["Action"].as_array().unwrap())
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

/// Fails where a call is not allowed.
pub fn allows(calls: &[Call]) {
    let allowed = allowed();
    let made: BTreeSet<String> = calls.iter().map(|call| format!("{}:{}", call.service, call.action)).collect();
    let right =
        |call: &String| RIGHTS.iter().find(|(of, _)| of == call).map_or(call.clone(), |(_, right)| (*right).to_owned());
    let refused: Vec<String> = made.iter().map(right).filter(|right| !allowed.contains(right)).collect();
    assert!(refused.is_empty(), "docs/aws/policy.json does not allow {refused:?}");
}

/// The program's own calls of the SDK, as its sources have them.
#[test]
fn every_right_is_one_that_the_program_needs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aws");
    let mut sources = String::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                sources += &fs::read_to_string(entry).unwrap();
            }
        }
    }
    let sources: String = sources.split_whitespace().collect();
    let is_called = |action: &String| {
        let (service, name) = action.split_once(':').unwrap();
        let service = service.replace('-', "_");
        let mut call = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !call.is_empty() {
                call.push('_');
            }
            call.push(letter.to_ascii_lowercase());
        }
        sources.contains(&format!(".{service}.{call}(")) || sources.contains(&format!(".{service}.{call}_batch("))
    };
    let unneeded: Vec<String> =
        allowed().into_iter().filter(|action| !IMPLIED.contains(&action.as_str()) && !is_called(action)).collect();
    assert!(unneeded.is_empty(), "docs/aws/policy.json allows what is never called: {unneeded:?}");
}

/// What changes something is allowed for what carries the tags of the cluster alone.
#[test]
fn what_changes_something_is_bound_to_the_cluster() {
    let policy = policy();
    for statement in policy["Statement"].as_array().unwrap() {
        let text = statement.to_string();
        let actions = statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap());
        let changes = actions.clone().any(|action| {
            let name = action.split(':').nth(1).unwrap();
            !["Describe", "List", "Get"].iter().any(|verb| name.starts_with(verb))
        });
        // images, subnets and the like are not the cluster's own
        if changes && statement["Sid"] != "LaunchWithWhatIsThere" {
            assert!(
                text.contains("${cluster}") || text.contains("${queue}") || text.contains("${node_role}"),
                "{text}"
            );
        }
        assert!(!text.contains(":*\"") || !actions.clone().any(|action| action.ends_with('*')), "{text}");
    }
}

#[test]
fn the_cloudformation_template_has_the_same_policy() {
    let template = read("cloudformation.yaml");
    let start = template.find("PolicyDocument: !Sub |").unwrap();
    let end = start + template[start..].find("\n  Queue:").unwrap();
    let text = template[start..end].split_once('\n').unwrap().1;
    let own: Value = serde_json::from_str(text).unwrap();
    let names = [
        ("AWS::Partition", "partition"),
        ("AWS::Region", "region"),
        ("AWS::AccountId", "account"),
        ("ClusterName", "cluster"),
    ];
    let mut text = own.to_string();
    for (theirs, ours) in names {
        text = text.replace(&format!("${{{theirs}}}"), &format!("${{{ours}}}"));
    }
    let text =
        text.replace("${cluster}-packwright", "${queue}").replace("PackwrightNodeRole-${cluster}", "${node_role}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), policy());
}

/// Names of roles have 64 characters at most, of queues 80, and a managed policy 6,144 that are no white space.
#[test]
fn the_longest_name_of_a_cluster_fits_whatever_is_named_by_it() {
    let (formation, terraform) = (read("cloudformation.yaml"), read("terraform/main.tf"));
    let most = Regex::new(r"MaxLength: (\d+)").unwrap().captures(&formation).unwrap()[1].parse::<usize>().unwrap();
    assert!(terraform.contains(&format!("length(var.cluster_name) <= {most}")), "both say the same");
    let cluster = "c".repeat(most);
    let names = Regex::new(r#"(Role|Policy|Queue)Name: !Sub "([^"]+)""#).unwrap();
    let named: Vec<(String, usize)> = names
        .captures_iter(&formation)
        .map(|of| (of[1].to_owned(), of[2].replace("${ClusterName}", &cluster).len()))
        .collect();
    assert_eq!(named.len(), 4, "{named:?}");
    for (kind, length) in named {
        assert!(length <= if kind == "Queue" { 80 } else { 64 }, "{kind}: {length}");
    }
    for (partition, region) in
        [("aws", "ap-southeast-1"), ("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-northwest-1")]
    {
        let mut text = policy().to_string();
        for (name, value) in [
            ("partition", partition),
            ("region", region),
            ("account", "123456789012"),
            ("node_role", &format!("PackwrightNodeRole-{cluster}")),
            ("queue", &format!("{cluster}-packwright")),
            ("cluster", &cluster),
        ] {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        let length = text.chars().filter(|sign| !sign.is_whitespace()).count();
        assert!(length <= 6_144, "{region}: {length}");
    }
}

/// Rules of other accounts cannot: a message ends the node that it names.
#[test]
fn only_rules_of_the_account_send_to_the_queue() {
    for (file, account) in [("cloudformation.yaml", "${AWS::AccountId}"), ("terraform/main.tf", "${local.account}")] {
        let text = read(file);
        let places: Vec<usize> = text.match_indices("sqs:SendMessage").map(|(place, _)| place).collect();
        let [place] = places[..] else { panic!("{file} allows it {} times", places.len()) };
        let lines: Vec<&str> = text[..place].lines().rev().take(2).chain(text[place..].lines().take(3)).collect();
        let statement = lines.join("\n");
        assert!(statement.contains("events.amazonaws.com") && !statement.contains("sqs.amazonaws.com"), "{statement}");
        assert!(statement.contains("ArnLike") && statement.contains("aws:SourceArn"), "{file}: {statement}");
        assert!(statement.contains(&format!(":{account}:rule/*")), "{file}: {statement}");
    }
}

/// The same five rules of EventBridge in both.
#[test]
fn both_send_the_same_events_to_the_queue() {
    let kinds = Regex::new(r#""((?:EC2|AWS) [A-Z][A-Za-z -]+)""#).unwrap();
    let of = |text: &str| kinds.captures_iter(text).map(|found| found[1].to_owned()).collect::<BTreeSet<_>>();
    let (formation, terraform) = (of(&read("cloudformation.yaml")), of(&read("terraform/main.tf")));
    assert_eq!(formation, terraform);
    assert_eq!(formation.len(), 5);
}
