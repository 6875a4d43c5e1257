//! Labels and what selects them: keys are qualified names, values are short words.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::names;
use crate::observe::input::FieldError;

const WORD: &str = "letters, digits, '-', '_' and '.', that start and end with a letter or digit";
const MOST_OF_WORD: usize = 63;

/// What is wrong with labels at `path`, or with what asks for labels like those.
pub(super) fn faults<'l>(path: &str, labels: impl IntoIterator<Item = (&'l String, &'l String)>) -> Vec<FieldError> {
    let fault = |(key, value): (&String, &String)| {
        let of_key = of_key(key).map(|message| FieldError::new(path, message));
        of_key.or_else(|| of_value(value).map(|message| FieldError::new(format!("{path}.{key}"), message)))
    };
    labels.into_iter().filter_map(fault).collect()
}

/// What is wrong with the keys and values of a selector at `path`.
pub(super) fn of_selector(path: &str, selector: &LabelSelector) -> Vec<FieldError> {
    let mut found = faults(&format!("{path}.matchLabels"), selector.match_labels.iter().flatten());
    for (i, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let field = format!("{path}.matchExpressions[{i}]");
        found.extend(of_key(&expression.key).map(|message| FieldError::new(format!("{field}.key"), message)));
        let values = expression.values.iter().flatten().enumerate();
        found.extend(values.filter_map(|(n, value)| {
            of_value(value).map(|message| FieldError::new(format!("{field}.values[{n}]"), message))
        }));
    }
    found
}

/// The labels of an object as it was written.
pub(super) fn of_object(labels: Option<&serde_json::Value>) -> BTreeMap<String, String> {
    let written = labels.and_then(serde_json::Value::as_object).into_iter().flatten();
    written.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn of_key(key: &str) -> Option<String> {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    let fits = is_word(name) && domain.is_none_or(|domain| names::subdomain_of_label(domain).is_none());
    (!fits).then(|| {
        format!("expected a key of at most {MOST_OF_WORD} {WORD}, perhaps after a DNS name and '/', found '{key}'")
    })
}

fn of_value(value: &str) -> Option<String> {
    let fits = value.is_empty() || is_word(value);
    (!fits).then(|| format!("expected at most {MOST_OF_WORD} {WORD}, found '{value}'"))
}

fn is_word(text: &str) -> bool {
    let text = text.as_bytes();
    text.len() <= MOST_OF_WORD
        && text.iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
        && text.first().is_some_and(u8::is_ascii_alphanumeric)
        && text.last().is_some_and(u8::is_ascii_alphanumeric)
}
