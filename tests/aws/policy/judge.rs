//! Judges calls as IAM does: each resource that a call is about is allowed by a statement whose conditions hold for the tags of the request and
//! of the resource.
//!
//! Source: "Actions, resources, and condition keys for Amazon EC2" of the service authorization reference. moto's own authentication knows
//! neither resources nor conditions.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use super::policy;
use crate::aws::account::{QUEUE, REGION, ROLE};
use crate::aws::proxy::Query;

type Tags = BTreeMap<String, String>;

/// What IAM is asked: one action on one resource.
#[derive(Debug, Clone, Default)]
struct Question {
    action: String,
    /// As `instance/i-1`; of EC2.
    resource: String,
    request: Tags,
    /// `None`: it is not there yet.
    resource_tags: Option<Tags>,
    /// Of `ec2:CreateAction`.
    making: Option<String>,
}

/// What is known of the tags of what was made.
#[derive(Default)]
struct Made(BTreeMap<String, Tags>);

/// Fails where a call that changes something is not allowed, with what was answered to it. How many questions there were.
pub fn allows(asked: &[(Query, String)]) -> usize {
    let statements = statements();
    let mut made = Made::default();
    let mut count = 0;
    for (query, told) in asked {
        for question in questions(query, &made) {
            count += 1;
            let is_allowed = statements.iter().any(|of| allows_one(of, &question));
            assert!(is_allowed, "no statement of docs/aws/policy.json allows {question:?}");
        }
        made.note(query, told);
    }
    count
}

fn statements() -> Vec<Value> {
    let mut text = policy().to_string();
    for (name, value) in [
        ("partition", "aws"),
        ("region", REGION),
        ("account", "123456789012"),
        ("cluster", "test"),
        ("queue", QUEUE),
        ("node_role", ROLE),
    ] {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    let policy: Value = serde_json::from_str(&text).unwrap();
    policy["Statement"].as_array().unwrap().clone()
}

fn allows_one(statement: &Value, question: &Question) -> bool {
    let texts =
        |of: &Value| of.as_array().unwrap().iter().map(|of| of.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let service = question.action.split(':').next().unwrap();
    // images and snapshots belong to no account, and IAM to no region
    let place = match (service, question.resource.split('/').next().unwrap()) {
        ("iam", _) => ":123456789012".to_owned(),
        (_, "image" | "snapshot") => format!("{REGION}:"),
        _ => format!("{REGION}:123456789012"),
    };
    let arn = format!("arn:aws:{service}:{place}:{}", question.resource);
    texts(&statement["Action"]).contains(&question.action)
        && texts(&statement["Resource"]).iter().any(|pattern| is_like(pattern, &arn))
        && statement["Condition"].as_object().into_iter().flatten().all(|(operator, keys)| {
            keys.as_object().unwrap().iter().all(|(key, wanted)| {
                let wanted = if wanted.is_array() { texts(wanted) } else { vec![wanted.as_str().unwrap().to_owned()] };
                holds(operator, &question.values(key), &wanted)
            })
        })
}

impl Question {
    /// The values of a condition key.
    fn values(&self, key: &str) -> Vec<String> {
        let of = |tags: Option<&Tags>, key: &str| tags.and_then(|tags| tags.get(key)).cloned().into_iter().collect();
        match key.split_once('/') {
            Some(("aws:RequestTag", tag)) => of(Some(&self.request), tag),
            Some(("aws:ResourceTag", tag)) => of(self.resource_tags.as_ref(), tag),
            _ if key == "aws:TagKeys" => self.request.keys().cloned().collect(),
            _ if key == "aws:RequestedRegion" => vec![REGION.to_owned()],
            _ if key == "ec2:CreateAction" => self.making.clone().into_iter().collect(),
            _ => panic!("a condition on {key}, which this judge does not know"),
        }
    }
}

fn holds(operator: &str, found: &[String], wanted: &[String]) -> bool {
    let is_wanted = |value: &String| wanted.contains(value);
    match operator {
        "StringEquals" => found.iter().any(is_wanted),
        "StringLike" => found.iter().any(|value| wanted.iter().any(|pattern| is_like(pattern, value))),
        "StringEqualsIfExists" => found.is_empty() || found.iter().any(is_wanted),
        "ForAllValues:StringEquals" => found.iter().all(is_wanted),
        _ => panic!("the operator {operator}, which this judge does not know"),
    }
}

/// `*` is anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
    Regex::new(&format!("^{}$", parts.join(".*"))).unwrap().is_match(text)
}

/// `PREFIX.N.Key` and `PREFIX.N.Value`.
fn tags(query: &Query, prefix: &str) -> Tags {
    let keys = query.fields.iter().filter_map(|(name, key)| {
        let number = name.strip_prefix(prefix)?.strip_suffix(".Key")?;
        Some((key.clone(), query.field(&format!("{prefix}{number}.Value")).to_owned()))
    });
    keys.collect()
}

/// The tags of a request by the type of what they are for.
fn specified(query: &Query, prefix: &str) -> BTreeMap<String, Tags> {
    let kinds = query.fields.iter().filter_map(|(name, kind)| {
        let number = name.strip_prefix(prefix)?.strip_suffix(".ResourceType")?;
        Some((kind.clone(), tags(query, &format!("{prefix}{number}.Tag."))))
    });
    kinds.collect()
}

/// The values of `PREFIX.N`.
fn numbered<'q>(query: &'q Query, prefix: &str) -> Vec<&'q str> {
    let values = query
        .fields
        .iter()
        .filter(|(name, _)| name.strip_prefix(prefix).is_some_and(|rest| rest.parse::<usize>().is_ok()));
    values.map(|(_, value)| value.as_str()).collect()
}

fn questions(query: &Query, made: &Made) -> Vec<Question> {
    let call = query.call();
    let action = format!("{}:{}", call.service, call.action);
    let on = |resource: &str| Question { action: action.clone(), resource: resource.to_owned(), ..Question::default() };
    let mut found = Vec::new();
    // whatever is made is tagged by the same call
    let mut makes = |specified: BTreeMap<String, Tags>| {
        for (kind, request) in specified {
            let making = Question { request, ..on(&format!("{kind}/new")) };
            let action = "ec2:CreateTags".to_owned();
            found.push(Question { action, making: Some(call.action.clone()), ..making.clone() });
            found.push(making);
        }
    };
    match call.action.as_str() {
        "CreateLaunchTemplate" => makes(specified(query, "TagSpecification.")),
        "CreateFleet" => {
            let of_fleet = specified(query, "TagSpecification.");
            let kinds: BTreeSet<&str> = of_fleet.keys().map(String::as_str).collect();
            assert_eq!(kinds, BTreeSet::from(["fleet", "instance", "volume"]));
            makes(of_fleet);
            let templates = query.fields.iter().filter(|(name, _)| name.ends_with(".LaunchTemplateName"));
            for (_, name) in templates {
                let template = on(&format!("launch-template/{name}"));
                found.push(Question { resource_tags: Some(made.of(name).clone()), ..template });
            }
            found.extend(["image/a", "subnet/s", "security-group/g"].map(on));
        }
        "RunInstances" => {
            let of_run = specified(query, "TagSpecification.");
            let kinds: BTreeSet<&str> = of_run.keys().map(String::as_str).collect();
            assert_eq!(kinds, BTreeSet::from(["instance", "network-interface", "volume"]));
            makes(of_run);
            found.extend(["image/a", "subnet/s", "security-group/g"].map(on));
        }
        "CreateTags" => found.extend(numbered(query, "ResourceId.").into_iter().map(|id| Question {
            request: tags(query, "Tag."),
            resource_tags: Some(made.of(id).clone()),
            ..on(&format!("instance/{id}"))
        })),
        "TerminateInstances" => found.extend(
            numbered(query, "InstanceId.")
                .into_iter()
                .map(|id| Question { resource_tags: Some(made.of(id).clone()), ..on(&format!("instance/{id}")) }),
        ),
        "DeleteLaunchTemplate" => {
            let id = query.field("LaunchTemplateId");
            found.push(Question { resource_tags: Some(made.of(id).clone()), ..on(&format!("launch-template/{id}")) });
        }
        "CreateInstanceProfile" => {
            let making = Question { request: tags(query, "Tags.member."), ..on("instance-profile/new") };
            found.extend([Question { action: "iam:TagInstanceProfile".to_owned(), ..making.clone() }, making]);
        }
        "AddRoleToInstanceProfile" | "RemoveRoleFromInstanceProfile" | "DeleteInstanceProfile" => {
            let name = query.field("InstanceProfileName");
            let profile = on(&format!("instance-profile/{name}"));
            found.push(Question { resource_tags: Some(made.of(name).clone()), ..profile });
        }
        _ => {}
    }
    found
}

impl Made {
    fn of(&self, name: &str) -> &Tags {
        self.0.get(name).unwrap_or_else(|| panic!("{name} was not made by these calls"))
    }

    fn note(&mut self, query: &Query, told: &str) {
        let ids = |pattern: &str| {
            let pattern = Regex::new(pattern).unwrap();
            pattern.captures_iter(told).map(|found| found[1].to_owned()).collect::<Vec<String>>()
        };
        let call = query.call();
        let of = |kind: &str| specified(query, "TagSpecification.").remove(kind).unwrap_or_default();
        match call.action.as_str() {
            "CreateLaunchTemplate" => {
                let name = query.field("LaunchTemplateName").to_owned();
                let all = ids("<launchTemplateId>(lt-[^<]+)").into_iter().chain([name]);
                self.0.extend(all.map(|id| (id, of("launch-template"))));
            }
            "CreateFleet" => {
                self.0.extend(ids("<item>(i-[0-9a-f]+)</item>").into_iter().map(|id| (id, of("instance"))));
            }
            "CreateTags" => {
                for id in numbered(query, "ResourceId.") {
                    self.0.entry(id.to_owned()).or_default().extend(tags(query, "Tag."));
                }
            }
            "CreateInstanceProfile" => {
                self.0.insert(query.field("InstanceProfileName").to_owned(), tags(query, "Tags.member."));
            }
            _ => {}
        }
    }
}
