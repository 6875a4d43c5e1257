//! JSON -> typed objects. What does not fit is said in the words of manifests, and fields that a type does not have are
//! found: the API server drops them silently, `kubectl` refuses them (`--validate=strict`).

mod fields;
mod words;

pub use fields::{FieldPath, nearest_field, nearest_name};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::validate::FieldError;

/// A value of a type, and the fields that the type does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    pub object: T,
    pub unknown: Vec<FieldPath>,
}

/// Reads a value into a type.
///
/// # Errors
/// The first field that does not fit: its path (empty: the value as a whole), what is expected and what was found.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<Read<T>, FieldError> {
    let mut unknown = Vec::new();
    match tracked(value, &mut unknown) {
        Ok(object) => {
            unknown.retain(|path| !path.is_type_meta());
            Ok(Read { object, unknown })
        }
        Err(error) => Err(error_of::<T>(value, &error)),
    }
}

/// The fields that the type does not have, as far as the value can be read.
#[must_use]
pub fn unknown_fields<T: DeserializeOwned>(value: &Value) -> Vec<FieldPath> {
    let mut unknown = Vec::new();
    // what else is wrong is what `read` says
    let _ = tracked::<T>(value, &mut unknown);
    unknown.retain(|path| !path.is_type_meta());
    unknown
}

/// One type of callback for all types: with a closure of each, what Kubernetes' types have in common was compiled twenty times.
fn tracked<T: DeserializeOwned>(value: &Value, unknown: &mut Vec<FieldPath>) -> Result<T, serde_json::Error> {
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(FieldPath::of_ignored(&path));
    let note: &mut dyn FnMut(serde_ignored::Path<'_>) = &mut note;
    serde_ignored::deserialize(value, note)
}

/// The path is tracked only once it is known that there is something to report: tracking costs half the time.
fn error_of<T: DeserializeOwned>(value: &Value, error: &serde_json::Error) -> FieldError {
    match serde_path_to_error::deserialize::<_, T>(value) {
        Ok(_) => FieldError { field: String::new(), message: error.to_string() },
        Err(error) => words::field_error(value, FieldPath::of_error(error.path()), &error.inner().to_string()),
    }
}

#[cfg(test)]
mod tests;
