//! `--catalog FILE`: instance types from JSON, in our own format or Karpenter's kwok format.
//!
//! A list of types, or an object with the list `instanceTypes`. Each type is one of:
//!
//! ```json
//! {"name": "big", "labels": {"kubernetes.io/arch": "arm64", "example.com/rack": ["a", "b"], "example.com/gpu": null},
//!  "capacity": {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"},
//!  "overhead": {"kubeReserved": {"cpu": "100m"}, "systemReserved": {}, "evictionThreshold": {"memory": "100Mi"}},
//!  "offerings": [{"zone": "a", "capacityType": "on-demand", "priceUsdHour": 0.5, "available": true,
//!                 "labels": {"topology.k8s.aws/zone-id": "use1-az1"}, "reservation": {"id": "cr-1", "free": 3}}]}
//! ```
//! A label with a list may take any of the values, with `null` it does not exist. Well-known labels that are left out do
//! not exist either, except `kubernetes.io/arch` (amd64) and `kubernetes.io/os` (linux). `overhead`, `available` (true),
//! `labels` and `reservation` may be left out, and so may `pods` (110) and, of an offering whose price changes, `meanPriceUsdHour`: the
//! time-weighted mean of the last 24 hours.
//!
//! ```json
//! {"name": "m-4x", "architecture": "amd64", "operatingSystems": ["linux"], "resources": {"cpu": "4", "memory": "32Gi"},
//!  "offerings": [{"Price": 0.13, "Available": true, "Requirements": [
//!    {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]},
//!    {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["test-zone-a"]}]}]}
//! ```
//! is what Karpenter's kwok provider reads, and treated as it does: every offering is available, `pods` defaults to 110,
//! 100m and 10Mi are reserved.

mod kwok_format;
mod own_format;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::InstanceType;
use crate::api::reading;
use crate::resources::Resources;
use crate::units::MicroUsd;
use crate::units::quantity::Quantity;

/// kubelet's default limit on pods.
const DEFAULT_PODS: i64 = 110;

#[derive(Debug, thiserror::Error)]
pub enum CatalogFileError {
    #[error("failed to read the catalogue {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("failed to read the catalogue: not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "failed to read the catalogue: expected a list of instance types, or an object with the list instanceTypes"
    )]
    Shape,
    #[error("failed to read the catalogue: instance type {entry}: {reason}")]
    Entry { entry: String, reason: String },
}

/// Reads a file; the format is that of [`parse`].
///
/// # Errors
/// The file cannot be read, or [`parse`] refuses it.
pub fn read(path: &Path) -> Result<Vec<InstanceType>, CatalogFileError> {
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| CatalogFileError::Read { path: shown(), source })?;
    parse(&text)
}

/// The instance types of a document, sorted by name.
///
/// # Errors
/// The document is not of either format, an amount is negative or not a quantity, or a name occurs twice; the message
/// names the type and the field.
pub fn parse(text: &str) -> Result<Vec<InstanceType>, CatalogFileError> {
    let mut document: Value = serde_json::from_str(text)?;
    let list = match &mut document {
        Value::Object(fields) => fields.get_mut("instanceTypes").map(Value::take),
        Value::Array(_) => Some(document.take()),
        _ => None,
    };
    let Some(Value::Array(entries)) = list else { return Err(CatalogFileError::Shape) };
    let mut names = BTreeSet::new();
    let mut types = Vec::with_capacity(entries.len());
    for (i, entry) in entries.into_iter().enumerate() {
        let name = entry.get("name").and_then(Value::as_str).map_or_else(|| format!("#{}", i + 1), str::to_owned);
        let fail = |reason: String| CatalogFileError::Entry { entry: name.clone(), reason };
        let is_kwok = entry.get("resources").is_some();
        let instance_type = if is_kwok { kwok_format::read(&entry) } else { own_format::read(&entry) }.map_err(fail)?;
        if !names.insert(instance_type.name.clone()) {
            return Err(fail("the name occurs twice".to_owned()));
        }
        types.push(instance_type);
    }
    types.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(types)
}

/// Reads a value into a type; the error begins with the path of the field.
fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    reading::read(value).map(|read| read.object).map_err(|error| error.to_string())
}

fn amounts(field: &str, texts: &BTreeMap<String, Value>) -> Result<Resources, String> {
    let mut resources = Resources::new();
    for (name, text) in texts {
        let amount = Resources::parse_amount(name, &plain(text)).map_err(|error| format!("{field}.{name}: {error}"))?;
        if amount < 0 {
            return Err(format!("{field}.{name}: must not be negative"));
        }
        resources.set(name.as_str(), amount);
    }
    Ok(resources)
}

/// Dollars an hour, as a number or a text.
fn price(field: &str, value: &Value) -> Result<MicroUsd, String> {
    let price: Quantity = plain(value).parse().map_err(|error| format!("{field}: {error}"))?;
    let price = MicroUsd(price.micro_value());
    match price {
        _ if price < MicroUsd::ZERO => Err(format!("{field}: must not be negative")),
        _ if price > MicroUsd::MOST_AN_HOUR => Err(format!("{field}: must be at most 1000000, found {}", plain(value))),
        _ => Ok(price),
    }
}

/// The text of a JSON string or number.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
