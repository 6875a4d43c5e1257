//! An object as the API server writes it, read once: kube's `DynamicObject` is read twice, and has to be written again to be a value.

use std::borrow::Cow;

use kube::Resource;
use kube::core::{ObjectMeta, TypeMeta};
use kube::discovery::ApiResource;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::observe::RawObject;
use crate::observe::input::Origin;
use crate::observe::pruned::prune;

/// An object of any kind.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// Of it, what clients and watches ask for: name, namespace, uid, version and generation.
    pub metadata: ObjectMeta,
    /// All of it.
    pub value: Value,
}

impl Document {
    pub fn new(value: Value) -> Self {
        let text = |field: &str| value["metadata"][field].as_str().map(str::to_owned);
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            generation: value["metadata"]["generation"].as_i64(),
            ..ObjectMeta::default()
        };
        Self { metadata, value }
    }

    /// As everything else reads it: what no decision reads is left out. Items of lists do not say what they are.
    pub fn raw(self, types: &TypeMeta, origin: &Origin) -> RawObject {
        let mut value = self.value;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("apiVersion".to_owned(), types.api_version.as_str().into());
            fields.insert("kind".to_owned(), types.kind.as_str().into());
        }
        prune(&mut value);
        RawObject { origin: origin.clone(), value }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Value::deserialize(reader).map(Self::new)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(writer)
    }
}

impl Resource for Document {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        (&*of.kind).into()
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        (&*of.group).into()
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        (&*of.version).into()
    }

    fn api_version(of: &ApiResource) -> Cow<'_, str> {
        (&*of.api_version).into()
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        (&*of.plural).into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
