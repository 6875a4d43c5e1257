//! The CustomResourceDefinitions of every kind, in the form that the reference publishes.
//!
//! The derive writes Rust's view of a schema; the API server needs it to be structural, and people compare it with the
//! reference. [`tidy`] closes the gap: no nullable fields, no empty defaults, quantities as the API server wants them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::Value;

use super::capacity_buffer::CapacityBuffer;
use super::ec2_node_class::EC2NodeClass;
use super::kwok_node_class::KWOKNodeClass;
use super::node_claim::NodeClaim;
use super::node_overlay::NodeOverlay;
use super::node_pool::NodePool;

/// Every kind, in the order in which people meet them.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        NodePool::crd(),
        NodeClaim::crd(),
        EC2NodeClass::crd(),
        KWOKNodeClass::crd(),
        NodeOverlay::crd(),
        CapacityBuffer::crd(),
    ];
    for crd in &mut crds {
        crd.spec.names.list_kind = Some(format!("{}List", crd.spec.names.kind));
        for version in &mut crd.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
                tidy(schema);
            }
        }
    }
    crds
}

fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None; // absent and null are the same to us, but not to the API server
    schema.title = None;
    schema.description = schema.description.take().map(|text| reflow(&text));
    if schema.default.as_ref().is_some_and(|default| is_empty(&default.0)) {
        schema.default = None;
    }
    if schema.x_kubernetes_int_or_string == Some(true) {
        // the rewriter of the derive drops these types, which only this place may have
        let of_type = |name: &str| JSONSchemaProps { type_: Some(name.to_owned()), ..JSONSchemaProps::default() };
        schema.any_of = Some(vec![of_type("integer"), of_type("string")]);
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        tidy(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

/// Lines of a comment joined into paragraphs.
fn reflow(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// A definition as YAML, without a document separator.
///
/// # Errors
/// The serializer's, which no definition of ours has.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, Box<dyn std::error::Error>> {
    let mut value = serde_json::to_value(crd)?;
    write_whole_numbers_as_integers(&mut value);
    Ok(serde_saphyr::to_string(&value)?)
}

/// Bounds are floats in the type of the API; `minimum: 1` reads better than `1.0`.
fn write_whole_numbers_as_integers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            #[allow(clippy::cast_possible_truncation)] // whole and small, checked here
            if let Some(float) = number.as_f64().filter(|f| number.is_f64() && f.fract() == 0.0 && f.abs() < 1e15) {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers_as_integers),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers_as_integers),
        _ => {}
    }
}
