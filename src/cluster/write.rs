//! The writes of a controller, sent to a live cluster.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, EvictParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::TypeMeta;
use kube::{Client, Error};

use super::document::Document;
use super::events::{raw, resource};
use super::words::with_causes;
use crate::controller::{Outcome, Subject, Verb, Write};
use crate::observe::RawObject;
use crate::observe::input::Origin;
use crate::observe::objects::{KINDS, KnownKind};

/// Sends one write; an answer that takes longer than `limit` is not waited for.
pub async fn write(client: &Client, write: &Write, limit: Duration) -> Outcome {
    match tokio::time::timeout(limit, send(client, write)).await {
        Ok(Ok(object)) => Outcome::Done(object),
        Ok(Err(Error::Api(status))) => match status.code {
            404 | 409 => Outcome::Outdated,
            429 if matches!(write.verb, Verb::Evict { .. }) => Outcome::Delayed(status.message.clone()),
            408 | 429 => Outcome::Failed(status.message.clone()),
            400..=499 => Outcome::Refused(status.message.clone()),
            _ => Outcome::Failed(status.message.clone()),
        },
        Ok(Err(error)) => Outcome::Failed(with_causes(&error)),
        Err(_) => Outcome::Failed(format!("no answer within {} s", limit.as_secs_f64())),
    }
}

async fn send(client: &Client, write: &Write) -> Result<Option<RawObject>, Error> {
    let Write { subject, verb } = write;
    let Subject { kind, key } = subject;
    let Some(known) = KINDS.iter().find(|known| known.name == *kind) else { return Ok(None) };
    let api = api(client, known, &key.namespace);
    let params = PatchParams::default();
    let object = match verb {
        Verb::Create(object) => Some(api.create(&PostParams::default(), &Document::new(object.clone())).await?),
        Verb::Patch(body) => Some(api.patch(&key.name, &params, &Patch::Merge(body)).await?),
        Verb::PatchStatus(body) => Some(api.patch_status(&key.name, &params, &Patch::Merge(body)).await?),
        Verb::Delete { uid, version, grace } => {
            let seconds = grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX));
            let params = DeleteParams { grace_period_seconds: seconds, ..precondition(uid, version.as_ref()) };
            api.delete(&key.name, &params).await?.left()
        }
        Verb::Evict { uid } => {
            let pods: Api<Pod> = Api::namespaced(client.clone(), &key.namespace);
            let params = EvictParams { delete_options: Some(precondition(uid, None)), ..EvictParams::default() };
            pods.evict(&key.name, &params).await?;
            None
        }
    };
    let resource = resource(known);
    let types = TypeMeta { api_version: resource.api_version, kind: resource.kind };
    let origin = Origin { file: Arc::from("cluster"), ..Origin::default() };
    Ok(object.map(|object| raw(object, &types, &origin)))
}

fn api(client: &Client, kind: &KnownKind, namespace: &str) -> Api<Document> {
    let resource = resource(kind);
    match namespace {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

fn precondition(uid: &Arc<str>, version: Option<&Arc<str>>) -> DeleteParams {
    let preconditions =
        Preconditions { uid: Some(uid.to_string()), resource_version: version.map(ToString::to_string) };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}
