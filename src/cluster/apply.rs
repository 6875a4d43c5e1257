//! Patches of following a plan, sent to a live cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};

use super::words::with_causes;
use crate::placement::{ObjectPatch, Subject};

/// What the API server made of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It is so.
    Done,
    /// The object has changed since it was read, or is gone: the next step sees what it is now.
    Outdated,
    /// The API server does not take it, whenever it is sent: for lack of a right, or because admission says no.
    Refused(String),
    /// It may be taken later.
    Failed(String),
}

/// Sends one patch; an answer that takes longer than `limit` is not waited for.
pub async fn apply(client: &Client, patch: &ObjectPatch, limit: Duration) -> Applied {
    match tokio::time::timeout(limit, send(client, patch)).await {
        Ok(Ok(())) => Applied::Done,
        Ok(Err(Error::Api(status))) => match status.code {
            404 | 409 => Applied::Outdated,
            408 | 429 => Applied::Failed(status.message.clone()),
            400..=499 => Applied::Refused(status.message.clone()),
            _ => Applied::Failed(status.message.clone()),
        },
        Ok(Err(error)) => Applied::Failed(with_causes(&error)),
        Err(_) => Applied::Failed(format!("no answer within {} s", limit.as_secs_f64())),
    }
}

async fn send(client: &Client, patch: &ObjectPatch) -> Result<(), Error> {
    let (params, body) = (PatchParams::default(), Patch::Merge(&patch.body));
    match &patch.subject {
        Subject::Node(name) => {
            Api::<Node>::all(client.clone()).patch(name, &params, &body).await?;
        }
        Subject::Pod(namespace, name) => {
            Api::<Pod>::namespaced(client.clone(), namespace).patch(name, &params, &body).await?;
        }
        Subject::PodStatus(namespace, name) => {
            Api::<Pod>::namespaced(client.clone(), namespace).patch_status(name, &params, &body).await?;
        }
    }
    Ok(())
}
