//! Files, directories and stdin -> raw objects, without looking into them beyond `List`s.

mod yaml;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::input::{InputError, Origin, Place};

/// One Kubernetes object as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct RawObject {
    pub origin: Origin,
    pub value: Value,
}

/// Reads every path in order: `-` is stdin; a directory stands for the `.yaml`, `.yml` and `.json` files in it and in
/// its subdirectories, sorted by name. What cannot be read becomes an error, as does a path without any document, and
/// the rest is read.
#[must_use]
pub fn read_paths(paths: &[PathBuf]) -> (Vec<RawObject>, Vec<InputError>) {
    let mut objects = Vec::new();
    let mut errors = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let found = match io::stdin().lock().read_to_string(&mut text) {
                Ok(_) => Found { files: 1, documents: read_text("-", &text, &mut objects, &mut errors) },
                Err(error) => Found::unreadable("-", &error, &mut errors),
            };
            errors.extend(found.nothing("-"));
        } else {
            let found = read_path(path, &mut objects, &mut errors);
            errors.extend(found.nothing(&path.display().to_string()));
        }
    }
    (objects, errors)
}

/// What stands below a path, whether or not it can be used.
#[derive(Default)]
struct Found {
    files: usize,
    documents: usize,
}

impl Found {
    /// Something is there, and it is an error of its own.
    fn unreadable(file: &str, error: &io::Error, errors: &mut Vec<InputError>) -> Self {
        errors.push(of_file(file, format!("failed to read: {error}")));
        Self { files: 1, documents: 1 }
    }

    /// The error of a path that holds nothing: a mistyped path or a command that failed is likelier than an empty cluster.
    fn nothing(&self, path: &str) -> Option<InputError> {
        match self {
            Self { files: 0, .. } => Some(of_file(path, "no .yaml, .yml or .json file".to_owned())),
            Self { documents: 0, .. } => Some(of_file(path, "no Kubernetes objects found".to_owned())),
            _ => None,
        }
    }
}

fn read_path(path: &Path, objects: &mut Vec<RawObject>, errors: &mut Vec<InputError>) -> Found {
    let name = path.display().to_string();
    let outcome = if path.is_dir() {
        manifests_below(path).map(|files| {
            let mut all = Found::default();
            for file in files {
                let found = read_path(&file, objects, errors);
                all.files += found.files;
                all.documents += found.documents;
            }
            all
        })
    } else {
        fs::read_to_string(path).map(|text| Found { files: 1, documents: read_text(&name, &text, objects, errors) })
    };
    outcome.unwrap_or_else(|error| Found::unreadable(&name, &error, errors))
}

fn manifests_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.retain(|path| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        // a link to a directory may lead back here
        !hidden && (manifest || (path.is_dir() && !path.is_symlink()))
    });
    entries.sort();
    Ok(entries)
}

fn of_file(file: &str, message: String) -> InputError {
    InputError { origin: Origin { file: Arc::from(file), ..Origin::default() }, object: None, field: None, message }
}

/// A text that is neither YAML nor JSON.
#[derive(Debug, PartialEq)]
struct SyntaxFault {
    place: Option<Place>,
    message: String,
}

/// Reads one text, YAML or JSON; `file` is the name that errors give. Returns the number of documents, readable or not.
pub fn read_text(file: &str, text: &str, objects: &mut Vec<RawObject>, errors: &mut Vec<InputError>) -> usize {
    let file: Arc<str> = Arc::from(file);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = match json_documents(text) {
        Some(Ok(values)) => values.into_iter().map(Ok).collect(),
        Some(Err(fault)) if file.ends_with(".json") => vec![Err(fault)],
        Some(Err(_)) | None => yaml::documents(text),
    };
    let count = documents.len();
    let several = count > 1;
    for (document, number) in documents.into_iter().zip(1..) {
        let document_number = several.then_some(number);
        let origin = Origin { file: file.clone(), document: document_number, ..Origin::default() };
        match document {
            Ok(value) => flatten(origin, value, objects, errors),
            Err(SyntaxFault { place, message }) => {
                errors.push(InputError { origin: Origin { place, ..origin }, object: None, field: None, message });
            }
        }
    }
    count
}

/// The documents of a stream of JSON values, or where the text is none (it may still be YAML); `None` where it does not
/// begin like one.
fn json_documents(text: &str) -> Option<Result<Vec<Value>, SyntaxFault>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let documents: Result<_, serde_json::Error> = serde_json::Deserializer::from_str(text).into_iter().collect();
    Some(documents.map_err(|error| {
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or_default();
        let number = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        let place = Place { line: number(error.line()), column: number(error.column()) };
        SyntaxFault { place: Some(place), message: format!("not valid JSON: {reason}") }
    }))
}

/// Replaces a `List` (of any kind) or a plain array by its items; the items of a typed list inherit its kind.
fn flatten(origin: Origin, value: Value, objects: &mut Vec<RawObject>, errors: &mut Vec<InputError>) {
    let (items, api_version, kind) = match value {
        Value::Array(items) => (items, None, None),
        Value::Object(mut map) => {
            let kind = map.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
            let Some(kind) = kind.map(str::to_owned) else {
                objects.push(RawObject { origin, value: Value::Object(map) });
                return;
            };
            match map.remove("items") {
                Some(Value::Array(items)) => (items, map.remove("apiVersion"), Some(kind).filter(|k| !k.is_empty())),
                Some(Value::Null) => return,
                found => {
                    let found = found.as_ref().map_or("nothing", describe);
                    let (field, message) = (Some("items".to_owned()), format!("expected an array, found {found}"));
                    errors.push(InputError { origin, object: Some(format!("{kind}List")), field, message });
                    return;
                }
            }
        }
        other => {
            let found = describe(&other);
            let message = format!("not a Kubernetes object (a mapping with apiVersion and kind): found {found}");
            errors.push(InputError { origin, object: None, field: None, message });
            return;
        }
    };
    for (mut item, number) in items.into_iter().zip(1..) {
        let origin = Origin { item: Some(number), ..origin.clone() };
        if let (Value::Object(map), Some(api_version), Some(kind)) = (&mut item, &api_version, &kind) {
            map.entry("apiVersion").or_insert_with(|| api_version.clone());
            map.entry("kind").or_insert_with(|| Value::String(kind.clone()));
        }
        flatten(origin, item, objects, errors);
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<RawObject>, Vec<String>) {
        let (mut objects, mut errors) = (Vec::new(), Vec::new());
        read_text("in.yaml", text, &mut objects, &mut errors);
        (objects, errors.iter().map(ToString::to_string).collect())
    }

    fn kinds(text: &str) -> Vec<String> {
        let (objects, errors) = read(text);
        assert_eq!(errors, Vec::<String>::new());
        objects.iter().map(|o| format!("{} {}", o.value["kind"].as_str().unwrap_or("?"), o.origin)).collect()
    }

    #[test]
    fn reads_streams_lists_and_json() {
        assert_eq!(kinds("kind: A"), ["A in.yaml"]);
        assert_eq!(
            kinds("# c\n---\nkind: A\n---\n# nothing\n---\nkind: B\n...\n"),
            ["A in.yaml, document 1", "B in.yaml, document 2"]
        );
        assert_eq!(kinds("kind: List\nitems:\n- kind: A\n- kind: B\n"), ["A in.yaml, item 1", "B in.yaml, item 2"]);
        assert_eq!(kinds(r#"{"kind":"A"} {"kind":"B"}"#), ["A in.yaml, document 1", "B in.yaml, document 2"]);
        assert_eq!(kinds(r#"[{"kind":"A"}]"#), ["A in.yaml, item 1"]);
        assert_eq!(kinds("{kind: A}"), ["A in.yaml"]);
        assert_eq!(kinds("--- {kind: A}\n--- {kind: B}"), ["A in.yaml, document 1", "B in.yaml, document 2"]);
        assert_eq!(kinds(""), Vec::<String>::new());
        assert_eq!(kinds("kind: List\nitems: null"), Vec::<String>::new());
    }

    #[test]
    fn items_of_a_typed_list_inherit_its_kind() {
        let (objects, _) = read(r#"{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"a"}}]}"#);
        assert_eq!(objects[0].value["kind"], "Pod");
        assert_eq!(objects[0].value["apiVersion"], "v1");
    }

    #[test]
    fn anchors_and_merge_keys_are_expanded() {
        let (objects, errors) = read("kind: A\nx: &x {k: v}\ny: *x\nz:\n  <<: *x\n  l: w\n");
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(objects[0].value["y"]["k"], "v");
        assert_eq!(objects[0].value["z"], serde_json::json!({"k": "v", "l": "w"}));
    }

    #[test]
    fn a_syntax_error_costs_one_document() {
        let (objects, errors) = read("kind: A\n---\nkind: B\n  bad: [\n---\nkind: C\n---\njust text\n");
        assert_eq!(objects.len(), 2);
        assert_eq!(errors.len(), 2);
        assert!(errors[0].starts_with("in.yaml:4:6: not valid YAML: "), "{}", errors[0]);
        assert!(!errors[0].contains("line"), "one place is enough: {}", errors[0]);
        assert_eq!(
            errors[1],
            "in.yaml, document 4: not a Kubernetes object (a mapping with apiVersion and kind): found a string"
        );
    }

    #[test]
    fn a_file_of_json_is_called_json() {
        let (mut objects, mut errors) = (Vec::new(), Vec::new());
        read_text("in.json", "{\"kind\": \"A\",\n \"b\" 1}", &mut objects, &mut errors);
        assert_eq!(errors[0].to_string(), "in.json:2:6: not valid JSON: expected `:`");
        assert_eq!((objects.len(), errors.len()), (0, 1));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let (_, errors) = read(&format!("a: {}", "[".repeat(100_000)));
        assert_eq!(errors.len(), 1);
    }
}
