//! Paths of fields, and the fields that a type has.

use std::fmt;

use schemars::JsonSchema;
use serde_json::Value;
use serde_path_to_error::Segment;

/// The way from an object to one of its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

impl FieldPath {
    pub(super) fn of_ignored(path: &serde_ignored::Path<'_>) -> Self {
        use serde_ignored::Path;
        let (parent, step) = match path {
            Path::Root => return Self::default(),
            Path::Map { parent, key } => (parent, Some(Step::Field(key.clone()))),
            Path::Seq { parent, index } => (parent, Some(Step::Item(*index))),
            Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => (parent, None),
        };
        let mut steps = Self::of_ignored(parent).0;
        steps.extend(step);
        Self(steps)
    }

    pub(super) fn of_error(path: &serde_path_to_error::Path) -> Self {
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Field(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(steps.collect())
    }

    pub(super) fn join(mut self, field: &str) -> Self {
        self.0.push(Step::Field(field.to_owned()));
        self
    }

    /// Whether it is `apiVersion` or `kind` of the object itself, which kube's types leave to whoever reads them.
    pub(super) fn is_type_meta(&self) -> bool {
        matches!(self.0.as_slice(), [Step::Field(name)] if name == "apiVersion" || name == "kind")
    }

    pub(super) fn is_of_field(&self, field: &str) -> bool {
        self.0.last() == Some(&Step::Field(field.to_owned()))
    }

    /// What stands there.
    pub(super) fn value_in<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Item(index) => value.get(index),
        })
    }

    /// The path of another field of the same object.
    #[must_use]
    pub fn beside(&self, field: &str) -> String {
        let parents = self.0.split_last().map_or(&[][..], |(_, parents)| parents);
        Self(parents.to_vec()).join(field).to_string()
    }

    /// The path without the numbers of items: the same for every item of a list.
    #[must_use]
    pub fn of_any_item(&self) -> String {
        self.write(|_| "[]".to_owned())
    }

    fn write(&self, item: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Step::Field(name) => {
                    text.push_str(if text.is_empty() { "" } else { "." });
                    text.push_str(name);
                }
                Step::Item(index) => text.push_str(&item(*index)),
            }
        }
        text
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(|index| format!("[{index}]")))
    }
}

/// The field of the type that an unknown one was probably meant to be: the nearest name beside it, if it is near.
#[must_use]
pub fn nearest_field<T: JsonSchema>(unknown: &FieldPath) -> Option<String> {
    let (Step::Field(mistyped), parents) = unknown.0.split_last()? else { return None };
    let root = schemars::schema_for!(T).to_value();
    let parent = parents.iter().try_fold(&root, |schema, step| match step {
        Step::Field(name) => property(&root, schema, name),
        Step::Item(_) => variants(&root, schema).into_iter().find_map(|schema| schema.get("items")),
    })?;
    let objects = variants(&root, parent).into_iter().filter_map(|schema| schema.get("properties")?.as_object());
    let names = objects.flat_map(|properties| properties.keys());
    nearest_name(mistyped, names.map(String::as_str)).map(str::to_owned)
}

/// The name that a mistyped one was probably meant to be: the nearest, if it is near.
#[must_use]
pub fn nearest_name<'n>(mistyped: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let near = names.into_iter().filter_map(|name| {
        let distance = strsim::osa_distance(&name.to_lowercase(), &mistyped.to_lowercase());
        // one slip of the keyboard for each four letters
        (distance <= 1 + mistyped.chars().count() / 4).then_some((distance, name))
    });
    near.min().map(|(_, name)| name)
}

fn property<'s>(root: &'s Value, schema: &'s Value, name: &str) -> Option<&'s Value> {
    let variants = variants(root, schema);
    let named = variants.iter().find_map(|schema| schema.get("properties")?.get(name));
    named.or_else(|| variants.iter().find_map(|schema| schema.get("additionalProperties")))
}

/// A schema and those that it refers to or joins.
fn variants<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let mut found = vec![schema];
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| root.pointer(target.strip_prefix('#')?));
    found.extend(target.into_iter().flat_map(|target| variants(root, target)));
    for key in ["allOf", "anyOf", "oneOf"] {
        let joined = schema.get(key).and_then(Value::as_array).into_iter().flatten();
        found.extend(joined.flat_map(|schema| variants(root, schema)));
    }
    found
}
