//! What a reading lacks, as an object that is kept beside what was read: who plans on that later is told the same.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::input::{InputError, Origin};
use super::read::RawObject;

const API_VERSION: &str = "packwright.dev/v1alpha1";
const KIND: &str = "NotRead";

/// Why objects of a kind cannot be read that a cluster has not got.
pub const UNKNOWN_KIND: &str = "the cluster does not know the kind";

/// What could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NotRead {
    /// What a decision needs.
    pub errors: Vec<Lack>,
    /// Kinds that a decision can do without.
    pub others: Vec<Lack>,
    /// Such kinds that may not be listed.
    pub forbidden: Vec<String>,
}

/// One kind or file.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Lack {
    /// The cluster or the file.
    pub source: String,
    /// Empty for a file.
    pub kind: String,
    /// Empty where it must not be told.
    pub reason: String,
}

/// As objects have it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: String,
    spec: NotRead,
}

impl NotRead {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Files and documents.
    #[must_use]
    pub fn of_files(errors: &[InputError]) -> Self {
        let lack = |error: &InputError| {
            let source = error.origin.to_string();
            let text = error.to_string();
            let reason = text.strip_prefix(&format!("{source}: ")).unwrap_or(&text).to_owned();
            Lack { source, kind: String::new(), reason }
        };
        Self { errors: errors.iter().map(lack).collect(), ..Self::default() }
    }

    /// Adds what another reading lacks.
    pub fn extend(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.others.extend(other.others);
        self.forbidden.extend(other.forbidden);
    }

    #[must_use]
    pub fn errors(&self) -> Vec<InputError> {
        let error = |Lack { source, kind, reason }: &Lack| InputError {
            origin: Origin { file: Arc::from(source.as_str()), ..Origin::default() },
            object: None,
            field: None,
            message: match kind.as_str() {
                "" => reason.clone(),
                kind => because(format!("{kind} objects could not be read"), reason),
            },
        };
        self.errors.iter().map(error).collect()
    }

    /// One sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let note = |lack: &Lack| because(format!("{} objects of the cluster are not known", lack.kind), &lack.reason);
        let mut notes: Vec<String> = self.others.iter().map(note).collect();
        if !self.forbidden.is_empty() {
            let kinds = self.forbidden.join(", ");
            notes.push(format!("what may not be listed in the cluster is not known: {kinds} ({RIGHTS})"));
        }
        notes
    }

    /// Without the names of clusters, files and users.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        let nameless = |lack: &Lack| match lack.kind.as_str() {
            "" => Lack {
                source: "a file".to_owned(),
                reason: "something in it could not be read".to_owned(),
                ..Lack::default()
            },
            kind => Lack { source: "the cluster".to_owned(), kind: kind.to_owned(), reason: String::new() },
        };
        Self {
            errors: self.errors.iter().map(nameless).collect(),
            others: self.others.iter().map(nameless).collect(),
            forbidden: self.forbidden.clone(),
        }
    }

    /// As an object.
    ///
    /// # Errors
    /// None that can be made to happen: there are only texts in it.
    pub fn to_object(&self) -> serde_json::Result<Value> {
        serde_json::to_value(Object { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), spec: self.clone() })
    }

    /// Takes such objects out of what was read; one that is no longer what it was is an error.
    #[must_use]
    pub fn take(objects: &mut Vec<RawObject>) -> (Self, Vec<InputError>) {
        let (mut all, mut errors) = (Self::default(), Vec::new());
        let is_ours =
            |object: &mut RawObject| object.value["kind"] == KIND && object.value["apiVersion"] == API_VERSION;
        for RawObject { origin, value } in objects.extract_if(.., is_ours) {
            match serde_json::from_value::<Object>(value) {
                Ok(object) => all.extend(object.spec),
                Err(error) => {
                    let (object, message) = (Some(KIND.to_owned()), error.to_string());
                    errors.push(InputError { origin, object, field: None, message });
                }
            }
        }
        (all, errors)
    }
}

/// Where the rights to read everything are written down.
pub const RIGHTS: &str = "examples/reader.yaml has the rights";

fn because(what: String, reason: &str) -> String {
    if reason.is_empty() { what } else { format!("{what}: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking() -> NotRead {
        let lack = |source: &str, kind: &str, reason: &str| Lack {
            source: source.to_owned(),
            kind: kind.to_owned(),
            reason: reason.to_owned(),
        };
        NotRead {
            errors: vec![
                lack("context acme", "Node", "nodes is forbidden to bob"),
                lack("acme.yaml", "", "not valid YAML"),
            ],
            others: vec![lack("context acme", "Job", "the server is busy")],
            forbidden: vec!["StorageClass".to_owned()],
        }
    }

    fn raw(value: Value) -> RawObject {
        RawObject { origin: Origin { file: Arc::from("saved/not-read.json"), ..Origin::default() }, value }
    }

    #[test]
    fn what_is_kept_says_the_same_later() {
        let lacking = lacking();
        let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod"});
        let mut objects = vec![raw(lacking.to_object().unwrap()), raw(pod)];
        let (read, errors) = NotRead::take(&mut objects);
        assert_eq!((&read, errors, objects.len()), (&lacking, Vec::new(), 1));
        let errors: Vec<String> = read.errors().iter().map(ToString::to_string).collect();
        let expected =
            ["context acme: Node objects could not be read: nodes is forbidden to bob", "acme.yaml: not valid YAML"];
        assert_eq!(errors, expected);
        let expected = [
            "Job objects of the cluster are not known: the server is busy",
            "what may not be listed in the cluster is not known: StorageClass (examples/reader.yaml has the rights)",
        ];
        assert_eq!(read.notes(), expected);
        assert_eq!(NotRead::of_files(&read.errors()[1..]).errors, lacking.errors[1..]);
    }

    #[test]
    fn an_edited_one_is_an_error() {
        let mut value = lacking().to_object().unwrap();
        value["spec"]["eror"] = Value::Null;
        let mut objects = vec![raw(value)];
        let (read, errors) = NotRead::take(&mut objects);
        assert!(read.is_empty() && objects.is_empty());
        assert!(
            errors[0].to_string().starts_with("saved/not-read.json: NotRead: unknown field `eror`"),
            "{}",
            errors[0]
        );
    }

    #[test]
    fn without_names_it_says_the_kinds() {
        let said = lacking().anonymous();
        let texts: Vec<String> = said.errors().iter().map(ToString::to_string).chain(said.notes()).collect();
        let all = texts.join("\n");
        assert!(!all.contains("acme") && !all.contains("bob"), "{all}");
        assert!(all.starts_with("the cluster: Node objects could not be read\n"), "{all}");
        assert!(all.contains("StorageClass"), "{all}");
    }
}
