//! What a real API server takes of Kubernetes' own kinds, offline commands take, and what it refuses they refuse.

use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;

use super::dynamic;
use super::validation::{assert_none, fields, of_creation, related};
use crate::cluster::on_shared_cluster;
use crate::validation::workloads::{Case, cases};

/// The objects of the kind that an object has.
fn api(client: &kube::Client, object: &DynamicObject, is_namespaced: bool) -> Api<DynamicObject> {
    let types = object.types.as_ref().unwrap();
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
    if is_namespaced {
        Api::default_namespaced_with(client.clone(), &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

#[test]
fn manifests_are_taken_and_refused_as_offline() {
    on_shared_cluster(async |_, client| {
        let mut disagreements = Vec::new();
        for case in cases() {
            let object = case.object();
            let Case { kind, pointer, value, field } = case;
            let case = format!("{kind} {pointer} = {value}");
            let is_namespaced = !["Namespace", "PriorityClass"].contains(&kind);
            let of_kind = api(&client, &dynamic(object.clone()), is_namespaced);
            match (of_creation(&of_kind, object).await, field) {
                (None, None) => {}
                (None, Some(field)) => disagreements.push(format!("{case}: is taken, and refused offline for {field}")),
                (Some(status), None) => disagreements.push(format!("{case}: is refused: {}", status.message)),
                (Some(status), Some(field)) => {
                    // of the labels of a template an API server leaves the metadata out
                    let fields = fields(&status).into_iter();
                    let fields: Vec<String> =
                        fields.map(|named| named.replace("template.labels", "template.metadata.labels")).collect();
                    if !fields.iter().any(|named| related(named, field)) {
                        disagreements.push(format!("{case}: expected {field}, found {fields:?}"));
                    }
                }
            }
        }
        assert_none(&disagreements);
    });
}
