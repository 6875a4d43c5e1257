//! What a deserializer says, in the words of manifests.

use serde_json::Value;

use super::FieldPath;
use crate::api::validate::FieldError;

/// Longer texts are cut where they are quoted.
const MOST_QUOTED: usize = 60;

/// An error at `path` of `value`, said anew from the deserializer's message.
pub(super) fn field_error(value: &Value, path: FieldPath, message: &str) -> FieldError {
    let found = path.value_in(value);
    let (path, message) = if let Some(field) = quoted(message, "missing field ") {
        (path.join(field), "expected a value, found nothing".to_owned())
    } else if let Some(field) = quoted(message, "duplicate field ") {
        (path.join(field), "is given twice".to_owned())
    } else if let Some((field, known)) = of_several(message, "unknown field ") {
        // of structs that refuse unknown fields, whose path may end with the field
        let path = if path.is_of_field(field) { path } else { path.join(field) };
        (path, format!("unknown field: expected {known}"))
    } else if let Some((variant, known)) = of_several(message, "unknown variant ") {
        (path, format!("expected {known}, found '{variant}'"))
    } else if let Some(expected) = message.starts_with("invalid ").then(|| message.rsplit_once(", expected ")).flatten()
    {
        (path, format!("expected {}, found {}", expectation(expected.1, found), description(found)))
    } else if message.starts_with("data did not match any variant") {
        (path, format!("found {}, which fits none of the forms that this field may have", description(found)))
    } else {
        (path, message.to_owned())
    };
    FieldError { field: path.to_string(), message }
}

/// The name of ``missing field `name` ``.
fn quoted<'m>(message: &'m str, start: &str) -> Option<&'m str> {
    message.strip_prefix(start)?.split('`').nth(1)
}

/// The name of ``unknown variant `name`, expected one of `a`, `b` ``, and what is expected.
fn of_several<'m>(message: &'m str, start: &str) -> Option<(&'m str, String)> {
    let name = quoted(message, start)?;
    let (_, known) = message.rsplit_once(", expected ").or_else(|| message.rsplit_once(", "))?;
    Some((name, known.replace('`', "")))
}

fn expectation(of_serde: &str, found: Option<&Value>) -> String {
    let is_number = found.is_some_and(Value::is_number);
    let plain = match of_serde {
        "i32" | "a 32-bit integer" if found.is_some_and(Value::is_i64) => "a whole number of at most 2147483647",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "a 32-bit integer" | "a 64-bit integer" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number that is not negative",
        "a nonzero u32" | "a nonzero u64" => "a whole number above zero",
        "f32" | "f64" => "a number",
        // YAML reads on, 5 and 1e3 as something else
        "a string" if is_number || found.is_some_and(Value::is_boolean) => "a string in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "unit" => "nothing",
        "Quantity" => "a quantity such as 500m or 2Gi",
        "IntOrString" => "a whole number or a string",
        "Time" | "MicroTime" => "a time such as 2026-01-31T12:00:00Z",
        other if other.starts_with("struct ") || other.starts_with(|c: char| c.is_ascii_uppercase()) => "an object",
        other => other,
    };
    plain.to_owned()
}

fn description(found: Option<&Value>) -> String {
    match found {
        None => "nothing".to_owned(),
        Some(Value::String(text)) if text.chars().count() > MOST_QUOTED => {
            format!("'{}...'", text.chars().take(MOST_QUOTED).collect::<String>())
        }
        Some(Value::String(text)) => format!("'{text}'"),
        Some(Value::Array(_)) => "a list".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
        Some(plain @ (Value::Null | Value::Bool(_) | Value::Number(_))) => plain.to_string(),
    }
}
