//! What the API server would say of an object: its CRD's schema with defaults, and its CEL rules.

use std::fmt;
use std::sync::LazyLock;

use kube_cel::{ErrorKind, ValidationError, Validator, apply_defaults};
use packwright::api::crds::crds;
use regex::Regex;
use serde_json::Value;

/// A refusal: of the schema, or of a CEL rule, which is then named.
pub struct Refusal {
    pub rule: Option<String>,
    pub message: String,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

pub fn schema(kind: &str) -> Value {
    static CRDS: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(crds()).unwrap());
    let crd = CRDS.as_array().unwrap().iter().find(|crd| crd["spec"]["names"]["kind"] == kind).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The object with the schema's defaults, also those within a default.
pub fn defaulted(kind: &str, object: &Value) -> Value {
    let schema = schema(kind);
    apply_defaults(&schema, &apply_defaults(&schema, object))
}

/// Refusals of an object that is created, or that replaces `old`.
pub fn refusals(kind: &str, object: &Value, old: Option<&Value>) -> Vec<Refusal> {
    let schema = schema(kind);
    let object = defaulted(kind, object);
    let old = old.map(|old| defaulted(kind, old));
    let mut refusals = Vec::new();
    check(&schema, &object, kind, &mut refusals);
    // the API server evaluates rules only where the schema holds
    if refusals.is_empty() {
        let errors = Validator::new().validate(&schema, &object, old.as_ref()).err();
        for error in errors.into_iter().flat_map(kube_cel::ValidationErrors::into_vec) {
            let ValidationError { rule, message, field_path, kind, .. } = error;
            assert_eq!(kind, ErrorKind::ValidationFailure, "{field_path}: {rule}: {message}");
            refusals.push(Refusal { rule: Some(rule), message: format!("{field_path}: {message}") });
        }
    }
    refusals
}

/// The part of OpenAPI that our schemas use; any other keyword is a test failure.
fn check(schema: &Value, value: &Value, path: &str, refusals: &mut Vec<Refusal>) {
    let mut refuse = |message: String| refusals.push(Refusal { rule: None, message: format!("{path}: {message}") });
    let size = || match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        Value::String(text) => text.chars().count(),
        _ => 0,
    };
    for (keyword, expected) in schema.as_object().unwrap() {
        let number = || expected.as_f64().unwrap();
        #[allow(clippy::cast_precision_loss)] // small
        let size = size() as f64;
        let holds = match keyword.as_str() {
            "type" => is_of_type(value, expected.as_str().unwrap()),
            "anyOf" => expected.as_array().unwrap().iter().any(|s| is_of_type(value, s["type"].as_str().unwrap())),
            "enum" => expected.as_array().unwrap().contains(value),
            "pattern" => {
                value.as_str().is_none_or(|text| Regex::new(expected.as_str().unwrap()).unwrap().is_match(text))
            }
            "minimum" => value.as_f64().is_none_or(|n| n >= number()),
            "maximum" => value.as_f64().is_none_or(|n| n <= number()),
            "minLength" | "minItems" => size >= number(),
            "maxLength" | "maxItems" | "maxProperties" => size <= number(),
            "required" => expected.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "x-kubernetes-list-type" if expected == "set" => {
                let items = value.as_array().unwrap();
                (0..items.len()).all(|i| !items[..i].contains(&items[i]))
            }
            "properties" | "additionalProperties" | "items" | "default" | "description" | "format" => true,
            extension => {
                assert!(extension.starts_with("x-kubernetes-"), "{path}: keyword {extension}");
                true
            }
        };
        if !holds {
            refuse(format!("{value} breaks {keyword} {expected}"));
        }
    }
    if let Some(fields) = value.as_object() {
        for (name, field) in fields {
            let schema = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
            if let Some(schema) = schema {
                check(schema, field, &format!("{path}.{name}"), refusals);
            }
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        for (i, item) in items.iter().enumerate() {
            check(schema, item, &format!("{path}[{i}]"), refusals);
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("no field of ours is a {other}"),
    }
}

/// Every CEL rule of a kind's schema.
pub fn rules(kind: &str) -> Vec<String> {
    validations(kind).into_iter().map(|(rule, _)| rule).collect()
}

/// What the API server says of an object that breaks a rule: one for each place that has the rule.
pub fn messages(kind: &str, rule: &str) -> Vec<String> {
    validations(kind).into_iter().filter(|(of, _)| of == rule).map(|(_, message)| message).collect()
}

/// Every CEL rule of a kind's schema, with its message.
fn validations(kind: &str) -> Vec<(String, String)> {
    fn walk(value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Object(fields) => {
                for of in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                    let text = |name: &str| of[name].as_str().unwrap().to_owned();
                    found.push((text("rule"), text("message")));
                }
                fields.values().for_each(|field| walk(field, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&schema(kind), &mut found);
    found
}
