//! Objects without names: what somebody called something becomes a hash, and what decides where pods fit stays.
//!
//! A string is replaced unless it stands where only words of Kubernetes, quantities, numbers or times stand, so that a field that
//! is not thought of here gives nothing away. Equal words become equal hashes, so that references, selectors and the parts
//! of composed names (`data-web-0` is the claim of `web-0`) still match.

mod kept;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use kept::{
    is_kept_field, is_number, is_plain, is_resource, is_time, is_whole_id, is_word_of_kubernetes, keeps_key,
    keeps_value, kind_of_id, named_after,
};

/// Letters of a hash of one part of a name, and of a whole text.
const PART: usize = 7;
const WHOLE: usize = 16;
/// The length of a label's value.
const LONGEST: usize = 63;

/// Maps of labels, and the like: `selector` is one of a Service or a ReplicationController.
const LABELS: [&str; 6] = ["annotations", "labels", "matchLabels", "nodeSelector", "selector", "tags"];
/// Fields of a selector of labels, which is no map of them.
const OF_SELECTORS: [&str; 2] = ["matchLabels", "matchExpressions"];
/// Operators that compare numbers.
const COMPARISONS: [&str; 4] = ["Gt", "Lt", "Gte", "Lte"];
/// Maps of quantities by resource.
const RESOURCES: [&str; 16] = [
    "allocatable",
    "allocatedResources",
    "capacity",
    "default",
    "defaultRequest",
    "evictionHard",
    "evictionSoft",
    "kubeReserved",
    "limits",
    "max",
    "maxLimitRequestRatio",
    "min",
    "overhead",
    "podFixed",
    "requests",
    "systemReserved",
];
/// Names of labels.
const LABEL_KEYS: [&str; 3] = ["matchLabelKeys", "mismatchLabelKeys", "topologyKey"];

/// Replaces names by hashes. With the same salt, the same name is the same hash.
#[derive(Debug, Clone)]
pub struct Anonymizer {
    salt: Vec<u8>,
    /// Labels whose values are compared as numbers, which stay.
    compared: BTreeSet<String>,
}

impl Anonymizer {
    #[must_use]
    pub fn new(salt: &[u8]) -> Self {
        Self { salt: salt.to_vec(), compared: BTreeSet::new() }
    }

    /// Keeps the numbers of labels that requirements of these objects compare.
    #[must_use]
    pub fn comparing<'o>(mut self, objects: impl IntoIterator<Item = &'o Value>) -> Self {
        for object in objects {
            add_compared(object, &mut self.compared);
        }
        self
    }

    /// The object without names.
    #[must_use]
    pub fn object(&self, object: &Value) -> Value {
        self.field("", object)
    }

    fn field(&self, field: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => Value::Object(self.fields(field, fields)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.field(field, item)).collect()),
            Value::String(text) if LABEL_KEYS.contains(&field) => Value::String(self.key(text)),
            Value::String(text) if field == "ownerID" && !text.is_empty() => Value::String(self.account(text)),
            Value::String(text) if field == "id" => Value::String(self.id(text).unwrap_or_else(|| self.text(text))),
            Value::String(text) if !is_kept_field(field) => Value::String(self.text(text)),
            kept => kept.clone(),
        }
    }

    fn fields(&self, field: &str, fields: &Map<String, Value>) -> Map<String, Value> {
        let is_flat = fields.values().all(|value| !value.is_object() && !value.is_array());
        if field == "tags" && is_flat {
            return fields.iter().map(|(key, value)| (self.key(key), self.of_tag(value))).collect();
        }
        if LABELS.contains(&field) && is_flat && !fields.keys().any(|key| OF_SELECTORS.contains(&key.as_str())) {
            return fields.iter().map(|(key, value)| (self.key(key), self.of_key(key, value))).collect();
        }
        if RESOURCES.contains(&field) && is_flat {
            let named = |name: &String| if is_resource(name) { name.clone() } else { self.key(name) };
            return fields.iter().map(|(name, amount)| (named(name), amount.clone())).collect();
        }
        // a requirement, a taint or a toleration
        if let Some(Value::String(key)) = fields.get("key") {
            let of_field = |(name, value): (&String, &Value)| {
                let value = match name.as_str() {
                    "key" => Value::String(self.key(key)),
                    "value" | "values" => self.of_key(key, value),
                    _ => self.field(name, value),
                };
                (name.clone(), value)
            };
            return fields.iter().map(of_field).collect();
        }
        fields.iter().map(|(name, value)| (name.clone(), self.field(name, value))).collect()
    }

    /// The name of a label, taint, tag or resource: of `kubernetes.io/cluster/NAME` only the name goes.
    fn key(&self, key: &str) -> String {
        match named_after(key) {
            Some((public, name)) => format!("{public}{}", self.text(name)),
            None if key.is_empty() || keeps_key(key) => key.to_owned(),
            None => self.hash(key, WHOLE),
        }
    }

    /// The value or values of a label.
    fn of_key(&self, key: &str, value: &Value) -> Value {
        match value {
            Value::Array(values) => Value::Array(values.iter().map(|value| self.of_key(key, value)).collect()),
            Value::String(_) if keeps_value(key) => value.clone(),
            Value::String(text) if self.compared.contains(key) && text.parse::<i64>().is_ok() => value.clone(),
            Value::String(text) if is_number(text) && !keeps_key(key) => Value::String(self.hash(text, PART)),
            Value::String(text) => Value::String(self.text(text)),
            kept => kept.clone(),
        }
    }

    /// The value of a tag of AWS, where `*` stands for any.
    fn of_tag(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text == "*" || text.is_empty() => value.clone(),
            Value::String(text) => Value::String(self.hash(text, WHOLE)),
            kept => kept.clone(),
        }
    }

    /// An id of AWS in another of the same kind.
    fn id(&self, text: &str) -> Option<String> {
        let kind = kind_of_id(text)?;
        let start = u64::from_be_bytes(self.digest(text)[..8].try_into().expect("a digest has 32 bytes"));
        Some(format!("{kind}0{start:016x}"))
    }

    /// A name or any other text.
    fn text(&self, text: &str) -> String {
        if text.is_empty() || is_plain(text) || is_time(text) || is_word_of_kubernetes(text) {
            return text.to_owned();
        }
        if let Some(id) = self.id(text).filter(|_| is_whole_id(text)) {
            return id;
        }
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        if !is_name {
            return self.hash(text, WHOLE);
        }
        let parts: Vec<&str> = text.split('-').collect();
        let last = parts.len() - 1;
        let part = |(index, part): (usize, &&str)| {
            let is_ordinal = index == last && index > 0 && part.len() < 6 && part.bytes().all(|b| b.is_ascii_digit());
            if part.is_empty() || is_ordinal { (*part).to_owned() } else { self.hash(part, PART) }
        };
        let joined = parts.iter().enumerate().map(part).collect::<Vec<_>>().join("-");
        if joined.len() > LONGEST { self.hash(text, WHOLE) } else { joined }
    }

    /// The number of an account of AWS: twelve digits.
    fn account(&self, text: &str) -> String {
        let digits: String = self.digest(text).iter().map(|byte| char::from(b'0' + byte % 10)).collect();
        digits[..12].to_owned()
    }

    /// Begins with a letter, as names of Kubernetes do.
    fn hash(&self, text: &str, letters: usize) -> String {
        let start = u64::from_be_bytes(self.digest(text)[..8].try_into().expect("a digest has 32 bytes"));
        format!("x{}", &format!("{start:016x}")[..letters])
    }

    fn digest(&self, text: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update((self.salt.len() as u64).to_le_bytes());
        digest.update(&self.salt);
        digest.update(text);
        digest.finalize().into()
    }
}

/// The keys that requirements and tolerations below compare.
fn add_compared(value: &Value, compared: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let text = |field: &str| fields.get(field).and_then(Value::as_str);
            if let Some(key) = text("key").filter(|_| text("operator").is_some_and(|is| COMPARISONS.contains(&is))) {
                compared.insert(key.to_owned());
            }
            fields.values().for_each(|value| add_compared(value, compared));
        }
        Value::Array(items) => items.iter().for_each(|item| add_compared(item, compared)),
        _ => {}
    }
}
