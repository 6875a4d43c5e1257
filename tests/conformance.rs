//! A real API server takes our kinds as Karpenter's: what it refuses, what it fills in, how it shows them.

mod kinds;
mod objects;
mod subresources;
mod validation;
mod workloads;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use packwright::api::crds::crds;
use serde_json::Value;

/// The objects of a kind; those of a kind with namespaces in the default one.
fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let (group, version) = (crd.spec.group, crd.spec.versions[0].name.clone());
    let resource = ApiResource {
        api_version: format!("{group}/{version}"),
        group,
        version,
        kind: kind.to_owned(),
        plural: crd.spec.names.plural,
    };
    if crd.spec.scope == "Namespaced" {
        Api::default_namespaced_with(client.clone(), &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

fn dynamic(object: Value) -> DynamicObject {
    serde_json::from_value(object).unwrap()
}
