//! What an object says it is: group, version and kind.

use serde_json::Value;

use crate::api::reading::nearest_name;
use crate::observe::input::InputError;
use crate::observe::read::RawObject;

/// Group, version and kind as an object gives them.
pub(super) struct Written {
    pub group: String,
    pub kind: String,
    pub api_version: String,
}

impl Written {
    pub fn of(raw: &RawObject) -> Result<Self, InputError> {
        let text = |field: &str| match raw.value.get(field) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
            found => Err(InputError {
                origin: raw.origin.clone(),
                object: raw.value.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned),
                field: Some(field.to_owned()),
                message: match found {
                    None | Some(Value::Null) => "expected a string, found nothing".to_owned(),
                    Some(value) => format!("expected a string, found {value}"),
                },
            }),
        };
        let kind = text("kind")?.to_owned();
        let api_version = text("apiVersion")?.to_owned();
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        Ok(Self { group, kind, api_version })
    }

    /// `Kind`, or `Kind.group` outside the core group.
    pub fn full_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// What is wrong with a kind that is not read, unless it may well be meant: it is close to one that is read, belongs to
    /// another group, or is one of Karpenter's kinds before v1.
    pub fn mistaken_kind(&self, known: &[KnownKind]) -> Option<String> {
        let (group, kind) = (self.group.as_str(), self.kind.as_str());
        if let Some((.., now)) = REPLACED.iter().find(|(of, name, _)| (*of, *name) == (group, kind)) {
            let now = known.iter().find(|known| known.name == *now)?;
            return Some(format!("{kind} was replaced by {} of {}", now.name, now.api_version()));
        }
        let of_group: Vec<&KnownKind> = known.iter().filter(|known| known.group == group).collect();
        if of_group.is_empty() {
            return None;
        }
        if let Some(elsewhere) = known.iter().find(|known| known.name == kind) {
            return Some(format!("{kind} is a kind of {}, found '{}'", elsewhere.api_version(), self.api_version));
        }
        let near = nearest_name(kind, of_group.iter().map(|known| known.name))?;
        Some(format!("unknown kind of {}; did you mean {near}?", self.api_version))
    }

    pub fn kind_error(&self, raw: &RawObject, message: String) -> InputError {
        let name = raw.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        InputError {
            origin: raw.origin.clone(),
            object: Some(format!("{} {name}", self.kind).trim_end().to_owned()),
            field: Some("kind".to_owned()),
            message,
        }
    }
}

/// A kind that is read.
pub struct KnownKind {
    pub name: &'static str,
    pub group: &'static str,
    pub version: &'static str,
}

impl KnownKind {
    /// As objects of the kind write it.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Group and name of the kinds that Karpenter had before v1beta1, and what stands in their place.
const REPLACED: [(&str, &str, &str); 3] = [
    ("karpenter.sh", "Provisioner", "NodePool"),
    ("karpenter.sh", "Machine", "NodeClaim"),
    ("karpenter.k8s.aws", "AWSNodeTemplate", "EC2NodeClass"),
];
