//! One raw object -> its table, or what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::written::Written;
use super::{ObjectKey, Sourced, Table, object_name};
use crate::api::reading::{self, FieldPath, nearest_field};
use crate::observe::admission;
use crate::observe::input::{FieldError, InputError, Origin};
use crate::observe::read::RawObject;

/// A kind that is read, in its one version.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub name: &'static str,
    pub group: &'static str,
    pub version: &'static str,
    pub scope: Scope,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Namespaced,
    Cluster,
}

/// What was found while objects were added.
#[derive(Default)]
pub(super) struct Findings {
    pub errors: Vec<InputError>,
    pub unusable: BTreeMap<(&'static str, ObjectKey), String>,
    repeated: Vec<String>,
    /// Kind, namespace and prefix of generated names: the number of the last one.
    generated: BTreeMap<(&'static str, Arc<str>, String), usize>,
    /// Kind and field that objects of a cluster have and our types do not: in how many objects.
    newer: BTreeMap<(&'static str, String), usize>,
}

impl Findings {
    /// One sentence each.
    pub fn notes(&self) -> Vec<String> {
        let newer = self.newer.iter().map(|((kind, field), count)| {
            let objects = if *count == 1 { "object" } else { "objects" };
            format!("{kind}: the field {field} is not known here and was ignored in {count} {objects} of the cluster")
        });
        self.repeated.iter().cloned().chain(newer).collect()
    }

    /// Returns the paths of the fields that were probably meant.
    fn refuse_unknown<T: JsonSchema>(
        &mut self,
        kind: Kind,
        key: &ObjectKey,
        origin: &Origin,
        unknown: &[FieldPath],
    ) -> BTreeSet<String> {
        let mut meant = BTreeSet::new();
        for field in unknown {
            let near = nearest_field::<T>(field);
            let message = match &near {
                Some(near) => format!("unknown field; did you mean {near}?"),
                None => format!("unknown field: {} has none of this name", kind.name),
            };
            self.refuse(kind, key, origin, &field.to_string(), message);
            meant.extend(near.map(|near| field.beside(&near)));
        }
        meant
    }

    fn refuse(&mut self, kind: Kind, key: &ObjectKey, origin: &Origin, field: &str, message: String) {
        let reason = if field.is_empty() { message.clone() } else { format!("{field}: {message}") };
        self.unusable.entry((kind.name, key.clone())).or_insert(reason);
        self.errors.push(InputError {
            origin: origin.clone(),
            object: Some(object_name(kind.name, key)),
            field: Some(field.to_owned()).filter(|field| !field.is_empty()),
            message,
        });
    }
}

/// Reads an object into its table. A hand-written object with a field that its kind does not have is refused, as kubectl
/// does, and so is one that breaks a rule of an API server; an object of a cluster has passed its API server, which may be newer
/// than our types, and is used without the field.
pub(super) fn insert<T: DeserializeOwned + JsonSchema>(
    table: &mut Table<T>,
    raw: RawObject,
    written: &Written,
    kind: Kind,
    rules: impl Fn(&T) -> Vec<FieldError>,
    findings: &mut Findings,
) {
    let RawObject { origin, value } = raw;
    let Some(key) = key(table, &value, kind, findings) else {
        let field = Some("metadata.name".to_owned());
        let message = "expected a name, found nothing".to_owned();
        return findings.errors.push(InputError { origin, object: Some(kind.name.to_owned()), field, message });
    };
    if let Some(message) = wrong_version(written, kind) {
        return findings.refuse(kind, &key, &origin, "apiVersion", message);
    }
    let read = match reading::read::<T>(&value) {
        Ok(read) => read,
        Err(error) => {
            // a field that is missing may be there under a mistyped name
            let unknown = if is_of_cluster(&value) { Vec::new() } else { reading::unknown_fields::<T>(&value) };
            let renamed = findings.refuse_unknown::<T>(kind, &key, &origin, &unknown);
            if !renamed.contains(&error.field) {
                findings.refuse(kind, &key, &origin, &error.field, error.message);
            }
            return;
        }
    };
    if !read.unknown.is_empty() {
        if is_of_cluster(&value) {
            let mut fields: Vec<String> = read.unknown.iter().map(FieldPath::of_any_item).collect();
            fields.sort();
            fields.dedup();
            for field in fields {
                *findings.newer.entry((kind.name, field)).or_default() += 1;
            }
        } else {
            findings.refuse_unknown::<T>(kind, &key, &origin, &read.unknown);
            return;
        }
    }
    let broken = if is_of_cluster(&value) { Vec::new() } else { broken_rules(&value, kind, &key, rules(&read.object)) };
    if !broken.is_empty() {
        for FieldError { path, message } in broken {
            findings.refuse(kind, &key, &origin, &path, message);
        }
        return;
    }
    findings.unusable.remove(&(kind.name, key.clone()));
    let again = origin.clone();
    if let Some(first) = table.insert(key.clone(), Sourced { origin, object: Arc::new(read.object) }) {
        let (name, first) = (object_name(kind.name, &key), first.origin);
        findings.repeated.push(format!("{name} was given more than once: {first} and {again}; the last one is used"));
    }
}

fn key<T>(table: &Table<T>, value: &Value, kind: Kind, findings: &mut Findings) -> Option<ObjectKey> {
    let metadata = |field: &str| {
        let found = value.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
        found.filter(|text| !text.is_empty())
    };
    let namespace: Arc<str> = Arc::from(match kind.scope {
        Scope::Namespaced => metadata("namespace").unwrap_or("default"),
        Scope::Cluster => "",
    });
    let named = |name: String| ObjectKey { namespace: namespace.clone(), name: Arc::from(name) };
    if let Some(name) = metadata("name") {
        return Some(named(name.to_owned()));
    }
    let prefix = metadata("generateName")?;
    let last = findings.generated.entry((kind.name, namespace.clone(), prefix.to_owned())).or_default();
    // one more name than there are objects is enough to find a free one
    for _ in 0..=table.len() {
        *last += 1;
        let key = named(format!("{prefix}{last}"));
        if !table.contains_key(&key) {
            return Some(key);
        }
    }
    None
}

/// What is wrong with the names and labels of an object, joined by what its kind's rules say.
fn broken_rules(value: &Value, kind: Kind, key: &ObjectKey, of_kind: Vec<FieldError>) -> Vec<FieldError> {
    let is_named = value.pointer("/metadata/name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    let field = if is_named { "metadata.name" } else { "metadata.generateName" };
    let name = admission::name(kind.name, &key.name).map(|message| FieldError::new(field, message));
    let namespace = Some(&key.namespace).filter(|_| kind.scope == Scope::Namespaced);
    let namespace = namespace.and_then(|namespace| admission::namespace(namespace));
    let namespace = namespace.map(|message| FieldError::new("metadata.namespace", message));
    let labels = admission::labels(value.pointer("/metadata/labels"));
    namespace.into_iter().chain(name).chain(labels).chain(of_kind).collect()
}

fn wrong_version(written: &Written, kind: Kind) -> Option<String> {
    let Kind { group, version, .. } = kind;
    let expected = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    if written.api_version == expected {
        return None;
    }
    let found = &written.api_version;
    let converted = group.starts_with("karpenter.") && found.ends_with("/v1beta1");
    let advice = if converted { ": the object must be converted to v1" } else { "" };
    Some(format!("expected {expected}, found '{found}'{advice}"))
}

/// Whether an API server has taken the object: it gives these fields to everything.
fn is_of_cluster(value: &Value) -> bool {
    let has = |field: &str| value.pointer(field).is_some_and(|found| !found.is_null());
    ["/metadata/uid", "/metadata/resourceVersion", "/metadata/managedFields"].into_iter().any(has)
}
