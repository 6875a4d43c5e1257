//! Status and scale are written apart from the spec.

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Error, ResourceExt as _};
use serde_json::{Value, json};

use super::{api, dynamic};
use crate::cluster::on_shared_cluster;
use crate::validation::cases;

fn named(kind: &str, name: &str) -> Value {
    let mut object = cases::base(kind);
    cases::set(&mut object, "/metadata/name", json!(name));
    object
}

#[test]
fn a_status_is_written_by_its_subresource_only() {
    on_shared_cluster(async |_, client| {
        let condition = json!({
            "type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        for kind in cases::KINDS {
            let api = api(&client, kind);
            let mut object = named(kind, "status");
            object["status"] = json!({"conditions": [condition]});
            let created = api.create(&PostParams::default(), &dynamic(object.clone())).await.unwrap();
            let status = |object: &kube::api::DynamicObject| object.data.get("status").cloned().unwrap_or_default();
            assert_ne!(status(&created)["conditions"], json!([condition]), "{kind}");

            object["spec"]["weight"] = json!(7); // the spec is not its affair
            let patched = api.patch_status("status", &PatchParams::default(), &Patch::Merge(&object)).await.unwrap();
            assert_eq!(status(&patched)["conditions"], json!([condition]), "{kind}");
            assert_eq!(patched.data["spec"], created.data["spec"], "{kind}");
            assert_eq!(patched.metadata.generation, Some(1), "{kind}: a status is no new generation");
        }
    });
}

#[test]
fn static_pools_are_scaled() {
    on_shared_cluster(async |cluster, client| {
        let api = api(&client, "NodePool");
        let mut pool = named("NodePool", "scaled");
        pool["spec"]["replicas"] = json!(1);
        api.create(&PostParams::default(), &dynamic(pool)).await.unwrap();
        cluster.kubectl(&["scale", "nodepool/scaled", "--replicas=3"]);
        let nodes = Patch::Merge(json!({"status": {"nodes": 2}}));
        api.patch_status("scaled", &PatchParams::default(), &nodes).await.unwrap();
        let scale = api.get_scale("scaled").await.unwrap();
        assert_eq!((scale.spec.unwrap().replicas, scale.status.unwrap().replicas), (Some(3), 2));
        assert_eq!(api.get("scaled").await.unwrap().data["spec"]["replicas"], 3);
    });
}

#[test]
fn dynamic_pools_are_not_scaled() {
    on_shared_cluster(async |_, client| {
        let api = api(&client, "NodePool");
        let pool = api.create(&PostParams::default(), &dynamic(named("NodePool", "dynamic"))).await.unwrap();
        let replicas = Patch::Merge(json!({"spec": {"replicas": 3}}));
        let refused = api.patch_scale("dynamic", &PatchParams::default(), &replicas).await;
        assert!(matches!(&refused, Err(Error::Api(status)) if status.is_invalid()), "{refused:?}");
        assert_eq!(api.get("dynamic").await.unwrap().resource_version(), pool.resource_version());
    });
}
