//! The kinds as the server publishes them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use packwright::api::crds::crds;

use crate::cluster::on_shared_cluster;

#[test]
fn the_definitions_are_established() {
    on_shared_cluster(async |_, client| {
        let definitions = Api::<CustomResourceDefinition>::all(client);
        for crd in crds() {
            let name = crd.metadata.name.unwrap();
            let status = definitions.get(&name).await.unwrap().status.unwrap();
            let mut conditions: Vec<(String, String)> =
                status.conditions.into_iter().flatten().map(|condition| (condition.type_, condition.status)).collect();
            conditions.sort_unstable();
            let held = ["Established", "NamesAccepted"].map(|kind| (kind.to_owned(), "True".to_owned()));
            assert_eq!(conditions, held, "{name}"); // and none that a schema is not structural
        }
    });
}

/// (kind, API version, what `kubectl get` takes besides the kind, subresources)
const PUBLISHED: [(&str, &str, &[&str], &[&str]); 6] = [
    ("NodePool", "karpenter.sh/v1", &["nodepools", "nodepool"], &["scale", "status"]),
    ("NodeClaim", "karpenter.sh/v1", &["nodeclaims", "nodeclaim"], &["status"]),
    ("NodeOverlay", "karpenter.sh/v1alpha1", &["nodeoverlays", "nodeoverlay", "overlays"], &["status"]),
    ("EC2NodeClass", "karpenter.k8s.aws/v1", &["ec2nodeclasses", "ec2nodeclass", "ec2nc", "ec2ncs"], &["status"]),
    (
        "KWOKNodeClass",
        "karpenter.kwok.sh/v1alpha1",
        &["kwoknodeclasses", "kwoknodeclass", "kwoknc", "kwokncs"],
        &["status"],
    ),
    ("CapacityBuffer", "autoscaling.x-k8s.io/v1beta1", &["capacitybuffers", "capacitybuffer", "cb"], &["status"]),
];

#[test]
fn kinds_are_found_by_their_names() {
    on_shared_cluster(async |cluster, client| {
        for (kind, api_version, names, subresources) in PUBLISHED {
            let listed = client.list_api_group_resources(api_version).await.unwrap().resources;
            let of = listed.iter().find(|of| of.kind == kind && !of.name.contains('/')).unwrap();
            let category = if kind == "CapacityBuffer" { "autoscaling" } else { "karpenter" };
            assert_eq!(of.categories.as_deref(), Some(&[category.to_owned()][..]), "{kind}");
            assert_eq!(of.namespaced, kind == "CapacityBuffer", "{kind}");

            let below = |name: &str| name.strip_prefix(&of.name)?.strip_prefix('/').map(str::to_owned);
            let mut found: Vec<String> = listed.iter().filter_map(|of| below(&of.name)).collect();
            found.sort_unstable();
            assert_eq!(found, subresources, "{kind}");
            for name in names {
                cluster.kubectl(&["get", name]);
            }
        }
        cluster.kubectl(&["get", "karpenter"]);
    });
}
